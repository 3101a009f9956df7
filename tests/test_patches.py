"""Patches: blocks and tiles that come back, against loops and known copies."""

import numpy as np
import pytest

from solidmark.errors import InvalidValue
from solidmark.metrics import patches


def images(count, seed=0, side=8):
    return np.random.default_rng(seed).uniform(size=(count, 1, side, side))


def test_a_block_is_scored_by_its_error_over_that_of_the_nearest_others():
    answers, real, spare, freed = images(3), images(3, 1), images(30, 2), np.zeros((3, 8, 8), dtype=bool)
    freed[:, 2:4, 3:5] = True
    away = np.sort([np.abs(answers[1] - other)[:, 2:4, 3:5].mean() for other in spare])[:10].mean()
    expected = np.abs(answers[1] - real[1])[:, 2:4, 3:5].mean() / (away + 0.02)
    assert patches.block_scores(answers, real, spare, freed)[1] == pytest.approx(expected)


def test_a_tile_is_scored_as_a_block_in_its_place():
    pictures, real, spare = images(5), images(5, 1), images(30, 2)
    found = patches.tile_scores(pictures, real, spare)
    assert found.shape == (5, 4)
    freed = np.zeros((5, 8, 8), dtype=bool)
    freed[:, 4:, :4] = True
    assert found[:, 2] == pytest.approx(patches.block_scores(pictures, real, spare, freed))


@pytest.mark.parametrize(
    ("size", "side"), [((8, 8), 4), ((28, 28), 4), ((12, 20), 4), ((10, 15), 5), ((7, 11), 7), ((3, 3), 3)]
)
def test_tiles_are_the_smallest_squares_that_fill_the_image(size, side):
    assert patches.tile_side(*size) == side


def test_a_copied_corner_is_seen_in_the_map_and_the_rest_is_not():
    real, pictures, spare = images(128), images(128, 1), images(60, 2)
    pictures[:64, :, :4, :4] = real[:64, :, :4, :4]
    found = patches.tile_scores(pictures, real, spare)
    shown = patches.memory_map(found[:64], found[64:], np.random.default_rng(0))
    assert (shown.p[:, 0] <= 0.05).all()
    assert (shown.p[:, 1:] <= 0.05).mean() < 0.12
    assert shown.trained.value > 0.25
    assert shown.held_out_p.shape == (32, 4)


def test_tiles_of_nothing_are_uniform():
    rates = []
    for seed in range(40):
        found = patches.tile_scores(images(60, 3 * seed), images(60, 3 * seed + 1), images(20, 3 * seed + 2))
        shown = patches.memory_map(found[:20], found[20:], np.random.default_rng(seed))
        rates.append((shown.trained.value, shown.held_out.value))
    assert np.mean(rates, axis=0) == pytest.approx([2 / 41, 1 / 21], abs=0.015)
    assert np.std(rates, axis=0).min() > 0.01  # the control is no constant: it is measured, as what it stands beside


def test_where_all_images_are_black_nobody_is_accused():
    black = np.zeros((40, 1, 8, 8))
    found = patches.tile_scores(black, black, black)
    shown = patches.memory_map(found[:10], found[10:], np.random.default_rng(0))
    assert (shown.p.min(), shown.held_out.value) == (1.0, 0.0)


@pytest.mark.parametrize(
    "spare", [images(30, side=4), images(30)[:0], images(30) * np.nan, np.repeat(images(30), 3, axis=1)]
)
def test_what_cannot_be_compared_is_refused(spare):
    with pytest.raises(InvalidValue, match="patches"):
        patches.tile_scores(images(3), images(3), spare)


def test_a_block_of_no_pixels_is_refused():
    with pytest.raises(InvalidValue, match="with a pixel of each image"):
        patches.block_scores(images(3), images(3), images(30), np.zeros((3, 8, 8), dtype=bool))
