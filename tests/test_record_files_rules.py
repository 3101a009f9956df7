"""Files of records by small cases: who comes first, what is left behind, which line counts, what a record must have."""

import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
from record_samples import case, finding

from solidmark import records
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.records import announced, files, reading, validity, writer


def names(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


# Files, whole or not at all


def test_the_first_text_stands_also_where_another_process_was_faster(tmp_path, monkeypatch):
    path, link = tmp_path / "a.json", os.link

    def slower(draft, to):
        path.write_text("theirs")
        link(draft, to)

    monkeypatch.setattr(os, "link", slower)
    assert files.write_first(path, "mine") == "theirs"
    assert files.write_first(path, "later") == "theirs"
    assert names(tmp_path) == ["a.json"]


def test_without_links_the_text_is_written_all_the_same(tmp_path, monkeypatch):
    def none(draft, to):
        assert draft.read_text() == "mine"
        raise PermissionError("no links here")

    monkeypatch.setattr(os, "link", none)
    assert files.write_first(tmp_path / "deep" / "a.json", "mine") == "mine"
    assert names(tmp_path) == ["deep", "deep/a.json"]


def test_what_is_there_is_read_without_a_draft(tmp_path, monkeypatch):
    (tmp_path / "a.json").write_text("theirs")
    monkeypatch.setattr(files, "write_text", lambda *words: pytest.fail("a draft"))
    assert files.write_first(tmp_path / "a.json", "mine") == "theirs"


def test_bytes_are_written_beside_and_take_their_name_at_once(tmp_path, monkeypatch):
    replace, seen = os.replace, []
    monkeypatch.setattr(os, "replace", lambda *words: (seen.append((words, names(tmp_path))), replace(*words))[1])
    path = tmp_path / "a" / "b.parquet"
    files.write_bytes(path, b"\x00\xff")
    ((draft, to), there) = seen[0]
    assert (draft.parent, to, there) == (path.parent, path, ["a", f"a/.b.parquet.{os.getpid()}"])
    assert path.read_bytes() == b"\x00\xff"
    with pytest.raises(InvalidValue, match=r"Free some space"):
        files.write_bytes(path / "under" / "a file", b"")


def test_every_part_of_a_folder_is_made_probed_with_so_many_bytes_and_left_empty(tmp_path, monkeypatch):
    fsync, seen = os.fsync, []

    def noted(handle):
        seen.append(os.fstat(handle).st_size)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    files.check_writable(tmp_path / "run", ["records", "per_image/x"], "--run-dir")
    assert seen == [65536] * 3
    assert names(tmp_path) == ["run", "run/per_image", "run/per_image/x", "run/records"]
    files.check_writable(tmp_path / "run", [], "--run-dir")


def test_a_part_that_cannot_be_written_is_told_with_its_folder_and_cure(tmp_path):
    (tmp_path / "b").touch()
    with pytest.raises(InvalidValue, match=f"^--run-dir {tmp_path}: found .*File exists.*; expected .* Do this."):
        files.check_writable(tmp_path, ["a", "b"], "--run-dir", "Do this.")
    with pytest.raises(InvalidValue, match="choose another folder"):
        files.check_writable(tmp_path, ["b"], "--run-dir")


# Announced names


def test_a_name_of_a_worker_is_its_own(monkeypatch):
    one, other = announced.fresh_name("gw0"), announced.fresh_name("gw0")
    assert one != other
    worker, _, letters = one.partition("-")
    assert (worker, len(letters), set(letters) <= set("0123456789abcdef")) == ("gw0", 12, True)


def test_a_run_that_goes_on_keeps_what_it_announced_even_nothing(tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "old.jsonl").touch()
    assert announced.existing(tmp_path) == {"old"}
    announced.write(tmp_path, [])
    assert announced.existing(tmp_path) == frozenset()
    assert (tmp_path / announced.FILE).read_text() == "[]"
    announced.write(tmp_path, ["b", "a"])
    assert (tmp_path / announced.FILE).read_text() == '[\n "a",\n "b"\n]'
    assert announced.read(tmp_path / "none") is None


# Reading


def line(**more):
    """A line of a file of records."""
    return json.dumps({**case(worker="a", pid=1), **more}).encode() + b"\n"


def test_files_are_read_in_order_of_name_and_line_and_empty_lines_are_none(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    (folder / "b.jsonl").write_bytes(line(seed=3) + b"\n" + line(seed=4))
    (folder / "a.jsonl").write_bytes(line(seed=1) + b"{}\n" + line(seed=2) + b"torn")
    (folder / "c.jsonl").write_bytes(b"")
    (folder / "d.jsonl.old").write_bytes(line(seed=5))
    found = reading.read(tmp_path)
    assert [record["seed"] for record in found.records] == [1, 2, 3, 4]
    assert [note.partition(":")[0] for note in found.notes] == ["a.jsonl"]
    assert [damage.partition(":")[0] for damage in found.damaged] == ["records/a.jsonl, line 2"]
    announced.write(tmp_path, ["b"])
    found = reading.read(tmp_path)
    assert [record["seed"] for record in found.records] == [3, 4]
    assert [note.partition(":")[0] for note in found.notes] == ["records/a.jsonl", "records/c.jsonl"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (line(schema="solidmark.record/3"), r"schema solidmark\.record/3; expected .*Install a newer"),
        (line(schema="solidmark.record/x"), r"schema solidmark\.record/x; .*Remove the line"),
        (line(schema="x" * 99), r"schema x{60}; "),
        (b"x" * 99, r"found x{60}; "),
        (b'{"schema": "solidmark.record/2", "a": 1e999}', "line 7: found"),
        (b'{"schema": "solidmark.record/2", "a": Infinity}', "line 7: found"),
        (b"[1]", r"found \[1\]; expected a record"),
    ],
)
def test_a_line_that_is_no_record_is_told_by_its_beginning(content, words):
    with pytest.raises(DamagedFile, match=words):
        reading._parsed(content, "line 7")
    assert reading._parsed(line(seed=5), "line 7")["seed"] == 5


def test_an_attempt_counts_whole_lines_of_the_controller_about_this_very_case(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    noted = ['{"case_id": "a"}', '{"case_id": "b"}', "[]", "torn", '{"x": 1}', '{"case_id": "a"}']
    (folder / "controller-1.jsonl").write_text("\n".join(noted) + "\n" + '{"case_id": "a"}')
    (folder / "controller-2.jsonl").write_text('{"case_id": "a"}\n')
    (folder / "gw0-1.jsonl").write_text('{"case_id": "a"}\n')
    assert [records.attempt(tmp_path, name) for name in "abc"] == [4, 2, 1]


# Validity


@pytest.mark.parametrize("status", ["ok", "failed_check"])
@pytest.mark.parametrize("name", validity.MEASURED_BLOCKS)
def test_a_measured_case_has_every_block_or_a_reason(name, status):
    whole = {**case(worker="a", pid=1), "status": status}
    assert validity.checked(whole, "here") is whole
    lacking = {**whole, name: None}
    with pytest.raises(DamagedFile, match=f"^here: found (status {status}, and )?no {name}|{name} = None"):
        validity.checked(lacking, "here")
    told = {**lacking, f"{name}_reason": "it has none"}
    if name == "utility":
        assert validity.checked(told, "here") is told
    broken = {**whole, "queries": None, "cost": None, "status": "error"}
    assert validity.checked(broken, "here") is broken


def test_what_is_not_as_it_should_be_is_named_by_its_place_and_cut():
    whole = case(worker="a", pid=1)
    for changed, words in (
        ({"seed": "x" * 99}, f"^here: found seed = '{'x' * 59}; expected .* Do this."),
        ({"event": "other"}, "^here: found event = "),
        ({"seed": "3"}, "^here: found seed = '3'; "),
        ({"cost": {**whole["cost"], "editing": {}}}, r"no cost\.editing\.forward; expected a value for it"),
    ):
        with pytest.raises(DamagedFile, match=words):
            validity.checked({**whole, **changed}, "here", "Do this.")
    with pytest.raises(DamagedFile, match="no event; expected a value for it"):
        validity.checked({name: value for name, value in whole.items() if name != "event"}, "here")
    found = json.loads(json.dumps(finding()))
    assert validity.checked(found, "here") is found


# Writing


def test_a_record_is_one_line_of_ascii_in_its_order_and_what_is_given_overrides_the_stamp(tmp_path, monkeypatch):
    monkeypatch.setattr(writer.time, "strftime", lambda form, at: f"{form} {at}")
    monkeypatch.setattr(writer.time, "gmtime", lambda: "now")
    tmp_path = tmp_path / "deep" / "run"
    made = writer.Writer(tmp_path, "gw1", "mine")
    given = {**case("ä", seed=np.int64(3)), "worker": "theirs", "needs": ["\x1b"]}
    del given["t"], given["schema"]
    written = made.write(given)
    (text,) = (tmp_path / "records" / "mine.jsonl").read_text(encoding="ascii").splitlines()
    assert json.loads(text) == written
    assert [*written][:4] == ["schema", "t", "worker", "pid"]
    assert (written["t"], written["worker"], written["seed"]) == ("%Y-%m-%dT%H:%M:%SZ now", "theirs", 3)
    assert (written["mitigation"], written["needs"], written["pid"]) == ("ä", ["\\x1b"], os.getpid())
    assert '": ' not in text
    made.write(given)
    assert len((tmp_path / "records" / "mine.jsonl").read_text().splitlines()) == 2
    with pytest.raises(DamagedFile, match=r"^record of None: found .*report it"):
        made.write({"event": "case"})


def test_a_file_of_records_can_be_read_by_all_and_written_by_its_owner(tmp_path):
    before = os.umask(0)
    try:
        writer.Writer(tmp_path, "gw1", "mine").write(case())
    finally:
        os.umask(before)
    assert (tmp_path / "records" / "mine.jsonl").stat().st_mode & 0o777 == 0o644


def test_after_each_torn_line_the_file_is_another_one_and_handles_are_closed(tmp_path, monkeypatch):
    made, closed, close = writer.Writer(tmp_path, "gw1", "mine"), [], os.close
    monkeypatch.setattr(os, "close", lambda handle: (closed.append(handle), close(handle))[1])
    with monkeypatch.context() as torn:
        torn.setattr(os, "write", lambda handle, content: len(content) - 1)
        for _ in range(2):
            with pytest.raises(InvalidValue, match=f"^run folder {tmp_path}: found the disk took only a part"):
                made.write(case())
    made.write(case())
    assert names(tmp_path / "records") == ["mine-1.jsonl", "mine-2.jsonl", "mine.jsonl"]
    assert (tmp_path / "records" / "mine-2.jsonl").read_text().count("\n") == 1
    assert len(closed) == 3


def test_a_writer_has_the_name_that_is_given_or_one_of_its_worker(tmp_path, monkeypatch):
    assert writer.Writer(tmp_path, "gw1", "mine").name == "mine"
    monkeypatch.setattr(writer.announced, "fresh_name", lambda worker: f"fresh {worker}")
    assert (writer.Writer(tmp_path, "gw1").name, writer.Writer(tmp_path).worker) == ("fresh gw1", "main")
    asked = []
    monkeypatch.setattr(writer, "end_copies", asked.append)
    writer.Writer(tmp_path).write(case())
    assert asked == [os.getpid()]


def test_texts_are_cleaned_wherever_they_stand_and_scalars_are_plain():
    value = {"a\x07": ["b\x07", {"c\x07": 1}], "d": None, "e": True, "f": 1.5}
    assert writer._cleaned(value) == {"a\\x07": ["b\\x07", {"c\\x07": 1}], "d": None, "e": True, "f": 1.5}
    assert writer._plain(SimpleNamespace(item=lambda: 7)) == 7
