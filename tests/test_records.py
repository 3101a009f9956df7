"""Records: whole or not at all, whoever dies or whatever the disk does while one is written."""

import errno
import gzip
import json
import multiprocessing
import os
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solidmark import records
from solidmark.errors import InvalidValue
from solidmark.records import announced
from solidmark.schema.record import SCHEMA

TEXT = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs"), include_characters="\n\t"))
PLAIN = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3))


def written(run, *texts):
    """A run folder with one file of these lines, the last one as it stands."""
    (run / "records").mkdir(parents=True)
    (run / "records" / "main-1-a.jsonl").write_bytes("\n".join(texts).encode())
    return run


def bare(**parameters):
    """The smallest record that is one."""
    names = dict.fromkeys(("case_id", "slug", "testbed", "mitigation", "family"), "c")
    return {**names, "event": "case", "status": "error", "parameters": parameters}


def line(**fields):
    return json.dumps({"schema": SCHEMA, **bare(), **fields})


def damage(run):
    """What is said of the one thing that is damaged in a run."""
    [told] = records.read(run).damaged
    return told


def case(case_id, status, number):
    return {"case_id": case_id, "status": status, "number": number}


@given(st.lists(st.dictionaries(TEXT.filter(lambda text: len(text) > 2), VALUES, max_size=4), min_size=1, max_size=4))
def test_what_is_written_is_read_in_order(tmp_path_factory, values):
    run = tmp_path_factory.mktemp("run")
    writer = records.Writer(run)
    for value in values:
        writer.write(bare(value=value))
    found, notes, _ = records.read(run)
    assert [record["parameters"]["value"] for record in found] == values
    assert notes == []


def test_a_record_is_stamped_with_schema_time_worker_and_process(tmp_path):
    records.Writer(tmp_path, "gw3").write(bare())
    [record], *_ = records.read(tmp_path)
    assert (record["schema"], record["worker"], record["pid"]) == (SCHEMA, "gw3", os.getpid())
    assert len(record["t"]) == len("2026-01-01T00:00:00Z")


def test_numpy_scalars_and_paths_are_written_plainly(tmp_path):
    given_values = {"a": np.float32(0.5), "b": np.int64(3), "c": np.bool_(True), "d": np.str_("x"), "e": Path("a/b")}
    records.Writer(tmp_path).write(bare(**given_values))
    [record], *_ = records.read(tmp_path)
    assert [record["parameters"][name] for name in "abcde"] == [0.5, 3, True, "x", "a/b"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float64("nan"), np.float32("-inf")])
def test_nan_and_infinity_are_never_written(tmp_path, value):
    with pytest.raises(ValueError, match="JSON compliant"):
        records.Writer(tmp_path).write(bare(value=[1.0, value]))
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("value", [{1, 2}, object(), b"bytes"])
def test_what_has_no_json_is_our_fault(tmp_path, value):
    with pytest.raises(TypeError, match="cannot be written to a record"):
        records.Writer(tmp_path).write(bare(value=value))


def test_control_characters_and_lone_surrogates_are_written_with_a_backslash(tmp_path):
    records.Writer(tmp_path).write({**bare(value="\x1b[31m\n"), "reason": "\udc80" + "x" * 5000})
    [record], *_ = records.read(tmp_path)
    assert record["parameters"]["value"] == r"\x1b[31m" + "\n"
    assert record["reason"].startswith(r"\udc80x")
    assert len(record["reason"]) < 4100
    records.write_text(tmp_path / "page.md", "\udc80")
    assert (tmp_path / "page.md").read_bytes() == rb"\udc80"


def test_a_forked_copy_of_a_worker_writes_nothing(tmp_path):
    writer = records.Writer(tmp_path)
    child = os.fork()
    writer.write(bare())
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
    assert len(records.read(tmp_path)[0]) == 1


def test_the_first_text_is_everyone_s(tmp_path):
    assert [records.write_first(tmp_path / "plans" / "a.json", text) for text in "ab"] == ["a", "a"]
    assert len(list((tmp_path / "plans").iterdir())) == 1


def test_every_writer_has_a_file_of_its_own(tmp_path):
    for writer in [records.Writer(tmp_path), records.Writer(tmp_path)]:
        writer.write(bare())
    assert len(list((tmp_path / "records").iterdir())) == 2


def test_a_writer_that_writes_nothing_leaves_no_file(tmp_path):
    records.Writer(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_torn_last_line_is_left_out_and_told(tmp_path):
    found, notes, _ = records.read(written(tmp_path, line(seed=1), line(seed=2)[:-9]))
    assert [record["seed"] for record in found] == [1]
    assert len(notes) == 1
    assert "main-1-a.jsonl: its last line is incomplete" in notes[0]


@given(st.integers(0, 400))
def test_cut_anywhere_a_file_gives_exactly_its_whole_lines(tmp_path_factory, length):
    whole = "".join(line(seed=number, reason="äß" * 20) + "\n" for number in range(3)).encode()
    run = written(tmp_path_factory.mktemp("run"), "")
    (run / "records" / "main-1-a.jsonl").write_bytes(whole[:length])
    found, notes, _ = records.read(run)
    assert len(found) == whole[:length].count(b"\n")
    assert bool(notes) == (length < len(whole) and not whole[:length].endswith(b"\n") and length > 0)


@pytest.mark.parametrize("bad", ['{"schema": "solid', "[]", "3", "null", '"text"', "{}", "\x00\x00", '{"schema": NaN}'])
def test_a_bad_line_in_the_middle_is_set_aside_by_file_and_line(tmp_path, bad):
    run = written(tmp_path, line(), bad, line(), "")
    assert len(records.read(run).records) == 2
    assert damage(run).startswith("records/main-1-a.jsonl, line 2: found ")


def test_a_line_that_is_no_utf_8_is_named_by_file_and_line(tmp_path):
    run = written(tmp_path, "")
    (run / "records" / "main-1-a.jsonl").write_bytes(line().encode() + b"\n\xff\xfe{\n")
    assert damage(run).startswith("records/main-1-a.jsonl, line 2: found ")


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_line_with_a_number_that_is_none_is_damaged(tmp_path, constant):
    run = written(tmp_path, line()[:-1] + f', "value": {constant}}}', "")
    assert "main-1-a.jsonl, line 1: " in damage(run)


def test_a_newer_schema_is_set_aside_with_the_cure(tmp_path):
    told = damage(written(tmp_path, line(schema="solidmark.record/9"), ""))
    assert re.search(r"schema solidmark\.record/9.*Install a newer solidmark", told)


@pytest.mark.parametrize("schema", [None, 5, "x", []])
def test_a_schema_that_is_none_is_damage_and_no_newer_version(tmp_path, schema):
    assert re.search("line 1.*Remove the line", damage(written(tmp_path, line(schema=schema), "")))


@pytest.mark.parametrize("bad", ["[" * 10**5, line()[:-1] + ', "seed": 1e999}'])
def test_lines_that_json_reads_and_nobody_can_use_are_named(tmp_path, bad):
    assert "line 1: " in damage(written(tmp_path, bad, ""))


def test_an_empty_compressed_file_is_damaged_and_a_folder_is_no_file(tmp_path):
    (tmp_path / "records" / "a.jsonl").mkdir(parents=True)
    assert records.read(tmp_path) == ([], [], [])
    (tmp_path / "records" / "b.jsonl.gz").write_bytes(b"")
    assert "records/b.jsonl.gz: found an empty file" in damage(tmp_path)


@pytest.mark.parametrize("make", [lambda run: None, lambda run: run.write_text("a file"), lambda run: run.mkdir()])
def test_a_folder_that_no_run_has_written_is_refused(tmp_path, make):
    make(tmp_path / "run")
    with pytest.raises(InvalidValue, match="no folder `records`"):
        records.read(tmp_path / "run")


def test_a_run_without_records_has_none(tmp_path):
    (tmp_path / "records").mkdir()
    assert records.read(tmp_path) == ([], [], [])


def full_after(count):
    """An `os.write` to a disk that has room for `count` bytes more, and none the next time."""
    write = os.write

    def attempt(handle, content):
        if count == 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(handle, content[:count])

    return attempt


@pytest.mark.parametrize("room", [0, 1, 30])
def test_on_a_full_disk_nothing_half_written_is_read_and_the_next_record_is(tmp_path, monkeypatch, room):
    writer = records.Writer(tmp_path)
    writer.write(bare(number=1))
    with monkeypatch.context() as full:
        full.setattr(os, "write", full_after(room))
        with pytest.raises(InvalidValue, match="room and permission to write"):
            writer.write(bare(number=2))
    writer.write(bare(number=3))
    found, notes, _ = records.read(tmp_path)
    assert sorted(record["parameters"]["number"] for record in found) == [1, 3]
    assert len(notes) == (room > 0)


def test_a_run_folder_that_cannot_be_made_is_told_with_the_cure(tmp_path):
    (tmp_path / "run").write_text("a file in its place")
    with pytest.raises(InvalidValue, match="--run-dir"):
        records.Writer(tmp_path / "run").write(bare())


def writes_until_killed(run):
    writer = records.Writer(run)
    for number in range(10**6):
        writer.write(bare(number=number, padding="x" * 100_000))


def test_a_killed_writer_leaves_all_earlier_records_readable(tmp_path):
    process = multiprocessing.get_context("spawn").Process(target=writes_until_killed, args=(tmp_path,))
    process.start()
    while sum(path.stat().st_size for path in tmp_path.glob("records/*")) < 500_000:
        assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found, *_ = records.read(tmp_path)
    assert [record["parameters"]["number"] for record in found] == list(range(len(found)))
    assert len(found) >= 4


@pytest.mark.parametrize(
    ("statuses", "chosen"),
    [
        (["ok"], 0),
        (["crashed", "ok"], 1),
        (["ok", "crashed"], 0),
        (["ok", "ok"], 1),
        (["crashed", "timeout"], 1),
        (["ok", "crashed", "ok", "timeout"], 2),
    ],
)
def test_the_last_finished_attempt_stands_for_a_case_else_the_last(statuses, chosen):
    attempts = [case("a", status, number) for number, status in enumerate(statuses)]
    assert [record["number"] for record in records.latest(attempts)] == [chosen]


def test_the_last_attempt_is_the_last_in_time_in_whichever_file_it_is():
    late, early = ({**case("a", "error", number), "t": f"2026-01-01T00:00:0{9 - number}Z"} for number in (0, 1))
    assert records.latest([late, early]) == [late]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["ok", "failed_check", "crashed"])), max_size=9))
def test_each_case_appears_once_in_order_of_first_appearance(attempts):
    found = records.latest(case(name, status, number) for number, (name, status) in enumerate(attempts))
    assert [record["case_id"] for record in found] == list(dict.fromkeys(name for name, _ in attempts))
    for record in found:
        statuses = [status for name, status in attempts if name == record["case_id"]]
        measured = [status for status in statuses if status in records.MEASURED]
        assert record["status"] == (measured or statuses)[-1]


def test_an_attempt_is_one_more_than_the_kills_that_the_controller_has_noted_whole(tmp_path):
    assert records.attempt(tmp_path, "a") == 1
    controller = records.Writer(tmp_path, "controller")
    for case_id in "aba":
        controller.write({**bare(), "case_id": case_id})
    records.Writer(tmp_path, "gw0").write({**bare(), "case_id": "a"})
    with next(tmp_path.glob("records/controller-*")).open("a") as torn:
        torn.write('{"case_id": "a"')
    assert [records.attempt(tmp_path, case_id) for case_id in "abc"] == [3, 2, 1]


def test_a_file_is_replaced_as_a_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "run.json"
    records.write_text(path, "first")
    monkeypatch.setattr(os, "replace", lambda *_: full_after(0)(0, b""))
    with pytest.raises(InvalidValue, match="No space left"):
        records.write_text(path, "second")
    assert path.read_text() == "first"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_in_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "per_image").write_text("a file in its place")
    with pytest.raises(InvalidValue, match="room and permission"):
        records.write_bytes(tmp_path / "per_image" / "case.parquet", b"")


def test_a_file_that_no_worker_announced_is_left_out_and_named(tmp_path):
    writer = records.Writer(tmp_path, "gw0", "gw0-mine")
    writer.write(bare())
    announced.write(tmp_path, {"gw0-mine"})
    (tmp_path / "records" / "zz.jsonl").write_text(line(seed=7) + "\n")
    found, [note], _ = records.read(tmp_path)
    assert (len(found), "records/zz.jsonl: no worker" in note) == (1, True)


@pytest.fixture
def told(tmp_path):
    """A writer of two records, whose lines were announced."""
    writer = records.Writer(tmp_path, "gw0", "gw0-mine")
    for number in (1, 2):
        writer.write(bare(number=number))
    announced.write(tmp_path, {"gw0-mine"})
    announced.write_lines(tmp_path, {"gw0-mine": writer.digests})
    return writer


def numbers(run):
    return [record["parameters"]["number"] for record in records.read(run).records]


FORGED = line(parameters={"number": 9}).encode() + b"\n"


@pytest.mark.parametrize(
    "forge", [lambda old: old + FORGED, lambda old: FORGED + old, lambda old: old.replace(b"1}", b"9}")]
)
def test_a_line_that_no_writer_made_is_set_aside_in_an_announced_file_too(told, forge):
    path = told.run / "records" / "gw0-mine.jsonl"
    path.write_bytes(forge(path.read_bytes()))
    assert 9 not in numbers(told.run)
    assert 2 in numbers(told.run)
    assert "expected a line that this run has made" in damage(told.run)


def test_an_announced_file_is_read_after_a_move_a_torn_line_and_a_compression(told, tmp_path_factory):
    path = told.run / "records" / "gw0-mine.jsonl"
    path.write_bytes(path.read_bytes() + FORGED[:-1])
    assert (numbers(told.run), len(records.read(told.run).notes), records.read(told.run).damaged) == ([1, 2], 1, [])
    moved = told.run.rename(tmp_path_factory.mktemp("elsewhere") / "run")
    plain = moved / "records" / "gw0-mine.jsonl"
    plain.with_suffix(".jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
    plain.unlink()
    assert numbers(moved) == [1, 2]


@pytest.mark.parametrize("text", [None, "torn", "[]"])
def test_a_run_whose_lines_nobody_announced_is_read_whole(told, text):
    path = told.run / announced.LINES
    path.unlink() if text is None else path.write_text(text)
    assert numbers(told.run) == [1, 2]
    assert [*records.lines_now(told.run)] == ["gw0-mine"]
    assert records.lines_now(told.run)["gw0-mine"] == told.digests


@pytest.mark.parametrize(
    "change", [lambda path: path.write_bytes(b""), lambda path: path.unlink(), lambda path: path.write_bytes(FORGED)]
)
def test_a_writer_knows_its_file_and_writes_it_anew_where_another_hand_was(told, change):
    assert told.is_whole()
    change(told.run / "records" / "gw0-mine.jsonl")
    assert not told.is_whole()
    told.put_back()
    told.write(bare(number=3))
    announced.write_lines(told.run, {"gw0-mine": told.digests})
    assert (told.is_whole(), numbers(told.run)) == (True, [1, 2, 3])


def test_the_file_after_a_torn_line_is_announced_too(tmp_path, monkeypatch):
    announced.write(tmp_path, {"gw0-mine"})
    writer = records.Writer(tmp_path, "gw0", "gw0-mine")
    with monkeypatch.context() as full:
        full.setattr(os, "write", full_after(5))
        with pytest.raises(InvalidValue):
            writer.write(bare())
    writer.write(bare())
    assert len(records.read(tmp_path).records) == 1


def test_a_run_that_announced_nothing_goes_on_with_all_its_files(tmp_path):
    records.Writer(tmp_path, "gw0", "old").write(bare())
    assert announced.existing(tmp_path) == {"old"}
    announced.write(tmp_path, {"old", "new"})
    assert announced.existing(tmp_path) == {"old", "new"}


def test_a_folder_without_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    (tmp_path / "run" / "records").mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", lambda handle: full_after(0)(handle, b""))
    with pytest.raises(InvalidValue, match=r"--run-dir .*No space left"):
        records.check_writable(tmp_path / "run", ["records"], "--run-dir")
    assert [path.name for path in (tmp_path / "run").rglob("*")] == ["records"]


def test_a_file_where_a_folder_should_be_is_told(tmp_path):
    (tmp_path / "records").write_text("")
    with pytest.raises(InvalidValue, match="File exists"):
        records.check_writable(tmp_path, ["records"], "--run-dir")
