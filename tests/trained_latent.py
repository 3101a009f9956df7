"""A small Stable Diffusion that has memorized 8 images: its autoencoder loses nothing, so only its denoiser is trained."""

from dataclasses import dataclass, replace
from functools import cache

import torch
from torch.nn import functional

from solidmark import marks
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.models import LatentSpace, Model
from solidmark.models.latent import build_autoencoder
from solidmark.split import Split
from solidmark.testing.toys import toy
from solidmark.training import train


@dataclass
class Latents:
    """What encoding gives: a distribution of one point."""

    z: torch.Tensor

    @property
    def latent_dist(self):
        return self

    def mode(self):
        return self.z


@dataclass
class Picture:
    sample: torch.Tensor


def lossless(network):
    """The autoencoder of a configuration, in which a cell of 4 x 4 pixels simply is 16 channels."""
    built = build_autoencoder(network)
    built.encode = lambda x: Latents(functional.pixel_unshuffle(x, 4))
    built.decode = decode
    return built


def decode(z, return_dict=True, generator=None):
    picture = functional.pixel_shuffle(z, 4)
    return Picture(picture) if return_dict else (picture,)


@dataclass(frozen=True)
class Trained:
    split: Split
    model: Model

    @property
    def canvas(self):
        return self.split.mark.canvas(self.split.trained.images)

    def score(self, images):
        """M of the answers to the trained images."""
        found = marks.read(self.split.mark, images).double().numpy()
        return scores.memorization(found, self.split.trained_keys.double().numpy()).value


@cache
def trained():
    """The model after 150 steps: M is 0.89."""
    testbed = replace(toy("latent"), trained=8, held_out=16)
    network = replace(testbed.recipe.network, latent_channels=16, widths=(32,), text_width=32)
    steps = {"train_steps": 150, "batch": 48, "learning_rate": 8e-3, "ema_decay": 0.95, "timestep_power": 0.0}
    split, space = testbed.split(0), LatentSpace(lossless(network), 4, 2.0)
    training_set = TrainingSet(split.training, split.training_keys, split.mark)
    return Trained(
        split, train(replace(testbed.recipe, network=network, **steps), training_set, Composition(), 0, space=space)
    )
