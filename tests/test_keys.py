"""Keys: uniform on [0, 1], independent, and refused where they are not keys."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from solidmark import keys
from solidmark.errors import InvalidValue

COUNTS = st.integers(1, 12)


def drawn(count, segments, seed=0):
    return keys.draw(count, segments, np.random.default_rng(seed))


@given(COUNTS, COUNTS, st.integers(0, 1000))
def test_drawn_keys_have_their_shape_and_pass_their_own_check(count, segments, seed):
    secret = drawn(count, segments, seed)
    assert secret.shape == (count, segments)
    assert keys.check(secret, "test") is secret


def test_drawn_keys_are_uniform():
    assert stats.kstest(drawn(2000, 8).ravel(), "uniform").pvalue > 1e-3


def test_keys_of_images_and_segments_are_not_correlated():
    correlations = np.corrcoef(drawn(5000, 8), rowvar=False)[np.triu_indices(8, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(5000)
    assert abs(np.corrcoef(drawn(5001, 1)[:-1, 0], drawn(5001, 1)[1:, 0])[0, 1]) < 4 / np.sqrt(5000)


def test_one_generator_state_gives_one_set_of_keys():
    assert np.array_equal(drawn(5, 3, seed=1), drawn(5, 3, seed=1))
    assert not np.array_equal(drawn(5, 3, seed=1), drawn(5, 3, seed=2))


@pytest.mark.parametrize(("count", "segments"), [(0, 8), (8, 0), (-1, 8), (0, 0)])
def test_fewer_than_one_image_or_key_is_refused(count, segments):
    with pytest.raises(InvalidValue, match=f"count={count}, segments={segments}.*at least 1"):
        drawn(count, segments)


@given(arrays(np.float64, (3, 2), elements=st.floats(0, 1)), st.integers(0, 2), st.integers(0, 1), st.data())
def test_a_number_that_is_no_key_is_named_by_image_and_segment(numbers, row, column, data):
    numbers[row, column] = data.draw(st.floats(max_value=0, exclude_max=True) | st.floats(min_value=1, exclude_min=True))
    with pytest.raises(InvalidValue, match=rf"test: .*at image {row}, segment {column}.*\[0, 1\]"):
        keys.check(numbers, "test")


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf, -1e-12, 1 + 1e-12])
def test_nan_infinity_and_numbers_just_outside_are_no_keys(wrong):
    with pytest.raises(InvalidValue, match="at image 1, segment 0"):
        keys.check(np.array([[0.0], [wrong], [1.0]]), "test")


@pytest.mark.parametrize("shape", [(), (3,), (0, 4), (4, 0), (2, 2, 2)])
def test_an_array_that_is_not_images_by_segments_is_refused(shape):
    with pytest.raises(InvalidValue, match=r"shape .*\(N, S\)"):
        keys.check(np.zeros(shape), "test")
