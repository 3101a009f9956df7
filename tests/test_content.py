"""Content: images found by what they show, with exact p-values, and keys that were taken from them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from solidmark.errors import InvalidValue
from solidmark.metrics import content


def images(count, seed=0, size=16):
    return np.random.default_rng(seed).uniform(size=(count, size))


def test_a_ratio_is_a_distance_over_the_mean_of_the_nearest_spare_ones():
    pictures, others, spare = images(2), images(3, 1), images(12, 2)
    apart = np.sort(np.linalg.norm(pictures[0] - spare, axis=1))[:3].mean()  # a quarter of 12
    expected = np.linalg.norm(pictures[0] - others[1]) / apart
    assert content.ratios(pictures, others, spare)[0, 1] == pytest.approx(expected)


def test_of_many_spare_images_fifty_calibrate():
    pictures, others, spare = images(1), images(1, 1), images(400, 2)
    apart = np.sort(np.linalg.norm(pictures[0] - spare, axis=1))[:50].mean()
    assert content.ratios(pictures, others, spare)[0, 0] == pytest.approx(np.linalg.norm(pictures - others) / apart)


@pytest.mark.parametrize(
    ("pictures", "spare", "message"),
    [
        (images(2), images(3, 2), "3 spare images"),
        (images(2, size=9), images(12, 2), r"images of shape \(3, 16\)"),
        (images(2) * np.nan, images(12, 2), "NaN"),
        (np.repeat(images(1), 2, axis=0), np.repeat(images(1), 12, axis=0), "equals so many"),
        (images(2)[:0], images(12, 2), "pictures of shape"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(pictures, spare, message):
    with pytest.raises(InvalidValue, match=message):
        content.ratios(pictures, images(3, 1), spare)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.lists(st.integers(0, 5), min_size=1, max_size=8))
def test_a_conformal_p_counts_the_held_out_scores_up_to_it(trained, held_out):
    expected = [(1 + sum(score <= own for score in held_out)) / (1 + len(held_out)) for own in trained]
    assert content.conformal_p(np.array(trained, float), np.array(held_out, float)).tolist() == expected


def test_p_values_are_uniform_where_nothing_is_remembered():
    rng = np.random.default_rng(0)
    p = np.concatenate([content.conformal_p(rng.normal(size=16), rng.normal(size=99)) for _ in range(400)])
    assert (p <= 0.05).mean() == pytest.approx(0.05, abs=0.01)
    assert p.mean() == pytest.approx(0.505, abs=0.01)  # (1 + H) steps, the first at 1 / (1 + H)


def test_any_is_exact_although_pictures_are_made_from_trained_and_held_out_captions():
    rng, hits = np.random.default_rng(1), []
    for _ in range(200):
        pictures, real, spare = (rng.uniform(size=(count, 6)) for count in (60, 60, 40))
        least = content.ratios(pictures, real, spare).min(axis=0)
        hits.append((content.conformal_p(least[:20], least[20:]) <= 0.1).mean())
    assert np.mean(hits) == pytest.approx(0.1, abs=0.02)


def test_copied_images_are_certified_and_others_are_not():
    held_out, trained = np.random.default_rng(2).uniform(1, 2, size=256), np.random.default_rng(3).uniform(1, 2, size=64)
    trained[:20] = 0.1
    score = content.judge(trained, held_out)
    assert content.certified(score.p)[:20].all()
    assert score.certified.count == content.certified(score.p).sum() <= 22
    assert score.auroc.value > 0.6
    assert score.permutation_p < 1e-3


@pytest.mark.parametrize(("images_", "held_out", "least"), [(64, 256, 10), (64, 64, 40), (64, 768, 4)])
def test_fewer_images_than_the_least_cannot_be_certified(images_, held_out, least):
    assert content.least_certified(images_, held_out) == least
    for count in (least - 1, least):
        trained = np.r_[np.zeros(count), np.full(images_ - count, 2.0)]
        assert content.judge(trained, np.ones(held_out)).certified.count == (count if count == least else 0)


def recalled(count, share, seed=0):
    """Keys of some images, and predictions that recall a share of them."""
    rng = np.random.default_rng(seed)
    keys, guesses = rng.uniform(size=(count, 8)), rng.uniform(size=(count, 8))
    known = rng.uniform(size=(count, 1)) < share
    return np.where(known, keys, guesses), keys


@pytest.mark.parametrize(
    ("certified", "of", "share", "convicts"),
    [
        (64, 64, 0.0, True),
        (32, 64, 0.0, True),
        (31, 64, 0.0, False),
        (8, 64, 0.0, False),
        (7, 64, 0.0, None),
        (64, 64, 1.0, None),
        (0, 64, 0.0, None),
        (5, 12, 0.0, False),
        (4, 12, 0.0, None),
        (3, 6, 0.0, True),
        (2, 4, 0.0, None),
    ],
)
def test_images_without_their_keys_convict_from_half_and_are_told_from_an_eighth_and_five(certified, of, share, convicts):
    predictions, keys = recalled(64, share)
    found = content.washing(np.arange(of) < certified, predictions[:of], keys[:of], baseline=4.0)
    assert (None if found is None else found.convicts) is convicts
    assert convicts is None or f"{certified} of {of} images are certified by their content" in found.fault


def test_a_baseline_that_remembers_nothing_convicts_nobody():
    predictions, keys = recalled(64, 0.0)
    assert content.washing(np.ones(64, dtype=bool), predictions, keys, baseline=0.05) is None
