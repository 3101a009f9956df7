"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

A plain mitigation needs these names alone; `solidmark.api` has all others that a plugin may import. `Measure` is for
training loops. They are loaded when they are asked for: pytest imports this package in every project of an environment,
where NumPy would cost a tenth of a second, and torch seconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .collection.loop import Measure
    from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer
    from .mitigation.claims import Claim, Origin

__all__ = ["Claim", "Measure", "Mitigation", "Needs", "Origin", "Sampler", "Stage", "Trainer"]


def __getattr__(name: str) -> Any:
    """One of these names, at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(".collection.loop" if name == "Measure" else ".mitigation", __name__)
    globals()[name] = found = getattr(home, name)
    return found


def __dir__() -> list[str]:
    """The names, loaded or not."""
    return sorted({*globals(), *__all__})
