"""FLIPD: the local intrinsic dimension that a denoiser sees at a point, from the trace of its Jacobian and its norm."""

from collections.abc import Callable

from torch import Tensor

from ._guidance_vector import norms

STEP = 0.01
"""The step of the central difference, in units of x."""


def local_dimension(predict: Callable[[Tensor], Tensor], x: Tensor, sigma: float, probes: Tensor) -> Tensor:
    """FLIPD at x, (B,), as a share of the number of dimensions D: 1 - sigma tr(∂eps/∂x) / D + ‖eps‖² / D.

    LID(x) ≈ D + sigma² (tr ∇s + ‖s‖²) with the score s = -eps / sigma at x = alpha x0 (arXiv 2406.03537, 2411.00113). The
    trace is estimated by v · ∂eps/∂x v with v of `probes`, (B, C, H, W), normal or of random signs. The derivative along v
    is a central difference, since attention kernels have no second derivative. Costs three evaluations, and gradients
    flow through.
    """
    along = (predict(x + STEP * probes) - predict(x - STEP * probes)) / (2 * STEP)
    trace = (probes * along).flatten(1).sum(dim=1)
    return 1 - (sigma * trace - norms(predict(x)).square()) / x[0].numel()
