"""What drives a run, in process: options of pytest, selection, workers, the session and what it writes, progress."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from solidmark import plugins, pytest_plugin
from solidmark.errors import InvalidValue, UnknownName
from solidmark.leaderboard.render import provenance
from solidmark.plugins import Broken
from solidmark.runner import devices, options, plan, progress_report
from solidmark.runner.options import PROFILES, Options
from solidmark.runner.plan import Planned
from solidmark.runner.resume import Selection
from solidmark.runner.session import CASE_TIMEOUT, SELECTS, Session, _families, _given

WHOLE = Session(
    Options("full", ("digits",), ("rna",), "0-1", "outpaint", "ddim"),
    Path("/runs/a"),
    frozenset("ba"),
    "off",
    5.0,
    Selection("k", "m"),
)


def test_options_of_pytest_have_their_defaults(pytestconfig):
    found = {name: value for name, value in vars(pytestconfig.option).items() if name.startswith("solidmark_")}
    nothing = "profile testbed mitigation seeds queries solver run_dir resume pipeline pipeline_class pipeline_call".split()
    nothing.append("shard")
    others = {"case_timeout": 7200.0, "strict_findings": False, "workers_per_gpu": 1, "progress": "auto"}
    others["no_references"] = False
    assert found == {f"solidmark_{name}": value for name, value in {**dict.fromkeys(nothing), **others}.items()}
    assert pytestconfig.getini("solidmark") is False
    assert CASE_TIMEOUT == 7200


@pytest.mark.parametrize(
    ("name", "seeds", "testbed", "every", "experiments", "unmarked"),
    [
        ("quick", (0,), "digits-quick", False, False, False),
        ("standard", (0, 1, 2), "digits", True, False, True),
        ("full", (0, 1, 2, 3, 4, 5, 6, 7), "digits", True, True, True),
    ],
)
def test_profiles_measure_what_they_say(name, seeds, testbed, every, experiments, unmarked):
    profile, chosen = PROFILES[name], Options(profile=name)
    assert (chosen.seed_list(), chosen.testbed_list(), chosen.chosen_profile()) == (seeds, (testbed,), profile)
    assert (profile.every_setting, profile.experiments, profile.unmarked) == (every, experiments, unmarked)


def test_profiles_ask_more_queries_the_longer_they_are():
    asked = [PROFILES[name].queries for name in ("quick", "standard", "full")]
    assert asked[0] == ("outpaint", "caption-only")
    assert asked[1] == (*asked[0], "by-content", "outpaint-weights", "image-only", "average")
    assert asked[2] is None


@pytest.mark.parametrize("text", ["", "a", "-1", "1-0", "0,0", "0-2,1", "1.5", "0-"])
def test_seeds_that_say_nothing_are_refused(text):
    with pytest.raises(InvalidValue, match="--seeds: found"):
        options.parse_seeds(text)
    assert options.parse_seeds("3-3") == (3,)


def test_short_names_are_written_out_up_to_two_dashes(tmp_path):
    (tmp_path / "file").write_text("--seeds=0\n--protocol\nddim")
    given = ["--profile", "full", f"@{tmp_path / 'file'}", "@none", "-k", "x", "--", "--seeds"]
    long = ["--solidmark-profile", "full", "--solidmark-seeds=0", "--solidmark-solver", "ddim", "@none", "-k", "x"]
    assert options.with_long_names(given) == [*long, "--", "--seeds"]


def test_a_session_crosses_to_a_worker_whole():
    assert Session.from_json(WHOLE.to_json()) == WHOLE
    many = replace(WHOLE, done=frozenset("ihgfedcba"))
    assert json.loads(many.to_json())["done"] == list("abcdefghi")  # the same text in every process


def test_what_a_session_writes_it_reads_and_forgets(tmp_path):
    session = replace(WHOLE, run=tmp_path)
    assert (session.read_plan(), session.is_given_up("a"), session.was_replaced("gw0")) == ({}, False, None)
    assert not session.found_all_done()
    session.write_given_up(["a", "b"])
    session.write_replaced("gw0", "a thread")
    (tmp_path / "plan.json").write_text("{}")
    assert (session.is_given_up("a"), session.is_given_up("c"), session.was_replaced("gw0")) == (True, False, "a thread")
    assert session.found_all_done()
    assert not replace(session, done=frozenset()).found_all_done()
    session.forget_plan()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_only_what_is_left_to_do_is_planned(tmp_path):
    session = replace(WHOLE, run=tmp_path)
    made = [Planned("a", "digits", "rna", ("sampling",), order=3), Planned("b", "digits", "none", (), order=0)]
    gone = [Planned(name, "digits", name, (), left_out="elsewhere") for name in ("x", "x", "y")]
    vars(session).update(planned=made, planned_testbeds=[], _every=[*made, *gone])
    session.write_plan(["a", "x"])
    assert provenance(tmp_path) == {"left_out": {"elsewhere": ["x", "y"]}}
    expected = {
        "event": "case",
        "case_id": "a",
        "slug": "a",
        "order": 3,
        "testbed": "digits",
        "mitigation": "rna",
        "family": "rna",
    }
    assert session.read_plan() == {"a": {**expected, "weight": 1.0, "gpu": False}}


@pytest.mark.parametrize(("family", "stages", "weight"), [("none", (), 5), ("x", ("training",), 5), ("x", ("sampling",), 1)])
def test_a_training_weighs_five_queries(family, stages, weight):
    assert Planned("a", "digits", family, stages).weight == weight


def test_markers_select_testbeds_families_and_stages():
    session = replace(WHOLE, options=Options(testbeds=("digits(trained=8)",), mitigations=("x/own.py:Mine(a=1) + rna",)))
    lines = dict(line.split(": ", 1) for line in session.markers())
    assert lines["digits"] == "cases of the testbed digits"
    assert lines["rna"] == lines["own.Mine"].replace("own.Mine", "rna") == "cases of the mitigation rna"
    assert lines["post-hoc"] == "cases that act at post-hoc"
    assert lines["experiment"] == "findings over several seeds"
    assert _families("a(x=1)+b") == ["a", "b"]


def test_the_header_says_what_is_measured_and_what_is_done():
    assert WHOLE.header() == [
        "solidmark: profile full, testbeds digits, solver ddim",
        "solidmark: run folder /runs/a, 2 cases already done",
    ]
    assert replace(WHOLE, done=frozenset()).header()[1:] == ["solidmark: run folder /runs/a"]
    quick = [replace(WHOLE, options=Options(mitigations=named)).header()[2:] for named in ((), ("rna",))]
    assert quick == [[SELECTS], []]


def option(**given):
    names = "profile testbed mitigation seeds queries solver run_dir resume pipeline pipeline_class pipeline_call".split()
    every = {**dict.fromkeys([*names, "shard"]), "case_timeout": 7200.0, "progress": "auto", "no_references": False, **given}
    return SimpleNamespace(keyword="k", markexpr="m", **{f"solidmark_{name}": value for name, value in every.items()})


def begun(tmp_path, **given):
    return Session.from_options(SimpleNamespace(option=option(**given), invocation_params=SimpleNamespace(dir=tmp_path)))


def test_what_was_not_written_is_not_given():
    assert _given(option()) == {}
    given = {"profile": "full", "testbed": ["a"], "mitigation": ["b", "c"], "seeds": "0", "queries": "q", "solver": "s"}
    given |= {"pipeline_class": "f.py:C", "pipeline_call": "f.py:c"}
    names = {"testbed": "testbeds", "mitigation": "mitigations"}
    expected = {names.get(name, name): tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    assert _given(option(**given)) == expected


def test_a_new_run_has_a_folder_of_its_own(tmp_path):
    first, second, named = begun(tmp_path), begun(tmp_path), begun(tmp_path, run_dir="here", progress="plain")
    assert first.run.parent == tmp_path / "runs"
    assert first.run != second.run
    assert (named.run, named.progress, named.selection) == (tmp_path / "here", "plain", Selection("k", "m"))
    assert (first.done, first.case_timeout, first.options) == (frozenset(), 7200.0, Options())


@pytest.mark.parametrize(
    ("given", "error", "found"),
    [
        ({"case_timeout": -0.1}, InvalidValue, "--case-timeout"),
        ({"case_timeout": float("inf")}, InvalidValue, "--case-timeout"),
        ({"seeds": "x"}, InvalidValue, "--seeds"),
        ({"seeds": "1-x"}, InvalidValue, "whole numbers"),
        ({"profile": "qick"}, UnknownName, "Did you mean 'quick'"),
        ({"testbed": ["digit"]}, UnknownName, "Did you mean 'digits'"),
        ({"solver": "quick"}, UnknownName, "--solver.*fast, .*paper"),
        ({"mitigation": ["rna(coun=1)"]}, UnknownName, "Did you mean 'count'"),
        ({"mitigation": ["rna(count=-1)"]}, InvalidValue, "RandomNumbers.count: found -1"),
        ({"queries": "outpiant"}, UnknownName, "Did you mean 'outpaint'"),
        ({"queries": "outpaint, averge"}, UnknownName, "average"),
        ({"mitigation": ["rn"]}, UnknownName, "rna"),
        ({"resume": "nowhere"}, InvalidValue, "--resume"),
    ],
)
def test_a_mistake_is_told_before_anything_runs(tmp_path, given, error, found):
    assert begun(tmp_path, case_timeout=0.0).case_timeout == 0
    with pytest.raises(error, match=found):
        begun(tmp_path, **given)


def run_file(tmp_path, **selection):
    (tmp_path / "runs" / "a").mkdir(parents=True)
    facts = {"benchmark_version": 1, "options": {"seeds": "0"}, "selection": selection}
    (tmp_path / "runs" / "a" / "run.json").write_text(json.dumps(facts))


def test_a_run_that_goes_on_keeps_its_folder_and_its_selection(tmp_path):
    run_file(tmp_path, keyword="old", markers="older")
    asked = SimpleNamespace(
        option=option(resume="runs/a", run_dir="runs/a"), invocation_params=SimpleNamespace(dir=tmp_path)
    )
    asked.option.keyword = ""
    found = Session.from_options(asked)
    assert (found.run, found.options, found.selection) == (
        tmp_path / "runs" / "a",
        Options(seeds="0", references=False),
        Selection("old", "m"),
    )
    with pytest.raises(InvalidValue, match="--run-dir other"):
        begun(tmp_path, resume="runs/a", run_dir="other")


@pytest.mark.parametrize(
    ("done", "of", "t", "told"),
    [
        (3, 9, 40, "gw0: a train 3/9"),
        (7, 0, 39, "gw0: a train 7 s (no sign of life for 61 s)"),
        (7, 0, 40, "gw0: a train 7 s"),
    ],
)
def test_a_worker_is_described_with_its_silence(done, of, t, told):
    state = {"worker": "gw0", "case": "a", "action": "train", "done": done, "of": of, "t": t}
    assert progress_report.summary([state], 5, 24, 130.9, 100) == f"5 of 24 cases, about 2:10 left | {told}"
    assert progress_report.summary([], 5, 0, None, 100) == "5 cases"


@pytest.mark.parametrize(("done", "left"), [(0.0, None), (2.0, 30.0), (5.0, 0.0)])
def test_the_time_left_is_that_of_the_pace_so_far(done, left):
    assert progress_report.time_left(20.0, done, 5.0) == left


def test_a_reporter_writes_at_most_twice_a_second_and_always_the_end(tmp_path, monkeypatch):
    clock = iter((10.0, 10.4, 10.5, 10.6))
    monkeypatch.setattr(progress_report, "time", SimpleNamespace(monotonic=lambda: next(clock), time=lambda: 7.0))
    reporter, seen = progress_report.Reporter(tmp_path, "gw0", "a"), []
    for done in (1, 2, 3, 4):
        reporter("train", done, 4)
        seen.append(progress_report.read_states(tmp_path)[0]["done"])
    assert seen == [1, 1, 3, 4]
    state = {"worker": "gw0", "case": "a", "action": "train", "done": 4, "of": 4, "t": 7.0}
    assert progress_report.read_states(tmp_path) == [state]
    (tmp_path / "progress" / "gw1.json").write_text("{")
    assert progress_report.read_states(tmp_path) == [state]


def test_a_ticker_says_until_it_is_stopped():
    said = []
    ticker = progress_report.Ticker(0.001, lambda: said.append(1))
    ticker.start()
    while not said:
        pass
    ticker.stop()
    assert not ticker._thread.is_alive()
    assert ticker._thread.daemon


def config(tmp_path, benchmark=False, **more):
    given = {"args": [], "option": SimpleNamespace(numprocesses="auto", collectonly=False), "stash": pytest.Stash(), **more}
    return SimpleNamespace(
        getini=lambda name: benchmark, invocation_params=SimpleNamespace(dir=tmp_path), getoption=lambda name: 2, **given
    )


@pytest.mark.parametrize(
    ("target", "ours"),
    [
        ("solidmark.benchmark", True),
        ("solidmark.benchmark.validity", True),
        ("solidmark.benchmarks", False),
        ("copy", True),
        ("copy/other.py::test_it", True),
        ("theirs", False),
        ("nowhere", False),
    ],
)
def test_the_benchmark_is_known_by_its_own_test(tmp_path, target, ours):
    for name, text in (("copy", "def test_row(solidmark_measured): ..."), ("theirs", "def test_row(measured): ...")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "test_memorization.py").write_text(text)
    assert pytest_plugin.is_benchmark(config(tmp_path, args=["elsewhere", target])) is ours
    assert pytest_plugin.is_benchmark(config(tmp_path, benchmark=True))
    assert pytest_plugin.is_benchmark(config(tmp_path, workerinput={"solidmark": "{}"}))
    assert not pytest_plugin.is_benchmark(config(tmp_path, workerinput={}))


@pytest.mark.parametrize(("stated", "count"), [("", 6), ("0", 0), ("3", 3), (" 2 ", 2)])
def test_workers_are_as_many_as_stated_or_as_fit(tmp_path, monkeypatch, stated, count):
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", stated)
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["a", "b", "c"])
    monkeypatch.setattr(pytest_plugin, "_gains", lambda config: [True, False])
    monkeypatch.setattr(devices, "workers", lambda gpus, each, gains: len(gpus) * each * any(gains))
    assert pytest_plugin.pytest_xdist_auto_num_workers(config(tmp_path, benchmark=True)) == count
    assert pytest_plugin.pytest_xdist_auto_num_workers(config(tmp_path)) is None
    named = config(tmp_path, benchmark=True, option=SimpleNamespace(numprocesses="logical"))
    assert pytest_plugin.pytest_xdist_auto_num_workers(named) is None


@pytest.mark.parametrize("stated", ["-1", "x", "1.5"])
def test_a_number_of_workers_that_is_none_is_refused(tmp_path, monkeypatch, stated):
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", stated)
    with pytest.raises(pytest.UsageError, match="a whole number of at least 0"):
        pytest_plugin.pytest_xdist_auto_num_workers(config(tmp_path, benchmark=True))
    with pytest.raises(InvalidValue, match="at least 1"):
        pytest_plugin._count("x", "0", least=1)


def test_each_worker_is_pinned_before_it_starts(tmp_path, monkeypatch):
    monkeypatch.setattr(devices, "visible_gpus", lambda: ["a", "b"])
    monkeypatch.setattr(pytest_plugin, "_gains", lambda config: [True, False])
    told = lambda index, gpus, count, with_gpu: {"CUDA": f"{gpus[index]} of {count}, {with_gpu} with"}  # noqa: E731
    monkeypatch.setattr(devices, "worker_environment", told)
    specs = [SimpleNamespace(env={}), SimpleNamespace(env={"kept": "1"})]
    pytest_plugin.pytest_xdist_setupnodes(config(tmp_path), specs)
    assert [spec.env for spec in specs] == [{}, {"kept": "1"}]
    pytest_plugin.pytest_xdist_setupnodes(config(tmp_path, benchmark=True), specs)
    assert [spec.env for spec in specs] == [{"CUDA": "a of 2, 1 with"}, {"kept": "1", "CUDA": "b of 2, 1 with"}]


def item(case=None, name="t.py::test_it[a]", session=WHOLE, **more):
    made = SimpleNamespace(
        nodeid=name, path=Path("test_memorization.py"), fixturenames=(), get_closest_marker=lambda _: None
    )
    made.callspec = SimpleNamespace(params={} if case is None else {pytest_plugin.CASE: case})
    vars(made).update(more)
    return made


def planned(slug="a", family="x", stages=("sampling",), **more):
    return Planned(slug, "digits(trained=8)", family, stages, **more)


def test_marks_of_a_case_are_testbed_families_and_stages(monkeypatch):
    named = type("Marks", (), {"__getattr__": lambda self, name: name})()
    monkeypatch.setattr(pytest_plugin, "pytest", SimpleNamespace(mark=named))
    case = planned(family="dist:a+_b", stages=("training", "sampling"))
    assert pytest_plugin._marks(case) == ["digits", "a", "training", "sampling"]


def selected(tmp_path, items, session=WHOLE, **more):
    given = config(tmp_path, **more)
    given.stash[pytest_plugin.SESSION] = session
    given.getoption, left_out = lambda name: more.get("markexpr", ""), []
    given.hook = SimpleNamespace(pytest_deselected=lambda items: left_out.extend(items))
    pytest_plugin.pytest_collection_modifyitems(given, items)
    return items, left_out, given


def test_cases_that_are_done_are_left_out(tmp_path):
    items = [item(planned("a")), item(planned("c")), item()]
    kept, left_out, given = selected(tmp_path, list(items))
    assert (kept, left_out) == (items[1:], items[:1])
    assert given.stash[pytest_plugin.ANY_CASE]


@pytest.mark.parametrize(
    ("profile", "args", "expected"),
    [
        ("quick", [], [False, False, True]),
        ("standard", [], [False, True, True]),
        ("full", [], [True, True, True]),
        ("quick", ["x/test_curves.py::test_it"], [True, False, True]),
        ("quick", ["solidmark.benchmark.test_curves"], [True, False, True]),
    ],
)
def test_experiments_and_unmarked_trainings_are_wanted_by_profile_or_name(tmp_path, profile, args, expected):
    experiment = item(path=Path("test_curves.py"), get_closest_marker=lambda name: name == "experiment")
    items = [experiment, item(fixturenames=(pytest_plugin.TESTBED,)), item()]
    kept, *_ = selected(tmp_path, list(items), replace(WHOLE, options=Options(profile)), args=args)
    assert [one in kept for one in items] == expected


def test_experiments_are_wanted_where_their_mark_is_named(tmp_path):
    experiment = item(get_closest_marker=lambda name: name == "experiment")
    assert selected(tmp_path, [experiment], replace(WHOLE, options=Options()), markexpr="experiment")[0] == [experiment]


def test_cases_are_dealt_to_workers_trainings_first(tmp_path):
    items = [item(planned(f"{n}", stages=("training",) if n in (2, 3) else ())) for n in range(4)]
    kept, *_ = selected(tmp_path, list(items), workerinput={"workercount": 2})
    assert [one.callspec.params[pytest_plugin.CASE].slug for one in kept] == ["2", "3", "0", "1"]
    assert selected(tmp_path, list(items))[0] == items


def test_what_was_collected_is_counted_with_its_trainings(tmp_path):
    given = config(tmp_path)
    items = [item(planned("a")), item(planned("b", stages=("training",))), item()]
    assert pytest_plugin.pytest_report_collectionfinish(given, items) == ""
    given.stash[pytest_plugin.SESSION] = WHOLE
    told = "solidmark: 2 cases; with an empty store 1 of them trains a model of their own"
    assert pytest_plugin.pytest_report_collectionfinish(given, items) == told
    assert pytest_plugin.pytest_report_collectionfinish(given, items[:1]).startswith("solidmark: 1 case; with an")
    assert pytest_plugin.pytest_report_collectionfinish(given, [item()]) == ""


def test_the_header_of_a_run_has_what_is_left_out(tmp_path, monkeypatch):
    given = config(tmp_path)
    assert pytest_plugin.pytest_report_header(given) == []
    given.stash[pytest_plugin.SESSION] = WHOLE
    monkeypatch.setattr(devices, "notes", lambda: ["a GPU is busy"])
    assert pytest_plugin.pytest_report_header(given) == [*WHOLE.header(), "solidmark: a GPU is busy"]


@pytest.mark.parametrize(("worker", "ended"), [(True, pytest.skip.Exception), (False, pytest.fail.Exception)])
def test_a_case_that_was_given_up_is_not_begun(tmp_path, worker, ended):
    given, session = config(tmp_path, **({"workerinput": {}} if worker else {})), replace(WHOLE, run=tmp_path)
    given.stash[pytest_plugin.SESSION] = session
    session.write_given_up(["a"])
    pytest_plugin.pytest_runtest_setup(item(planned("b"), config=given))
    pytest_plugin.pytest_runtest_setup(item(config=given))
    with pytest.raises(ended, match=r"given up|left out"):
        pytest_plugin.pytest_runtest_setup(item(planned("a"), config=given))


def test_a_session_is_sent_to_a_worker_with_the_name_of_its_records(tmp_path):
    given = config(tmp_path)
    given.pluginmanager = SimpleNamespace(
        get_plugin=lambda name: SimpleNamespace(announce=lambda worker: f"{name} {worker}")
    )
    node = SimpleNamespace(config=given, workerinput={}, gateway=SimpleNamespace(id="gw1"))
    pytest_plugin.pytest_configure_node(node)
    assert node.workerinput == {}
    given.stash[pytest_plugin.SESSION] = WHOLE
    pytest_plugin.pytest_configure_node(node)
    assert node.workerinput == {"solidmark": WHOLE.to_json(), "solidmark_records": "solidmark-controller gw1"}


@pytest.mark.parametrize(("outcome", "shown"), [("rerun", ("rerun", "R", "RERUN")), ("passed", None)])
def test_cases_that_are_tried_again_show_as_r(outcome, shown):
    assert pytest_plugin.pytest_report_teststatus(SimpleNamespace(outcome=outcome)) == shown


def test_the_frames_of_an_error_and_of_its_causes_are_released():
    try:
        raise KeyError("outer") from ValueError("inner")
    except KeyError as caught:
        outer = caught
    sys.last_value = outer
    assert outer.__traceback__ is not None
    pytest_plugin._release(outer)
    assert outer.__traceback__ is None
    assert not hasattr(sys, "last_value")


def test_the_first_worker_alone_writes_the_plan(tmp_path):
    written, given = [], config(tmp_path)
    pytest_session = SimpleNamespace(config=given, items=[item(name="t.py::test_it[a[1]]")])
    given.stash[pytest_plugin.SESSION] = SimpleNamespace(write_plan=written.append)
    pytest_plugin.pytest_collection_finish(pytest_session)
    given.stash[pytest_plugin.ANY_CASE] = True
    for worker in ("gw1", "gw0"):
        given.workerinput = {"workerid": worker, "workercount": 2}
        pytest_plugin.pytest_collection_finish(pytest_session)
    given.option.collectonly = True
    pytest_plugin.pytest_collection_finish(pytest_session)
    assert written == [["a[1]"]]


def test_the_second_case_of_a_slug_gets_a_number():
    made = plan._with_distinct_slugs([planned("a"), planned("b"), planned("a"), planned("a")])
    assert [(one.slug, one.order) for one in made] == [("a", 0), ("b", 1), ("a-2", 2), ("a-3", 3)]


def test_a_row_crosses_to_another_process_whole():
    broken = plan.Row.of("x", Broken("x", "here", "no torch"))
    again = plan.Row.restored(json.loads(json.dumps(broken.as_json())))
    assert (again.expression, again.family, again.made) == ("x", "x", Broken("x", "here", "no torch"))
    made = plan.Row.of("rna(count=8)", plugins.compose("rna(count=8)"))
    again = plan.Row.restored(json.loads(json.dumps(made.as_json())))
    assert (again.family, again.setting, again.stages, again.made.label) == ("rna", "8", ("sampling",), made.made.label)


def test_the_identity_of_a_broken_plugin_is_its_slug_and_a_testbeds_has_its_event():
    assert planned("a").case_id == "a"
    case = SimpleNamespace(case_id="c", composition=SimpleNamespace(label="x(a=1)"))
    assert planned(case=case).case_id == "c"
    assert planned(case=case, event="testbed").case_id == "testbed-c"
    assert planned(case=case).identity()["mitigation"] == "x(a=1)"


def test_objects_of_other_fields_than_planned_are_made_anew_or_refused():
    rna = plugins.compose("rna(count=8)").parts[0].mitigation
    from solidmark import provenance

    mine, other = provenance.describe(rna), provenance.describe(replace(rna, count=2))
    assert plan._as_planned("x", rna, mine, mine) is rna
    assert plan._as_planned("x", rna, mine, other) == replace(rna, count=2)
    with pytest.raises(plugins.PluginFault, match="as another process has them"):
        plan._as_planned("x", rna, mine, {**other, "nothing": 1})


def test_a_process_takes_what_another_planned_first(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "one")
    assert plan._first("rows", [1], Options(), tmp_path) == [1]
    assert plan._first("rows", [2], Options(), tmp_path) == [1]
    assert plan._first("other", [2], Options(), tmp_path) == [2]
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "two")
    assert plan._first("rows", [3], Options(), tmp_path) == [3]
    assert os.listdir(tmp_path) == ["plans"]


@pytest.mark.parametrize(
    ("given", "rows"),
    [
        ({}, ()),
        ({"pipeline_class": "a.py:B"}, ("pipeline", "pipeline(pipeline_class='a.py:B')")),
        (
            {"pipeline_class": "a.py:B", "pipeline_call": "c.py:d"},
            ("pipeline", "pipeline(pipeline_class='a.py:B', call='c.py:d')"),
        ),
    ],
)
def test_a_strangers_pipeline_is_a_row_beside_the_stock_one(given, rows):
    assert Options(**given).foreign() == rows
