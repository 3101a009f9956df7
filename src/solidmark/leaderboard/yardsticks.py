"""Yardsticks: the verdict of a family by keys and by content together. The worse of both counts.

    verdict   the worse of the two, in the order worse, undecided, equal, real
    real      needs besides one choice of settings that is below the reference in both:
              together = mean over losses of  max over coins of settings of  min(gap in keys, gap in content)

`real` is an intersection-union test: each part is tested at its own level, and no further correction is needed (Berger,
Multiparameter hypothesis testing and acceptance sampling, 1982). `worse` needs one part alone: half of each two-sided level
lies on that side, which makes one level for the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..schema.numbers import Estimate
from .curves import Curve, bounded
from .excess import RANGE, WIDEST, CurveVerdict, Excess, judged
from .joint_curve import SHARES, weighted

TOGETHER = "together"
"""The measure of an excess in both yardsticks by one choice of settings."""

ORDER = (CurveVerdict.WORSE, CurveVerdict.UNDECIDED, CurveVerdict.EQUAL, CurveVerdict.REAL)

KEYS_ONLY = "keys only: its content was not measured"


@dataclass(frozen=True)
class JointVerdict:
    """A family against one reference by both yardsticks; `content` and `together` are null where keys alone are known.

    `worse` names the yardstick that decides: `keys`, `content`, or both where they say the same.
    """

    keys: Excess
    content: Excess | None
    together: Excess | None
    verdict: CurveVerdict
    worse: str
    reason: str

    @property
    def keys_only(self) -> bool:
        """Whether content has no say."""
        return self.content is None

    def to_json(self) -> dict[str, object]:
        """What is not among the excesses already, as plain JSON; null with a reason where content was not measured."""
        names = ("family", "stage", "reference", "axis")
        together = self.together.estimate if self.together is not None else None
        return {
            **{name: getattr(self.keys, name) for name in names},
            "verdict": self.verdict.value,
            "keys": self.keys.verdict.value,
            "content": self.content.verdict.value if self.content is not None else None,
            "together": asdict(together) if together is not None else None,
            "worse": self.worse,
            "reason": self.reason,
            "reasons": {"content": KEYS_ONLY, "together": KEYS_ONLY} if self.content is None else {},
        }


def joint_verdicts(
    keys: Sequence[Excess], content: Sequence[Excess], together: Sequence[Excess], measured: Sequence[str]
) -> list[JointVerdict]:
    """Each family against each of its references by both; `measured` are the families whose content is known."""
    contents = {_pair(excess): excess for excess in content if excess.family in measured}
    togethers = {_pair(excess): excess for excess in together}
    return [_joint(excess, contents.get(_pair(excess)), togethers.get(_pair(excess))) for excess in keys]


def _pair(excess: Excess) -> tuple[str, str | None]:
    return excess.family, excess.reference


def _joint(keys: Excess, content: Excess | None, together: Excess | None) -> JointVerdict:
    if content is None:
        return JointVerdict(keys, None, None, keys.verdict, "keys", keys.reason)
    by_keys, by_content = ORDER.index(keys.verdict), ORDER.index(content.verdict)
    if by_keys == by_content == ORDER.index(CurveVerdict.REAL):
        return _real_in_both(keys, content, together)
    worse = "both" if by_keys == by_content else "keys" if by_keys < by_content else "content"
    parts = [("keys", keys), ("content", content)]
    each = "; ".join(f"by {name} {excess.verdict.value}: {excess.reason}" for name, excess in parts)
    reason = keys.reason if (keys.verdict, keys.reason) == (content.verdict, content.reason) else each
    return JointVerdict(keys, content, together, ORDER[min(by_keys, by_content)], worse, reason)


def _real_in_both(keys: Excess, content: Excess, together: Excess | None) -> JointVerdict:
    """Real where the same settings are below in both, which two frontiers do not say."""
    if together is not None and together.verdict is CurveVerdict.REAL:
        return JointVerdict(keys, content, together, CurveVerdict.REAL, "both", "below its reference in both")
    reason = "below its reference in each, but not shown for the same settings in both"
    return JointVerdict(keys, content, together, CurveVerdict.UNDECIDED, "both", reason)


def together(keys: Sequence[Curve], content: Sequence[Curve], pairs: Sequence[Excess]) -> list[Excess]:
    """How far each family is below its reference in both by one choice of settings; `pairs` are their excesses in keys."""
    by_keys, by_content = (_by_family(curves) for curves in (keys, content))
    unjudged = []
    for pair in pairs:
        four = [curves.get(name) for name in (pair.family, pair.reference) for curves in (by_keys, by_content)]
        known = [curve for curve in four if curve is not None and curve.points]
        estimate = _below_in_both(*known) if len(known) == len(four) else None
        seeds = _common(known) if estimate is not None else ()
        reason = "" if estimate is not None else "it and its reference are not both read by both yardsticks"
        identity = (pair.family, pair.stage, pair.reference, pair.axis, TOGETHER)
        unjudged.append(Excess(*identity, seeds, estimate, None, 0, CurveVerdict.UNDECIDED, reason))
    return judged(unjudged)


def _by_family(curves: Sequence[Curve]) -> dict[str | None, Curve]:
    return {curve.family: curve for curve in curves}


def _below_in_both(keys: Curve, content: Curve, reference_keys: Curve, reference_content: Curve) -> Estimate | None:
    """The excess in the worse of both, by one coin over the settings that have both; None without a common seed.

    As in `joint_curve`, the best coin is found by the weights of keys that leave it the least.
    """
    seeds = _common([keys, content, reference_keys, reference_content])
    if not seeds:
        return None
    bar_keys, bar_content = (curve.frontiers(RANGE, seeds) for curve in (reference_keys, reference_content))
    gaps = [
        share * bar_keys + (1 - share) * bar_content - weighted(keys, content, share, seeds).frontiers(RANGE, seeds)
        for share in SHARES
    ]
    return bounded(np.asarray(np.trapezoid(np.min(gaps, axis=0), RANGE)) / WIDEST)


def _common(curves: Sequence[Curve]) -> tuple[int, ...]:
    return tuple(seed for seed in curves[0].seeds if all(seed in curve.seeds for curve in curves))
