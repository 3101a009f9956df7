"""Timings: what cases took on this machine, kept beside its store, and what a plan will take by them.

    <store>/timings.json    {testbed: {"families": {family: seconds}, "training": {family: seconds}, "peak_bytes"}}

A family's seconds are the mean of its cases in the last run that measured it, without its training, whose seconds stand by
themselves. What a plan takes is the sum over its cases, as one worker would take it with an empty store. A family that was
never measured counts as the mean of the others of its testbed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ..errors import SolidmarkError
from ..records import write_text
from ..schema.record import CaseRecord, Record
from ..store import Store

if TYPE_CHECKING:
    from .plan import Planned

FILE = "timings.json"


@dataclass
class Timings:
    """What is known of one testbed: seconds by family, those of its training apart, and bytes of memory."""

    families: dict[str, float] = field(default_factory=dict)
    training: dict[str, float] = field(default_factory=dict)
    peak_bytes: float = 0.0

    def seconds(self, family: str, *, trains: bool) -> float:
        """Of a case with an empty store; 0 where nothing is known."""
        return _known(self.families, family) + (_known(self.training, family) if trains else 0.0)


def _known(values: Mapping[str, float], name: str) -> float:
    return values.get(name, fmean(values.values()) if values else 0.0)


def read(root: Path) -> dict[str, Timings]:
    """What is known, by testbed; nothing where the file is missing or damaged."""
    try:
        stored = json.loads((root / FILE).read_text(encoding="utf-8"))
        names = [one.name for one in fields(Timings)]  # older files have more
        return {testbed: Timings(**{name: values[name] for name in names}) for testbed, values in stored.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def learn(store: Store, records: Sequence[Record], durations: Mapping[str, float]) -> None:
    """Note what the cases of a run took, `durations` in seconds by slug.

    A case that found its model in the store is no shorter for the training that it did not do.
    """
    known = read(store.root)
    cases = [record for record in records if record["event"] == "case" and record["slug"] in durations]
    for testbed, mine in _grouped(cases, "testbed").items():
        timings = known.setdefault(testbed, Timings())
        for family, group in _grouped(mine, "family").items():
            spent = [_spent(record, durations[record["slug"]]) for record in group]
            timings.families[family] = fmean(rest for _, rest in spent)
            if any(training for training, _ in spent):
                timings.training[family] = fmean(training for training, _ in spent)
        timings.peak_bytes = max([timings.peak_bytes, *(float(_peak(record)) for record in mine)])
    if cases:
        with suppress(SolidmarkError):  # it is for the next plan only
            write_text(
                store.root / FILE, json.dumps({name: vars(one) for name, one in known.items()}, indent=1, sort_keys=True)
            )


def _grouped(records: Sequence[CaseRecord], name: str) -> dict[str, list[CaseRecord]]:
    groups: dict[str, list[CaseRecord]] = {}
    for record in records:
        groups.setdefault(str(record.get(name)), []).append(record)
    return groups


def _spent(record: CaseRecord, duration: float) -> tuple[float, float]:
    """Seconds of the training that is the case's own, and of all else; a training that took longer was done before."""
    cost: Any = record.get("cost")
    own = bool(cost) and (record["family"] == "none" or "training" in (record.get("stage") or "").split("+"))
    training = float(cost["training"]["seconds"]) if own else 0.0
    return training, duration - training if duration > training else duration


def _peak(record: CaseRecord) -> float:
    return (record.get("provenance") or {}).get("peak_bytes") or 0


def foretell(planned: Sequence[Planned], root: Path, stored: Callable[[Sequence[Planned]], int]) -> list[str]:
    """A line a testbed: hours of one worker, disk and memory; before a first run nothing but disk, which `stored` tells.

    Each case is compared with the baseline, which is trained where the plan does not have its row.
    """
    known, lines = read(root), []
    for testbed in dict.fromkeys(one.testbed for one in planned):
        mine = [one for one in planned if one.testbed == testbed]
        timings = known.get(testbed)
        if timings is None:
            disk = f"about {_bytes(stored(mine))} of trained models in the store, estimated from their weights"
            lines.append(f"{testbed}: {disk}; no case was timed here yet: a first run tells the next plan what it takes")
            continue
        seeds = {one.case.seed for one in mine if one.case} - {one.case.seed for one in mine if one.case and one.leads}
        besides = len(seeds) * _known(timings.training, "none")
        seconds = sum(timings.seconds(one.family, trains=one.weight > 1) for one in mine) + besides
        saved = sum(_known(timings.training, one.family) for one in mine if one.weight > 1) + besides
        disk = f", {_bytes(stored(mine))} of trained models"
        memory = f", up to {_bytes(timings.peak_bytes)} of memory a worker" if timings.peak_bytes else ""
        work = f"about {_time(seconds)} of one worker with an empty store, {_time(saved)} of it trainings"
        lines.append(f"{testbed}: {work}{disk}{memory}")
    return lines


def _time(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bytes(count: float) -> str:
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
