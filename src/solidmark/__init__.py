"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

The author of a mitigation imports these names and nothing else.
"""

from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer
from .mitigation.claims import Claim

__all__ = ["Claim", "Mitigation", "Needs", "Sampler", "Stage", "Trainer"]
