"""Stock pipelines of a trained latent model find what the suite's own sampler finds, by whatever solver."""

import copy

import diffusers
import numpy as np
import pytest
import torch
from trained_latent import trained

from solidmark.mitigation.composition import Composition
from solidmark.pipelines import adopt, ask
from solidmark.pipelines.quiet import quiet
from solidmark.sampling import Service, SolverConfig, noises

STEPS = 20


@pytest.fixture(scope="module")
def world():
    return trained()


@pytest.fixture(scope="module")
def own(world):
    """M by the suite's own sampler, without noise."""
    solver = SolverConfig(steps=STEPS, eta=0.0, reencode=4)
    count, marked = len(world.canvas), world.split.mark_masks.any(dim=0)
    noise = noises(range(count), world.model.shape, solver.draws, 0, "own")
    captions, mask = list(world.split.trained.captions), marked.expand(count, 1, *marked.shape)
    return world.score(Service(world.model, Composition(), 0).sample(captions, world.canvas, mask, noise, solver))


def theirs(world, pipe):
    count = len(world.canvas)
    found = ask(pipe, world.canvas, world.split.mark, world.split.trained.captions, steps=STEPS, guidance=3.0, batch=count)
    return world.score(found.images)


def stock(world):
    with quiet():
        return world.model.pipeline()


@pytest.mark.parametrize("name", ["DDIM", "EulerDiscrete", "DPMSolverMultistep", "UniPCMultistep", "HeunDiscrete"])
def test_a_stock_pipeline_finds_as_much_as_the_own_sampler_at_equal_steps(world, own, name):
    pipe = adopt(stock(world), scheduler=f"{name}Scheduler").pipe
    assert own > 0.8
    assert abs(theirs(world, pipe) - own) < 0.03


class Flowing(diffusers.FlowMatchEulerDiscreteScheduler):
    """Flow matching with what the pipeline of Stable Diffusion asks of a scheduler."""

    init_noise_sigma = 1.0

    def scale_model_input(self, x, t):
        return x


def flow_twin(unet, signal):
    """The same denoiser asked at x = (1 - s) x0 + s n and time 1000 s: it answers n - x0.

    Divided by its norm such an x is one of the schedule, at the time of as much noise.
    """
    twin, levels = copy.deepcopy(unet), (1 - signal).sqrt()
    plain = twin.forward

    def forward(x, t, *given, **named):
        s = float(t) / 1000
        norm = np.hypot(1 - s, s)
        time = int((levels - s / norm).abs().argmin())
        b = float(levels[time])
        a = np.sqrt(1 - b * b)
        v = plain(x / norm, time, *given, **{**named, "return_dict": False})[0]
        return ((b - a) * x / norm + (a + b) * v,)

    twin.forward = forward
    return twin


def test_a_flow_matching_twin_finds_as_much(world, own):
    pipe = stock(world)
    pipe.unet = flow_twin(pipe.unet, pipe.scheduler.alphas_cumprod)
    pipe.scheduler = Flowing()
    assert abs(theirs(world, pipe) - own) < 0.03


def test_an_untrained_denoiser_finds_nothing(world):
    pipe = stock(world)
    pipe.unet = copy.deepcopy(pipe.unet)
    with torch.no_grad():
        for weight in pipe.unet.conv_out.parameters():
            weight.zero_()
    assert abs(theirs(world, pipe)) < 4 / np.sqrt(64)
