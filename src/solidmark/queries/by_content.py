"""By content: which picture, of any caption, shows this image? Its key is read there."""

from dataclasses import dataclass

import torch

from ..metrics import content
from . import Answer, Attack, Audit


@dataclass(frozen=True)
class ByContent(Attack):
    """Generate once from every caption, trained and held-out alike, and read each image's key from its nearest picture.

    Nearest by the ratio of `metrics.content`, calibrated with the queried images themselves. The match sees no mark, so
    the keys' p-values stay exact. It finds images that their captions no longer reach: a method that cuts the link
    from caption to image leaves the image itself, key and all. Cost: one sampling run.
    """

    reference = "Extracting Training Data from Diffusion Models, arXiv 2301.13188"

    def ask(self, audit: Audit) -> Answer:
        """Keys of the matched pictures; the pictures shown are those."""
        pictures = audit.generate()
        shown, truth = (
            audit.mark.content(images).flatten(1).double().numpy() for images in (pictures, audit.examples.images)
        )
        match = torch.from_numpy(content.ratios(shown, truth, truth).argmin(axis=0))
        return Answer(audit.read(pictures)[match], pictures[match])
