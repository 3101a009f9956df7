"""Curves: how much a family remembers at how much utility, over its settings and seeds.

    loss = 1 - accuracy / the baseline's       or       Fréchet distance / the baseline's - 1,  in the same seed
    frontier(l) = the least memorization at a loss of at most l, of any setting or any coin flip between two

The baseline is a setting of every family: not to mitigate. A coin that is flipped once, before a model is handed out,
reaches in expectation whatever lies between two settings; so a family need not be ordered or monotone in them. Means over
seeds decide which settings make the frontier, and its error is the jackknife's over seeds (see `paired`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from ..schema.numbers import Estimate
from ..schema.row import NO_CLASS, Row
from .gold import gold_standard
from .measures import Axis, Measure
from .paired import Array, jackknife

DRAWN = np.linspace(0.0, 0.5, 51)
"""Relative losses of utility at which a frontier is drawn."""

MATCHED = 0.05
"""Utility is matched at a relative loss of at most this, against the baseline."""

ROUNDING = 1e-9
"""Losses that are so near are one."""


@dataclass(frozen=True)
class Point:
    """One setting: `losses` of utility and `memories`, one a seed of the curve."""

    mitigation: str
    losses: tuple[float, ...]
    memories: tuple[float, ...]

    @property
    def loss(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.losses))

    @property
    def memory(self) -> float:
        """Mean over seeds."""
        return float(np.mean(self.memories))


@dataclass(frozen=True)
class Curve:
    """A family on one axis of utility: the baseline first, then its settings, over `seeds`.

    `reference` says that it is the reference of its stage; `left_out` are settings without numbers, with the reason;
    a curve without points has a `reason`. The `gold` standard is neither compared with a reference nor ranked.
    """

    family: str
    stage: str
    control: bool
    reference: bool
    axis: str
    measure: str
    seeds: tuple[int, ...] = ()
    points: tuple[Point, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    gold: bool = False

    def frontiers(self, at: Array, seeds: Sequence[int]) -> Array:
        """(1 + S, L): the frontier at L losses over these S seeds, then without each of them; (1, L) for one seed."""
        indices = [self.seeds.index(seed) for seed in seeds]
        sets = [indices, *(indices[:out] + indices[out + 1 :] for out in range(len(indices)) if len(indices) > 1)]
        losses = np.array([point.losses for point in self.points])
        memories = np.array([point.memories for point in self.points])
        lost, recalled = (np.array([numbers[:, few].mean(axis=1) for few in sets]) for numbers in (losses, memories))
        return frontier(lost, recalled, at)

    def line(self) -> list[tuple[float, Estimate]]:
        """(loss, memorization) along the frontier, as far as some setting of the family has lost."""
        if not self.points:
            return []
        reach = max(point.loss for point in self.points)
        at = DRAWN[: max(2, int(np.searchsorted(DRAWN, reach, side="right")))]
        return [(float(loss), bounded(v)) for loss, v in zip(at, self.frontiers(at, self.seeds).T)]

    def at(self, loss: float) -> Estimate | None:
        """The frontier at one loss; None where the family has no numbers."""
        return bounded(self.frontiers(np.array([loss]), self.seeds)[:, 0]) if self.points else None

    @property
    def setting(self) -> str:
        """The setting that remembers least among those of matched utility, by their means over seeds; empty if none is."""
        useful = [point for point in self.points[1:] if point.loss <= MATCHED + ROUNDING]
        return min(useful, key=lambda point: point.memory).mitigation if useful else ""

    def to_json(self) -> dict[str, object]:
        """The curve with its line, band and settings, to six digits."""
        line = [{"loss": loss, "value": m.value, "low": m.low, "high": m.high} for loss, m in self.line()[::2]]
        fields = {name: _round(value) for name, value in asdict(self).items()}
        return {**fields, "line": _round(line), "setting": self.setting or None}


def bounded(values: Array) -> Estimate:
    """The jackknife of a memorization or of a difference of two: neither it nor its limits are further from 0 than 1."""
    estimate = jackknife(values)
    if estimate.low is None:
        return estimate
    low, high = estimate.limits
    return replace(estimate, low=max(low, min(-1.0, estimate.value)), high=min(high, max(1.0, estimate.value)))


def _round(value: object) -> object:
    """The same with six digits behind the point: a leaderboard has many curves."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, dict):
        return {name: _round(part) for name, part in value.items()}
    return [_round(part) for part in value] if isinstance(value, list | tuple) else value


def frontier(losses: Array, memories: Array, at: Array) -> Array:
    """(..., L): the least memorization at a loss of at most `at`, (L,), of K points or of a chord between two of them.

    `losses` and `memories` are (..., K): a frontier is asked for in every resample, so that many are drawn at once.
    Raises InvalidValue for what is not finite, and where no point loses so little.
    """
    if not (np.isfinite(losses).all() and np.isfinite(memories).all()):
        raise InvalidValue("curves.frontier", "NaN or infinity", "finite losses and memories", "Correct what measured them.")
    if not (np.min(losses, axis=-1, initial=np.inf)[..., None] <= at).all():
        cure = "Put the baseline, whose loss is 0, among the points."
        raise InvalidValue("curves.frontier", f"losses {losses}", f"one of at most {at.min():g}", cure)
    order = np.argsort(losses, axis=-1)
    losses, memories = np.take_along_axis(losses, order, -1), np.take_along_axis(memories, order, -1)
    within = losses[..., None, :] <= at[:, None]
    least = np.where(within, memories[..., None, :], np.inf).min(axis=-1)
    a, b = _pairs(losses.shape[-1])
    gap = losses[..., b] - losses[..., a]
    apart = gap > ROUNDING
    share = (at[:, None] - losses[..., None, a]) / np.where(apart, gap, 1.0)[..., None, :]
    chords = memories[..., None, a] + share * (memories[..., b] - memories[..., a])[..., None, :]
    crossed = apart[..., None, :] & (share >= 0) & (share <= 1)
    return np.asarray(np.minimum(least, np.where(crossed, chords, np.inf).min(axis=-1, initial=np.inf)))


@cache
def _pairs(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Each pair of so many points, by the place of the one and of the other; kept, since all curves ask."""
    first, second = np.triu_indices(count, 1)
    return first, second


def curves(rows: Sequence[Row], axis: Axis, measure: Measure) -> list[Curve]:
    """The curve of each family among the rows of one testbed and solver."""
    baseline = next((row for row in rows if row.baseline), None)
    families: dict[str, list[Row]] = {}
    for row in rows:
        if not row.baseline:
            families.setdefault(row.family, []).append(row)
    return [_curve(members, baseline, axis, measure) for members in families.values()]


def _curve(members: Sequence[Row], baseline: Row | None, axis: Axis, measure: Measure) -> Curve:
    first = members[0]
    measure = measure.within(first.stage)
    empty = Curve(first.family, first.stage, first.control, first.reference_curve, axis.name, measure.name)
    empty = replace(empty, gold=gold_standard(first))
    if baseline is None:
        return replace(empty, reason="the baseline has no numbers")
    if why := _unusable(baseline, baseline, axis, measure):
        return replace(empty, reason=f"the baseline: {why}")
    complete, seeds, left_out = _complete(members, baseline, axis, measure)
    if not seeds:
        return replace(empty, left_out=left_out, reason="; ".join(dict.fromkeys(left_out.values())) or "no seed in common")
    utility = axis.over(baseline, seeds)
    points = tuple(_point(row, seeds, utility, axis, measure) for row in (baseline, *complete))
    return replace(empty, seeds=seeds, points=points, left_out=left_out)


def _complete(
    members: Sequence[Row], baseline: Row, axis: Axis, measure: Measure
) -> tuple[list[Row], tuple[int, ...], dict[str, str]]:
    """The rows that are points of their family's curve, its seeds, and why each other row is none."""
    reasons = {row.mitigation: _unusable(row, baseline, axis, measure) for row in members}
    usable = [row for row in members if not reasons[row.mitigation]]
    seeds = _paired_seeds(usable, baseline)
    lacking = [row.mitigation for row in usable if not seeds <= {*row.seeds}]
    left_out = {name: why for name, why in reasons.items() if why}
    left_out |= dict.fromkeys(lacking, "it was not measured with every seed of the others")
    return [row for row in usable if row.mitigation not in lacking], tuple(sorted(seeds)), left_out


def _point(row: Row, seeds: Sequence[int], utility: Array, axis: Axis, measure: Measure) -> Point:
    """A row as a point; `utility` is the baseline's of each seed."""
    losses = axis.losses(axis.over(row, seeds), utility)
    return Point(row.mitigation, tuple(map(float, losses)), tuple(map(float, measure.over(row, seeds))))


def _unusable(row: Row, baseline: Row, axis: Axis, measure: Measure) -> str:
    """Why a row is no point of a curve; empty where it is."""
    if not row.ok:
        return row.reason or row.status
    if any(axis.of(attempt) is None for attempt in row.attempts):
        return NO_CLASS
    if why := measure.lacking(row, baseline):
        return why
    if row is baseline and not all(axis.of(attempt) for attempt in row.attempts):
        return f"its {axis.title} is 0, so that there is no relative loss"
    return ""


def _paired_seeds(rows: Sequence[Row], baseline: Row) -> set[int]:
    """The seeds of the baseline that keep most of a family: seeds times settings that have all of them."""
    offered = [{*row.seeds} & {*baseline.seeds} for row in rows]
    return max(offered, key=lambda seeds: len(seeds) * sum(seeds <= more for more in offered), default=set())
