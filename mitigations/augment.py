"""Augmentation: another view of each image at each access, before its mark is painted."""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import affine_grid, grid_sample

from solidmark import Mitigation


@dataclass(frozen=True)
class Augmentation(Mitigation):
    """Mirror each image half of the time, and flip, zoom, turn and shift it, each of the four with `probability`.

    Mirrors are horizontal, whatever `probability` is. Flips are vertical, of half of the images that are chosen for one. A
    zoom is by a factor 2^(zoom n), which crops where it is above 1. Turns are uniform up to `turn` of a half circle. Shifts
    are by shift n of the side, with n normal. Outside its edges the image is mirrored. Published: mirrors by half,
    probability 0.12 to 0.15, zoom 0.2, turn 1, shift 0.125. EDM also squeezes, and gives the network the augmentation as a
    condition, so that samples are not augmented. Here the network has no such condition, so that views
    leak into the samples. The views are made before the mark is painted, since they would change it. Queries show the
    image as it is. In latent space views are of pixels, too, and each is encoded by itself: an encoding a training image
    and access, where the unmitigated training encodes each image once.
    """

    probability: float = 0.12
    zoom: float = 0.2
    turn: float = 1.0
    shift: float = 0.125
    mirror: float = 0.5

    fidelity = "B"
    reference = "Elucidating the Design Space of Diffusion-Based Generative Models, arXiv 2206.00364"
    stream = "solidmark.mitigations.augment.Augmentation"

    def __post_init__(self) -> None:
        self.expect(0 <= self.probability <= 1, "probability", "a number in [0, 1]")
        self.expect(0 <= self.zoom <= 2, "zoom", "a number in [0, 2]")
        self.expect(0 <= self.turn <= 1, "turn", "a number in [0, 1]")
        self.expect(0 <= self.shift <= 1, "shift", "a number in [0, 1]")
        self.expect(0 <= self.mirror <= 1, "mirror", "a number in [0, 1]")

    def view(self, images: Tensor, rng: Generator) -> Tensor:
        """One view of each image. An image for which nothing is chosen stays as it is."""
        count = len(images)
        mirrored = torch.rand(count, generator=rng) < self.mirror
        chosen = torch.rand(count, 4, generator=rng) < self.probability
        chosen[:, 0] &= torch.rand(count, generator=rng) < 0.5
        normal, uniform = torch.randn(count, 3, generator=rng), torch.rand(count, generator=rng)
        grid = affine_grid(self._maps(mirrored, chosen, normal, uniform), list(images.shape), align_corners=False)
        views = grid_sample(images, grid, padding_mode="reflection", align_corners=False).clamp(0, 1)
        return torch.where((mirrored | chosen.any(dim=1))[:, None, None, None], views, images)

    def _maps(self, mirrored: Tensor, chosen: Tensor, normal: Tensor, uniform: Tensor) -> Tensor:
        """Affine maps from positions of the view to positions of the image, (B, 2, 3). The centre is 0, a side is 2 long."""
        flipped, zoomed, turned, shifted = chosen.float().unbind(dim=1)
        scale = 2 ** (-self.zoom * normal[:, 0] * zoomed)
        angle = math.pi * self.turn * (2 * uniform - 1) * turned
        mirror, flip = 1 - 2 * mirrored.float(), 1 - 2 * flipped
        shift = 2 * self.shift * normal[:, 1:] * shifted[:, None]
        across = torch.stack([mirror * scale * angle.cos(), -mirror * scale * angle.sin(), shift[:, 0]], dim=1)
        down = torch.stack([flip * scale * angle.sin(), flip * scale * angle.cos(), shift[:, 1]], dim=1)
        return torch.stack([across, down], dim=1)

    def settings(self) -> "list[Augmentation]":
        """The sweep, weakest first: more and more often, in the end every image in every way."""
        return [Augmentation(probability) for probability in (0.12, 0.3, 0.6, 1.0)]
