"""One of several: a number, an image or a seed that differs from the others, where a rule asks all, any, least or mean."""

import itertools
import json
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from record_samples import case, finding, utility
from scipy import special
from scipy.spatial.distance import cdist
from test_board_rules import area, attempted, side
from test_measurement_rules import LAID
from test_report_rules import BARE

from solidmark import data, seeds
from solidmark.cli import watch
from solidmark.collection import certificate, marking, pictures, sealing
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.leaderboard import blocks, build_leaderboard, curves, differences, measures, placing, ranking, reported
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.matched import MatchedComparison
from solidmark.leaderboard.outcomes import outcomes
from solidmark.leaderboard.per_image import Answers
from solidmark.measurement import answers, content, floor, measure, whitebox
from solidmark.measurement.case import Case
from solidmark.metrics import comparison, copy_metrics, distances, patches, permutation
from solidmark.metrics import content as content_metrics
from solidmark.schema.numbers import Estimate

RNG = np.random.default_rng(5)
PICTURES = RNG.random((8, 1, 4, 6))
FLAT = PICTURES.reshape(8, -1)


def with_one(values, wrong):
    """The same with one wrong number."""
    changed = values.copy()
    changed.flat[-1] = wrong
    return changed


ONE_WRONG = {
    "l2": lambda x: copy_metrics.l2(with_one(PICTURES, x), PICTURES),
    "dcr": lambda x: copy_metrics.dcr(PICTURES[:2], with_one(PICTURES, x)),
    "rank correlation": lambda x: copy_metrics.rank_correlation(np.arange(5.0), with_one(np.arange(5.0), x)),
    "percentile": lambda x: copy_metrics.dcr_percentile(with_one(np.arange(5.0), x), np.arange(5.0)),
    "features": lambda x: copy_metrics.feature_cosine(PICTURES, PICTURES, lambda images: with_one(images[:, 0, 0], x)),
    "pictures": lambda x: content_metrics.ratios(with_one(FLAT[:2], x), FLAT, FLAT[2:]),
    "spare": lambda x: content_metrics.ratios(FLAT[:2], FLAT, with_one(FLAT[2:], x)),
    "held-out scores": lambda x: content_metrics.conformal_p(np.arange(3.0), with_one(np.arange(3.0), x)),
    "answers": lambda x: patches.tile_scores(with_one(PICTURES, x), PICTURES, PICTURES),
    "spare pictures": lambda x: patches.tile_scores(PICTURES, PICTURES, with_one(PICTURES, x)),
    "memories": lambda x: curves.frontier(np.arange(3.0), with_one(np.arange(3.0), x), np.array([0.0])),
    "losses": lambda x: curves.frontier(with_one(np.arange(3.0), x), np.arange(3.0), np.array([0.0])),
}


@pytest.mark.parametrize("name", ONE_WRONG)
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_one_number_that_is_none_is_enough_to_refuse(name, wrong):
    with pytest.raises(InvalidValue):
        ONE_WRONG[name](wrong)


def test_one_pixel_outside_of_the_range_is_enough_to_refuse():
    for wrong in (-0.01, 1.01):
        with pytest.raises(InvalidValue, match="pixels outside"):
            copy_metrics.l2(with_one(PICTURES, wrong), PICTURES)


def test_one_picture_that_cannot_be_calibrated_is_enough_to_refuse():
    spare = np.concatenate([PICTURES[:1], PICTURES[:1], PICTURES[2:]])
    with pytest.raises(InvalidValue, match="neighbours at distance 0"):
        copy_metrics.calibrated_l2(PICTURES[:2], PICTURES[6:], spare)
    with pytest.raises(InvalidValue, match="equals so many spare images"):
        content_metrics.ratios(FLAT[:2], FLAT, spare.reshape(8, -1))


def test_one_image_without_a_direction_is_enough_to_refuse():
    def features(images):
        found = np.ones((len(images), 3))
        found[-1] = 0.0
        return found

    with pytest.raises(InvalidValue, match="all zero, NaN or infinity"):
        copy_metrics.feature_cosine(PICTURES, PICTURES, features)


def test_one_hash_of_one_bit_a_side_is_enough_to_refuse():
    with pytest.raises(InvalidValue, match=r"sizes \(8, 1\)"):
        copy_metrics.perceptual_hash_distance(PICTURES, PICTURES, (8, 1))


def test_one_image_without_a_freed_pixel_is_enough_to_refuse():
    freed = np.zeros((2, 4, 6), dtype=bool)
    freed[0, 1:3, 1:3] = True
    with pytest.raises(InvalidValue, match="with a pixel of each image"):
        patches.block_scores(PICTURES[:2], PICTURES[2:4], PICTURES[4:], freed)
    freed[1, 0, 0] = True
    assert patches.block_scores(PICTURES[:2], PICTURES[2:4], PICTURES[4:], freed).shape == (2,)


def test_a_copy_lies_below_the_threshold_and_not_on_it():
    found = comparison._copies(comparison.Reading(np.array([0.5, 1.0, 2.0]), np.array([0.9, 1.0, 3.0, 4.0]), 1.0))
    assert (found["count"], found["of"], found["chance"]) == (1, 3, 0.25)
    assert comparison._copies(comparison.Reading(np.ones(3), np.ones(3))) is None


def brute_ratio(pictures, images, spare, pixels):
    """Shift by its definition: every shift of a picture against the middle of an image."""

    def least(picture, image):
        height, width = (size - 2 * pixels for size in image.shape[-2:])
        middle = image[:, pixels : pixels + height, pixels : pixels + width]
        steps = itertools.product(range(2 * pixels + 1), repeat=2)
        return min(np.linalg.norm(picture[:, y : y + height, x : x + width] - middle) for y, x in steps)

    near = np.array([[least(picture, image) for image in spare] for picture in pictures])
    count = min(50, max(len(spare) // 4, 1))
    scale = np.sort(near, axis=1)[:, :count].mean(axis=1, keepdims=True)
    return np.array([[least(picture, image) for image in images] for picture in pictures]) / scale


@pytest.mark.parametrize("spare", [3, 8, 212])
def test_a_shift_is_the_least_over_all_shifts_over_the_mean_of_a_quarter_of_the_spare_images(spare):
    others = RNG.random((spare, 1, 4, 6))
    around = distances.Surroundings(others, None)
    found = distances.Shift(1).between(PICTURES[:2], PICTURES[2:5], around)
    assert found == pytest.approx(brute_ratio(PICTURES[:2], PICTURES[2:5], others, 1))


@pytest.mark.parametrize(
    ("trained", "held_out"), [([1.0], [1.0, 2.0]), ([2.0, 1.0], [2.0, 0.0, 1.0]), ([3.0, 3.0, 1.0], [1.0, 3.0])]
)
def test_a_rank_sum_with_ties_is_counted_over_all_choices(trained, held_out):
    scores = np.array(trained + held_out)
    ranks = np.array([(scores < one).sum() + ((scores == one).sum() + 1) / 2 for one in scores])
    seen = ranks[: len(trained)].sum()
    sums = [ranks[list(chosen)].sum() for chosen in itertools.combinations(range(len(scores)), len(trained))]
    assert permutation.rank_sum_p(np.array(trained), np.array(held_out)) == pytest.approx(np.mean(np.array(sums) <= seen))


def test_so_many_pairs_are_still_counted_one_by_one():
    trained, held_out = np.r_[np.zeros(20), np.ones(12)], np.r_[np.zeros(20), np.ones(44)]
    assert len(trained) * len(held_out) == permutation.ENUMERATED
    assert permutation.rank_sum_p(trained, held_out) == permutation._enumerated(trained, held_out)


# Images


def test_images_are_compared_across_the_parts_in_which_they_are_read():
    values = np.arange(520.0) / 1000
    for copy, of in ((513, 0), (512, 511), (519, 512), (300, 299)):
        values[copy] = values[of]
    images = torch.from_numpy(values)[:, None, None, None]
    left = set(range(520)) - set(data.distinct(images, alike=5e-4))
    assert left == {513, 512, 519, 300}


def test_the_checksum_of_a_file_is_that_of_the_bytes_of_its_rows(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (600, 1, 2, 3), dtype=np.uint8)
    np.save(tmp_path / "images.npy", pixels)
    rows = np.arange(599, -1, -2)
    for stored, expected in (
        (data.StoredImages(tmp_path / "images.npy"), pixels),
        (data.StoredImages(tmp_path / "images.npy", rows), pixels[rows]),
    ):
        assert data.checksum(stored) == zlib.crc32(expected.tobytes())
        assert stored.shape == expected.shape
    whole = torch.from_numpy(pixels)
    assert data.checksum(whole) == zlib.crc32(pixels.tobytes())


@pytest.mark.parametrize(
    ("size", "fits"), [((8000, 8000), True), ((8001, 8000), False), ((8, 8), True), ((7, 99), False), ((99, 7), False)]
)
def test_a_picture_has_eight_pixels_a_side_and_64_million_at_most(size, fits):
    if fits:
        pictures._check_size(size, "it")
    else:
        with pytest.raises(InvalidValue, match=f"{size[0]} x {size[1]} pixels"):
            pictures._check_size(size, "it")


# Boards


def test_a_measure_of_two_seeds_is_compared_by_their_means():
    before = attempted((0, area(0.9), None), (1, area(0.7), None))
    after = attempted((0, area(0.6), None), (1, area(0.8), None))
    found = differences._measured(before, after, measures.CONTENT, [0, 1])
    assert (found.before, found.after) == (pytest.approx(0.6), pytest.approx(0.4))
    assert found.estimate.error == pytest.approx(np.sqrt(2) * 0.04 * np.sqrt(2) / 2)


def test_images_of_two_seeds_are_paired_in_each_and_averaged(monkeypatch):
    keys = np.array([[0.5], [0.25], [0.75], [0.1]])
    answered = {
        ("before", 0): keys + 0.1, ("after", 0): keys + 0.05, ("before", 1): keys + 0.2, ("after", 1): keys - 0.02,
    }  # fmt: skip
    given = {name: Answers(("a", "b", "c", "d"), value, keys) for name, value in answered.items()}
    monkeypatch.setattr(differences, "answers", lambda runs, row, seed, query: given[runs, seed])

    def row(m):
        each = tuple(SimpleNamespace(seed=s, memorization=Estimate(m + s / 10, 0, 1, 0.1, 0.0, 9 - s)) for s in range(2))
        return replace(BARE, queries={"outpaint": 1}, attempts=each)

    found = differences._over_images(row(0.4), row(0.6), [0, 1], "before", "after")
    each = [differences.memorization_difference(answered["after", s], answered["before", s], keys) for s in range(2)]
    assert (found.before, found.after) == (pytest.approx(0.45), pytest.approx(0.65))
    assert found.estimate.value == pytest.approx((each[0].value + each[1].value) / 2)
    assert found.estimate.error == pytest.approx(np.hypot(each[0].error, each[1].error) / 2)
    assert (found.estimate.count, found.paired) == (8, "8 images")


def test_one_seed_without_a_utility_is_enough_to_leave_a_row_out():
    axis = SimpleNamespace(of=lambda attempt: attempt, title="accuracy")
    measure_ = SimpleNamespace(lacking=lambda row, baseline: "")
    row = lambda *values, ok=True: SimpleNamespace(ok=ok, reason="why", status="error", attempts=values)  # noqa: E731 - words
    baseline = row(0.5, 0.4)
    assert curves._unusable(row(0.5, None), baseline, axis, measure_) == curves.NO_CLASS
    assert curves._unusable(row(0.5, 0.0), baseline, axis, measure_) == ""
    zero = row(0.5, 0.0)
    assert curves._unusable(zero, zero, axis, measure_) == "its accuracy is 0, so that there is no relative loss"
    assert curves._unusable(row(0.5, ok=False), baseline, axis, measure_) == "why"


def test_one_curve_with_numbers_is_enough_for_an_axis():
    found = MatchedComparison("digits", {}, (side(False, "accuracy"), side(True, "accuracy")), (), ())
    assert found.has_numbers("accuracy")
    assert not found.has_numbers("frechet")


def test_one_seed_without_a_reading_is_enough_to_lack_it():
    both, one = attempted((0, 1, 1), (1, 1, 1)), attempted((0, 1, None), (1, None, None))
    assert measures.CONTENT._has(both, "content_own")
    assert not measures.CONTENT._has(one, "content_own")
    assert measures.CONTENT.lacking(one, both) == measures.CONTENT.missing
    assert measures.CONTENT.lacking(attempted((0, None, 1)), both) == ""


def curve(family, losses, memories, **more):
    points = tuple(
        Point(f"s{n}", tuple(loss), tuple(memory)) for n, (loss, memory) in enumerate(zip(losses, memories, strict=True))
    )
    return Curve(family, "training", False, False, "accuracy", "worst", tuple(range(len(losses[0]))), points, **more)


def test_a_gap_is_paired_over_seeds_at_the_loss_of_the_setting():
    bar = curve("stop", [[0.0] * 3, [0.2] * 3], [[0.8] * 3, [0.4] * 3])
    own = curve("x", [[0.0] * 3, [0.1] * 3], [[0.8] * 3, [0.1, 0.2, 0.3]])
    board = SimpleNamespace(axis="accuracy", curves_on=lambda axis, measure: [bar])
    found = placing._below(board, "worst", "stop", own, own.points[1])
    assert (found.value, found.error, found.count) == (pytest.approx(0.4), pytest.approx(0.1 / np.sqrt(3)), 3)
    assert placing._below(board, "worst", "other", own, own.points[1]) is None


@pytest.mark.parametrize(
    ("gaps", "keys_only", "least"), [((0.3, 0.1), False, 0.1), ((0.1, 0.3), False, 0.1), ((0.3, 0.1), True, 0.3)]
)
def test_the_gap_of_a_row_is_that_of_the_yardstick_that_says_less(monkeypatch, gaps, keys_only, least):
    told = dict(zip(("worst", "content"), gaps, strict=True))
    monkeypatch.setattr(placing, "_below", lambda board, measure, reference, *found: Estimate(told[measure]))
    judged = SimpleNamespace(keys=SimpleNamespace(reference="stop"), keys_only=keys_only)
    pair = (None, None)
    assert placing._gap(None, judged, pair, pair).value == least
    assert placing._gap(None, None, pair, pair) is None
    if not keys_only:
        assert placing._gap(None, judged, pair, None) is None


@pytest.mark.parametrize("standing", [0, 1, 5, 40])
def test_luck_in_the_losses_is_tested_at_twice_the_largest_move_that_leaves_a_finding(standing):
    less, more = np.zeros(40), np.ones(40)
    less[standing : standing + 1] = 1.0  # equal is no finding
    found = ranking._p_of_losses(less, more, 4)
    assert found == pytest.approx(1.0 if standing == 0 else 2 * special.stdtr(3, -2 * ranking.MOVES[standing - 1]))


def test_losses_are_moved_by_their_standard_errors_and_memories_stay():
    of = curve("x", [[0.0, 0.0], [0.04, 0.06]], [[0.8, 0.6], [0.2, 0.4]])
    error = 0.02 / np.sqrt(2) / np.sqrt(2)
    for sign in (1, -1):
        at = 0.05 + sign * ranking.MOVES[0] * error  # the setting lies here, its memory is 0.3
        expected = 0.7 - 0.4 * 0.05 / at if at > 0.05 else 0.3
        assert ranking._moved(of, (0, 1), sign)[0] == pytest.approx(expected)


def test_rows_are_placed_by_the_earliest_of_their_seeds():
    (row,) = build_leaderboard([{**case("x", seed=seed), "order": order} for seed, order in ((0, 5), (1, 2))]).rows
    assert row.order == 2


def test_experiments_come_suite_by_suite_in_their_order():
    each = [
        finding("b", order=3),
        finding("c", order=1, suite="claims"),
        finding("a", order=2),
        finding("d", order=4, suite="claims"),
    ]
    found = outcomes([{**one, "slug": f"{one['suite']}-{n}", "case_id": str(n)} for n, one in enumerate(each)])
    assert [one.order for one in found] == [1, 4, 2, 3]


REFUSED = {"trained": {"count": 3, "of": 4}, "held_out": {"count": 1, "of": 4}}


def report(epsilon, delta, refused=True, **values):
    queries = {"outpaint": REFUSED} if refused else {"other": REFUSED}
    sampling = {"refused": {"generated": {"count": 2, "of": 8}, "queries": queries}}
    return {"training": {"dp": {"epsilon": epsilon, "delta": delta, **values}}, "sampling": sampling}


def test_reports_of_seeds_are_averaged_and_claims_are_the_largest():
    found = reported.summarize_reports([report(1.0, 1e-5, a=1, b="x", c=1), report(3.0, 1e-6, a=2, b="x")], "outpaint")
    assert found.values == {
        "training: epsilon": 2.0,
        "training: delta": pytest.approx(5.5e-6),
        "training: a": 1.5,
        "training: b": "x",
    }
    assert (found.claimed.epsilon, found.claimed.delta) == (3.0, 1e-5)
    assert (found.refused.trained.count, found.refused.held_out.of, found.refused.fresh.count) == (6, 8, 4)
    assert reported.summarize_reports([report(1.0, 0.0), report(1.0, 0.0, refused=False)], "outpaint").refused is None


@pytest.mark.parametrize(
    ("values", "mean"),
    [([1, 2.0], 1.5), (["a", "a"], "a"), (["a", "b"], None), ([True, True], "True"), ([1, "a"], None), ([None, None], None)],
)
def test_what_parts_report_is_averaged_where_it_is_numbers_and_kept_where_it_is_one(values, mean):
    assert reported._over_seeds(values) == mean


def test_parts_are_named_where_a_stage_has_several():
    block = {"training": {"a": {"x": 1}, "b": {"x": 2}}, "editing": {"c": {"y": 3}}}
    assert dict(reported._named(block, "")) == {"training: a: x": 1, "training: b: x": 2, "editing: y": 3}
    assert reported._claim(report(1.0, None)) is None
    two = {"training": {name: {"epsilon": 1.0, "delta": 0.1} for name in "ab"}}
    assert reported._claim(two) is None


def controls(valid=True, active=True, faults=()):
    record = case()["controls"]
    return {
        **record,
        "mark_valid": {**record["mark_valid"], "valid": valid},
        "active": active,
        "faults": [*faults],
        "sound": not faults,
    }


def test_controls_of_a_row_hold_where_those_of_every_seed_do():
    found = blocks.controls([controls(), controls(valid=False, active=False, faults=("a", "b")), controls(faults=("c",))])
    assert (found.mark_valid, found.active, found.sound, found.faults) == (False, False, False, ("a", "b", "c"))
    whole = blocks.controls([controls(), controls()])
    assert (whole.mark_valid, whole.active, whole.sound, whole.faults) == (True, True, True, ())


def test_what_one_seed_lacks_the_row_lacks():
    one, other = utility(), utility()
    other["ways"] = {"more": other["ways"]["fresh captions"]}
    assert blocks.utility([one, other]).ways == {}
    assert [*blocks.utility([one, one]).ways] == ["fresh captions"]
    interval = {"value": 0.5, "low": 0.4, "high": 0.6}
    assert [*blocks.power([{"a": interval, "b": interval}, {"a": interval}], [16, 16])] == ["a"]
    assert blocks.power([{"a": interval}, {"a": None}], [16, 16]) == {"a": None}


def test_the_largest_peak_of_any_seed_that_knows_it_is_the_rows():
    block = case()["cost"]
    assert blocks.cost([block] * 3, [3, None, 5]).peak_bytes == 5
    assert blocks.cost([block], [None]).peak_bytes is None


# Measurements


def losses(levels, rng):
    from worlds import memorizer

    return whitebox.denoising_loss(memorizer(LAID), LAID.marked_trained, LAID.mark, rng, levels).whole


def test_a_loss_is_the_mean_over_its_levels_each_with_its_noise():
    both = losses((0.3, 0.6), torch.Generator().manual_seed(1))
    one = torch.Generator().manual_seed(1)
    first, second = losses((0.3,), one), losses((0.6,), one)
    assert both == pytest.approx((first + second) / 2, rel=1e-5)


def test_the_best_query_stands_for_the_power_and_each_answers_for_its_leaks(monkeypatch):
    seen = {}
    monkeypatch.setattr(measure.controls, "check", lambda *words, **more: seen.update(words=words, **more))
    monkeypatch.setattr(measure, "_faults", lambda case, truth, name, one, power: [f"fault of {name}"])
    monkeypatch.setattr(measure, "_negative", lambda truth, found: f"negative of {found.name}")
    monkeypatch.setattr(measure.scoring, "negative", lambda predictions, keys: "other keys")
    power = {name: answers.Power(Estimate(value)) for name, value in (("a", 0.5), ("b", 0.9), ("gone", 1.0))}
    power["c"] = answers.Power(None)
    given = {
        name: SimpleNamespace(name=name, trained=None, marks=f"marks of {name}", keys=np.zeros((2, 2))) for name in "abc"
    }
    truth = SimpleNamespace(other_keys=torch.zeros(1))
    baseline = SimpleNamespace(marks="its marks", keys=np.zeros((2, 2)))
    of = SimpleNamespace(leading="a", composition=SimpleNamespace(control=False))
    measure._controls(of, truth, given, baseline, power, ["further"], no_op=False)
    assert seen["words"][:2] == ("negative of a", "other keys")
    assert (seen["words"][2].value, seen["words"][3:]) == (0.9, ("marks of a", "its marks"))
    assert seen["further"] == ["fault of a", "fault of b", "fault of c", "further"]
    assert seen["active"] is False
    for control, no_op in ((True, False), (False, True)):
        of.composition.control = control
        measure._controls(of, truth, given, baseline, power, [], no_op=no_op)
        assert seen["active"] is True


@pytest.mark.parametrize(("keys", "told"), [([[0.5, 0.25]] * 3, True), ([[0.5, 0.25], [0.5, 0.5], [0.5, 0.75]], False)])
def test_a_query_that_gives_the_same_keys_for_every_image_asks_nothing(monkeypatch, keys, told):
    monkeypatch.setattr(measure, "_negative", lambda truth, found: None)
    monkeypatch.setattr(measure.controls, "leaks", lambda name, block: [])
    found = SimpleNamespace(keys=np.array(keys), planted=None)
    faults = measure._faults(SimpleNamespace(leading="a"), None, "b", found, answers.Power(None))
    assert faults == (["b: the same keys for every image, [0.5, 0.25]: it asks nothing"] if told else [])
    assert measure._faults(SimpleNamespace(leading="b"), None, "b", found, answers.Power(None)) == []


def test_errors_of_an_autoencoder_are_means_over_all_keys(monkeypatch):
    keys = LAID.held_out_keys.double()
    low = float((keys < 0.5).double().mean())
    moved = keys + torch.where(keys < 0.5, 0.02, -0.01)
    space = SimpleNamespace(factor=4)
    monkeypatch.setattr(floor.weights, "train_space_or_load", lambda case, workspace: space)
    monkeypatch.setattr(floor.weights, "space_cost", lambda case, workspace: None)
    monkeypatch.setattr(floor, "read_back", lambda space, mark, images: moved)
    of = SimpleNamespace(testbed=SimpleNamespace(autoencoder=SimpleNamespace(sha256="")))
    found = floor.measure_floor(of, LAID, SimpleNamespace(device="cpu"))
    assert (found["factor"], found["key_error"]) == (4, pytest.approx(0.02 * low + 0.01 * (1 - low)))
    assert found["bias"] == pytest.approx(0.02 * low - 0.01 * (1 - low))
    assert (found["shipped"], "training" in found) == (False, False)
    assert 0.9 < found["ceiling"]["value"] < 1


def shown_case(**more):
    network = SimpleNamespace(factor=1)
    testbed = SimpleNamespace(recipe=SimpleNamespace(network=network))
    return SimpleNamespace(blind=SimpleNamespace(split=LAID), groups={"target": [1, 3, 5]}, testbed=testbed, seed=0, **more)


@pytest.mark.parametrize("paired", [True, False])
def test_content_is_read_of_the_own_picture_or_of_the_nearest_one(monkeypatch, paired):
    monkeypatch.setattr(content, "has_own_captions", lambda split: paired)
    rng = torch.Generator().manual_seed(0)
    answered = (LAID.queried.images + 0.2 * torch.rand(LAID.queried.images.shape, generator=rng)).clamp(0, 1)
    found = content.measure_content(shown_case(), SimpleNamespace(images=answered), {})
    inside = [LAID.mark.content(each).flatten(1).double().numpy() for each in (answered, LAID.queried.images)]
    others = LAID.mark.canvas(torch.cat([LAID.calibration.images, LAID.other_reference]))
    spare = LAID.mark.content(others).flatten(1).double().numpy()
    near = np.sort(cdist(inside[0], spare), axis=1)[:, : min(50, len(spare) // 4)].mean(axis=1)
    ratios = cdist(*inside) / near[:, None]
    assert found.each["any"] == pytest.approx(ratios.min(axis=0))
    assert found.any.p == pytest.approx(content_metrics.conformal_p(ratios.min(axis=0)[[1, 3, 5]], ratios.min(axis=0)[8:]))
    assert found.shown.tolist() == (list(range(24)) if paired else ratios.argmin(axis=0).tolist())
    assert (found.own is not None, "own" in found.each, found.block) == (paired, paired, None)
    assert (len(found.map.p), len(found.map.held_out_p)) == (3, 8)
    half = seeds.numpy_rng(0, "half of held-out images, memory map").permutation(16)[:8]
    p = content_metrics.conformal_p(found.tiles[8:][half, 0], np.delete(found.tiles[8:], half, axis=0)[:, 0])
    assert found.map.held_out_p[:, 0] == pytest.approx(p)
    assert content.measure_content(shown_case(), SimpleNamespace(images=None), {}) is None


def test_a_case_has_a_short_name_and_answers_for_all_trained_images():
    from worlds import composed, tiny

    made = Case("digits", tiny(), composed(), 0, ())
    assert len(made.case_id) == 16
    assert made.groups == {"target": list(range(16))}


# Collections


STYLE = SimpleNamespace(segments=1, thickness=1, size=1)


@pytest.mark.parametrize(
    ("style", "hold_out", "found"),
    [({}, 0.0, None), ({}, 0.999, None), ({}, 1.0, "--hold-out"), ({}, -0.001, "--hold-out")]
    + [
        ({name: 0}, 0.5, option)
        for name, option in (("segments", "--keys"), ("thickness", "--thickness"), ("size", "--size"))
    ]
    + [({"thickness": None, "size": None}, 0.5, None)],
)
def test_numbers_of_a_marking_are_accepted_from_one_on(tmp_path, style, hold_out, found):
    given = (tmp_path / "a", tmp_path / "b", tmp_path / "c", SimpleNamespace(**{**vars(STYLE), **style}), hold_out, 1)
    if found is None:
        marking._check(*given)
    else:
        with pytest.raises(InvalidValue, match=found):
            marking._check(*given)


@pytest.mark.parametrize(
    ("files", "free", "fits"),
    [([".lock"], 3, True), ([".lock", "a"], 3, False), ([], 2, False), (["a", ".lock", "marking.jsonl"], 0, True)],
)
def test_a_marking_writes_where_nobody_has_written_and_there_is_room(tmp_path, monkeypatch, files, free, fits):
    images, folder = tmp_path / "images", tmp_path / "ledger"
    for path in (images, folder):
        path.mkdir()
    Image.new("L", (3, 1)).save(images / "a.png")
    for name in files:
        (folder / name).touch()
    monkeypatch.setattr(marking.shutil, "disk_usage", lambda place: SimpleNamespace(free=free))
    found = SimpleNamespace(images=[SimpleNamespace(file="a.png")])
    if fits:
        marking._check_free(tmp_path / "out", folder, found, images, None, 0.5)
    else:
        with pytest.raises(InvalidValue, match=r"not empty|MB free"):
            marking._check_free(tmp_path / "out", folder, found, images, None, 0.5)


@pytest.mark.parametrize(("free", "fault"), [((75, 25), None), ((74, 99), "out"), ((99, 24), "secret")])
def test_each_disk_must_have_room_for_its_share_of_the_pixels(tmp_path, monkeypatch, free, fault):
    disks = {"out": (1, free[0]), "secret": (2, free[1])}
    real = Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda p, **k: SimpleNamespace(st_dev=disks[p.name][0]) if p.name in disks else real(p)
    )
    monkeypatch.setattr(Path, "exists", lambda path: True)
    monkeypatch.setattr(marking.shutil, "disk_usage", lambda place: SimpleNamespace(free=disks[place.name][1]))
    shares = {tmp_path / "out": 0.75, tmp_path / "secret": 0.25}
    if fault is None:
        marking._check_disks(shares, 100)
    else:
        with pytest.raises(InvalidValue, match=f"{fault}: found .* for marked images, by their pixels"):
            marking._check_disks(shares, 100)


@pytest.mark.parametrize("changed", [{"schema": "other/1"}, {"n": 1}, {"r": 1}, {"p": 2}, {"salt": "zz"}])
def test_a_sealed_file_of_another_kind_is_damaged(changed):
    pytest.importorskip("cryptography")
    head = {"schema": sealing.SCHEMA, **sealing.COST, "salt": "00" * 16, "nonce": "00" * 12, **changed}
    with pytest.raises(DamagedFile, match=f"a file of schema {sealing.SCHEMA}"):
        sealing.unseal(json.dumps(head).encode() + b"\ntext", "word", "it")


@pytest.mark.parametrize(("there", "fits"), [(None, True), ([], True), (["a"], False), ("file", False)])
def test_a_certificate_goes_into_a_new_or_an_empty_folder(tmp_path, monkeypatch, there, fits):
    for name, value in (("read_record", None), ("read_answers", None), ("_check_worth", None)):
        monkeypatch.setattr(certificate, name, lambda *words, value=value: value)
    monkeypatch.setattr(certificate.judging, "checks", lambda *words: [])
    monkeypatch.setattr(certificate, "_write", lambda *words: words[-1].mkdir() or "made")
    out = tmp_path / "out"
    if there == "file":
        out.touch()
    elif there is not None:
        out.mkdir()
        for name in there:
            (out / name).touch()
    if fits:
        assert certificate.certify(tmp_path, None, out) == "made"
        assert [path.name for path in tmp_path.iterdir()] == ["out"]
    else:
        with pytest.raises(InvalidValue, match="a new folder"):
            certificate.certify(tmp_path, None, out)


# The console


def ended(slug, t, status="ok"):
    return watch.Ended(slug, status, t)


def test_the_last_five_of_a_run_are_told_and_statuses_are_counted_the_good_first(monkeypatch):
    monkeypatch.setattr(watch, "read_states", lambda run: [])
    monkeypatch.setattr(watch, "summary", lambda states, done, of, left, now: f"{done} of {of}")
    each = [ended(f"c{n}", f"2026-01-0{9 - n}") for n in range(4)] + [ended("x", "2026-02-01", "error")] * 2
    each += [ended(f"t{n}", f"2026-01-1{n}", "timeout") for n in range(1, 2)]
    view = watch.View(Path("run"), {"c0": {}, "x": {}}, tuple(each), 0.0)
    lines = view.lines(1.0)
    assert lines[0] == "2 of 2 (4 ok, 2 error, 1 timeout)"
    assert [line.split()[0] for line in lines[1:]] == ["c1", "c0", "t1", "x", "x"]
    assert view.is_over


def test_the_last_record_of_a_case_stands_and_crashes_and_torn_lines_do_not(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    lines = [
        {"event": "case", "slug": "a", "status": "error", "t": "2"},
        {"event": "crash", "slug": "a", "status": "crashed", "t": "9"},
    ]
    lines += [{"event": "case", "slug": "a", "status": "ok", "t": "3", "queries": {"q": {"memorization": {"value": 0.5}}}}]
    lines += [{"event": "case", "slug": "a", "status": "timeout", "t": "1"}, {"slug": "b"}]
    text = "\n".join(map(json.dumps, lines)) + '\n{"event": "case", "slug": "c", "status": "ok"}'
    (folder / "w.jsonl").write_text(text)
    assert watch._ended(tmp_path) == [watch.Ended("a", "ok", "3", 0.5)]
