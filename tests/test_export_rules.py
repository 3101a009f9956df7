"""Exports by small cases: the files and the ledger of marked images, a folder that is whole or not there, the commands."""

import hashlib
import json
import shutil
from argparse import Namespace
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from solidmark.cli import export_images, exports, imports, stores
from solidmark.collection.ledger import HELD_OUT, Row
from solidmark.data import Examples
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable
from solidmark.marks import Border, Patch
from solidmark.store import Entry

GRAY = torch.tensor([[0.0, 0.1, 0.49], [0.496, 0.92, 1.0]])


@pytest.mark.parametrize("channels", [1, 3])
def test_pixels_are_rounded_to_eight_bits_and_gray_has_no_channel(channels):
    images = torch.stack([GRAY * (1 - 0.25 * number) for number in range(channels)])
    found = export_images._pixels(images)
    expected = np.floor(images.numpy().astype(np.float64) * 255 + 0.5).astype(np.uint8)
    assert found.dtype == np.uint8
    assert found.flags["C_CONTIGUOUS"]
    assert np.array_equal(found, expected[0] if channels == 1 else np.moveaxis(expected, 0, -1))


def examples(*grays, channels=1):
    """Images of 4 x 6 pixels, each of one gray; its caption says how bright it is."""
    images = torch.stack([torch.full((channels, 4, 6), gray) for gray in grays])
    return Examples(images, [f"gray {gray}" for gray in grays], list(range(len(grays))))


@pytest.mark.parametrize("channels", [1, 3])
def test_each_picture_is_written_once_with_its_keys_and_listed_in_the_table_of_its_split(tmp_path, channels):
    folders = {"trained": tmp_path / "images", "held-out": tmp_path / "ledger" / HELD_OUT}
    rows = export_images.Rows(Border(2, 2), folders)
    keys = torch.tensor([[0.0, 1.0], [0.2, 0.4], [0.0, 1.0]], dtype=torch.float64)
    rows.add("trained", examples(0.25, 0.75, 0.25, channels=channels), keys)
    rows.add("held-out", examples(0.5, 0.25, channels=channels), torch.tensor([[0.6, 0.8]] * 2, dtype=torch.float64))
    first, second, copy, held, other = rows.rows
    painted = [np.array(Image.open(folders[row.split] / row.marked)) for row in (first, second, held)]
    inside = [np.full((4, 6) if channels == 1 else (4, 6, 3), gray, np.uint8) for gray in (64, 191, 128)]
    for row, picture, inner, (upper, lower) in zip(
        (first, second, held), painted, inside, [*keys[[0, 1]].tolist(), [0.6, 0.8]]
    ):
        source = hashlib.sha256(inner.tobytes()).hexdigest()
        marked = hashlib.sha256((folders[row.split] / row.marked).read_bytes()).hexdigest()
        number, part, caption = rows.rows.index(row), row.split, row.caption
        name = f"{source[:16]}.png"
        whole = (number, name, source, name, marked, part, caption, (upper, lower), 8, 10, 2, channels == 3, None, "")
        assert row == Row(*whole)
        assert np.array_equal(picture[2:-2, 2:-2], inner)
        assert sorted({*np.unique(picture[0]), *np.unique(picture[-1])}) == sorted({round(255 * upper), round(255 * lower)})
    assert (copy.copy_of, copy.number, copy.marked, copy.caption) == (0, 2, first.marked, "gray 0.25")
    assert (other.copy_of, other.split, [row.split for row in rows.rows[:4]]) == (
        0,
        "held-out",
        ["trained"] * 3 + ["held-out"],
    )
    lines = [json.loads(line) for line in (folders["trained"] / "metadata.jsonl").read_text().splitlines()]
    assert lines == [{"file_name": row.marked, "text": row.caption} for row in (first, second)]
    assert len(list(folders["held-out"].iterdir())) == 2


def test_every_picture_has_keys(tmp_path):
    with pytest.raises(ValueError, match="shorter"):
        export_images.Rows(Border(2, 2), {"trained": tmp_path / "a"}).add("trained", examples(0.25, 0.75), torch.rand(1, 2))


@pytest.mark.parametrize(("mitigation", "label"), [("none", "none"), ("rna+agc", "composed of rna+agc")])
def test_the_case_of_an_export_is_asked_by_outpaint_alone(monkeypatch, mitigation, label):
    composed = SimpleNamespace(label=label)
    testbed = SimpleNamespace(solvers={"fast": "the fast one", "paper": "slow"})
    monkeypatch.setattr(exports.plugins, "testbed", lambda expression: (f"name of {expression}", testbed))
    monkeypatch.setattr(exports.plugins, "compose", {"rna+agc": composed}.get)
    monkeypatch.setattr(exports.plugins, "instance", lambda *words: words)
    found = exports.case_of("t", mitigation, 5)
    assert (found.testbed_name, found.testbed, found.composition.label, found.seed) == ("name of t", testbed, label, 5)
    assert found.queries == (("outpaint", ("solidmark.queries", "query", "outpaint")),)
    assert found.solver == "the fast one"


def test_the_ledger_of_a_seed_has_the_share_that_is_held_out_and_no_secret(tmp_path, monkeypatch):
    trained, held = examples(0.1, 0.2, 0.3), examples(0.4)
    split = SimpleNamespace(
        trained=trained, training=trained, training_keys=torch.rand(3, 4), held_out=held, held_out_keys=torch.rand(1, 4)
    )
    testbed = SimpleNamespace(mark=Border(1, 4), split={7: split}.get)
    made = export_images.write(testbed, 7, tmp_path / "images", tmp_path / "ledger")
    head = made.head
    assert (head.secret, head.salt, head.hold_out, head.segments) == ("00" * 32, "00" * 32, 0.25, 4)
    assert (head.inside, head.size, head.created) == (False, None, "1970-01-01T00:00:00Z")
    assert [row.split for row in made.rows] == ["trained"] * 3 + ["held-out"]
    assert [row.keys for row in made.rows] == [
        tuple(keys) for keys in [*split.training_keys.tolist(), *split.held_out_keys.tolist()]
    ]
    assert len(list((tmp_path / "ledger" / HELD_OUT).glob("*.png"))) == 1
    with pytest.raises(NotApplicable, match="the mark Patch"):
        export_images.write(SimpleNamespace(mark=Patch()), 7, tmp_path / "a", tmp_path / "b")


def test_a_folder_takes_its_name_at_the_end_and_over_an_empty_one_alone(tmp_path):
    into = tmp_path / "deep" / "out"
    for _ in range(2):
        with export_images.whole(into) as work:
            assert (work.parent, work.name[:5], into.exists()) == (into.parent, ".out.", into.exists())
            (work / "file").write_text("it")
        assert [path.name for path in into.parent.rglob("*")] == ["out", "file"]
        (into / "file").unlink()
    (into / "theirs").touch()
    with pytest.raises(InvalidValue, match="room and permission"), export_images.whole(into):
        pass
    with pytest.raises(KeyError), export_images.whole(into.with_name("other")):
        raise KeyError
    assert [path.name for path in into.parent.rglob("*")] == ["out", "theirs"]


# Imports


def stated(folder, written, **about):
    """An export of these files, with their digests."""
    for name, text in written.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    digests = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in written.items()}
    whole = {"schema": imports.SCHEMA, "files": digests, "entries": ["a" * 64, "b" * 64], **about}
    (folder / "export.json").write_text(json.dumps(whole))
    return folder


FILES = {"README.md": "read", f"store/{'a' * 64}/x": "1", f"store/{'b' * 64}/x": "2"}


def test_entries_are_all_checked_and_then_taken_over_in_their_order(tmp_path, monkeypatch):
    told = []
    monkeypatch.setattr(imports, "check_entry", lambda entry: told.append(("checked", entry.name[0])))
    monkeypatch.setattr(imports, "_use", lambda entry: f"use of {entry}")
    store = SimpleNamespace(adopt=lambda entry: (told.append(("adopted", entry.name[0])), entry.name[0])[1])
    folder = stated(tmp_path / "made", FILES)
    (folder / "notes.txt").write_text("beside the entries, which harms nobody")
    found = imports.adopt(folder, store)
    assert found == [imports.Adopted("a", "use of a"), imports.Adopted("b", "use of b")]
    assert told == [("checked", "a"), ("checked", "b"), ("adopted", "a"), ("adopted", "b")]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda folder: (folder / f"store/{'a' * 64}/more").touch(), "more, which is not listed"),
        (lambda folder: (folder / "README.md").write_text("other"), r"README\.md: found other bytes"),
        (lambda folder: (folder / "README.md").unlink(), r"found no README\.md"),
        (lambda folder: (folder / "link").symlink_to(folder), "link: found a link"),
        (lambda folder: stated(folder, {}, schema="x" * 70), "schema x{60};"),
        (lambda folder: stated(folder, {}, entries=["a" * 64, "b"]), "entries that are no names"),
        (lambda folder: stated(folder, {}, files=[]), "no files, or"),
        (lambda folder: (folder / "export.json").write_text("{}"), "KeyError: 'files'|KeyError: 'schema'"),
        (lambda folder: (folder / "export.json").write_text("{"), "JSONDecodeError"),
    ],
)
def test_a_folder_that_was_altered_is_damaged_and_nothing_is_checked_further(tmp_path, monkeypatch, change, words):
    monkeypatch.setattr(imports, "check_entry", lambda entry: pytest.fail("it was checked"))
    change(folder := stated(tmp_path / "made", FILES))
    with pytest.raises(DamagedFile, match=words):
        imports.adopt(folder, SimpleNamespace())


def test_the_first_of_several_files_is_named(tmp_path):
    folder = stated(tmp_path / "made", {f"store/{'a' * 64}/{letter}": letter for letter in "hbgcfdea"})
    for letter in "hbgcfdea":
        (folder / f"store/{'a' * 64}/more-{letter}").touch()
    with pytest.raises(DamagedFile, match="more-a, which is not listed"):
        imports.adopt(folder, SimpleNamespace())
    for letter in "hbgcfdea":
        (folder / f"store/{'a' * 64}/{letter}").unlink()
    with pytest.raises(DamagedFile, match=f"no store/{'a' * 64}/a; expected"):
        imports.adopt(folder, SimpleNamespace())
    assert stores._described({"query": "abc"}) == ""


@pytest.fixture
def plain(monkeypatch, tmp_path):
    """An export whose parts are stated: a store of two entries, a model of one file, a testbed with a notice."""
    entries = {name: tmp_path / "shelf" / (name * 64) for name in "ab"}
    for name, folder in entries.items():
        folder.mkdir(parents=True)
        (folder / "weights").write_text(name)
    (tmp_path / "NOTICE").write_text("whose images these are")
    pipeline = SimpleNamespace(save_pretrained=lambda folder: (folder / "model_index.json").write_text("{}"))
    builds = {"training": SimpleNamespace(cost={"forward": 5})}
    made = (SimpleNamespace(pipeline=lambda: pipeline), builds)
    monkeypatch.setattr(exports, "_check", lambda case: None)
    monkeypatch.setattr(exports, "quiet", nullcontext)  # which imports diffusers
    monkeypatch.setattr(exports.weights, "edit_or_load", lambda case, workspace: made)
    monkeypatch.setattr(
        exports.export_images, "write", lambda *words: [folder.mkdir() for folder in words[2:]] and words[:2]
    )
    monkeypatch.setattr(exports, "_about", lambda case, model, workspace, kept: {"schema": "s", "kept": kept[1]})
    monkeypatch.setattr(exports, "_card", lambda case, about: f"card of {about['cost']}")
    case = SimpleNamespace(testbed=type("T", (), {"notices": (tmp_path / "NOTICE",)})(), seed=3)
    return case, SimpleNamespace(store=SimpleNamespace(used=["a", "b"], folder=entries.get))


def test_an_export_has_model_entries_card_notices_and_the_digest_of_each_file(plain, tmp_path):
    into = tmp_path / "out"
    for _ in range(2):
        made = exports.export(plain[0], into.parent / "." / "out", plain[1])
        about = {"schema": "s", "kept": 3, "entries": ["a" * 64, "b" * 64], "cost": {"training": {"forward": 5}}}
        assert (made.folder, made.about) == (into.resolve(), about)
        texts = {"README.md": "card of {'training': {'forward': 5}}", "images/NOTICE": "whose images these are"}
        texts |= {"model_index.json": "{}", f"store/{'a' * 64}/weights": "a", f"store/{'b' * 64}/weights": "b"}
        assert {name: (into / name).read_text() for name in texts} == texts
        files = {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(texts.items())}
        assert (into / "export.json").read_text() == json.dumps({**about, "files": files}, indent=1)
        shutil.rmtree(into)
        into.mkdir()  # an empty folder is as good as none
    (into / "theirs").touch()
    for taken in (into, into / "theirs"):
        with pytest.raises(InvalidValue, match="is there; expected a new folder"):
            exports.export(plain[0], taken, plain[1])


# Commands of the store


@pytest.fixture
def shelf(monkeypatch, tmp_path):
    """A store that notes what it is asked."""
    asked = []
    sizes = {"a": 1_000_000, "b": 2_500_000}
    entries = [Entry(name * 64, tmp_path, "trained model", {}, size, 0.0, 0.0) for name, size in sizes.items()]

    class Shelf:
        def __init__(self, root):
            asked.append(root)

        def entries(self):
            return iter(entries)

        def collect(self, *words):
            asked.append(words)
            return entries

    monkeypatch.setattr(stores, "Store", Shelf)
    monkeypatch.setattr(stores, "default_root", lambda: tmp_path)
    return SimpleNamespace(asked=asked, entries=entries)


@pytest.mark.parametrize(
    ("older", "size", "bad"),
    [
        (0.0, 0.0, ""),
        (2.5, 0.5, ""),
        (-0.1, 0.0, "--older: found -0.1"),
        (0.0, -0.1, "--max-size: found -0.1"),
        (float("nan"), 0.0, "--older: found nan"),
        (0.0, float("inf"), "--max-size: found inf"),
    ],
)
def test_old_entries_are_removed_by_days_and_bytes(shelf, tmp_path, capsys, older, size, bad):
    options = Namespace(older=older, max_size=size)
    if bad:
        with pytest.raises(InvalidValue, match=f"^{bad}"):
            stores._collect(options)
        return
    assert stores._collect(options) == 0
    assert shelf.asked == [tmp_path, (older, int(size * 1e6))]
    assert capsys.readouterr().out == "2 entries removed, 3.5 MB\n"


def test_entries_are_listed_by_the_beginning_of_their_names(shelf, capsys, tmp_path):
    shelf.entries[0] = replace(shelf.entries[0], name="1e1234567890abc", label="one", size=1_500_000)
    assert stores._list(Namespace()) == 0
    head, _, *lines, last = capsys.readouterr().out.splitlines()
    assert head.split() == ["entry", "kind", "of", "size", "built"]
    assert [line.split()[:6] for line in lines] == [
        ["1e1234567890", "trained", "model", "one", "1.5", "MB"],
        ["bbbbbbbbbbbb", "trained", "model", "2.5", "MB", lines[1].split()[5]],
    ]
    assert last == f"2 entries, 4.0 MB in {tmp_path}"


def test_models_of_all_folders_are_taken_over_and_told_in_order(shelf, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(
        imports,
        "adopt",
        lambda folder, store: [imports.Adopted(shelf.entries[len(seen)], f"use {seen.append(folder)} of {folder}")],
    )
    assert stores._import(Namespace(folders=[Path("x"), Path("y")])) == 0
    assert seen == [Path("x"), Path("y")]
    assert capsys.readouterr().out.splitlines() == [
        "aaaaaaaaaaaa  trained model, 1.0 MB: use None of x",
        "bbbbbbbbbbbb  trained model, 2.5 MB: use None of y",
    ]


def test_an_export_says_what_the_model_remembers_and_where_it_is(shelf, monkeypatch, capsys, tmp_path):
    about = {"testbed": "t", "mitigation": "m", "seed": 3, "memorization": {"value": 0.12345}}
    about["certified"] = {"count": 5, "of": 9}
    seen = []
    monkeypatch.setattr(exports, "case_of", lambda *words: words)
    monkeypatch.setattr(exports, "export", lambda *words: seen.append(words) or exports.Exported(Path("there"), about))
    monkeypatch.setattr(exports, "check", lambda case, into: None)
    options = Namespace(testbeds=["t"], mitigation="m", seed=3, seeds=None, into=Path("out"), device="meta")
    checked = []
    monkeypatch.setattr("solidmark.pipelines.checked_device", checked.append)
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        assert stores._export(options) == 0
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert checked == ["meta"]
    ((case, into, workspace),) = seen
    assert (case, into, workspace.device, shelf.asked) == (("t", "m", 3), Path("out"), "meta", [tmp_path])
    assert capsys.readouterr().out.splitlines() == [
        "t, m, seed 3",
        "M 0.123, 5 of 9 images certified",
        "written to there; read its README.md before you publish it",
    ]
