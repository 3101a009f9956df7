"""Lengths: how much of a stranger's text is told, and how long names and digests are."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from solidmark.mitigations._caption_file import digest_of

from solidmark import plugins
from solidmark.errors import PluginFault
from solidmark.mitigation import Mitigation, trial
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.needs import Stage
from solidmark.pipelines import loading
from solidmark.runner import plan
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.session import Session
from solidmark.sampling import BaseSampler
from solidmark.store import Store

LONG = "x" * 500


@dataclass(frozen=True)
class Talks(Mitigation):
    """Gives a long text where captions or a scale are wanted."""

    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        """No list."""
        return LONG

    def guidance(self, scale, step_fraction):
        """No number."""
        return LONG


def test_of_what_a_stranger_gives_eighty_letters_are_told():
    hooks = Hooks(Composition((Part("talks", Talks()),)), 0, "sampling")
    told = []
    for ask in (
        lambda: hooks.caption(["a"]),
        lambda: hooks.guidance(1.0, 0.0),
        lambda: BaseSampler(None, SimpleNamespace(label="talks"))._checked(LONG, 2),
    ):
        with pytest.raises(PluginFault) as caught:
            ask()
        told.append(caught.value.found)
    assert told == [f"'{LONG[:79]}"] * 3


def test_of_why_a_worker_is_replaced_four_hundred_letters_are_told(tmp_path):
    lines = []
    terminal = SimpleNamespace(write_line=lines.append)
    config = SimpleNamespace(pluginmanager=SimpleNamespace(get_plugin=lambda name: terminal))
    controller = Controller(Session(Options(), tmp_path, progress="off"), config)
    controller.session.write_replaced("gw1", LONG)
    report = SimpleNamespace(node=SimpleNamespace(gateway=SimpleNamespace(id="gw1")), outcome="failed")
    assert controller._is_handed_on(report, SimpleNamespace(mark_test_pending=lambda node: None), "t[a]")
    assert (lines, report.outcome) == ([f"\nsolidmark: gw1 is replaced: {LONG[:400]}"], "rerun")
    report.node.gateway.id = "gw2"
    assert not controller._is_handed_on(report, SimpleNamespace(mark_test_pending=lambda node: None), "t[a]")


def test_a_plan_has_a_name_of_sixteen_letters_and_a_trial_one_of_thirty_two(tmp_path, monkeypatch):
    plan._first("rows", [1], Options(), tmp_path / "run")
    monkeypatch.setattr(trial, "_files", lambda module: [Path(__file__)])
    monkeypatch.setattr(trial, "_tried", lambda values, patience: {})
    trial.faults(["d", "1"], ["m:A"], 5.0, tmp_path / "cache")
    for folder, letters in ((tmp_path / "run" / "plans", 16), (tmp_path / "cache", 32)):
        assert [bool(re.fullmatch(rf"[0-9a-f]{{{letters}}}", path.stem)) for path in folder.iterdir()] == [True]


def test_modules_of_files_are_named_by_eight_letters_of_what_they_are(tmp_path):
    (tmp_path / "mine.py").write_text("x = 1")
    place = hashlib.sha256(str((tmp_path / "mine.py").resolve()).encode()).hexdigest()
    assert re.fullmatch(rf"{place[:8]}_[0-9a-f]{{8}}", loading._digest_of(tmp_path / "mine.py"))
    source = (
        "from dataclasses import dataclass\nfrom solidmark import Mitigation\n\n"
        "@dataclass(frozen=True)\nclass Mine(Mitigation):\n    scale: float = 2.0\n"
    )
    (tmp_path / "mine.py").write_text(source)
    made = plugins.compose(f"{tmp_path}/mine.py:Mine").parts[0].mitigation
    assert type(made).__module__ == f"solidmark_local_mine_{hashlib.sha256(source.encode()).hexdigest()[:8]}"


def test_a_new_run_has_its_time_and_six_letters(tmp_path):
    names = (
        "profile testbed mitigation seeds queries solver pipeline pipeline_class pipeline_call shard no_references run_dir"
    )
    option = SimpleNamespace(**{f"solidmark_{name}": None for name in names.split()}, keyword="", markexpr="")
    option.solidmark_case_timeout, option.solidmark_resume, option.solidmark_progress = 0.0, None, "off"
    made = Session.from_options(SimpleNamespace(option=option, invocation_params=SimpleNamespace(dir=tmp_path)))
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{6}", made.run.name)


def test_entries_that_are_set_aside_or_waited_for_are_told_by_eight_letters(tmp_path, monkeypatch):
    store, told = Store(tmp_path), []
    plain = Store._locked
    monkeypatch.setattr(
        Store,
        "_locked",
        lambda self, name, action, progress: told.append((name, action)) or plain(self, name, action, progress),
    )
    folder = store.get("b", {}, lambda made: (made / "x").write_text("x"))
    name = folder.name
    (folder / "manifest.json").write_text("{}")
    store.verify()
    store.get("b", {}, lambda made: (made / "x").write_text("x"))
    store.collect(-1)
    words = [f"{what} {name[:8]}" for what in ("waiting for b", "checking", "waiting for b", "removing")]
    assert told == [(name, one) for one in words]
    assert [bool(re.fullmatch(rf"{name}-[0-9a-f]{{8}}", path.name)) for path in (tmp_path / "quarantine").iterdir()] == [
        True
    ]


def test_a_file_of_captions_is_known_by_sixteen_letters(tmp_path):
    (tmp_path / "captions.json").write_text(json.dumps({"a": ["b"]}))
    told = hashlib.sha256((tmp_path / "captions.json").read_bytes()).hexdigest()
    assert digest_of(str(tmp_path / "captions.json")) == told[:16]
    assert digest_of(str(tmp_path / "none.json")) == ""
