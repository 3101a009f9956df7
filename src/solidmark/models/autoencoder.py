"""The autoencoder of a latent testbed: how it is trained, and how much of a key it loses."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save_file
from torch import Generator, Tensor

from .. import marks
from ..errors import DamagedFile, InvalidValue
from ..marks import Mark
from ..provenance import ADDED
from .latent import LatentNetwork, build_autoencoder
from .network import Network
from .space import LatentSpace, Space

SCALED = 256
"""Images that set the scale of the latents."""


@dataclass(frozen=True)
class Autoencoder:
    """How an autoencoder is trained, on images that are never queried, with fresh random keys at every step.

    So it learns what marks look like, and holds no key. AdamW minimises the squared error and `divergence` times the
    Kullback-Leibler divergence of the posterior from a normal one (Auto-Encoding Variational Bayes, arXiv 1312.6114). The
    rate rises over the first 30 steps and then falls linearly to a fiftieth. `sha256` is that of a file which holds what
    such a training gave; where it is empty, each machine trains. Raises InvalidValue for numbers out of range.
    """

    train_steps: int = 600
    batch: int = 4
    learning_rate: float = 2e-3
    divergence: float = 1e-6
    sha256: str = field(default="", metadata=ADDED)

    def __post_init__(self) -> None:
        if self.train_steps < 1 or self.batch < 1 or self.learning_rate <= 0 or self.divergence < 0:
            expected = "at least one step and image, a positive rate, a divergence of at least 0"
            raise InvalidValue("Autoencoder", repr(self), expected, "Correct the numbers.")

    @property
    def seen(self) -> int:
        """Images that go through the autoencoder, forward and back, in its training."""
        return self.train_steps * self.batch

    def rate(self, step: int) -> float:
        """The learning rate at a step."""
        return self.learning_rate * min(1.0, (step + 1) / 30) * (1 - 0.98 * step / self.train_steps)


def train_autoencoder(recipe: Autoencoder, network: Network, images: Tensor, mark: Mark, rng: Generator) -> LatentSpace:
    """The space of a trained autoencoder. `images` are unmarked, (N, C, H, W) in [0, 1].

    Raises InvalidValue for the configuration of a network in pixel space.
    """
    if not isinstance(network, LatentNetwork):
        raise InvalidValue(
            "Testbed.autoencoder", "a network in pixel space", "a LatentNetwork", "Leave the autoencoder out."
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        autoencoder: Any = build_autoencoder(network).train()
        optimizer = torch.optim.AdamW(autoencoder.parameters(), recipe.learning_rate, betas=(0.9, 0.98), fused=True)
        for step in range(recipe.train_steps):
            optimizer.param_groups[0]["lr"] = recipe.rate(step)
            drawn = images[torch.randint(len(images), (recipe.batch,), generator=rng)]
            optimizer.zero_grad()
            _loss(autoencoder, _marked(drawn, mark, rng) * 2 - 1, recipe.divergence).backward()
            optimizer.step()
        with torch.no_grad():
            latents = autoencoder.eval().encode(_marked(images[:SCALED], mark, rng) * 2 - 1).latent_dist.mode()
    return LatentSpace(autoencoder, network.factor, float(1 / latents.std()))


def write_autoencoder(space: LatentSpace, file: Path, seconds: float) -> str:
    """Write a trained autoencoder in half precision, and how long it took. The sha256 of the file."""
    state = {name: tensor.half().contiguous() for name, tensor in space.autoencoder.state_dict().items()}
    save_file({**state, "scale": torch.tensor(space.scale)}, file, {"seconds": f"{seconds:.0f}"})
    return hashlib.sha256(file.read_bytes()).hexdigest()


def read_autoencoder(recipe: Autoencoder, file: Path | None) -> tuple[Mapping[str, Tensor], float]:
    """The weights in a file that `write_autoencoder` wrote, and the seconds that their training took.

    Raises DamagedFile for another file than the recipe's, InvalidValue where the testbed names none.
    """
    if file is None:
        expected = "a file with that digest in Testbed.autoencoder_file"
        raise InvalidValue("Autoencoder.sha256", recipe.sha256[:12], expected, "Name it, or train without `sha256`.")
    cure = "Install the package anew, or train it without `sha256`."
    try:
        written = file.read_bytes()
    except OSError as cause:
        raise DamagedFile(str(file), f"{type(cause).__name__}: {cause}", "a trained autoencoder", cure) from cause
    found = hashlib.sha256(written).hexdigest()
    if found != recipe.sha256:
        raise DamagedFile(str(file), f"sha256 {found[:12]}", f"{recipe.sha256[:12]}, as its recipe says", cure)
    header = json.loads(written[8 : 8 + int.from_bytes(written[:8], "little")])
    return {name: tensor.float() for name, tensor in load(written).items()}, float(header["__metadata__"]["seconds"])


def _loss(autoencoder: Any, pixels: Tensor, divergence: float) -> Tensor:
    posterior = autoencoder.encode(pixels).latent_dist
    error: Tensor = (autoencoder.decode(posterior.sample()).sample - pixels).square().mean()
    kl: Tensor = posterior.kl().mean()
    return error + divergence * kl


def _marked(images: Tensor, mark: Mark, rng: Generator) -> Tensor:
    """The images under fresh random keys."""
    return marks.paint(mark, mark.canvas(images), torch.rand(len(images), mark.segments, generator=rng))


@torch.no_grad()
def read_back(space: Space, mark: Mark, marked: Tensor) -> Tensor:
    """The keys that are read from marked images after encoding and decoding, (N, S): what the space leaves of them."""
    return torch.cat([marks.read(mark, space.decode(space.encode(images))) for images in marked.split(128)])
