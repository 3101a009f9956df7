"""Sources: do the pictures of a sampling stage come from the weights behind it?

A sampler that shows stored pictures by the words of a caption needs no model: it remembers nothing and is as useful as its
album. So it is asked once more with a model that knows each class under another's name (see `metrics.exchange`). Nothing
else differs: the model is as trained as before, and the batch is as large as one of plain generation.

Pictures in weights, put there by training or by an edit, are weights: they are what content and utility judge.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from .. import seeds
from ..metrics.controls import SUSPICION
from ..metrics.exchange import Followed, follows_words
from ..mitigation import Stage
from ..models import Model, metered
from ..queries import Audit
from ..sampling import Service
from ..schema.record import SourcesBlock
from ..schema.row import NOTHING_SAMPLED
from . import weights
from .answers import fresh_captions, generated_along
from .case import Case, Workspace
from .responses import Generated

LEAST_CLASSES = 8
"""With fewer classes no assignment of names is rare enough: 1 / 7! lies above the level of 1e-4."""
PURPOSE = "exchanged words"


def find(case: Case, model: Model, workspace: Workspace) -> SourcesBlock:
    """How far the pictures of a case follow the words of captions rather than the weights; null with a reason."""
    reason = _not_asked(case, model)
    if reason is not None:
        return {"p": None, "reason": reason}
    generated = _generate(case, exchanged(model, case.seed), workspace)
    named = case.blind.split.fresh_labels[np.arange(len(generated.images)) % len(case.blind.split.fresh_labels)]
    judge = case.testbed.judge()
    assert judge is not None, "a testbed that tells classes has one"
    shown = judge.classify(generated.images.flatten(1).double().numpy())
    found: Followed = follows_words(np.where(generated.refused, -1, shown), named)
    return {"p": found.p, "count": found.count, "of": found.of, "evaluations": generated.cost}


def fault(found: SourcesBlock) -> list[str]:
    """The sentence that convicts a sampling stage which brings pictures of its own: none, or one."""
    p = found["p"]
    if p is None or p >= SUSPICION:
        return []
    where = f"{found['count']} of {found['of']} pictures show the class that the caption names"
    return [f"pictures do not come from the weights: {where} although the model knows it by another name (p = {p:.1e})"]


def exchanged(model: Model, seed: int) -> Model:
    """A copy of a model whose class names have each other's embeddings, at random."""
    twin = model.copy().frozen()
    order = torch.randperm(len(model.config.classes), generator=seeds.torch_rng(seed, PURPOSE)).tolist()
    twin.text.exchange_classes(order)  # type: ignore[operator]  # a conditioning that has class names
    return twin


def _not_asked(case: Case, model: Model) -> str | None:
    if Stage.SAMPLING not in case.composition.stages:
        return NOTHING_SAMPLED
    classes = len(np.unique(case.blind.split.fresh_labels))
    if not (case.testbed.tells_class and case.testbed.has_judge) or len(model.config.classes) != classes:
        return "captions of this testbed do not name the classes of its judge"
    if not hasattr(model.text, "exchange_classes"):
        return "the text encoder of this testbed has no names to exchange"
    if classes < LEAST_CLASSES:
        return f"{classes} classes are too few to tell"
    return None


def _generate(case: Case, model: Model, workspace: Workspace) -> Generated:
    """Pictures of fresh captions in a batch of the size of the last one of plain generation."""
    blind = case.blind
    split, company = blind.split, fresh_captions(blind.split, case.solver)
    handed = weights.at_sampling(case, blind, workspace, model, lambda half: exchanged(half, case.seed))
    service = Service(model, case.composition.at(Stage.SAMPLING), case.seed, PURPOSE, data=handed)
    count = (len(split.queried) + len(company)) % case.solver.batch or case.solver.batch
    rows = [index % len(company) for index in range(count)]
    company.captions = [company.captions[row] for row in rows]
    company.observed, company.mask = company.observed[rows], company.mask[rows]
    company.numbers = list(range(-count, 0))
    audit = Audit(split.queried.take([]), split.mark, case.solver, service, case.seed, PURPOSE, company=company)
    audit.progress, clock = workspace.progress, time.perf_counter()
    with metered() as evaluations:
        audit.generate()
    generated, _, _ = generated_along(audit, evaluations, time.perf_counter() - clock)
    assert generated is not None, "its first sampling asks it"
    return generated
