"""The controller part by part: what it writes at a start, tells on the way, does where a worker ends, and at the end."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark.errors import InvalidValue
from solidmark.runner import controller as room
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.session import Selection, Session


class Terminal:
    """What is written to a terminal, call by call."""

    hasmarkup = True

    def __init__(self):
        self.told = []
        for name in ("ensure_newline", "write_line", "section"):
            setattr(self, name, lambda *text, name=name: self.told.append((name, *text)))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A controller in a run that has its folders; two GPUs are seen."""
    monkeypatch.setattr(room.devices, "visible_gpus", lambda: ["a", "b"])
    terminal = Terminal()
    asked = SimpleNamespace(get_plugin=lambda name: terminal if name == "terminalreporter" else None)
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(args=("benchmark/",), dir=tmp_path),
        pluginmanager=asked,
        option=SimpleNamespace(numprocesses=None),
        stash=pytest.Stash(),
        get_terminal_writer=lambda: "the writer",
    )
    session = Session(Options(), tmp_path / "runs" / "mine", frozenset({"done"}), "off", 10.0, Selection("k", "m"))
    (session.run / "records").mkdir(parents=True)
    return SimpleNamespace(controller=Controller(session, config), terminal=terminal, run=session.run, session=session)


def planned(made, **weights):
    entries = {slug: {"event": "case", "case_id": f"id-{slug}", "slug": slug} for slug in weights}
    plan = {slug: {**entry, "order": 1, "weight": weights[slug], "gpu": True} for slug, entry in entries.items()}
    (made.run / "plan.json").write_text(json.dumps(plan))
    return plan


# The start


def test_a_start_probes_the_folders_of_the_run_and_begins_to_tell(made, monkeypatch):
    probed, ticked = [], []
    monkeypatch.setattr(room.records, "check_writable", lambda *given: probed.append(given))
    monkeypatch.setattr(made.controller, "_tick", lambda: ticked.append(1))
    monkeypatch.setattr(made.controller, "_write_provenance", lambda gpus: ticked.append(gpus))
    (made.run / "records" / "old-1.jsonl").write_text("12345")
    (made.run / "records" / "old-2.jsonl.gz").write_text("123")
    made.controller.pytest_sessionstart()
    assert (probed, ticked) == ([(made.run, room.PARTS, "--run-dir")], [2, 1])
    assert room.PARTS == ("records", "per_image", "progress", "hangs")
    assert made.controller._before == 5
    names = made.controller._names
    assert {"old-1", "old-2", made.controller._writer.name} < names
    assert [name.partition("-")[0] for name in names].count("main") == 1
    assert json.loads((made.run / "writers.json").read_text()) == sorted(names)
    assert not (made.run / "given_up.json").exists()


def test_a_folder_that_cannot_be_written_is_a_mistake_of_the_user(made, monkeypatch):
    def refuse(*given):
        raise InvalidValue("--run-dir x", "full", "room", "Free some.")

    monkeypatch.setattr(room.records, "check_writable", refuse)
    with pytest.raises(pytest.UsageError, match="--run-dir x"):
        made.controller.pytest_sessionstart()


def test_cases_that_ended_their_process_twice_stay_given_up_when_the_plan_is_forgotten(made, monkeypatch):
    monkeypatch.setattr(made.controller, "_write_provenance", lambda gpus: None)
    planned(made, a=1.0)
    (made.run / "hangs").mkdir()
    writer = room.records.Writer(made.run, "controller")
    writer.write({"event": "crash", "case_id": "id-a", "status": "crashed", "attempt": 1, "slug": "a", "reason": "x"})
    (made.run / "hangs" / "main.txt").write_text("a\n999999999\n")
    made.controller.pytest_sessionstart()
    assert made.session.is_given_up("a")
    assert not (made.run / "plan.json").exists()


@pytest.mark.parametrize(("done", "workers", "given_up"), [(False, None, ["a"]), (False, 2, []), (True, None, [])])
def test_a_case_that_did_not_end_is_recorded_once_with_all_that_is_known_of_it(made, done, workers, given_up):
    planned(made, a=1.0)
    (made.run / "hangs").mkdir()
    (made.run / "hangs" / "main.txt").write_text("a\n999999999\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room.records, "attempt", lambda run, case_id: 2 if (run, case_id) == (made.run, "id-a") else 0)
        if done:
            object.__setattr__(made.session, "done", frozenset({"id-a"}))
        made.controller.config.option.numprocesses = workers
        made.controller._note_unended()
    found = [json.loads(line) for path in (made.run / "records").iterdir() for line in path.read_text().splitlines()]
    known = {"event": "crash", "case_id": "id-a", "slug": "a", "order": 1, "status": "crashed", "attempt": 2}
    known["reason"] = "the process of the run ended in this case"
    assert [{name: one[name] for name in known} for one in found] == ([] if done else [known])
    assert (made.controller._given_up, any("weight" in one or "gpu" in one for one in found)) == (given_up, False)


def test_a_case_is_known_though_a_part_of_the_run_between_had_no_plan(made):
    planned(made, a=1.0)
    made.session.forget_plan()
    made.session.forget_plan()
    (made.run / "hangs").mkdir()
    (made.run / "hangs" / "gw0.txt").write_text("a\n999999999\n")
    made.controller._note_unended()
    (found,) = [json.loads(line) for path in (made.run / "records").iterdir() for line in path.read_text().splitlines()]
    assert (found["case_id"], found["slug"], found["order"]) == ("id-a", "a", 1)


def test_of_a_case_that_nobody_planned_its_name_is_known():
    identity = Controller._identity(None, "x", {})
    assert identity == {"event": "crash", "case_id": "x", "slug": "x", "order": 0}
    plan = {"x": {"event": "case", "case_id": "i", "slug": "x", "order": 3, "weight": 5.0, "gpu": True, "family": "f"}}
    assert Controller._identity(None, "x", plan) == {"event": "case", "case_id": "i", "slug": "x", "order": 3, "family": "f"}


@pytest.mark.parametrize("arguments", [(), ("benchmark/", "-x")])
def test_provenance_has_the_command_and_the_origins_of_all_plugins(made, monkeypatch, arguments):
    made.controller.config.invocation_params.args = arguments
    monkeypatch.setattr(room.plugins, "GROUPS", {"a": "group a", "b": "group b"})
    monkeypatch.setattr(room.plugins, "discover", lambda group: [SimpleNamespace(origin=f"{group} {n}") for n in (1, 2)])
    monkeypatch.setattr(room.provenance, "run", lambda command, plugins: {"command": command, "plugins": plugins})
    made.controller._write_provenance(3)
    text = (made.run / "run.json").read_text()
    facts = json.loads(text)
    assert facts["command"] == (["pytest", *arguments] if arguments else [])
    assert facts["plugins"] == ["group a 1", "group a 2", "group b 1", "group b 2"]
    assert (facts["gpus"], facts["profile"], facts["options"]["profile"]) == (3, "quick", "quick")
    assert text.splitlines()[1].startswith(' "')
    began = time.strptime(facts["started"], "%Y-%m-%dT%H:%M:%SZ")
    made.controller._write_provenance(4)
    (later,) = made.run.glob("run-*.json")
    assert (json.loads(later.read_text())["gpus"], began.tm_year) == (4, time.gmtime().tm_year)
    assert time.strptime(later.stem.partition("-")[2], "%Y%m%dT%H%M%SZ")[:3] == began[:3]


@pytest.mark.parametrize("markup", [True, False, None])
def test_a_live_line_is_drawn_where_the_terminal_has_colours(made, monkeypatch, markup):
    object.__setattr__(made.session, "progress", "auto")
    reporter = None if markup is None else SimpleNamespace(hasmarkup=markup)
    made.controller.config.pluginmanager.get_plugin = {"terminalreporter": reporter}.get
    monkeypatch.setattr(room.os, "isatty", lambda number: number == 1)
    monkeypatch.setattr(room, "LiveLine", lambda writer: ("line", writer))
    ticks = []
    monkeypatch.setattr(room, "Ticker", lambda *given: SimpleNamespace(start=lambda: ticks.append(given)))
    made.controller._tick()
    assert made.controller._line == (("line", "the writer") if markup else None)
    assert ticks == [(1 if markup else 10, made.controller._say)]


# On the way


class Line:
    """A live line that notes what is done with it."""

    def __init__(self):
        self.told = []
        self.draw, self.erase = self.told.append, lambda: self.told.append("erased")


def test_reports_add_their_seconds_erase_the_line_and_look_for_the_first_record(made, monkeypatch):
    pointed = []
    monkeypatch.setattr(made.controller, "_point_latest", lambda: pointed.append(1))
    report = SimpleNamespace(nodeid="t.py::x[a]", outcome="passed", when="call", duration=2.5)
    made.controller.pytest_runtest_logreport(report)  # without a line
    made.controller._line = Line()
    made.controller.pytest_runtest_logreport(SimpleNamespace(nodeid="t.py::x[a]", outcome="passed", when="teardown"))
    made.controller.pytest_runtest_logreport(report)
    assert (made.controller._seconds, made.controller._line.told) == ({"a": 5.0}, ["erased", "erased"])
    assert (len(pointed), made.controller._finished) == (3, {"a"})


@pytest.mark.parametrize(("finished", "weights", "drawn"), [({"a", "x"}, (6.0, 2.0), 0.75), (set(), (0.0, 0.0), 0.0)])
def test_the_line_has_a_bar_of_what_is_done(made, monkeypatch, finished, weights, drawn):
    planned(made, a=weights[0], b=weights[1])
    given = []
    monkeypatch.setattr(room, "summary", lambda *words: given.append(words) or "the text")
    monkeypatch.setattr(room, "read_states", lambda run: ("states of", run))
    monkeypatch.setattr(room, "time_left", lambda *words: words)
    monkeypatch.setattr(room, "time", SimpleNamespace(monotonic=lambda: 130.0, time=lambda: 7.0))
    made.controller._began, made.controller._finished, made.controller._line = 100.0, finished, Line()
    made.controller._say()
    assert made.controller._line.told == [f"[{room.bar(drawn, 20)}] the text"]
    left = (30.0, weights[0] if finished else 0.0, sum(weights))
    assert given == [(("states of", made.run), len(finished & {"a"}), 2, left, 7.0)]
    made.controller._line = None
    made.controller._say()
    assert made.terminal.told == [("ensure_newline",), ("write_line", "solidmark: the text")]
    made.controller.config.pluginmanager.get_plugin = lambda name: None
    made.controller._say()
    assert len(made.terminal.told) == 2


# Where a worker ends


@pytest.mark.parametrize("forgotten", [False, True])  # by a part of the run whose first worker died before it had a plan
def test_a_killed_case_is_recorded_with_its_attempt_reason_and_fate(made, monkeypatch, forgotten):
    planned(made, a=1.0)
    if forgotten:
        made.session.forget_plan()
    monkeypatch.setattr(room, "_memory_kills", lambda: " (a hint)")
    taken, report = [], SimpleNamespace(longrepr="gw0 crashed", outcome="failed")
    sched = SimpleNamespace(mark_test_pending=taken.append)
    for _ in range(2):
        made.controller.pytest_handlecrashitem("t.py::x[a]", report, sched)
    (path,) = (made.run / "records").iterdir()
    found = [json.loads(line) for line in path.read_text().splitlines()]
    told = ("tried again", "given up after 2 of at most 2 attempts")
    assert [one["reason"] for one in found] == [f"gw0 crashed; {fate} (a hint)" for fate in told]
    assert [(one["event"], one["status"], one["attempt"], one["order"]) for one in found] == [
        ("crash", "crashed", 1, 1),
        ("crash", "crashed", 2, 1),
    ]
    assert (taken, report.outcome, made.session.is_given_up("a")) == (["t.py::x[a]"], "rerun", True)


def test_a_replaced_worker_is_told_with_the_beginning_of_its_reason(made):
    reason = "a thread\x1b[31m " + 500 * "x"
    made.session.write_replaced("gw3", reason)
    report = SimpleNamespace(node=SimpleNamespace(gateway=SimpleNamespace(id="gw3")), outcome="failed")
    sched = SimpleNamespace(mark_test_pending=lambda nodeid: None)
    assert made.controller._is_handed_on(report, sched, "t[a]")
    text = room.cleaned(reason)[:400]
    assert made.terminal.told == [("write_line", f"\nsolidmark: gw3 is replaced: {text}")]
    assert len(text) == 400
    report.node.gateway.id = "gw4"
    assert not made.controller._is_handed_on(report, sched, "t[a]")
    assert not made.controller._is_handed_on(SimpleNamespace(), sched, "t[a]")
    report.node.gateway.id, report.outcome = "gw3", "failed"
    made.controller.config.pluginmanager.get_plugin = lambda name: None
    assert made.controller._is_handed_on(report, sched, "t[a]")
    assert report.outcome == "rerun"


def test_workers_that_end_in_turn_are_counted_where_they_end_with_an_error(made):
    manager = SimpleNamespace(shouldstop=False)
    made.controller.config.pluginmanager.get_plugin = {"dsession": manager}.get
    node = SimpleNamespace(gateway=SimpleNamespace(id="gw0"))
    for error in [None, "lost"] * room.IDLE_ENDS:
        made.controller.pytest_testnodedown(node, error)
    assert (made.controller._idle_ends, manager.shouldstop) == (20, False)
    made.controller.pytest_testnodedown(node, "lost")
    assert manager.shouldstop == "21 workers in turn ended before any case: lost"


def test_notes_of_a_hang_are_read_until_one_is_of_the_case(made, monkeypatch):
    (made.run / "hangs").mkdir()
    for name in ("gw0", "gw1"):
        (made.run / "hangs" / f"{name}.txt").write_text(name)
    (made.run / "hangs" / "gw1.json").write_text("no note")
    places = {"gw0": None, "gw1": "mine.py, line 7"}
    monkeypatch.setattr(room.timeouts, "last_location", lambda note, slug: places[note.stem] if slug == "a" else None)
    forgotten = []
    monkeypatch.setattr(room.timeouts, "forget", lambda *given: forgotten.append(given))
    assert made.controller._hang("b") is None
    assert forgotten == [(made.run / "hangs", "b")]
    seconds = room.timeouts.AFTER * 10
    assert made.controller._hang("a") == f"no end after {seconds:g} s, nor a way to interrupt it, at mine.py, line 7"
    assert sorted(path.name for path in (made.run / "hangs").iterdir()) == ["gw0.txt", "gw1.json"]
    assert len(forgotten) == 1


# The end


@pytest.fixture
def ended(made, monkeypatch):
    """The same with an ending of words, and what was done at the end."""
    made.asked = []
    ending = SimpleNamespace(faults=[], records=["records"], lines=lambda: ["a line"], lost=lambda *given: made.lost)
    made.lost, made.ending = [], ending
    monkeypatch.setattr(room.Ending, "of", lambda run, colours: made.asked.append((run, colours)) or ending)
    monkeypatch.setattr(room.timings, "learn", lambda store, *given: made.asked.append((store.root, *given)))
    monkeypatch.setattr(room, "default_root", lambda: made.run / "store")
    return made


def finish(made, code=pytest.ExitCode.OK):
    session = SimpleNamespace(exitstatus=code)
    made.controller.pytest_sessionfinish(session)
    return session.exitstatus


def test_the_end_stops_the_ticker_erases_the_line_renders_and_learns(ended):
    planned(ended, a=1.0)
    (ended.run / "records" / "x.jsonl").write_text("\n")
    stopped = []
    ended.controller._ticker, ended.controller._line = SimpleNamespace(stop=lambda: stopped.append(1)), Line()
    ended.controller._finished, ended.controller._seconds = {"a"}, {"a": 2.0}
    assert finish(ended) == pytest.ExitCode.OK
    assert (stopped, ended.controller._line.told) == ([1], ["erased"])
    assert ended.asked == [(ended.run, True), (ended.run / "store", ["records"], {"a": 2.0})]
    assert json.loads((ended.run / "writers.json").read_text()) == [ended.controller._writer.name]
    assert ended.terminal.told == []


@pytest.mark.parametrize("records", [True, False])
def test_without_records_nothing_is_rendered_and_without_seconds_nothing_is_learnt(ended, records):
    if records:
        (ended.run / "records" / "x.jsonl.gz").write_text("")
    ended.controller.config.pluginmanager.get_plugin = lambda name: None
    assert finish(ended) == pytest.ExitCode.OK
    assert ended.asked == ([(ended.run, False)] if records else [])
    assert (ended.run / "writers.json").exists() is records


def test_a_lost_record_a_crash_and_a_fault_never_end_well(ended):
    planned(ended, b=1.0, a=1.0)
    (ended.run / "records" / "x.jsonl").write_text("")
    ended.lost = ["b", "c"]
    ended.controller._finished, ended.controller._crashes = {"a"}, {"z": 1}
    assert finish(ended) == pytest.ExitCode.TESTS_FAILED
    assert ended.ending.faults == [f"measured, and its record cannot be read: {slug}" for slug in "bc"]
    assert ended.controller._unmeasured == ["b", "z"]
    assert finish(ended, pytest.ExitCode.INTERRUPTED) == pytest.ExitCode.INTERRUPTED
    ended.controller._unmeasured, ended.controller._crashes = [], {}
    ended.controller._finished |= {"b"}
    ended.lost = []
    assert finish(ended) == pytest.ExitCode.TESTS_FAILED  # for its faults
    ended.ending.faults.clear()
    assert finish(ended) == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("plan", "code", "after"),
    [
        ({}, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.OK),
        ({"a": 1.0}, pytest.ExitCode.NO_TESTS_COLLECTED, pytest.ExitCode.NO_TESTS_COLLECTED),
        ({}, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.TESTS_FAILED),
    ],
)
def test_a_part_that_found_all_done_ends_well(ended, plan, code, after):
    planned(ended, **plan)
    assert finish(ended, code) == after


@pytest.mark.parametrize(
    ("unmeasured", "code", "lines", "run_file", "told"),
    [
        ([], pytest.ExitCode.OK, [], True, []),
        ([], pytest.ExitCode.OK, ["a"], True, ["title", "a"]),
        (["x", "y"], pytest.ExitCode.TESTS_FAILED, ["a"], True, ["title", "left", "a", "go on"]),
        (["x", "y"], pytest.ExitCode.TESTS_FAILED, [], False, ["title", "left"]),
        ([], pytest.ExitCode.INTERRUPTED, [], True, ["title", "go on"]),
        ([], pytest.ExitCode.INTERNAL_ERROR, [], True, ["title", "go on"]),
    ],
)
def test_the_summary_has_what_is_left_the_table_and_how_to_go_on(ended, unmeasured, code, lines, run_file, told):
    ended.controller._unmeasured, ended.controller._ending = unmeasured, SimpleNamespace(lines=lambda: lines)
    if run_file:
        (ended.run / "run.json").write_text("{}")
    ended.controller.pytest_terminal_summary(ended.terminal, code)
    words = {
        "title": ("section", "solidmark"),
        "left": ("write_line", "not measured, since the run ended before: x, y"),
        "a": ("write_line", "a"),
        "go on": ("write_line", "\ngo on with: pytest benchmark/ --resume=runs/mine"),
    }
    assert ended.terminal.told == [words[name] for name in told]


@pytest.mark.parametrize("error", [OSError(), ValueError()])
def test_a_machine_that_does_not_count_kills_gives_no_hint(monkeypatch, error):
    def fail(self, encoding):
        raise error

    monkeypatch.setattr(Path, "read_text", fail)
    assert room._memory_kills() == ""
