"""Methods that change a caption's embedding at sampling: annealed noise by numpy, padding by counting tokens."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from solidmark.mitigations.cads import AnnealedCondition, AnnealingSampler, anneal
from solidmark.mitigations.clip_padding import MaskedPadding, ReplacedPadding
from test_attention_mitigations import CAPTIONS, caption_batch
from worlds import examples, generate, model

from solidmark.mitigation import WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.models import Model
from solidmark.models.latent import LatentNetwork


def wrapped(mitigation, batch, **inner):
    """The mitigation's wrapper round an inner one with these methods."""
    handed = Data(mitigation.needs, "own", sampled=True, calibration=examples())
    context = WrapperContext("own", torch.Generator().manual_seed(0), handed)
    return mitigation.sampler(SimpleNamespace(context=context, model=batch.model, prepare=lambda given: given, **inner))


@pytest.mark.parametrize(("t", "share"), [(0.0, 1.0), (0.6, 1.0), (0.7, 2 / 3), (0.75, 0.5), (0.9, 0.0), (1.0, 0.0)])
def test_the_condition_fades_in_linearly_between_its_two_ends(t, share):
    assert AnnealedCondition()._share(t) == pytest.approx(share)


@pytest.mark.parametrize(("mixing", "share"), [(1.0, 0.3), (0.25, 0.3), (0.0, 0.0)])
def test_an_annealed_embedding_is_its_formula_for_each_caption_alone(mixing, share):
    y, n = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(1)).unbind()
    found = anneal(y, n, share, AnnealedCondition(0.4, mixing=mixing)).numpy()
    for row, noise, got in zip(y.double().numpy(), n.double().numpy(), found, strict=True):
        noised = np.sqrt(share) * row + 0.4 * row.std(ddof=1) * np.sqrt(1 - share) * noise
        scaled = (noised - noised.mean()) / noised.std(ddof=1) * row.std(ddof=1) + row.mean()
        assert got == pytest.approx(mixing * scaled + (1 - mixing) * noised, abs=1e-5)


def test_the_null_condition_stays_null_and_late_steps_see_the_whole_caption():
    batch, seen = caption_batch(), []
    sampler = wrapped(AnnealedCondition(), batch, predict=lambda x, t, given: seen.append(given.embeddings) or x)
    assert isinstance(sampler, AnnealingSampler)
    for t in (49, 10):  # of 50: above `high`, and below `low`
        sampler.predict(batch.noise, t, batch)
    assert not torch.equal(seen[0][:2], batch.embeddings[:2])
    assert seen[0][2].eq(0).all()
    assert torch.equal(seen[1], batch.embeddings)


@pytest.mark.parametrize(("share", "zeros"), [(0.0, []), (0.4, [4, 5]), (1.0, [4, 5, 6, 7, 8])])
def test_padding_is_masked_from_the_end_token_on(share, zeros):
    """The first caption has a start, two words, an end and five tokens of padding."""
    batch = caption_batch()
    masked = wrapped(MaskedPadding(share), batch).prepare(batch).embeddings
    assert masked[0].eq(0).all(dim=1).nonzero().flatten().tolist() == zeros
    assert torch.equal(masked[0][:4], batch.embeddings[0][:4])


def test_replaced_padding_is_the_encoding_of_other_tokens_with_the_end_token_masked():
    batch = caption_batch()
    found = wrapped(ReplacedPadding(), batch).prepare(batch).embeddings
    encoder = batch.model.text
    tokens = encoder.tokens(CAPTIONS)
    tokens[tokens == 0] = encoder.token("!")
    expected = encoder.layers(encoder.words(tokens) + encoder.positions)
    expected[:2][(tokens == 2)[:2]] = 0
    assert torch.allclose(found[:2], expected[:2], atol=1e-6)
    assert torch.equal(found[2], batch.embeddings[2])


def test_what_another_method_did_to_an_embedding_stays_under_replaced_padding():
    batch = caption_batch()
    plain, moved = (
        wrapped(ReplacedPadding(end=0.0), one).prepare(one).embeddings
        for one in (batch, replace(batch, embeddings=batch.embeddings + 0.5))
    )
    assert torch.allclose(moved[:2] - plain[:2], torch.full_like(plain[:2], 0.5), atol=1e-6)


def test_clip_pads_with_another_word_behind_the_first_end_alone():
    network = LatentNetwork(size=16, widths=(8,), text_width=8, words=4, latent_channels=2, autoencoder_widths=(8, 8, 8))
    text = Model(network).text
    tokens = text.tokens(["w1 w2"])
    tokens[0, 4:] = text.tokenizer.convert_tokens_to_ids("tower")
    assert torch.equal(text(["w1 w2"], "tower"), text.encoder(tokens)[0])
    assert torch.equal(text(["w1 w2"], "tower")[:, :4], text(["w1 w2"])[:, :4])


@pytest.mark.parametrize("neutral", [MaskedPadding(0.0), AnnealedCondition(low=1.0, high=1.0)])
def test_a_neutral_setting_answers_as_the_baseline_does(neutral):
    assert torch.equal(generate(model(), captions=CAPTIONS), generate(model(), neutral, captions=CAPTIONS))
