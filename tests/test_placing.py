"""Where rows lie: the gold standard, what is left by the worse yardstick, and which rows wear their family's verdict."""

import pytest
from record_samples import case, content, utility

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.answer import Answer, answer
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.leaderboard.placing import Role, order


def family(name: str, stage: str, memories: dict[int, float], seeds: int = 3, **changed: object) -> list[dict]:
    """A family of settings: how many of 256 are right, and M; every seed a little different."""
    return [
        case(f"{name}(x={right})", m + 0.01 * seed, seed, stage, utility=utility(right), **changed)
        for right, m in memories.items()
        for seed in range(seeds)
    ]


def records(seeds: int = 3) -> list[dict]:
    """A baseline, a reference, a family that is real by two of its four settings, and retraining."""
    return [
        *(case(m=0.8 + 0.01 * seed, seed=seed, utility=utility(200)) for seed in range(seeds)),
        *family("stop", "training", {190: 0.75, 160: 0.6}, seeds, control=True, reference_curve=True),
        *family("good", "training", {199: 0.79, 198: 0.1, 170: 0.05, 60: 0.0}, seeds),
        *family("again", "training", {180: 0.0}, seeds, control=True, reference_curve=False, needs=["forget list"]),
    ]


def answered(board: Leaderboard) -> Answer:
    return answer(board.matched[0], board.of(board.testbeds[0]))


@pytest.fixture(scope="module")
def found() -> Answer:
    return answered(build_leaderboard(records()))


def test_retraining_is_the_gold_standard_neither_judged_nor_ranked(found: Answer) -> None:
    board = build_leaderboard(records())
    assert found.places["again(x=180)"].role is Role.GOLD
    assert [one.row.family for one in found.gold] == ["again"]
    assert "again" not in {verdict.keys.family for verdict in found.verdicts}
    assert "gold standard" in board.matched[0].ranking_on("accuracy").unranked["again"]


def test_a_control_without_a_forget_list_is_a_family_like_any_other() -> None:
    board = build_leaderboard([*records(), *family("ema", "training", {190: 0.7}, control=True, reference_curve=False)])
    assert answered(board).places["ema(x=190)"].role is Role.FAMILY


def test_a_row_wears_its_familys_verdict_only_where_it_is_about_it(found: Answer) -> None:
    worn = {name: place.verdict for name, place in found.places.items() if name.startswith("good")}
    real = CurveVerdict.REAL
    assert worn == {"good(x=199)": None, "good(x=198)": real, "good(x=170)": real, "good(x=60)": None}
    assert "leaves no less than the reference" in found.places["good(x=199)"].reason
    assert "loses 70 % of the utility" in found.places["good(x=60)"].reason


def test_a_gap_is_how_far_a_setting_is_below_the_reference_at_its_utility(found: Answer) -> None:
    gap = found.places["good(x=198)"].gap
    assert gap is not None
    assert gap.value == pytest.approx(0.81 - (0.81 - 0.76) * 0.01 / 0.05 - 0.11)  # on the chord to stop(x=190)


def test_a_family_is_shown_where_it_lies_furthest_below_its_reference(found: Answer) -> None:
    assert [one.row.mitigation for one in found.families] == ["good(x=198)"]


def test_rows_come_pinned_first_then_by_verdict_then_by_what_is_left(found: Answer) -> None:
    ordered = sorted(found.places, key=lambda name: order(found.places[name]))
    assert ordered[:4] == ["none", "again(x=180)", "good(x=170)", "good(x=198)"]
    assert ordered[4:] == ["good(x=60)", "good(x=199)", "stop(x=160)", "stop(x=190)"]


def test_the_worse_yardstick_is_what_is_left() -> None:
    rows = [case(seed=s, utility=utility(200), content=content(0.95, 0.9)) for s in range(3)]
    kept = [case("x", 0.1, s, "training", utility=utility(200), content=content(0.85, 0.6)) for s in range(3)]
    place = answered(build_leaderboard([*rows, *kept])).places["x"]
    assert (place.keys, place.content, place.worst) == pytest.approx((0.1, 0.7, 0.7))
    assert place.worse == "content"


def test_one_seed_decides_nothing() -> None:
    assert not answered(build_leaderboard(records(1))).decides


def test_no_limit_of_a_memorization_is_above_one() -> None:
    """A line from a noisy setting far off, as seeds of 0.7, 0 and 0.9 at a loss of a third give it."""
    far = [case("far", m, seed, "training", utility=utility(130)) for seed, m in enumerate((0.7, 0.0, 0.9))]
    curves = build_leaderboard([*records(), *far]).matched[0].curves_on("accuracy")
    limits = [m.limits for curve in curves if curve.points for _, m in curve.line()]
    assert max(high for _, high in limits) == 1.0
    assert min(low for low, _ in limits) >= -1.0
