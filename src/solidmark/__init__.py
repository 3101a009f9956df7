"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

A plain mitigation needs these names alone; `solidmark.api` has all others that a plugin may import.
"""

from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer
from .mitigation.claims import Claim

__all__ = ["Claim", "Mitigation", "Needs", "Sampler", "Stage", "Trainer"]
