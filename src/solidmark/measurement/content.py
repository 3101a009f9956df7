"""Content of a case: are its images emitted, by their own captions or by any? The second yardstick beside the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..metrics import content, scores, scoring
from ..metrics.content import ContentScore
from ..metrics.scores import Array
from ..models import Denoiser
from ..queries.caption_only import CaptionOnly
from ..schema.record import ContentBlock, ContentScoreBlock
from ..split import Split
from . import answers, weights
from .answers import Responses
from .case import Case, Workspace

QUERY = "caption-only"
"""The query whose pictures are read: one plain generation from the caption of every image."""


@dataclass(frozen=True)
class Content:
    """Both scores of the images that a row answers for; `own` is None where captions say nothing."""

    own: ContentScore | None
    any: ContentScore
    responses: Responses
    shared: bool
    """Whether the pictures are those of a query that was put anyway, so that they cost nothing."""

    @property
    def certified(self) -> NDArray[np.bool_]:
        """(N,): images that either score certifies."""
        found = content.certified(self.any.p)
        return found if self.own is None else found | content.certified(self.own.p)


def measure_content(case: Case, model: Denoiser, workspace: Workspace, responses: Mapping[str, Responses]) -> Content | None:
    """The content of a case, from the pictures of `caption-only`, which is put where it was not; None without pictures."""
    shared = QUERY in responses
    asked = responses[QUERY] if shared else _generate(case, model, workspace)
    if asked.images is None:
        return None
    split, target = case.blind.split, case.groups["target"]
    ratios = content.ratios(*(_content(split, images) for images in (asked.images, split.queried.images, _spare(split))))
    count = len(split.trained)
    least = ratios.min(axis=0)
    own = content.judge(np.diag(ratios)[target], np.diag(ratios)[count:]) if split.captioned else None
    return Content(own, content.judge(least[target], least[count:]), asked, shared)


def _generate(case: Case, model: Denoiser, workspace: Workspace) -> Responses:
    """One plain generation from every caption, trained and held-out mixed, through the mitigation's sampler."""
    return answers.ask_query(replace(case, queries=((QUERY, CaptionOnly()),)), QUERY, model, workspace)


def _spare(split: Split) -> Tensor:
    """Real images that are neither trained on nor queried, on a blank canvas."""
    return split.mark.canvas(torch.cat([split.calibration.images, split.other_reference]))


def _content(split: Split, canvases: Tensor) -> Array:
    return split.mark.content(canvases).flatten(1).double().numpy()


def fault(case: Case, found: Content | None, truth: Split, lead: Responses, baseline: Responses) -> list[str]:
    """The sentence that convicts a row whose images come back while their keys do not: none, or one."""
    if found is None or case.composition.control:
        return []
    target, keys = case.groups["target"], truth.trained_keys.double().numpy()
    remembered = scores.memorization(baseline.trained[target], keys[target]).value
    message = content.washed(found.certified, lead.trained[target], keys[target], remembered)
    return [] if message is None else [message]


def as_block(found: Content | None) -> ContentBlock | None:
    """The `content` block of a record."""
    if found is None:
        return None
    work, images = weights.work(found.responses.evaluations, found.responses.seconds), len(found.responses.keys)
    return {
        "own": None if found.own is None else _score(found.own),
        "any": _score(found.any),
        "evaluations": {**work, "images": images},
        "shared": found.shared,
    }


def _score(score: ContentScore) -> ContentScoreBlock:
    return {
        "auroc": {**scoring.interval(score.auroc), "chance": 0.5},
        "images": len(score.p),
        "permutation_p": score.permutation_p,
        "certified": scoring.share(score.certified),
        "least": score.least,
    }
