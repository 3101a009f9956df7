"""Metrics of pictures that are no square and have colours, and whole blocks of a record, by other few lines."""

import sys
from math import comb
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from solidmark import seeds
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.metrics import (
    comparison,
    content,
    controls,
    copy_metrics,
    distances,
    exchange,
    features,
    given_judge,
    patches,
    permutation,
    scores,
    scoring,
    utility,
    worst_case,
)
from solidmark.metrics.controls import Marks
from solidmark.schema.numbers import Estimate, Share

RNG = np.random.default_rng(11)
PICTURES, IMAGES, SPARE = (RNG.random((count, 3, 4, 8)) for count in (3, 5, 13))
"""Colour pictures of 4 x 8 pixels."""
STATE = RNG.bit_generator.state


@pytest.fixture(autouse=True)
def _same_numbers_in_every_test():
    """Whichever tests are run before."""
    RNG.bit_generator.state = STATE


def parts(image, side):
    """The squares of an image, row by row."""
    _, height, width = image.shape
    return [image[:, y : y + side, x : x + side] for y in range(0, height, side) for x in range(0, width, side)]


def far(one, other, side=None):
    """The l2 of two images, or of those squares of them that differ most."""
    if side is None:
        return np.sqrt(((one - other) ** 2).sum())
    return max(far(a, b) for a, b in zip(parts(one, side), parts(other, side), strict=True))


@pytest.mark.parametrize("side", [None, 2, 4])
def test_l2_of_wide_pictures_is_that_of_all_pixels_or_of_the_worst_square(side):
    other = IMAGES[:3]
    own = [far(a, b, side) for a, b in zip(PICTURES, other, strict=True)]
    assert copy_metrics.l2(PICTURES, other, side) == pytest.approx(own)
    near = [np.sort([far(a, b, side) for b in SPARE])[:3].mean() for a in PICTURES]
    found = copy_metrics.calibrated_l2(PICTURES, other, SPARE, tile=side, alpha=0.25)
    assert found == pytest.approx(np.array(own) / (0.25 * np.array(near)))
    known = np.concatenate([other[:1], SPARE])  # the content itself does not calibrate
    near[1:] = [np.sort([far(a, b, side) for b in known])[:3].mean() for a in PICTURES[1:]]
    assert copy_metrics.calibrated_l2(PICTURES, other, known, tile=side) == pytest.approx(2 * np.array(own) / near)


@pytest.mark.parametrize("side", [0, -1, 3, 8])
def test_squares_that_do_not_fill_wide_pictures_are_refused(side):
    with pytest.raises(InvalidValue, match=f"tile={side} for images of 4 x 8"):
        copy_metrics.l2(PICTURES, PICTURES, side)


def some(images):
    """Three features of each image."""
    return np.stack([images[:, 0].sum(axis=(1, 2)), images[:, 1, 0, 0] - 0.5, images[:, 2, 3, 7] - 0.2], axis=1)


def cosine(one, other):
    a, b = some(one[None])[0], some(other[None])[0]
    return a @ b / np.sqrt((a @ a) * (b @ b))


def test_features_of_pairs_all_pairs_and_the_closest_have_the_cosine_of_their_formula():
    pairs = np.array([[cosine(a, b) for b in IMAGES] for a in PICTURES])
    assert copy_metrics.feature_cosine(PICTURES, IMAGES[:3], some) == pytest.approx(np.diag(pairs[:, :3]))
    assert copy_metrics.feature_distances(PICTURES, IMAGES, some) == pytest.approx(1 - pairs)
    assert copy_metrics.dcr(PICTURES, IMAGES, some) == pytest.approx(1 - pairs.max(axis=1))
    assert copy_metrics.dcr(PICTURES, IMAGES) == pytest.approx([min(far(a, b) for b in IMAGES) for a in PICTURES])
    assert distances.JudgeFeatures().between(PICTURES, IMAGES, SimpleNamespace(features=some)) == pytest.approx(1 - pairs)


def test_hashes_of_colour_pictures_are_those_of_the_library_for_each_size():
    import imagehash
    from PIL import Image

    def hashes(image, size):
        return imagehash.phash(Image.fromarray((image * 255).round().astype(np.uint8).transpose(1, 2, 0)), hash_size=size)

    apart = [[[(hashes(a, n) - hashes(b, n)) / n**2 for n in (2, 3)] for b in IMAGES] for a in PICTURES]
    assert copy_metrics.perceptual_hash_distances(PICTURES, IMAGES, (2, 3)) == pytest.approx(np.mean(apart, axis=2))
    paired = [np.mean(apart[n][n]) for n in range(3)]
    assert copy_metrics.perceptual_hash_distance(PICTURES, IMAGES[:3], (2, 3)) == pytest.approx(paired)
    assert distances.PerceptualHash((2, 3)).between(PICTURES, IMAGES, None) == pytest.approx(np.mean(apart, axis=2))


@pytest.mark.parametrize("name", ["feature_distances", "perceptual_hash_distances"])
@pytest.mark.parametrize("wrong", [-0.1, 1.1, np.nan])
@pytest.mark.parametrize("place", [0, 1])
def test_pictures_and_images_of_all_pairs_are_checked(name, wrong, place):
    given = [PICTURES.copy(), IMAGES.copy()]
    given[place][0, 0, 0, 0] = wrong
    more = {"feature_distances": (some,), "perceptual_hash_distances": ((2,),)}[name]
    with pytest.raises(InvalidValue, match=f"copy_metrics.{name}: found pixels outside"):
        getattr(copy_metrics, name)(*given, *more)


@pytest.mark.parametrize("pixels", [1, 0])
def test_distances_of_wide_pictures_to_other_images_are_those_of_their_loops(pixels):
    around = distances.Surroundings(SPARE, some)
    plain = np.array([[far(a, b) for b in IMAGES] for a in PICTURES])
    near = np.array([np.sort([far(a, b) for b in SPARE])[:3].mean() for a in PICTURES])
    assert distances.L2().between(PICTURES, IMAGES, around) == pytest.approx(plain)
    assert distances.Ratio().between(PICTURES, IMAGES, around) == pytest.approx(plain / near[:, None])

    def shifted(a, b):
        inner = b[:, pixels : 4 - pixels, pixels : 8 - pixels]
        _, height, width = inner.shape
        moves = [(y, x) for y in range(2 * pixels + 1) for x in range(2 * pixels + 1)]
        return min(far(a[:, y : y + height, x : x + width], inner) for y, x in moves)

    near = np.array([np.sort([shifted(a, b) for b in SPARE])[:3].mean() for a in PICTURES])
    expected = np.array([[shifted(a, b) for b in IMAGES] for a in PICTURES]) / near[:, None]
    assert distances.Shift(pixels).between(PICTURES, IMAGES, around) == pytest.approx(expected)


def test_a_block_or_a_tile_of_wide_pictures_is_scored_over_all_colours():
    others = IMAGES[:3]
    freed = np.zeros((3, 4, 8), dtype=bool)
    freed[0, 1:3, 5:7], freed[1, 0, 7], freed[2, 3, :3] = True, True, True

    def score(picture, image, mask):
        own = np.abs(picture - image)[:, mask].mean()
        return own / (np.sort([np.abs(other - picture)[:, mask].mean() for other in SPARE])[:10].mean() + 0.02)

    expected = [score(*each) for each in zip(PICTURES, others, freed, strict=True)]
    assert patches.block_scores(PICTURES, others, SPARE, freed) == pytest.approx(expected)
    left = np.arange(8) < 4
    masks = [np.tile(half, (4, 1)) for half in (left, ~left)]
    tiles = [[score(picture, image, mask) for mask in masks] for picture, image in zip(PICTURES, others, strict=True)]
    assert patches.tile_scores(PICTURES, others, SPARE) == pytest.approx(np.array(tiles))
    few = patches.tile_scores(PICTURES, others, SPARE[:2])  # fewer than ten others: all of them
    away = np.mean([np.abs(other - PICTURES[0])[:, masks[0]].mean() for other in SPARE[:2]])
    assert few[0, 0] == pytest.approx(np.abs(PICTURES[0] - others[0])[:, masks[0]].mean() / (away + 0.02))


def test_tiles_that_do_not_fill_a_picture_leave_its_end():
    pictures, spare = RNG.random((2, 2, 5, 11)), RNG.random((3, 2, 5, 11))
    side = patches.tile_side(5, 11)
    assert (side, patches.tile_side(11, 5)) == (5, 5)
    cut = [each[..., :10] for each in (pictures, pictures[::-1], spare)]
    assert patches.tile_scores(pictures, pictures[::-1], spare) == pytest.approx(patches.tile_scores(*cut))


@pytest.mark.parametrize(
    "wrong",
    [
        (PICTURES[:2], IMAGES[:3], SPARE),
        (PICTURES, IMAGES[:3], SPARE[..., :4]),
        (PICTURES, IMAGES[:3], SPARE[:0]),
        (PICTURES[0], IMAGES[0], SPARE[0]),
    ],
)
def test_parts_of_other_shapes_are_refused(wrong):
    with pytest.raises(InvalidValue, match=r"patches: found answers .*Crop the marks"):
        patches.tile_scores(*wrong)


def test_the_map_of_tiles_has_both_groups_with_intervals_over_images():
    trained, held_out = RNG.random((6, 3)), RNG.random((39, 3))
    trained[:4, 1] = 0.0
    found = patches.memory_map(trained, held_out, np.random.default_rng(3))
    p = [[(1 + (held_out[:, t] <= score).sum()) / 40 for t, score in enumerate(row)] for row in trained]
    order = np.random.default_rng(3).permutation(39)
    half, others = held_out[order[:19]], held_out[order[19:]]
    rest = [[(1 + (others[:, t] <= score).sum()) / 21 for t, score in enumerate(row)] for row in half]
    assert found.p == pytest.approx(np.array(p))
    assert found.held_out_p == pytest.approx(np.array(rest))
    for share, each in ((found.trained, found.p), (found.held_out, found.held_out_p)):
        rows = (each <= 0.05).mean(axis=1)
        interval = stats.ttest_1samp(rows, 0).confidence_interval()
        assert (share.value, *share.limits) == pytest.approx((rows.mean(), interval.low, interval.high))


def test_thumbnails_of_wide_colour_pictures_are_means_of_blocks():
    judge = object.__new__(utility.Judge)
    flat = PICTURES.reshape(3, -1)
    judge._shape, judge._block = (3, 4, 8), 2
    expected = [[image[c, y : y + 2, x : x + 2].mean() for c in range(3) for y in (0, 2) for x in (0, 2, 4, 6)]
                for image in PICTURES]  # fmt: skip
    assert judge._seen(flat) == pytest.approx(np.array(expected))
    judge._block = 1
    assert judge._seen(flat) is flat
    judge._shape, judge._block = None, 2
    assert judge._seen(flat) is flat


def test_a_judge_is_trained_on_four_fifths_with_its_numbers(monkeypatch):
    import sklearn.neural_network

    asked = []

    class Network:
        def __init__(self, *given, **named):
            asked.append((given, named))

        def fit(self, images, labels):
            asked.append((images.tolist(), labels.tolist()))

        def predict(self, images):
            return images[:, 0].astype(int)

    monkeypatch.setattr(sklearn.neural_network, "MLPClassifier", Network)
    images, labels = np.arange(12.0)[:, None], np.array([0, 9, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])
    judge = utility.Judge(images, labels, 5)
    assert asked[0] == (((64,),), {"solver": "lbfgs", "alpha": 0.3, "max_iter": 200, "random_state": 5})
    assert asked[1] == (images[2:].tolist(), labels[2:].tolist())
    assert judge.accuracy == 0.5  # of the first two
    whole = utility.Judge(images, labels, shape=(1, 1, 1))
    assert (asked[2][1]["random_state"], whole._block, whole._shape) == (0, 1, (1, 1, 1))
    judge._network.coefs_, judge._network.intercepts_ = [np.array([[1.0, -1.0]])], [np.array([-2.0, 0.5])]
    assert judge.features(np.array([[0.0], [5.0]])).tolist() == [[0.0, 0.5], [3.0, 0.0]]


def test_the_utility_of_pictures_has_each_number_of_its_own_pair():
    drawn, real, others = (RNG.normal(shift, 1, (count, 4)) for shift, count in ((0.4, 24), (0, 20), (0.1, 30)))
    labels, shown = np.arange(24) % 3, np.arange(24) % 4
    judge = SimpleNamespace(features=lambda images: 2 * images, classify=lambda images: shown, accuracy=0.75)
    refused = np.arange(24) < 3
    found = utility.measure(drawn, labels, real, others, judge, refused)
    right = int(((labels == shown) & ~refused).sum())
    assert found.accuracy == scores.proportion(right, 24, 1 / 3)
    assert (found.frechet, found.frechet_real) == tuple(utility.frechet(2 * one, 2 * real) for one in (drawn, others))
    assert (found.kernel, found.kernel_real) == tuple(utility.kernel(2 * one, 2 * real).value for one in (drawn, others))
    covered = [utility.recall(2 * real, 2 * one) for one in (drawn, others)]
    assert found.diversity == scores.proportion(int(covered[0].sum()), 20, 0.0)
    assert (found.diversity_real, found.judge_accuracy, found.clip) == (covered[1].mean(), 0.75, None)
    assert utility.measure(drawn, None, real, others, judge).accuracy is None
    assert utility.measure(drawn, labels, real, others, judge).accuracy.count == int((labels == shown).sum())


def test_the_kernel_distance_has_the_interval_of_its_blocks():
    x, y = RNG.normal(size=(19, 3)), RNG.normal(0.3, 1, size=(23, 3))
    rng = np.random.default_rng(0)
    blocks = [np.array_split(rng.permutation(len(one)), 4) for one in (x, y)]

    def mmd(a, b):
        k = lambda u, v: (u @ v / 3 + 1) ** 3  # noqa: E731
        within = [np.mean([k(u[i], u[j]) for i in range(len(u)) for j in range(len(u)) if i != j]) for u in (a, b)]
        return sum(within) - 2 * np.mean([k(u, v) for u in a for v in b])

    values = [mmd(x[a], y[b]) for a, b in zip(*blocks, strict=True)]
    error = np.std(values, ddof=1) / 2
    margin = stats.t.ppf(0.975, 3) * error
    found, value = utility.kernel(x, y, 4), mmd(x, y)
    assert (found.value, found.error, *found.limits) == pytest.approx((value, error, value - margin, value + margin))


@pytest.mark.parametrize("clips", [(0.5, 0.3, None), (None, None, None)])
def test_the_least_of_several_ways_has_the_least_clip_that_there_is(clips):
    ways = [utility.Utility(None, n, 9.0, -n, 8.0, Share(n, 4, 0.0, 1.0, 0.0), 7.0, 6.0, clip, 5.0) for n, clip in
            zip((2, 1, 3), clips, strict=True)]  # fmt: skip
    found = utility.least(ways)
    assert (found.frechet, found.kernel, found.diversity.count, found.clip) == (3, -1, 1, 0.3 if clips[0] else None)
    assert (found.frechet_real, found.kernel_real, found.diversity_real, found.judge_accuracy) == (9.0, 8.0, 7.0, 6.0)


# Whole blocks


def world(count, recall, seed):
    rng = np.random.default_rng(seed)
    keys = rng.random((count, 5))
    return np.clip(recall * keys + (1 - recall) * rng.random((count, 5)), 0, 1), keys


def test_the_block_of_a_query_is_that_of_its_scores_field_by_field():
    (found, keys), (others, other_keys) = world(24, 0.7, 0), world(40, 0.0, 1)
    block = scoring.query(found, keys, others, other_keys, 3, 0.01)
    each = scores.p_values(found, keys)
    p, mirrored = scores.combine(each), scores.combine(1 - each)
    near, far_ = np.abs(found - keys).mean(axis=1), np.abs(others - other_keys).mean(axis=1)
    m, bits, auroc = scores.memorization(found, keys), scores.leaked_bits(p), scores.auroc(near, far_)
    limits = lambda one: {"value": one.value, "low": one.limits[0], "high": one.limits[1]}  # noqa: E731
    share = lambda s: {"count": s.count, "of": s.of, "low": s.low, "high": s.high, "chance": s.chance}  # noqa: E731
    assert block == {
        "memorization": {**limits(m), "error": m.error, "chance": 0.0, "images": 24},
        "certified": share(scores.certified_share(p, 0.025)),
        "avoided": share(scores.certified_share(mirrored, 0.025)),
        "false_discovery_rate": 0.025,
        "leaked_bits": {**limits(bits), "chance": 0.0, "keys": 5},
        "epsilon": {
            "low": scores.epsilon(p, delta=0.01),
            "confidence": 0.95,
            "adjacency": "replace one key",
            "delta": 0.01,
        },
        "within": {name: share(scores.within(found, keys, float(name))) for name in ("0.1", "0.05", "0.005")},
        "auroc": {**limits(auroc), "chance": 0.5},
        "tpr_at_1_fpr": share(scores.true_positive_rate(near, far_)),
        "permutation_p": scores.permutation_p(found, keys, seeds.numpy_rng(3, "permutation")),
    }
    negative = scoring.negative(others, other_keys)
    p, m = scores.combine(scores.p_values(others, other_keys)), scores.memorization(others, other_keys)
    assert negative == {
        "memorization": {**limits(m), "error": m.error, "chance": 0.0, "images": 40},
        "certified": share(scores.certified_share(p)),
        "epsilon": {"low": scores.epsilon(p)},
        "chance_p": 2 * stats.t.sf(abs(m.value) / m.error, 39),
        "uniform_p": stats.kstest(p, "uniform").pvalue,
    }


def test_the_block_of_controls_has_all_that_was_checked_and_each_fault_in_order():
    sound = {"chance_p": 1.0, "uniform_p": 1.0, "certified": {"count": 0, "of": 9}, "memorization": {"value": 0.5}}
    leaky, other = {**sound, "chance_p": 1e-5}, {**sound, "uniform_p": 1e-6, "certified": {"count": 9, "of": 9}}
    power, marks, base = Estimate(0.9, 0.8, 1.0, 0.1), Marks(0.1, 9.0, 0.3), Marks(0.4, 1.0, 0.2)
    found = controls.check(leaky, other, power, marks, base, active=False, further=["more"])
    assert found == {
        "held_out": leaky,
        "other_keys": other,
        "power": {"value": 0.9, "low": 0.8, "high": 1.0},
        "mark_valid": {
            "valid": False,
            "spread": 0.1,
            "unevenness": 9.0,
            "decoy_error": 0.3,
            "baseline": {"spread": 0.4, "unevenness": 1.0, "decoy_error": 0.2},
        },
        "active": False,
        "faults": [
            "held-out images: M = +0.500 is not 0 (p = 1.0e-05)",
            "other keys: p-values are not uniform (p = 1.0e-06)",
            "other keys: 9 of 9 certified",
            "power 0.900 of the perfect memorizer, expected 0.95 or more",
            "mark not valid: predicted keys spread 0.100 (baseline 0.400) and segments are uneven by 9.000 (baseline 1.000)",
            "inactive: its answers equal the baseline's bit for bit",
            "more",
        ],
        "sound": False,
    }
    fine = controls.check(sound, sound, Estimate(0.95, 0.9, 1.0, 0.1), base, base, active=True)
    assert (fine["faults"], fine["sound"], fine["active"], fine["mark_valid"]["valid"]) == ([], True, True, True)


@pytest.mark.parametrize(
    ("spread", "unevenness", "valid"),
    [(0.2, 9.0, True), (0.199, 0.4, True), (0.199, 3.0, True), (0.199, 0.399, False), (0.199, 3.001, False)],
)
def test_a_mark_is_off_below_half_of_the_spread_and_outside_its_range_alone(spread, unevenness, valid):
    sound = {"chance_p": 1.0, "uniform_p": 1.0, "certified": {"count": 0, "of": 9}, "memorization": {"value": 0.5}}
    power, base = Estimate(1.0, 1.0, 1.0, 0.0), Marks(0.4, 1.0, None)
    block = controls.check(sound, sound, power, Marks(spread, unevenness, None), base, active=True)
    assert block["mark_valid"]["valid"] is block["sound"] is valid


@pytest.mark.parametrize(("count", "high", "told"), [(5, 0.099, 1), (4, 0.099, 0), (5, 0.1, 0), (9, -0.5, 1)])
def test_many_certificates_beside_no_memory_contradict_each_other(count, high, told):
    block = {"certified": {"count": count, "of": 10}, "memorization": {"value": 0.01, "high": high}}
    words = f"a: {count} of 10 certified beside M = 0.010, which cannot be"
    assert controls.contradictions("a", block) == [words] * told


def test_the_score_of_a_content_has_each_number_of_both_groups():
    trained, held_out = RNG.random(12), RNG.random(30) + 0.4
    found = content.judge(trained, held_out, 0.2)
    p = np.array([(1 + (held_out <= one).sum()) / 31 for one in trained])
    ordered = np.sort(p)
    passed = np.flatnonzero(ordered <= 0.2 * np.arange(1, 13) / 12)
    count = passed[-1] + 1 if len(passed) else 0
    assert (found.p == pytest.approx(p), found.certified) == (True, scores.proportion(int(count), 12, 0.0))
    u = sum((a > b) + 0.5 * (a == b) for a in trained for b in held_out)
    assert found.auroc.value == pytest.approx(1 - u / 360)
    assert found.permutation_p == stats.mannwhitneyu(trained, held_out, alternative="less", method="exact").pvalue
    assert (found.least, content.least_certified(12, 30)) == (2, 16)
    assert content.certified(p, 0.2).sum() == count


def test_names_that_are_followed_are_counted_in_a_table_of_all_classes():
    named, shown = np.array([5, 5, 7, 7, 9, 9, 9]), np.array([7, 5, 7, -1, 9, 5, 9])
    found = exchange.follows_words(shown, named)
    orders = exchange._orders(3)
    table = np.array([[(shown[named == a] == b).sum() for b in (5, 7, 9)] for a in (5, 7, 9)])
    matches = table[range(3), orders].sum(axis=1)
    assert (found.count, found.of) == (4, 7)
    assert found.p == (1 + (matches >= 4).sum()) / 100_000
    assert (orders.shape, sorted(orders[0].tolist())) == ((99_999, 3), [0, 1, 2])


@pytest.mark.parametrize(("trained", "held_out"), [(3, 5), (40, 60)])
def test_the_p_of_a_rank_sum_is_never_below_one_way_of_all(trained, held_out):
    found = permutation.rank_sum_p(np.zeros(trained), np.ones(held_out))
    assert found >= 1 / comb(trained + held_out, trained) * (1 - 1e-9)
    distinct = permutation.rank_sum_p(np.arange(3.0), np.arange(3.0, 8.0))
    assert distinct == pytest.approx(1 / comb(8, 3))


def test_a_percentile_has_the_order_statistics_of_its_binomial():
    values, real = RNG.permutation(np.arange(1.0, 61.0)), np.arange(5.0)
    for share, confidence in ((0.3, 0.9), (0.05, 0.95), (0.99, 0.95)):
        found = copy_metrics.dcr_percentile(values, real, share, confidence)
        tails = [stats.binom.ppf(tail, 60, share) for tail in ((1 - confidence) / 2, (1 + confidence) / 2)]
        low = 0.0 if tails[0] == 0 else tails[0]  # the k-th smallest of 1, 2, ... is k
        high = None if tails[1] >= 60 else tails[1] + 1
        assert (found.low, found.high, found.count) == (low, high, 60)
        assert (found.value, found.chance) == (pytest.approx(1 + share * 59), pytest.approx(share * 4))


def test_a_rank_correlation_has_the_interval_of_its_formula():
    x = RNG.random(15)
    y = x + 0.6 * RNG.random(15)
    r = stats.spearmanr(x, y).statistic
    for confidence in (0.95, 0.5):
        margin = stats.norm.ppf((1 + confidence) / 2) * np.sqrt((1 + r**2 / 2) / 12)
        found = copy_metrics.rank_correlation(x, y, confidence)
        low, high = np.tanh(np.arctanh(r) - margin), np.tanh(np.arctanh(r) + margin)
        assert (found.value, found.low, found.high, found.count, found.reason) == pytest.approx((r, low, high, 15, None))
    for sign in (1, -1):
        found, almost = copy_metrics.rank_correlation(x, sign * x), 1 - 12 / (15 * 224)
        margin = stats.norm.ppf(0.975) * np.sqrt((1 + almost**2 / 2) / 12)
        ends = np.tanh(np.arctanh(sign * almost) + np.array([-margin, margin]))
        assert found.value == pytest.approx(sign)
        assert (found.low, found.high) == pytest.approx((min(ends[0], sign), max(ends[1], sign)))
    with pytest.raises(InvalidValue, match="15 and 14 numbers"):
        copy_metrics.rank_correlation(x, y[:14])
    constant = copy_metrics.Correlation(None, None, None, 15, "constant: it orders no images")
    assert copy_metrics.rank_correlation(x, np.ones(15)) == copy_metrics.rank_correlation(np.ones(15), y) == constant


def test_the_table_of_one_model_has_each_reading_with_its_agreement():
    rng = np.random.default_rng(4)
    keys = comparison.Reading(rng.random(9), rng.random(7) + 0.2)
    one = comparison.Reading(keys.trained + 0.3 * rng.random(9), rng.random(7), 0.5)
    found = comparison.block({"one": one}, keys)
    rank = lambda *given: {**vars(copy_metrics.rank_correlation(*given)), "chance": 0.0}  # noqa: E731
    every = [np.r_[each.trained, each.held_out] for each in (one, keys)]
    apart = copy_metrics.discrimination(one.trained, one.held_out)
    by_chance = (one.held_out < 0.5).mean()
    assert found["one"] == {
        "direction": "smaller means nearer",
        "trained": comparison._level(one.trained),
        "held_out": comparison._level(one.held_out),
        "copies": scoring.share(scores.proportion(int((one.trained < 0.5).sum()), 9, by_chance)),
        "auroc": {**scoring.interval(apart.auroc), "chance": 0.5},
        "tpr_at_1_fpr": scoring.share(apart.tpr_at_1_fpr),
        "spearman_with_solidmark": rank(one.trained, keys.trained),
        "spearman_over_all": rank(*every),
    }
    itself = {"value": None, "low": None, "high": None, "reason": "it is itself", "chance": 0.0}
    assert found["solidmark"]["spearman_with_solidmark"] == {**itself, "count": 9}
    assert found["solidmark"]["spearman_over_all"] == {**itself, "count": 16}
    assert found["solidmark"]["copies"] is None


def test_published_metrics_are_those_of_their_functions():
    made = comparison.metrics(some, 2)
    generated, real = PICTURES, IMAGES[:3]
    expected = {
        "l2": copy_metrics.l2(generated, real),
        "calibrated_l2": copy_metrics.calibrated_l2(generated, real, SPARE),
        "calibrated_l2_tiles": copy_metrics.calibrated_l2(generated, real, SPARE, tile=2),
        "feature_cosine": 1 - copy_metrics.feature_cosine(generated, real, some),
        "perceptual_hash": copy_metrics.perceptual_hash_distance(generated, real),
        "closest_record": copy_metrics.dcr(generated, SPARE),
    }
    assert {name: one.distance(generated, real, SPARE).tolist() for name, one in made.items()} == {
        name: one.tolist() for name, one in expected.items()
    }
    copies = {name: one.copy for name, one in made.items() if one.copy is not None}
    assert copies == {"calibrated_l2": 1.0, "calibrated_l2_tiles": 1.0}
    twice = comparison.Generations(np.stack([PICTURES, PICTURES[::-1]]), real)
    nearest = np.minimum(copy_metrics.l2(PICTURES, real), copy_metrics.l2(PICTURES[::-1], real))
    assert made["l2"].nearest(twice, SPARE).tolist() == nearest.tolist()
    readings = comparison.readings(twice, comparison.Generations(PICTURES[None], real), SPARE, made)
    assert (readings["l2"].trained.tolist(), readings["l2"].held_out.tolist()) == (
        nearest.tolist(),
        expected["l2"].tolist(),
    )
    assert {name: one.copy for name, one in readings.items() if one.copy} == copies


def test_the_worst_case_is_that_of_its_halves_and_halvings():
    keys = np.random.default_rng(0).random((10, 4))
    given = {name: np.clip(recall * keys + (1 - recall) * RNG.random((10, 4)), 0, 1)
             for name, recall in (("a", 0.1), ("b", 0.8), ("c", 0.5))}  # fmt: skip
    found = worst_case.find(given, keys, 7, 0.02)
    stacked = np.stack([*given.values()])
    half = worst_case.halves(10, seeds.numpy_rng(7, "worst case", "halves"))
    near = np.stack([scores.combine(scores.p_values(one, keys)) for one in stacked])
    far_ = np.stack([scores.combine(1 - scores.p_values(one, keys)) for one in stacked])
    rng, values, errors, times = seeds.numpy_rng(7, "worst case", "halvings"), [], [], np.zeros(3)
    for _ in range(20):
        side = rng.permutation(10) < 5
        best = [
            np.argmax([abs(scores.memorization(one[rows], keys[rows]).value) for one in stacked]) for rows in (~side, side)
        ]
        mixed = np.where(side[:, None], stacked[best[0]], stacked[best[1]])
        estimate = scores.memorization(mixed, keys)
        values, errors = [*values, estimate.value], [*errors, estimate.error]
        times += np.bincount(best, minlength=3)
    assert (found.memorization.value, found.memorization.error) == pytest.approx((np.mean(values), np.mean(errors)))
    each = [scores.memorization(one, keys).limits for one in stacked]
    low = np.mean(values) - stats.t.ppf(0.975, 9) * np.mean(errors)
    assert low > 0
    assert found.memorization.limits == pytest.approx((low, max(high for _, high in each)))
    assert found.chosen == pytest.approx(dict(zip("abc", times / 40, strict=True)))
    rivals = np.concatenate([near, far_])
    strongest = [(-np.log(rivals[:, rows])).mean(axis=1).argmax() for rows in (~half, half)]
    p = np.minimum(np.where(half, rivals[strongest[0]], rivals[strongest[1]]) / 0.8, near.min(axis=0) * 3 / 0.2)
    assert found.certified == scores.certified_share(np.minimum(p, 1), 0.05)
    assert (found.epsilon, found.delta) == (scores.epsilon(rivals[strongest[1]][~half], delta=0.02), 0.02)
    block = worst_case.as_block(found)
    assert (block["queries"], block["chosen"], block["memorization"]["images"]) == (3, found.chosen, 10)
    assert block["epsilon"] == scoring.privacy_loss(found.epsilon, 0.02)
    alone = worst_case.find({"b": given["b"]}, keys, 7, 0.02)
    p = scores.combine(scores.p_values(given["b"], keys))
    assert (alone.certified, alone.epsilon) == (scores.certified_share(p, 0.025), scores.epsilon(p, delta=0.02))


@pytest.mark.parametrize(
    ("predictions", "where"),
    [({}, "no query"), ({"a": np.ones((9, 4))}, "shapes"), ({"a": np.full((10, 4), 2.0)}, r"\[0, 1\]")],
)
def test_predictions_that_fit_no_keys_are_refused(predictions, where):
    with pytest.raises(InvalidValue, match=where):
        worst_case.find(predictions, np.full((10, 4), 0.5), 0)


def test_an_area_under_the_curve_has_the_error_of_delong_on_the_logit_scale():
    trained, held_out = np.r_[RNG.random(9), 0.5, 0.5], np.r_[RNG.random(13) + 0.2, 0.5]
    wins = (trained[:, None] < held_out) + 0.5 * (trained[:, None] == held_out)
    value, rows, columns = wins.mean(), wins.mean(axis=1), wins.mean(axis=0)
    error = np.sqrt(rows.var(ddof=1) / 11 + columns.var(ddof=1) / 14)
    for confidence in (0.95, 0.8):
        margin = stats.norm.ppf((1 + confidence) / 2) * error / (value * (1 - value))
        odds = np.log(value / (1 - value)) + np.array([-margin, margin])
        found = scores.auroc(trained, held_out, confidence)
        limits = (1 / (1 + np.exp(-odds))).tolist()
        assert (found.value, found.error, *found.limits) == pytest.approx((value, error, *limits))
    apart = scores.auroc(np.zeros(4), np.ones(6), 0.9)
    assert (apart.value, apart.error, apart.limits) == (1.0, 0.0, scores.clopper_pearson(4, 4, 0.9))


# Networks that somebody gives


class Clip(torch.nn.Module):
    """A model that notes what it is given: its pictures are means, its words first tokens."""

    def __init__(self):
        super().__init__()
        text, vision = SimpleNamespace(max_position_embeddings=6), SimpleNamespace(image_size=4)
        self.config, self.asked = SimpleNamespace(text_config=text, vision_config=vision), []

    def forward(self, input_ids, attention_mask, pixel_values):
        self.asked.append((len(input_ids), attention_mask.tolist(), pixel_values.shape))
        embeds = pixel_values.mean(dim=(2, 3))
        return SimpleNamespace(image_embeds=embeds, text_embeds=torch.nn.functional.one_hot(input_ids, 3).float())


def clip(colours):
    made, asked = object.__new__(given_judge.ClipScore), []

    def tokens(captions, **how):
        asked.append((captions, how))
        ids = torch.tensor([int(caption or 0) for caption in captions])
        return SimpleNamespace(input_ids=ids, attention_mask=ids + 7)

    made._model, made._tokenizer, made._colours, made.asked = Clip(), tokens, colours, asked
    return made


@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_and_captions_are_read_in_batches_of_thirty_two(channels):
    made, count = clip(((0.1, 0.2, 0.3), (0.5, 0.25, 2.0))), 70
    images, captions = RNG.random((count, channels, 4, 4)), [str(n % 3) for n in range(count)]
    colours = np.broadcast_to(images.mean(axis=(2, 3)), (count, 3))
    pictures = (colours - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.25, 2.0])
    expected = 100 * np.maximum(pictures[range(count), [n % 3 for n in range(count)]], 0)
    assert made.scores(images, captions) == pytest.approx(expected, rel=1e-4, abs=1e-4)
    assert [size for size, *_ in made._model.asked] == [32, 32, 6]
    assert {shape[1:] for *_, shape in made._model.asked} == {(3, 4, 4)}
    assert made._model.asked[0][1][:4] == [7, 8, 9, 7]
    how = {"padding": "max_length", "truncation": True, "return_tensors": "pt", "max_length": 6}
    assert made.asked == [(captions[n : n + 32], how) for n in (0, 32, 64)]
    assert made.embed(images) == pytest.approx(pictures, rel=1e-4, abs=1e-4)
    assert made.asked[-1][0] == [""] * 6


def test_a_clip_is_loaded_from_its_folder_alone_with_the_colours_that_it_states(monkeypatch, tmp_path):
    asked = []
    model = SimpleNamespace(eval=lambda: "the model")

    def load(answer):
        return SimpleNamespace(from_pretrained=lambda *given, **named: asked.append((given, named)) or answer)

    loads = SimpleNamespace(CLIPModel=load(model), AutoTokenizer=load("tokens"))
    monkeypatch.setitem(sys.modules, "transformers", loads)
    made = given_judge.ClipScore(tmp_path)
    assert asked == [((tmp_path,), {"local_files_only": True})] * 2
    assert (made._model, made._tokenizer) == ("the model", "tokens")
    assert made._colours == (given_judge.CLIP_MEAN, given_judge.CLIP_DEVIATION)
    (tmp_path / "preprocessor_config.json").write_text('{"image_std": [1, 2, 3], "image_mean": [4, 5, 6]}')
    assert given_judge.ClipScore(tmp_path)._colours == ([4, 5, 6], [1, 2, 3])


def test_a_given_judge_sees_pictures_in_their_shape_and_its_own_features_first():
    seen = []
    own = lambda images: seen.append(images.shape) or images.sum(axis=(1, 2, 3))  # noqa: E731
    scoring_ = SimpleNamespace(embed=lambda images: ("embedded", images.shape))
    judge = given_judge.GivenJudge("x", (3, 4, 8), own, scoring_)
    flat = PICTURES.reshape(3, -1)
    assert judge.features(flat) == pytest.approx(PICTURES.sum(axis=(1, 2, 3)))
    assert (seen, judge.clip, judge.name, judge.accuracy) == ([(3, 3, 4, 8)], scoring_, "x", None)
    assert given_judge.GivenJudge("x", (3, 4, 8), None, scoring_).features(flat) == ("embedded", (3, 3, 4, 8))
    assert judge.__getstate__() == {"name": "x", "shape": (3, 4, 8)}


@pytest.mark.parametrize("channels", [1, 3])
def test_a_network_of_features_gets_resized_colours_in_batches(monkeypatch, tmp_path, channels):
    loaded, sizes = [], []

    def network(images):
        sizes.append(tuple(images.shape))
        return images.mean(dim=(2, 3))

    answer = SimpleNamespace(eval=lambda: network)
    monkeypatch.setattr(torch.jit, "load", lambda *given, **named: loaded.append((given, named)) or answer)
    found = features.torchscript_features(tmp_path / "x.pt", side=4, batch=2)
    images = RNG.random((5, channels, 4, 4))
    mean, deviation = (np.array(one) for one in (features.IMAGENET_MEAN, features.IMAGENET_DEVIATION))
    expected = (np.broadcast_to(images.mean(axis=(2, 3)), (5, 3)) - mean) / deviation
    assert found(images) == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert sizes == [(2, 3, 4, 4), (2, 3, 4, 4), (1, 3, 4, 4)]
    assert loaded == [((str(tmp_path / "x.pt"),), {"map_location": "cpu"})]
    answer.eval = lambda: lambda images: images.mean(dim=(2, 3))[:1]
    with pytest.raises(DamagedFile, match=r"features of shape \(3, 3\); expected \(5, D\)"):
        features.torchscript_features(tmp_path / "x.pt", 4, 2)(images)


def test_many_scores_are_of_pairs_of_rows():
    """Sums over all pairs, by their loops."""
    found, keys = world(7, 0.4, 2)
    pairs = np.abs(found[:, None] - keys[None]).mean(axis=2)
    off = ~np.eye(7, dtype=bool)
    assert scores.chance_distance(found, keys) == pytest.approx(pairs[off].mean())
    m = lambda p: 1 - np.diag(p).mean() / p[~np.eye(len(p), dtype=bool)].mean()  # noqa: E731
    without = np.array([m(np.delete(np.delete(pairs, n, 0), n, 1)) for n in range(7)])
    error = np.sqrt(6 / 7 * ((without - without.mean()) ** 2).sum())
    for confidence in (0.95, 0.5):
        estimate, margin = scores.memorization(found, keys, confidence), stats.t.ppf((1 + confidence) / 2, 6) * error
        assert (estimate.value, estimate.error) == pytest.approx((m(pairs), error))
        assert estimate.limits == pytest.approx((m(pairs) - margin, m(pairs) + margin))
    others = RNG.random((7, 5))
    more = np.abs(others[:, None] - keys[None]).mean(axis=2)
    gone = np.array([m(np.delete(np.delete(more, n, 0), n, 1)) for n in range(7)])
    paired = without - gone
    error = np.sqrt(6 / 7 * ((paired - paired.mean()) ** 2).sum())
    apart = scores.memorization_difference(found, others, keys)
    assert (apart.value, apart.error) == pytest.approx((m(pairs) - m(more), error))


def test_the_nearest_neighbours_of_what_was_generated_cover_real_images():
    real, generated = RNG.random((12, 3)), RNG.random((9, 3))
    for neighbours in (1, 4, 30):
        radii = np.sort(cdist(generated, generated), axis=1)[:, min(neighbours, 8)]
        expected = [any(np.linalg.norm(a - b) <= r for b, r in zip(generated, radii, strict=True)) for a in real]
        assert utility.recall(real, generated, neighbours).tolist() == expected


@pytest.mark.parametrize("place", ["pictures", "images", "spare"])
@pytest.mark.parametrize("wrong", ["size", "axes", "nothing", "nan"])
def test_flat_pictures_of_one_size_are_compared_and_others_refused_by_name(place, wrong):
    given = {"pictures": RNG.random((2, 6)), "images": RNG.random((3, 6)), "spare": RNG.random((8, 6))}
    plain = given[place]
    changed = {"size": plain[:, :5], "axes": plain[None], "nothing": plain[:0], "nan": np.where(plain < 1, np.nan, 0)}
    told = f"{place} with NaN" if wrong == "nan" else f"{place} of shape .*; expected .N, "
    if place == "spare" and wrong in ("nothing", "axes"):
        told = "spare images; expected at least 4"
    if place == "pictures" and wrong == "size":
        told = r"images of shape \(3, 6\); expected \(N, 5\), not empty"  # pictures say which size it is
    with pytest.raises(InvalidValue, match=f"content.ratios: found .*{told}"):
        content.ratios(*{**given, place: changed[wrong]}.values())


@pytest.mark.parametrize(
    ("freed", "fits"),
    [
        (np.ones((3, 4, 8), dtype=bool), True),
        (np.ones((3, 8, 4), dtype=bool), False),
        (np.ones((2, 4, 8), dtype=bool), False),
        (np.arange(3)[:, None, None] < np.full((3, 4, 8), 2), False),
    ],
)
def test_a_block_of_each_picture_is_freed_in_their_shape(freed, fits):
    if fits:
        assert patches.block_scores(PICTURES, IMAGES[:3], SPARE, freed).shape == (3,)
    else:
        with pytest.raises(InvalidValue, match=r"patches\.block_scores: found freed .*\(3, 4, 8\) with a pixel of each"):
            patches.block_scores(PICTURES, IMAGES[:3], SPARE, freed)
    with pytest.raises(InvalidValue, match=r"patches: found answers"):
        patches.block_scores(PICTURES[:2], IMAGES[:3], SPARE, np.ones((3, 4, 8), dtype=bool))
    broken = IMAGES[:3].copy()
    broken[0, 0, 0, 0] = np.nan
    with pytest.raises(InvalidValue, match="patches: found NaN or infinity"):
        patches.block_scores(PICTURES, broken, SPARE, np.ones((3, 4, 8), dtype=bool))


@pytest.mark.parametrize(
    ("act", "told"),
    [
        (
            lambda: copy_metrics.l2(PICTURES, IMAGES),
            r"copy_metrics.l2: found generated \(3, 3, 4, 8\), content \(5, .*; expected equal shapes. Pair every image",
        ),
        (
            lambda: copy_metrics.dcr(PICTURES, SPARE[..., :4]),
            r"copy_metrics.dcr: found generated \(3, .*, training \(13, .*; expected images of one size. Crop the marks",
        ),
        (
            lambda: copy_metrics.feature_cosine(PICTURES, IMAGES, some),
            r"copy_metrics.feature_cosine: found generated .*; expected equal shapes. Pair every",
        ),
        (
            lambda: copy_metrics.perceptual_hash_distance(PICTURES, IMAGES),
            r"copy_metrics.perceptual_hash_distance: found generated .*; expected equal shapes. Pair every",
        ),
        (
            lambda: copy_metrics.calibrated_l2(PICTURES, IMAGES[:3], SPARE[:3]),
            r"calibrated_l2: found 3 training images; expected at least 4. Calibrate",
        ),
        (
            lambda: content.ratios(PICTURES[:, 0, 0], IMAGES[:, 0, 0], SPARE[:3, 0, 0]),
            r"content.ratios: found 3 spare images; expected at least 4. Calibrate",
        ),
    ],
)
def test_what_was_found_is_told_before_what_was_expected_and_the_cure(act, told):
    with pytest.raises(InvalidValue, match=told):
        act()
