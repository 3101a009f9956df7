"""Tweedie consistency: on Gaussian data, where the exact denoiser is known, both losses are least at it."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations.tweedie_consistency import TweedieConsistency

from solidmark import seeds
from solidmark.mitigation import Needs, WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.models import Batch, Prediction, Schedule, ScheduleConfig

SCHEDULE = Schedule(ScheduleConfig("linear", 50))
COUNT = 2000


def trainer(slope, level=0.5, weight=1.0):
    """Of a denoiser that gives `slope` times the exact mean of N(0, 1) data, alpha x."""
    model = SimpleNamespace(schedule=SCHEDULE, device=torch.device("cpu"))
    run = SimpleNamespace()
    inner = SimpleNamespace(
        context=WrapperContext("own", seeds.torch_rng(0, "test"), Data(Needs.NOTHING, "own")), model=model, run=run
    )
    inner.prepare = lambda: None

    def predict(x, t, batch):
        alpha, sigma = SCHEDULE.alpha(t), SCHEDULE.sigma(t)
        return Prediction(slope * alpha * x, x, alpha, sigma, "sample")

    inner.predict = predict
    made = TweedieConsistency(level, weight).trainer(inner)
    made.prepare()
    return made


def batch():
    clean = torch.randn(COUNT, 1, 2, 2, generator=seeds.torch_rng(0, "clean"))
    return Batch(clean, torch.zeros(COUNT, 0), torch.arange(COUNT), tuple(range(COUNT)), 0)


@pytest.fixture(scope="module")
def given():
    """A batch whose fixed noise is drawn once."""
    made = batch()
    noise = made.fixed_noise("tweedie consistency")
    return SimpleNamespace(batch=made, noise=noise)


@pytest.mark.parametrize("level", [0.2, 0.5, 0.7])
def test_the_boundary_is_the_last_timestep_within_the_level(level):
    n = trainer(1.0, level).boundary
    ratio = [float(SCHEDULE.sigma(t) / SCHEDULE.alpha(t)) for t in (n, n + 1)]
    assert ratio[0] <= level < ratio[1]


def test_consistency_has_no_bias_for_the_exact_denoiser_and_costs_any_other(given):
    found = {}
    for slope in (1.0, 0.5, 1.5):
        own = trainer(slope)
        copy = SCHEDULE.add_noise(given.batch.clean, given.noise, own.boundary)
        losses = own._of_consistency(given.batch, copy, torch.full((COUNT,), own.boundary // 3))
        found[slope] = (float(losses.mean()), float(losses.std() / COUNT**0.5))
    assert abs(found[1.0][0]) < 4 * found[1.0][1] + 1e-6
    assert min(found[0.5][0], found[1.5][0]) > 4 * found[1.0][1] + 1e-4


def test_both_draws_are_one_call_on_rows_of_their_own(given):
    own, seen = trainer(0.5), []
    exact = own.inner.predict
    own.inner.predict = lambda x, t, batch: (seen.append((batch.ids, *batch.indices.tolist())), exact(x, t, batch))[1]
    rows = replace(given.batch, clean=given.batch.clean[:3], embeddings=torch.zeros(3, 0), ids=(7, 8, 9))
    rows = replace(rows, indices=torch.arange(3))
    own._of_consistency(rows, torch.ones(3, 1, 2, 2), torch.tensor([1, 2, 3]))
    assert seen == [((7, 8, 9), 0, 1, 2), ((7, 8, 9, 7, 8, 9), 0, 1, 2, 0, 1, 2)]


def test_a_step_to_the_boundary_stays_there():
    own, x = trainer(1.0), torch.randn(5, 1, 2, 2, generator=seeds.torch_rng(0, "x"))
    t = torch.full((5,), own.boundary)
    assert torch.allclose(own._step_down(own.inner.predict(x, t, None), t, torch.ones_like(x)), x, atol=1e-4)


def test_above_the_level_the_loss_is_least_at_the_exact_denoiser(given):
    t = torch.full((COUNT,), 45)
    found = []
    for slope in (0.8, 1.0, 1.2):
        own = trainer(slope)
        copy = SCHEDULE.add_noise(given.batch.clean, given.noise, own.boundary)
        found.append(float(own._of_the_copy(given.batch, copy, t).mean()))
    assert found[1] == min(found)


def test_the_mean_of_the_copy_is_that_of_two_gaussians():
    """E[x_n | x_t] for N(0, 1) data is (alpha_t / alpha_n) x_t, as x_n has variance 1: with D = alpha_t x_t both agree."""
    own, x = trainer(1.0), torch.randn(3, 1, 2, 2, generator=seeds.torch_rng(0, "x"))
    t = torch.full((3,), 40)
    step, (alpha, sigma), (alpha_n, sigma_n) = own._from_the_copy(t), own._levels(t), own._levels(own.boundary)
    added = sigma.square() - (step * sigma_n).square()
    mean = (step * sigma_n.square() * x + alpha_n * added * alpha * x) / sigma.square()
    assert torch.allclose(mean, step * x, atol=1e-5)


def test_each_access_has_the_loss_of_its_side_of_the_level(given):
    own = trainer(0.5)
    part = SimpleNamespace(**vars(given.batch))
    few = Batch(part.clean[:4], part.embeddings[:4], part.indices[:4], part.ids[:4], 0)
    losses = own.losses(few, torch.tensor([0, own.boundary, own.boundary + 1, 49]))
    silent = trainer(0.5, weight=0.0).losses(few, torch.tensor([0, own.boundary, own.boundary + 1, 49]))
    assert silent[:2].tolist() == [0, 0]
    assert (losses[2:] > 0).all()
    assert (losses[:2] != 0).any()
