"""Copy metrics: against brute force, closed forms, images whose distance is known, and other libraries."""

import imagehash
import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from solidmark.benchmark.copy_metrics.degrees import half_memorized

from solidmark.errors import DamagedFile, InvalidValue
from solidmark.metrics import copy_metrics
from solidmark.metrics.copy_metrics import Correlation, rank_correlation
from solidmark.metrics.features import judge_features, torchscript_features
from solidmark.metrics.utility import Judge

PAIRED = (
    copy_metrics.l2,
    lambda generated, content: copy_metrics.calibrated_l2(generated, content, images(16, seed=9)),
    lambda generated, content: copy_metrics.feature_cosine(generated, content, flat),
    copy_metrics.perceptual_hash_distance,
)


def images(count=12, side=8, channels=1, seed=0):
    return np.random.default_rng(seed).uniform(size=(count, channels, side, side))


def flat(given):
    return given.reshape(len(given), -1)


def near(given, noise=0.05, seed=5):
    return np.clip(given + noise * np.random.default_rng(seed).normal(size=given.shape), 0, 1)


# Distances


def test_a_copy_is_at_distance_zero_of_every_metric():
    content = images()
    assert copy_metrics.l2(content, content).tolist() == [0] * 12
    assert copy_metrics.calibrated_l2(content, content, content).tolist() == [0] * 12
    assert copy_metrics.perceptual_hash_distance(content, content).tolist() == [0] * 12
    assert copy_metrics.feature_cosine(content, content, flat) == pytest.approx(np.ones(12))
    assert copy_metrics.dcr(content[::-1], content).tolist() == [0] * 12


def test_l2_is_the_norm_of_the_difference():
    one, other = images(), images(seed=1)
    assert copy_metrics.l2(one, other) == pytest.approx(
        [np.sqrt(((a - b) ** 2).sum()) for a, b in zip(one, other, strict=True)]
    )


def test_tiles_take_the_largest_part():
    one, other = images(3, channels=2), images(3, channels=2, seed=1)
    corners = [(y, x) for y in (0, 4) for x in (0, 4)]
    expected = [max(np.linalg.norm((a - b)[:, y : y + 4, x : x + 4]) for y, x in corners) for a, b in zip(one, other)]
    assert copy_metrics.l2(one, other, tile=4) == pytest.approx(expected)


@pytest.mark.parametrize("tile", [None, 4])
def test_the_calibrated_distance_is_the_double_loop_of_its_definition(tile):
    training, expected = images(24), []
    generated = near(training[:3])
    for image, content in zip(generated, training, strict=False):
        others = sorted(
            copy_metrics.l2(image[None], other[None], tile)[0] for other in training if not np.array_equal(other, content)
        )
        expected.append(copy_metrics.l2(image[None], content[None], tile)[0] / (0.5 * np.mean(others[:6])))
    assert copy_metrics.calibrated_l2(generated, training[:3], training, tile=tile) == pytest.approx(expected)


def test_at_most_fifty_neighbours_calibrate():
    training, generated = images(240, side=4), images(2, side=4, seed=1)
    apart = np.sort([[np.linalg.norm(g - t) for t in training] for g in generated], axis=1)
    expected = copy_metrics.l2(generated, images(2, side=4, seed=2)) / (0.5 * apart[:, :50].mean(axis=1))
    assert copy_metrics.calibrated_l2(generated, images(2, side=4, seed=2), training) == pytest.approx(expected)


def test_a_small_change_stays_below_the_threshold_and_another_image_does_not():
    training = images(40)
    assert copy_metrics.calibrated_l2(near(training), training, training).max() < 1
    assert copy_metrics.calibrated_l2(training[::-1], training, training).min() > 1


def test_the_brightness_of_all_images_does_not_change_the_calibrated_distance():
    training = images(16)
    generated = near(training)
    dimmed = copy_metrics.calibrated_l2(generated / 4, training / 4, training / 4)
    assert dimmed == pytest.approx(copy_metrics.calibrated_l2(generated, training, training))


def test_the_cosine_is_that_of_scikit_learn():
    from sklearn.metrics.pairwise import paired_cosine_distances

    one, other = images(), images(seed=1)
    assert 1 - copy_metrics.feature_cosine(one, other, flat) == pytest.approx(
        paired_cosine_distances(flat(one), flat(other))
    )


def test_the_hash_distance_is_that_of_the_library():
    one, other = ((images(1, 32, seed=seed) * 255).round() / 255 for seed in (0, 1))
    pictures = [Image.fromarray((image[0, 0] * 255).round().astype(np.uint8)) for image in (one, other)]
    expected = np.mean([(imagehash.phash(pictures[0], s) - imagehash.phash(pictures[1], s)) / s**2 for s in (4, 8)])
    assert copy_metrics.perceptual_hash_distance(one, other) == pytest.approx([expected])


def test_half_the_bits_of_unrelated_images_differ():
    assert copy_metrics.perceptual_hash_distance(images(60), images(60, seed=1)).mean() == pytest.approx(0.5, abs=0.04)


def test_colour_images_are_hashed_too():
    coloured = images(4, 16, channels=3)
    assert copy_metrics.perceptual_hash_distance(near(coloured, 0.02), coloured).max() < 0.3


def test_the_closest_record_is_found_by_brute_force():
    generated, training = images(5), images(9, seed=1)
    expected = [min(np.linalg.norm(g - t) for t in training) for g in generated]
    assert copy_metrics.dcr(generated, training) == pytest.approx(expected)
    closest = [max(copy_metrics.feature_cosine(g[None], t[None], flat)[0] for t in training) for g in generated]
    assert copy_metrics.dcr(generated, training, flat) == pytest.approx(1 - np.array(closest))


# Percentiles, discrimination, correlation


def test_the_interval_of_a_percentile_holds_in_its_share_of_samples():
    rng, held = np.random.default_rng(0), []
    for _ in range(400):
        found = copy_metrics.dcr_percentile(rng.uniform(size=100), rng.uniform(size=50), 0.05)
        held.append(found.low <= 0.05 <= found.high)
    assert 0.93 <= np.mean(held) <= 1.0


def test_a_percentile_has_that_of_real_images_as_its_chance():
    found = copy_metrics.dcr_percentile(np.arange(101.0), 2 * np.arange(51.0), 0.5)
    assert (found.value, found.chance, found.count) == (50, 50, 101)


def test_a_percentile_of_few_images_has_no_upper_limit():
    assert copy_metrics.dcr_percentile(np.arange(20.0), np.arange(20.0), 0.95).high is None


def test_independent_images_are_not_separated():
    values = np.random.default_rng(0).uniform(size=(200, 2, 60))
    found = [copy_metrics.discrimination(*pair).auroc for pair in values]
    assert np.mean([auroc.value for auroc in found]) == pytest.approx(0.5, abs=0.02)
    assert 0.9 <= np.mean([auroc.low <= 0.5 <= auroc.high for auroc in found]) <= 0.99


def test_copies_are_separated_from_other_images():
    training, others = images(40), images(40, seed=1)
    trained = copy_metrics.calibrated_l2(near(training), training, training)
    held_out = copy_metrics.calibrated_l2(near(images(40, seed=2)), others, training)
    found = copy_metrics.discrimination(trained, held_out)
    assert (found.auroc.value, found.tpr_at_1_fpr.count) == (1.0, 40)


def test_the_rank_correlation_is_that_of_scipy():
    one, other = np.random.default_rng(0).normal(size=(2, 50))
    assert rank_correlation(one, one + other).value == pytest.approx(stats.spearmanr(one, one + other).statistic)


def test_the_interval_of_the_rank_correlation_holds():
    rng, truth = np.random.default_rng(0), 6 / np.pi * np.arcsin(0.6 / 2)  # Spearman's of a normal pair with r = 0.6
    drawn = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], (600, 64))
    found = [rank_correlation(*pair.T) for pair in drawn]
    assert 0.925 <= np.mean([rank.low <= truth <= rank.high for rank in found]) <= 0.975


def test_perfect_agreement_is_no_certainty():
    found = rank_correlation(np.arange(10.0), np.arange(10.0) ** 2)
    assert found.value == found.high == pytest.approx(1)
    assert 0.8 < found.low < 1


def test_a_constant_metric_orders_no_images():
    found = rank_correlation(np.ones(9), np.arange(9.0))
    assert found == Correlation(None, None, None, 9, "constant: it orders no images")


# Features


def test_the_judge_s_features_separate_digits():
    from sklearn.datasets import load_digits

    digits, labels = load_digits(return_X_y=True)
    shown = (digits / 16).reshape(-1, 1, 8, 8)
    features = judge_features(Judge(digits[:400] / 16, labels[:400]))
    zeros, ones = (shown[400:][labels[400:] == label][:20] for label in (0, 1))
    same = copy_metrics.feature_cosine(zeros[:10], zeros[10:], features)
    assert same.mean() > copy_metrics.feature_cosine(zeros[:10], ones[:10], features).mean() + 0.2


class Corner(torch.nn.Module):
    """The first pixel of each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :, 0, 0]


def saved(network, path):
    torch.jit.save(torch.jit.trace(network, torch.rand(2, 3, 8, 8)), path)
    return path


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # only a file in this format can be tested
def test_a_torchscript_file_sees_resized_images_in_the_colours_of_imagenet(tmp_path):
    features = torchscript_features(saved(Corner(), tmp_path / "corner.pt"), side=8)
    expected = (0.25 - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    assert features(np.full((5, 1, 4, 4), 0.25)) == pytest.approx(np.tile(expected, (5, 1)), abs=1e-6)


def test_a_file_that_is_no_torchscript_says_what_is_expected(tmp_path):
    (tmp_path / "bad.pt").write_bytes(b"no network")
    for name in ("bad.pt", "missing.pt"):
        with pytest.raises(DamagedFile, match=rf"{name}.*expected a TorchScript file"):
            torchscript_features(tmp_path / name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_network_that_gives_no_features_is_refused(tmp_path):
    features = torchscript_features(saved(torch.nn.Identity(), tmp_path / "same.pt"), side=8)
    with pytest.raises(DamagedFile, match=r"features of shape \(2, 3, 8, 8\)"):
        features(images(2))


# What is refused


@pytest.mark.parametrize("distance", PAIRED)
@pytest.mark.parametrize(
    ("wrong", "message"), [(images(3), "equal shapes"), (images() + 1, "outside"), (images() * np.nan, "NaN")]
)
def test_images_that_cannot_be_compared_are_refused(distance, wrong, message):
    with pytest.raises(InvalidValue, match=message):
        distance(images(), wrong)


def test_images_without_their_axes_are_refused():
    with pytest.raises(InvalidValue, match=r"images, \(N, C, H, W\)"):
        copy_metrics.dcr(flat(images()), flat(images()))


def test_training_images_of_another_size_are_refused():
    with pytest.raises(InvalidValue, match="images of one size"):
        copy_metrics.calibrated_l2(images(), images(), images(16, side=4))


def test_too_few_or_equal_training_images_calibrate_nothing():
    with pytest.raises(InvalidValue, match="at least 4"):
        copy_metrics.calibrated_l2(images(), images(), images(3))
    gray = np.full((8, 1, 8, 8), 0.5)
    with pytest.raises(InvalidValue, match="distance 0"):
        copy_metrics.calibrated_l2(gray[:2], images(2), gray)


def test_tiles_that_do_not_fill_the_image_are_refused():
    with pytest.raises(InvalidValue, match="tile=3 for images of 8 x 8"):
        copy_metrics.l2(images(), images(), tile=3)


def test_features_without_a_direction_are_refused():
    with pytest.raises(InvalidValue, match="all zero"):
        copy_metrics.feature_cosine(images(), images(), lambda given: np.zeros((len(given), 3)))


@pytest.mark.parametrize("wrong", [np.arange(3.0), np.full(9, np.nan), np.ones((3, 3))])
def test_numbers_that_cannot_be_ranked_are_refused(wrong):
    with pytest.raises(InvalidValue, match="finite numbers"):
        rank_correlation(wrong, np.arange(9.0))


def test_the_half_memorized_point_is_where_memorization_is_nearest_to_a_half():
    assert half_memorized({100: 0.04, 150: 0.28, 200: 0.55, 300: 0.71}) == 200
