"""The hooks of the pytest plugin on configurations made by hand: when they act, and what they then do."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import plugins
from solidmark import pytest_plugin as room
from solidmark.errors import InvalidValue
from solidmark.runner.options import Options
from solidmark.runner.schedule import CaseScheduling
from solidmark.runner.session import Selection, Session


def session_of(folder=Path("/runs/a"), **more):
    return Session(Options(mitigations=("rna",)), folder, selection=Selection("some", "sampling"), **more)


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration of the benchmark's own run, with an empty store; `lines` and `registered` tell what it got."""
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    lines, registered = [], []
    made = SimpleNamespace(args=[], stash=pytest.Stash(), lines=lines, registered=registered)
    made.option = SimpleNamespace(collectonly=False, keyword="", markexpr="", usepdb=False, numprocesses=None)
    made.getini = lambda name: name == "solidmark"
    made.getvalue, made.getoption = lambda name: ["2*popen"], lambda name: "load"
    made.addinivalue_line = lambda *line: lines.append(line)
    made.invocation_params = SimpleNamespace(dir=tmp_path, args=())
    made.pluginmanager = SimpleNamespace(register=lambda one, name: registered.append((type(one).__name__, name)))
    monkeypatch.setattr(Session, "from_options", classmethod(lambda cls, given: session_of(tmp_path / "run")))
    return made


def plain(config):
    """The same for a run that is not the benchmark's."""
    config.getini = lambda name: []
    return config


@pytest.mark.parametrize(
    ("given", "benchmark", "target", "after"),
    [
        (["--profile", "quick"], True, "theirs", ["--solidmark-profile", "quick"]),
        (["--profile", "quick", "--protocol=ddim"], False, "solidmark.benchmark", None),
        (["--profile", "quick"], False, "theirs", ["--profile", "quick"]),
        (["-q"], True, "solidmark.benchmark", ["-q"]),
    ],
)
def test_short_names_are_written_out_in_our_own_runs_alone(config, given, benchmark, target, after):
    args, asked = list(given), []
    parser = SimpleNamespace(
        parse_known_args=lambda words, option: asked.append(words) or SimpleNamespace(file_or_dir=[target])
    )
    room.pytest_load_initial_conftests(config if benchmark else plain(config), parser, args)
    assert args == (["--solidmark-profile", "quick", "--solidmark-solver=ddim"] if after is None else after)
    assert len(asked) == (0 if given == ["-q"] else 2)  # where no name is ours, nothing is parsed


def test_a_controller_has_a_session_its_markers_and_a_plugin(config, tmp_path):
    room.pytest_configure(config)
    found = config.stash[room.SESSION]
    assert (found.run, config.option.keyword, config.option.markexpr) == (tmp_path / "run", "some", "sampling")
    assert config.lines == [("markers", marker) for marker in found.markers()]
    assert config.registered == [("Controller", room.CONTROLLER), ("Starting", room.STARTING)]
    assert (tmp_path / "store").is_dir()


def test_a_worker_has_the_session_that_it_was_sent_and_no_controller(config, tmp_path):
    sent = session_of(Path("/runs/sent"), progress="plain")
    config.workerinput = {"solidmark": sent.to_json()}
    room.pytest_configure(plain(config))
    assert config.stash[room.SESSION].to_json() == sent.to_json()
    assert (config.registered, (tmp_path / "store").exists()) == ([], False)


def test_a_collection_alone_needs_no_store_and_no_controller(config, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "file"))
    with pytest.raises(pytest.UsageError, match="store"):
        room.pytest_configure(config)
    config.option.collectonly = True
    room.pytest_configure(config)
    assert (room.SESSION in config.stash, config.registered) == (True, [])


def test_other_runs_get_nothing(config):
    room.pytest_configure(plain(config))
    assert (room.SESSION in config.stash, config.lines, config.registered) == (False, [], [])


def refuse(*_, **__):
    raise InvalidValue("GPUs", "silence", "an answer", "Repair the driver.")


def test_a_driver_that_does_not_answer_costs_no_header_and_is_told_before_workers_start(config, monkeypatch):
    monkeypatch.setattr(room.devices, "notes", refuse)
    monkeypatch.setattr(room.devices, "visible_gpus", refuse)
    config.stash[room.SESSION] = found = session_of()
    assert room.pytest_report_header(config) == found.header()
    with pytest.raises(pytest.UsageError, match="silence"):
        room.pytest_xdist_setupnodes(config, [SimpleNamespace(env={})])


def test_parameters_are_the_planned_cases_and_testbeds(config, monkeypatch):
    cases, testbeds = ([SimpleNamespace(slug=slug) for slug in slugs] for slugs in (("a", "b"), ("c",)))
    monkeypatch.setattr(room, "_marks", lambda case: ())
    told = []
    function = SimpleNamespace(config=config, fixturenames=["tmp_path", room.CASE, room.TESTBED])
    function.parametrize = lambda name, values, scope: told.append((name, [(*one.values, one.id) for one in values], scope))
    room.pytest_generate_tests(function)
    assert told == []
    config.stash[room.SESSION] = SimpleNamespace(planned=cases, planned_testbeds=testbeds)
    room.pytest_generate_tests(function)
    expected = [(room.CASE, [(one, one.slug) for one in cases], "session")]
    assert sorted(told) == [*expected, (room.TESTBED, [(testbeds[0], "c")], "session")]


def test_who_gains_from_a_gpu_is_told_by_the_testbeds_of_the_run(config, monkeypatch):
    monkeypatch.setattr(plugins, "testbed", lambda name: (name, SimpleNamespace(gains_from_gpu=f"{name} gains")))
    assert room._gains(config) == ["digits-quick gains"]  # those of the options
    config.stash[room.SESSION] = Session(Options(testbeds=("a", "b")), Path("/runs/a"))
    assert room._gains(config) == ["a gains", "b gains"]


@pytest.mark.parametrize(("dist", "ours"), [("load", True), ("worksteal", True), ("each", False), ("no", False)])
def test_one_queue_takes_the_place_of_even_shares(config, dist, ours):
    config.getoption = lambda name: {"dist": dist}[name]
    assert room.pytest_xdist_make_scheduler(config, print) is None
    config.stash[room.SESSION] = found = session_of()
    made = room.pytest_xdist_make_scheduler(config, SimpleNamespace(workstealsched=print))
    assert isinstance(made, CaseScheduling) == (made is not None) == ours
    if made is not None:
        assert (made.numnodes, made.config, made.log, made._read) == (2, config, print, found.read_plan)


@pytest.mark.parametrize("reason", [None, "a thread goes on"])
def test_a_worker_that_gave_up_says_why_and_ends_before_its_next_case(config, monkeypatch, tmp_path, reason):
    ended, found = [], session_of(tmp_path)
    config.stash[room.SESSION] = found
    if reason is not None:
        config.stash[room.GIVEN_UP] = reason
    monkeypatch.setattr(room, "os", SimpleNamespace(environ={"PYTEST_XDIST_WORKER": "gw3"}, _exit=ended.append))
    assert room.pytest_runtest_protocol(SimpleNamespace(config=config)) is None
    assert (found.was_replaced("gw3"), ended) == (reason, [] if reason is None else [1])
    assert os.listdir(tmp_path) == ([] if reason is None else ["progress"])


@pytest.mark.parametrize(("ours", "pdb", "released"), [(True, False, True), (True, True, False), (False, False, False)])
def test_the_frames_of_a_failed_case_are_released_unless_they_are_looked_at(config, ours, pdb, released):
    config.option.usepdb = pdb
    if ours:
        config.stash[room.SESSION] = session_of()
    with pytest.raises(ValueError, match="x") as caught:
        raise ValueError("x")
    for failed in (caught, None):
        hook = room.pytest_runtest_makereport(SimpleNamespace(config=config), SimpleNamespace(excinfo=failed))
        next(hook)
        with pytest.raises(StopIteration) as end:
            hook.send("the report")
        assert end.value.value == "the report"
    assert (caught.value.__traceback__ is None) == released


def test_the_report_of_a_case_tells_which_lines_its_process_has_written(config):
    config.stash[room.WRITER] = SimpleNamespace(name="gw0-mine", digests=["aa"])
    hook, report = (
        room.pytest_runtest_makereport(SimpleNamespace(config=config), SimpleNamespace(excinfo=None)),
        SimpleNamespace(),
    )
    next(hook)
    with pytest.raises(StopIteration):
        hook.send(report)
    assert report.solidmark_lines == {"gw0-mine": ["aa"]}
