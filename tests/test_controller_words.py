"""The controller: what it notes of a run, of its workers, and of cases that came to no end; nothing is run."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import pytest_plugin, timeouts
from solidmark.errors import InvalidValue
from solidmark.runner import controller as room
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.progress_report import Reporter
from solidmark.runner.session import Selection, Session


class Terminal:
    def __init__(self):
        self.lines = []

    def ensure_newline(self):
        self.lines.append("")

    def write_line(self, text):
        self.lines.append(text)

    def section(self, title):
        self.lines.append(f"== {title}")


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A controller of a run, the terminal that it writes to, and no GPU."""
    monkeypatch.setattr(room.devices, "visible_gpus", lambda: ["a", "b"])
    terminal = Terminal()
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(args=("benchmark/", "-k", "x"), dir=tmp_path),
        pluginmanager=SimpleNamespace(get_plugin=lambda name: terminal),
        option=SimpleNamespace(numprocesses=None),
        stash=pytest.Stash(),
    )
    options = Options(profile="standard", seeds="0-1")
    session = Session(options, tmp_path / "runs" / "mine", progress="off", case_timeout=10.0, selection=Selection("k", "m"))
    return SimpleNamespace(controller=Controller(session, config), terminal=terminal, session=session, run=session.run)


def plan_of(made, **weights):
    """A plan with these cases and weights."""
    made.run.mkdir(parents=True, exist_ok=True)
    entry = {"event": "case", "order": 0, "testbed": "digits", "mitigation": "x", "family": "x", "gpu": False}
    plan = {slug: {**entry, "case_id": f"id-{slug}", "slug": slug, "weight": weight} for slug, weight in weights.items()}
    (made.run / "plan.json").write_text(json.dumps(plan))


def test_run_json_has_options_selection_gpus_and_the_command_and_a_later_part_adds_another(made):
    made.controller.pytest_sessionstart()
    facts = json.loads((made.run / "run.json").read_text())
    assert (facts["schema"], facts["benchmark_version"], facts["profile"]) == (room.SCHEMA, 1, "standard")
    assert (facts["options"]["seeds"], facts["selection"], facts["gpus"]) == ("0-1", {"keyword": "k", "markers": "m"}, 2)
    assert abs(time.mktime(time.strptime(facts["started"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(time.gmtime())) < 60
    assert made.controller.config.stash[room.RECORDS] in made.controller._names
    made.controller._write_provenance(0)
    later = list(made.run.glob("run-*.json"))
    assert [json.loads(path.read_text())["gpus"] for path in later] == [0]
    assert json.loads((made.run / "run.json").read_text()) == facts


def test_what_an_earlier_part_planned_and_gave_up_is_forgotten(made):
    plan_of(made, a=1.0)
    made.session.write_given_up(["a"])
    made.controller.pytest_sessionstart()
    assert made.session.read_plan() == {}
    assert not made.session.is_given_up("a")


def test_a_driver_that_does_not_answer_is_a_mistake_of_the_user(made, monkeypatch):
    def silent():
        raise InvalidValue("GPUs, by NVML", "x", "a driver", "Repair it.")

    monkeypatch.setattr(room.devices, "visible_gpus", silent)
    with pytest.raises(pytest.UsageError, match="GPUs, by NVML"):
        made.controller.pytest_sessionstart()


@pytest.mark.parametrize(
    ("outcome", "when", "ended"),
    [
        ("passed", "setup", set()),
        ("passed", "call", {"a"}),
        ("passed", "teardown", set()),
        ("failed", "setup", {"a"}),
        ("skipped", "setup", {"a"}),
        ("failed", "???", {"a"}),
        ("rerun", "call", set()),
    ],
)
def test_a_case_has_ended_with_its_call_or_where_something_failed_before(made, outcome, when, ended):
    made.controller._idle_ends = 7
    made.controller.pytest_runtest_logreport(SimpleNamespace(outcome=outcome, when=when, nodeid="t.py::test_it[a]"))
    assert (made.controller._finished, made.controller._idle_ends) == (ended, 0)


def test_progress_is_told_with_the_time_that_the_rest_takes(made, monkeypatch):
    made.controller._say()
    assert made.terminal.lines == []  # nothing is planned yet
    plan_of(made, a=5.0, b=1.0, c=4.0)
    Reporter(made.run, "gw0", "c")("train", 3, 3)
    clock = iter((100.0, 100.0, 160.0, 160.0))
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: next(clock), time=time.time))
    made.controller._finished = {"a", "of another run"}
    made.controller._say()
    made.controller._say()
    assert made.terminal.lines[1] == "solidmark: 1 of 3 cases, about 0:00 left | gw0: c train 3/3"
    assert made.terminal.lines[3] == "solidmark: 1 of 3 cases, about 1:00 left | gw0: c train 3/3"


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        ('a\n1\nThread 0x1 (most recent call first):\n  File "/x/mine.py", line 7 in predict\n', "line 7 in predict"),
        ('b\n1\nThread 0x1 (most recent call first):\n  File "/x/mine.py", line 7 in predict\n', None),
        ("a\n1\n", None),
    ],
)
def test_a_worker_that_was_ended_in_a_case_that_hung_says_where(made, note, reason):
    (made.run / "hangs").mkdir(parents=True)
    (made.run / "hangs" / "gw0.txt").write_text(note)
    found = made.controller._hang("a")
    assert found == (
        None
        if reason is None
        else f"no end after {timeouts.AFTER * 10:g} s, nor a way to interrupt it, at mine.py, {reason}"
    )
    assert [path.read_text()[0] for path in (made.run / "hangs").iterdir()] == (["b"] if note.startswith("b") else [])


def killed(made, count, hang=False):
    """The records of a case whose worker was killed so many times."""
    plan_of(made, a=1.0)
    (made.run / "hangs").mkdir(exist_ok=True)
    taken = []
    for _ in range(count):
        if hang:
            text = 'a\n1\nThread 0x1 (most recent call first):\n  File "/x/mine.py", line 7 in predict\n'
            (made.run / "hangs" / "gw0.txt").write_text(text)
        report = SimpleNamespace(longrepr="worker crashed", outcome="failed")
        sched = SimpleNamespace(mark_test_pending=taken.append)
        made.controller.pytest_handlecrashitem("t.py::test_it[a]", report, sched)
    written = next((made.run / "records").glob("*.jsonl")).read_text().splitlines()
    return [json.loads(line) for line in written], taken, report.outcome


def test_a_case_that_kills_twice_is_tried_once_more_and_then_given_up(made):
    records, taken, outcome = killed(made, 2)
    assert [(r["event"], r["status"], r["attempt"], r["case_id"]) for r in records] == [
        ("crash", "crashed", attempt, "id-a") for attempt in (1, 2)
    ]
    assert "worker crashed; tried again" in records[0]["reason"]
    assert "worker crashed; given up after 2 of at most 2 attempts" in records[1]["reason"]
    assert not {"weight"} & set(records[0])
    assert (taken, outcome, made.session.is_given_up("a")) == (["t.py::test_it[a]"], "failed", True)


def test_a_case_that_hung_is_a_timeout_and_not_tried_again(made):
    records, taken, outcome = killed(made, 1, hang=True)
    assert [(r["status"], r["attempt"]) for r in records] == [("timeout", 1)]
    assert records[0]["reason"].startswith("no end after 15 s")
    assert (taken, outcome, made.session.is_given_up("a")) == ([], "failed", True)


def test_a_worker_that_is_replaced_is_told(made):
    made.session.write_replaced("gw0", "a thread goes on\x1b[31m")
    report = SimpleNamespace(node=SimpleNamespace(gateway=SimpleNamespace(id="gw0")), outcome="failed")
    refuses = SimpleNamespace(mark_test_pending=lambda nodeid: (_ for _ in ()).throw(NotImplementedError))
    assert not made.controller._is_handed_on(report, refuses, "t[a]")
    assert made.controller._is_handed_on(report, SimpleNamespace(mark_test_pending=lambda nodeid: None), "t[a]")
    assert report.outcome == "rerun"
    assert [line.strip().startswith("solidmark: gw0 is replaced: a thread goes on") for line in made.terminal.lines] == [
        True
    ]


@pytest.mark.parametrize(
    ("text", "told"), [("oom 3\noom_kill 2\n", "killed 2 processes"), ("oom_kill 0\n", ""), ("oom 1\n", "")]
)
def test_processes_killed_for_want_of_memory_are_told(monkeypatch, text, told):
    monkeypatch.setattr(Path, "read_text", lambda self, encoding: text)
    found = room._memory_kills()
    assert (told in found, bool(found)) == (True, bool(told))


@pytest.mark.parametrize(
    ("nodeid", "slug"), [("a.py::test_it[x-s0]", "x-s0"), ("a.py::test_it[x[1]-s0]", "x[1]-s0"), ("a", "")]
)
def test_a_slug_is_what_stands_in_brackets(nodeid, slug):
    assert room._slug(nodeid) == slug


@pytest.mark.parametrize(
    ("exitstatus", "finished", "code", "told"),
    [
        (pytest.ExitCode.OK, {"a", "b"}, pytest.ExitCode.OK, False),
        (pytest.ExitCode.OK, {"a"}, pytest.ExitCode.TESTS_FAILED, True),
        (pytest.ExitCode.INTERRUPTED, {"a", "b"}, pytest.ExitCode.INTERRUPTED, True),
        (pytest.ExitCode.INTERNAL_ERROR, {"a", "b"}, pytest.ExitCode.INTERNAL_ERROR, True),
        (pytest.ExitCode.NO_TESTS_COLLECTED, {"a", "b"}, pytest.ExitCode.NO_TESTS_COLLECTED, False),
    ],
)
def test_a_run_that_left_cases_unmeasured_never_ends_well_and_says_how_to_go_on(made, exitstatus, finished, code, told):
    plan_of(made, a=1.0, b=1.0)
    (made.run / "run.json").write_text("{}")
    made.controller._finished = finished
    session = SimpleNamespace(exitstatus=exitstatus)
    made.controller.pytest_sessionfinish(session)
    assert bool(made.terminal.lines) == (exitstatus == pytest.ExitCode.INTERNAL_ERROR)  # else pytest has a summary
    if exitstatus != pytest.ExitCode.INTERNAL_ERROR:
        made.controller.pytest_terminal_summary(made.terminal, session.exitstatus)
    text = "\n".join(made.terminal.lines)
    assert session.exitstatus == code
    assert ("go on with: pytest benchmark/ -k x --resume=runs/mine" in text) == told
    assert ("not measured, since the run ended before: b" in text) == (finished == {"a"})


@pytest.mark.parametrize(
    ("progress", "terminal", "colours", "seconds"),
    [
        ("auto", True, True, 1),
        ("auto", True, False, 10),
        ("auto", False, True, 30),
        ("plain", True, True, 30),
        ("off", True, True, None),
    ],
)
def test_progress_is_told_each_second_ten_or_thirty_by_where_it_goes(
    tmp_path, monkeypatch, progress, terminal, colours, seconds
):
    made = []
    ticker = SimpleNamespace(start=lambda: made.append("started"))
    monkeypatch.setattr(room, "LiveLine", lambda writer: "a line")
    monkeypatch.setattr(room, "Ticker", lambda seconds, say: made.append(seconds) or ticker)
    monkeypatch.setattr(room.os, "isatty", lambda number: number == 1 and terminal)
    reporter = SimpleNamespace(get_plugin=lambda name: SimpleNamespace(hasmarkup=colours))
    config = SimpleNamespace(pluginmanager=reporter, get_terminal_writer=lambda: None)
    Controller(Session(Options(), tmp_path / "run", progress=progress), config)._tick()
    assert made == ([] if seconds is None else [seconds, "started"])


@pytest.mark.parametrize(
    ("named", "here", "targets"),
    [(["a", "b"], "root", ["a", "b"]), ([], "root", ["tests"]), ([], "below", ["below"]), (None, "root", [])],
)
def test_targets_are_those_named_else_the_test_paths_of_the_root_else_the_folder(named, here, targets):
    def parse(arguments, option):
        if named is None:
            raise pytest.UsageError("no such option")
        return SimpleNamespace(file_or_dir=named)

    places = {"rootpath": Path("root"), "invocation_params": SimpleNamespace(dir=Path(here))}
    config = SimpleNamespace(option=SimpleNamespace(), getini=lambda name: ["tests"], **places)
    assert pytest_plugin._targets(config, SimpleNamespace(parse_known_args=parse), []) == targets


def test_latest_points_to_a_run_whose_only_record_came_at_its_end(made):
    (made.run / "records").mkdir(parents=True)
    made.controller._before = made.controller._size()
    (made.run / "records" / "main.jsonl").write_text("\n")
    made.controller.pytest_sessionfinish(SimpleNamespace(exitstatus=pytest.ExitCode.OK))
    assert (made.run.parent / "latest").resolve() == made.run.resolve()
