"""solidmark: which mitigations really stop an image diffusion model from memorizing its training images.

The author of a mitigation imports these names and nothing else.
"""

from .mitigation import Mitigation, Needs, Sampler, Stage, Trainer

__all__ = ["Mitigation", "Needs", "Sampler", "Stage", "Trainer"]
