"""Predictions of a denoiser in the usual parametrisations, and how many evaluations they cost."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Evaluations:
    """Counts of denoiser evaluations: one for each image that passes forward or backward."""

    forward: int = 0
    backward: int = 0

    def since(self, earlier: Evaluations) -> Evaluations:
        """The evaluations that were added since `earlier`."""
        return Evaluations(self.forward - earlier.forward, self.backward - earlier.backward)

    def copy(self) -> Evaluations:
        """A copy of the present counts."""
        return Evaluations(self.forward, self.backward)


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

    def losses(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Squared error, (B, C, H, W), in the network's own parametrisation."""
        targets = {"v_prediction": self.alpha * noise - self.sigma * clean, "epsilon": noise, "sample": clean}
        return (self.output - targets[self.kind]).square()
