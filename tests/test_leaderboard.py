"""From records to the rows, testbeds and incidents of a leaderboard."""

import json
import subprocess
import sys

import pytest
from record_samples import SOLVER, case, controls, cost, crash, failed, of_testbed, scored, utility

from solidmark.errors import InvalidValue
from solidmark.leaderboard import NO_CLASS, NO_POWER, NO_WORST, build_leaderboard


def test_seeds_of_a_mitigation_become_one_row() -> None:
    (row,) = build_leaderboard([case(seed=0, m=0.8), case(seed=1, m=0.9)]).rows
    assert row.seeds == (0, 1)
    assert row.lead is not None
    assert row.lead.memorization.value == pytest.approx(0.85)


def test_rows_are_sorted_by_stage_family_and_setting_not_by_merit() -> None:
    names = {"z": "sampling", "b(x=2)": "training", "b(x=1)": "training", "a": "post-hoc", "a+b": "training+sampling"}
    board = build_leaderboard([*(case(name, 0.5, 0, stage) for name, stage in names.items()), case()])
    assert [row.mitigation for row in board.rows] == ["none", "b(x=2)", "b(x=1)", "a+b", "z", "a"]


def test_settings_that_finished_out_of_order_are_put_in_order() -> None:
    planned = {4: 0, 3: 1, 2: 2, 1: 3}
    board = build_leaderboard([case(f"b(x={x})", stage="training", order=planned[x]) for x in (1, 3, 2, 4)])
    assert [row.setting for row in board.rows] == ["x=4", "x=3", "x=2", "x=1"]


def test_a_row_with_a_failed_seed_has_no_mean() -> None:
    (row,) = build_leaderboard([case("rna", seed=0, stage="training"), failed("rna", seed=1, reason="out of luck")]).rows
    assert (row.status, row.queries, row.utility, row.cost) == ("incomplete", None, None, None)
    assert row.reason == "seed 1: out of luck"
    assert row.attempts[0].memorization is not None


def test_a_seed_that_was_never_measured_only_leaves_fewer_seeds() -> None:
    board = build_leaderboard([case(seed=0), case(seed=1), case("rna", seed=0, stage="training")])
    assert board.rows[1].ok
    assert board.rows[1].seeds_missing == (1,)


def test_a_failed_control_takes_the_numbers_away_and_says_why() -> None:
    record = case("rna", stage="training", status="failed_check", controls=controls(faults=("M = 0.5 is not 0",)))
    board = build_leaderboard([case(), record])
    assert (board.rows[1].status, board.rows[1].queries) == ("failed_check", None)
    assert board.incidents[0].reason == "M = 0.5 is not 0"


def test_a_case_that_crashed_and_was_tried_again_keeps_its_row() -> None:
    board = build_leaderboard([crash("none"), case()])
    assert board.rows[0].ok
    assert board.incidents[0].afterwards == "tried again: ok"


def test_a_case_that_crashed_for_good_is_a_row_without_numbers() -> None:
    crashes = [crash("rna(share=2)", attempt=attempt) for attempt in (1, 2)]
    board = build_leaderboard([case("rna(share=1)", stage="sampling"), *crashes])
    row = board.rows[1]
    assert (row.status, row.stage, row.queries) == ("crashed", "sampling", None)
    assert len(board.incidents) == 2


def test_a_plugin_that_broke_before_it_was_a_case_is_a_row() -> None:
    fields = ("event", "case_id", "slug", "testbed", "family", "mitigation", "status", "reason")
    broken = {name: failed("bad")[name] for name in fields}
    (row,) = build_leaderboard([broken]).rows
    assert (row.status, row.stage, row.reason, row.seeds) == ("error", "unknown", "it broke", ())


def test_an_attempt_that_finished_counts_more_than_a_later_one_that_failed() -> None:
    board = build_leaderboard([case(m=0.7), failed("none", stage="none")])
    assert board.rows[0].ok
    assert board.incidents == ()


def test_the_later_of_two_measurements_of_a_row_and_seed_counts_and_is_noted() -> None:
    old, new = case(m=0.1, case_id="old", t="2026-01-01"), case(m=0.9, case_id="new", t="2026-01-02")
    board = build_leaderboard([new, old])
    assert board.rows[0].lead is not None
    assert board.rows[0].lead.memorization.value == pytest.approx(0.9)
    assert "measured twice" in board.notes[0]


def test_versions_of_the_benchmark_are_not_mixed() -> None:
    with pytest.raises(InvalidValue, match="versions 1 and 2"):
        build_leaderboard([case(), case("rna", benchmark_version=2)])


def test_solvers_are_rows_and_testbeds_of_their_own() -> None:
    paper = {**SOLVER, "name": "paper", "steps": 250}
    board = build_leaderboard([case(), case(solver=paper, case_id="p"), case("rna", stage="sampling")])
    assert [facts.title for facts in board.testbeds] == ["digits, fast", "digits, paper"]
    assert [len(board.of(facts)) for facts in board.testbeds] == [2, 1]


def test_how_many_images_are_sampled_together_is_no_part_of_a_row() -> None:
    board = build_leaderboard([case(seed=0), case(seed=1, solver={**SOLVER, "batch": 8})])
    assert len(board.rows) == 1


def test_training_is_counted_relative_to_the_baselines() -> None:
    board = build_leaderboard([case(), case("early", stage="training", cost=cost(9600))])
    assert [row.cost.relative for row in board.rows if row.cost] == [1.0, 0.5]


def test_only_queries_that_every_seed_has_are_averaged() -> None:
    two = {"outpaint": scored(), "average": scored()}
    (row,) = build_leaderboard([case(seed=0, queries=two), case(seed=1)]).rows
    assert list(row.queries or ()) == ["outpaint"]


def test_a_testbed_says_its_power_and_its_utility_without_marks() -> None:
    facts = build_leaderboard([case(), of_testbed(seed=0), of_testbed(seed=1)]).testbeds[0]
    assert facts.seeds == (0, 1)
    assert facts.power is not None
    assert facts.power["image-only"].value == pytest.approx(0.3)
    assert facts.unmarked is not None
    assert facts.unmarked.accuracy.count == 400


def test_no_records_are_an_empty_leaderboard() -> None:
    board = build_leaderboard([])
    assert (board.rows, board.testbeds, board.benchmark_version) == ((), (), None)


def test_what_is_unknown_is_null_with_a_reason() -> None:
    (row,) = build_leaderboard([failed("rna")]).to_json()["rows"]
    assert all(row[name] is None and row["reasons"][name] for name in ("queries", "worst", "utility", "denoising_loss"))


def test_the_json_of_a_row_has_the_shape_of_a_record() -> None:
    record = case(utility={**utility(), "clip": {"value": 24.0, "real": 27.0}})
    row = build_leaderboard([record]).to_json()["rows"][0]
    assert row["queries"]["outpaint"]["memorization"]["value"] == pytest.approx(0.88)
    assert row["queries"]["outpaint"]["within"]["0.1"]["of"] == 512
    assert set(record["utility"]) | {"frechet_real", "kernel_real", "clip_real"} == set(row["utility"])


def test_the_json_survives_being_written_and_read() -> None:
    board = build_leaderboard([case(), failed("rna"), crash("x"), of_testbed()], ["torn"], {"profile": "quick"}).to_json()
    again = json.loads(json.dumps(board, allow_nan=False))
    assert again["rows"][0]["queries"] == board["rows"][0]["queries"]


def test_building_a_leaderboard_needs_no_torch() -> None:
    code = "import solidmark.leaderboard, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_worst_case_is_in_the_json_without_a_reason() -> None:
    row = build_leaderboard([case(queries={"outpaint": scored(0.4), "average": scored(0.7)})]).to_json()["rows"][0]
    assert row["worst"]["memorization"]["value"] == pytest.approx(0.7)
    assert row["worst"]["chosen"] == {"outpaint": 0.0, "average": 1.0}
    assert "worst" not in row["reasons"]


def test_seeds_that_were_asked_different_queries_have_no_worst_case_in_common() -> None:
    two = {"outpaint": scored(), "average": scored()}
    (row,) = build_leaderboard([case(seed=0, queries=two), case(seed=1)]).rows
    assert row.worst is None
    assert row.reasons["worst"] == NO_WORST


def test_a_record_older_than_the_worst_case_still_makes_a_row() -> None:
    old = {name: value for name, value in case().items() if name not in ("worst", "power", "not_applicable")}
    (row,) = build_leaderboard([old]).rows
    assert (row.ok, row.worst, row.power, row.not_applicable) == (True, None, {}, {})


def test_no_accuracy_and_no_power_are_null_with_a_reason() -> None:
    power = {"outpaint": {"value": 1.0, "low": 1.0, "high": 1.0}, "relearn": None}
    board = build_leaderboard([case(power=power, utility=utility(None)), of_testbed(right=None, power=power)]).to_json()
    (row,), (facts,) = board["rows"], board["testbeds"]
    assert (row["utility"]["accuracy"], row["power"]["relearn"], facts["power"]["relearn"]) == (None, None, None)
    assert (row["reasons"]["utility.accuracy"], row["reasons"]["power.relearn"]) == (NO_CLASS, NO_POWER)
    assert (facts["reasons"]["unmarked.accuracy"], facts["reasons"]["power.relearn"]) == (NO_CLASS, NO_POWER)


def test_queries_that_were_not_applicable_are_named() -> None:
    (row,) = build_leaderboard([case(not_applicable={"caption-only": "no captions"})]).rows
    assert row.not_applicable == {"caption-only": "no captions"}


def test_a_crash_that_says_nothing_but_its_name_is_an_incident() -> None:
    fields = ("event", "case_id", "slug", "status", "reason", "attempt")
    board = build_leaderboard([{name: crash("x")[name] for name in fields}])
    assert (board.rows, len(board.incidents)) == ((), 1)
