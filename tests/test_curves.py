"""Curves of memorization against utility, and their distance from the reference of their stage."""

from dataclasses import replace

import numpy as np
import pytest
from curve_samples import LOSSES, MEMORIES, Numbers, curve
from hypothesis import given
from hypothesis import strategies as st
from record_samples import case, failed, scored, utility
from scipy import stats

from solidmark.errors import InvalidValue
from solidmark.leaderboard import Estimate, build_leaderboard
from solidmark.leaderboard.curves import Curve, Point, frontier
from solidmark.leaderboard.excess import EQUAL, CurveVerdict, Excess, between, excesses, judge
from solidmark.leaderboard.matched import MatchedComparison
from solidmark.leaderboard.measures import AXES
from solidmark.leaderboard.paired import jackknife, p_value

AT = np.linspace(0, 0.5, 11)


def excess_of(family: Curve, noise: float = 0.0) -> Excess:
    """The family's excess over the reference."""
    (excess,) = excesses([curve("reference", seeds=len(family.seeds), noise=noise, seed=99), family])
    return excess


def of_seeds(whole: Curve, count: int) -> Curve:
    """The same curve of its first seeds alone."""
    points = tuple(replace(p, losses=p.losses[:count], memories=p.memories[:count]) for p in whole.points)
    return replace(whole, seeds=whole.seeds[:count], points=points)


def shifted(by: float) -> Numbers:
    """A curve that remembers less by so much at every setting, the first of which loses nothing."""
    return tuple(m - by for m in MEMORIES)


def test_a_frontier_goes_through_the_points_of_a_convex_curve() -> None:
    line = frontier(np.array(LOSSES), np.array(MEMORIES), np.array(LOSSES))
    assert line == pytest.approx(MEMORIES)


def test_between_two_settings_a_frontier_is_their_chord_and_beyond_the_last_it_is_flat() -> None:
    line = frontier(np.array([0.0, 0.2]), np.array([0.8, 0.4]), np.array([0.05, 0.1, 0.2, 0.5]))
    assert line == pytest.approx([0.7, 0.6, 0.4, 0.4])


def test_a_setting_that_others_beat_changes_nothing() -> None:
    worse = frontier(np.array([*LOSSES, 0.2]), np.array([*MEMORIES, 0.9]), AT)
    assert worse == pytest.approx(frontier(np.array(LOSSES), np.array(MEMORIES), AT))


def test_a_setting_that_gains_utility_counts_at_no_loss() -> None:
    assert frontier(np.array([0.0, -0.1]), np.array([0.8, 0.5]), np.array([0.0])) == pytest.approx([0.5])


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-0.2, 1)), min_size=1, max_size=7), st.randoms())
def test_a_frontier_falls_whatever_the_order_and_never_beats_the_best_point(pairs, random) -> None:
    points = [(0.0, 0.9), *pairs]
    line = frontier(*np.array(points).T, AT)
    random.shuffle(points)
    assert line == pytest.approx(frontier(*np.array(points).T, AT))
    assert (np.diff(line) <= 1e-12).all()
    assert line.min() >= min(m for _, m in points) - 1e-12


@pytest.mark.parametrize("losses", [[0.1, 0.2], [0.0, np.nan]])
def test_a_frontier_without_the_baseline_or_with_nan_is_refused(losses: list[float]) -> None:
    with pytest.raises(InvalidValue, match=r"curves\.frontier"):
        frontier(np.array(losses), np.array([0.5, 0.5]), AT)


def test_the_jackknife_of_a_mean_is_students_interval_and_test() -> None:
    values = np.random.default_rng(0).normal(0.1, 0.1, 7)
    estimate = jackknife(np.array([values.mean(), *(np.delete(values, out).mean() for out in range(7))]))
    test = stats.ttest_1samp(values, 0)
    interval = test.confidence_interval()
    assert (estimate.low, estimate.high, p_value(estimate)) == pytest.approx((interval.low, interval.high, test.pvalue))


def test_identical_curves_have_no_excess_and_are_equal() -> None:
    excess = excess_of(curve("twin"))
    assert excess.estimate == Estimate(0.0, 0.0, 0.0, 0.0, count=8)
    assert (excess.verdict, excess.p) == (CurveVerdict.EQUAL, 1.0)


def test_a_curve_that_lies_a_fifth_lower_is_real_and_one_that_lies_higher_is_worse() -> None:
    for by, verdict in ((0.2, CurveVerdict.REAL), (-0.2, CurveVerdict.WORSE)):
        excess = excess_of(curve("shifted", shifted(by), noise=0.01), noise=0.01)
        assert excess.estimate is not None
        assert excess.estimate.low < by < excess.estimate.high
        assert excess.verdict is verdict


def test_the_excess_is_the_area_between_the_curves_over_its_width() -> None:
    """Chords from 0.8 at no loss to 0.3 and to 0.5 at a loss of 0.25: a triangle of half of 0.2."""
    family, reference = curve("family", (0.8, 0.3), (0.0, 0.25)), curve("reference", (0.8, 0.5), (0.0, 0.25))
    estimate = between(family, reference)
    assert estimate is not None
    assert estimate.value == pytest.approx(0.1)


def test_a_family_of_one_setting_is_a_chord_from_the_baseline() -> None:
    (_, first), *_, (_, last) = curve("one", (0.8, 0.4), (0.0, 0.3)).line()
    assert (first.value, last.value) == pytest.approx((0.8, 0.4))


@pytest.mark.parametrize(("seeds", "reason"), [(1, "1 seed: an interval"), (2, "2 seeds: an interval")])
def test_without_an_interval_all_is_undecided_and_the_report_says_why(seeds: int, reason: str) -> None:
    excess = excess_of(curve("shifted", shifted(0.4), seeds=seeds))
    assert (excess.verdict, excess.p) == (CurveVerdict.UNDECIDED, None)
    assert reason in excess.reason


def test_below_six_seeds_there_is_an_interval_and_no_p_value() -> None:
    for seeds in (3, 5, 6):
        excess = excess_of(curve("shifted", shifted(0.4), seeds=seeds, noise=0.01), noise=0.01)
        assert excess.verdict is CurveVerdict.REAL
        assert (excess.p is None) == (seeds < 6)
        assert ("too few seeds" in excess.to_json()["reasons"].get("p", "")) == (seeds < 6)


def test_what_is_real_by_itself_is_undecided_among_many() -> None:
    families = [curve(f"f{n}", noise=0.15, seed=n) for n in range(20)]
    alone = curve("alone", shifted(0.12), noise=0.15, seed=50)
    reference = curve("reference", noise=0.15, seed=99)
    assert excesses([reference, alone])[0].verdict is CurveVerdict.REAL
    assert excesses([reference, alone, *families])[0].verdict is CurveVerdict.UNDECIDED


def test_a_difference_too_small_to_matter_is_never_real() -> None:
    tiny = Estimate(EQUAL / 2, 0.001, EQUAL + 0.001, 0.01, count=8)
    assert judge(tiny, 0.0001)[0] is CurveVerdict.UNDECIDED
    assert judge(Estimate(0.02, 0.01, 0.03, 0.001, count=8), 0.0001)[0] is CurveVerdict.EQUAL


@pytest.mark.parametrize("seeds", [3, 8])
def test_twins_of_the_reference_are_rarely_real(seeds: int) -> None:
    """200 runs at a true rate of 5 % would give more than 16 once in forty times."""
    verdicts = [
        excesses([noisy("reference", seeds, 2 * run), noisy("twin", seeds, 2 * run + 1)])[0].verdict for run in range(200)
    ]
    assert verdicts.count(CurveVerdict.REAL) <= stats.binom.ppf(0.975, 200, 0.05)


def noisy(family: str, seeds: int, run: int) -> Curve:
    """A curve whose utility and memorization are both measured with noise."""
    rng = np.random.default_rng(run)
    losses = np.array(LOSSES)[:, None] + 0.04 * rng.standard_normal((4, seeds)) * np.array([[0], [1], [1], [1]])
    memories = np.array(MEMORIES)[:, None] + 0.03 * rng.standard_normal((4, seeds))
    points = tuple(Point(str(index), tuple(losses[index]), tuple(memories[index])) for index in range(4))
    reference = family == "reference"
    return Curve(family, "training", reference, reference, "accuracy", "worst", tuple(range(seeds)), points)


def compared(*records: object) -> MatchedComparison:
    """The comparison on the one testbed of these records."""
    return build_leaderboard(list(records)).matched[0]  # type: ignore[arg-type]  # records, as objects


def of(comparison: MatchedComparison, family: str, axis: str = "accuracy", measure: str = "worst") -> Curve:
    """The curve of one family."""
    return next(curve for curve in comparison.curves_on(axis, measure) if curve.family == family)


def stop(m: float, right: int, seed: int = 0, share: float = 0.5) -> dict[str, object]:
    """A point of a reference curve of training."""
    reference = {"control": True, "reference_curve": True, "utility": utility(right)}
    return case(f"stop(share={share})", m, seed, "training", **reference)


def test_a_row_becomes_a_point_by_its_loss_against_the_baseline_of_its_seed() -> None:
    comparison = compared(case(utility=utility(200)), case("x(a=1)", 0.5, stage="training", utility=utility(150)))
    first, second = of(comparison, "x").points
    assert (first.mitigation, first.loss, first.memory) == ("none", 0.0, pytest.approx(0.88))
    assert (second.mitigation, second.loss, second.memory) == ("x(a=1)", pytest.approx(0.25), pytest.approx(0.5))


def test_a_point_is_the_mean_over_its_seeds_and_keeps_each() -> None:
    """Two seeds of different M and different accuracy of the baseline."""
    baseline = [case(m=0.8, seed=0, utility=utility(200)), case(m=0.6, seed=1, utility=utility(100))]
    rows = [case("x", m, seed, "training", utility=utility(50)) for seed, m in ((0, 0.5), (1, 0.1))]
    first, second = of(compared(*baseline, *rows), "x").points
    assert (first.memories, first.memory) == ((pytest.approx(0.8), pytest.approx(0.6)), pytest.approx(0.7))
    assert (second.losses, second.loss) == ((pytest.approx(0.75), pytest.approx(0.5)), pytest.approx(0.625))
    assert (second.memories, second.memory) == ((pytest.approx(0.5), pytest.approx(0.1)), pytest.approx(0.3))


def test_a_curve_at_a_loss_is_the_frontier_of_the_means_with_the_jackknife_of_its_seeds() -> None:
    family = curve("x", (0.8, 0.4), (0.0, 0.1), seeds=5, noise=0.1)
    middle = np.mean([point.memories for point in family.points], axis=0)  # half way, by a coin flip a seed
    interval = stats.ttest_1samp(middle, 0).confidence_interval()
    found = family.at(0.05)
    assert found is not None
    assert (found.value, found.low, found.high, found.count) == pytest.approx((middle.mean(), *interval, 5))


def test_the_frontiers_of_a_curve_leave_out_each_seed_in_turn() -> None:
    family = curve("x", (0.8, 0.4), (0.0, 0.1), seeds=4, noise=0.1)
    values = np.array(family.points[1].memories)
    at = family.frontiers(np.array([0.1]), (0, 2, 3))[:, 0]
    assert at == pytest.approx(
        [values[[0, 2, 3]].mean(), values[[2, 3]].mean(), values[[0, 3]].mean(), values[[0, 2]].mean()]
    )
    assert family.frontiers(np.array([0.1]), (1,))[:, 0] == pytest.approx([values[1]])


@pytest.mark.parametrize(("few", "many"), [(4, 8), (8, 4)])
def test_an_excess_over_unequal_seeds_is_that_over_the_seeds_of_both(few: int, many: int) -> None:
    family = curve("family", shifted(0.2), seeds=few, noise=0.05, seed=1)
    (excess,) = excesses([curve("reference", seeds=many, noise=0.05, seed=2), family])
    (alone,) = excesses([of_seeds(curve("reference", seeds=many, noise=0.05, seed=2), 4), of_seeds(family, 4)])
    assert excess.seeds == alone.seeds == (0, 1, 2, 3)
    assert excess.estimate == alone.estimate


def test_a_line_goes_as_far_as_a_setting_has_lost() -> None:
    line = curve("x", (0.8, 0.4), (0.0, 0.07), seeds=3).line()
    assert [loss for loss, _ in line] == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07])
    assert [m.value for _, m in line] == pytest.approx([0.8 - 0.4 * loss / 0.07 for loss, _ in line])
    assert len(curve("x", (0.8, 0.4), (0.0, -0.1)).line()) == 2


@pytest.mark.parametrize(
    ("estimate", "p", "verdict"),
    [
        (Estimate(0.04, 0.03, 0.05, 0.01, count=8), 0.001, CurveVerdict.EQUAL),
        (Estimate(-0.04, -0.05, -0.03, 0.01, count=8), 0.001, CurveVerdict.EQUAL),
        (Estimate(0.04, 0.03, 0.0501, 0.01, count=8), 0.001, CurveVerdict.UNDECIDED),
        (Estimate(0.2, 0.0, 0.4, 0.1, count=8), 0.001, CurveVerdict.UNDECIDED),
        (Estimate(0.2, 0.001, 0.4, 0.1, count=8), 0.05, CurveVerdict.REAL),
        (Estimate(0.2, 0.001, 0.4, 0.1, count=8), 0.0501, CurveVerdict.UNDECIDED),
        (Estimate(-0.2, -0.4, -0.001, 0.1, count=8), 0.05, CurveVerdict.WORSE),
        (Estimate(0.05, 0.001, 0.1, 0.02, count=8), 0.01, CurveVerdict.REAL),
        (Estimate(0.0499, 0.001, 0.1, 0.02, count=8), 0.01, CurveVerdict.UNDECIDED),
        (Estimate(0.2, 0.1, 0.3, 0.02, count=8), None, CurveVerdict.UNDECIDED),
    ],
)
def test_a_verdict_at_the_ends_of_its_rules(estimate: Estimate, p: float | None, verdict: CurveVerdict) -> None:
    assert judge(estimate, p)[0] is verdict


def test_a_distance_loses_by_growing() -> None:
    assert AXES[1].losses(np.array([3.0, 1.0]), np.array([2.0, 2.0])) == pytest.approx([0.5, -0.5])


def test_the_worst_case_and_the_leading_query_have_curves_of_their_own() -> None:
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    comparison = compared(case(queries=two), case("x", stage="sampling", queries=two))
    assert [of(comparison, "x", measure=name).points[1].memory for name in ("worst", "lead")] == pytest.approx([0.6, 0.2])


@pytest.mark.parametrize(("stage", "memory"), [("sampling", 0.3), ("training+sampling", 0.3), ("training", 0.9)])
def test_what_acts_at_sampling_is_judged_by_the_queries_that_go_through_the_service(stage: str, memory: float) -> None:
    two = {"outpaint": scored(0.3), "likelihood": {**scored(0.9), "access": "white-box"}}
    comparison = compared(case(queries=two), case("x", stage=stage, queries=two))
    assert of(comparison, "x").points[1].memory == pytest.approx(memory)


@pytest.mark.parametrize(("m", "memory"), [(-0.4, 0.4), (-0.005, -0.005), (0.4, 0.4)])
def test_avoidance_counts_as_memory_and_noise_does_not(m: float, memory: float) -> None:
    comparison = compared(case(), case("x", m, stage="training"))
    assert of(comparison, "x").points[1].memory == pytest.approx(memory)


def test_a_reference_is_recognised_by_its_record_and_only_its_own_stage_is_compared_with_it() -> None:
    comparison = compared(case(), stop(0.4, 150), case("x", 0.5, stage="training"), case("y", 0.5, stage="sampling"))
    excesses = {excess.family: (excess.reference, excess.reason) for excess in comparison.excesses_on("accuracy")}
    assert excesses["x"][0] == "stop"
    assert excesses["y"] == (None, "no reference of stage sampling is among the records")
    assert "stop" not in excesses


def test_a_composed_family_is_compared_with_the_reference_of_each_of_its_stages() -> None:
    guide = case("guide", 0.6, stage="sampling", control=True, reference_curve=True)
    comparison = compared(case(), stop(0.4, 150), guide, case("x+y", 0.5, stage="training+sampling"))
    assert [excess.reference for excess in comparison.excesses_on("accuracy") if excess.family == "x+y"] == ["stop", "guide"]


def test_a_negative_control_is_compared_and_is_no_reference() -> None:
    comparison = compared(
        case(), stop(0.4, 150), case("nothing", 0.9, stage="training", control=True, reference_curve=False)
    )
    assert [excess.family for excess in comparison.excesses_on("accuracy")] == ["nothing"]


def test_a_setting_without_numbers_is_left_out_of_its_curve_with_its_reason() -> None:
    family = of(compared(case(), case("x(a=1)", 0.5, stage="training"), failed("x(a=2)", reason="no room")), "x")
    assert [point.mitigation for point in family.points] == ["none", "x(a=1)"]
    assert family.left_out == {"x(a=2)": "seed 0: no room"}


def test_a_family_without_numbers_has_a_reason_and_neither_curve_nor_excess() -> None:
    comparison = compared(case(), stop(0.4, 150), failed("x", reason="no room"))
    assert (of(comparison, "x").points, of(comparison, "x").reason) == ((), "seed 0: no room")
    assert (comparison.excesses_on("accuracy"), comparison.unmeasured) == ([], ("x",))


def test_without_a_baseline_there_are_no_curves() -> None:
    assert of(compared(stop(0.4, 150)), "stop").reason == "the baseline has no numbers"


def test_a_setting_that_lacks_seeds_of_the_others_is_left_out() -> None:
    every = [case(f"x(a={a})", 0.5, seed, "training") for a in (1, 2) for seed in range(3)]
    family = of(compared(*(case(seed=seed) for seed in range(3)), *every, case("x(a=3)", 0.4, 0, "training")), "x")
    assert family.seeds == (0, 1, 2)
    assert list(family.left_out) == ["x(a=3)"]


def test_rows_that_were_asked_other_queries_have_no_worst_case_in_common_with_the_baseline() -> None:
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    comparison = compared(case(), case("x", stage="sampling", queries=two))
    assert "other queries" in of(comparison, "x").reason
    assert of(comparison, "x", measure="lead").points


def test_where_no_class_is_asked_for_the_distance_leads() -> None:
    comparison = compared(case(utility=utility(None)), case("x", stage="training", utility=utility(None)))
    assert comparison.axis == "frechet"
    assert not comparison.has_numbers("accuracy")


def test_a_baseline_of_no_accuracy_has_no_relative_loss() -> None:
    comparison = compared(case(utility=utility(0)), case("x", stage="training"))
    assert "no relative loss" in of(comparison, "x").reason


def test_curves_survive_being_written() -> None:
    written = compared(case(), stop(0.4, 150), case("x", 0.5, stage="training")).to_json()
    assert written["axis"] == "accuracy"
    assert {excess["verdict"] for excess in written["excesses"]} == {"undecided"}
    assert written["curves"][0]["line"][0]["loss"] == 0
