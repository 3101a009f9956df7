"""The noise schedule, x_t = alpha(t) x + sigma(t) n, and the solver's steps on it."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import InvalidValue
from .network import signal_shares


class Schedule:
    """A variance-preserving noise schedule: x_t = alpha(t) x + sigma(t) n, for t in 0 … steps - 1."""

    def __init__(self, betas: str, steps: int) -> None:
        self.steps = steps
        self._signal = signal_shares(betas, steps)

    def alpha(self, t: int | Tensor) -> Tensor:
        """The factor of the signal, (B, 1, 1, 1), or (1, 1, 1, 1) for one t."""
        return self._at(t).sqrt()

    def sigma(self, t: int | Tensor) -> Tensor:
        """The factor of the noise, shaped as `alpha`."""
        return (1 - self._at(t)).sqrt()

    def add_noise(self, clean: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """alpha(t) x + sigma(t) n."""
        return self.alpha(t) * clean + self.sigma(t) * noise

    def times(self, steps: int) -> list[int]:
        """`steps` timesteps from high noise to low, evenly spaced, the last one 0."""
        if not 1 <= steps <= self.steps:
            raise InvalidValue("Schedule.times", f"steps={steps}", f"1 to {self.steps}", "Take as many or fewer.")
        return [step * self.steps // steps for step in reversed(range(steps))]

    def step(self, x: Tensor, noise_prediction: Tensor, t: int, to: int, eta: float, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step of DDIM (arXiv 2010.02502) from t to the lower `to`, -1 for the clean image: (x_to, predicted x0).

        An eta of 0 is deterministic. An eta of 1 over all timesteps is DDPM's ancestral step (arXiv 2006.11239).
        """
        clean = (x - self.sigma(t) * noise_prediction) / self.alpha(t)
        if to < 0:
            return clean, clean
        alpha_bar, alpha_bar_to = self._at(t), self._at(to)
        sigma = eta * ((1 - alpha_bar_to) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_to)).sqrt()
        direction = (1 - alpha_bar_to - sigma.square()).clamp(min=0).sqrt()
        return alpha_bar_to.sqrt() * clean + direction * noise_prediction + sigma * noise, clean

    def back(self, x: Tensor, t: int, to: int, noise: Tensor) -> Tensor:
        """x_t noised further, to the higher level `to`: the way back of RePaint (arXiv 2201.09865)."""
        share = self._at(to) / self._at(t)
        return share.sqrt() * x + (1 - share).sqrt() * noise

    def to(self, device: torch.device) -> None:
        """Move the table to a device, so that no step waits for a copy."""
        self._signal = self._signal.to(device)

    def _at(self, t: int | Tensor) -> Tensor:
        """The signal's share of the variance (alpha-bar in the papers), shaped as `alpha`."""
        return self._signal[t].reshape(-1, 1, 1, 1)
