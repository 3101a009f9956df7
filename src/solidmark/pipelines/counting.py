"""Counts of what a pipeline computes, its own search included: hooks on its networks, which see each call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .space import autoencoder

DENOISERS = ("unet", "transformer")
"""The names that pipelines give to their denoiser begin so."""


@dataclass
class Counts:
    """Rows that passed each network: an image with classifier-free guidance is two at each step.

    `denoiser` counts forward evaluations, `backward` how many of them a gradient went back through. `encoded` and
    `decoded` are images through the autoencoder, ours (to put known cells back) and the pipeline's own.
    """

    denoiser: int = 0
    backward: int = 0
    encoded: int = 0
    decoded: int = 0


@contextmanager
def counted(pipe: Any) -> Iterator[Counts]:
    """Inside, `Counts` grows with each call of the pipeline's networks."""
    counts = Counts()
    with ExitStack() as stack:
        for name, part in modules(pipe).items():
            if name.startswith(DENOISERS):
                stack.callback(part.register_forward_hook(_evaluation(counts), with_kwargs=True).remove)
        for field, inner in (("encoded", "encoder"), ("decoded", "decoder")):
            network = getattr(autoencoder(pipe), inner, None)
            if isinstance(network, nn.Module):
                stack.callback(network.register_forward_hook(_passing(counts, field)).remove)
        yield counts


def modules(pipe: Any) -> dict[str, nn.Module]:
    """The pipeline's networks by name. (`pipe.components` fails for classes that are older than a component.)"""
    return {name: part for name, part in vars(pipe).items() if isinstance(part, nn.Module)}


def _evaluation(counts: Counts) -> Any:
    def hook(_: nn.Module, given: tuple[Any, ...], named: dict[str, Any], made: Any) -> None:
        rows = _rows(*given, *named.values())
        counts.denoiser += rows
        output = made if isinstance(made, Tensor) else made[0]
        if isinstance(output, Tensor) and output.requires_grad:
            output.register_hook(lambda _: _add(counts, "backward", rows))

    return hook


def _passing(counts: Counts, field: str) -> Any:
    def hook(_: nn.Module, given: tuple[Any, ...], __: Any) -> None:
        _add(counts, field, _rows(*given))

    return hook


def _add(counts: Counts, field: str, rows: int) -> None:
    setattr(counts, field, getattr(counts, field) + rows)


def _rows(*values: Any) -> int:
    """How many samples a call has: the length of its first tensor with more than one axis."""
    return next((len(value) for value in values if isinstance(value, Tensor) and value.ndim > 1), 0)
