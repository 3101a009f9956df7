"""Curves: how much a family remembers at how much utility, over its strengths and seeds. Pure and free of torch.

    loss = 1 - accuracy / the baseline's       or       Fréchet distance / the baseline's - 1,  in the same seed
    frontier(l) = the least memorization at a loss of at most l, of any strength or any coin flip between two

The baseline is a strength of every family: not to mitigate. A coin that is flipped once, before a model is handed out,
reaches in expectation whatever lies between two strengths; so a family need not be ordered or monotone in them. Which
strengths make the frontier is decided on means over seeds, and its error is the jackknife's over seeds (see `paired`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidValue
from .aggregate import Number
from .blocks import Worst
from .paired import OverSeeds, jackknifed
from .rows import NO_CLASS, NO_WORST, Attempt, Row

Array = NDArray[np.float64]

DRAWN = np.linspace(0.0, 0.5, 51)
"""Relative losses of utility at which a frontier is told."""

MATCHED = 0.05
"""Utility is matched at a relative loss of at most this, against the baseline."""


@dataclass(frozen=True)
class Axis:
    """A kind of utility: its name in a row, in words, and whether less is better."""

    name: str
    title: str
    falling: bool = False

    def of(self, attempt: Attempt) -> float | None:
        """The utility of one seed."""
        return attempt.frechet if self.falling else attempt.accuracy

    def losses(self, values: Array, baseline: Array) -> Array:
        """Relative losses against the baseline; negative where a row is more useful."""
        return values / baseline - 1 if self.falling else 1 - values / baseline


AXES = (Axis("accuracy", "accuracy"), Axis("frechet", "Fréchet distance", falling=True))


@dataclass(frozen=True)
class Measure:
    """Which memorization stands against utility: of the worst case over queries, or of the leading query.

    `found` is the field of a seed that has it.
    """

    name: str
    title: str
    found: str

    def of(self, attempt: Attempt) -> float | None:
        """The memorization of one seed; one that is shown to lie below 0 by its size, for avoidance gives keys away too."""
        number: Number | None = getattr(attempt, self.found)
        if number is None:
            return None
        return abs(number.value) if number.high < 0 else number.value

    def within(self, stage: str) -> Measure:
        """The same for rows of a stage: what acts at sampling guards a service, so its worst case goes through that.

        What the weights hold behind it is the baseline's by construction.
        """
        return replace(self, found=reach(stage)) if self.name == "worst" else self


def reach(stage: str) -> str:
    """The worst case that rows of a stage are held to: `worst_service` where a part acts at sampling, else `worst`."""
    return "worst_service" if "sampling" in stage.split("+") else "worst"


MEASURES = (Measure("worst", "M*", "worst"), Measure("lead", "M", "memorization"))


@dataclass(frozen=True)
class Point:
    """One strength: `losses` of utility and `memories`, one a seed of the curve."""

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
    """A family on one axis of utility: the baseline first, then its strengths, over `seeds`.

    `reference` tells that it is the reference of its stage; `left_out` are strengths without numbers, with the reason;
    a curve without points has a `reason`.
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

    def frontiers(self, at: Array, seeds: Sequence[int]) -> Array:
        """(1 + S, L): the frontier at L losses over these S seeds, then without each of them; (1, L) for one seed."""
        places = [self.seeds.index(seed) for seed in seeds]
        kept = [places, *(places[:out] + places[out + 1 :] for out in range(len(places)) if len(places) > 1)]
        losses, memories = (np.array([getattr(point, name) for point in self.points]) for name in ("losses", "memories"))
        return np.array([frontier(losses[:, few].mean(axis=1), memories[:, few].mean(axis=1), at) for few in kept])

    def line(self) -> list[tuple[float, OverSeeds]]:
        """(loss, memorization) along the frontier, as far as some strength of the family has lost."""
        if not self.points:
            return []
        reach = max(point.loss for point in self.points)
        at = DRAWN[: max(2, int(np.searchsorted(DRAWN, reach, side="right")))]
        return [(float(loss), jackknifed(v)) for loss, v in zip(at, self.frontiers(at, self.seeds).T, strict=True)]

    def at(self, loss: float) -> OverSeeds | None:
        """The frontier at one loss; None where the family has no numbers."""
        return jackknifed(self.frontiers(np.array([loss]), self.seeds)[:, 0]) if self.points else None

    @property
    def setting(self) -> str:
        """The strength that remembers least among those of matched utility, by their means over seeds; empty if none is."""
        kept = [point for point in self.points[1:] if point.loss <= MATCHED]
        return min(kept, key=lambda point: point.memory).mitigation if kept else ""

    def to_json(self) -> dict[str, Any]:
        """The curve with its line, band and settings, to six digits."""
        line = [{"loss": loss, "value": one.value, "low": one.low, "high": one.high} for loss, one in self.line()[::2]]
        return {**_rounded(asdict(self)), "line": _rounded(line), "setting": self.setting or None}


def _rounded(known: Any) -> Any:
    """The same with six digits behind the point: a board has many curves."""
    if isinstance(known, float):
        return round(known, 6)
    if isinstance(known, dict):
        return {name: _rounded(value) for name, value in known.items()}
    return [_rounded(value) for value in known] if isinstance(known, list | tuple) else known


def frontier(losses: Array, memories: Array, at: Array) -> Array:
    """(L,): the least memorization at a loss of at most `at`, (L,), of K points or of a chord between two of them.

    Raises InvalidValue for what is not finite, and where no point loses so little.
    """
    if not (np.isfinite(losses).all() and np.isfinite(memories).all()):
        raise InvalidValue("curves.frontier", "NaN or infinity", "finite losses and memories", "Mend what measured them.")
    if not (np.min(losses, initial=np.inf) <= at).all():
        cure = "Put the baseline, whose loss is 0, among the points."
        raise InvalidValue("curves.frontier", f"losses {losses}", f"one of at most {at.min():g}", cure)
    order = np.argsort(losses)
    losses, memories = losses[order], memories[order]
    least = np.where(losses <= at[:, None], memories, np.inf).min(axis=1)
    one, other = np.triu_indices(len(losses), 1)
    apart = losses[other] - losses[one] > 1e-9  # nearer ones are one point
    one, other = one[apart], other[apart]
    share = (at[:, None] - losses[one]) / (losses[other] - losses[one])
    chords = np.where((share >= 0) & (share <= 1), memories[one] + share * (memories[other] - memories[one]), np.inf)
    return np.asarray(np.minimum(least, chords.min(axis=1, initial=np.inf)))


def curves(rows: Sequence[Row], axis: Axis, measure: Measure) -> list[Curve]:
    """The curve of each family among the rows of one testbed and protocol."""
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
    if baseline is None or (why := _unusable(baseline, baseline, axis, measure)):
        return replace(empty, reason="the baseline has no numbers" if baseline is None else f"the baseline: {why}")
    reasons = {row.mitigation: _unusable(row, baseline, axis, measure) for row in members}
    usable = [row for row in members if not reasons[row.mitigation]]
    seeds = _paired_seeds(usable, baseline)
    lacking = {
        row.mitigation: "it was not asked with every seed of the others" for row in usable if not seeds <= {*row.seeds}
    }
    left_out = {name: why for name, why in reasons.items() if why} | lacking
    kept = [row for row in usable if row.mitigation not in lacking]
    if not kept or not seeds:
        return replace(empty, left_out=left_out, reason="; ".join(dict.fromkeys(left_out.values())) or "no seed in common")
    order = tuple(sorted(seeds))
    unmitigated = _each_seed(baseline, order, axis)
    points = tuple(
        Point(
            row.mitigation,
            tuple(map(float, axis.losses(_each_seed(row, order, axis), unmitigated))),
            tuple(map(float, _each_seed(row, order, measure))),
        )
        for row in (baseline, *kept)
    )
    return replace(empty, seeds=order, points=points, left_out=left_out)


def _unusable(row: Row, baseline: Row, axis: Axis, measure: Measure) -> str:
    """Why a row is no point of a curve; empty where it is."""
    if not row.ok:
        return row.reason or row.status
    if any(axis.of(attempt) is None for attempt in row.attempts):
        return NO_CLASS
    starred = measure.name == "worst"
    if any(measure.of(attempt) is None for attempt in row.attempts) or (starred and not _asked(row, measure)):
        return NO_WORST
    if starred and _asked(row, measure) != _asked(baseline, measure):
        return "it was asked other queries than the baseline"
    if row is baseline and not all(axis.of(attempt) for attempt in row.attempts):
        return f"its {axis.title} is 0, so that there is no relative loss"
    return ""


def _asked(row: Row, measure: Measure) -> frozenset[str]:
    """The queries that a row's worst case is taken over."""
    worst: Worst | None = getattr(row, measure.found)
    return frozenset(worst.chosen) if worst is not None else frozenset()


def _paired_seeds(rows: Sequence[Row], baseline: Row) -> set[int]:
    """The seeds of the baseline that keep most of a family: seeds times strengths that have all of them."""
    offered = [{*row.seeds} & {*baseline.seeds} for row in rows]
    return max(offered, key=lambda seeds: len(seeds) * sum(seeds <= other for other in offered), default=set())


def _each_seed(row: Row, seeds: Sequence[int], what: Axis | Measure) -> Array:
    known = {attempt.seed: what.of(attempt) for attempt in row.attempts}
    return np.array([known[seed] for seed in seeds], dtype=np.float64)
