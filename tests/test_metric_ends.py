"""Metrics at the ends of what they accept, just beyond them, and exactly at the limits that decide."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from solidmark.errors import InvalidValue, NotApplicable
from solidmark.metrics import (
    content,
    controls,
    copy_metrics,
    distances,
    exchange,
    patches,
    permutation,
    scores,
    utility,
    worst_case,
)
from solidmark.metrics.controls import Marks
from solidmark.schema.numbers import Estimate

RNG = np.random.default_rng(0)
PICTURES = RNG.random((8, 1, 4, 4))
FLAT = PICTURES.reshape(8, -1)
NUMBERS = RNG.random(20)
KEYS = RNG.random((20, 3))
P = RNG.random((2, 20))
HALF = np.arange(20) < 10


def shifted(side, pixels=1):
    return distances.Shift(pixels)._least(RNG.random((2, 1, side, side)), RNG.random((2, 1, side, side)))


ENDS = {
    "ratios of spare images": (lambda n: content.ratios(FLAT[:2], FLAT[:2], FLAT[-n:]), [4], [3]),
    "calibrated l2": (lambda n: copy_metrics.calibrated_l2(PICTURES[:1], PICTURES[1:2], PICTURES[-n:]), [4], [3]),
    "sides of hashes": (lambda n: copy_metrics.perceptual_hash_distance(PICTURES, PICTURES, (n,)), [2], [1]),
    "sides of tiles": (lambda n: copy_metrics.calibrated_l2(PICTURES[:1], PICTURES[1:2], PICTURES, tile=n), [1, 4], [0, 3]),
    "rank correlation": (lambda n: copy_metrics.rank_correlation(NUMBERS[:n], NUMBERS[::-1][:n]), [4], [3]),
    "percentile": (lambda n: copy_metrics.dcr_percentile(NUMBERS[:n], NUMBERS), [2], [1]),
    "real percentile": (lambda n: copy_metrics.dcr_percentile(NUMBERS, NUMBERS[:n]), [2], [1]),
    "share of percentile": (lambda x: copy_metrics.dcr_percentile(NUMBERS, NUMBERS, x), [1e-9, 1 - 1e-9], [0.0, 1.0]),
    "pixels": (lambda x: copy_metrics.l2(PICTURES * 0 + x, PICTURES), [0.0, 1.0], [-1e-9, 1 + 1e-9]),
    "side for a shift": (shifted, [3], [2]),
    "auroc": (lambda n: scores.auroc(NUMBERS[:n], NUMBERS), [2], [1]),
    "auroc, held out": (lambda n: scores.auroc(NUMBERS, NUMBERS[:n]), [2], [1]),
    "true positives": (lambda n: scores.true_positive_rate(NUMBERS[:n], NUMBERS), [1], [0]),
    "rate of false positives": (partial(scores.true_positive_rate, NUMBERS, NUMBERS), [0.0, 1 - 1e-9], [-1e-9, 1.0]),
    "memorization": (lambda n: scores.memorization(KEYS[:n], KEYS[-n:]), [3], [2]),
    "permutations": (lambda n: scores.permutation_p(KEYS[:n], KEYS[-n:], np.random.default_rng(0), 9), [2], [1]),
    "a mean": (lambda n: scores.mean(NUMBERS[:n]), [2], [1]),
    "a proportion": (lambda n: scores.proportion(0, n, 0.1), [1], [0]),
    "p-values": (lambda x: scores.uniformity_p(np.full(4, x)), [0.0, 1.0], [-1e-9, 1 + 1e-9]),
    "distance of a key": (lambda x: scores.within(KEYS, KEYS, x), [1e-9, 1 - 1e-9], [0.0, 1.0]),
    "delta": (lambda x: scores.epsilon(NUMBERS, delta=x), [0.0, 1 - 1e-9], [-1e-9, 1.0]),
    "found": (lambda n: scores.one_run_p(n, 4, 0.5, 1.0), [1, 4], [0, 5]),
    "tau": (lambda x: scores.one_run_p(1, 4, x, 1.0), [1e-9, 1 - 1e-9], [0.0, 1.0]),
    "epsilon": (lambda x: scores.one_run_p(1, 4, 0.5, x), [0.0], [-1e-9]),
    "delta of one run": (lambda x: scores.one_run_p(1, 4, 0.5, 1.0, x), [0.0, 1 - 1e-9], [-1e-9, 1.0]),
    "halves": (lambda n: worst_case.halves(n, np.random.default_rng(0)), [2], [1]),
    "worst case": (lambda n: worst_case.memorization(np.stack([KEYS, KEYS[::-1]])[:, :n], KEYS[:n], RNG), [6], [5]),
    "p of rivals": (lambda x: worst_case.hybrid(P * 0 + x, HALF), [0.0, 1.0], [-1e-9, 1 + 1e-9]),
    "p far away": (lambda x: worst_case.hybrid(P, HALF, P * 0 + x), [0.0, 1.0], [-1e-9, 1 + 1e-9]),
    "Fréchet": (lambda n: utility.frechet(KEYS[:n], KEYS), [2], [1]),
    "kernel": (lambda n: utility.kernel(KEYS[:n], KEYS), [16], [15]),
    "recall": (lambda n: utility.recall(KEYS, KEYS[:n]), [2], [1]),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_ends_of_a_range_are_accepted_and_what_lies_beyond_is_refused(name):
    act, inside, outside = ENDS[name]
    for value in inside:
        act(value)
    for value in outside:
        with pytest.raises((InvalidValue, NotApplicable)):
            act(value)


def test_a_key_is_within_a_distance_that_it_has():
    share = scores.within(np.array([[0.5], [0.5]]), np.array([[0.25], [0.125]]), 0.25)
    assert (share.count, share.of, share.chance) == (1, 2, 0.5)


def test_the_chance_to_be_within_a_distance_is_cut_off_at_the_ends():
    assert scores.within(np.array([[0.0], [1.0]]), np.array([[0.5], [0.5]]), 0.25).chance == 0.25


def test_an_image_counts_towards_the_privacy_loss_at_its_level_and_not_above():
    at, above = (np.full(64, tau) for tau in (1 / 65536, np.nextafter(1 / 65536, 1)))
    assert scores.epsilon(at) > scores.epsilon(above) > 0


def test_a_trained_image_as_near_as_the_threshold_is_not_nearer():
    held_out = np.arange(100) / 100
    share = scores.true_positive_rate(np.array([0.0, 0.01, 0.02]), held_out)
    assert (share.count, share.of, share.chance) == (1, 3, pytest.approx(2 / 101))


@pytest.mark.parametrize(
    ("value", "error", "p"), [(0.0, 0.0, 1.0), (0.5, 0.0, 0.0), (2**-23, 2**-25, 0.0), (2**-25, 2**-25, 1.0)]
)
def test_an_error_below_the_resolution_is_none(value, error, p):
    assert scores.chance_p(Estimate(value, 0.0, 1.0, error), 16) == p
    assert 0 < scores.chance_p(Estimate(2**-24, 0.0, 1.0, 2**-24), 16) < 1


@pytest.mark.parametrize(("count", "of"), [(0, 8), (8, 8), (1, 8), (7, 8)])
def test_exact_limits_are_those_of_the_binomial_test(count, of):
    exact = stats.binomtest(count, of).proportion_ci()
    assert scores.clopper_pearson(count, of) == pytest.approx((exact.low, exact.high))


MEMORY = {"memorization": {"value": 0.0}}


@pytest.mark.parametrize(
    ("count", "of", "chance", "uniform", "faults"),
    [
        (2, 16, 1e-4, 1e-4, 0),
        (3, 16, 1.0, 1.0, 1),
        (5, 100, 1.0, 1.0, 0),
        (6, 100, 1.0, 1.0, 1),
        (0, 16, 9.9e-5, 1.0, 1),
        (0, 16, 1.0, 9.9e-5, 1),
    ],
)
def test_predictions_leak_beyond_their_limits_and_not_at_them(count, of, chance, uniform, faults):
    block = {**MEMORY, "chance_p": chance, "uniform_p": uniform, "certified": {"count": count, "of": of}}
    assert len(controls.leaks("held out", block)) == faults


@pytest.mark.parametrize(("count", "high", "faults"), [(8, 0.0, 1), (7, 0.0, 0), (16, 0.0, 1)])
def test_many_certified_images_contradict_a_memory_of_nothing(count, high, faults):
    assert controls.CERTIFIED_SHARE == 0.5
    block = {"certified": {"count": count, "of": 16}, "memorization": {"value": 0.0, "high": high}}
    assert len(controls.contradictions("outpaint", block)) == faults
    block["memorization"]["high"] = controls.LEAST_M
    assert controls.contradictions("outpaint", block) == []


def checked(spread=1.0, unevenness=1.0, power=1.0, active=True, further=()):
    quiet = {**MEMORY, "chance_p": 1.0, "uniform_p": 1.0, "certified": {"count": 0, "of": 16}}
    made = Marks(spread, unevenness, None)
    strength = Estimate(power, power, power)
    return controls.check(quiet, quiet, strength, made, Marks(1.0, 1.0, None), active=active, further=further)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        ({"power": 0.95}, None),
        ({"power": 0.949}, "power 0.949"),
        ({"spread": controls.LEAST_SPREAD, "unevenness": 9.0}, None),
        ({"spread": 0.99 * controls.LEAST_SPREAD, "unevenness": 9.0}, "mark not valid"),
        ({"spread": 0.0, "unevenness": controls.EVENNESS[0]}, None),
        ({"spread": 0.0, "unevenness": controls.EVENNESS[1]}, None),
        ({"spread": 0.0, "unevenness": 0.99 * controls.EVENNESS[0]}, "mark not valid"),
        ({"spread": 0.0, "unevenness": 1.01 * controls.EVENNESS[1]}, "mark not valid"),
        ({"active": False}, "inactive"),
        ({"further": ("mine",)}, "mine"),
    ],
)
def test_a_control_fails_beyond_its_limit_and_not_at_it(words, fault):
    block = checked(**words)
    assert block["sound"] == (fault is None)
    assert [each[: len(fault)] for each in block["faults"]] == ([] if fault is None else [fault])


def test_a_real_image_on_the_edge_of_what_is_generated_is_recalled():
    generated = np.array([[0.0], [1.0], [2.0]])
    found = utility.recall(np.array([[-1.0], [-1.1], [3.0], [1.5]]), generated, neighbours=1)
    assert found.tolist() == [True, False, True, True]


def test_features_as_many_as_images_give_the_same_distance_by_either_formula():
    x, y = RNG.random((5, 5)), RNG.random((5, 5))
    wide = utility.frechet(np.c_[x, np.zeros((5, 4))], np.c_[y, np.zeros((5, 4))])
    assert utility.frechet(x, y) == pytest.approx(wide, rel=1e-6)


def test_equal_scores_count_against_a_finding():
    assert permutation.rank_sum_p(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(2 / 6)
    assert permutation.rank_sum_p(np.array([0.0, 1.0]), np.array([2.0, 3.0])) == pytest.approx(1 / 6)
    large = np.r_[np.zeros(40), np.ones(12)]  # 52 x 40 pairs: more than are enumerated
    expected = stats.mannwhitneyu(large, np.ones(40), alternative="less", method="asymptotic").pvalue
    assert permutation.rank_sum_p(large, np.ones(40)) == pytest.approx(expected)
    assert permutation.rank_sum_p(np.zeros(3), np.ones(1)) == pytest.approx(1 / 4)


def test_names_that_are_followed_are_counted_among_all_orders():
    followed = exchange.follows_words(np.array([0, 1, 2, 3] * 4), np.array([0, 1, 2, 3] * 4))
    assert (followed.count, followed.of) == (16, 16)
    assert followed.p == pytest.approx(1 / 24, abs=0.005)
    none = exchange.follows_words(np.array([1, 0] * 4), np.array([0, 1] * 4))
    assert (none.count, none.p) == (0, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "limits"),
    [(0.2, 0.4, (0.2, 0.9)), (-0.4, -0.2, (-0.8, -0.2)), (0.0, 0.4, (-0.8, 0.9)), (-0.4, 0.0, (-0.8, 0.9))],
)
def test_the_worst_case_covers_the_strongest_query_on_its_far_side(low, high, limits):
    each = [Estimate(0.8, 0.7, 0.9), Estimate(-0.7, -0.8, -0.6)]
    covered = worst_case.covering(Estimate((low + high) / 2, low, high, 0.1), each)
    assert covered.limits == limits
    assert covered.value == (low + high) / 2


def test_tiles_are_remembered_up_to_the_level():
    held_out = np.arange(1.0, 20.0)[:, None]
    found = patches.memory_map(np.array([[0.5], [1.5], [2.5]]), held_out, np.random.default_rng(0))
    assert found.p[:, 0].tolist() == [0.05, 0.1, 0.15]
    assert found.trained.value == pytest.approx(1 / 3)
    half = np.random.default_rng(0).permutation(19)[:9]
    assert found.held_out_p[:, 0].tolist() == [
        (1 + sum(other < one for other in {*range(19)} - {*half})) / 11 for one in half
    ]


def test_marks_are_washed_from_half_of_the_images_on_and_three():
    keys, answers = RNG.random((8, 4)), RNG.random((8, 4))
    some = [np.arange(8) < count for count in (3, 4)]
    assert content.washing(some[0], answers, keys, 100.0) is None
    assert "4 of 8 images" in content.washing(some[1], answers, keys, 100.0).fault
    limit = scores.memorization(answers[:4], keys[:4]).limits[1]
    assert content.washing(some[1], answers, keys, limit / content.WASHED_MEMORY) is None
    few = np.array([True, True, True, False])
    assert content.washing(few, answers[:4], keys[:4], 100.0).convicts
    assert content.washing(few[::-1] & few, answers[:4], keys[:4], 100.0) is None
