"""From records to rows and boards, by small cases: which record stands, in which row, in what order, and what is missing."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import pytest
from record_samples import (
    SOLVER,
    case,
    content,
    controls,
    cost,
    crash,
    estimate,
    failed,
    finding,
    of_testbed,
    scored,
    utility,
)
from test_each_column import record
from test_report_rules import BARE

from solidmark.errors import InvalidValue
from solidmark.leaderboard import aggregate, blocks, build, rows
from solidmark.leaderboard.build import build_leaderboard
from solidmark.schema import row as schema
from solidmark.schema.numbers import Estimate
from solidmark.schema.row import Attempt, Cost, Work


def told(status="ok", t="1", seed=0, **more):
    """As much of a record as says which row it belongs to."""
    names = {"testbed": "digits", "mitigation": "x", "family": "x", "case_id": f"{status}-{t}-{seed}"}
    return {**names, "event": "case", "status": status, "t": t, "seed": seed, "solver": SOLVER, **more}


@pytest.mark.parametrize(
    ("given", "stands"),
    [
        ([("ok", "2"), ("error", "3")], "ok-2-0"),
        ([("error", "3"), ("ok", "2")], "ok-2-0"),
        ([("ok", "2"), ("ok", "1")], "ok-2-0"),
        ([("error", "1"), ("timeout", "2")], "timeout-2-0"),
        ([("ok", "1"), ("ok", "3"), ("error", "4"), ("ok", "2")], "ok-3-0"),
    ],
)
def test_of_several_records_of_a_seed_the_last_that_is_ok_stands_and_the_others_are_noted(given, stands):
    (chosen,), notes = rows._latest_per_seed([told(*one) for one in given])
    assert chosen["case_id"] == stands
    assert len(notes) == len(given) - 1
    first, second = (f"{status}-{t}-0" for status, t in sorted(given, key=lambda one: one[1])[:2])
    assert notes[0] == f"digits, x, seed 0: measured twice, digests {first} and {second}; the later finished one counts"


def test_records_of_other_seeds_solvers_and_settings_and_those_without_a_seed_all_stand():
    each = [told(seed=1), told(seed=0), told(solver={"name": "other"}), told(mitigation="y"), told(testbed="b")]
    each += [told("error", seed=None, case_id="a"), told("error", seed=None, case_id="b")]
    each = [{**one, "t": str(place)} for place, one in enumerate(each)]
    assert rows._latest_per_seed(each[::-1]) == (each, [])


def test_a_record_that_died_without_its_solver_joins_the_first_row_of_its_name():
    dead = [told("error", solver=None, case_id="dead"), told("error", mitigation="z", solver=None, case_id="z")]
    dead.append(told("error", testbed="b", solver=None, case_id="b"))
    one, other = told(case_id="one"), told(solver={"name": "other"}, case_id="other")
    found = rows._groups([*dead, one, other])
    assert [[record["case_id"] for record in group] for group in found.values()] == [
        ["one", "dead"],
        ["other"],
        ["z"],
        ["b"],
    ]


def test_a_row_is_what_its_first_record_says_and_its_reasons_are_those_of_all_seeds():
    more = {"stage": None, "control": None, "needs": ["a", "b"], "reference": None, "parameters": None, "fidelity": "B"}
    broken = [told("error", seed=s, reason="why", **more) for s in (3, 3, 1)]
    broken[1]["not_applicable"], broken[2]["not_applicable"] = {"q": "no"}, {"r": "nor"}
    broken[0]["order"], broken[1]["order"], broken[2]["order"] = 5, 4, 6
    elsewhere = [told(family="y", stage="sampling"), told(stage=""), told(stage="training"), told(stage="post-hoc")]
    found = rows._row(broken, [*broken, *elsewhere])
    attempts = tuple(Attempt(s, "error", "why", f"error-1-{s}", "", None) for s in (3, 3, 1))
    solver = {name: value for name, value in SOLVER.items() if name != "batch"}
    assert found == replace(
        BARE, stage="training", needs=("a", "b"), solver=solver, reason="seeds 1, 3: why", attempts=attempts,
        order=4, not_applicable={"q": "no", "r": "nor"}, fidelity="B",
    )  # fmt: skip
    assert rows._stage_of("z", elsewhere) == "unknown"


def test_an_attempt_has_every_number_that_a_curve_is_made_of():
    both = {"outpaint": scored(0.6), "average": {**scored(0.7), "access": "white-box"}}
    whole = case("x", seed=4, stage="training", queries=both, content=content(0.9, 0.7), utility=utility(128))
    found = rows._attempt(whole)
    limits = Estimate(0.9, pytest.approx(0.84), pytest.approx(0.96), chance=0.5, count=64)
    assert (found.seed, found.status, found.reason, found.case_id) == (4, "ok", "", whole["case_id"])
    assert found.environment == "cpu-torch2.13.0-float32"
    assert (found.memorization.value, found.worst.value, found.worst_service.value) == (0.6, 0.7, 0.6)
    assert found.memorization == aggregate.memorization([estimate(0.6)], [64])
    assert found.content_own == limits
    assert (found.content_any.value, found.content_any.low, found.content_any.high) == pytest.approx((0.7, 0.64, 0.76))
    assert (found.accuracy, found.frechet) == (0.5, 2.9)
    bare = rows._attempt({**whole, "queries": {}, "content": content(None, 0.7), "utility": utility(None)})
    assert (bare.memorization, bare.worst, bare.content_own, bare.accuracy, bare.frechet) == (None, None, None, None, 2.9)
    silent = rows._attempt({**told(), "provenance": None})
    assert silent == Attempt(0, "ok", "", "ok-1-0", "", None)


@pytest.mark.parametrize(
    ("chosen", "queries", "known"),
    [
        ([{"a": 1.0}, {"a": 1.0}], [{"a": 0}, {"a": 0}], True),
        ([{"a": 1.0}, None], [{"a": 0}, {"a": 0}], False),
        ([{"a": 1.0}, {"b": 1.0}], [{"a": 0}, {"b": 0}], False),
        ([{"a": 1.0}, {"a": 1.0}], [{"a": 0}, {}], False),
        ([None], [{"a": 0}], False),
    ],
)
def test_a_worst_case_is_over_the_same_queries_in_every_seed(monkeypatch, chosen, queries, known):
    monkeypatch.setattr(blocks, "worst", lambda *words: words)
    each = [None if one is None else {"chosen": one} for one in chosen]
    assert rows._worst(each, queries) == ((each, queries) if known else None)


OPTIONAL = {
    "worst": None, "worst_service": None, "controls": None, "utility": None, "denoising_loss": None, "content": None,
    "space": None, "cost": None, "pipeline": None, "queries.outpaint.held_out": None, "queries.outpaint.marks": None,
    "queries.outpaint.evaluations": None, "queries.outpaint.retained": None, "queries.outpaint.avoided": None,
    "content.block": None, "content.map": None, "content.own": None, "content.distances.l2": KeyError,
    "content.map.held_out_among": "content.map.held_out",
    "utility.accuracy": None, "utility.judge_accuracy": None, "utility.ways.fresh captions": KeyError,
    "utility.ways.fresh captions.accuracy": None, "space.training": None, "cost.sampling.images": None,
    "power.outpaint": KeyError, "content.distances.l2.own": None,
    "content.distances.l2.any": None, "controls.mark_valid.decoy_error": "controls.marks.decoy_error",
    "controls.mark_valid.baseline.decoy_error": "controls.baseline_marks.decoy_error",
}  # fmt: skip
"""What a seed may lack, and what the row has in its place: null, no such name, or null under another path."""


def at(value, path):
    for name in path.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    return value


def without(value, path):
    """The same without what is at a path; null at the place of a name that is always there."""
    name, _, rest = path.partition(".")
    if rest:
        return {**value, name: without(value[name], rest)}
    kept = {key: part for key, part in value.items() if key != name}
    return {**kept, name: None} if name in ("own", "any", "judge_accuracy", "utility", "cost", "controls") else kept


@pytest.mark.parametrize("path", OPTIONAL)
@pytest.mark.parametrize("lacking", [0, 1])
def test_what_one_seed_lacks_the_row_lacks_and_nothing_else(path, lacking):
    each = [record(0), record(1)]
    whole = rows._row(each, each)
    each[lacking] = without(each[lacking], path)
    found = rows._row(each, each)
    expected, where = OPTIONAL[path], path
    if isinstance(expected, str):
        expected, where = None, OPTIONAL[path]
    assert at(whole, where) is not None
    if expected is None:
        assert at(found, where) is None
    else:
        with pytest.raises(KeyError):
            at(found, where)
    assert found.status == "ok"
    part, changed = path.partition(".")[0], {"power", "space"} if path == "controls" else {"worst", "worst_service"}
    same = {"queries", "utility", "content", "cost", "pipeline", "denoising_loss", "reported", "controls"} - {part} - changed
    assert all(getattr(found, name) == getattr(whole, name) for name in same)


def test_one_seed_is_a_row_as_well_and_a_bare_one_has_no_numbers():
    (one,) = build_leaderboard([record(0)]).rows
    assert (one.content.map.tile, one.space.factor) == (4, record(0)["space"]["factor"])
    assert one.pipeline.title == "Theirs, call wen, DDIM"
    assert (one.content.own.least > 0, one.lead.keys) == (True, 8)
    bare = rows._row([told(cost=cost(), provenance=None, queries=None, power=None, reported=None)], [])
    assert (bare.ok, bare.queries, bare.power, bare.worst, bare.reported, bare.lead) == (True, {}, None, None, None, None)
    assert (bare.cost.peak_bytes, bare.cost.training.encoded, bare.cost.training.decoded) == (None, 0.0, 0.0)
    asked = rows._row([told(queries={"a": scored()}, power=None, controls=controls(), reported=None)], [])
    assert (asked.power, asked.reported.values, [*asked.queries]) == ({}, {}, ["a"])


def test_distances_and_warnings_of_all_seeds_are_told_once():
    block = {"own": None, "any": None, "reason": "broken"}
    first, second = ({**content(0.9, 0.8), "distances": {"l2": {**block, "reason": why}}} for why in ("a", "b"))
    assert blocks.content([first, second, first, {**first, "distances": {"l2": {**block, "reason": ""}}}]).distances[
        "l2"
    ] == (schema.ContentDistance(None, None, "a; b"))
    assert blocks.content([first, content(0.9, 0.8)]).distances == {}
    assert blocks.content([content(0.9, 0.8), first]).distances == {}
    identity = {"pipeline": "Theirs", "call": None, "scheduler": "DDIM"}
    seeds = [{"identity": identity, "warnings": words, "stock": None} for words in (["b", "a"], ["a", "c"])]
    assert blocks.pipeline(seeds) == schema.Pipeline("Theirs", None, "DDIM", None, None, ("b", "a", "c"))


def test_a_query_without_rates_of_its_own_has_five_percent_and_the_largest_counts():
    old, new = scored(), {**scored(), "false_discovery_rate": 0.01}
    assert blocks.query([new]).false_discovery_rate == 0.01
    assert blocks.query([new, old]).false_discovery_rate == blocks.query([old]).false_discovery_rate == 0.05
    assert blocks._whole_p({}) == 1.0


@pytest.mark.parametrize(
    ("stated", "shipped"), [([True, True], True), ([True, False], False), ([None, None], False), ([True, None], False)]
)
def test_an_autoencoder_came_with_the_testbed_where_every_seed_says_so(stated, shipped):
    block = {"factor": 4, "key_error": 0.1, "bias": 0.2, "ceiling": estimate(0.9)}
    each = [block if one is None else {**block, "shipped": one} for one in stated]
    found = blocks.space(each, [64, 32])
    assert (found.shipped, found.training, found.factor, found.ceiling.count) == (shipped, None, 4, 32)


# Rows beside each other


def work(evaluations, images=None):
    return Work(evaluations, 0.0, 0.0, images)


@pytest.mark.parametrize(
    ("training", "sampling", "own", "relative"),
    [
        (work(8), work(10, 5), work(10, 4), (1.5, 1.25)),
        (work(0), work(0, 5), work(10, 4), (None, None)),
        (work(4), work(10, None), work(10, 4), (3.0, None)),
        (work(4), work(10, 5), work(10, None), (3.0, None)),
        (work(4), work(10, 5), work(0, 4), (3.0, 0.0)),
    ],
)
def test_costs_are_relative_to_the_baselines_training_and_image(training, sampling, own, relative):
    baseline = SimpleNamespace(cost=Cost(training, work(100), sampling))
    cost = Cost(work(7), work(5), own, 9)
    found = rows._relative(cost, baseline)
    assert found == replace(cost, relative=relative[0], sampling_relative=relative[1])
    assert rows._relative(cost, SimpleNamespace(cost=None)) is cost


def seeds(mitigation, *each, stage="training", ok=True, testbed="digits", solver="fast", **more):
    attempts = tuple(Attempt(seed, "ok", "", "", "", None) for seed in each)
    known = {"mitigation": mitigation, "family": mitigation[0], "stage": stage, "attempts": attempts, "testbed": testbed}
    return replace(BARE, solver={"name": solver} if solver else {}, queries={} if ok else None, **known, **more)


def test_rows_are_compared_with_those_of_their_testbed_and_solver_alone():
    cost = Cost(work(6), work(0), work(6, 2))
    of = lambda factor: Cost(work(6 / factor), work(0), work(6, 2))  # noqa: E731 - words
    each = [
        seeds("none", 8, 1, stage="none", ok=False, cost=of(9)),
        seeds("none", 2, 3, stage="none", cost=of(2)),
        seeds("none", 3, stage="none", cost=of(5)),
        seeds("x", 1, cost=cost),
        seeds("none", 7, stage="none", solver="slow", cost=of(3)),
        seeds("x", 8, 7, solver="slow", cost=cost),
        seeds("y", solver="slow"),
        seeds("x", 9, testbed="other", cost=cost),
    ]
    found = rows._add_comparisons(each)
    assert [one.seeds_missing for one in found] == [(2, 3), (1, 8), (1, 2, 8), (2, 3, 8), (8,), (), (), ()]
    assert [one.cost.relative if one.cost else None for one in found] == [
        pytest.approx(number) for number in (2 / 9, 1.0, 0.4, 2.0, 1.0, 3.0)
    ] + [None, None]


def test_rows_come_by_testbed_solver_stage_family_and_plan_whatever_their_order():
    expected = [
        seeds("none", stage="none"), seeds("a(2)", order=1), seeds("a(1)", order=2), seeds("b", order=0),
        seeds("c", stage="training+sampling"), seeds("d", stage="sampling"), seeds("e", stage="post-hoc", solver=""),
        seeds("f", stage="odd"), seeds("none", stage="none", solver="slow"), seeds("none", stage="none", testbed="late"),
        seeds("g", testbed="lost", solver=""),
    ]  # fmt: skip
    first = [expected[0], expected[8], expected[9]]
    rest = [one for one in expected if one not in first]
    for turn in range(4):
        assert rows._sort([*first, *rest[turn:], *rest[:turn]]) == expected
    assert rows._sort([rest[-1], rest[-3], *first, *rest[:-3], rest[-2]]) == expected


# Boards


def test_a_board_has_its_times_versions_and_notes_in_order_and_once():
    weak = f"{schema.WEAK_BASELINE} forgot"
    each = [
        case(seed=0, t="2026-01-05", case_id="b", controls=controls((weak,)), status="failed_check"),
        case(seed=1, t="2026-01-03", case_id="old"),
        case(seed=1, t="2026-01-04", case_id="new"),
        {**crash("gone"), "t": "2026-01-09"},
        {**finding(), "t": ""},
    ]
    found = build_leaderboard(each, ["a note", "another", "a note"], {"profile": "quick"}, ["a remark", "a remark"])
    twice = "digits, none, seed 1: measured twice, digests old and new; the later finished one counts"
    assert found.faults == (f"NO ROW IS BELIEVED: {weak}", "a note", "another")
    assert found.remarks == ("a remark", twice)
    assert found.notes == (*found.faults, *found.remarks)
    assert (found.measured, found.benchmark_version, found.provenance) == (
        ("2026-01-03", "2026-01-09"), 1, {"profile": "quick"},
    )  # fmt: skip
    assert [one.mitigation for one in found.rows] == ["none", "gone"]
    assert len(found.findings) == 1
    with pytest.raises(InvalidValue, match="records of versions 1 and 8; expected one version"):
        build_leaderboard([case(benchmark_version=version, case_id=str(version)) for version in (8, 1)])
    empty = build_leaderboard([])
    assert (empty.measured, empty.provenance, empty.notes, empty.agreements) == (("", ""), {}, (), ())


def test_testbeds_come_as_they_appear_by_solver_and_without_one_only_where_none_is_known():
    slow = {**SOLVER, "name": "slow"}
    each = [
        failed("lost", testbed="one", solver=None, case_id="1"),
        case(testbed="one", solver=slow, case_id="2"),
        case(testbed="one", case_id="3"),
        failed("lost", testbed="two", solver=None, case_id="4"),
        of_testbed(testbed="three", solver={"steps": 3}, slug="t3", case_id="t3"),
        of_testbed(testbed="three", solver={"name": "late"}, slug="t4", case_id="t4"),
    ]
    found = build_leaderboard(each)
    fast = {name: value for name, value in SOLVER.items() if name != "batch"}
    assert [(facts.name, facts.title, facts.solver.get("name")) for facts in found.testbeds] == [
        ("one", "one, slow", "slow"), ("one", "one, fast", "fast"), ("two", "two", None),
        ("three", "three, solver", None), ("three", "three, late", "late"),
    ]  # fmt: skip
    assert [[one.mitigation for one in found.of(facts)] for facts in found.testbeds] == [
        ["none", "lost"], ["lost", "none"], ["lost"], [], [],
    ]  # fmt: skip
    assert [found.comparison(facts).solver for facts in found.testbeds[:2]] == [{**fast, "name": "slow"}, fast]
    assert [found.baseline(facts) is not None for facts in found.testbeds] == [True, True, False, False, False]
    assert [facts.seeds for facts in found.testbeds[2:]] == [(), (0,), (0,)]


def test_a_testbed_is_told_by_its_own_whole_records_over_seeds():
    each = [of_testbed(seed, expected=f"e{seed}", case_id=f"t{seed}") for seed in (3, 1)]
    each[1]["detectors"] = each[0]["detectors"] = {"d": {"auroc": None, "reason": "no map"}}
    broken = {**of_testbed(2, case_id="t2"), "status": "error"}
    other = of_testbed(5, testbed="b", case_id="t5", slug="b")
    found = build_leaderboard([case(), *each, broken, other]).testbeds[0]
    assert (found.seeds, found.expected, found.reason, list(found.detectors)) == ((1, 3), "e3", "", ["d"])
    assert found.unmarked == blocks.utility([utility(200)] * 2)
    assert found.power["outpaint"].count == 64
    alone = build_leaderboard([case(), broken]).testbeds[0]
    assert (alone.power, alone.unmarked, alone.seeds) == (None, None, ())
    assert alone.reason == "its own case (power, cost of marking) has no record"
    assert build_leaderboard([{**each[0], "expected": None}]).testbeds[0].expected == ""


USEFUL = SimpleNamespace(accuracy=None)
KNOWN = dict.fromkeys(("accuracy", "frechet"))
UNJUDGED = {"unmarked.judge_accuracy": schema.NO_CLASSIFIER}
UNJUDGED |= dict.fromkeys(("unmarked.clip", "unmarked.clip_real"), schema.NO_CLIP)


@pytest.mark.parametrize(
    ("power", "unmarked", "accuracy", "reasons"),
    list(
        itertools.chain(
            [(None, False, None, {"power": "why", "unmarked": "why"})],
            [({"a": None, "b": Estimate(1.0)}, False, None, {"power.a": schema.NO_POWER, "unmarked": schema.NO_UTILITY})],
            [({}, True, None, {"unmarked.accuracy": schema.NO_CLASS, **UNJUDGED}), ({}, True, 1, UNJUDGED)],
        )
    ),
)
def test_what_is_unknown_of_a_testbed_has_its_reason(power, unmarked, accuracy, reasons):
    way = schema.Utility(accuracy, Estimate(1.0), 0.0, Estimate(1.0), 0.0, None, 0.0, None) if unmarked else None
    detectors = {"d": build.Detected(None, None, "no map"), "e": build.Detected(Estimate(0.9), 2.0)}
    facts = build.TestbedFacts("digits", "digits", {}, "", (), power, way, "why", detectors)
    told_ = facts.to_json()
    assert told_["reasons"] == {**reasons, "detectors.d": "no map"}
    assert (told_["name"], told_["detectors"]["e"]["evaluations"]) == ("digits", 2.0)
