"""Content of a case: are its images emitted, by their own captions or by any? The second yardstick beside the keys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..metrics import content, scores, scoring
from ..metrics.content import ContentScore
from ..metrics.scores import Array
from ..schema.record import ContentBlock, ContentScoreBlock
from ..split import Split
from . import weights
from .answers import Responses
from .case import Case


@dataclass(frozen=True)
class Content:
    """Both scores of the images that a row answers for; `own` is None where no caption is an image's own."""

    own: ContentScore | None
    any: ContentScore
    responses: Responses

    @property
    def certified(self) -> NDArray[np.bool_]:
        """(N,): images that either score certifies."""
        found = content.certified(self.any.p)
        return found if self.own is None else found | content.certified(self.own.p)


def measure_content(case: Case, plain: Responses) -> Content | None:
    """The content of a case, from the pictures of one plain generation from every caption; None without pictures."""
    if plain.images is None:
        return None
    split, target = case.blind.split, case.groups["target"]
    ratios = content.ratios(*(_content(split, images) for images in (plain.images, split.queried.images, _spare(split))))
    count = len(split.trained)
    least = ratios.min(axis=0)
    own = content.judge(np.diag(ratios)[target], np.diag(ratios)[count:]) if has_own_captions(split) else None
    return Content(own, content.judge(least[target], least[count:]), plain)


def has_own_captions(split: Split) -> bool:
    """Whether every image has a caption that is no other's, so that a picture can be an image's own."""
    captions = split.queried.captions
    return split.captioned and len(set(captions)) == len(captions)


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


def as_block(found: Content | None, *, shared: bool) -> ContentBlock | None:
    """The `content` block of a record; `shared` where its pictures are those of a query that was put anyway."""
    if found is None:
        return None
    work, images = weights.work(found.responses.evaluations, found.responses.seconds), len(found.responses.keys)
    return {
        "own": None if found.own is None else _score(found.own),
        "any": _score(found.any),
        "evaluations": {**work, "images": images},
        "shared": shared,
    }


def _score(score: ContentScore) -> ContentScoreBlock:
    return {
        "auroc": {**scoring.interval(score.auroc), "chance": 0.5},
        "images": len(score.p),
        "permutation_p": score.permutation_p,
        "certified": scoring.share(score.certified),
        "least": score.least,
    }
