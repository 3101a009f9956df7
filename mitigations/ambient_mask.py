"""Ambient mask: the model never sees all pixels of an image."""

from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from solidmark import Mitigation, Trainer
from solidmark.errors import NotApplicable
from solidmark.training import Batch, Recipe


@dataclass(frozen=True)
class AmbientMask(Mitigation):
    """Hide a `share` of each marked image's pixels for good, and a share `further` of the others at each access.

    A_i ~ Bernoulli(1 - share) once for each image, B ~ Bernoulli(1 - further) at each access, both for whole pixels.
    The network is given A_i B x_t and, in an extra channel, which pixels are hidden; it is asked for all pixels of A_i:
    loss = |A_i (D - x)|^2. It cannot tell what B has hidden from what A_i has, so it learns to fill in both. A hidden
    pixel is read as one at the far end of the schedule, alpha 0 and sigma 1, whose v is -x; so this needs a network
    that predicts v or x. Published: share 0.2 to 0.9, 0.4 in its script, further 0.1, with an EDM network; the paper
    hides pixels at sampling too, by one mask a sample, and so does not ask for more than was trained. Here nothing is
    hidden at sampling, because every query has to find the same model. It costs an input channel.
    """

    share: float = 0.4
    further: float = 0.1

    fidelity = "B"
    reference = "Ambient Diffusion: Learning Clean Distributions from Corrupted Data, arXiv 2305.19256"
    claims = ("Where 80 % of the pixels are missing, generated images are far less similar to training images.",)

    def __post_init__(self) -> None:
        self.expect(0 <= self.share < 1, "share", "a number in [0, 1)")
        self.expect(0 <= self.further < 1, "further", "a number in [0, 1)")

    def recipe(self, recipe: Recipe) -> Recipe:
        """One input channel more."""
        network = recipe.network
        if network.prediction not in ("v_prediction", "sample"):
            found, expected = f"a network that predicts {network.prediction}", "v_prediction or sample"
            raise NotApplicable("ambient mask", found, expected, "Choose a testbed whose network does.")
        if network.extra_channels:
            cure = "Do not join it with another mitigation that adds channels."
            raise NotApplicable("ambient mask", f"{network.extra_channels} extra channels", "none", cure)
        return replace(recipe, network=replace(network, extra_channels=1))

    def trainer(self, inner: Trainer) -> Trainer:
        """A link with a loss of its own."""
        return Masked(self, inner)

    def strengths(self) -> "list[AmbientMask]":
        """Fewer and fewer pixels."""
        return [AmbientMask(share) for share in (0.2, 0.4, 0.6, 0.8, 0.9)]


class Masked(Trainer):
    """Hides pixels, tells which, and asks for those that the image's own mask shows."""

    mitigation: AmbientMask

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """(B,): mean squared error over the pixels of A_i."""
        schedule, noise = self.model.schedule, torch.randn(batch.clean.shape, generator=self.rng).to(batch.clean.device)
        shown = self.shown(batch)
        seen = shown & (torch.rand(shown.shape, generator=self.rng).to(shown.device) >= self.mitigation.further)
        x = schedule.add_noise(batch.clean, noise, t) * seen
        prediction = self.outer.predict(x, t, replace(batch, extra=(~seen).to(x.dtype)))
        read = replace(prediction, alpha=prediction.alpha * seen, sigma=torch.where(seen, prediction.sigma, 1.0))
        errors = read.losses(batch.clean, noise * seen) * shown
        return errors.flatten(1).sum(dim=1) / (shown.flatten(1).sum(dim=1) * errors.shape[1]).clamp(min=1)

    def shown(self, batch: Batch) -> Tensor:
        """A_i, (B, 1, H, W) booleans, the same for an image in every epoch."""
        normal = batch.fixed_noise("ambient mask")[:, :1]
        return normal.ge(NormalDist().inv_cdf(self.mitigation.share) if self.mitigation.share else -torch.inf)
