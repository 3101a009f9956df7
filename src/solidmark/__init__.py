"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

A plain mitigation needs these names alone; `solidmark.api` has all others that a plugin may import. They are loaded when
they are asked for: pytest imports this package in every project of an environment, and NumPy takes a tenth of a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer
    from .mitigation.claims import Claim

__all__ = ["Claim", "Mitigation", "Needs", "Sampler", "Stage", "Trainer"]


def __getattr__(name: str) -> object:
    """One of these names, at its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import mitigation

    globals()[name] = found = getattr(mitigation, name)
    return found


def __dir__() -> list[str]:
    """The names, loaded or not."""
    return sorted({*globals(), *__all__})
