"""Denoising losses outside the loop: independent sums, and a minimisation of chosen parameters alone."""

import torch
import worlds

from solidmark import seeds
from solidmark.models import denoising


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
