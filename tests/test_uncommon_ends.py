"""Ends that a run seldom has: stores that are torn or taken, children that are tried, versions and parts that do not fit."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import plugins, store, timeouts
from solidmark.errors import DamagedFile, InvalidValue, UnknownName
from solidmark.mitigation import trial
from solidmark.mitigation.composition import Composition
from solidmark.plugins import Broken
from solidmark.runner import devices, plan, session
from solidmark.runner.options import Options
from solidmark.runner.plan import BASELINE, Planned, Row
from solidmark.runner.resume import Earlier, Selection
from solidmark.runner.session import Session
from solidmark.runner.shards import trained_with
from solidmark.store import MANIFEST, Store, check_entry


def child(monkeypatch, end):
    """What a trial says of a child that began two entry points and ended so; how it was started, and that it was ended."""
    begun, ended = [], []

    def start(command, **how):
        os.pwrite(how["stdout"].fileno(), b"..", 0)
        begun.append((command, how))
        return SimpleNamespace(wait=lambda patience: end(patience))

    monkeypatch.setattr(trial.subprocess, "Popen", start)
    monkeypatch.setattr(trial, "_end", ended.append)
    return trial._one_child(["m:A", "m:B"], 4.0), begun[0], len(ended)


def hang(patience):
    raise subprocess.TimeoutExpired("python", patience)


@pytest.mark.parametrize(
    ("end", "fate"),
    [
        (lambda patience: trial.DONE, None),
        (lambda patience: 3, "ends the process, exit code 3"),
        (lambda patience: -9, trial.KILLED),
        (hang, "has no end after 4 s, nor a way to interrupt it"),
    ],
)
def test_a_child_is_started_by_itself_and_ended_and_its_progress_is_counted(monkeypatch, end, fate):
    monkeypatch.setattr(sys, "path", ["/a", "", "/b"])
    found, (command, how), ended = child(monkeypatch, end)
    assert (found, ended) == ((2, fate), 1)
    assert command == [sys.executable, "-c", trial.PROGRAM, json.dumps([["/a", "", "/b"], ["m:A", "m:B"]])]
    assert (how["stdin"], how["stderr"], how["start_new_session"]) == (subprocess.DEVNULL, subprocess.DEVNULL, True)
    assert (how["env"]["PYTHONPATH"], how["env"]["CUDA_VISIBLE_DEVICES"]) == (f"/a{os.pathsep}/b", "-1")
    assert {*os.environ} <= {*how["env"]}


@pytest.fixture
def entry(tmp_path):
    """An entry of a store: a folder with a manifest and two files."""

    def build(folder):
        (folder / "deep").mkdir()
        (folder / "deep" / "a").write_text("aaa")
        (folder / "b").write_text("b")

    return Store(tmp_path / "store").get("model", {"seed": 1}, build)


def manifest(entry, **changes):
    facts = json.loads((entry / MANIFEST).read_text())
    (entry / MANIFEST).write_text(json.dumps({**facts, **changes}))


def test_a_whole_entry_of_another_store_has_its_manifest_and_files(entry):
    facts, files = check_entry(entry)
    assert (facts["kind"], facts["key"]) == ("model", {"seed": 1})
    assert files == {"deep/a": entry / "deep" / "a", "b": entry / "b"}


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda entry: manifest(entry, schema=2), "schema 2; expected schema 1. Install a newer"),
        (lambda entry: manifest(entry, key={"seed": 2}), "a key that does not belong to its name"),
        (lambda entry: manifest(entry, kind="power"), "a key that does not belong to its name"),
        (lambda entry: (entry / MANIFEST).write_text("{"), "JSONDecodeError"),
        (lambda entry: (entry / MANIFEST).unlink(), "FileNotFoundError"),
        (lambda entry: (entry / "b").write_text("c"), "other bytes than its manifest states"),
        (lambda entry: (entry / "b").write_text("bb"), "other bytes than its manifest states"),
        (lambda entry: (entry / "b").unlink(), "FileNotFoundError.*expected a whole entry"),
        (lambda entry: manifest(entry, files={"../b": [1, "x"]}), "files inside the folder"),
        (lambda entry: manifest(entry, files={MANIFEST: [1, "x"]}), "files inside the folder"),
        (lambda entry: manifest(entry, files=[]), "AttributeError"),
    ],
)
def test_an_entry_of_another_store_that_is_not_as_it_says_is_refused(entry, damage, told):
    damage(entry)
    with pytest.raises(DamagedFile, match=told):
        check_entry(entry)


def test_an_entry_that_another_process_removed_first_is_none_of_ours(entry):
    made = Store(entry.parents[2])
    (listed,) = made.entries()
    shutil.rmtree(entry)
    assert not made._remove_unused(listed, listed.used + 1)


def test_an_entry_that_is_no_older_than_the_limit_stays_where_it_was(entry):
    made = Store(entry.parents[2])
    (listed,) = made.entries()
    assert (made._remove_unused(listed, listed.used - 1), made._find_fault(entry.name)) == (False, None)
    assert (made._remove_unused(listed, listed.used), entry.exists()) == (True, False)


def test_a_disk_that_fails_is_no_other_process_and_no_want_of_locks(tmp_path, monkeypatch):
    made, broken = Store(tmp_path), OSError(errno.EIO, "broken")
    (tmp_path / "work").mkdir()
    monkeypatch.setattr(store.os, "rename", lambda *_: (_ for _ in ()).throw(broken))
    with pytest.raises(OSError, match="broken"):
        made._publish(tmp_path / "work", tmp_path / "objects" / "new")
    lock = SimpleNamespace(acquire=lambda timeout: (_ for _ in ()).throw(broken), lock_file="x")
    with pytest.raises(OSError, match="broken"):
        made._acquire(lock, "waiting", lambda *_: None)
    assert made.notes == []


@pytest.mark.parametrize("text", ["", "case", "case\nmany"])
def test_a_torn_note_of_a_process_is_removed_and_names_nobody(tmp_path, text):
    (tmp_path / "torn.txt").write_text(text)
    (tmp_path / "mine.txt").write_text(f"mine\n{os.getpid()}\n")
    assert timeouts.unended(tmp_path) == []
    assert os.listdir(tmp_path) == ["mine.txt"]
    (tmp_path / "gone.txt").write_text("gone\n4194999\n")  # above the largest number of a process
    assert (timeouts.unended(tmp_path), os.listdir(tmp_path)) == (["gone"], ["mine.txt"])


@pytest.mark.parametrize(
    ("error", "stat", "lives"),
    [
        (None, "7 (a b) S 1", True),
        (None, "7 (a b) Z 1", False),
        (None, "7 (a Z b) R 1", True),
        (ProcessLookupError(), "", False),
        (PermissionError(), "", True),
    ],
)
def test_a_process_lives_unless_it_is_gone_or_waited_for(monkeypatch, error, stat, lives):
    def kill(pid, number):
        assert (pid, number) == (7, 0)
        if error is not None:
            raise error

    monkeypatch.setattr(timeouts.os, "kill", kill)
    monkeypatch.setattr(timeouts.Path, "read_text", lambda path, **how: stat)
    assert timeouts._lives(7) is lives


def test_a_copy_of_a_process_ends_at_once_and_the_process_goes_on(monkeypatch):
    ended = []
    monkeypatch.setattr(timeouts.os, "_exit", ended.append)
    for pid in (os.getpid(), os.getpid() + 1):
        timeouts.end_copies(pid)
    assert ended == [1]


def test_a_run_of_another_version_does_not_go_on_and_one_without_options_takes_those_given(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"benchmark_version": 0}))
    with pytest.raises(InvalidValue, match=r"benchmark version 0; expected version 1"):
        Earlier.read(tmp_path / "runs", str(tmp_path))
    older = Earlier(tmp_path, None, Selection(), frozenset())
    assert older.go_on({"seeds": "0-3", "references": False}) == Options(seeds="0-3", references=False)


def test_what_a_broken_plugin_and_a_testbed_are_trained_with():
    bare = SimpleNamespace(seed=3, testbed=SimpleNamespace(base=None), composition=Composition())
    based = SimpleNamespace(seed=3, testbed=SimpleNamespace(base=1), composition=None)
    made = [Planned("a", "digits", "bad", (), broken=Broken("bad", "o", "r"))]
    made += [Planned("a", "digits", "x", (), case=case, event=event) for case, event in ((bare, "testbed"), (bare, "case"))]
    made.append(Planned("a", "digits", "x", (), case=based))
    told = ["digits, bad", "digits, seed 3, unmarked", "digits, seed 3, []", "digits, seed 3, []"]
    assert [trained_with(one) for one in made] == told


@pytest.mark.parametrize(
    ("options", "error", "told"),
    [
        ({"seeds": "x"}, InvalidValue, "--seeds"),
        ({"shard": "3/2"}, InvalidValue, "--shard"),
        ({"testbeds": ("digit",)}, UnknownName, "testbed"),
        ({"solver": "slow"}, UnknownName, "--solver"),
        ({"queries": "outpaint, outpain"}, UnknownName, "--queries.*'outpain'"),
        ({"mitigations": ("rna", "rn")}, UnknownName, "mitigation"),
        ({"mitigations": ("rna(coun=1)",)}, UnknownName, "coun"),
    ],
)
def test_mistakes_of_the_user_are_told_before_any_worker_starts(options, error, told):
    session._check(Options(shard="2/2", solver="ddim", queries="outpaint, average", mitigations=("rna", "rna(count=1)")))
    with pytest.raises(error, match=told):
        session._check(Options(**options))


@pytest.mark.parametrize(
    ("expression", "families"),
    [
        ("rna(count=8) + gni", ["rna", "gni"]),
        ("my/file.py:Mine(scale=2.0)+rna", ["file.Mine", "rna"]),
        ("pipeline(call='a.py:b')", ["made"]),
        ("trained-elsewhere(folder='x')+pipeline", ["made"]),
    ],
)
def test_markers_name_the_families_of_an_expression(monkeypatch, expression, families):
    made = SimpleNamespace(parts=[SimpleNamespace(family="made")])
    monkeypatch.setattr(plugins, "compose", lambda given: made if given == expression else None)
    assert session._families(expression) == families


def test_a_session_plans_once_and_a_worker_by_what_the_first_one_wrote(monkeypatch, tmp_path):
    asked, options = [], Options(seeds="1")
    monkeypatch.setattr(plan, "every", lambda *given: asked.append(given) or ["all"])
    monkeypatch.setattr(plan, "measured", lambda every: [*every, "measured"])
    monkeypatch.setattr(plan, "testbed_cases", lambda given: [given])
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    made = Session(options, tmp_path)
    assert (made.planned, made.planned, made.planned_testbeds) == (["all", "measured"], made.planned, [options])
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    assert Session(options, tmp_path).planned == ["all", "measured"]
    assert asked == [(options, None), (options, tmp_path)]


def test_a_broken_row_is_planned_at_each_seed_and_makes_no_case(monkeypatch):
    bad = Broken("bad", "dist 1", "no torch")
    monkeypatch.setattr(plan, "_rows", lambda options, profile: [Row.of(BASELINE, Composition()), Row.of("bad", bad)])
    made = plan.every(Options(seeds="0,2", testbeds=("digits",)))
    assert [(one.slug, one.testbed, one.family, one.stages) for one in made] == [
        (f"digits-{family}-s{seed}", "digits", family, ()) for seed in (0, 2) for family in ("none", "bad")
    ]
    assert [one.broken for one in made] == [None, bad, None, bad]
    assert [one.case is None for one in made] == [False, True, False, True]


def test_rows_are_those_of_the_first_process_and_equal_ones_are_not_made_anew(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    rows = [Row.of(name, plugins.compose(name)) for name in ("rna", "gni")]
    assert plan._agreed(rows, Options(), None) is rows
    first = plan._agreed(rows, Options(), tmp_path)
    assert [one is other for one, other in zip(first, rows, strict=True)] == [True, True]
    (later,) = (Row.of("gni", plugins.compose("gni")),)
    again = plan._agreed([later], Options(), tmp_path)
    assert ([row.family for row in again], again[1] is later) == (["rna", "gni"], True)
    assert again[0].made.label == rows[0].made.label


def test_queries_have_the_fields_of_the_first_process(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    few, many = ({"average": plugins.instance("solidmark.queries", "query", "average", draws=n)} for n in (2, 3))
    assert plan.agreed_objects("query", few, Options(), None) is few
    assert plan.agreed_objects("query", few, Options(), tmp_path)["average"] is few["average"]
    assert plan.agreed_objects("query", many, Options(), tmp_path)["average"].draws == 2


@pytest.mark.parametrize("given", ["many", "", None, OSError()])
def test_where_torch_does_not_answer_there_is_no_gpu(monkeypatch, given):
    def ask(*_, **how):
        if not isinstance(given, str):
            raise given or subprocess.TimeoutExpired("python", how["timeout"])
        return SimpleNamespace(stdout=given)

    monkeypatch.setattr(devices, "_torch_knows_gpus", lambda: True)
    monkeypatch.setattr(devices.subprocess, "run", ask)
    assert devices._count_by_torch.__wrapped__(None) == 0


def test_a_torch_that_cannot_be_read_may_know_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: SimpleNamespace(origin=str(tmp_path / "x.py")))
    assert devices._torch_knows_gpus()
    Path(tmp_path / "version.py").write_text("cuda = None\n")
    assert not devices._torch_knows_gpus()
