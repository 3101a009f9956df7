"""Anti-memorization guidance (AMG): push samples away from the nearest training image, by pixels."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from solidmark.api import Scale

PIXELS = 3072
"""Numbers of an image of CIFAR-10, for which the weight was published."""


@dataclass(frozen=True)
class AntiMemorization(Mitigation):
    """Where the predicted clean image x0 is near a training image n, by sigma > λ_t, push away from it.

        sigma = -‖x0 - n‖ / (mean distance to the `neighbours` nearest / 2)
        λ_t   = first + (last - first) exp(-6.25 t / T)
        eps  ← eps + `dissimilarity` (numbers / 3,072) (sigma - λ_t) sqrt(1 - ᾱ_t) ∇_x sigma

    from the step on at which sigma first exceeds `last`. This is the pixel level of the paper, at which sigma is never
    positive, so that by the paper's own bounds its guidance by captions vanishes: see `FeatureAntiMemorization` for all
    three guidances. Published in AMG-iddpm: 50 neighbours, λ from -1.95 at pure noise to -1.5, a weight of 1,000 x 80 for
    the 3,072 numbers of a CIFAR image; here per number of the masked pixels, as a gradient of sigma shrinks with their
    count. eps is held constant in ∇_x, as released; `through_network` differentiates it as well, which the paper's ∇_x
    allows. On digits the two gradients point in opposite directions at high noise. Not as published: that code compares x_t
    with training images that are noised anew, and pauses for ten steps after three without guidance.

    Distances are over masked pixels alone. The observed pixels are those of a training image and would trigger the guidance
    every time. Nothing shows which of the masked pixels are mark. The training images include decoys, which a service would
    not have. With 64 images, 50 neighbours are most of them, and eight grays of a mark have a near neighbour by chance, so
    the guidance is on most of the time. It works on every kind of model. In latent space distances are those of latents,
    over cells that are masked at least in part; the training images are encoded once. Cost: none but the comparison; with
    `through_network` an evaluation backward for each forward, of a whole batch at once, so that Stable Diffusion needs a
    solver with a small `batch` there.

    It pushes away from what it must hide, so that a key may be read as the gray that is avoided: M is below 0, and images
    are certified by distance (`avoided` in the record).
    """

    dissimilarity: float = 80000.0
    first: float = -1.95
    last: float = -1.5
    neighbours: int = 50
    through_network: bool = False

    BEND: ClassVar[float] = 6.25
    """The decay rate of the threshold over the whole schedule: 0.025 a step of 250."""

    reference = "Towards Memorization-Free Diffusion Models, arXiv 2404.00922"
    stream = "solidmark.mitigations.amg.AntiMemorization"
    needs = Needs.TRAINING_IMAGES
    fidelity = "B"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It eradicates all instances of memorization, 0.93 % and 1.53 % of images before.",
            measure="memorization",
            above=-0.1,
            below=0.1,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.dissimilarity < float("inf"), "dissimilarity", "a finite number of at least 0")
        self.expect(abs(self.first) < float("inf"), "first", "a finite number")
        self.expect(abs(self.last) < float("inf"), "last", "a finite number")
        self.expect(self.neighbours >= 1, "neighbours", "at least 1")
        self.expect(isinstance(self.through_network, bool), "through_network", "True or False")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that changes the prediction of every step."""
        return RepellingSampler(self, inner)

    def _threshold(self, t: int, steps: int) -> float:
        """λ_t for a schedule of `steps`."""
        return self.first + (self.last - self.first) * math.exp(-self.BEND * t / steps)

    def _triggered(self, similarity: Tensor) -> Tensor:
        """Whether the guidance may be on from now on, (B,) booleans."""
        return similarity > self.last

    def _weight(self, similarity: Tensor, t: int, steps: int, numbers: Tensor) -> Tensor:
        """What sqrt(1 - ᾱ_t) ∇_x sigma is multiplied with, (B,). `numbers` are those that are compared, (B,)."""
        return self.dissimilarity * numbers / PIXELS * (similarity - self._threshold(t, steps))

    def _caption_weights(self, similarity: Tensor, near: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        """s1 and s2, (B,): how much guidance is taken from the caption, and given against that of the nearest image."""
        return torch.zeros_like(limit), torch.zeros_like(limit)

    def _similarity(self, clean: Tensor, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """sigma of each image on masked pixels, (B,), and the index of the nearest of `images`, (B,).

        Its gradient holds the mean distance constant, as released.
        """
        count = min(self.neighbours, len(images))
        weights, x = mask.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        with torch.no_grad():
            squares = weights @ images.flatten(1).square().T - 2 * (weights * x) @ images.flatten(1).T
            indices = squares.topk(count, largest=False).indices
        squares = ((x[:, None] - images.flatten(1)[indices]).square() * weights[:, None]).sum(dim=2)
        distances = squares.clamp(min=1e-12).sqrt()
        return -distances[:, 0] / (distances.detach().mean(dim=1) / 2), indices[:, 0]

    def settings(self) -> "Sequence[AntiMemorization]":
        """The sweep, weakest first: larger and larger weights of the push, in the end through the network."""
        weights = (8e3, 8e4, 3e5, 1e6)
        return [*map(AntiMemorization, weights), AntiMemorization(3e5, through_network=True)]


class RepellingSampler(Sampler):
    """Keeps both branches and the scale of a step, and pushes the prediction of the step."""

    mitigation: AntiMemorization
    started: Tensor | None = None

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, batch: SamplingBatch) -> "Scale":
        """The inner scale."""
        scale = self.inner.scale(unconditional, conditional, t, batch)
        self.branches = unconditional.detach(), conditional.detach(), scale
        return scale

    @torch.enable_grad()
    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The guided prediction, pushed away from what is near: by captions first, then by the gradient of similarity."""
        own, x = self.mitigation, x.detach().requires_grad_()
        with torch.set_grad_enabled(own.through_network):
            noise = self.inner.predict(x, t, batch)
        similarity, nearest, near = self._compare(x, noise, t, batch)
        caption_push = self._caption_push(x.detach(), t, batch, similarity.detach(), near, nearest)
        by_captions = caption_push.flatten(1).any(dim=1)
        if bool(by_captions.any()):
            noise = noise + caption_push
            similarity, _, near = self._compare(x, noise, t, batch)
        self.data.dose("acted_on", near | by_captions)
        self.data.dose("similarity", similarity)
        if not bool(near.any()):
            return noise.detach()
        (gradient,) = torch.autograd.grad(similarity[near].sum(), x)
        numbers = batch.mask.expand_as(x).flatten(1).sum(dim=1)
        weight = own._weight(similarity.detach(), t, self.model.schedule.steps, numbers)[:, None, None, None]
        push = weight * self.model.schedule.sigma(t) * gradient
        return torch.where(near[:, None, None, None], noise + push, noise).detach()

    def _compare(self, x: Tensor, noise: Tensor, t: int, batch: SamplingBatch) -> tuple[Tensor, Tensor, Tensor]:
        """Similarity with its gradient, the nearest image, and whether it is near enough for a push, (B,) each."""
        own, schedule = self.mitigation, self.model.schedule
        clean = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        similarity, nearest = own._similarity(clean, self.model.encode(self.data.training_images.images), batch.mask)
        begun = own._triggered(similarity.detach())
        self.started = begun if self.started is None else self.started | begun
        return similarity, nearest, self.started & (similarity.detach() > own._threshold(t, schedule.steps))

    @torch.no_grad()
    def _caption_push(
        self, x: Tensor, t: int, batch: SamplingBatch, similarity: Tensor, near: Tensor, nearest: Tensor
    ) -> Tensor:
        """-s1 (eps_c - eps_u) - s2 (eps(y_n) - eps_u), (B, C, H, W), for queries that have a caption."""
        if not bool(batch.conditional.any()):
            return torch.zeros_like(x)
        unconditional, conditional, scale = self.branches
        limit = torch.where(batch.conditional, torch.as_tensor(scale, device=x.device) - 1, 0.0).clamp(min=0)
        s1, s2 = (weight[:, None, None, None] for weight in self.mitigation._caption_weights(similarity, near, limit))
        push = -s1 * (conditional - unconditional)
        if bool(s2.any()):
            captions = [self.data.training_images.captions[index] for index in nearest.tolist()]
            push = push - s2 * (self.model.predict(x, t, self.model.embed(captions)).noise - unconditional)
        return push
