"""Outpainting from the weights: what the weights hold, not what an honest service returns."""

from dataclasses import dataclass

from . import Access
from .outpaint import Outpaint


@dataclass(frozen=True)
class OutpaintWeights(Outpaint):
    """Outpainting without the parts of a mitigation that act at sampling. Cost: one sampling run.

    A method that acts at sampling scores as the baseline here, because it changes no weight.
    """

    access = Access.WHITE_BOX
