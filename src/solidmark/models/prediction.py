"""Predictions of a denoiser in the usual parametrisations, and how many evaluations they cost."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Evaluations:
    """Denoiser evaluations, counted a sample: one for each image that passes forward or backward."""

    forward: int = 0
    backward: int = 0

    def since(self, earlier: Evaluations) -> Evaluations:
        """What has been added since `earlier`."""
        return Evaluations(self.forward - earlier.forward, self.backward - earlier.backward)

    def copy(self) -> Evaluations:
        """The counts now."""
        return Evaluations(self.forward, self.backward)


@dataclass(frozen=True)
class Prediction:
    """What the denoiser says of x_t, in the network's parametrisation and in the two usual ones."""

    output: Tensor
    x: Tensor
    alpha: Tensor
    sigma: Tensor
    kind: str

    @property
    def noise(self) -> Tensor:
        """As the noise epsilon."""
        if self.kind == "v_prediction":
            return self.alpha * self.output + self.sigma * self.x
        return self.output if self.kind == "epsilon" else (self.x - self.alpha * self.output) / self.sigma

    @property
    def clean(self) -> Tensor:
        """As the clean image x0."""
        if self.kind == "v_prediction":
            return self.alpha * self.x - self.sigma * self.output
        return self.output if self.kind == "sample" else (self.x - self.sigma * self.output) / self.alpha

    def losses(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Squared error, (B, C, H, W), in the network's own parametrisation."""
        targets = {"v_prediction": self.alpha * noise - self.sigma * clean, "epsilon": noise, "sample": clean}
        return (self.output - targets[self.kind]).square()
