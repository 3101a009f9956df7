"""Noise levels of any scheduler: x = a clean + s noise, and the clean image that a model's output means."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ..errors import NotApplicable, said

SMALLEST_SIGNAL = 1e-3
"""The least `a` that is divided by: with zero terminal SNR it is 0 at the first step."""


def level(scheduler: Any, place: int) -> tuple[float, float]:
    """(a, s) of x before step `place` of the scheduler's present run; (1, 0) behind its last step.

    It equals the scheduler's own public `add_noise`, which is not asked where there are sigmas, because some schedulers
    advance their step when they are asked. Raises NotApplicable for a scheduler that cannot add noise.
    """
    if place >= len(scheduler.timesteps):
        return 1.0, 0.0
    if not hasattr(scheduler, "add_noise") and not hasattr(scheduler, "scale_noise"):
        raise _unknown(scheduler, "neither add_noise nor scale_noise")
    sigmas = getattr(scheduler, "sigmas", None)
    if sigmas is not None and len(sigmas) >= len(scheduler.timesteps):
        return _of_sigma(scheduler, torch.as_tensor(sigmas[place]).float().cpu())
    t = torch.as_tensor(scheduler.timesteps[place]).reshape(1)
    one, zero = torch.ones(1, 1, device=t.device), torch.zeros(1, 1, device=t.device)
    try:
        return float(scheduler.add_noise(one, zero, t)), float(scheduler.add_noise(zero, one, t))
    except Exception as cause:
        raise _unknown(scheduler, said(cause)) from cause


def check_falling(scheduler: Any) -> None:
    """Raise NotApplicable where a run ends in more noise than it begins with: it inverts an image, and makes none."""
    last = len(scheduler.timesteps) - 1
    (a, s), (b, r) = level(scheduler, 0), level(scheduler, last)
    if last and math.atan2(r, b) > math.atan2(s, a):
        where, found = type(scheduler).__name__, "noise that grows from step to step"
        raise NotApplicable(where, found, "noise that ends", "Choose the scheduler that samples, not its inverse.")


def _unknown(scheduler: Any, found: str) -> NotApplicable:
    cure = "Choose another scheduler: the noise levels of this one cannot be known."
    return NotApplicable(type(scheduler).__name__, found, "add_noise(images, noise, times), or scale_noise", cure)


def _of_sigma(scheduler: Any, sigma: Tensor) -> tuple[float, float]:
    """(a, s) of a sigma: of flow matching, of a solver that says so, or of a process whose variance explodes."""
    if hasattr(scheduler, "scale_noise"):
        return 1 - float(sigma), float(sigma)
    if hasattr(scheduler, "_sigma_to_alpha_sigma_t"):
        a, s = scheduler._sigma_to_alpha_sigma_t(sigma)
        return float(a), float(s)
    return 1.0, float(sigma)


def clean(scheduler: Any, output: Tensor, x: Tensor, a: float, s: float) -> Tensor | None:
    """The clean image x0 that the model's output means at level (a, s); None where what it predicts is not known.

    Flow matching predicts noise - clean, so x0 = x - s v. Else x, a and s are divided by their norm (an exploding
    process is a scaled preserving one): x0 is (x - s e) / a of predicted noise e, a x - s v of a predicted velocity v
    (arXiv 2202.00512), and the output itself of a predicted sample. Further channels (a predicted variance) are cut off.
    """
    output = output[:, : x.shape[1]] if output.ndim == 4 else output
    if hasattr(scheduler, "precondition_outputs"):  # EDM, arXiv 2206.00364
        made: Tensor = scheduler.precondition_outputs(x, output, torch.tensor(s))
        return made
    kind = getattr(scheduler.config, "prediction_type", None)
    if hasattr(scheduler, "scale_noise") or kind == "flow_prediction":
        return x - s * output
    norm = (a * a + s * s) ** 0.5
    x, a, s = x / norm, a / norm, s / norm
    if kind == "epsilon":
        return (x - s * output) / max(a, SMALLEST_SIGNAL)
    if kind == "v_prediction":
        return a * x - s * output
    return output if kind == "sample" else None


def find_place(scheduler: Any, t: Any, last: int) -> int:
    """Which step of the run is the one at time `t`: the first behind `last`, since some schedulers visit a time twice.

    Raises NotApplicable for a time that `set_timesteps` has not announced.
    """
    time = torch.as_tensor(t).reshape(-1)[0].cpu()
    announced = scheduler.timesteps.cpu()
    found: list[int] = (announced == time.to(announced.dtype)).nonzero().flatten().tolist()
    if not found:
        expected = f"one of its {len(announced)} timesteps"
        raise NotApplicable(f"{type(scheduler).__name__}.step", f"time {time}", expected, "Step at scheduler.timesteps.")
    return next((place for place in found if place > last), found[0])
