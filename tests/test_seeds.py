"""Seeds: one stream a purpose, the same on every machine, independent of all others."""

import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from solidmark import seeds
from solidmark.errors import InvalidValue

SEEDS = st.integers(0, 2**64)
PURPOSES = st.lists(st.text(max_size=8) | st.integers(), max_size=3)


@given(SEEDS, PURPOSES)
def test_one_seed_and_purpose_give_one_stream(seed, purpose):
    first, again = (seeds.numpy_rng(seed, *purpose).random(4) for _ in range(2))
    assert np.array_equal(first, again)


@given(SEEDS)
def test_streams_differ_by_seed_purpose_and_how_the_purpose_is_cut(seed):
    streams = [(seed, "keys"), (seed + 1, "keys"), (seed, "other keys"), (seed, "ke", "ys"), (seed, "keys", ""), (seed,)]
    assert len({seeds.numpy_rng(*stream).random() for stream in streams}) == len(streams)


def test_a_stream_is_the_same_for_ever():
    """The first draw of seed 0, written down: a change of it changes every published row."""
    assert seeds.numpy_rng(0, "keys").integers(2**32) == 2_214_727_291
    assert seeds.torch_seed(0, "keys") == 7_746_745_052_838_105_899


def test_streams_of_neighbouring_seeds_are_not_correlated():
    draws = np.array([seeds.numpy_rng(seed, "keys").random(2000) for seed in range(6)])
    correlations = np.corrcoef(draws)[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 4 / np.sqrt(2000)


def test_first_draws_over_many_seeds_are_uniform():
    draws = [seeds.numpy_rng(seed, "keys").random() for seed in range(2000)]
    assert stats.kstest(draws, "uniform").pvalue > 1e-3


@given(SEEDS, PURPOSES)
def test_a_torch_seed_is_one_that_torch_takes(seed, purpose):
    assert 0 <= seeds.torch_seed(seed, *purpose) < 2**63
    torch.Generator().manual_seed(seeds.torch_seed(seed, *purpose))


def test_torch_streams_leave_the_global_generator_alone():
    before = torch.random.get_rng_state()
    torch.rand(4, generator=seeds.torch_rng(0, "noise"))
    assert torch.equal(before, torch.random.get_rng_state())


def test_torch_streams_differ_by_purpose():
    draws = [torch.rand(1000, generator=seeds.torch_rng(0, purpose)) for purpose in ("noise", "decoys")]
    assert abs(torch.corrcoef(torch.stack(draws))[0, 1]) < 4 / 1000**0.5


def test_a_negative_seed_is_refused():
    with pytest.raises(ValueError, match="non-negative"):
        seeds.numpy_rng(-1, "keys")


@pytest.mark.parametrize("seed", [-1, 1.5, "3", None])
def test_a_seed_that_is_no_whole_number_of_at_least_0_is_refused_and_never_drawn_anew(seed):
    with pytest.raises(InvalidValue, match=f"seed {seed!r}"):
        seeds.numpy_rng(seed, "keys")


def test_all_three_global_generators_are_seeded_inside_and_put_back_afterwards():
    def drawn():
        return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002 - the legacy generator is meant

    before = seeds.Globals()
    with seeds.forked(3, "purpose"):
        first = drawn()
    with seeds.forked(3, "purpose"):
        again = drawn()
    with seeds.forked(4, "purpose"):
        other = drawn()
    assert first == again
    assert all(one != two for one, two in zip(first, other, strict=True))
    assert before.touched() == []


@pytest.mark.parametrize("name", ["Python", "NumPy", "torch"])
def test_a_touched_generator_is_named_and_put_back(name):
    draws = {"Python": random.random, "NumPy": np.random.rand, "torch": lambda: torch.rand(())}
    before = seeds.Globals()
    draws[name]()
    assert before.touched() == [name]
    assert before.restore() == [name]
    assert before.touched() == []
