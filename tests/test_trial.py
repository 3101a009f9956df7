"""The trial of strangers' modules, without a child: what is tried again, what is noted, what a child does."""

import json
import os
import signal
import sys
import time
from types import SimpleNamespace

import pytest

from solidmark import plugins
from solidmark.mitigation import trial

ORIGIN = ["dist", "1.0"]


def tried(monkeypatch, *fates):
    """What `_tried` says of three entry points where children end so: (begun, fate); and what each was given."""
    left, given = list(fates), []
    monkeypatch.setattr(trial, "_one_child", lambda values, patience: given.append(values) or left.pop(0))
    found = trial._tried(["m:A", "m:B", "m:C"], 5.0)
    assert left == []
    return found, given


WHOLE = ["m:A", "m:B", "m:C"]


@pytest.mark.parametrize(
    ("fates", "found", "given"),
    [
        ([(3, None)], {}, [WHOLE]),
        ([(0, "hangs")], dict.fromkeys(WHOLE, "its import hangs"), [WHOLE]),
        ([(1, "exits"), (2, None)], {"m:A": "its class exits"}, [WHOLE, WHOLE[1:]]),
        ([(2, "exits"), (1, "hangs")], {"m:B": "its class exits", "m:C": "its class hangs"}, [WHOLE, WHOLE[2:]]),
        ([(1, trial.KILLED), (3, None)], {}, [WHOLE, WHOLE]),
        ([(3, trial.KILLED), (3, trial.KILLED)], {"m:C": "its class ends the process, SIGKILL"}, [WHOLE, WHOLE]),
    ],
)
def test_an_entry_point_that_ends_a_child_is_named_and_the_next_child_goes_on_behind_it(monkeypatch, fates, found, given):
    assert tried(monkeypatch, *fates) == (found, given)


@pytest.mark.parametrize(("code", "words"), [(0, "exit code 0"), (3, "exit code 3"), (-9, "SIGKILL"), (-11, "SIGSEGV")])
def test_an_end_is_an_exit_code_or_a_signal(code, words):
    assert trial._ending(code) == words


@pytest.fixture
def package(tmp_path, monkeypatch):
    (tmp_path / "toypackage" / "inner").mkdir(parents=True)
    for name in ("__init__.py", "a.py", "inner/b.py", "notes.txt"):
        (tmp_path / "toypackage" / name).write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path / "toypackage"


def test_the_files_of_a_module_are_those_of_its_topmost_package(package):
    expected = sorted(package / name for name in ("__init__.py", "a.py", "inner/b.py"))
    assert trial._files("toypackage.inner.b") == trial._files("toypackage") == expected
    assert trial._files("no_such_module") is trial._files("") is None


def test_what_came_back_is_noted_and_believed(package, tmp_path, monkeypatch):
    asked, answers = [], [{"toypackage:A": "its class exits"}, {}]
    monkeypatch.setattr(trial, "_tried", lambda values, patience: asked.append(values) or answers[len(asked) - 1])
    told = [trial.faults(ORIGIN, ["toypackage:A"], 5.0, tmp_path / "cache") for _ in range(2)]
    assert told == [answers[0]] * 2
    assert asked == [["toypackage:A"]]
    (package / "a.py").write_text("changed = 1")
    assert trial.faults(ORIGIN, ["toypackage:A"], 5.0, tmp_path / "cache") == {}
    assert len(list((tmp_path / "cache").iterdir())) == 2


@pytest.mark.parametrize(("fate", "tries"), [(trial.KILLED, 4), ("hangs", 1)])
def test_what_somebody_killed_is_tried_again_by_the_next_process(package, tmp_path, monkeypatch, fate, tries):
    asked = []
    monkeypatch.setattr(trial, "_one_child", lambda values, patience: asked.append(values) or (0, fate))
    for _ in range(2):
        assert trial.faults(ORIGIN, ["toypackage.a:A"], 5.0, tmp_path / "cache") == {"toypackage.a:A": f"its import {fate}"}
    assert len(asked) == tries


@pytest.mark.parametrize("other", [(["dist", "1.1"], 5.0), (ORIGIN, 6.0)])
def test_another_version_or_patience_is_tried_anew(package, tmp_path, monkeypatch, other):
    asked = []
    monkeypatch.setattr(trial, "_tried", lambda values, patience: asked.append(patience) or {})
    for origin, patience in ((ORIGIN, 5.0), other, (ORIGIN, 5.0)):
        trial.faults(origin, ["toypackage:A"], patience, tmp_path / "cache")
    assert asked == [5.0, other[1]]


def test_a_module_that_is_not_there_or_no_process_to_be_had_is_no_fault(package, tmp_path, monkeypatch):
    monkeypatch.setattr(trial, "_tried", lambda values, patience: (_ for _ in ()).throw(OSError))
    for module in ("no_such_module", "toypackage"):
        assert trial.faults(ORIGIN, [f"{module}:A"], 5.0, tmp_path / "cache") == {}
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(("found", "age", "known"), [({}, 5000, {}), ({"a": "b"}, 590, {"a": "b"}), ({"a": "b"}, 610, None)])
def test_a_failure_is_believed_for_ten_minutes_and_a_success_for_ever(tmp_path, found, age, known):
    note = tmp_path / "note.json"
    assert trial._noted(note) is None
    note.write_text(json.dumps(found))
    os.utime(note, (time.time() - age,) * 2)
    assert trial._noted(note) == known


@pytest.mark.parametrize(("age", "known"), [(trial.FRESH - 1, {"a": "b"}), (trial.FRESH, None)])
def test_a_failure_is_old_at_exactly_ten_minutes(tmp_path, monkeypatch, age, known):
    note = tmp_path / "note.json"
    note.write_text('{"a": "b"}')
    os.utime(note, (1000.0, 1000.0))
    monkeypatch.setattr(trial, "time", SimpleNamespace(time=lambda: 1000.0 + age))
    assert trial._noted(note) == known


def test_without_a_cache_nothing_is_noted_and_nothing_fails(tmp_path):
    (tmp_path / "file").write_text("")
    trial._write(tmp_path / "file" / "note.json", {})
    trial._write(tmp_path / "new" / "note.json", {"a": "b"})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["note.json"]


def test_a_child_imports_makes_each_class_and_ends_with_its_own_code(tmp_path, monkeypatch):
    (tmp_path / "toymodule.py").write_text(
        "class A:\n    def __init__(self):\n        1 / 0\n\nmade = []\n\nB = made.append\n"
    )
    (tmp_path / "out").write_text("")
    written, ended = [], []
    monkeypatch.setattr(sys, "argv", ["-c", json.dumps([[str(tmp_path), *sys.path], ["toymodule:A", "toymodule:B [x]"]])])
    monkeypatch.setattr(sys, "path", list(sys.path))
    kept = {"dup": lambda one: 7, "dup2": lambda one, other: None, "_exit": ended.append}
    monkeypatch.setattr(trial, "os", SimpleNamespace(write=lambda handle, dot: written.append((handle, dot)), **kept))
    trial.child()
    assert (written, ended) == ([(7, b".")] * 2, [trial.DONE])


def test_settings_are_made_with_their_class_and_a_thousand_are_enough():
    seen = []

    class Endless:
        def settings(self):
            while True:
                yield seen.append(1)

    trial._make(Endless)
    assert len(seen) == 1000
    trial._make(3)


def test_the_end_of_a_child_is_that_of_its_group(monkeypatch):
    told = []
    process = SimpleNamespace(pid=5, kill=lambda: told.append("kill"), wait=lambda: told.append("wait"))
    monkeypatch.setattr(os, "killpg", lambda pid, how: told.append((pid, how)))
    trial._end(process)
    monkeypatch.setattr(os, "killpg", lambda pid, how: (_ for _ in ()).throw(OSError))
    trial._end(process)
    assert told == [(5, signal.SIGKILL), "wait", "kill", "wait"]


def test_entry_points_of_one_module_are_tried_together_in_the_order_of_their_names(monkeypatch, tmp_path):
    own = [f"m:{letter}" for letter in "HGFEDCBA"]
    names = [*own, "other:C", "m:A"]
    every = [SimpleNamespace(distribution="d", version="1", value=value) for value in names]
    every.append(SimpleNamespace(distribution="e", version="1", value="m:Z"))
    asked = []
    monkeypatch.setattr(plugins, "discover", lambda group: every)
    monkeypatch.setattr(plugins.trial, "faults", lambda *given: asked.append(given) or {"m:A": "bad"})
    monkeypatch.setattr(plugins, "default_root", lambda: tmp_path)
    assert plugins._trials.__wrapped__("d", "1", "m") == {"m:A": "bad"}
    assert plugins._trials.__wrapped__("d", "1", "none") == {}
    assert asked == [(["d", "1"], own[::-1], plugins.PATIENCE, tmp_path / "trials")]
