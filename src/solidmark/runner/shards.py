"""Shards: a run cut into N parts for as many machines, which `solidmark report` puts together again.

Cases that share a trained model are in one shard, so that no two machines train it: all rows that act on the unmitigated
model of a testbed and seed, all rows of one training. Where a testbed trains a base first, its whole seed stays together.
The longest group goes to the shard with the least work so far (Graham, Bounds on multiprocessing timing anomalies, 1969: at
most 4/3 of the best). Each machine works this out by itself from the plan alone, so that nothing on it may depend on what a
machine has measured before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..errors import InvalidValue
from ..mitigation import Stage

if TYPE_CHECKING:
    from .plan import Planned


@dataclass(frozen=True)
class Shard:
    """Part `number`, from 1, of `of`."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """`2/8`. Raises InvalidValue."""
        found = re.fullmatch(r"(\d+)/(\d+)", text)
        number, of = (int(part) for part in found.groups()) if found else (0, 0)
        if not 1 <= number <= of:
            cure = "Write such a part; an array that counts from 0 adds 1."
            raise InvalidValue("--shard", repr(text), "I/N with I from 1 to N, such as 2/8", cure)
        return cls(number, of)

    def takes(self, groups: Sequence[Hashable], weights: Sequence[float]) -> list[bool]:
        """Whether each case is in this shard; cases of one group stay together."""
        totals: dict[Hashable, float] = {}
        for group, weight in zip(groups, weights, strict=True):
            totals[group] = totals.get(group, 0.0) + weight
        mine = parts(totals, self.of)
        return [mine[group] == self.number for group in groups]


def parts(totals: Mapping[Hashable, float], count: int) -> dict[Hashable, int]:
    """The shard, from 1, of each group: the heaviest first, ties by name, to the shard with the least."""
    loads = [0.0] * count
    placed: dict[Hashable, int] = {}
    for group in sorted(totals, key=lambda name: (-totals[name], str(name))):
        least = loads.index(min(loads))
        loads[least] += totals[group]
        placed[group] = least + 1
    return placed


def trained_with(planned: Planned) -> str:
    """What the model of a case is trained by: equal for all cases that share it."""
    if planned.case is None:
        return f"{planned.testbed}, {planned.family}"
    case = planned.case
    ground = f"{planned.testbed}, seed {case.seed}"
    if planned.event == "testbed":
        return f"{ground}, unmarked"
    parts = [] if case.testbed.base is not None else case.composition.at(Stage.TRAINING).described()
    return f"{ground}, {json.dumps(parts, sort_keys=True)}"
