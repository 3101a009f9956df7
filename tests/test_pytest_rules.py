"""Rules of the pytest plugin and of its controller, condition by condition, on stand-ins for pytest's objects."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import pytest_plugin as room
from solidmark import records
from solidmark.errors import InvalidValue
from solidmark.mitigation.composition import Composition
from solidmark.runner import controller as controllers
from solidmark.runner import outlook
from solidmark.runner.colours import bar
from solidmark.runner.controller import Controller
from solidmark.runner.options import Options
from solidmark.runner.plan import Planned
from solidmark.runner.session import Session


def config(session=None, collectonly=False, args=(), markexpr="", **more):
    made = SimpleNamespace(stash=pytest.Stash(), option=SimpleNamespace(collectonly=collectonly), args=args, **more)
    made.getoption = lambda name: {"markexpr": markexpr}[name]
    if session is not None:
        made.stash[room.SESSION] = session
    return made


def case(slug="a", family="x", stages=("sampling",), done="", seed=0):
    """A planned case; its identity is `done` where that is given."""
    made = SimpleNamespace(case_id=done or slug, seed=seed, composition=Composition(), testbed=SimpleNamespace(base=None))
    return Planned(slug, "digits", family, stages, case=made)


def item(planned=None, path="test_memorization.py", marks=(), names=(), testbed=None):
    made = SimpleNamespace(path=Path(path), fixturenames=names, nodeid=f"{path}::test[{planned.slug if planned else 'x'}]")
    made.get_closest_marker = lambda name: name if name in marks else None
    made.callspec = SimpleNamespace(params={room.CASE: planned} if planned else {room.TESTBED: testbed} if testbed else {})
    return made


@pytest.mark.parametrize(
    ("session", "worker", "any_case", "collectonly", "written"),
    [
        (True, None, True, False, True),
        (True, "gw0", True, False, True),
        (True, "gw1", True, False, False),
        (True, "gw2", True, False, True),  # in the place of one that was killed, perhaps before it wrote
        (True, None, False, False, False),
        (True, None, None, False, False),
        (True, None, True, True, False),
        (False, None, True, False, False),
    ],
)
def test_a_plan_is_written_by_one_process_of_a_run_that_chose_a_case(
    session, worker, any_case, collectonly, written, tmp_path
):
    told = []
    ours = SimpleNamespace(write_plan=told.append, run=tmp_path) if session else None
    of_two = {} if worker is None else {"workerinput": {"workerid": worker, "workercount": 2}}
    given = config(ours, collectonly, **of_two)
    if any_case is not None:
        given.stash[room.ANY_CASE] = any_case
    room.pytest_collection_finish(SimpleNamespace(config=given, items=[item(case("a[1]")), item(case("b"))]))
    assert told == ([["a[1]", "b"]] if written else [])
    (tmp_path / "plan.json").touch()
    given.workerinput = {"workerid": "gw3", "workercount": 2}
    room.pytest_collection_finish(SimpleNamespace(config=given, items=[]))
    assert len(told) == written  # the plan is there


def refuse(*_):
    raise InvalidValue("store", "nowhere", "a folder", "Make one.")


def test_a_plan_that_a_broken_plugin_prevents_does_not_end_the_run():
    asked = []
    given = config(SimpleNamespace(write_plan=lambda planned: asked.append(planned) or refuse()))
    given.stash[room.ANY_CASE] = True
    room.pytest_collection_finish(SimpleNamespace(config=given, items=[item(case("a"))]))
    assert asked == [["a"]]  # and what it raised came no further: collection has told it


def test_what_was_collected_is_told_with_what_it_will_take(monkeypatch):
    told = "solidmark: 3 cases; with an empty store 2 of them train a model of their own"
    items = [item(case()), item(case(stages=("training",))), item(case(family="none", stages=())), item()]
    monkeypatch.setattr(outlook, "outlook", lambda chosen, root: [f"{len(chosen)} of them", str(root)])
    monkeypatch.setattr(room, "default_root", lambda: "the store")
    ours = SimpleNamespace()
    assert room.pytest_report_collectionfinish(config(ours), items) == f"{told}\nsolidmark: 3 of them\nsolidmark: the store"
    assert room.pytest_report_collectionfinish(config(), items) == ""
    assert room.pytest_report_collectionfinish(config(ours), items[3:]) == ""
    monkeypatch.setattr(room, "default_root", refuse)
    assert room.pytest_report_collectionfinish(config(ours), items).startswith(f"{told}\nsolidmark: store: found nowhere")


@pytest.mark.parametrize(
    ("marks", "names", "profile", "path", "args", "markexpr", "wanted"),
    [
        ((), (), "quick", "t.py", (), "", True),
        (("experiment",), (), "quick", "t.py", (), "", False),
        (("experiment",), (), "full", "t.py", (), "", True),
        (("experiment",), (), "quick", "t.py", ("a/t.py::x",), "", True),
        (("experiment",), (), "quick", "t.py", ("solidmark.benchmark.t",), "", True),
        (("experiment",), (), "quick", "t.py", ("a/u.py",), "", False),
        (("experiment",), (), "quick", "t.py", (), "experiment and not slow", True),
        ((), (room.TESTBED,), "quick", "t.py", (), "", False),
        ((), (room.TESTBED,), "standard", "t.py", (), "", True),
        ((), (room.TESTBED, "other"), "quick", "t.py", ("t.py",), "", True),
        (("other",), ("other",), "quick", "t.py", (), "", True),
    ],
)
def test_a_test_is_wanted_by_its_kind_the_profile_and_what_is_named(marks, names, profile, path, args, markexpr, wanted):
    given = config(args=args, markexpr=markexpr)
    session = Session(Options(profile=profile), Path("/runs/a"))
    assert room._is_wanted(item(None, path, marks, names), given, session) is wanted


def test_trainings_are_dealt_first_behind_those_that_others_wait_for():
    items = [item(), item(case("s")), item(case("t", stages=("training",))), item(case("n", "none", ()))]
    assert [one.nodeid.partition("[")[2] for one in room._ordered(items)] == ["n]", "t]", "x]", "s]"]


def test_a_shard_has_cases_of_a_seed_and_files_of_experiments_whole():
    cases = [case("a", seed=0), case("b", seed=0), case("c", seed=1)]
    items = [*map(item, cases), item(None, "t.py"), item(None, "t.py"), item(None, "u.py")]
    wanted = [True, True, True, True, True, False]
    session = [Session(Options(shard=shard), Path("/runs/a")) for shard in (None, "1/3", "2/3", "3/3")]
    whole, *parts = (room._of_shard(items, wanted, one) for one in session)
    assert whole == wanted
    assert [sum(column) for column in zip(*parts)] == [1, 1, 1, 1, 1, 0]
    assert parts == [[False] * 3 + [True, True, False], [True, True] + [False] * 4, [False, False, True] + [False] * 3]


def test_of_the_chosen_tests_those_that_are_done_are_left_out_and_told():
    session = Session(Options(profile="full"), Path("/runs/a"), frozenset({"y"}))
    for ids, kept, told in ((("y", "z"), ["z", "x"], ["y"]), (("z",), ["z", "x"], None)):
        items, out = [*(item(case(name, done=name)) for name in ids), item()], []
        given = config(session)
        given.hook = SimpleNamespace(pytest_deselected=lambda items, out=out: out.append(items))
        room.pytest_collection_modifyitems(given, items)
        assert [one.nodeid.partition("[")[2][:-1] for one in items] == kept
        assert [[one.nodeid.partition("[")[2][:-1] for one in each] for each in out] == ([told] if told else [])
        assert given.stash[room.ANY_CASE] is True
    empty, none = config(session), config()
    room.pytest_collection_modifyitems(empty, [])
    room.pytest_collection_modifyitems(none, [])
    assert (empty.stash[room.ANY_CASE], room.ANY_CASE in none.stash) == (False, False)


def test_a_test_measures_its_case_or_its_testbed_or_nothing():
    planned, testbed = case(), case("t")
    assert room.planned_case(item(planned)) is planned
    assert room.planned_case(item(testbed=testbed)) is testbed
    assert room.planned_case(item()) is None is room.planned_case(SimpleNamespace())


def test_frames_are_released_along_causes_and_contexts_and_what_python_keeps_is_forgotten():
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        setattr(sys, name, 1)
    outer, middle, inner = ValueError("outer"), ValueError("middle"), ValueError("inner")
    for error in (outer, middle, inner):
        with pytest.raises(ValueError, match=str(error)):
            raise error
    outer.__cause__, middle.__context__, inner.__context__ = middle, inner, None
    room._release(outer)
    assert [error.__traceback__ for error in (outer, middle, inner)] == [None] * 3
    assert not [name for name in vars(sys) if name.startswith("last_") and name != "last_token"]


@pytest.mark.parametrize(
    ("target", "inside"), [("", True), ("deep.py", True), ("test_memorization.py", True), ("no/t.py", False)]
)
def test_a_folder_and_the_files_beside_our_test_are_the_benchmarks(tmp_path, target, inside):
    (tmp_path / "test_memorization.py").write_text("import x\n\ndef test_row(\n    solidmark_measured,\n): ...\n")
    assert room._inside_benchmark(str(tmp_path / target), Path("/")) is inside
    assert room._inside_benchmark("t.py", tmp_path)
    (tmp_path / "test_memorization.py").write_text("def test_row(other, solidmark_measured): ...")
    assert not room._inside_benchmark(str(tmp_path / target), Path("/"))


@pytest.fixture
def made(tmp_path, monkeypatch):
    """A controller in an empty folder; `given_up` is what its session was told to give up."""
    monkeypatch.setattr(controllers.devices, "visible_gpus", list)
    option = SimpleNamespace(numprocesses=None)
    told = SimpleNamespace(stash=pytest.Stash(), option=option, invocation_params=SimpleNamespace(args=(), dir=tmp_path))
    told.pluginmanager = SimpleNamespace(get_plugin=lambda name: None)
    return Controller(Session(Options(), tmp_path / "run", frozenset({"done"}), "off"), told)


@pytest.mark.parametrize(
    ("earlier", "workers", "identity", "noted", "given_up"),
    [
        (0, None, "id", True, False),
        (1, None, "id", True, True),
        (2, None, "id", True, False),
        (1, 4, "id", True, False),
        (1, None, "done", False, False),
    ],
)
def test_a_case_that_ended_its_process_is_noted_and_every_second_time_given_up(
    made, monkeypatch, earlier, workers, identity, noted, given_up
):
    made.config.option.numprocesses = workers
    monkeypatch.setattr(controllers.timeouts, "unended", lambda folder: ["a"] if folder == made.run / "hangs" else [])
    monkeypatch.setattr(records, "attempt", lambda run, case_id: earlier + 1)
    monkeypatch.setattr(Session, "read_plan", lambda self: {"a": {"case_id": identity, "slug": "a", "weight": 1, "gpu": 0}})
    written = []
    made._writer = SimpleNamespace(write=written.append)
    made._note_unended()
    reason = "the process of the run ended in this case"
    told = {
        "case_id": identity,
        "slug": "a",
        "event": "crash",
        "status": "crashed",
        "attempt": earlier + 1,
        "reason": reason,
    }
    assert (written, made._given_up) == ([told] if noted else [], ["a"] if given_up else [])


def test_a_case_that_no_plan_has_is_noted_by_its_slug(made):
    assert made._identity("b", {}) == {"event": "crash", "case_id": "b", "slug": "b", "order": 0}


def test_a_run_begins_with_the_names_that_are_there_and_what_it_gave_up(made, monkeypatch):
    monkeypatch.setattr(controllers.announced, "existing", lambda run: {"old"})
    monkeypatch.setattr(made, "_note_unended", lambda: made._given_up.append("a"))
    made.pytest_sessionstart()
    assert made.session.is_given_up("a")
    assert {"old", made._writer.name, made.config.stash[controllers.RECORDS]} == made._names
    assert json.loads((made.run / "run.json").read_text())["gpus"] == 0
    assert (made.run / "run.json").read_text().startswith('{\n "')
    for part in controllers.PARTS:
        assert (made.run / part).is_dir()


def test_a_folder_that_cannot_be_written_is_a_mistake_of_the_user(made):
    made.run.parent.mkdir(exist_ok=True)
    made.run.write_text("a file")
    with pytest.raises(pytest.UsageError, match="--run-dir"):
        made.pytest_sessionstart()


def test_a_live_line_shows_the_share_that_is_done_and_gives_way(made, monkeypatch):
    drawn = []
    made._line = SimpleNamespace(draw=drawn.append, erase=lambda: drawn.append("erased"))
    made._ticker = SimpleNamespace(stop=lambda: drawn.append("stopped"))
    weights = {"a": {"weight": 1.0}, "b": {"weight": 3.0}}
    monkeypatch.setattr(Session, "read_plan", lambda self: weights)
    monkeypatch.setattr(controllers, "read_states", lambda run: [])
    made._finished = {"a", "other"}
    made._say()
    assert drawn[0].startswith(f"[{bar(0.25, 20)}] 1 of 2 cases")
    report = SimpleNamespace(nodeid="t[a]", duration=2.5, outcome="passed", when="setup")
    made.pytest_runtest_logreport(report)
    made.pytest_runtest_logreport(report)
    assert (drawn[1:], made._seconds, made._finished) == (["erased"] * 2, {"a": 5.0}, {"a", "other"})
    made.pytest_sessionfinish(SimpleNamespace(exitstatus=pytest.ExitCode.OK))
    assert drawn[3:] == ["stopped", "erased"]
    assert made._unmeasured == ["b"]
