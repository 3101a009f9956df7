"""Mitigations: the author's interface, and what the suite does with it.

This package hands on the interface alone, which is free of torch; `hooks`, `handout` and `run` import it.
"""

from .base import DOORS, Handover, Link, Mitigation, Sampler, Scale, Trainer, draws_elsewhere, opened, stream_name, unasked
from .claims import Claim
from .needs import Needs, Stage

__all__ = [
    "DOORS", "Claim", "Handover", "Link", "Mitigation", "Needs", "Sampler", "Scale", "Stage", "Trainer",
    "draws_elsewhere", "opened", "stream_name", "unasked",
]  # fmt: skip
