"""Ranking: families by what they remember at matched utility.

Matched is a loss of at most 5 % of the baseline's utility. A family that was measured at no such utility has no rank: a
curve drawn to its only setting is no measurement. The gold standard has none either.

    rank      a range: from one more than the families that are clear of it below, to all but those clear of it above
    clear     the 95 % intervals do not overlap, and luck in the losses does not explain it; each pair by itself
    apart     a paired t test over the seeds of both, with Holm's correction for all pairs

Ranks are not corrected for their number, as in public arenas: of many equal families some may come out ahead of another
(design/ranks.md says how often). What is apart stands for all pairs together, and gives the groups.

Where memory falls off a cliff near the matched loss, intervals and t tests take luck in the losses for less memory. So a
pair also needs, and the p-value of a pair is at least, that of a t of 2 c, where c is by how many standard errors the
losses of both families can be moved against the finding before it is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from itertools import combinations

import numpy as np
from scipy import special

from ..schema.numbers import Estimate
from .curves import MATCHED, Curve, frontier
from .paired import FEWEST, LEVEL, Array, groups, holm, jackknife, p_value

AT = np.array([MATCHED])

MOVES = np.geomspace(0.5, 100.0, 40)
"""By how many standard errors the losses of both families are moved; c is the largest that leaves a finding standing."""


@dataclass(frozen=True)
class RankedFamily:
    """One family: M at matched utility, the ranks that it may have, and the groups that it is in.

    `setting` is the one that does best at matched utility, by its mean; empty where none keeps so much.
    """

    family: str
    stage: str
    control: bool
    reference: bool
    matched: Estimate
    setting: str
    first: int
    last: int
    groups: tuple[str, ...]

    @property
    def ranks(self) -> str:
        """`1-4`, or `2` where it differs from all others."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Ranking:
    """The families of one testbed, axis and measure, the least memory first; `pairs` could be tested.

    `apart` differ after correction for all pairs, `clear` each by itself. `unranked` says why a family has no rank.
    """

    axis: str
    measure: str
    families: tuple[RankedFamily, ...]
    pairs: int
    apart: int
    reason: str
    clear: int = 0
    unranked: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, object]:
        """The fields as plain JSON."""
        families = [{**asdict(family), "ranks": family.ranks} for family in self.families]
        return {**asdict(self), "families": families}


def ranking(curves: Sequence[Curve]) -> Ranking | None:
    """The ranking of curves of one testbed, axis and measure; None where none has numbers."""
    unranked = {curve.family: why for curve in curves if curve.points and (why := _no_rank(curve))}
    rankable = [curve for curve in curves if curve.family not in unranked]
    measured = [(curve, matched) for curve in rankable if (matched := curve.at(MATCHED)) is not None]
    ordered = sorted(measured, key=lambda pair: (pair[1].value, pair[0].family))
    if not ordered:
        return None
    apart, pairs = _apart([curve for curve, _ in ordered])
    clear = _clear(ordered)
    letters = [(letter(number), {*members}) for number, members in enumerate(groups(len(ordered), apart))]
    families = tuple(
        RankedFamily(
            curve.family,
            curve.stage,
            curve.control,
            curve.reference,
            matched,
            curve.setting,
            1 + sum(worse == index for _, worse in clear),
            len(ordered) - sum(better == index for better, _ in clear),
            tuple(name for name, members in letters if index in members),
        )
        for index, (curve, matched) in enumerate(ordered)
    )
    first, told = ordered[0][0], _reason(pairs, len(clear), len(apart))
    return Ranking(first.axis, first.measure, families, pairs, len(apart), told, len(clear), unranked)


def _no_rank(curve: Curve) -> str:
    """Why a family with numbers is not ranked; empty where it is."""
    if curve.gold:
        return "the gold standard, which never saw the images"
    return "" if curve.setting else f"no setting of it loses at most {100 * MATCHED:.0f} % of the utility"


def _clear(ordered: Sequence[tuple[Curve, Estimate]]) -> list[tuple[int, int]]:
    """Pairs (less, more memory) whose intervals do not overlap, and that luck in the losses does not explain."""
    pairs = []
    for (a, (less, low)), (b, (more, high)) in combinations(enumerate(ordered), 2):
        seeds = tuple(seed for seed in less.seeds if seed in more.seeds)
        if len(seeds) >= FEWEST and low.limits[1] < high.limits[0]:
            moved = _moved(less, seeds, 1), _moved(more, seeds, -1)
            pairs += [(a, b)] if _p_of_losses(*moved, len(seeds)) <= LEVEL else []
    return pairs


def _apart(curves: Sequence[Curve]) -> tuple[list[tuple[int, int]], int]:
    """Pairs (less, more memory) that differ, and how many pairs could be tested."""
    whole = {curve.family: curve.frontiers(AT, curve.seeds)[:, 0] for curve in curves}
    moved = cache(lambda index, seeds, sign: _moved(curves[index], seeds, sign))
    pairs = list(combinations(range(len(curves)), 2))
    raw: dict[tuple[int, int], float] = {}
    for a, b in pairs:
        difference = _difference(curves[a], curves[b], whole)
        if difference is None or (p := p_value(difference)) is None:
            continue
        less, more = (a, b) if difference.value < 0 else (b, a)
        seeds = tuple(seed for seed in curves[a].seeds if seed in curves[b].seeds)
        by_losses = _p_of_losses(moved(less, seeds, 1), moved(more, seeds, -1), len(seeds)) if p <= LEVEL else 0.0
        raw[less, more] = max(p, by_losses)
    adjusted = zip(raw, holm(list(raw.values())))
    return [pair for pair, p in adjusted if p <= LEVEL], len(raw)


def _moved(curve: Curve, seeds: Sequence[int], sign: int) -> Array:
    """(C,): M at matched utility with the losses of all settings higher (+1) or lower (-1) by MOVES standard errors."""
    columns = [curve.seeds.index(seed) for seed in seeds]
    losses = np.array([point.losses for point in curve.points])[:, columns]
    memories = np.array([point.memories for point in curve.points])[:, columns].mean(axis=1)
    errors = losses.std(axis=1, ddof=1) / np.sqrt(len(columns))  # the baseline loses nothing in any seed
    moved = losses.mean(axis=1) + sign * MOVES[:, None] * errors
    return frontier(moved, np.broadcast_to(memories, moved.shape), AT)[:, 0]


def _p_of_losses(less: Array, more: Array, seeds: int) -> float:
    """Of "only luck in the losses sets them apart": two-sided, by Student's t at 2 c. Both are `_moved`."""
    standing = int(np.cumprod(less < more).sum())
    return float(2 * special.stdtr(seeds - 1, -2 * MOVES[standing - 1])) if standing else 1.0


def _difference(a: Curve, b: Curve, whole: Mapping[str, Array]) -> Estimate | None:
    """M of `a` at matched utility, minus that of `b`, over the seeds of both; `whole` has all seeds of each family."""
    if a.seeds == b.seeds:
        return jackknife(whole[a.family] - whole[b.family])
    seeds = [seed for seed in a.seeds if seed in b.seeds]
    return jackknife((a.frontiers(AT, seeds) - b.frontiers(AT, seeds))[:, 0]) if seeds else None


def _reason(pairs: int, clear: int, apart: int) -> str:
    """How much the tests could separate."""
    if not pairs:
        return f"fewer than {FEWEST} seeds in common: no two families can be told apart"
    return f"the intervals of {clear} of {pairs} pairs of families are apart, of {apart} after correction for all pairs"


def letter(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    tens, ones = divmod(number, 26)
    return (letter(tens - 1) if tens else "") + chr(ord("a") + ones)
