"""Verdicts and ranks by keys and content together: the worse of both counts."""

from functools import cache

import numpy as np
import pytest
from curve_samples import LOSSES, MEMORIES, Numbers, curve
from scipy import optimize
from yardstick_samples import world

from solidmark.leaderboard import Excess, JointVerdict, build_leaderboard
from solidmark.leaderboard.curves import Curve
from solidmark.leaderboard.excess import RANGE, WIDEST, CurveVerdict, excesses
from solidmark.leaderboard.joint_curve import joint_curve
from solidmark.leaderboard.matched import MatchedComparison
from solidmark.leaderboard.measures import CONTENT
from solidmark.leaderboard.yardsticks import joint_verdicts, together

REAL, EQUAL, WORSE, UNDECIDED = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.WORSE, CurveVerdict.UNDECIDED


@cache
def comparison(*families: str, seeds: int = 3, shown: bool = True) -> MatchedComparison:
    """The comparison of a world with these families."""
    return build_leaderboard(world(*families, seeds=seeds, shown=shown)).matched[0]  # type: ignore[arg-type]


def verdict(family: str, shown: bool = True) -> JointVerdict:
    """The verdict by accuracy of the one family of a world."""
    (found,) = comparison(family, shown=shown).verdicts_on("accuracy")
    return found


@pytest.mark.parametrize(("family", "kind"), [("washer", WORSE), ("unlinker", EQUAL)])
def test_what_is_real_by_keys_alone_and_still_emits_its_images_is_not_real(family: str, kind: CurveVerdict) -> None:
    found = verdict(family)
    assert verdict(family, shown=False).verdict is REAL
    assert (found.keys.verdict, found.verdict, found.worse) == (REAL, kind, "content")
    assert f"by content {kind.value}" in found.reason


def test_what_lowers_both_stays_real() -> None:
    assert (verdict("honest").verdict, verdict("honest").worse) == (REAL, "both")


def test_what_takes_content_and_leaves_keys_is_not_real() -> None:
    found = verdict("blur")
    assert found.content is not None
    assert (found.content.verdict, found.verdict, found.worse) == (REAL, found.keys.verdict, "keys")
    assert found.verdict is not REAL


def test_without_content_the_verdict_is_that_of_keys_and_says_so() -> None:
    found = verdict("honest", shown=False)
    assert found.keys_only
    assert found.to_json()["reasons"] == dict.fromkeys(("content", "together"), "keys only: its content was not measured")
    assert comparison("honest", shown=False).keys_only


def test_a_family_without_content_among_others_is_judged_by_keys_alone() -> None:
    records = [*world("honest"), *(r for r in world("washer", shown=False) if r["family"] == "washer")]
    found = {v.keys.family: v for v in build_leaderboard(records).matched[0].verdicts_on("accuracy")}  # type: ignore[arg-type]
    assert (found["washer"].keys_only, found["honest"].keys_only) == (True, False)


def test_a_family_whose_reference_has_no_content_cannot_be_real() -> None:
    records = world("honest")
    for record in records:
        record["content"] = None if record["family"] == "stop" else record["content"]
    (found,) = build_leaderboard(records).matched[0].verdicts_on("accuracy")  # type: ignore[arg-type]
    assert (found.keys.verdict, found.verdict, found.worse) == (REAL, UNDECIDED, "content")


def test_of_two_yardsticks_the_worse_decides() -> None:
    kinds = [WORSE, UNDECIDED, EQUAL, REAL]
    for worse, keys in enumerate(kinds):
        for content in kinds[worse:]:
            assert {joint(keys, content).verdict, joint(content, keys).verdict} == {keys}


def joint(keys: CurveVerdict, content: CurveVerdict) -> JointVerdict:
    """What two verdicts make, where the same settings are below in both."""
    parts = [[excess(measure, kind)] for measure, kind in (("worst", keys), ("content", content), ("together", REAL))]
    (found,) = joint_verdicts(*parts, ["x"])
    return found


def excess(measure: str, kind: CurveVerdict) -> Excess:
    return Excess("x", "training", "reference", "accuracy", measure, (0, 1, 2), None, None, 1, kind, "")


def pair(family: str, keys: Numbers, content: Numbers, losses: Numbers = LOSSES, noise: float = 0.0) -> tuple[Curve, Curve]:
    """A family by keys and by content."""
    return curve(family, keys, losses, noise=noise, seed=1), curve(family, content, losses, noise=noise, seed=2)


def same_settings(reference: tuple[Curve, Curve], family: tuple[Curve, Curve]) -> Excess:
    """The excess in both by one choice of settings."""
    keys, content = zip(reference, family, strict=True)
    (found,) = together(keys, content, excesses(keys))
    return found


def test_what_one_coin_over_settings_gains_in_both_is_the_solution_of_a_linear_program() -> None:
    keys, content = (0.8, 0.1, 0.75, 0.3), (0.9, 0.85, 0.2, 0.5)
    losses = (0.0, 0.02, 0.05, 0.1)
    found = same_settings(pair("reference", MEMORIES, MEMORIES), pair("x", keys, content, losses))
    bars = np.interp(RANGE, LOSSES, MEMORIES)
    expected = [best_coin(np.array([keys, content]), np.array(losses), loss, bar) for loss, bar in zip(RANGE, bars)]
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(np.trapezoid(expected, RANGE) / WIDEST, abs=0.002)


def best_coin(memories: np.ndarray, losses: np.ndarray, loss: float, bar: float) -> float:
    """The largest t with a distribution w over settings: bar - memories w >= t in both rows, and losses w <= loss."""
    rows = np.vstack([np.column_stack([memories, [1, 1]]), [*losses, 0]])
    ones = [[*np.ones(len(losses)), 0]]
    bounds = [*[(0, 1)] * len(losses), (None, None)]
    solved = optimize.linprog([0] * len(losses) + [-1], rows, [bar, bar, loss], ones, [1], bounds)
    return float(-solved.fun)


def test_two_settings_of_which_each_takes_one_yardstick_are_not_real_together() -> None:
    """Keys go at one setting and content at the other; what a coin between them gains in both is below what counts."""
    reference = pair("reference", MEMORIES, MEMORIES, noise=0.002)
    family = pair("x", (0.8, 0.1, 0.8), (0.8, 0.8, 0.42), (0.0, 0.0, 0.0), noise=0.002)
    keys, content = ([one, other] for one, other in zip(reference, family, strict=True))
    same = together(keys, content, excesses(keys))
    (found,) = joint_verdicts(excesses(keys), excesses(content), same, ["x"])
    assert (found.keys.verdict, same[0].verdict is REAL) == (REAL, False)
    assert found.verdict is not REAL


def worst_at(keys: Numbers, content: Numbers, losses: Numbers, loss: float) -> float:
    """The joint curve at one loss."""
    found = joint_curve(*pair("x", keys, content, losses))
    assert found is not None
    estimate = found.at(loss)
    assert estimate is not None
    return estimate.value


def test_the_worse_of_both_at_a_loss_is_the_solution_of_a_linear_program() -> None:
    keys, content, losses = (0.8, 0.1, 0.75), (0.9, 0.85, 0.2), (0.0, 0.02, 0.05)
    expected = -best_coin(np.array([keys, content]), np.array(losses), 0.05, 0.0)
    assert worst_at(keys, content, losses, 0.05) == pytest.approx(expected, abs=0.003)


def test_where_keys_are_the_worse_at_every_setting_the_joint_curve_is_that_of_keys() -> None:
    keys = (0.8, 0.5, 0.4)
    assert worst_at(keys, (0.7, 0.1, 0.1), (0.0, 0.05, 0.1), 0.075) == pytest.approx(0.45)


def test_a_washer_that_leads_by_keys_ranks_behind_what_lowers_both() -> None:
    compared = comparison("washer", "honest", "unlinker", seeds=6)
    keys, both = compared.ranking_on("accuracy"), compared.leading_ranking("accuracy")
    assert keys is not None
    assert both is not None
    assert [family.family for family in keys.families] == ["washer", "unlinker", "honest", "stop"]
    assert (both.families[0].family, both.families[0].ranks) == ("honest", "1")
    assert both.measure == "both"


def test_without_content_the_ranking_is_that_of_keys() -> None:
    leading = comparison("washer", shown=False).leading_ranking("accuracy")
    assert leading is not None
    assert leading.measure == "worst"


def test_content_of_a_setting_is_what_the_reading_finds_that_finds_most_above_chance() -> None:
    (family,) = (c for c in comparison("unlinker").curves_on("accuracy", CONTENT.name) if c.family == "unlinker")
    assert family.points[1].memory == pytest.approx(2 * 0.94 - 1, abs=0.01)


def test_twins_by_content_of_what_is_far_below_by_keys_are_rarely_real() -> None:
    """The level of the intersection: 100 runs at a true 5 % give more than nine once in forty times."""
    found = [real_by_keys_twin_by_content(run) for run in range(100)]
    assert sum(kind is REAL for kind in found) <= 9


def real_by_keys_twin_by_content(run: int) -> CurveVerdict:
    rng = np.random.default_rng(run)
    keys, content = ([noisy("reference", 0.0, rng), noisy("x", shift, rng)] for shift in (0.3, 0.0))
    same = together(keys, content, excesses(keys))
    return joint_verdicts(excesses(keys), excesses(content), same, ["x"])[0].verdict


def noisy(family: str, shift: float, rng: np.random.Generator) -> Curve:
    lower = (MEMORIES[0], *(m - shift for m in MEMORIES[1:]))
    return curve(family, lower, seeds=4, noise=0.05, seed=int(rng.integers(2**31)))
