"""Anti-memorization guidance (AMG): away from the nearest training image, at pixel or at feature level."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

if TYPE_CHECKING:
    from solidmark.mitigation import Scale

BEND = 6.25
"""How fast the threshold bends, over the whole schedule: 0.025 a step of 250."""


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
    acts; see `FeatureAntiMemorization` for all three. Published: 50 neighbours, λ from -1.95 at pure noise to -1.5. The
    three weights were not told: `dissimilarity` is swept, and its default is a choice, where the digits testbed hardly
    remembers any more. Distances count free pixels alone: those that the query shows are the asked image itself, and
    would set off the guidance every time. No one tells which of the free pixels are mark. The training images are as
    handed out, decoys among them, which a service would not have. With 64 images 50 neighbours are most of them, and
    eight grays of a mark have a near neighbour by chance: the guidance is on most of the time. Works on every kind of
    model. Cost: one evaluation backward for each forward, and in `FeatureAntiMemorization` a third forward.

    It pushes away from what it is told to hide, so that a key may be read off as the gray that is avoided: M below 0,
    and images certified by distance (`avoided` in the record).
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
        """A link that changes the prediction of every step."""
        return Repelled(self, inner)

    def _threshold(self, t: int, steps: int) -> float:
        """λ_t, for t of a schedule of `steps`."""
        return self.first + (self.last - self.first) * math.exp(-BEND * t / steps)

    def _similarity(self, clean: Tensor, images: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """sigma of each image, (B,), with its gradient, and the place of its nearest among `images`, on `free` pixels."""
        count = min(self.neighbours, len(images))
        weights, x = free.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        with torch.no_grad():
            apart = weights @ images.flatten(1).square().T - 2 * (weights * x) @ images.flatten(1).T
            places = apart.topk(count, largest=False).indices
        apart = ((x[:, None] - images.flatten(1)[places]).square() * weights[:, None]).sum(dim=2)
        distances = apart.clamp(min=1e-12).sqrt()
        return -distances[:, 0] / (distances.mean(dim=1) / 2), places[:, 0]

    def strengths(self) -> "list[AntiMemorization]":
        """Stronger and stronger pushes."""
        return [type(self)(weight) for weight in (100.0, 1000.0, 3000.0, 10000.0)]


@dataclass(frozen=True)
class FeatureAntiMemorization(AntiMemorization):
    """The same with similarity of features, sigma = E(x0) · E(n), which is positive, so that all three guidances act.

    E was a copy-detection network; here it is the free pixels themselves, gray as 0, scaled to length 1. Published for
    it: similarities above 0.5 count as memorized, so `last`; how λ_t begins was not told.
    """

    first: float = 0.3
    last: float = 0.5

    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "It eradicates memorization in Stable Diffusion: 0.00 % of images above the threshold, 44.85 % before.",
            measure="memorization",
            above=-0.1,
            below=0.1,
        ),
    )
    stream = "solidmark.mitigations.amg.FeatureAntiMemorization"

    def _similarity(self, clean: Tensor, images: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        """As above, by the cosine."""
        weights, x = free.expand_as(clean).flatten(1).to(clean.dtype), clean.flatten(1)
        lengths = (weights @ images.flatten(1).square().T).sqrt() * (weights * x).norm(dim=1, keepdim=True)
        cosines = (weights * x) @ images.flatten(1).T / lengths.clamp(min=1e-6)
        nearest = cosines.max(dim=1)
        return nearest.values, nearest.indices


class Repelled(Sampler):
    """Remembers both branches and the scale of a step, and pushes its prediction."""

    mitigation: AntiMemorization

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, query: Query) -> "Scale":
        """As it is."""
        scale = self.inner.scale(unconditional, conditional, t, query)
        self.branches = unconditional.detach(), conditional.detach(), scale
        return scale

    @torch.enable_grad()
    def predict(self, x: Tensor, t: int, query: Query) -> Tensor:
        """The guided prediction, with the three guidances where the predicted clean image is near a training image."""
        x = x.detach().requires_grad_()
        noise, schedule, examples = self.inner.predict(x, t, query), self.model.schedule, self.data.training_images
        clean = (x - schedule.sigma(t) * noise) / schedule.alpha(t)
        similarity, nearest = self.mitigation._similarity(clean, self.model.encode(examples.images), query.free)
        near = similarity > self.mitigation._threshold(t, schedule.steps)
        if not bool(near.any()):
            return noise.detach()
        (away,) = torch.autograd.grad(similarity[near].sum(), x)
        push = self.mitigation.dissimilarity * schedule.sigma(t) * away
        captions = [examples.captions[place] for place in nearest.tolist()]
        less = self._less_specific(x.detach(), t, query, similarity.detach(), captions)
        return torch.where(near[:, None, None, None], noise + push + less, noise).detach()

    @torch.no_grad()
    def _less_specific(self, x: Tensor, t: int, query: Query, similarity: Tensor, captions: list[str]) -> Tensor:
        """G_spe + G_dup, for queries that have a caption."""
        unconditional, conditional, scale = self.branches
        room = torch.where(query.conditional, torch.as_tensor(scale, device=x.device) - 1, 0.0)
        own = (self.mitigation.despecification * similarity).minimum(room).clamp(min=0)[:, None, None, None]
        room = room[:, None, None, None] - own
        theirs = (self.mitigation.deduplication * similarity)[:, None, None, None].minimum(room).clamp(min=0)
        less = -own * (conditional - unconditional)
        if bool(theirs.any()):
            less = less - theirs * (self.model.predict(x, t, self.model.embed(captions)).noise - unconditional)
        return less
