"""Danger zone: train less at the medium noise at which memorization is said to arise."""

from dataclasses import dataclass

from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.models import Batch


@dataclass(frozen=True)
class DangerZone(Mitigation):
    """Multiply the loss by 1 - `relief` where t is between `low` and `high`, as shares of the schedule.

    At a relief of 1 these samples are left out. Published: the zone lies where noised training images still cover the
    space (small noise does not) and each of them still points to one image (large noise does not), and is
    under-trained; here its ends are parameters and not derived from the data, hence fidelity C. It costs nothing.
    """

    relief: float = 0.9
    low: float = 0.3
    high: float = 0.7

    fidelity = "C"
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
        """A link that weighs losses."""
        return Relieved(self, inner)

    def strengths(self) -> "list[DangerZone]":
        """Less and less, at last nothing in most of the schedule."""
        return [DangerZone(0.5), DangerZone(0.9), DangerZone(1.0), DangerZone(1.0, low=0.1, high=0.9)]


class Relieved(Trainer):
    """Weighs the losses of the zone."""

    mitigation: DangerZone

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The inner losses, those inside the zone less."""
        share = t / self.model.schedule.steps
        inside = (share >= self.mitigation.low) & (share < self.mitigation.high)
        return self.inner.losses(batch, t) * (1 - self.mitigation.relief * inside)
