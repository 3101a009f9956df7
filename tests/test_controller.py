"""The controller: what the short table at the end of a run says."""

import itertools
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from record_samples import case, failed, utility
from xdist.scheduler import EachScheduling, LoadFileScheduling, LoadGroupScheduling, LoadScopeScheduling

from solidmark import pytest_plugin
from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.standing import standings
from solidmark.records import announced
from solidmark.runner.board_table import cells
from solidmark.runner.controller import Controller, _try_again
from solidmark.runner.options import Options
from solidmark.runner.progress_report import Reporter, read_states
from solidmark.runner.session import Session


def short_row(record):
    board = build_leaderboard([record])
    return cells(standings(board, board.testbeds[0])[0])


def test_a_row_of_the_short_table_has_interval_count_and_status():
    assert short_row(case()) == ["none", "baseline", "0.880 [0.860, 0.900]", "56 of 64", "0.64"]


def test_a_row_without_accuracy_keeps_its_other_numbers():
    assert short_row(case(utility=utility(None)))[3:] == ["56 of 64", "–"]


def test_a_row_without_numbers_has_its_status_alone():
    assert short_row(failed("rna")) == ["rna", "error", "", "", ""]


@pytest.fixture
def controller(tmp_path):
    config = SimpleNamespace(
        invocation_params=SimpleNamespace(args=()), pluginmanager=SimpleNamespace(get_plugin=lambda name: None)
    )
    return Controller(Session(Options(), tmp_path / "runs" / "mine", progress="off"), config)


def point(controller):
    """The controller at its first record: where `runs/latest` points."""
    (controller.run / "records").mkdir(parents=True)
    (controller.run / "records" / "main.jsonl").write_text("\n")
    controller._point_latest()
    link = controller.run.parent / "latest"
    return os.readlink(link) if link.is_symlink() else None


def test_latest_points_to_a_run_from_its_first_record_on(controller):
    controller._point_latest()
    assert not os.path.lexists(controller.run.parent / "latest")
    assert point(controller) == "mine"


@pytest.mark.parametrize(
    ("facts", "after"),
    [({"benchmark_version": 1}, "mine"), ({"name": "theirs"}, "other"), ([], "other"), (None, "other")],
)
def test_latest_is_moved_from_a_run_of_ours_alone(controller, facts, after):
    other = controller.run.parent / "other"
    other.mkdir(parents=True)
    if facts is not None:
        (other / "run.json").write_text(json.dumps(facts))
    (other.parent / "latest").symlink_to("other")
    assert point(controller) == after


@pytest.mark.parametrize(("gone", "after"), [("20261126T152500Z-ab12cd", "mine"), ("exp1", "exp1")])
def test_a_link_to_a_run_that_was_removed_is_moved(controller, gone, after):
    controller.run.parent.mkdir()
    (controller.run.parent / "latest").symlink_to(gone)
    assert point(controller) == after


def test_a_folder_called_latest_stays(controller):
    (controller.run.parent / "latest").mkdir(parents=True)
    assert point(controller) is None


def crash(controller, sched):
    """The report of a case whose worker was killed, and what the controller has noted."""
    report = SimpleNamespace(longrepr="worker 'gw0' crashed", outcome="failed", when="???", nodeid="t.py::test_it[a]")
    controller.pytest_handlecrashitem("t.py::test_it[a]", report, sched)
    controller.pytest_runtest_logreport(report)
    written = next(Path(controller.run / "records").glob("*.jsonl")).read_text().splitlines()
    return report.outcome, json.loads(written[-1])["reason"]


def refuse(nodeid):
    raise NotImplementedError


TAKES = SimpleNamespace(mark_test_pending=lambda nodeid: None)
PUTS_BACK = SimpleNamespace(mark_test_pending=refuse, workqueue={})
CANNOT = SimpleNamespace(mark_test_pending=refuse)


@pytest.mark.parametrize(
    ("sched", "outcome", "told", "code"),
    [(TAKES, "rerun", "tried again", 1), (PUTS_BACK, "rerun", "tried again", 1), (CANNOT, "failed", "given up", 0)],
)
def test_a_killed_case_is_tried_again_where_the_scheduler_can_and_else_given_up(controller, sched, outcome, told, code):
    ended, reason = crash(controller, sched)
    assert ended == outcome
    assert told in reason
    assert controller.session.is_given_up("a") == (told == "given up")
    session = SimpleNamespace(exitstatus=pytest.ExitCode.OK)
    controller.pytest_sessionfinish(session)
    assert session.exitstatus == code  # a case that was to be tried again, and was not


def test_a_case_that_a_scheduler_puts_back_for_ever_is_given_up_after_the_second_time(controller):
    crash(controller, PUTS_BACK)
    assert not controller.session.is_given_up("a")
    assert "given up" in crash(controller, PUTS_BACK)[1]
    assert controller.session.is_given_up("a")


def test_a_case_of_a_worker_that_ended_by_itself_is_handed_on_and_not_blamed(controller):
    controller.session.write_replaced("gw0", "tiny-bad-s0: a thread goes on")
    node = SimpleNamespace(gateway=SimpleNamespace(id="gw0"))
    report = SimpleNamespace(longrepr="crashed", outcome="failed", when="???", nodeid="t.py::test_it[a]", node=node)
    controller.pytest_handlecrashitem("t.py::test_it[a]", report, TAKES)
    assert report.outcome == "rerun"
    assert list(controller.run.rglob("*.jsonl")) == []


@pytest.mark.parametrize(("deaths", "stopped"), [(20, False), (21, True)])
def test_a_run_whose_workers_end_in_turn_before_any_case_stops(controller, deaths, stopped):
    manager = SimpleNamespace(shouldstop=False)
    controller.config.pluginmanager.get_plugin = lambda name: manager
    for number in range(deaths):
        node = SimpleNamespace(gateway=SimpleNamespace(id=f"gw{number}"))
        controller.pytest_testnodedown(node, "Not properly terminated")
    assert bool(manager.shouldstop) == stopped


def test_a_worker_that_ended_has_no_progress(controller):
    Reporter(controller.run, "gw0", "a")("train", 1, 1)
    controller.pytest_testnodedown(SimpleNamespace(gateway=SimpleNamespace(id="gw0")), None)
    assert read_states(controller.run) == []


@pytest.mark.parametrize(("given", "limit"), [(None, pytest_plugin.RESTARTS), ("4", "4")])
def test_workers_are_replaced_as_often_as_it_takes_unless_the_user_says_otherwise(monkeypatch, given, limit):
    monkeypatch.setattr(pytest_plugin, "is_benchmark", lambda config: True)
    config = SimpleNamespace(option=SimpleNamespace(maxworkerrestart=given))
    pytest_plugin.pytest_cmdline_main(config)
    assert config.option.maxworkerrestart == limit


@pytest.mark.parametrize("dist", ["no", "load", "loadfile", "loadscope", "loadgroup", "worksteal", "each"])
@pytest.mark.parametrize("ours", [True, False])
def test_a_way_to_deal_cases_by_which_all_workers_had_all_is_refused_in_our_runs(dist, ours):
    option = SimpleNamespace(dist=dist, maxworkerrestart="3")
    config = SimpleNamespace(option=option, getini=lambda name: ours, args=[])
    if dist == "each" and ours:
        with pytest.raises(pytest.UsageError, match=r"--dist each: .* Choose load"):
            pytest_plugin.pytest_cmdline_main(config)
    else:
        pytest_plugin.pytest_cmdline_main(config)


@pytest.mark.parametrize(
    ("kind", "again"),
    [(LoadScopeScheduling, True), (LoadFileScheduling, True), (LoadGroupScheduling, True), (EachScheduling, False)],
)
def test_a_case_whose_worker_died_is_tried_again_by_every_scheduler_that_deals_it_once(kind, again):
    sched = kind.__new__(kind)
    if again:
        sched.workqueue = {}  # what its `__init__` makes
    assert _try_again(sched, "x[a]") is again


def test_in_whatever_order_tests_are_shuffled_workers_begin_with_the_longest():
    case = lambda name, weight, leads: SimpleNamespace(  # noqa: E731
        callspec=SimpleNamespace(params={pytest_plugin.CASE: SimpleNamespace(name=name, weight=weight, leads=leads)})
    )
    items = [case("none", 5.0, True), case("long", 9.0, False), case("short", 1.0, False)]
    for shuffled in itertools.permutations(items):  # as pytest-randomly and pytest-random-order do
        assert pytest_plugin._ordered(list(shuffled)) == items


def test_a_case_that_another_plugin_runs_again_has_not_ended(controller):
    for outcome, ended in (("rerun", set()), ("passed", {"a"})):  # as pytest-rerunfailures says
        controller.pytest_runtest_logreport(SimpleNamespace(nodeid="x[a]", outcome=outcome, when="call"))
        assert controller._finished == ended


def test_a_name_is_announced_before_its_worker_starts(controller):
    name = controller.announce("gw0")
    assert announced.read(controller.run) == controller._names
    assert announced.covers(controller._names, f"{name}.jsonl")


def test_a_line_counts_once_its_worker_has_told_it_and_no_other_name_does(controller):
    name = controller.announce("gw0")
    assert announced.lines(controller.run)[name] == []
    report = SimpleNamespace(nodeid="x[a]", outcome="passed", when="setup", solidmark_lines={name: ["aa"], "theirs": ["bb"]})
    controller.pytest_runtest_logreport(report)
    assert announced.lines(controller.run) == {name: ["aa"], controller._writer.name: []}


@pytest.mark.parametrize(("worker", "whole", "code"), [(True, True, True), (False, True, False), (False, False, False)])
def test_a_process_gives_up_where_what_changed_cannot_be_put_back(worker, whole, code):
    config = SimpleNamespace(stash=pytest.Stash(), **({"workerinput": {}} if worker else {}))
    session = SimpleNamespace(config=config, shouldstop=False)
    pytest_plugin.give_up(session, "bad: a thread goes on", is_whole=whole)
    assert (pytest_plugin.GIVEN_UP in config.stash) == code
    assert bool(session.shouldstop) == (not worker and not whole)
