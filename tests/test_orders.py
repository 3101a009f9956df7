"""Orders: what is found comes in the order of its names, whatever order a disk, a set or a process gives it in."""

import glob
import hashlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn
from worlds import digits, split

from solidmark import plugins, provenance, timeouts
from solidmark.data import Examples
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation import elsewhere, trial
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.hooks import Hooks
from solidmark.pipelines import age, identities, loading
from solidmark.runner import progress_report
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.session import Session
from solidmark.store import MANIFEST, Store

NAMES = [f"{letter}{number}" for letter in "abc" for number in range(3)]


@pytest.fixture(params=[False, True], ids=["ascending", "descending"])
def disk(request, monkeypatch):
    """Folders are listed in ascending order, or the other way round."""
    for name in ("glob", "rglob"):
        listed = getattr(Path, name)
        monkeypatch.setattr(
            Path, name, lambda path, pattern, listed=listed: iter(sorted(listed(path, pattern), reverse=request.param))
        )
    monkeypatch.setattr(elsewhere, "glob", lambda pattern: sorted(glob.glob(pattern), reverse=request.param))


def write(folder, names=NAMES, text="x"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text(text)


def test_notes_states_and_folders_come_by_name(disk, tmp_path):
    write(tmp_path / "progress", [f"{name}.json" for name in NAMES])
    for name in NAMES:
        (tmp_path / "progress" / f"{name}.json").write_text(json.dumps(name))
        (tmp_path / f"{name}.txt").write_text(f"{name}\n4194999\n")
        (tmp_path / f"seed-{NAMES.index(name)}").mkdir()
    (tmp_path / "seed-9").write_text("no folder")
    assert progress_report.read_states(tmp_path) == NAMES
    assert timeouts.unended(tmp_path) == NAMES
    assert [path.name for path in elsewhere._matching(f"{tmp_path}/seed-{{seed}}")] == [f"seed-{n}" for n in range(9)]


def test_entries_of_a_store_come_by_name(disk, tmp_path):
    store = Store(tmp_path)
    for name in NAMES:
        store.get("b", {"name": name}, lambda folder: (folder / "x").write_text("x"))
    names = [entry.name for entry in store.entries()]
    assert names == sorted(store.built)
    for name in names[::2]:
        (store.folder(name) / "x").write_text("y")
    sound, faults = store.verify()
    assert (sound, [fault.split(":")[0] for fault in faults]) == (4, names[::2])


def test_files_of_modules_come_by_name(disk, tmp_path, monkeypatch):
    write(tmp_path / "package", [f"{name}.py" for name in NAMES])
    monkeypatch.setattr(provenance, "CORE", tmp_path)
    assert [path.stem for path in provenance.core_files("package")] == NAMES
    spec = SimpleNamespace(origin=None, submodule_search_locations=[str(tmp_path / "package")])
    monkeypatch.setattr(trial.importlib.util, "find_spec", lambda name: spec)
    assert [path.stem for path in trial._files("package.a0")] == NAMES
    with pytest.raises(NotApplicable, match=r"code of its own, package/a0\.py"):
        loading._check_safe(tmp_path, {})


def test_the_source_of_a_plugin_is_that_of_its_modules_by_name(tmp_path, monkeypatch):
    texts = {"toys.b": "from .c import x\nfrom .a import y\n", "toys.a": "y = 1\n", "toys.c": "x = 2\n"}
    for name, text in texts.items():
        module = ModuleType(name)
        module.__file__ = str(tmp_path / f"{name}.py")
        Path(module.__file__).write_text(text)
        monkeypatch.setitem(sys.modules, name, module)
    codes = [provenance.normalized(texts[name].encode()) for name in sorted(texts)]
    assert provenance.source_digest("toys.b") == hashlib.sha256("\0".join(codes).encode()).hexdigest()
    assert provenance.source_digest("toys.none") == ""


def test_packages_are_told_by_name(monkeypatch):
    found = [SimpleNamespace(metadata={"Name": name}, version=name * 2) for name in reversed(NAMES)]
    monkeypatch.setattr(provenance.metadata, "distributions", lambda: found)
    assert list(provenance.packages().items()) == [(name, name * 2) for name in NAMES]


def test_the_digest_of_a_folder_has_its_files_by_name(disk, tmp_path):
    index = {name: ["library", "Class"] for name in ("unet", "scheduler", "text")}
    write(tmp_path / "unet", ["b", "a", ".hidden"])
    write(tmp_path / "text" / "deep", ["c"], "y")
    write(tmp_path / "scheduler", ["d"])
    (tmp_path / identities.INDEX).write_text(json.dumps({"_x": "1", **index}))
    kept = json.dumps({"_x": "1", "text": index["text"], "unet": index["unet"]}, sort_keys=True)
    expected = hashlib.sha256(kept.encode())
    for name, text in (("text/deep/c", "y"), ("unet/a", "x"), ("unet/b", "x")):
        expected.update(f"\0{name}\0".encode() + hashlib.sha256(text.encode()).digest())
    assert identities.folder_digest(tmp_path) == expected.hexdigest()


class Words:
    """A tokenizer of two words."""

    def __init__(self, *words):
        self.words = words

    def get_vocab(self):
        return {word: number for number, word in reversed(list(enumerate(sorted(self.words))))}


def test_the_digest_of_weights_does_not_depend_on_the_order_of_parts(monkeypatch):
    parts = {"b": nn.Linear(1, 1), "a": nn.Linear(2, 1), "words": Words("y", "x"), "more": Words("z")}
    told = [SimpleNamespace(**{name: parts[name] for name in order}) for order in (parts, reversed(parts))]
    monkeypatch.setattr(
        identities, "modules", lambda pipe: {k: v for k, v in vars(pipe).items() if isinstance(v, nn.Module)}
    )
    assert len({identities.weights_digest(pipe) for pipe in told}) == 1
    other = SimpleNamespace(**{**parts, "words": Words("y", "w")})
    assert identities.weights_digest(other) != identities.weights_digest(told[0])
    scheduler = SimpleNamespace(config={"z": 1, "_hidden": 2, "a": (3,)})
    assert list(identities.scheduler_settings(scheduler).items()) == [("a", [3]), ("z", 1)]


def test_overrides_that_nothing_reaches_are_told_by_name(monkeypatch):
    stock = type("Stock", (), {name: lambda self: None for name in NAMES})
    own = type("Own", (stock,), {name: lambda self: None for name in (*reversed(NAMES), "other")})
    monkeypatch.setattr(age, "stock_class", lambda cls: stock)
    monkeypatch.setattr(age, "_reached", lambda cls: {"a1", "other"})
    assert age.unused_overrides(own) == [name for name in NAMES if name != "a1"]
    assert age.unused_overrides(stock) == []


def test_a_session_is_the_same_text_whatever_order_its_cases_were_done_in():
    made = Session(Options(), Path("/runs/a"), frozenset(reversed(NAMES)))
    assert json.loads(made.to_json())["done"] == NAMES


def test_cases_that_were_not_measured_are_named_in_order(tmp_path):
    controller = Controller(Session(Options(), tmp_path, progress="off"), SimpleNamespace())
    (tmp_path / "plan.json").write_text(json.dumps({name: {} for name in reversed(NAMES)}))
    controller._crashes, controller._finished = {"a00": 1}, {"b1"}
    controller.config.pluginmanager = SimpleNamespace(get_plugin=lambda name: None)
    controller.pytest_sessionfinish(SimpleNamespace(exitstatus=pytest.ExitCode.OK))
    assert controller._unmeasured == ["a0", "a00", "a1", "a2", "b0", "b2", "c0", "c1", "c2"]


def test_reports_of_parts_come_in_the_order_of_the_parts():
    parts = [Part(name, plugins.compose("rna").parts[0].mitigation) for name in ("z", "a", "z")]
    parts[2] = replace(parts[2], mitigation=plugins.compose("rna(count=9)").parts[0].mitigation)
    hooks = Hooks(Composition(tuple(parts)), 0, "training")
    for index in (2, 0, 1):
        hooks._data_of(index).report("place", index)
    assert [(name, told["place"]) for name, told in hooks.reported.items()] == [
        ("z(count=4)", 0),
        ("a", 1),
        ("z(count=9)", 2),
    ]


def test_a_forget_list_is_in_order_and_what_is_twice_on_it_is_named_in_order():
    made = digits(trained=64, held_out=64, generated=16)
    assert split().forget == sorted(split().forget)
    assert replace(made, forget=(33, 9, 3)).split(0).forget == [3, 9, 33]
    with pytest.raises(InvalidValue, match=r"found 3, 8, 33 more than once"):
        replace(made, forget=(33, 33, 8, 8, 3, 3, 1))


def test_marked_training_images_are_those_that_come_first_of_each_image_in_their_order():
    laid = split()
    shown = laid.training.take([5, 2, 5, 9, 2])
    shown = Examples(shown.images, shown.captions, [7, 3, 7, 1, 3])
    again = replace(
        laid, training=shown, training_keys=torch.arange(5.0)[:, None].expand(5, laid.training_keys.shape[1]) / 5
    )
    marked = again.marked_training
    assert marked.ids == [7, 3, 1]
    expected = laid.marked(shown.take([0, 1, 3]), again.training_keys[[0, 1, 3]])
    assert torch.equal(marked.images, expected.images)


def test_entry_points_come_by_name_then_by_distribution(monkeypatch):
    def entry(name, distribution):
        dist = SimpleNamespace(metadata={"Name": distribution}, version="1")
        return SimpleNamespace(name=name, value=f"{distribution}:x", dist=dist)

    every = [entry(name, distribution) for name, distribution in (("z", "p"), ("b", "q"), ("b", plugins.OWN), ("b", "o"))]
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: every if group == "mine" else 1 / 0)
    found = plugins.discover.__wrapped__("mine")
    assert [(one.name, one.distribution) for one in found] == [
        ("b", plugins.OWN), ("o:b", "o"), ("q:b", "q"), ("z", "p"),
    ]  # fmt: skip


def test_files_of_an_entry_are_told_with_their_folders(tmp_path):
    store = Store(tmp_path)
    folder = store.get("b", {}, lambda made: write(made / "deep", ["b", "a"]))
    assert list(json.loads((folder / MANIFEST).read_text())["files"]) == ["deep/a", "deep/b"]
    assert sorted(os.listdir(folder)) == ["deep", MANIFEST]
