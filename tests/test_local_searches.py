"""Searches by bright ending and by local dimension: maps by hand, dimensions of distributions that are known."""

import pytest
import torch
from solidmark.mitigations._bright_ending import EndingAttention, ending_map, local_norms
from solidmark.mitigations._calibration import sample_steps
from solidmark.mitigations._local_dimension import local_dimension
from solidmark.mitigations.bright_ending import BrightEnding
from solidmark.mitigations.flipd import LocalDimension
from test_attention_mitigations import MIDDLE, caption_batch, logits
from test_condition_mitigations import wrapped

from solidmark import seeds
from solidmark.models import Layer

DOWN, COARSE = Layer("down_blocks.0.attn2", "down", 2, 16), Layer("down_blocks.1.attn2", "down", 2, 4)


def rng(purpose="local"):
    return seeds.torch_rng(0, purpose)


def test_the_map_is_the_mean_over_heads_of_what_the_end_token_gets():
    attention, given = EndingAttention(caption_batch()), logits().softmax(dim=-1)
    assert torch.equal(attention.probabilities(MIDDLE, given), given)
    assert torch.allclose(attention.seen[MIDDLE][0], given[0, :, :, 3].mean(dim=0))  # start, two words, end
    assert torch.allclose(attention.seen[MIDDLE][1], given[1, :, :, 4].mean(dim=0))  # start, three words, end


def test_the_finest_layers_of_the_encoder_are_chosen_and_the_middle_where_there_are_none():
    attention = EndingAttention(caption_batch())
    attention.seen = {MIDDLE: torch.zeros(1), COARSE: torch.ones(1), DOWN: torch.full((1,), 2.0)}
    assert [float(one) for one in attention.chosen()] == [2]
    attention.seen = {MIDDLE: torch.zeros(1)}
    assert [float(one) for one in attention.chosen()] == [0]


def test_the_map_is_that_of_the_last_step_alone_in_the_shape_of_the_image():
    batch = caption_batch()
    found, steps = ending_map(batch, rng()), list(sample_steps(batch, rng()))
    attention, last = EndingAttention(batch), steps[-2].x  # the sample that the last step begins with
    batch.model.predict(
        batch.with_observed(last, last, batch.times[-1]), batch.times[-1], batch.embeddings, attention=attention
    )
    assert found.shape == (3, 1, 12, 12)
    assert found.flatten(1).mean(dim=1) == pytest.approx(attention.chosen()[0].mean(dim=1), rel=0.2)


def test_a_local_norm_of_an_even_map_is_the_norm_and_a_narrow_one_counts_its_pixels_alone():
    vectors, half = torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
    half[..., :2] = 0.3
    assert float(local_norms(vectors, torch.full((1, 1, 4, 4), 0.2))) == pytest.approx(4)
    assert float(local_norms(vectors, half)) == pytest.approx(8**0.5 * 0.3 / 0.15)


@pytest.mark.parametrize("dimensions", [0, 6, 16])
def test_the_local_dimension_of_a_gaussian_is_how_many_of_its_directions_are_wide(dimensions):
    """eps of N(0, s²) a direction, at a faint noise: x / sigma where s is 0, next to nothing where s is 1."""
    sigma, wide = 0.01, torch.arange(16).reshape(1, 1, 4, 4) < dimensions
    variance = torch.where(wide, 1 + sigma**2, sigma**2)
    points = torch.randn(4000, 1, 4, 4, generator=rng()) * wide
    signs = torch.randint(2, points.shape, generator=rng("signs")) * 2.0 - 1
    found = local_dimension(lambda x: sigma * x / variance, points, sigma, signs)
    assert 16 * float(found.mean()) == pytest.approx(dimensions, abs=0.05)


def test_the_trace_of_the_estimate_is_that_of_the_jacobian():
    batch = caption_batch()
    x, t = torch.randn(1, 1, 12, 12, generator=rng()), 20

    def predict(x):
        return batch.model.predict(x, t, batch.embeddings[:1]).noise

    jacobian = torch.autograd.functional.jacobian(predict, x).reshape(144, 144)
    probes = torch.randn(x.shape, generator=rng("probes"))
    along, sigma = probes.flatten() @ jacobian @ probes.flatten(), float(batch.model.schedule.sigma(t))
    expected = 1 - (sigma * along - predict(x).square().sum()) / 144
    assert float(local_dimension(predict, x, sigma, probes)) == pytest.approx(float(expected), abs=2e-3)


@pytest.mark.parametrize("mitigation", [BrightEnding(0.1, 3), LocalDimension(0.01, 3)])
def test_a_search_moves_captions_and_leaves_start_and_null_alone(mitigation):
    batch = caption_batch()
    found = wrapped(mitigation, batch).prepare(batch).embeddings
    assert torch.equal(found[:, 0], batch.embeddings[:, 0])
    assert torch.equal(found[2], batch.embeddings[2])
    assert not torch.equal(found[:2, 1:], batch.embeddings[:2, 1:])


@pytest.mark.parametrize(("target", "acted"), [(1e6, 0), (0.1, 1)])
def test_only_local_norms_above_that_many_times_normal_are_searched(target, acted):
    batch = caption_batch()
    wrapper = wrapped(BrightEnding(target, 1), batch)
    assert torch.equal(wrapper.prepare(batch).embeddings, batch.embeddings) is (acted == 0)
    assert wrapper.data.doses["acted_on"] == acted


def test_searches_leave_a_batch_without_captions_as_it_is():
    batch = caption_batch(["", ""])
    for mitigation in (BrightEnding(), LocalDimension()):
        assert wrapped(mitigation, batch).prepare(batch) is batch
