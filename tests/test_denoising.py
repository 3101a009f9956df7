"""Denoising losses outside the loop: independent sums, and a minimisation of chosen parameters alone."""

from dataclasses import replace

import pytest
import torch
import worlds

from solidmark import seeds
from solidmark.models import Recipe, denoising
from solidmark.models.denoising import draw_noised_batch, mean_gradients, parts_of


def trainable():
    return worlds.model().copy()


def test_a_loss_is_the_mean_squared_error_of_the_velocity():
    model, rng = worlds.model(), seeds.torch_rng(0, "noised")
    batch = denoising.draw_noised_batch(model, worlds.examples(), rng)
    alpha, sigma = model.schedule.alpha(batch.t), model.schedule.sigma(batch.t)
    predicted = model.predict(alpha * batch.clean + sigma * batch.noise, batch.t, model.embed(batch.captions)).output
    velocity = alpha * batch.noise - sigma * batch.clean
    torch.testing.assert_close(batch.losses(model), (predicted - velocity).square().flatten(1).mean(1))


def test_minimizing_lowers_the_loss_of_one_batch():
    model = trainable()
    batch = denoising.draw_noised_batch(model, worlds.examples(), seeds.torch_rng(0, "noised"))
    before = float(batch.losses(model).mean().detach())
    denoising.minimize_loss(model, lambda: batch.losses(model).mean(), 10, 1e-2)
    assert float(batch.losses(model).mean().detach()) < before


def test_only_the_parameters_that_are_named_change():
    model = trainable()
    chosen, *others = model.parameters()
    before = [weight.detach().clone() for weight in others]
    batch = denoising.draw_noised_batch(model, worlds.examples(), seeds.torch_rng(0, "noised"), size=4)
    denoising.minimize_loss(model, lambda: batch.losses(model).mean(), 1, 1e-2, parameters=[chosen])
    assert all(torch.equal(a, b) for a, b in zip(others, before, strict=True))
    assert len(batch.captions) == 4


def batch_as_in_training(count=4000, **numbers):
    recipe = replace(worlds.tiny().recipe, **numbers)
    examples = worlds.examples(3)
    return draw_noised_batch(trainable(), examples, torch.Generator().manual_seed(0), count, recipe)


def test_a_batch_as_in_the_training_drops_its_share_of_captions():
    captions = batch_as_in_training(caption_dropout=0.3).captions
    assert captions.count("") / 4000 == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("power", [0.0, 0.5, 2.0])
def test_a_batch_as_in_the_training_has_its_timesteps(power):
    """Of a density that grows as t^power the mean is (power + 1) / (power + 2) of the schedule."""
    share = (batch_as_in_training(timestep_power=power).t.float().mean() + 0.5) / 50
    assert share.item() == pytest.approx((power + 1) / (power + 2), abs=0.02)


@pytest.mark.parametrize(("accumulate", "sizes"), [(1, [8, 2]), (3, [3, 3, 3, 1]), (8, [1] * 10)])
def test_the_parts_of_a_batch_are_no_larger_than_those_of_the_training(accumulate, sizes):
    assert list(parts_of(10, replace(worlds.tiny().recipe, accumulate=accumulate))) == sizes


@pytest.mark.parametrize("accumulate", [1, 3])
def test_gradients_in_parts_are_those_of_the_whole_mean(accumulate):
    """The mean over ten numbers w x has the gradient mean(x), however it is cut into parts."""
    weight, numbers = torch.nn.Parameter(torch.ones(())), iter(torch.arange(10.0))
    recipe = replace(worlds.tiny().recipe, accumulate=accumulate)
    found = mean_gradients(lambda n: weight * sum(next(numbers) for _ in range(n)) / n, 10, recipe, [weight])
    assert found[0].item() == pytest.approx(4.5)


def test_the_rate_of_adapters_counts_a_tenth():
    assert Recipe(learning_rate=1e-3, adapter_rank=4).full_rate == pytest.approx(Recipe(learning_rate=1e-4).full_rate)
