"""Mitigations: the author's interface, and what the suite does with it.

This package re-exports the interface alone, which is free of torch. `hooks`, `handout` and `run` need torch.
"""

from .base import (
    HOOKS,
    Mitigation,
    Sampler,
    Scale,
    Trainer,
    Wrapper,
    WrapperContext,
    draws_elsewhere,
    hook,
    overridden_hooks,
    stream_name,
    unused_overrides,
)
from .claims import Claim, Origin
from .needs import Needs, Stage

__all__ = [
    "HOOKS",
    "Claim",
    "Mitigation",
    "Needs",
    "Origin",
    "Sampler",
    "Scale",
    "Stage",
    "Trainer",
    "Wrapper",
    "WrapperContext",
    "draws_elsewhere",
    "hook",
    "overridden_hooks",
    "stream_name",
    "unused_overrides",
]  # fmt: skip
