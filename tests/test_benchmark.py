"""The benchmark as a user runs it, on a tiny testbed: good rows, broken plugins, killed workers, resume, reports."""

import json
from pathlib import Path

import pytest
from strangers import World, timeless

from solidmark import records


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def ran(world):
    return world.run("-n", "2", "-k", "x- or none", "--run-dir", "run")


def test_a_good_stranger_gets_its_row_and_the_baseline_too(ran):
    for family in ("none", "x-good", "x-good-training"):
        assert ran.record(family)["status"] == "ok", ran.output
    assert ran.record("x-good")["queries"]["outpaint"]["certified"]["of"] == 16
    assert ran.code == 1


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("x-missing", "No module named 'no_such_module'"),
        ("x-class", "not a subclass"),
        ("x-raises", "the stranger's own mistake"),
        ("x-nan", "NaN"),
        ("x-shape", "(16, 1, 8)"),
    ],
)
def test_a_broken_plugin_is_one_named_row_without_numbers(ran, family, message):
    record = ran.record(family)
    assert record["status"] == "error"
    assert family in record["reason"]
    assert message in record["reason"] or "x-shape" in family
    assert record["queries"] is None


def test_a_plugin_that_cannot_be_imported_names_distribution_and_entry_point(ran):
    assert "strangers 1.0, entry point x-missing = no_such_module:Thing" in ran.record("x-missing")["reason"]


def test_a_row_that_changes_nothing_is_inactive_and_not_without_effect(ran):
    record = ran.record("x-inactive")
    assert record["status"] == "failed_check"
    assert any("inactive" in fault for fault in record["controls"]["faults"])


def test_what_a_testbed_cannot_carry_is_a_hole_with_its_reason_and_no_failure(world):
    ran = world.run("-n", "0", "--mitigation", "ambient-mask-sampling", "-k", "ambient", "--run-dir", "hole", name="hole")
    record = ran.record("ambient-mask-sampling")
    assert (record["status"], record["queries"]) == ("unsupported", None)
    assert "Join it to `ambient-mask`" in record["reason"]
    assert ran.code == 0, ran.output
    assert "1 skipped" in ran.output


def test_an_answer_that_is_one_gray_is_no_valid_mark(ran):
    record = ran.record("x-graying")
    assert record["status"] == "failed_check"
    assert not record["controls"]["mark_valid"]["valid"]


@pytest.fixture(scope="module")
def attacked(world):
    queries = "outpaint,y-constant,y-peeks,y-nan,y-greedy"
    ran = world.run("-n", "0", "-k", "none", "--queries", queries, "--run-dir", "attacked", name="attacked")
    return ran.record("none")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("y-constant", "the same keys for every image, [0.25"),
        ("y-peeks", "y-peeks, planted keys that the query has looked up: M = +1.000"),
        ("y-nan", "query y-nan: found keys outside [0, 1] or NaN"),
        ("y-greedy", "query y-greedy: found 24 denoiser evaluations an image; expected at most 12, as declared"),
    ],
)
def test_a_bad_query_is_named_and_the_others_keep_their_numbers(attacked, query, message):
    assert attacked["status"] == "failed_check"
    assert [fault for fault in attacked["controls"]["faults"] if message in fault], attacked["controls"]["faults"]
    assert attacked["queries"]["outpaint"]["certified"]["of"] == 16


def test_a_killed_worker_costs_one_retry_of_one_case(ran):
    crashes = [
        record for record in records.read(ran.run)[0] if record["event"] == "crash" and "killed-once" in record["slug"]
    ]
    assert [crash["attempt"] for crash in crashes] == [1]
    record = ran.record("x-killed-once")
    assert (record["status"], record["attempt"]) == ("ok", 2)


def test_a_case_that_kills_twice_is_given_up_and_the_others_go_on(ran):
    crashes = [record for record in records.read(ran.run)[0] if record["event"] == "crash" and "x-killer" in record["slug"]]
    assert [crash["attempt"] for crash in crashes] == [1, 2]
    assert "given up" in crashes[-1]["reason"]


def test_a_killed_worker_under_another_distribution_is_one_case_given_up_and_the_others_go_on(world):
    arguments = ("-n", "1", "--dist", "loadfile", "-k", "x-killer or none or x-good")
    ran = world.run(*arguments, "--run-dir", "scopes", name="scopes")
    assert "INTERNALERROR" not in ran.output
    crashes = [record for record in records.read(ran.run)[0] if record["event"] == "crash"]
    assert [crash["attempt"] for crash in crashes] == [1, 2]
    assert ran.record("x-good")["status"] == "ok"


def test_a_run_that_ends_with_its_last_worker_fails_and_says_what_was_not_measured(world):
    two_that_kill = ("-k", "x-killer", "--seeds", "0,1")  # whichever is first ends the run, and the other has no worker
    ran = world.run("-n", "1", "--max-worker-restart", "0", *two_that_kill, "--run-dir", "ended", name="ended")
    assert ran.code not in (0, 3), ran.output
    assert ran.output.count("not measured, since the run ended before: tiny-x-killer-") == 1, ran.output


def test_two_distributions_of_one_name_both_have_a_row(ran):
    assert ran.record("strangers:x-twin")["status"] == ran.record("others:x-twin")["status"] == "ok"


def test_every_format_is_rendered_and_the_page_is_named_at_the_end(ran):
    assert {path.suffix for path in ran.run.glob("leaderboard.*")} >= {".md", ".csv", ".json", ".html"}
    assert f"leaderboard: {ran.run / 'leaderboard.html'}" in ran.output


def test_the_run_says_where_it_comes_from_without_a_folder_of_this_machine(ran):
    facts = json.loads((ran.run / "run.json").read_text())
    assert facts["packages"]["torch"]
    assert facts["benchmark_version"] == records.BENCHMARK_VERSION
    assert str(Path.home()) not in (ran.run / "run.json").read_text()


def test_resume_measures_only_what_failed(ran, world):
    again = world.run("-n", "0", "-k", "x- or none", "--resume", "run", "-m", "not x-killer")
    assert "deselected" in again.output
    assert "x-raises" in again.output
    before = [case for case in records.read(ran.run)[0] if case.get("family") == "none" and case["event"] == "case"]
    assert len(before) == 1


def test_resume_on_another_benchmark_version_is_refused(world, ran):
    other = world.folder / "other"
    other.mkdir(exist_ok=True)
    (other / "run.json").write_text(json.dumps({"benchmark_version": 99}))
    refused = world.run("--resume", "other")
    assert refused.code == 4
    assert "benchmark version 99" in refused.output


def test_two_runs_of_one_seed_give_equal_records_but_for_times(world, ran):
    first = ran.record("x-good")
    again = world.run("-n", "0", "-k", "x-good", "--run-dir", "again", name="again").record("x-good")
    assert timeless(first) == timeless(again)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mitigation", "x-godo"], "Did you mean 'x-good'"),
        (["--mitigation", "x-twin"], "others:x-twin or strangers:x-twin"),
        (["--mitigation", "x-missing"], "No module named"),
    ],
)
def test_a_misspelling_is_reported_before_anything_runs(world, arguments, message):
    refused = world.run("--collect-only", "-q", *arguments)
    assert message in refused.output
    assert refused.code != 0


def test_a_run_folder_that_cannot_be_written_is_reported_at_the_start(world):
    (world.folder / "file").write_text("not a folder")
    refused = world.run("-k", "none", "--run-dir", "file/run")
    assert "--run-dir" in refused.output
    assert refused.code == 4


@pytest.mark.parametrize(
    ("targets", "some"), [((), False), (("solidmark.benchmark.test_validity", "solidmark.benchmark.test_testbeds"), True)]
)
def test_experiments_and_unmarked_models_are_wanted_where_their_file_is_named(world, targets, some):
    listed = world.run("--collect-only", "-q", "--mitigation", "none", *targets)
    assert ("test_validity[dose]" in listed.output) == some
    assert ("test_the_leading_query_finds_what_is_memorized" in listed.output) == some
