"""`solidmark mark`: what is handed out, what is held out, what the ledger says, and what goes wrong."""

import json
import os
import shutil
import signal
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from collections_toys import file_of, folder_of, marked, picture, pixels
from PIL import Image

from solidmark.__main__ import main
from solidmark.collection import draws, ledger, painting, pictures, plan, pool
from solidmark.collection.layouts import Layout
from solidmark.collection.questions import default_ledger
from solidmark.errors import DamagedFile, InvalidValue

from_the_system = draws.fresh  # the suite puts one secret in its place


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_every_marked_file_has_its_image_and_its_keys(tmp_path):
    out, secret, made = marked(tmp_path)
    for row in made.ledger.rows:
        found, layout = pixels(file_of(row, out, secret)), made.ledger.layout(row)
        assert np.array_equal(found[layout.content], pixels(tmp_path / "images" / row.source))
        assert np.abs(layout.read(found) - row.keys).max() <= 0.5 / 255 + 1e-12


def test_half_is_held_out_and_nothing_of_it_is_handed_out(tmp_path):
    out, secret, made = marked(tmp_path)
    trained = {row.marked for row in made.ledger.asked("trained")}
    assert {path.name for path in out.iterdir()} == {*trained, "metadata.jsonl"}
    assert {path.name for path in (secret / "held_out").glob("*.png")} == {r.marked for r in made.ledger.asked("held-out")}
    assert len(trained) == 4


def test_captions_and_other_columns_stay_as_they_were(tmp_path):
    images = folder_of(tmp_path / "images", 4)
    rows = [{"file_name": f"{n}.png", "caption": f"ünï {n}, with a comma\n", "rating": n} for n in range(4)]
    (images / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out, secret, _ = marked(tmp_path)
    tables = [(place / "metadata.jsonl").read_bytes() for place in (out, secret / "held_out")]
    written = [json.loads(line) for table in tables for line in table.splitlines()]
    assert sorted(written, key=lambda row: row["file_name"]) == rows


def test_a_table_with_commas_and_sidecar_texts_give_captions(tmp_path):
    images = folder_of(tmp_path / "images", 3)
    (images / "metadata.jsonl").unlink()
    (images / "metadata.csv").write_text('\ufefffile_name,text\n0.png,"one, two"\n', encoding="utf-8")
    (images / "1.txt").write_text("beside\n")
    _, _, made = marked(tmp_path)
    assert {row.source: row.caption for row in made.ledger.rows} == {"0.png": "one, two", "1.png": "beside", "2.png": ""}
    assert made.uncaptioned == 1


def test_folders_within_are_kept_and_names_that_meet_are_told_apart(tmp_path):
    images = folder_of(tmp_path / "images", 2)
    (images / "metadata.jsonl").unlink()
    folder_of(images / "b", 1)
    Image.fromarray(picture(9)).save(images / "0.jpg")
    _, _, made = marked(tmp_path)
    assert {row.source: row.marked for row in made.ledger.rows} == {
        "0.jpg": "0.jpg.png", "0.png": "0.png.png", "1.png": "1.png", "b/0.png": "b/0.png",
    }  # fmt: skip


def test_a_copy_shares_keys_and_split_and_is_asked_once(tmp_path):
    images = folder_of(tmp_path / "images", 6)
    (images / "metadata.jsonl").unlink()
    shutil.copy(images / "1.png", images / "9.png")
    _, _, made = marked(tmp_path)
    first, copy = (next(row for row in made.ledger.rows if row.source == name) for name in ("1.png", "9.png"))
    assert (copy.keys, copy.split, copy.copy_of) == (first.keys, first.split, first.number)
    assert copy not in made.ledger.asked(copy.split)


def test_keys_are_uniform_and_no_two_markings_agree(tmp_path):
    from scipy import stats

    secret = from_the_system()
    keys = np.array([draws.keys_of(secret, str(n), 8) for n in range(300)])
    assert stats.kstest(keys.ravel(), "uniform").pvalue > 1e-6
    assert abs(np.corrcoef(keys.T) - np.eye(8)).max() < 0.3
    assert not np.array_equal(keys[0], draws.keys_of(from_the_system(), "0", 8))


@pytest.mark.parametrize(("share", "count", "expected"), [(0, 4, 0), (0.01, 4, 1), (0.25, 8, 2), (0.99, 4, 3), (0.5, 1, 0)])
def test_the_share_is_met_and_neither_side_is_empty(share, count, expected):
    assert len(draws.held_out(b"x", map(str, range(count)), share)) == expected


def test_several_processes_give_the_same_files_as_one(tmp_path):
    images = folder_of(tmp_path / "images", 6)
    style, gray = painting.Style(), (0.5,) * 8
    tasks = [
        painting.Task(n, f"{n}", path := images / f"{n}.png", _sha(path), "trained", "", tmp_path / f"{w}{n}", gray, style)
        for w in (1, 2)
        for n in range(6)
    ]
    alone = sorted(pool.painted(tasks[:6], 1), key=lambda one: one.number)
    together = sorted(pool.painted(tasks[6:], 2), key=lambda one: one.number)
    assert alone == together


def _sha(path):
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_few_images_are_under_way_at_a_time_however_many_there_are():
    from concurrent.futures import Future

    under_way, most = set(), []

    def submit(work, task):
        future = Future()
        under_way.add(future)
        most.append(len(under_way))
        future.set_result(task)
        return future

    for _ in pool.bounded(submit, range(1000), 8):
        under_way = {future for future in under_way if not future.done()}
    assert max(most) <= 9


def test_a_marking_that_was_killed_goes_on_with_the_same_keys(tmp_path, monkeypatch):
    whole = pool.paint
    monkeypatch.setattr(pool, "paint", lambda task: whole(task) if task.number < 3 else os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        marked(tmp_path)
    before = {
        path: path.stat().st_mtime_ns for path in (*(tmp_path / "out").glob("*.png"), *(tmp_path / "secret").rglob("*.png"))
    }
    monkeypatch.setattr(pool, "paint", whole)
    out, secret, made = marked(tmp_path)
    assert len(before) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert all(_sha(file_of(row, out, secret)) == row.marked_sha256 for row in made.ledger.rows)
    assert not (secret / "marking.jsonl").exists()


def test_a_torn_line_and_drafts_of_a_killed_process_are_swept_away(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        marked(tmp_path)
    monkeypatch.undo()
    journal = tmp_path / "secret" / "marking.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    last = json.loads(journal.read_bytes().split(b"\n")[-2])["number"] + 1
    place = next(path for path in tmp_path.rglob(f"{last}.png") if "images" not in path.parts)
    place.with_name(f".{last}.png.123").write_bytes(b"half")
    _, _, made = marked(tmp_path)
    assert len(made.ledger.rows) == 8
    assert not [*tmp_path.rglob(".*.png.*")]


def test_what_goes_on_must_be_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        marked(tmp_path)
    (tmp_path / "images" / "0.png").unlink()
    (tmp_path / "images" / "metadata.jsonl").unlink()
    with pytest.raises(InvalidValue, match="other hold_out, sources"):
        marked(tmp_path, hold_out=0.25)


def test_nothing_is_ever_overwritten(tmp_path):
    out, secret, _ = marked(tmp_path)
    before = everything(out) | everything(secret)
    with pytest.raises(InvalidValue, match="nothing is ever overwritten"):
        marked(tmp_path)
    assert everything(out) | everything(secret) == before


@pytest.mark.parametrize("where", ["images/out", ".", "images"])
def test_out_and_images_may_not_share_files(tmp_path, where):
    images = folder_of(tmp_path / "images", 2)
    before = everything(tmp_path)
    with pytest.raises(InvalidValue, match="shares files"):
        plan_of(tmp_path / where, images, tmp_path)
    assert everything(tmp_path) == before


def plan_of(out, images, tmp_path):
    from solidmark.collection.marking import mark

    return mark(images, out, tmp_path / "ledger", painting.Style())


def test_circles_of_links_are_not_followed_and_linked_files_are_read(tmp_path):
    images = folder_of(tmp_path / "images", 2)
    (images / "metadata.jsonl").unlink()
    (images / "again").symlink_to(images)
    (images / "linked.png").symlink_to(folder_of(tmp_path / "other", 3) / "2.png")
    (images / "broken.png").symlink_to(tmp_path / "nowhere")
    (images / "round.png").symlink_to(images / "round.png")
    _, _, made = marked(tmp_path)
    assert [row.source for row in made.ledger.rows] == ["0.png", "1.png", "linked.png"]
    assert set(made.left_out) == {"broken.png", "round.png"}


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"GIF89a"])
def test_a_bad_image_is_left_out_aloud_and_the_others_are_marked(tmp_path, capsys, content):
    images = folder_of(tmp_path / "images", 4)
    (images / "1.png").write_bytes(content)
    assert main(["mark", str(images), str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert "solidmark mark: 1.png was left out: found" in told.err
    assert "commitment" in told.out
    assert list(json.loads((tmp_path / "out.ledger" / "manifest.json").read_text())["left_out"]) == ["1.png"]


def test_where_every_image_is_bad_nothing_is_written(tmp_path):
    images = folder_of(tmp_path / "images", 1)
    (images / "0.png").write_bytes(b"")
    with pytest.raises(InvalidValue, match=r"no image that can be marked \(such as 0.png: found an empty file"):
        marked(tmp_path)
    assert not (tmp_path / "out").exists()
    assert [path.name for path in (tmp_path / "secret").iterdir()] == [".lock"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"metadata.csv": "file_name,text\n0.png,a\n0.png,b\n"}, "a second line for 0.png"),
        (
            {"metadata.csv": "file_name,text\n0.png,a\n", "metadata.jsonl": '{"file_name": "0.png"}'},
            "a second line for 0.png",
        ),
        ({"metadata.csv": "file_name,text\n0.png,a\n", "0.txt": "b"}, "a caption in a table and one in 0.txt"),
        ({"metadata.csv": "file_name,text\n7.png,a\n"}, "a line for 7.png, which is not there"),
        ({"metadata.csv": "file_name,text\n../0.png,a\n"}, "a relative path without"),
        ({"metadata.csv": "file_name,text\n/0.png,a\n"}, "a relative path without"),
        ({"metadata.csv": "file_name,text\n0.png,a,b\n"}, "more or fewer values than columns"),
        ({"metadata.csv": "name,text\n0.png,a\n"}, "found columns name, text; expected a column file_name"),
        ({"metadata.csv": "file_name;text\n0.png;a\n"}, "part columns with commas"),
        ({"metadata.csv": "file_name,text,text\n0.png,a,b\n"}, "two columns 'text'"),
        ({"metadata.csv": "file_name,file_name,text\n0.png,1.png,b\n"}, "two columns 'file_name'"),
        ({"metadata.jsonl": '{"file_name": "0.png", "text": "a", "text": "b"}'}, "'text' twice"),
        ({"metadata.jsonl": '{"text": "a"}'}, "file_name None"),
        ({"metadata.csv": "file_name,label\n0.png,a\n"}, "Name it with --caption-column"),
        ({"metadata.jsonl": '{"file_name": "0.png"'}, "line 1: found"),
        ({"metadata.jsonl": '{"file_name": "0.png", "text": 3}'}, "caption 3"),
        ({"metadata.csv": b"file_name,text\n0.png,\xff\n"}, "a text in UTF-8"),
        ({"metadata.csv": "file_name,text\n0.png," + "x" * 140_000}, "Write it as metadata.jsonl"),
        ({"metadata.jsonl": '{"file_name": "0.png", "text": "\\ud800"}'}, "a text in Unicode"),
        ({"metadata.jsonl": "[" * 5000}, "a JSON object"),
    ],
)
def test_captions_that_contradict_are_refused_before_anything_is_written(tmp_path, files, message):
    images = folder_of(tmp_path / "images", 2)
    (images / "metadata.jsonl").unlink()
    for name, content in files.items():
        (images / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises((InvalidValue, DamagedFile), match=message):
        marked(tmp_path)
    assert not (tmp_path / "secret").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--hold-out", "1"], "a share in [0, 1)"),
        (["--keys", "0"], "at least 1"),
        (["--caption-column", "nothing"], "Name one of those"),
        (["--thickness", "99", "--inside"], "no image that can be marked"),
        (["--thickness", "99999999"], "a border of at most the shorter side"),
        (["--size", "8001"], "at most 64,000,000 pixels in all"),
        (["--workers", "-1"], "at least 0 processes"),
        (["--encrypt", "--passphrase-file", "nowhere"], "a file with a passphrase"),
    ],
)
def test_a_wrong_option_is_one_sentence_and_ends_with_2(tmp_path, capsys, arguments, message):
    images = folder_of(tmp_path / "images", 2)
    assert main(["mark", str(images), str(tmp_path / "out"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_and_one_that_is_not_there_are_refused(tmp_path, capsys):
    assert main(["mark", "so/far/off.tar", str(tmp_path / "out")]) == 2
    assert f"the path is relative to {Path.cwd()}." in capsys.readouterr().err
    assert main(["mark", str(tmp_path / "nowhere"), str(tmp_path / "out")]) == 2
    (tmp_path / "empty").mkdir()
    assert main(["mark", str(tmp_path / "empty"), str(tmp_path / "out")]) == 2
    assert "no folder or file" in (told := capsys.readouterr().err)
    assert "PNG, JPEG or WebP files" in told


def test_a_disk_that_is_too_small_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(InvalidValue, match="0 MB free"):
        marked(tmp_path)
    assert not (tmp_path / "out").exists()


def test_a_disk_that_fills_up_leaves_no_half_file_and_the_same_command_goes_on(tmp_path, monkeypatch):
    whole = os.replace

    def full(source, target):
        if str(target).endswith("5.png"):
            raise OSError(28, "No space left on device")
        whole(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(InvalidValue, match=r"No space left on device.*Free some space"):
        marked(tmp_path)
    assert not [*(tmp_path / "out").glob(".*"), *(tmp_path / "secret" / "held_out").glob(".*")]
    monkeypatch.undo()
    assert len(marked(tmp_path)[2].ledger.rows) == 8


def test_an_image_that_changes_meanwhile_is_left_out(tmp_path):
    images = folder_of(tmp_path / "images", 1)
    task = painting.Task(
        0, "0.png", images / "0.png", "0" * 64, "trained", "0.png", tmp_path / "x", (0.5,) * 8, painting.Style()
    )
    assert "other bytes than a moment ago" in painting.paint(task).reason


def test_two_at_a_time_in_one_folder_are_refused(tmp_path):
    from filelock import FileLock

    (tmp_path / "secret").mkdir()
    with FileLock(tmp_path / "secret" / ".lock", is_singleton=False), pytest.raises(InvalidValue, match="another process"):
        marked(tmp_path)


@pytest.mark.parametrize("files", [["a.png", "a.jpg"], ["a.png", "A.jpg"], ["a.jpg", "a.jpg.png"], ["x/a.webp", "x/a.png"]])
def test_no_two_marked_files_have_one_name(files):
    assert len({name.casefold() for name in plan.targets(files)}) == 2


def test_square_images_have_the_size_that_was_asked_for(tmp_path):
    folder_of(tmp_path / "images", 2, height=20, width=40)
    from solidmark.collection.marking import mark

    made = mark(tmp_path / "images", tmp_path / "out", tmp_path / "secret", painting.Style(size=16, inside=True), workers=1)
    assert {(row.height, row.width, row.thickness) for row in made.ledger.rows} == {(16, 16, 1)}


def test_a_name_with_any_kind_of_space_is_marked_and_one_that_steers_a_terminal_is_left_out(tmp_path):
    images = folder_of(tmp_path / "images", 1)
    (images / "metadata.jsonl").unlink()
    for name in ("at 3\u202fPM ü.png", "bell\x07.png", os.fsdecode(b"\xff.png"), "line\n.png"):
        shutil.copy(images / "0.png", images / name)
    _, _, made = marked(tmp_path)
    assert [row.source for row in made.ledger.rows] == ["0.png", "at 3\u202fPM ü.png"]
    assert len(made.left_out) == 3


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path, capsys):
    images = folder_of(tmp_path / "images", 2)
    (tmp_path / "file").write_text("")
    assert main(["mark", str(images), str(tmp_path / "file")]) == 2
    assert main(["mark", str(images), str(tmp_path / "out"), "--ledger", str(tmp_path / "file")]) == 2
    assert "Choose another name" in (told := capsys.readouterr().err)
    assert "Choose another folder" in told


def test_an_interrupted_command_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(pool, "paint", lambda task: os.kill(os.getpid(), signal.SIGINT))
    images = folder_of(tmp_path / "images", 2)
    assert main(["mark", str(images), str(tmp_path / "out")]) == 130
    monkeypatch.undo()
    assert main(["mark", str(images), str(tmp_path / "out")]) == 0
    assert "go on when they are run again" in capsys.readouterr().err


# The ledger


def test_a_ledger_is_read_as_it_was_written(tmp_path):
    _, secret, made = marked(tmp_path)
    assert ledger.load(secret) == made.ledger
    assert made.ledger.layout(made.ledger.rows[0]) == Layout(18, 18, 1, 8)


def test_only_the_owner_can_read_the_secrets(tmp_path):
    _, secret, _ = marked(tmp_path)
    assert stat.S_IMODE(secret.stat().st_mode) == 0o700
    assert stat.S_IMODE((secret / "ledger.parquet").stat().st_mode) == 0o600
    assert stat.S_IMODE((secret / "manifest.json").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "change", [{"caption": "other"}, {"split": "held-out"}, {"keys": (0.1,) * 8}, {"marked_sha256": ""}]
)
def test_the_commitment_holds_every_row(tmp_path, change):
    _, _, made = marked(tmp_path, hold_out=0)
    first, *others = made.ledger.rows
    changed = replace(made.ledger, rows=(replace(first, **change), *others))
    assert changed.commitment != made.ledger.commitment


def test_the_commitment_reveals_nothing_since_it_is_salted(tmp_path):
    _, secret, made = marked(tmp_path)
    salted = replace(made.ledger, head=replace(made.ledger.head, salt="11" * 32))
    assert salted.commitment != made.ledger.commitment
    public = json.loads((secret / "commitment.json").read_text())
    assert set(public) == {"schema", "images", "copies", "commitment", "created", "version"}


def test_a_sealed_ledger_opens_with_its_passphrase_alone(tmp_path):
    _, secret, made = marked(tmp_path, passphrase="open sesame")
    assert made.ledger == ledger.load(secret, "open sesame")
    assert not (secret / "ledger.parquet").exists()
    with pytest.raises(InvalidValue, match="a wrong passphrase"):
        ledger.load(secret, "open barley")
    with pytest.raises(InvalidValue, match="a sealed ledger, and no passphrase"):
        ledger.load(secret)


def test_the_journal_of_a_sealed_marking_has_no_secret_in_it(tmp_path, monkeypatch):
    monkeypatch.setattr(ledger, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        marked(tmp_path, passphrase="open sesame")
    with pytest.raises(InvalidValue, match="a wrong passphrase"):
        marked(tmp_path, passphrase="open barley")
    monkeypatch.undo()
    assert marked(tmp_path, passphrase="open sesame")[2].ledger.rows


def test_without_cryptography_sealing_says_what_to_install(tmp_path, monkeypatch):
    import sys

    from solidmark.errors import NotApplicable

    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with pytest.raises(NotApplicable, match=r"solidmark\[encrypt\]"):
        marked(tmp_path, passphrase="x")


@pytest.mark.parametrize("place", [0, 100, -1])
def test_one_changed_byte_of_a_ledger_is_found(tmp_path, place):
    _, secret, _ = marked(tmp_path)
    content = bytearray((secret / "ledger.parquet").read_bytes())
    content[place] ^= 1
    (secret / "ledger.parquet").write_bytes(content)
    with pytest.raises(DamagedFile, match="other bytes"):
        ledger.load(secret)


def test_a_ledger_of_other_rows_with_a_manifest_to_match_is_found(tmp_path):
    _, secret, made = marked(tmp_path)
    stated = json.loads((secret / "manifest.json").read_text())
    ledger.save(secret, replace(made.ledger, rows=made.ledger.rows[:-1]))
    forged = json.loads((secret / "manifest.json").read_text()) | {"commitment": stated["commitment"]}
    (secret / "manifest.json").write_text(json.dumps(forged))
    with pytest.raises(DamagedFile, match="rows other than those that were committed to"):
        ledger.load(secret)


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        ('{"schema": "solidmark.ledger/2"}', "Install a newer solidmark"),
        ('{"schema": "solidmark.ledger/1", "file": "../x", "sha256": "", "commitment": ""}', "no known file"),
        ("{", "no manifest"),
        ("[]", "no manifest"),
    ],
)
def test_a_manifest_that_is_not_ours_is_refused(tmp_path, manifest, message):
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(DamagedFile, match=message):
        ledger.load(tmp_path)


def test_a_folder_without_a_ledger_says_which_one_is_meant(tmp_path):
    with pytest.raises(InvalidValue, match="the folder that `solidmark mark` wrote beside OUT"):
        ledger.load(tmp_path)


def test_gray_pictures_stay_the_same_in_colour_and_back():
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert np.array_equal(pictures.as_gray(pictures.as_colour(levels)), levels)


@pytest.mark.parametrize(("colour", "gray"), [((255, 0, 0), 76), ((0, 255, 0), 150), ((0, 0, 255), 29)])
def test_colours_are_seen_as_their_luma(colour, gray):
    assert pictures.as_gray(np.full((8, 8, 3), colour, dtype=np.uint8)).tolist() == [[gray] * 8] * 8


@pytest.mark.parametrize("arguments", [("", "out"), ("images", ""), ("images", "out", "--ledger", "")])
def test_an_empty_path_is_no_folder(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    folder_of(tmp_path / "images", 4)
    with pytest.raises(SystemExit, match="2"):
        main(["mark", *arguments])
    assert "found an empty path; expected a name" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


@pytest.mark.parametrize(("where", "out"), [(".", "new/."), ("new", "."), ("new/below", "..")])
def test_the_ledger_of_a_folder_that_is_called_by_dots_lies_beside_it(tmp_path, monkeypatch, where, out):
    folder_of(tmp_path / "images", 4)
    (tmp_path / where).mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(tmp_path / where)
    assert default_ledger(Path(out)).resolve() == tmp_path / "new.ledger"


def test_the_root_of_all_files_is_no_folder_for_marked_images(tmp_path, capsys):
    folder_of(tmp_path / "images", 4)
    assert main(["mark", str(tmp_path / "images"), "/"]) == 2
    assert "found the root of all files" in capsys.readouterr().err
