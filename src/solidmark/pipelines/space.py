"""What a pipeline's scheduler steps: latents of the pipeline's own autoencoder, or pixels, in the layout of the pipeline."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from ..errors import InvalidValue, NotApplicable, cleaned
from .quiet import uncast

AUTOENCODERS = ("vae", "vqvae", "movq")
"""The names that pipelines give to their autoencoder."""


class Space:
    """Images (B, C, H, W) in [0, 1] to latents (B, c, h, w) as the scheduler steps them, and back. Nothing is drawn."""

    def __init__(self, pipe: Any) -> None:
        self.pipe, self.name = pipe, type(pipe).__name__
        self.autoencoder = autoencoder(pipe)
        self._config = getattr(self.autoencoder, "config", None)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents on the CPU in float32: the mode of the posterior, shifted and scaled as the pipeline does.

        Raises NotApplicable where the autoencoder cannot encode such images, or gives numbers that are not finite.
        """
        if self.autoencoder is None:
            return images * 2 - 1
        with self._whole_precision() as (device, dtype):
            try:
                mode = _posterior_mode(self.autoencoder.encode((images * 2 - 1).to(device, dtype)))
            except (RuntimeError, ValueError, TypeError) as cause:
                where, cure = f"{self.name}, autoencoder", "Name the part of the pipeline that holds the pixels."
                raise NotApplicable(
                    where, cleaned(str(cause)), f"an encoder of images {tuple(images.shape)}", cure
                ) from cause
        z = (mode.float().cpu() - self._offset()) * self._scale()
        if not bool(z.isfinite().all()):
            where, cure = f"{self.name}, autoencoder", "Load the autoencoder in float32."
            raise NotApplicable(where, f"latents that are not finite in {dtype}", "finite latents", cure)
        return z

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """Images in [0, 1] on the CPU."""
        if self.autoencoder is not None:
            with self._whole_precision() as (device, dtype):
                z = self.autoencoder.decode((z / self._scale() + self._offset()).to(device, dtype)).sample
        return ((z.float() + 1) / 2).clamp(0, 1).cpu()

    def _scale(self) -> Tensor:
        """What latents are multiplied by: `scaling_factor`, over `latents_std` where there is one."""
        return self._numbers("scaling_factor", 1.0) / self._numbers("latents_std", 1.0)

    def _offset(self) -> Tensor:
        """What is taken off before: `shift_factor` and `latents_mean`."""
        return self._numbers("shift_factor", 0.0) + self._numbers("latents_mean", 0.0)

    def _numbers(self, name: str, default: float) -> Tensor:
        """A number of the autoencoder's configuration, or one a channel, to be broadcast over (B, c, h, w)."""
        found = getattr(self._config, name, None)
        return torch.as_tensor(default if found is None else found, dtype=torch.float32).reshape(-1, 1, 1)

    @contextmanager
    def _whole_precision(self) -> Iterator[tuple[Any, torch.dtype]]:
        """Device and number type for the autoencoder; float32 inside where it says that half precision is too little."""
        model: Any = self.autoencoder
        parameter = next(model.parameters())
        device = getattr(self.pipe, "_execution_device", parameter.device)  # with offloading the weights are elsewhere
        if parameter.dtype is torch.float16 and getattr(self._config, "force_upcast", False):
            with uncast():
                model.to(torch.float32)
                try:
                    yield device, torch.float32
                finally:
                    model.to(torch.float16)
        else:
            yield device, parameter.dtype


class Layout:
    """How latents (B, c, h, w) lie in what the scheduler steps, (R, ...): repeated by guidance, packed into tokens."""

    def __init__(self, pipe: Any, shape: torch.Size) -> None:
        self.pipe, self.shape = pipe, shape
        self._order: Tensor | None = None

    def into(self, z: Tensor, x: Tensor) -> Tensor:
        """`z` as x has it, on its device. Raises NotApplicable where x is no such thing."""
        if x.ndim == 3 and hasattr(self.pipe, "_pack_latents"):
            order = self._packing()
            packed = z.flatten(1)[:, order.flatten()].reshape(len(z), *order.shape)
        else:
            packed = z
        if len(x) % len(z) or packed.shape[1:] != x.shape[1:]:
            raise self._foreign(tuple(x.shape), tuple(packed.shape))
        return packed.repeat(len(x) // len(z), *[1] * (x.ndim - 1)).to(x.device)

    def outof(self, x: Tensor, count: int) -> Tensor:
        """The first `count` of x as latents on the CPU in float32."""
        first = x[:count].detach().float().cpu()
        if first.shape[1:] == self.shape:
            return first
        flat = torch.empty(count, self.shape.numel())
        flat[:, self._packing().flatten()] = first.flatten(1)
        return flat.reshape(count, *self.shape)

    def _packing(self) -> Tensor:
        """Which cell of the latents stands where in a packed sample: found by packing the numbers of the cells."""
        if self._order is None:
            numbers = torch.arange(self.shape.numel(), dtype=torch.float64).reshape(1, *self.shape)
            facts = dict(zip(("batch_size", "num_channels_latents", "height", "width"), numbers.shape, strict=True))
            pack = self.pipe._pack_latents
            try:
                packed = pack(numbers, **{name: facts[name] for name in inspect.signature(pack).parameters if name in facts})
            except (RuntimeError, ValueError, TypeError) as cause:
                raise self._foreign(cleaned(str(cause)), f"latents {tuple(self.shape)} packed") from cause
            self._order = packed[0].long()
            if not torch.equal(self._order.flatten().sort().values, torch.arange(self.shape.numel())):
                raise self._foreign("a packing that changes numbers", "one that changes their order alone")
        return self._order

    def _foreign(self, found: object, expected: object) -> NotApplicable:
        cure = (
            "Give `height` and `width` of the marked images, or name the part of the pipeline that holds the pixels; "
            "inpainting, super-resolution, priors and video cannot be asked."
        )
        where = f"{type(self.pipe).__name__}, scheduler.step"
        return NotApplicable(where, f"samples of {found}", f"{expected}, the images in the pipeline's own space", cure)


def channels(model: Any) -> int:
    """Channels of the pictures that a pipeline takes, or a `Loaded` one: of its autoencoder, in pixel space of its network.

    3 where neither tells, as for a function.
    """
    pipe = getattr(model, "pipe", model)
    network = autoencoder(pipe) or getattr(pipe, "unet", None)
    stated = getattr(getattr(network, "config", None), "in_channels", 3)
    return stated if isinstance(stated, int) else 3


def autoencoder(pipe: Any) -> Any:
    """The pipeline's autoencoder, or None where it works on pixels."""
    return next((part for name in AUTOENCODERS if (part := getattr(pipe, name, None)) is not None), None)


def cells(mask: Tensor, images: Tensor, z: Tensor) -> Tensor:
    """The cells that the model fills in, (B, 1, h, w) booleans: all that hold a masked pixel.

    Raises InvalidValue where cells are not whole blocks of pixels.
    """
    (height, width), (h, w) = images.shape[-2:], z.shape[-2:]
    if height % h or width % w or height // h != width // w:
        found = f"images of {height} x {width} pixels, {h} x {w} cells"
        cure = f"Choose a height and a width that are multiples of {max(height // h, 1)}."
        raise InvalidValue("pipelines", found, "cells that are whole squares of pixels", cure)
    side = height // h
    return torch.nn.functional.max_pool2d(mask.float(), side).bool()


def _posterior_mode(found: Any) -> Tensor:
    """The one tensor of what `encode` gives: of a distribution its mode."""
    distribution = getattr(found, "latent_dist", None)
    if distribution is not None:
        mode: Tensor = distribution.mode()
        return mode
    for name in ("latent", "latents"):
        if getattr(found, name, None) is not None:
            z: Tensor = getattr(found, name)
            return z
    raise TypeError(f"encode gives {type(found).__name__} without latent_dist, latent or latents")
