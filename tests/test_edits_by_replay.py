"""Edits that replay, redirect or hold weights: their losses against second computations, their bands against Fourier."""

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from solidmark.mitigations import _replay
from solidmark.mitigations.concept_ablation import ConceptAblation
from solidmark.mitigations.retrack import redirection
from solidmark.mitigations.selective_amnesia import gradient_of_all_timesteps
from solidmark.mitigations.time_frequency import TimeFrequencyAscent, low_frequencies
from solidmark.mitigations.vdu import VariationalUnlearning
from test_unlearning import edited, handed_out, make, of_kind, rng

from solidmark.errors import NotApplicable
from solidmark.models import Prediction, Recipe
from solidmark.models.denoising import draw_noised_batch, gradients

FEW = {
    "concept-ablation": {"updates": 1, "anchors": 1},
    "retrack": {"updates": 1},
    "selective-amnesia": {"updates": 1, "samples": 2},
    "vdu": {"updates": 1, "samples": 2},
    "time-frequency": {"updates": 1},
}


@cache
def once(name):
    """The tiny model after one update of this edit."""
    return edited(name, **FEW[name])


@pytest.mark.parametrize("name", [name for name in FEW if name != "time-frequency"])
def test_the_text_encoder_stays_as_it_is(name):
    pairs = zip(once(name).text.parameters(), worlds.model().text.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("kind", ["label", "none"])
def test_a_caption_that_cannot_be_reworded_has_no_anchor(kind):
    data = replace_captions("one" if kind == "label" else "")
    with pytest.raises(NotApplicable, match="mitigation concept-ablation"):
        ConceptAblation(1).edit(of_kind(kind).copy(), data, rng())


def replace_captions(caption):
    data = handed_out()
    parts = {
        name: replace(getattr(data, name), captions=[caption] * len(getattr(data, name))) for name in ("forget", "retain")
    }
    return SimpleNamespace(**parts)


def test_a_generated_image_is_what_plain_sampling_gives():
    model = worlds.model()
    found = _replay.generate(model, ["one w1"], rng(), guidance=1.0, steps=5)
    noise = torch.randn((1, *model.shape), generator=rng())
    *_, (_, _, last) = model.trajectory(model.embed(["one w1"]), noise, model.schedule.times(5))
    assert torch.allclose(found, last.clean, atol=1e-4)


def test_fisher_information_of_a_linear_loss_is_its_squared_slope():
    slopes, weight = iter([1.0, 3.0]), torch.nn.Parameter(torch.zeros(2))
    fisher = _replay.fisher_information(lambda: gradients(next(slopes) * weight[0], [weight]), 2)
    assert fisher[0].tolist() == [5, 0]
    assert float(_replay.penalty([weight], [weight.detach() - 2.0], fisher).detach()) == 20


def test_the_gradient_of_an_image_is_that_of_its_loss_summed_over_all_timesteps_whatever_the_parts():
    model, steps, image = worlds.model().copy(), worlds.NETWORK.schedule_steps, worlds.examples(1).images[0]
    weights, recipe = list(model.network.parameters()), Recipe(batch=7, caption_dropout=0.0)
    found = gradient_of_all_timesteps(model, image, "one w1", rng(), recipe, weights)
    stream, total = rng(), torch.zeros(())
    for t in torch.arange(steps).split(7):
        torch.rand(len(t), generator=stream)
        noise = torch.randn((len(t), *image.shape), generator=stream)
        embedding = model.embed(["one w1"] * len(t))
        prediction = model.predict(model.schedule.add_noise(image.expand_as(noise), noise, t), t, embedding)
        total = total + prediction.losses(image.expand_as(noise), noise).sum()
    for one, other in zip(found, torch.autograd.grad(total, weights), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_the_precision_of_a_weight_that_does_not_matter_is_a_share_of_the_mean():
    assert VariationalUnlearning(floor=0.1)._precision([torch.tensor([4.0, 0.0])])[0].tolist() == pytest.approx([4.2, 0.2])


def test_a_reworded_caption_keeps_its_first_words_and_its_length():
    words = _replay.reword("one w1 w2 w3", 2, rng()).split()
    assert words[:2] == ["one", "w1"]
    assert len(words) == 4
    assert not {"w2", "w3"} & set(words)


def test_anchors_are_the_images_that_are_further_from_the_forgotten_one():
    model, data, own = worlds.model(), handed_out(), ConceptAblation(anchors=2)
    images, captions = own._anchors(model, data, rng())
    stream = rng()
    rows = [_replay.reword(caption, 1, stream) for caption in data.forget.captions for _ in range(4)]
    drawn = _replay.generate(model, rows, stream).reshape(3, 4, -1)
    memorized = model.encode(data.forget.images).reshape(3, 1, -1)
    limit = (drawn - memorized).square().sum(dim=2).median(dim=1).values  # the lower of the two in the middle
    found = (images.reshape(3, 2, -1) - memorized).square().sum(dim=2)
    assert (found > limit[:, None]).all()
    assert all(caption in rows for caption in captions)


def test_redirection_is_the_mean_over_neighbours_by_their_likelihood():
    """Against numpy: one image, three neighbours, weights by Bayes' rule."""
    model = worlds.model()
    batch = draw_noised_batch(model, handed_out().forget, rng(), size=2)
    neighbours = torch.randn(2, 3, *model.shape, generator=rng("neighbours"))
    alpha, sigma = torch.full((2, 1, 1, 1), 0.6), torch.full((2, 1, 1, 1), 8.0)
    output = torch.randn(2, *model.shape, generator=rng("output"))
    found = redirection(batch, Prediction(output, batch.x, alpha, sigma, "sample"), neighbours, alpha, sigma)
    for row in range(2):
        x, near, out = (part[row].double().numpy() for part in (batch.x, neighbours, output))
        likelihood = np.array([np.exp(-((x - 0.6 * one) ** 2).sum() / (2 * 64)) for one in near])
        errors = np.array([((out - one) ** 2).mean() for one in near])
        assert float(found[row]) == pytest.approx((likelihood * errors).sum() / likelihood.sum(), rel=1e-4)


def test_retrack_with_one_neighbour_draws_forgotten_predictions_to_it():
    data = handed_out(forget=1)
    after = edited_with(data, "retrack", updates=25, neighbours=1, keep=0.0, rate=3.3, batch=8)
    batch = draw_noised_batch(after, data.forget, rng("test"), size=64)
    retained = after.encode(data.retain.images)
    nearest = retained[(retained - batch.clean[:1]).square().flatten(1).sum(dim=1).argmin()]
    before, now = batch.predict(worlds.model()).clean, batch.predict(after).clean
    assert (before - batch.clean).norm() < (before - nearest).norm()
    assert (now - nearest).norm() < 0.8 * (now - batch.clean).norm()


def edited_with(data, name, **values):
    return make(name, **values).edit(worlds.model().copy(), data, rng())


@pytest.mark.parametrize(("low", "high", "first", "last"), [(0.0, 0.4, 0, 19), (0.5, 1.0, 25, 49), (0.99, 1.0, 49, 49)])
def test_a_band_of_time_has_its_timesteps_alone(low, high, first, last):
    drawn = TimeFrequencyAscent(low=low, high=high)._draw(worlds.model(), handed_out(), rng(), 500).t
    assert (int(drawn.min()), int(drawn.max())) == (first, last)


def test_low_frequencies_pass_and_high_ones_do_not():
    column = torch.arange(12.0)
    waves = {cycles: torch.cos(2 * torch.pi * cycles * column / 12).expand(1, 1, 12, 12) for cycles in (0, 2, 3, 4, 6)}
    for cycles, wave in waves.items():
        passed = low_frequencies(wave, 0.5)
        assert torch.allclose(passed, wave if cycles <= 3 else torch.zeros_like(wave), atol=1e-5)


def test_ascent_in_a_band_of_all_is_plain_ascent_on_the_same_draws():
    own, stream, model = TimeFrequencyAscent(1, 0.0, 1.0, 1.0, 1 / 3, 4), rng(), worlds.model().copy()
    after = own.edit(worlds.model().copy(), handed_out(), rng())
    (-own._draw(model, handed_out(), stream, 4).losses(model).mean()).backward()
    for old, new in zip(model.parameters(), after.parameters(), strict=True):
        moved = (new - old * (1 - 1e-3 * 0.01)).detach()
        if old.grad is not None and float(old.grad.abs().max()) > 1e-4:
            big = old.grad.abs() > 1e-4
            assert torch.equal(moved[big].sign(), -old.grad[big].sign())
