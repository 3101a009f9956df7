"""Telling: what methods tell of themselves, such as a claimed ε or a share of weights removed, over the seeds of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..metrics.scores import Share
from . import aggregate
from .aggregate import Block


@dataclass(frozen=True)
class Refused:
    """Queries that the service did not answer: of trained and of held-out images, by the leading query, and fresh ones."""

    trained: Share
    held_out: Share
    fresh: Share


@dataclass(frozen=True)
class Claimed:
    """The privacy that a training claims, for one image's keys replaced: the largest ε of any seed, at the largest δ."""

    epsilon: float
    delta: float


@dataclass(frozen=True)
class Telling:
    """What a row's methods tell: `values` by stage, part and name, numbers averaged over seeds, null where seeds differ.

    `refused` is null where nothing is asked through the service or it refuses nothing, `claimed` where nobody claims.
    """

    values: Mapping[str, float | str | None]
    refused: Refused | None
    claimed: Claimed | None


def telling(blocks: Sequence[Block], leading: str) -> Telling:
    """The telling of a row, from the blocks `told` of every seed and the name of its leading query."""
    flat = [dict(_flat(block)) for block in blocks]
    names = [name for name in flat[0] if all(name in one for one in flat)]
    return Telling(
        {name: _over_seeds([one[name] for one in flat]) for name in names}, _refused(blocks, leading), _claimed(blocks)
    )


def _flat(block: Block) -> list[tuple[str, Any]]:
    return [
        (f"{stage}: {part}: {name}" if len(parts) > 1 else f"{stage}: {name}", value)
        for stage, parts in block.items()
        if stage != "sampling"
        for part, told in parts.items()
        for name, value in told.items()
    ]


def _over_seeds(values: Sequence[Any]) -> float | str | None:
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
        return float(np.mean(values))
    return str(values[0]) if values[0] is not None and len(set(values)) == 1 else None


def _refused(blocks: Sequence[Block], leading: str) -> Refused | None:
    found = [(block.get("sampling") or {}).get("refused") or {"queries": {}} for block in blocks]
    if not all(leading in one["queries"] for one in found):
        return None
    queries = [one["queries"][leading] for one in found]
    trained, held_out = (aggregate.share([query[name] for query in queries]) for name in ("trained", "held_out"))
    refused = Refused(trained, held_out, aggregate.share([one["generated"] for one in found]))
    return refused if refused.trained.count + refused.held_out.count + refused.fresh.count else None


def _claimed(blocks: Sequence[Block]) -> Claimed | None:
    """Of a training one part of which tells `epsilon` and `delta`; none where a seed claims nothing."""
    found = [
        (told["epsilon"], told["delta"])
        for block in blocks
        for told in (block.get("training") or {}).values()
        if told.get("epsilon") is not None and told.get("delta") is not None
    ]
    if not found or len(found) != len(blocks):
        return None
    return Claimed(max(epsilon for epsilon, _ in found), max(delta for _, delta in found))
