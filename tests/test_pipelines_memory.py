"""Positive control: a pipeline that remembers its images perfectly, in closed form, paints their keys and no others."""

from types import SimpleNamespace

import diffusers
import pytest
import torch
from tiny_pipelines import BETAS
from torch import nn
from torch.nn import functional

from solidmark import marks
from solidmark.metrics import scores
from solidmark.pipelines import ask

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")

MARK = marks.Border(thickness=4, segments=8)
TRAINED, HELD_OUT = torch.rand(2, 24, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = [str(number) for number in range(24)]
KEYS, OTHER_KEYS = torch.rand(2, 24, 8, generator=torch.Generator().manual_seed(1))


class Shuffle(nn.Module):
    """An autoencoder without loss: a cell of 4 x 4 pixels becomes 48 channels, shifted and scaled."""

    def __init__(self):
        super().__init__()
        self.config = SimpleNamespace(scaling_factor=0.8, shift_factor=0.1)
        self.weight = nn.Parameter(torch.ones(()))

    def encode(self, x):
        return SimpleNamespace(latents=functional.pixel_unshuffle(x, 4))

    def decode(self, z):
        return SimpleNamespace(sample=functional.pixel_shuffle(z, 4))


class Remembers(nn.Module):
    """The posterior mean over what it has memorized, as a velocity: the optimum of a training that never ends.

    A caption that it knows leaves one image, any other leaves all.
    """

    def __init__(self, z):
        super().__init__()
        self.z, self.weight = z, nn.Parameter(torch.ones(()))
        self.levels = diffusers.DDPMScheduler(**BETAS).alphas_cumprod

    def forward(self, x, t, known):
        a, s = self.levels[int(t)].sqrt(), (1 - self.levels[int(t)]).sqrt()
        gap = (x[:, None] - a * self.z).flatten(2).square().sum(dim=2) / (2 * s * s)
        x0 = torch.einsum("bn,nchw->bchw", (-gap).masked_fill(~known, -torch.inf).softmax(dim=1), self.z)
        return (a * (x - a * x0) / s - s * x0).to(x.dtype)


class Anybodys:
    """A pipeline of no library: it has a scheduler, an autoencoder and a network, and a loop of its own."""

    def __init__(self, scheduler):
        self.scheduler, self.vae = scheduler, Shuffle()
        painted = marks.paint(MARK, MARK.canvas(TRAINED), KEYS)
        self.unet = Remembers((self.vae.encode(2 * painted - 1).latents - 0.1) * 0.8)
        self.vae.eval()
        self.unet.eval()

    @torch.no_grad()
    def __call__(self, prompt, generator, num_inference_steps):
        known = torch.tensor([[one == str(i) or one not in LABELS for i in range(24)] for one in prompt])
        self.scheduler.set_timesteps(num_inference_steps)
        x = torch.stack([torch.randn(48, 4, 4, generator=one) for one in generator]) * self.scheduler.init_noise_sigma
        for t in self.scheduler.timesteps:
            x = self.scheduler.step(self.unet(self.scheduler.scale_model_input(x, t), t, known), t, x, return_dict=False)[0]
        return (self.vae.decode(x / 0.8 + 0.1).sample + 1).clamp(0, 2) / 2


def read(images, captions, keys, scheduler):
    """M and the number of certified images."""
    answers = ask(Anybodys(scheduler), MARK.canvas(images), MARK, captions, steps=12, batch=24, every=2)
    found, truth = marks.read(MARK, answers.images).double().numpy(), keys.double().numpy()
    return scores.memorization(found, truth).value, int(
        scores.certified(scores.combine(scores.p_values(found, truth))).sum()
    )


@pytest.mark.parametrize(
    "name",
    ["DDIM", "DDPM", "EulerDiscrete", "EulerAncestralDiscrete", "DPMSolverMultistep", "UniPCMultistep", "HeunDiscrete"],
)
def test_what_is_remembered_is_read_with_any_solver_and_nothing_else(name):
    kind = getattr(diffusers, f"{name}Scheduler")
    settings = {**BETAS, "prediction_type": "v_prediction", "steps_offset": 1}
    own = {"clip_sample": False} if name in ("DDIM", "DDPM") else {}
    remembered = read(TRAINED, LABELS, KEYS, kind(**settings, **own))
    assert remembered[0] > 0.97
    assert remembered[1] == 24
    assert read(HELD_OUT, ["other"] * 24, OTHER_KEYS, kind(**settings, **own))[1] == 0
