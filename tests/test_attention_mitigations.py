"""Attention methods: their logits against a softmax written by hand, their predictions against their formula."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations.attention_rescaling import AttentionRescaling, MaskedLogits, RescaledLogits, RescalingSampler
from solidmark.mitigations.attention_temperature import AttentionTemperature, ScaledLogits
from solidmark.mitigations.dynamic_transition import DynamicTransition
from solidmark.mitigations.guard import AttenuatedLogits, Guard, GuardAttention
from worlds import NETWORK, composed, generate, model

from solidmark import seeds
from solidmark.errors import NotApplicable
from solidmark.mitigation import WrapperContext
from solidmark.mitigation.hooks import Hooks
from solidmark.models import Layer, SamplingBatch, build
from solidmark.sampling import BaseSampler, SolverConfig

CAPTIONS = ["one w1", "zero w2 w3", ""]
"""Tokens of the first: start, two words, end, five paddings; the last one is the null condition."""

LOGITS = {
    AttentionRescaling: RescaledLogits,
    GuardAttention: AttenuatedLogits,
    AttentionTemperature: ScaledLogits,
}
MIDDLE, DECODER = Layer("mid_block.attn2", "mid", 2, 4), Layer("up_blocks.attn2", "up", 2, 4)


def caption_batch(captions=CAPTIONS, denoiser=None):
    denoiser = denoiser or model()
    captioned = torch.tensor([bool(caption) for caption in captions])
    black = torch.zeros(len(captions), *denoiser.shape)
    embeddings, null = denoiser.embed(captions), denoiser.embed([""] * len(captions))
    mask, refused, times = captioned[:, None, None, None], torch.zeros_like(captioned), [37, 25, 12, 0]
    return SamplingBatch(list(captions), embeddings, null, black, mask, refused, times, 3.0, 1.0, denoiser, black)


def logits(seed=0):
    return torch.randn(3, 2, 4, 9, generator=torch.Generator().manual_seed(seed))


def test_rescaling_is_a_softmax_over_the_raised_start_token_and_what_is_not_masked():
    given = logits()
    mixed = RescaledLogits(AttentionRescaling(1.5), caption_batch()).logits(MIDDLE, given).softmax(dim=-1)
    raised = torch.cat([(given[0, ..., :1] + 0.5 * given[0, ..., :1].abs()), given[0, ..., 1:4]], dim=-1).exp()
    assert torch.allclose(mixed[0, ..., :4], raised / raised.sum(dim=-1, keepdim=True))
    assert mixed[0, ..., 4:].eq(0).all()


def test_a_positive_start_logit_is_multiplied_as_published_and_a_negative_one_raised():
    given = torch.zeros(3, 1, 2, 9)
    given[0, 0, :, 0] = torch.tensor([4.0, -4.0])
    changed = RescaledLogits(AttentionRescaling(1.25), caption_batch()).logits(MIDDLE, given)
    assert changed[0, 0, :, 0].tolist() == [5.0, -3.0]


def test_the_null_branch_is_masked_where_the_caption_s_summary_tokens_are_and_not_raised():
    given = logits()
    changed = MaskedLogits(AttentionRescaling(1.5), caption_batch()).logits(MIDDLE, given)
    assert torch.equal(changed[0, ..., :4], given[0, ..., :4])  # start, two words, end
    assert not changed[0, ..., 4:].isfinite().any()
    sampler = RescalingSampler(AttentionRescaling(), Inner(caption_batch().model))
    assert isinstance(sampler.null_attention(caption_batch()), MaskedLogits)


class Inner:
    """What a sampler wraps."""

    def __init__(self, denoiser):
        self.context, self.model = WrapperContext("own", torch.Generator(), None), denoiser


@pytest.mark.parametrize(("kept", "finite"), [(0, 3), (1, 4), (3, 6), (9, 9)])
def test_so_many_summary_tokens_are_kept_behind_the_words(kept, finite):
    changed = RescaledLogits(AttentionRescaling(kept=kept), caption_batch()).logits(MIDDLE, logits())
    assert changed[0, 0, 0].isfinite().tolist() == [True] * finite + [False] * (9 - finite)


@pytest.mark.parametrize("changes", [AttentionRescaling(kept=0), GuardAttention(0.0), AttentionTemperature(0.0)])
def test_the_null_condition_stays_as_it_is(changes):
    changed = LOGITS[type(changes)](changes, caption_batch()).logits(MIDDLE, logits())
    assert torch.equal(changed[2], logits()[2])
    assert not torch.equal(changed[0], logits()[0])


@pytest.mark.parametrize("threshold", [-0.5, 0.01, 1.0])
def test_spikes_are_tokens_whose_largest_logit_stands_out_of_those_but_the_start_token(threshold):
    given = logits()
    changed = AttenuatedLogits(GuardAttention(0.3, threshold), caption_batch()).logits(MIDDLE, given)
    for caption, head in ((0, 0), (0, 1), (1, 0), (1, 1)):
        largest = given[caption, head].amax(dim=0)[1:]
        expected = (largest - largest.mean()) / largest.std() > threshold
        factor = torch.cat([torch.ones(1), torch.where(expected, 0.3, 1.0)])
        assert torch.allclose(changed[caption, head], given[caption, head] * factor)


def test_how_far_attention_moves_is_the_share_that_lies_on_other_tokens():
    changes, given = ScaledLogits(AttentionTemperature(0.0), caption_batch()), torch.zeros(3, 2, 4, 9)
    changes.logits(MIDDLE, given)
    given[:2, ..., 1] = 100.0  # everybody looks at the first word, of nine tokens
    changes.logits(MIDDLE, given)
    given[2] = torch.randn(2, 4, 9)  # without a caption nothing moves, and nothing counts
    changes.logits(MIDDLE, given)
    assert [float(one) for one in changes.moved] == pytest.approx([0.0, 8 / 9, 8 / 9])


@pytest.mark.parametrize(("threshold", "share"), [(-1e6, 1.0), (1e6, 0.0), (0.0, 3 / 8)])
def test_the_share_of_tokens_that_spike_is_told_of_captions_alone(threshold, share):
    attention, given, told = AttenuatedLogits(GuardAttention(0.3, threshold), caption_batch()), torch.zeros(3, 2, 4, 9), {}
    given[:2, ..., 1:4] = 1.0  # three of the eight tokens behind the start token
    attention.logits(MIDDLE, given)
    attention.logits(Layer("up_blocks.0.attn2", "up", 2, 4), given)  # left alone, and not counted
    attention.report(SimpleNamespace(dose=lambda name, values: told.update({name: values})))
    assert told["spiking_tokens"].tolist() == pytest.approx([share])
    assert len(told["attention_moved"]) == 2


def test_attenuating_every_token_is_a_temperature():
    every = AttenuatedLogits(GuardAttention(0.3, threshold=-1e6), caption_batch()).logits(MIDDLE, logits())
    assert torch.equal(every, ScaledLogits(AttentionTemperature(0.3), caption_batch()).logits(MIDDLE, logits()))


def test_a_temperature_of_zero_attends_evenly_to_all_but_the_start_token():
    mixed = ScaledLogits(AttentionTemperature(0.0), caption_batch()).logits(MIDDLE, logits()).softmax(dim=-1)
    share = 1 / (logits()[0, ..., :1].exp() + 8)
    assert torch.allclose(mixed[0, ..., 1:], share.expand(2, 4, 8))


@pytest.mark.parametrize("changes", [GuardAttention(0.0), AttentionTemperature(0.0)])
def test_the_decoder_stays_as_it_is(changes):
    changed = LOGITS[type(changes)](changes, caption_batch()).logits(DECODER, logits())
    assert torch.equal(changed, logits())


@pytest.mark.parametrize(
    "neutral",
    [AttentionRescaling(1.0, kept=9), AttentionTemperature(1.0), GuardAttention(1.0), Guard(1.0, repulsion=0.0)],
)
def test_a_neutral_setting_answers_as_the_baseline_does(neutral):
    assert torch.allclose(generate(model(), captions=CAPTIONS), generate(model(), neutral, captions=CAPTIONS), atol=1e-5)


@pytest.mark.parametrize(("t", "decay"), [(37, 1.0), (12, 0.5**0.5)])
def test_guard_is_attraction_by_the_attenuated_branch_less_repulsion_by_the_plain_one(t, decay):
    mitigation, batch = Guard(0.0, repulsion=0.5), caption_batch()
    x = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    hooks = Hooks(composed(mitigation), 0, "test")
    guided = hooks.sampler(BaseSampler(batch.model, hooks)).predict(x, t, batch)
    spiked = batch.model.predict(x, t, batch.embeddings, attention=AttenuatedLogits(mitigation, batch)).noise
    c, u = (batch.model.predict(x, t, embeddings).noise for embeddings in (batch.embeddings, batch.unconditional))
    assert torch.allclose(guided, u + 3 * (spiked - u) - 0.5 * 3 * decay * (c - u), atol=1e-5)
    assert not torch.allclose(spiked, c, atol=1e-6)


@pytest.mark.parametrize(("mitigation", "branches"), [(Guard(), 3), (GuardAttention(), 2), (AttentionRescaling(), 2)])
def test_evaluations_a_step_are_those_that_the_docstring_states(mitigation, branches):
    denoiser = model()
    generate(denoiser, mitigation, captions=CAPTIONS)
    assert denoiser.evaluations.forward == 3 * branches * 4


@pytest.mark.parametrize("mitigation", [AttentionRescaling(), AttentionTemperature(), GuardAttention(), Guard()])
def test_a_model_without_cross_attention_is_not_applicable(mitigation):
    labelled = build(replace(NETWORK, kind="label"), seeds.torch_rng(0, "test")).frozen()
    with pytest.raises(NotApplicable, match="a network without cross-attention"):
        generate(labelled, mitigation, captions=["one", "zero"])


def test_queries_without_words_are_answered_as_ever():
    assert torch.equal(generate(model(), captions=["", ""]), generate(model(), Guard(), captions=["", ""]))


def test_attention_composes_with_a_dynamic_transition():
    both = generate(model(), DynamicTransition(), Guard(repulsion=0.0), captions=CAPTIONS, solver=SolverConfig(steps=2))
    unguided = generate(model(), captions=["", "", ""], solver=SolverConfig(steps=2))
    assert torch.allclose(both, unguided, atol=1e-5)


def test_every_setting_of_a_family_is_another():
    for family in (AttentionRescaling(), AttentionTemperature(), GuardAttention(), Guard()):
        assert len(set(family.settings())) == len(family.settings()) >= 4
