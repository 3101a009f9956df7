"""The pipeline of a case: what answered in the place of the suite's own sampler, and the stock pipeline beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..metrics import scores, scoring
from ..metrics.scores import Array
from ..mitigation import Stage
from ..mitigation.composition import Composition
from ..mitigation.foreign import StockPipeline, answering_part, stock_twin
from ..models import Model
from ..sampling import Service
from ..schema.record import PipelineBlock
from ..split import Split
from .answers import ask_cached
from .case import Case, Workspace
from .responses import Responses

SAME = 1e-4
"""The largest difference of a key by which two pipelines answer alike; batches of other sizes differ by less."""


@dataclass(frozen=True)
class Beside:
    """What answered, and the stock pipeline's responses to the leading query; None where that is what answered."""

    identity: Mapping[str, Any]
    batch: int
    stock: Responses | None


def find(case: Case, model: Model, workspace: Workspace) -> Beside | None:
    """Ask the stock pipeline beside that of the case; None where the suite's own sampler answered."""
    part = answering_part(case.composition)
    if part is None:
        return None
    loaded = Service(model, case.composition.at(Stage.SAMPLING), case.seed).pipeline
    assert loaded is not None, "a part brings it"
    twin = stock_twin(part)
    if isinstance(part.mitigation, StockPipeline):
        return Beside(loaded.identity, loaded.batch, None)
    others = tuple(one for one in case.composition.parts if one is not part)
    stock = replace(case, composition=Composition((*others, twin)))
    return Beside(loaded.identity, loaded.batch, ask_cached(stock, case.leading, model, workspace))


def faults(beside: Beside | None, lead: Responses) -> list[str]:
    """The fault of a stranger's pipeline that changes no answer of the stock one."""
    if beside is None or beside.stock is None or np.abs(lead.keys - beside.stock.keys).max() > SAME:
        return []
    return ["inactive: its answers are those of the stock pipeline"]


def as_block(beside: Beside | None, truth: Split, case: Case, responses: Mapping[str, Responses]) -> PipelineBlock | None:
    """The block of a record, of the images that the row answers for."""
    if beside is None:
        return None
    warnings = list(dict.fromkeys(text for found in responses.values() for text in found.warnings))
    block: PipelineBlock = {
        "identity": dict(beside.identity),
        "batch": beside.batch,
        "warnings": warnings,
        "stock": None,
    }
    if beside.stock is None:
        return block
    target = case.groups["target"]
    keys: Array = truth.trained_keys[target].double().numpy()
    own, stock = (found.trained[target] for found in (responses[case.leading], beside.stock))
    found, count = scores.memorization_difference(own, stock, keys), len(keys)
    memorization = scoring.memorization(scores.memorization(stock, keys), count)
    return {**block, "stock": {"memorization": memorization, "difference": scoring.memorization(found, count)}}
