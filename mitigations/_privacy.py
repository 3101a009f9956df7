"""The claim of DP-SGD: (epsilon, delta) for the replacement of one image's key, from the accountant of Opacus."""

import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ._extras import import_extra

ORDERS = [*range(2, 129), 160, 192, 256, 384, 512]
"""Rényi orders at which Opacus accounts: whole numbers, for which its sum is exact and finite at any noise."""


def add_or_remove(noise: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon at `delta` for adding or removing an image, as it is usually published."""
    return _epsilon(ORDERS, _divergences(noise, rate, steps), delta)


def replace_one(noise: float, rate: float, steps: int, delta: float) -> float:
    """The epsilon at `delta` for replacing an image, which the one-run audit tests. It is infinite without noise.

    Leave the image out of D, then put the other one in: D → D⁻ → D′. These are two steps of the adjacency that Opacus
    accounts for, whose Rényi divergence bounds both directions (arXiv 1908.10530). The weak triangle inequality of Rényi
    divergences (arXiv 1702.07476, proposition 11) joins them after all steps are composed,

        D_a(D ‖ D′) <= (a - 1/2) / (a - 1) D_2a(D ‖ D⁻) + D_2a-1(D⁻ ‖ D′),

    and the result is converted to epsilon and delta. Joining the claims, 2 epsilon at (1 + e^epsilon) delta, is valid,
    too, but looser: 66 in place of 49, and 10.9 in place of 10.0 (noise 0.84 and 1.67, rate 1/8, 100 steps).
    """
    divergence = dict(zip(ORDERS, _divergences(noise, rate, steps), strict=True))
    orders = [n / 2 for n in ORDERS if n - 1 in divergence]
    joined = [(a - 0.5) / (a - 1) * divergence[int(2 * a)] + divergence[int(2 * a) - 1] for a in orders]
    return _epsilon(orders, joined, delta)


def _divergences(noise: float, rate: float, steps: int) -> NDArray[np.float64]:
    """Rényi divergences of all steps at `ORDERS`, (len(ORDERS),)."""
    accounting = import_extra("opacus.accountants.analysis.rdp", "dp")
    return np.asarray(accounting.compute_rdp(q=rate, noise_multiplier=noise, steps=steps, orders=ORDERS))


def _epsilon(orders: Sequence[float], divergences: Sequence[float] | NDArray[np.float64], delta: float) -> float:
    """The epsilon at `delta` of Rényi divergences, infinite where none of them is finite."""
    if not np.isfinite(divergences).any():
        return math.inf
    accounting = import_extra("opacus.accountants.analysis.rdp", "dp")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Optimal order is the")  # any order bounds epsilon, the last one too
        epsilon, _ = accounting.get_privacy_spent(orders=orders, rdp=divergences, delta=delta)
    return max(0.0, float(epsilon))
