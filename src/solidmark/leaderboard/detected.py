"""What detectors of memorized prompts make of a testbed's unmitigated model, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..schema.numbers import Estimate
from ..schema.record import AreaBlock, DetectorBlock, TestbedRecord
from .aggregate import area


@dataclass(frozen=True)
class Detected:
    """One detector: AUROC of trained against held-out captions, and its denoiser evaluations a prompt; or the `reason`."""

    auroc: Estimate | None
    evaluations: float | None
    reason: str = ""


def detected(records: Sequence[TestbedRecord]) -> Mapping[str, Detected]:
    """Each detector that every seed was asked with, the best first; none where a record is older than they are."""
    seeds = [record.get("detectors") or {} for record in records]
    names = [name for name in seeds[0] if all(name in seed for seed in seeds)]
    found = {name: _over_seeds([seed[name] for seed in seeds]) for name in names}
    return dict(sorted(found.items(), key=lambda pair: -(pair[1].auroc.value if pair[1].auroc else -np.inf)))


def _over_seeds(blocks: Sequence[DetectorBlock]) -> Detected:
    """What a detector found in all seeds, or why it found nothing in one."""
    reason = next((block.get("reason", "") for block in blocks if block["auroc"] is None), "")
    areas: list[AreaBlock] = [{**block["auroc"], "chance": 0.5} for block in blocks if block["auroc"] is not None]
    if len(areas) < len(blocks):
        return Detected(None, None, reason or "no number")
    evaluations = float(np.mean([block.get("evaluations", 0.0) for block in blocks]))
    return Detected(area(areas, [block.get("captions", 0) for block in blocks]), evaluations)
