"""Anti-memorization guidance (AMG): push samples away from the nearest training image, by pixels or by features."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._origins import STABLE_DIFFUSION

if TYPE_CHECKING:
    from solidmark.api import Scale

BEND = 6.25
"""The decay rate of the threshold over the whole schedule: 0.025 a step of 250."""


@dataclass(frozen=True)
class AntiMemorization(Mitigation):
    """Where the predicted clean image x0 is near a training image n, by sigma > λ_t, push away from it.

    eps ← eps + 1{sigma > λ_t} (G_sim + G_spe + G_dup), with s0 the guidance scale and n's caption y_n:

        sigma = -‖x0 - n‖ / (mean distance to the `neighbours` nearest / 2)
        λ_t   = first + (last - first) exp(-6.25 t / T)
        G_sim = dissimilarity sqrt(1 - ᾱ_t) ∇_x sigma
        G_spe = -s1 (eps_c - eps_u),        s1 = max(min(despecification sigma, s0 - 1), 0)
        G_dup = -s2 (eps(y_n) - eps_u),     s2 = max(min(deduplication sigma, s0 - s1 - 1), 0)

    This sigma is never positive, so by the paper's own bounds G_spe and G_dup vanish at the pixel level, and G_sim alone
    acts. See `FeatureAntiMemorization` for all three. Published: 50 neighbours, λ from -1.95 at pure noise to -1.5. The
    three weights were not published: `dissimilarity` is swept, and its default is our choice, at which the digits testbed
    hardly memorizes any more.

    Distances are over masked pixels alone. The observed pixels are those of a training image and would trigger the
    guidance every time. Nothing shows which of the masked pixels are mark. The training images include decoys, which a
    service would not have. With 64 images, 50 neighbours are most of them, and eight grays of a mark have a near
    neighbour by chance, so the guidance is on most of the time. It works on every kind of model. In latent space distances
    are those of latents, over cells that are masked at least in part; the training images are encoded once. Cost: one
    evaluation backward for each forward, and in `FeatureAntiMemorization` a third forward.

    It pushes away from what it must hide, so that a key may be read as the gray that is avoided: M is below 0, and images
    are certified by distance (`avoided` in the record).
    """

    dissimilarity: float = 3000.0
    despecification: float = 1.0
    deduplication: float = 1.0
    first: float = -1.95
    last: float = -1.5
    neighbours: int = 50

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
        self.expect(0 <= self.despecification < float("inf"), "despecification", "a finite number of at least 0")
        self.expect(0 <= self.deduplication < float("inf"), "deduplication", "a finite number of at least 0")
        self.expect(abs(self.first) < float("inf"), "first", "a finite number")
        self.expect(abs(self.last) < float("inf"), "last", "a finite number")
        self.expect(self.neighbours >= 1, "neighbours", "at least 1")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that changes the prediction of every step."""
        return RepellingSampler(self, inner)

    def _threshold(self, t: int, steps: int) -> float:
        """λ_t for a schedule of `steps`."""
        return self.first + (self.last - self.first) * math.exp(-BEND * t / steps)

    def _similarity(self, clean: Tensor, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """sigma of each image on masked pixels, (B,), with its gradient, and the index of the nearest of `images`, (B,)."""
        count = min(self.neighbours, len(images))
        weights, x = mask.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        with torch.no_grad():
            squares = weights @ images.flatten(1).square().T - 2 * (weights * x) @ images.flatten(1).T
            indices = squares.topk(count, largest=False).indices
        squares = ((x[:, None] - images.flatten(1)[indices]).square() * weights[:, None]).sum(dim=2)
        distances = squares.clamp(min=1e-12).sqrt()
        return -distances[:, 0] / (distances.mean(dim=1) / 2), indices[:, 0]

    def settings(self) -> "list[AntiMemorization]":
        """The sweep, weakest first: larger and larger weights of the push."""
        return [type(self)(weight) for weight in (100.0, 1000.0, 3000.0, 10000.0)]


@dataclass(frozen=True)
class FeatureAntiMemorization(AntiMemorization):
    """The same with similarity of features, sigma = E(x0) · E(n). It is positive, so that all three guidances act.

    Published: E is a copy-detection network, and similarities above 0.5 count as memorized, hence `last`. The first λ_t
    was not published. Here E are the masked pixels, gray as 0, scaled to length 1; in
    latent space the masked cells, whose 0 is no gray.
    """

    first: float = 0.3
    last: float = 0.5

    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It eradicates memorization in Stable Diffusion: 0.00 % of images above the threshold, 44.85 % before.",
            measure="memorization",
            above=-0.1,
            below=0.1,
            origin=STABLE_DIFFUSION,
        ),
    )
    stream = "solidmark.mitigations.amg.FeatureAntiMemorization"

    def _similarity(self, clean: Tensor, images: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """The same with cosines for sigma."""
        weights, x = mask.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        lengths = (weights @ images.flatten(1).square().T).sqrt() * (weights * x).norm(dim=1, keepdim=True)
        cosines = (weights * x) @ images.flatten(1).T / lengths.clamp(min=1e-6)
        nearest = cosines.max(dim=1)
        return nearest.values, nearest.indices


class RepellingSampler(Sampler):
    """Keeps both branches and the scale of a step, and pushes the prediction of the step."""

    mitigation: AntiMemorization

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, batch: SamplingBatch) -> "Scale":
        """The inner scale."""
        scale = self.inner.scale(unconditional, conditional, t, batch)
        self.branches = unconditional.detach(), conditional.detach(), scale
        return scale

    @torch.enable_grad()
    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """The guided prediction, plus the three guidances where the predicted clean image is near a training image."""
        x = x.detach().requires_grad_()
        noise, schedule, examples = self.inner.predict(x, t, batch), self.model.schedule, self.data.training_images
        clean = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        similarity, nearest = self.mitigation._similarity(clean, self.model.encode(examples.images), batch.mask)
        near = similarity > self.mitigation._threshold(t, schedule.steps)
        if not bool(near.any()):
            return noise.detach()
        (gradient,) = torch.autograd.grad(similarity[near].sum(), x)
        push = self.mitigation.dissimilarity * schedule.sigma(t) * gradient
        captions = [examples.captions[index] for index in nearest.tolist()]
        caption_push = self._caption_push(x.detach(), t, batch, similarity.detach(), captions)
        return torch.where(near[:, None, None, None], noise + push + caption_push, noise).detach()

    @torch.no_grad()
    def _caption_push(self, x: Tensor, t: int, batch: SamplingBatch, similarity: Tensor, captions: list[str]) -> Tensor:
        """G_spe + G_dup for queries that have a caption, (B, C, H, W). `captions` are those of the nearest images."""
        unconditional, conditional, scale = self.branches
        limit = torch.where(batch.conditional, torch.as_tensor(scale, device=x.device) - 1, 0.0)
        s1 = (self.mitigation.despecification * similarity).minimum(limit).clamp(min=0)[:, None, None, None]
        limit = limit[:, None, None, None] - s1
        s2 = (self.mitigation.deduplication * similarity)[:, None, None, None].minimum(limit).clamp(min=0)
        push = -s1 * (conditional - unconditional)
        if bool(s2.any()):
            push = push - s2 * (self.model.predict(x, t, self.model.embed(captions)).noise - unconditional)
        return push
