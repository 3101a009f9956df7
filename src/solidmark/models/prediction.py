"""Predictions of a denoiser in the usual parametrisations, and how many evaluations they cost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace

from torch import Tensor

from ..errors import PluginFault


@dataclass
class Evaluations:
    """Counts of denoiser evaluations, one for each image that passes forward or backward, and of an autoencoder's work.

    They only grow, so that no plugin hides what it cost. Raises PluginFault where one is lowered.
    """

    forward: int = 0
    backward: int = 0
    encoded: int = 0
    decoded: int = 0

    def __setattr__(self, name: str, value: int) -> None:
        before = self.__dict__.get(name, 0)
        if not value >= before and self.__dict__.keys() >= {"forward", "backward"}:
            found, cure = f"{value} after {before}", "Leave `model.evaluations` alone, or add to it."
            raise PluginFault(f"count of evaluations, {name}", found, "a count that grows", cure)
        object.__setattr__(self, name, value)

    def since(self, earlier: Evaluations) -> Evaluations:
        """The evaluations that were added since `earlier`."""
        return Evaluations(
            **{field.name: getattr(self, field.name) - getattr(earlier, field.name) for field in fields(self)}
        )

    def copy(self) -> Evaluations:
        """A copy of the present counts."""
        return replace(self)


_METERS: list[Evaluations] = []
"""The meters of `metered` that are on, the innermost last."""


@contextmanager
def metered() -> Iterator[Evaluations]:
    """Counts the evaluations of every denoiser inside, copies too, whoever calls them; no model holds this count."""
    count = Evaluations()
    _METERS.append(count)
    try:
        yield count
    finally:
        _METERS.pop()


def meter(output: Tensor) -> None:
    """Count an output, (B, ...), in every meter that is on, and once more when a gradient passes back through it."""
    meter_work(forward=len(output))
    if output.requires_grad:
        output.register_hook(lambda gradient: meter_work(backward=len(gradient)))


def meter_work(**counts: int) -> None:
    """Add counts, by their names in `Evaluations`, in every meter that is on."""
    for meter in _METERS:
        for name, count in counts.items():
            setattr(meter, name, getattr(meter, name) + count)


@dataclass(frozen=True)
class Prediction:
    """A denoiser's prediction for x_t, in the network's parametrisation and in the two usual ones.

    `kind` names the parametrisation of `output`: `v_prediction`, `epsilon` or `sample` (the clean image).
    """

    output: Tensor
    x: Tensor
    alpha: Tensor
    sigma: Tensor
    kind: str

    @property
    def noise(self) -> Tensor:
        """The predicted noise epsilon, (B, C, H, W)."""
        if self.kind == "v_prediction":
            return self.alpha * self.output + self.sigma * self.x
        return self.output if self.kind == "epsilon" else (self.x - self.alpha * self.output) / self.sigma

    @property
    def clean(self) -> Tensor:
        """The predicted clean image x0, (B, C, H, W)."""
        if self.kind == "v_prediction":
            return self.alpha * self.x - self.sigma * self.output
        return self.output if self.kind == "sample" else (self.x - self.sigma * self.output) / self.alpha

    def target(self, clean: Tensor, noise: Tensor) -> Tensor:
        """What `output` should be, (B, C, H, W), in the network's own parametrisation."""
        targets = {"v_prediction": self.alpha * noise - self.sigma * clean, "epsilon": noise, "sample": clean}
        return targets[self.kind]

    def losses(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Squared error, (B, C, H, W), in the network's own parametrisation."""
        return (self.output - self.target(clean, noise)).square()
