"""The seal: whatever a case changes in what all rows share is named and put back."""

import atexit
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import threading
import time
from types import ModuleType

import numpy as np
import pytest
import safetensors.torch
import torch
import worlds
from pyarrow._s3fs import ensure_s3_finalized
from record_samples import failed
from scipy import stats
from scipy.spatial import distance

from solidmark import testbed as testbeds
from solidmark.metrics import scores
from solidmark.metrics.utility import Judge
from solidmark.records import Writer
from solidmark.runner import leftovers, witness
from solidmark.runner import seal as seals
from solidmark.runner.leftovers import Data, Running
from solidmark.runner.libraries import imported
from solidmark.runner.options import PROFILES
from solidmark.runner.seal import Seal
from solidmark.runner.watch import Watch
from solidmark.seeds import forked
from solidmark.store import Store


def fake(*_, **__):
    return 0.0


@pytest.fixture(scope="module")
def seal():
    import solidmark.measurement.measure  # noqa: F401  # which imports all that measures

    made = Seal()
    made.extend(worlds.tiny())
    return made


def test_nothing_changes_by_itself(seal):
    data = Data(worlds.tiny())
    assert [*seal.breaches(), *data.breaches()] == []


SEEN = torch.nn.modules.module._global_forward_hooks
CHANGES = {
    "scores.memorization became test_seal.fake": lambda: setattr(scores, "memorization", fake),
    "the code of solidmark.metrics.scores.memorization": lambda: setattr(scores.memorization, "__code__", fake.__code__),
    "Judge.classify became test_seal.fake": lambda: setattr(Judge, "classify", fake),
    "the code of solidmark.seeds.forked": lambda: setattr(forked.__wrapped__, "__code__", (lambda: (yield)).__code__),
    "solidmark.metrics.scores.len became builtins.max": lambda: setattr(scores, "len", max),
    "what is in solidmark.runner.options.PROFILES": lambda: PROFILES.pop("full"),
    "testbed.FAST": lambda: object.__setattr__(testbeds.FAST, "steps", 1),
    "torch.manual_seed became test_seal.fake": lambda: setattr(torch, "manual_seed", fake),
    "Tensor.mean became test_seal.fake": lambda: setattr(torch.Tensor, "mean", fake),
    "Linear.forward became test_seal.fake": lambda: setattr(torch.nn.Linear, "forward", fake),
    "numpy.mean became test_seal.fake": lambda: setattr(np, "mean", fake),
    "distance.cdist became test_seal.fake": lambda: setattr(distance, "cdist", fake),
    "scipy.stats.false_discovery_control became": lambda: setattr(stats, "false_discovery_control", stats.rankdata),
    "the code of scipy.stats.false_discovery_control": lambda: setattr(
        stats.false_discovery_control, "__code__", fake.__code__
    ),
    "safetensors.torch.load_file became": lambda: setattr(safetensors.torch, "load_file", fake),
    "pathlib.Path.read_bytes became test_seal.fake": lambda: setattr(pathlib.Path, "read_bytes", fake),
    "time.time became test_seal.fake": lambda: setattr(time, "time", fake),
    "shutil.rmtree became test_seal.fake": lambda: setattr(shutil, "rmtree", fake),
    "os.replace became test_seal.fake": lambda: setattr(os, "replace", fake),
    "module scipy.stats was changed": lambda: sys.modules.update({"scipy.stats": ModuleType("scipy.stats")}),
    "json.dumps became test_seal.fake": lambda: setattr(json, "dumps", fake),
    "solidmark.metrics.scores.p_values was removed": lambda: delattr(scores, "p_values"),
    "_global_forward_hooks": lambda: SEEN.update({1: fake}),
    "the profile function": lambda: sys.setprofile(lambda *_: None),
    "the handler of SIGUSR1": lambda: signal.signal(signal.SIGUSR1, lambda *_: None),
}


@pytest.mark.parametrize("named", CHANGES)
def test_a_change_is_named_and_put_back(seal, named):
    CHANGES[named]()
    found = seal.breaches()
    for breach in found:
        breach.put_back()
    assert [breach.what for breach in found if named in breach.what], found
    assert seal.breaches() == []


def test_every_library_that_a_loaded_file_of_the_suite_names_is_watched(seal):
    seal.extend()
    for name in ("scipy.special", "scipy.optimize", "numpy", "zlib", "uuid", "tempfile", "safetensors.torch"):
        assert name in seal._modules, name
    assert imported(seals) >= {"builtins", "sys", "collections.abc", "collections.abc.Mapping", "pathlib.Path", "torch"}
    assert imported(ModuleType("nowhere")) == set()


def test_a_module_that_its_library_loads_anew_is_no_change(seal):
    before = sys.modules["scipy.stats"]
    sys.modules["scipy.stats"] = ModuleType("scipy.stats")
    sys.modules["scipy.stats"].__file__ = before.__file__
    try:
        assert seal.breaches() == []
    finally:
        sys.modules["scipy.stats"] = before


def test_a_name_that_the_library_replaces_by_itself_is_no_change(seal):
    step = torch.optim.AdamW.step
    torch.optim.AdamW.step = torch.optim.SGD.step
    try:
        assert seal.breaches() == []
    finally:
        torch.optim.AdamW.step = step


def test_images_and_judge_of_a_testbed_are_made_anew_after_a_change():
    testbed = worlds.tiny()
    data = Data(testbed)
    labelled, judge = testbeds._distinct(testbed), testbed.judge()
    labelled.images[3] += 0.1
    judge.classify = lambda images: images
    assert [breach.what for breach in data.breaches()] == ["the images of Digits", "the judge of Digits"]
    data.breaches()[0].put_back()
    assert testbed.judge() is not judge
    assert not torch.equal(testbeds._distinct(testbed).images, labelled.images)


def draws_for_ever():
    while True:
        torch.rand(3)


def test_a_thread_that_draws_for_ever_is_named_by_its_line_and_ended():
    running = Running()
    threading.Thread(target=draws_for_ever, daemon=True).start()
    [breach] = running.breaches()
    assert "a thread goes on at test_seal.py, line" in breach.what
    breach.put_back()
    assert running.breaches() == []


def test_a_thread_that_comes_to_its_end_is_no_fault():
    running = Running()
    threading.Thread(target=time.sleep, args=(0.1,)).start()
    assert running.breaches() == []


def test_a_child_process_is_named_and_ended():
    running = Running()
    with subprocess.Popen(["sleep", "600"]) as child:
        [breach] = running.breaches()
        assert breach.what == "a process goes on: sleep 600"
        breach.put_back()
        assert child.poll() is not None
    assert running.breaches() == []


@pytest.mark.parametrize("registered", [os._exit, lambda: None, functools.partial(os._exit, 0)])
def test_what_a_plugin_registers_for_the_exit_is_named_and_taken_out(registered):
    exits, before = leftovers.Exits(), leftovers.at_exit()
    atexit.register(registered, 0)
    [breach] = exits.breaches()
    assert breach.what.startswith("at its exit Python would call ")
    breach.put_back()
    assert ([*map(id, leftovers.at_exit())], exits.breaches()) == ([*map(id, before)], [])


def stays(registered):
    exits = leftovers.Exits()
    atexit.register(registered)
    found = exits.breaches()
    atexit.unregister(registered)
    return found == []


@pytest.mark.parametrize("registered", [shutil.rmtree, torch._C._get_tracing_state, pathlib.Path("/").exists])
def test_what_a_library_registers_for_the_exit_stays(registered):
    assert stays(registered)


@pytest.mark.parametrize("registered", [ensure_s3_finalized, np.random.default_rng, torch.save])
def test_so_it_does_in_an_environment_that_shares_the_libraries_of_another(registered, monkeypatch):
    monkeypatch.setattr(leftovers, "ROOTS", ())
    assert stays(registered)


@pytest.fixture
def watch(tmp_path):
    watch = Watch(Store(tmp_path))
    watch.begin()
    return watch


def test_what_was_stored_beside_changed_code_is_built_anew(watch):
    (kept := watch._store).get("a", {}, lambda folder: None)
    scores.memorization, true = fake, scores.memorization
    assert watch.end() == ["solidmark.metrics.scores.memorization became test_seal.fake"]
    assert (scores.memorization, watch.is_whole) == (true, True)
    assert list(kept.entries()) == []
    watch.begin()
    assert watch.end() == []


def test_what_cannot_be_put_back_leaves_the_process_broken(monkeypatch, tmp_path):
    monkeypatch.setattr(leftovers, "end_thread", fake)
    watch, stop = Watch(Store(tmp_path)), threading.Event()
    watch.begin()
    thread = threading.Thread(target=lambda: stop.wait())
    thread.start()
    told = watch.end()
    stop.set()
    thread.join()
    assert (len(told), watch.is_whole) == (1, False), told


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A watch over a run with one record, and the file of it."""
    monkeypatch.setattr(witness, "_WATCHING", [])
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "2")
    writer = Writer(tmp_path / "run", "gw0", "gw0-mine")
    writer.write(failed("rna", reason="no room"))
    watch = Watch(Store(tmp_path), writer)
    watch.begin()
    return watch, tmp_path / "run" / "records" / "gw0-mine.jsonl"


def appends(path):
    with path.open("ab") as file:
        file.write(b"{}")


FORGERIES = {
    "writing of records/gw0-mine.jsonl": appends,
    "writing of records/gw1-other.jsonl": lambda path: path.with_name("gw1-other.jsonl").write_text("{}"),
    "rename of records/gw0-mine.jsonl": lambda path: path.rename(path.with_name("x")),
    "remove of records/gw0-mine.jsonl": lambda path: path.unlink(),
    "truncate of records/gw0-mine.jsonl": lambda path: os.truncate(path, 3),
    "writing of lines.json": lambda path: (path.parents[1] / "lines.json").write_text("{}"),
}


@pytest.mark.parametrize("named", FORGERIES)
def test_who_writes_into_the_records_of_a_run_is_named_among_several_workers(recorded, named):
    watch, path = recorded
    before = path.read_bytes()
    FORGERIES[named](path)
    told = watch.end()
    assert told[0] == f"{named}, which only the suite writes"
    assert (path.read_bytes(), watch.is_whole) == (before, True)
    watch.begin()
    assert watch.end() == []


@pytest.mark.parametrize(("workers", "told"), [("1", ["records/gw0-mine.jsonl was changed"]), ("2", [])])
def test_what_a_child_process_writes_is_put_back_and_blames_only_who_is_alone(recorded, monkeypatch, workers, told):
    watch, path = recorded
    before = path.read_bytes()
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", workers)
    subprocess.run(["truncate", "--size", "3", path], check=True)
    assert (watch.end(), path.read_bytes()) == (told, before)
    assert path.with_suffix(".changed.jsonl").stat().st_size == 3


def test_the_seal_costs_milliseconds(seal):
    began = time.thread_time()
    seal.extend()
    seal.breaches()
    assert time.thread_time() - began < 0.1
