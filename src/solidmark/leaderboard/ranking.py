"""Ranking: families by what they remember at matched utility, in groups that do not differ.

Matched is a loss of at most 5 % of the baseline's utility. Every two families are compared by a paired t test over the
seeds of both, with Holm's correction for all pairs. A rank is a range: from one more than the families that are shown to
remember less, to all but those that are shown to remember more.

Where memory falls off a cliff near the matched loss, the t test takes luck in the losses for less memory. So the p-value
of a pair is the larger of two: that of the t test, and that of a t of 2 c, where c is by how many standard errors the
losses of both families can be moved against the finding before it is gone (design/ranks.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
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
    """All families of one testbed, axis and measure, the least memory first; `pairs` could be tested, `apart` differ."""

    axis: str
    measure: str
    families: tuple[RankedFamily, ...]
    pairs: int
    apart: int
    reason: str

    def to_json(self) -> dict[str, object]:
        """The fields as plain JSON."""
        families = [{**asdict(family), "ranks": family.ranks} for family in self.families]
        return {**asdict(self), "families": families}


def ranking(curves: Sequence[Curve]) -> Ranking | None:
    """The ranking of curves of one testbed, axis and measure; None where none has numbers."""
    measured = [(curve, matched) for curve in curves if (matched := curve.at(MATCHED)) is not None]
    ordered = sorted(measured, key=lambda pair: (pair[1].value, pair[0].family))
    if not ordered:
        return None
    apart, pairs = _apart([curve for curve, _ in ordered])
    letters = [(letter(number), {*members}) for number, members in enumerate(groups(len(ordered), apart))]
    families = tuple(
        RankedFamily(
            curve.family,
            curve.stage,
            curve.control,
            curve.reference,
            matched,
            curve.setting,
            1 + sum(worse == index for _, worse in apart),
            len(ordered) - sum(better == index for better, _ in apart),
            tuple(name for name, members in letters if index in members),
        )
        for index, (curve, matched) in enumerate(ordered)
    )
    first = ordered[0][0]
    return Ranking(first.axis, first.measure, families, pairs, len(apart), _reason(pairs, len(apart)))


def _apart(curves: Sequence[Curve]) -> tuple[list[tuple[int, int]], int]:
    """Pairs (less, more memory) that differ, and how many pairs could be tested."""
    whole = {curve.family: curve.frontiers(AT, curve.seeds)[:, 0] for curve in curves}
    moved = cache(lambda index, seeds, sign: _moved(curves[index], seeds, sign))
    pairs = list(combinations(range(len(curves)), 2))
    raw: dict[tuple[int, int], float] = {}
    for a, b in pairs:
        difference = _difference(curves[a], curves[b], whole)
        p = p_value(difference) if difference is not None else None
        if difference is None or p is None:
            continue
        less, more = (a, b) if difference.value < 0 else (b, a)
        seeds = tuple(seed for seed in curves[a].seeds if seed in curves[b].seeds)
        by_losses = _p_of_losses(moved(less, seeds, 1), moved(more, seeds, -1), len(seeds)) if p <= LEVEL else 0.0
        raw[less, more] = max(p, by_losses)
    adjusted = zip(raw, holm(list(raw.values())), strict=True)
    return [pair for pair, p in adjusted if p <= LEVEL], len(raw)


def _moved(curve: Curve, seeds: Sequence[int], sign: int) -> Array:
    """(C,): M at matched utility with the losses of all settings higher (+1) or lower (-1) by MOVES standard errors."""
    columns = [curve.seeds.index(seed) for seed in seeds]
    losses = np.array([point.losses for point in curve.points])[:, columns]
    memories = np.array([point.memories for point in curve.points])[:, columns].mean(axis=1)
    errors = losses.std(axis=1, ddof=1) / np.sqrt(len(columns))  # the baseline loses nothing in any seed
    return np.array([frontier(losses.mean(axis=1) + sign * move * errors, memories, AT)[0] for move in MOVES])


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


def _reason(pairs: int, apart: int) -> str:
    """How much the tests could separate."""
    if not pairs:
        return f"fewer than {FEWEST} seeds in common: no two families can be told apart"
    return f"{apart} of {pairs} pairs of families differ significantly"


def letter(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    tens, ones = divmod(number, 26)
    return (letter(tens - 1) if tens else "") + chr(ord("a") + ones)
