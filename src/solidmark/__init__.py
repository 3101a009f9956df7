"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

A plain mitigation needs these names alone; `solidmark.api` has all others that a plugin may import. `Measure` is for
training loops; it is imported when it is asked for, because it needs torch.
"""

from typing import TYPE_CHECKING, Any

from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer
from .mitigation.claims import Claim

if TYPE_CHECKING:
    from .collection.loop import Measure

__all__ = ["Claim", "Measure", "Mitigation", "Needs", "Sampler", "Stage", "Trainer"]


def __getattr__(name: str) -> Any:
    if name == "Measure":
        from .collection.loop import Measure

        return Measure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
