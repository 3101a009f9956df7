"""Outpainting from the weights: what was stored, not what an honest service returns."""

from dataclasses import dataclass

from . import Access
from .outpaint import Outpaint


@dataclass(frozen=True)
class OutpaintWeights(Outpaint):
    """Outpainting with the mitigation switched off at sampling. Cost: one sampling run.

    A method that acts at sampling scores as the baseline here, because it changed no weight.
    """

    access = Access.WEIGHTS
