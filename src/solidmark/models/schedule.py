"""The noise schedule, x_t = alpha(t) x + sigma(t) n, and the solver's steps on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InvalidValue, NotApplicable, UnknownName
from .network import scheduler_config, signal_shares

SPACINGS = ("even", "leading", "linspace", "trailing")
"""How the timesteps of a run are spread: `even` is ours, from 0 to below T; the others are diffusers' own."""


@dataclass(frozen=True)
class ScheduleConfig:
    """A schedule in the words of a diffusers scheduler's configuration.

    `betas` names how beta rises over `steps` timesteps, from `beta_start` to `beta_end` where the name leaves that open.
    `spacing` and `offset` choose the timesteps of a run. With `last_is_clean` off a run ends at the noise level of t = 0
    and not at the clean image. `zero_terminal_snr` rescales the betas so that nothing of the image is left at the last
    timestep (Common Diffusion Noise Schedules and Sample Steps are Flawed, arXiv 2305.08891). Raises UnknownName for
    another spacing, InvalidValue for an offset below 0 or for no steps.
    """

    betas: str = "squaredcos_cap_v2"
    steps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    spacing: str = "even"
    offset: int = 0
    last_is_clean: bool = True
    zero_terminal_snr: bool = False

    def __post_init__(self) -> None:
        if self.spacing not in SPACINGS:
            raise UnknownName.among("ScheduleConfig.spacing", self.spacing, SPACINGS)
        if self.steps < 1 or self.offset < 0:
            found = f"steps={self.steps}, offset={self.offset}"
            raise InvalidValue("ScheduleConfig", found, "at least one step, an offset of at least 0", "Correct them.")

    @classmethod
    def read(cls, scheduler: Any) -> ScheduleConfig:
        """That of a diffusers scheduler. Raises NotApplicable for betas that are a list, or for another kind of noise."""
        given = scheduler_config(scheduler)
        if given.get("trained_betas") is not None or "beta_schedule" not in given:
            found, cure = f"{type(scheduler).__name__} without named betas", "Choose a model trained with DDPM's schedule."
            raise NotApplicable("ScheduleConfig.read", found, "a variance-preserving schedule with named betas", cure)
        return cls(
            betas=given["beta_schedule"],
            steps=given["num_train_timesteps"],
            beta_start=given["beta_start"],
            beta_end=given["beta_end"],
            spacing=given.get("timestep_spacing", "leading"),
            offset=given.get("steps_offset", 0),
            last_is_clean=given.get("set_alpha_to_one", True),
            zero_terminal_snr=given.get("rescale_betas_zero_snr", False),
        )


class Schedule:
    """A variance-preserving noise schedule: x_t = alpha(t) x + sigma(t) n, for t in 0 … steps - 1."""

    def __init__(self, config: ScheduleConfig) -> None:
        self.config, self.steps = config, config.steps
        self._signal = signal_shares(
            config.betas, config.steps, config.beta_start, config.beta_end, config.zero_terminal_snr
        )
        if config.zero_terminal_snr:  # x0 from a predicted noise divides by almost nothing there
            self._signal = self._signal.double().clamp(min=LEAST_SIGNAL)

    def alpha(self, t: int | Tensor) -> Tensor:
        """The factor of the signal, (B, 1, 1, 1), or (1, 1, 1, 1) for one t."""
        return self._at(t).sqrt()

    def sigma(self, t: int | Tensor) -> Tensor:
        """The factor of the noise, shaped as `alpha`."""
        return (1 - self._at(t)).sqrt()

    def signal(self, to: int) -> Tensor:
        """The factor of the signal behind a step to `to`, (1, 1, 1, 1): where a run ends at -1, 1 or that of t = 0."""
        return torch.ones_like(self.alpha(0)) if to < 0 and self.config.last_is_clean else self.alpha(max(to, 0))

    def add_noise(self, clean: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """alpha(t) x + sigma(t) n."""
        return (self.alpha(t) * clean + self.sigma(t) * noise).to(clean.dtype)

    def times(self, steps: int) -> list[int]:
        """`steps` timesteps from high noise to low, spread as the configuration says."""
        if not 1 <= steps <= self.steps:
            raise InvalidValue("Schedule.times", f"steps={steps}", f"1 to {self.steps}", "Take as many or fewer.")
        total, spacing = self.steps, self.config.spacing
        rising: NDArray[Any]
        if spacing == "linspace":
            rising = np.linspace(0, total - 1, steps).round()
        elif spacing == "trailing":
            rising = np.round(np.arange(total, 0, -total / steps))[::-1] - 1
        elif spacing == "leading":
            rising = np.arange(steps) * (total // steps) + self.config.offset
        else:
            rising = np.arange(steps) * total // steps
        return [min(int(t), total - 1) for t in rising[::-1]]

    def targets(self, times: list[int], steps: int) -> list[int]:
        """The timestep that the step from each of `times` leads to, -1 behind the last, in a run of `steps`.

        `times` may be the end of such a run. As in diffusers, a step is T // steps wide, whatever is rounded.
        """
        if self.config.spacing == "even":
            return [*times[1:], -1]
        return [max(t - self.steps // steps, -1) for t in times]

    def step(self, x: Tensor, noise_prediction: Tensor, t: int, to: int, eta: float, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step of DDIM (arXiv 2010.02502) from t to the lower `to`, -1 for the end of the run: (x_to, predicted x0).

        An eta of 0 is deterministic. An eta of 1 over all timesteps is DDPM's ancestral step (arXiv 2006.11239).
        """
        clean = (x - self.sigma(t) * noise_prediction) / self.alpha(t)
        if to < 0 and self.config.last_is_clean:
            return clean.to(x.dtype), clean.to(x.dtype)
        alpha_bar, alpha_bar_to = self._at(t), self._at(max(to, 0))
        sigma = eta * ((1 - alpha_bar_to) / (1 - alpha_bar) * (1 - alpha_bar / alpha_bar_to)).clamp(min=0).sqrt()
        direction = (1 - alpha_bar_to - sigma.square()).clamp(min=0).sqrt()
        stepped = alpha_bar_to.sqrt() * clean + direction * noise_prediction + sigma * noise
        return stepped.to(x.dtype), clean.to(x.dtype)

    def back(self, x: Tensor, t: int, to: int, noise: Tensor) -> Tensor:
        """x_t noised further, to the higher level `to`: the way back of RePaint (arXiv 2201.09865)."""
        share = self._at(to) / self._at(t)
        return (share.sqrt() * x + (1 - share).sqrt() * noise).to(x.dtype)

    def to(self, device: torch.device) -> None:
        """Move the table to a device, so that no step waits for a copy."""
        self._signal = self._signal.to(device)

    def _at(self, t: int | Tensor) -> Tensor:
        """The signal's share of the variance (alpha-bar in the papers), shaped as `alpha`."""
        return self._signal[t].reshape(-1, 1, 1, 1)


LEAST_SIGNAL = 2.0**-48
"""The least share of the signal where a schedule ends in none."""
