"""Reported: what methods report of themselves, such as a claimed ε or a share of removed weights, over a row's seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ..schema.record import Plain, RefusedBlock, ReportedBlock, Reports
from ..schema.row import Claimed, Refused, Reported
from . import aggregate


def summarize_reports(blocks: Sequence[ReportedBlock], leading: str) -> Reported:
    """What a row's methods report, from the blocks of every seed and the name of its leading query."""
    seeds = [dict(_named(block, leading)) for block in blocks]
    names = [name for name in seeds[0] if all(name in seed for seed in seeds)]
    values = {name: _over_seeds([seed[name] for seed in seeds]) for name in names}
    refusals = aggregate.of_all(lambda each: _refused(each, leading), (_refusals(block) for block in blocks))
    return Reported(values, refusals, aggregate.of_all(_claimed, map(_claim, blocks)))


def _stages(block: ReportedBlock, leading: str = "") -> Mapping[str, Reports]:
    """What parts report, by stage; of the sampling stage the doses of the leading query."""
    sampled = ((block.get("sampling") or {}).get("doses") or {}).get(leading) or {}
    return {"training": block.get("training") or {}, "editing": block.get("editing") or {}, "sampling": sampled}


def _named(block: ReportedBlock, leading: str) -> Iterator[tuple[str, Plain]]:
    """Name and value of each number; parts are named where a stage has several."""
    for stage, parts in _stages(block, leading).items():
        for part, values in parts.items():
            for name, value in values.items():
                yield (f"{stage}: {part}: {name}" if len(parts) > 1 else f"{stage}: {name}"), value


def _over_seeds(values: Sequence[Plain]) -> float | str | None:
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        return float(np.mean(numbers))
    return str(values[0]) if values[0] is not None and len(set(values)) == 1 else None


def _refusals(block: ReportedBlock) -> RefusedBlock | None:
    return (block.get("sampling") or {}).get("refused")


def _refused(blocks: Sequence[RefusedBlock], leading: str) -> Refused | None:
    """Null where a seed's leading query has no refusals, and where nothing at all was refused."""
    if not all(leading in block["queries"] for block in blocks):
        return None
    queries = [block["queries"][leading] for block in blocks]
    refused = Refused(
        trained=aggregate.share([query["trained"] for query in queries]),
        held_out=aggregate.share([query["held_out"] for query in queries]),
        fresh=aggregate.share([block["generated"] for block in blocks]),
    )
    return refused if refused.trained.count + refused.held_out.count + refused.fresh.count else None


def _claim(block: ReportedBlock) -> tuple[float, float] | None:
    """ε and δ of the one part of a training that reports `epsilon` and `delta`; None where no part or several do."""
    pairs = [(values.get("epsilon"), values.get("delta")) for values in _stages(block)["training"].values()]
    claims = [(float(epsilon), float(delta)) for epsilon, delta in pairs if epsilon is not None and delta is not None]
    return claims[0] if len(claims) == 1 else None


def _claimed(claims: Sequence[tuple[float, float]]) -> Claimed:
    return Claimed(max(epsilon for epsilon, _ in claims), max(delta for _, delta in claims))
