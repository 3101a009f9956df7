"""Danger zone: train less at medium noise, where memorization is said to arise."""

from dataclasses import dataclass

from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.api import Batch


@dataclass(frozen=True)
class DangerZone(Mitigation):
    """Multiply the loss by 1 - `relief` where t is between `low` and `high`, as shares of the schedule.

    At a relief of 1 these samples are left out. Published: in the zone noised training images still cover the space (at
    small noise they do not), and each of them still points to one image (at large noise it does not). The zone is
    under-trained. Here its ends are parameters and are not derived from the data: the paper could not be read in whole, and
    there is no code. On digits a noised training image points to one image, by a mean largest posterior weight of 0.8, up to
    0.68 of the schedule (`design/faithful.md`), which the upper end fits; what counts as covered, the lower end, we could
    not read, and 0.3 may well be too low. In latent space the schedule is Stable Diffusion's, so that the same shares are
    other noise levels. The share of accesses inside is told as `in_zone`. Cost: none.
    """

    relief: float = 0.9
    low: float = 0.3
    high: float = 0.7

    fidelity = "unverified"
    reference = (
        "Two Calm Ends and the Wild Middle: A Geometric Picture of Memorization in Diffusion Models, arXiv 2602.17846"
    )
    stream = "solidmark.mitigations.danger_zone.DangerZone"
    claims = (Claim("Memorization is most pronounced at medium noise; training less there mitigates it.", below=0.9),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.relief <= 1, "relief", "a number in [0, 1]")
        self.expect(0 <= self.low <= 1, "low", "a number in [0, 1]")
        self.expect(self.low < self.high <= 1, "high", "a number above low and up to 1")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that weights losses."""
        return WeightedTrainer(self, inner)

    def settings(self) -> "list[DangerZone]":
        """The sweep, weakest first: less and less weight, in the end none in most of the schedule."""
        return [DangerZone(0.5), DangerZone(0.9), DangerZone(1.0), DangerZone(1.0, low=0.1, high=0.9)]


class WeightedTrainer(Trainer):
    """Gives the losses of the zone a smaller weight."""

    mitigation: DangerZone

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The inner losses, with a smaller weight inside the zone."""
        share = t / self.model.schedule.steps
        inside = (share >= self.mitigation.low) & (share < self.mitigation.high)
        self.data.dose("in_zone", inside)
        return self.inner.losses(batch, t) * (1 - self.mitigation.relief * inside)
