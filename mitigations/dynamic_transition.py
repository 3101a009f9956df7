"""Delayed guidance with a dynamic transition point."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import SamplingBatch

from ._origins import STABLE_DIFFUSION

if TYPE_CHECKING:
    from solidmark.api import Scale


@dataclass(frozen=True)
class DynamicTransition(Mitigation):
    """`before` times the usual guidance scale until ‖eps_c - eps_u‖ has passed a local minimum, the usual scale afterwards.

    With d_k the norm at step k, the transition is the first k with d_{k-1} < d_{k-2} and d_{k-1} < d_k, for each query by
    itself. It comes at the latest after the share `latest` of the steps. Published: before 0, and no latest point. Code
    and paper differ: the published script, which does not run as it is, has the plain conditional scale 1 before the
    transition (a third of the usual 3 here, `before=0.333`). Cost: none. Both branches are needed at every step anyway.

    In Stable Diffusion the norm of a memorized prompt starts high and drops at the transition. On the digits testbed it
    starts low and rises to the end, for trained and fresh captions alike. So without a latest point most queries are
    never guided. The weaker settings have a latest point.
    """

    latest: float = 1.0
    before: float = 0.0

    needs = Needs.CAPTIONS
    reference = "Classifier-Free Guidance inside the Attraction Basin May Cause Memorization, arXiv 2411.16738"
    stream = "solidmark.mitigations.dynamic_transition.DynamicTransition"
    form_of = "delayed-guidance"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Copy-detection similarity falls from 0.798 to 0.589 where training images are duplicated.",
            below=0.8,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.latest <= 1, "latest", "a number in [0, 1]")
        self.expect(abs(self.before) < float("inf"), "before", "a finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that follows the norm over the steps."""
        return TransitionSampler(self, inner)

    def settings(self) -> "Sequence[DynamicTransition]":
        """The sweep, weakest first: later and later latest points, and none."""
        return [DynamicTransition(latest) for latest in (0.35, 0.5, 0.65, 0.8, 1.0)]


class TransitionSampler(Sampler):
    """Has the norms of the steps so far, and which queries have passed their transition."""

    mitigation: DynamicTransition

    def __init__(self, mitigation: DynamicTransition, inner: Sampler) -> None:
        super().__init__(mitigation, inner)
        self.norms: list[Tensor] = []
        self.past: Tensor | None = None

    def scale(self, unconditional: Tensor, conditional: Tensor, t: int, batch: SamplingBatch) -> "Scale":
        """The usual scale for queries past their transition, `before` times it for the others, (B,)."""
        usual = torch.as_tensor(self.inner.scale(unconditional, conditional, t, batch), device=conditional.device)
        self.norms.append((conditional - unconditional).flatten(1).norm(dim=1))
        past = torch.full_like(self.norms[-1], batch.step_fraction(t) >= self.mitigation.latest, dtype=torch.bool)
        if len(self.norms) >= 3:
            earlier, last, now = self.norms[-3:]
            past |= (last < earlier) & (last < now)
        self.past = past if self.past is None else self.past | past
        self.data.dose("guided_steps", self.past)
        return usual.where(self.past, self.mitigation.before * usual)
