"""Norm clamp: the size of every update of the sample held within what normal queries show."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import Query

from ._calibration import normal, sampled


@dataclass(frozen=True)
class NormClamp(Mitigation):
    """Keep the norms of sample and update within mean ± `width` standard deviations of normal runs, step by step.

    With z the sample and d = z_to - z_t the update of a step: where ‖d‖ lies outside mean ± width sd, the predicted x0 is
    rescaled to its mean norm; then ‖d‖ and ‖z‖ are clamped into their ranges. Published as "empirical stability regions"
    for Stable Diffusion 1.4; the width was not found in the sources read, three standard deviations are taken. Normal
    runs are those of calibration captions on the same request. The paper calibrates once; here each batch does, by
    one more run. Cost: one run a query, which a service would pay once.

    Norms are of the whole sample before its known pixels are put back, though a query fills in the mark alone. Taken over
    the pixels to fill in, the clamp would rewrite grays wherever all of those are mark, and do nothing of the kind in
    plain generation: M would fall to 0.39 at width 1 on the digits testbed, where the whole sample's norm leaves 0.89.
    """

    width: float = 3.0

    needs = Needs.CALIBRATION
    reference = "Broken Memories: Detecting and Mitigating Memorization in Diffusion Models, arXiv 2605.22050"
    stream = "solidmark.mitigations.norm_clamp.NormClamp"
    claims = (
        Claim(
            "The memorization rate falls to 0.0 % at negligible cost, prompts and guidance unchanged.",
            "memorization",
            below=0.05,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.width < float("inf"), "width", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link that calibrates, then clamps."""
        return Clamping(self, inner)

    def strengths(self) -> "list[NormClamp]":
        """Narrower and narrower, down to the mean norm itself."""
        return [NormClamp(width) for width in (3.0, 2.0, 1.0, 0.5, 0.0)]


@dataclass(frozen=True)
class Region:
    """Mean and standard deviation of norms over normal runs, each one number."""

    mean: Tensor
    spread: Tensor

    def holds(self, norms: Tensor, width: float) -> Tensor:
        """(B,) booleans: within mean ± width standard deviations."""
        return (norms - self.mean).abs() <= width * self.spread

    def nearest(self, norms: Tensor, width: float) -> Tensor:
        """The norms, those outside moved to the nearer end, never below 0."""
        return norms.clamp(self.mean - width * self.spread, self.mean + width * self.spread).clamp(min=0)


@dataclass(frozen=True)
class Step:
    """The regions of one step: of sample, update and predicted clean image."""

    sample: Region
    update: Region
    clean: Region


class Clamping(Sampler):
    """Knows the regions of each step, and the sample before it."""

    mitigation: NormClamp

    def prepare(self, query: Query) -> Query:
        """Watch normal runs."""
        query = self.inner.prepare(query)
        usual = normal(query, self.data.calibration, self.rng)
        self.steps: dict[int, Step] = {}
        before = usual.start(usual.noise)
        for t, x, x0 in sampled(usual, self.rng):
            self.steps[t] = Step(*(_region(_norms(part)) for part in (x, x - before, x0)))
            before = x
        self.before = query.start(query.noise)
        return query

    def after(self, x: Tensor, x0: Tensor, t: int, query: Query) -> Tensor:
        """The sample with every norm inside its region."""
        x, step, width = self.inner.after(x, x0, t, query), self.steps[t], self.mitigation.width
        steady = step.update.holds(_norms(x - self.before), width)
        rescaled = _resized(x0, step.clean.mean.expand(len(x)))
        place = query.times.index(t) + 1
        kept = self.model.schedule.alpha(query.times[place]) if place < len(query.times) else 1.0
        x = x.where(steady[:, None, None, None], x + kept * (rescaled - x0))
        update = x - self.before
        norms = _norms(update)
        clamped = self.before + _resized(update, step.update.nearest(norms, width))
        x = x.where(step.update.holds(norms, width)[:, None, None, None], clamped)
        self.before = x = _resized(x, step.sample.nearest(_norms(x), width))
        return x


def _norms(images: Tensor) -> Tensor:
    """(B,): root mean square of each."""
    norms: Tensor = images.flatten(1).square().mean(dim=1).sqrt()
    return norms


def _resized(images: Tensor, norms: Tensor) -> Tensor:
    """The images with these norms; one whose norm is as it should be stays as it is, bit for bit."""
    now = _norms(images)
    factor = torch.where(now == norms, 1.0, norms / now.clamp(min=1e-12))
    return images * factor[:, None, None, None]


def _region(norms: Tensor) -> Region:
    return Region(norms.mean(), norms.std(unbiased=False))
