"""What is passed on to libraries and the system, the form of files that people read, and bytes that are no text."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from record_samples import case
from torch import nn

from solidmark import plugins, provenance, seeds, timeouts
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.mitigation import Mitigation, saved_run
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.elsewhere import SEED, TrainedElsewhere, check_seeds
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.needs import Needs, Stage
from solidmark.mitigation.run import Run
from solidmark.mitigation.saved_run import SavedRun
from solidmark.models import Recipe
from solidmark.pipelines import loading
from solidmark.runner import leftovers, progress_report, timings
from solidmark.store import MANIFEST, Store
from solidmark.testing import rules
from solidmark.training import BaseTrainer, _prepare, _rebuild


def told(monkeypatch, module, name, answer):
    """The arguments of each call of a function that is replaced by `answer`."""
    calls = []
    monkeypatch.setattr(module, name, lambda *given, **named: calls.append((given, named)) or answer(*given))
    return calls


def refusal(text):
    def run(command):
        raise subprocess.CalledProcessError(128, command, stderr=text)

    return run


def fail(error):
    def run(command):
        raise error

    return run


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (lambda command: SimpleNamespace(stdout=b"\xff"), (b"\xff", "")),
        (refusal(b"fatal: not \xff here\nmore"), (None, "not \ufffd here")),
        (refusal(b""), (None, "")),
        (fail(FileNotFoundError()), (None, "git did not answer: FileNotFoundError")),
        (fail(subprocess.TimeoutExpired("git", 20)), (None, "git did not answer: TimeoutExpired")),
    ],
)
def test_git_is_asked_in_plain_words_for_twenty_seconds(monkeypatch, answer, found):
    calls = told(monkeypatch, provenance.subprocess, "run", answer)
    assert provenance._git(Path("/some"), "diff", "HEAD") == found
    (((command,), how),) = calls
    assert command == ["git", "-C", "/some", "diff", "HEAD"]
    assert how == {"capture_output": True, "timeout": 20, "check": True, "env": {**os.environ, "LC_ALL": "C"}}


@pytest.mark.parametrize(
    ("text", "processor"),
    [
        (b"vendor\t: x\nmodel name\t: Fast \xff: 3\nmodel name\t: Slow", "Fast \ufffd: 3"),
        (b"vendor : x", "arch"),
        (None, "old"),
    ],
)
def test_a_machine_is_told_by_its_processor_cores_and_system(monkeypatch, tmp_path, text, processor):
    monkeypatch.setattr(provenance, "platform", SimpleNamespace(**_platform()))
    monkeypatch.setattr(provenance.os, "cpu_count", lambda: 12)
    if text is not None:
        (tmp_path / "cpuinfo").write_bytes(text)
    monkeypatch.setattr(provenance, "Path", lambda path: tmp_path / Path(path).name)
    assert provenance.machine() == {"python": "3.x", "system": "Linux 6", "processor": processor, "cores": 12}


def _platform():
    values = {"python_version": "3.x", "system": "Linux", "release": "6", "processor": "old", "machine": "arch"}
    return {name: lambda value=value: value for name, value in values.items()}


def test_a_process_that_hangs_is_ended_with_its_stack_in_the_note_of_any_name(monkeypatch, tmp_path):
    calls, note = (
        told(monkeypatch, timeouts.faulthandler, "dump_traceback_later", lambda *_: None),
        tmp_path / "a" / "b" / "n",
    )
    cancelled = told(monkeypatch, timeouts.faulthandler, "cancel_dump_traceback_later", lambda *_: None)
    with timeouts.exit_after(2.0, note, "odd \udc80"):
        assert note.read_text(encoding="utf-8").splitlines() == ["odd \\udc80", str(os.getpid())]
        note.unlink()  # somebody else may have removed it
    (((seconds,), how),) = calls
    assert (seconds, how["exit"], Path(how["file"].name)) == (3.0, True, note)
    assert len(cancelled) == 1


def test_notes_with_bytes_that_are_no_text_are_read(tmp_path):
    for name in ("odd.txt", "mine.txt"):
        (tmp_path / name).write_bytes(b"\xff\n4194999\n" if name == "odd.txt" else f"mine\n{os.getpid()}\n".encode())
    assert timeouts.last_location(tmp_path / "odd.txt", "mine") is None
    timeouts.forget(tmp_path, "mine")
    assert os.listdir(tmp_path) == ["odd.txt"]
    assert timeouts.unended(tmp_path) == ["\ufffd"]


def test_the_state_and_program_of_a_process_may_have_bytes_that_are_no_text(monkeypatch, tmp_path):
    (tmp_path / "stat").write_bytes(b"7 (odd \xff) S 1")
    (tmp_path / "cmdline").write_bytes(b"odd\xff\0-x\0\0")
    monkeypatch.setattr(leftovers, "Path", lambda path: tmp_path / Path(path).name)
    assert (leftovers._state(7), leftovers._program(7)) == ("S", "odd\ufffd -x")


def test_pipelines_are_loaded_from_this_machine_alone_and_without_pickles(monkeypatch, tmp_path):
    hub = SimpleNamespace(snapshot_download=None)
    calls = told(monkeypatch, hub, "snapshot_download", lambda name: str(tmp_path))
    monkeypatch.setattr(loading.importlib, "import_module", {"huggingface_hub": hub}.__getitem__)
    assert loading.find_folder("some/pipeline") == tmp_path
    assert calls == [(("some/pipeline",), {"local_files_only": True})]
    kind = type("Kind", (), {"from_pretrained": None})
    calls = told(monkeypatch, kind, "from_pretrained", lambda path: "a pipeline")
    assert loading._loaded(kind, tmp_path, torch.float16) == "a pipeline"
    assert calls[0][1] == {"torch_dtype": torch.float16, "local_files_only": True, "use_safetensors": True}
    with pytest.raises(NotApplicable, match=r"NoneType.*from_pretrained|Kind\.from_pretrained"):
        loading._loaded(type("Kind", (), {"from_pretrained": None}), tmp_path, None)


@pytest.mark.parametrize("text", [b"def broken(:", b"x = '\x00'"])
def test_a_file_that_is_no_python_is_its_authors_fault(tmp_path, text):
    (tmp_path / "mine.py").write_bytes(text)
    with pytest.raises(PluginFault, match=r"file mine\.py.*expected Python"):
        loading._digest_of(tmp_path / "mine.py")


def bare_run(**recipe):
    """A run of one weight, without data."""
    run = Run.__new__(Run)
    run.recipe, run.model = Recipe(**recipe), nn.Linear(1, 1, bias=False)
    run._trained, run.optimizer, run.average, run.done = None, None, None, 0
    return run


def test_the_optimizer_has_the_numbers_of_the_recipe():
    run = bare_run(betas=(0.5, 0.7), weight_decay=0.25)
    made = run.start_optimizer(run.parameters())
    found = made.param_groups[0]
    assert (found["betas"], found["weight_decay"], found["fused"]) == ((0.5, 0.7), 0.25, True)
    assert run.optimizer is made
    assert run.parameters() is run._trained


@pytest.mark.parametrize(("done", "decay"), [(0, 0.1), (90, 0.91), (10**6, 0.99)])
def test_the_average_moves_by_the_share_of_the_warm_up_and_later_of_the_recipe(done, decay):
    run = bare_run(ema_decay=0.99)
    run.done, run.average = done, [torch.zeros(1, 1)]
    run._update_average([torch.ones(1, 1)])
    assert float(run.average[0]) == pytest.approx(1 - decay)
    run.average = None
    run._update_average([torch.full((1, 1), 3.0)])
    assert float(run.average[0]) == 3.0


def test_a_training_is_saved_when_so_many_seconds_have_passed_and_not_before(monkeypatch, tmp_path):
    clock, run = [100.0], SimpleNamespace(model=SimpleNamespace(evaluations=provenance_counts()), done=7)
    monkeypatch.setattr(saved_run, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(saved_run, "_state", lambda run, waiting: {"waiting": waiting})
    saved = SavedRun(tmp_path / "deep" / "folder")
    for later, there in ((saved_run.EVERY - 1, False), (saved_run.EVERY, True)):
        clock[0] = 100.0 + later
        saved.save_when_due(run, torch.tensor([5]))
        assert saved.path.exists() is there
    assert [path.name for path in saved.path.parent.iterdir()] == [saved_run.FILE]
    assert saved._last == 100.0 + saved_run.EVERY


def provenance_counts():
    from solidmark.models import Evaluations

    return Evaluations()


def test_what_cannot_be_saved_or_read_is_warned_of_where_it_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(saved_run, "EVERY", -1.0)
    (tmp_path / "file").write_text("")
    saved = SavedRun(tmp_path / "file")
    with pytest.warns(UserWarning, match="cannot be saved") as warned:
        saved.save_when_due(SimpleNamespace(model=SimpleNamespace(evaluations=provenance_counts()), done=0), torch.zeros(1))
    saved.path = tmp_path / "file"
    with pytest.warns(UserWarning, match="cannot be read") as again:
        assert saved.restore(None) is None
    assert [one.filename for one in (warned[0], again[0])] == [__file__] * 2


def test_files_that_people_read_have_a_value_a_line_and_names_in_order(tmp_path):
    store = Store(tmp_path / "store")
    lines = (store.get("b", {"z": 1, "a": 2}, lambda folder: None) / MANIFEST).read_text().splitlines()
    assert [line.split(":")[0] for line in lines[1:3]] == [' "built"', ' "files"']
    assert lines.index('  "a": 2,') < lines.index('  "z": 1')
    timings.learn(store, [case()], {case()["slug"]: 2.0})
    told = (store.root / timings.FILE).read_text().splitlines()
    assert (told[0], told[1].startswith(' "'), told[2].startswith('  "families"')) == ("{", True, True)
    assert plugins.as_json([{"b": 1}]) == '[\n {\n  "b": 1\n }\n]'


def test_an_entry_lies_in_the_folder_of_its_first_two_letters_beside_its_lock_and_what_is_unfinished(tmp_path):
    store = Store(tmp_path / "deep" / "store")
    assert store.folder("abcdef") == tmp_path / "deep" / "store" / "objects" / "ab" / "abcdef"
    assert store._unfinished("abcdef") == store.root / "tmp" / "abcdef.unfinished"
    assert Path(store._lock("abcdef").lock_file) == store.root / "locks" / "abcdef.lock"
    entry = store.get("b", {}, lambda folder: None, label="words")
    assert (entry.parent.name, store.built, store.used) == (entry.name[:2], [entry.name], [entry.name])
    assert store.get("b", {}, lambda folder: 1 / 0) == entry
    assert (store.built, store.used, [one.label for one in store.entries()]) == ([entry.name], [entry.name], ["words"])


def test_a_ticker_is_a_daemon_of_its_name_and_waits_so_long_for_its_end():
    ticker = progress_report.Ticker(1000.0, lambda: None)
    assert (ticker._thread.name, ticker._thread.daemon) == ("solidmark progress", True)
    waited = []
    ticker._thread = SimpleNamespace(join=lambda timeout: waited.append(timeout))
    ticker.stop()
    assert (waited, ticker._stop.is_set()) == ([5], True)


@pytest.mark.parametrize(
    ("family", "source", "fits"), [("x", "", True), ("odd \udc80", "", False), ("x", "odd \udc80", False)]
)
def test_a_part_whose_name_or_source_is_no_text_is_refused(family, source, fits):
    part = Part(family, Plain(), source)
    if fits:
        assert part.checked() is part
    else:
        with pytest.raises(ValueError, match="surrogates"):
            part.checked()


@dataclass(frozen=True)
class Plain(Mitigation):
    """Adds a number to each embedding."""

    more: float = 1.0

    stage = Stage.SAMPLING

    def condition(self, embeddings, rng):
        """The larger embeddings."""
        return embeddings + self.more


@pytest.mark.parametrize(("length", "change"), [(0.0, 2e12), (4.0, 0.5)])
def test_the_change_of_an_embedding_is_told_as_a_share_of_its_length(length, change):
    hooks = Hooks(Composition((Part("plain", Plain()),)), 0, "sampling")
    given = torch.zeros(1, 2, 2)
    given[0, 0, 0] = length
    hooks.condition(given, torch.tensor([True]))
    assert hooks.reported == {"plain": {"embedding_change": pytest.approx(change)}}


def test_one_folder_is_for_one_seed_and_a_pattern_for_many():
    def of(folder):
        return Composition((Part("trained-elsewhere", TrainedElsewhere(folder=folder)), Part("plain", Plain())))

    check_seeds(of("x"), (3,))
    check_seeds(of(f"x-{SEED}"), (3, 4))
    check_seeds(Composition((Part("plain", Plain()),)), (3, 4))
    with pytest.raises(InvalidValue, match="one folder for the seeds 3, 4"):
        check_seeds(of("x"), (3, 4))
    assert of(f"a/{SEED}-{SEED}").parts[0].mitigation.of(12) == "a/12-12"


def test_a_dose_counts_what_it_is_given_and_a_number_as_large_as_infinity_is_no_report():
    data = Data(Needs.NOTHING, "x")
    data.dose("a", torch.tensor([1.0, 2.0]))
    data.dose("a", 6)
    data.dose("none", torch.zeros(0))
    assert data.doses == {"a": 3.0}
    for value in (1e300, -1e300, float("nan")):
        with pytest.raises(InvalidValue, match="a finite number below"):
            data.report("b", value)
    for name, value in (("b", 9.9e299), ("c", None), ("epsilon", None), ("delta", 1), ("word", "x"), ("flag", True)):
        data.report(name, value)
    with pytest.raises(InvalidValue, match="The table shows it as a number"):
        Data(Needs.NOTHING, "x").report("epsilon", True)
    with pytest.raises(InvalidValue, match="one report a name"):
        data.report("a", 1)


def test_a_value_that_json_has_not_is_no_parameter_of_a_check():
    with pytest.raises(ValueError, match="JSON"):
        rules._json({"a": float("nan")})


def test_epochs_follow_each_other_and_a_batch_may_span_two():
    trainer = BaseTrainer(SimpleNamespace(model=None, indices=range(5), recipe=SimpleNamespace(batch=3)))
    trainer.run.rng = seeds.torch_rng(0, "test")
    batches = trainer.batches()
    drawn = [next(batches).tolist() for _ in range(5)]
    flat = [index for batch in drawn for index in batch]
    assert [len(batch) for batch in drawn] == [3] * 5
    assert [sorted(flat[first : first + 5]) for first in (0, 5, 10)] == [list(range(5))] * 3
    assert len(trainer.waiting) == 0


def test_an_image_keeps_its_key_however_often_it_is_there(monkeypatch):
    examples = SimpleNamespace(ids=[4, 7, 4])
    kept = SimpleNamespace(ids=[7, 4, 4, 7])
    whole = SimpleNamespace(examples=examples, keys=torch.tensor([[1.0], [2.0], [3.0]]), mark="mark")
    found = _prepare(SimpleNamespace(prepare=lambda given: kept if given is examples else None), whole)
    assert (found.examples, found.keys.flatten().tolist(), found.mark) == (kept, [2.0, 1.0, 1.0, 2.0], "mark")
    whole.keys = None
    assert _prepare(SimpleNamespace(prepare=lambda given: kept), whole).keys is None


def test_weights_that_the_recipe_does_not_describe_are_refused(monkeypatch):
    def load(state):
        raise RuntimeError("a weight more")

    monkeypatch.setattr("solidmark.training.models.build", lambda *_: SimpleNamespace(load_state=load))
    with pytest.raises(PluginFault, match=r"training, after its wrappers.*a weight more.*Merge adapters"):
        _rebuild(SimpleNamespace(state=dict), None)


def test_the_generators_of_numpy_are_compared_number_by_number():
    before = seeds.Globals()
    assert before.touched() == []
    np.random.normal()  # noqa: NPY002  # the global one
    assert before.restore() == ["NumPy"]
    assert before.touched() == []
