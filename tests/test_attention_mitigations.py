"""Attention methods: their logits against a softmax written by hand, their predictions against their formula."""

from dataclasses import replace

import pytest
import torch
from solidmark.mitigations.attention_rescaling import AttentionRescaling, Rescaled
from solidmark.mitigations.attention_temperature import AttentionTemperature, Cooled
from solidmark.mitigations.dynamic_transition import DynamicTransition
from solidmark.mitigations.guard import Attenuated, Guard, GuardAttention
from worlds import NETWORK, composed, model, sampled

from solidmark import seeds
from solidmark.errors import NotApplicable
from solidmark.mitigation.hooks import Doors
from solidmark.models import Layer, Query, build
from solidmark.sampling import BaseSampler, Protocol

CAPTIONS = ["one w1", "zero w2 w3", ""]
"""Tokens of the first: start, two words, end, five paddings; the last one is the null condition."""

MIDDLE, DECODER = Layer("mid_block.attn2", "mid", 2, 4), Layer("up_blocks.attn2", "up", 2, 4)


def query(captions=CAPTIONS, asked=None):
    asked = asked or model()
    heard = torch.tensor([bool(caption) for caption in captions])
    nothing = torch.zeros(len(captions), *asked.shape)
    free, embeddings, null = heard[:, None, None, None], asked.embed(captions), asked.embed([""] * len(captions))
    return Query(list(captions), embeddings, null, nothing, free, ~heard & heard, [37, 25, 12, 0], 3.0, 1.0, asked, nothing)


def logits(seed=0):
    return torch.randn(3, 2, 4, 9, generator=torch.Generator().manual_seed(seed))


def test_rescaling_is_a_softmax_over_the_raised_start_token_and_what_is_not_masked():
    given = logits()
    mixed = Rescaled(AttentionRescaling(1.5), query()).logits(MIDDLE, given).softmax(dim=-1)
    raised = torch.cat([(given[0, ..., :1] + 0.5 * given[0, ..., :1].abs()), given[0, ..., 1:4]], dim=-1).exp()
    assert torch.allclose(mixed[0, ..., :4], raised / raised.sum(dim=-1, keepdim=True))
    assert mixed[0, ..., 4:].eq(0).all()


def test_a_positive_start_logit_is_multiplied_as_published_and_a_negative_one_raised():
    given = torch.zeros(3, 1, 2, 9)
    given[0, 0, :, 0] = torch.tensor([4.0, -4.0])
    assert Rescaled(AttentionRescaling(1.25), query()).logits(MIDDLE, given)[0, 0, :, 0].tolist() == [5.0, -3.0]


@pytest.mark.parametrize(("kept", "heard"), [(0, 3), (1, 4), (3, 6), (9, 9)])
def test_so_many_summary_tokens_are_kept_behind_the_words(kept, heard):
    changed = Rescaled(AttentionRescaling(kept=kept), query()).logits(MIDDLE, logits())
    assert changed[0, 0, 0].isfinite().tolist() == [True] * heard + [False] * (9 - heard)


@pytest.mark.parametrize("changes", [AttentionRescaling(kept=0), GuardAttention(0.0), AttentionTemperature(0.0)])
def test_the_null_condition_is_left_alone(changes):
    kind = {AttentionRescaling: Rescaled, GuardAttention: Attenuated, AttentionTemperature: Cooled}[type(changes)]
    changed = kind(changes, query()).logits(MIDDLE, logits())
    assert torch.equal(changed[2], logits()[2])
    assert not torch.equal(changed[0], logits()[0])


@pytest.mark.parametrize("threshold", [-0.5, 0.01, 1.0])
def test_spikes_are_tokens_whose_largest_logit_stands_out_of_those_but_the_start_token(threshold):
    given = logits()
    changed = Attenuated(GuardAttention(0.3, threshold), query()).logits(MIDDLE, given)
    for caption, head in ((0, 0), (0, 1), (1, 0), (1, 1)):
        largest = given[caption, head].amax(dim=0)[1:]
        expected = (largest - largest.mean()) / largest.std() > threshold
        factor = torch.cat([torch.ones(1), torch.where(expected, 0.3, 1.0)])
        assert torch.allclose(changed[caption, head], given[caption, head] * factor)


def test_attenuating_every_token_is_a_temperature():
    every = Attenuated(GuardAttention(0.3, threshold=-1e6), query()).logits(MIDDLE, logits())
    assert torch.equal(every, Cooled(AttentionTemperature(0.3), query()).logits(MIDDLE, logits()))


def test_a_temperature_of_zero_looks_evenly_at_all_but_the_start_token():
    mixed = Cooled(AttentionTemperature(0.0), query()).logits(MIDDLE, logits()).softmax(dim=-1)
    share = 1 / (logits()[0, ..., :1].exp() + 8)
    assert torch.allclose(mixed[0, ..., 1:], share.expand(2, 4, 8))


@pytest.mark.parametrize("changes", [Attenuated(GuardAttention(0.0), query()), Cooled(AttentionTemperature(0.0), query())])
def test_the_decoder_is_spared(changes):
    assert torch.equal(changes.logits(DECODER, logits()), logits())


@pytest.mark.parametrize(
    "neutral",
    [AttentionRescaling(1.0, kept=9), AttentionTemperature(1.0), GuardAttention(1.0), Guard(1.0, repulsion=0.0)],
)
def test_a_neutral_strength_answers_as_the_baseline_does(neutral):
    assert torch.allclose(sampled(model(), captions=CAPTIONS), sampled(model(), neutral, captions=CAPTIONS), atol=1e-5)


@pytest.mark.parametrize(("t", "decay"), [(37, 1.0), (12, 0.5**0.5)])
def test_guard_is_attraction_by_the_attenuated_branch_less_repulsion_by_the_plain_one(t, decay):
    mitigation, asked = Guard(0.0, repulsion=0.5), query()
    x = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(2))
    doors = Doors(composed(mitigation), 0, "test")
    guided = doors.sampler(BaseSampler(asked.model, doors)).predict(x, t, asked)
    spiked = asked.model.predict(x, t, asked.embeddings, attention=Attenuated(mitigation, asked)).noise
    c, u = (asked.model.predict(x, t, embeddings).noise for embeddings in (asked.embeddings, asked.unconditional))
    assert torch.allclose(guided, u + 3 * (spiked - u) - 0.5 * 3 * decay * (c - u), atol=1e-5)
    assert not torch.allclose(spiked, c, atol=1e-6)


@pytest.mark.parametrize(("mitigation", "branches"), [(Guard(), 3), (GuardAttention(), 2), (AttentionRescaling(), 2)])
def test_evaluations_a_step_are_those_that_the_docstring_tells(mitigation, branches):
    asked = model()
    sampled(asked, mitigation, captions=CAPTIONS)
    assert asked.evaluations.forward == 3 * branches * 4


@pytest.mark.parametrize("mitigation", [AttentionRescaling(), AttentionTemperature(), GuardAttention(), Guard()])
def test_a_model_without_cross_attention_is_not_applicable(mitigation):
    labelled = build(replace(NETWORK, kind="label"), seeds.torch_rng(0, "test")).frozen()
    with pytest.raises(NotApplicable, match="a network without cross-attention"):
        sampled(labelled, mitigation, captions=["one", "zero"])


def test_queries_without_words_are_answered_as_ever():
    assert torch.equal(sampled(model(), captions=["", ""]), sampled(model(), Guard(), captions=["", ""]))


def test_attention_composes_with_a_dynamic_transition():
    both = sampled(model(), DynamicTransition(), Guard(repulsion=0.0), captions=CAPTIONS, protocol=Protocol(steps=2))
    unguided = sampled(model(), captions=["", "", ""], protocol=Protocol(steps=2))
    assert torch.allclose(both, unguided, atol=1e-5)


def test_every_strength_of_a_family_is_another():
    for family in (AttentionRescaling(), AttentionTemperature(), GuardAttention(), Guard()):
        assert len(set(family.strengths())) == len(family.strengths()) >= 4
