"""The space that a denoiser works in: pixels scaled to [-1, 1], or the latents of a frozen autoencoder."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

REMEMBERED = 8192
"""Encodings that are remembered beside those of a training set: methods that compare with images want them again."""
BATCH = 16
"""Images that are encoded at once, always: fewer are filled up, because the last bits of a convolution depend on how many
there are, and what was encoded before must not decide what a training sees."""


class Space:
    """Pixels, scaled to [-1, 1]: where images in [0, 1] become x and back.

    `factor` is how many pixels a cell of x is wide. `encoded` and `decoded` count the images that went through an
    autoencoder; they stay 0 where there is none.
    """

    factor = 1

    def __init__(self) -> None:
        self.encoded = self.decoded = 0

    def encode(self, images: Tensor) -> Tensor:
        """Images, (B, C, H, W) in [0, 1], in the space of x."""
        return images * 2 - 1

    def decode(self, x: Tensor) -> Tensor:
        """Images in [0, 1] from the space of x, clamped."""
        return ((x + 1) / 2).clamp(0, 1)

    def cells(self, pixels: Tensor) -> Tensor:
        """(B, 1, h, w) booleans: the cells of x with one or more of these pixels, (B, 1, H, W) booleans."""
        return pixels

    def expect(self, images: int) -> None:
        """Remember the encodings of so many images, which will be asked for again and again."""

    def to(self, device: torch.device | str) -> None:
        """Move the weights, if there are any."""

    def state(self) -> dict[str, Tensor]:
        """The weights by name."""
        return {}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights. Raises RuntimeError for a name too many or too few."""
        if state:
            raise RuntimeError(f"pixels have no autoencoder, yet there are weights of one: {', '.join(state)}")


class LatentSpace(Space):
    """Latents of a frozen autoencoder (`AutoencoderKL`), scaled to unit variance.

    An image becomes the mode of its posterior (High-Resolution Image Synthesis with Latent Diffusion Models, arXiv
    2112.10752), and is encoded once: encodings are remembered by the image's content. `scale` is diffusers' scaling factor.
    """

    def __init__(self, autoencoder: nn.Module, factor: int, scale: float = 1.0) -> None:
        super().__init__()
        self.autoencoder: Any = autoencoder.requires_grad_(False).eval()
        self.factor, self.scale = factor, scale
        self._known: OrderedDict[bytes, Tensor] = OrderedDict()
        self._room = REMEMBERED

    def expect(self, images: int) -> None:
        """Beside them there is room for as many others as before."""
        self._room = max(self._room, images + REMEMBERED)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """The mode of the posterior, scaled, where the autoencoder is."""
        names = [hashlib.blake2b(image.cpu().contiguous().numpy().tobytes(), digest_size=16).digest() for image in images]
        new = {name: index for index, name in enumerate(names) if name not in self._known}
        for some in _batches(list(new.items())):
            rows = [index for _, index in some]
            pixels = images[rows + rows[:1] * (BATCH - len(rows))].to(self._device) * 2 - 1
            modes = self.autoencoder.encode(pixels).latent_dist.mode() * self.scale
            self._known.update(zip((name for name, _ in some), modes))
        self.encoded += len(new)
        latents = torch.stack([self._known[name] for name in names])
        while len(self._known) > self._room:
            self._known.popitem(last=False)
        return latents

    def decode(self, x: Tensor) -> Tensor:
        """The autoencoder's picture of each latent."""
        self.decoded += len(x)
        images: Tensor = (self.autoencoder.decode(x / self.scale).sample + 1) / 2
        return images.clamp(0, 1)

    def cells(self, pixels: Tensor) -> Tensor:
        """A cell that is a pixel of the mark in part counts as mark."""
        return F.max_pool2d(pixels.float(), self.factor).bool()

    def to(self, device: torch.device | str) -> None:
        """Move the autoencoder, and forget what was encoded elsewhere."""
        before = self._device
        self.autoencoder.to(device)
        if self._device != before:
            self._known.clear()

    def state(self) -> dict[str, Tensor]:
        """The autoencoder's weights and the scale."""
        return {**self.autoencoder.state_dict(), "scale": torch.tensor(self.scale)}

    def load_state(self, state: Mapping[str, Tensor]) -> None:
        """Take these weights. Raises RuntimeError for a name too many or too few."""
        self.scale = float(state["scale"])
        self.autoencoder.load_state_dict({name: tensor for name, tensor in state.items() if name != "scale"})
        self._known.clear()

    @property
    def _device(self) -> torch.device:
        device: torch.device = next(self.autoencoder.parameters()).device
        return device


def _batches(new: list[tuple[bytes, int]]) -> list[list[tuple[bytes, int]]]:
    return [new[first : first + BATCH] for first in range(0, len(new), BATCH)]
