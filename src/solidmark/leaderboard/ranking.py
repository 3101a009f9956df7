"""Ranking: families by what they remember at matched utility, in groups that cannot be told apart. Pure, no torch.

Matched is a relative loss of utility of at most 5 % against the baseline. Every two families are compared by a paired
t test over the seeds of both, with Holm's correction for all pairs; a rank is a range, from one more than the families
that are shown to remember less, to all but those that are shown to remember more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from .curves import MATCHED, Curve
from .paired import FEWEST, LEVEL, Array, OverSeeds, groups, holm, jackknifed

AT = np.array([MATCHED])


@dataclass(frozen=True)
class Place:
    """One family: M at matched utility, the ranks that it may have, and the groups that it is in.

    `setting` is the strength that does best at matched utility, by its mean; empty where none keeps so much.
    """

    family: str
    stage: str
    control: bool
    reference: bool
    matched: OverSeeds
    setting: str
    first: int
    last: int
    groups: tuple[str, ...]

    @property
    def ranks(self) -> str:
        """`1-4`, or `2` where it is told apart from all others."""
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True)
class Ranking:
    """All families of one testbed, axis and measure, the least memory first; `pairs` could be tested, `apart` differ."""

    axis: str
    measure: str
    places: tuple[Place, ...]
    pairs: int
    apart: int
    reason: str

    def to_json(self) -> dict[str, Any]:
        """The fields as plain JSON."""
        places = [{**asdict(place), "ranks": place.ranks} for place in self.places]
        return {**asdict(self), "places": places}


def ranking(curves: Sequence[Curve]) -> Ranking | None:
    """The ranking of curves of one testbed, axis and measure; None where none has numbers."""
    found = [(curve, matched) for curve in curves if (matched := curve.at(MATCHED)) is not None]
    known = sorted(found, key=lambda pair: (pair[1].value, pair[0].family))
    if not known:
        return None
    ordered = [curve for curve, _ in known]
    apart, pairs = _apart(ordered)
    letters = [(letter(number), {*members}) for number, members in enumerate(groups(len(known), apart))]
    places = tuple(
        Place(
            curve.family,
            curve.stage,
            curve.control,
            curve.reference,
            matched,
            curve.setting,
            1 + sum(worse == place for _, worse in apart),
            len(known) - sum(better == place for better, _ in apart),
            tuple(name for name, members in letters if place in members),
        )
        for place, (curve, matched) in enumerate(known)
    )
    return Ranking(ordered[0].axis, ordered[0].measure, places, pairs, len(apart), _told(pairs, len(apart)))


def _apart(curves: Sequence[Curve]) -> tuple[list[tuple[int, int]], int]:
    """Pairs (less, more memory) that are told apart, and how many pairs could be tested."""
    whole = {curve.family: curve.frontiers(AT, curve.seeds)[:, 0] for curve in curves}
    pairs = combinations(range(len(curves)), 2)
    differences = {(one, other): _difference(curves[one], curves[other], whole) for one, other in pairs}
    tested = {pair: (d, d.p) for pair, d in differences.items() if d is not None and d.p is not None}
    adjusted = holm([p for _, p in tested.values() if p is not None])
    found = [(pair, d.value) for (pair, (d, _)), p in zip(tested.items(), adjusted, strict=True) if p <= LEVEL]
    return [pair if value < 0 else pair[::-1] for pair, value in found], len(tested)


def _difference(one: Curve, other: Curve, whole: Mapping[str, Array]) -> OverSeeds | None:
    """M of one at matched utility, minus that of the other, over the seeds of both; `whole` has all of each family."""
    if one.seeds == other.seeds:
        return jackknifed(whole[one.family] - whole[other.family])
    seeds = [seed for seed in one.seeds if seed in other.seeds]
    return jackknifed((one.frontiers(AT, seeds) - other.frontiers(AT, seeds))[:, 0]) if seeds else None


def _told(pairs: int, apart: int) -> str:
    if not pairs:
        return f"fewer than {FEWEST} seeds in common: no two families can be told apart"
    return f"{apart} of {pairs} pairs of families are told apart"


def letter(number: int) -> str:
    """a, b, …, z, aa, ab, …"""
    tens, ones = divmod(number, 26)
    return (letter(tens - 1) if tens else "") + chr(ord("a") + ones)
