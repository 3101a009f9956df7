"""Content of a case: are its images emitted, by their own captions or by any? The second yardstick beside the keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import queries, seeds
from ..metrics import content, patches, scores
from ..metrics.content import ContentScore, Washing
from ..metrics.patches import MemoryMap
from ..metrics.scores import Array
from ..split import Split
from .case import Case
from .distances import Views
from .responses import Responses

LEADING = "outpaint"
"""The query that frees a block of each image beside its mark."""

HALVES = "half of held-out images, memory map"


@dataclass(frozen=True)
class Content:
    """The scores of the images that a row answers for, and their memory map.

    `own` is None where no caption is an image's own, `block` where nothing was outpainted or no block fits. `each` has the
    scores of all images by name, (N,), and `tiles` those of their tiles, (N, T), trained images first; `shown` is the
    picture that an image's map is of, its own or the nearest one, (N,).
    """

    own: ContentScore | None
    any: ContentScore
    block: ContentScore | None
    map: MemoryMap
    views: Views
    responses: Responses
    each: Mapping[str, Array]
    tiles: Array
    shown: NDArray[np.intp]

    @property
    def certified(self) -> NDArray[np.bool_]:
        """(N,): images that any of the scores certifies."""
        found = [content.certified(score.p) for score in (self.own, self.any, self.block) if score is not None]
        return np.asarray(np.any(found, axis=0))


def measure_content(case: Case, plain: Responses, responses: Mapping[str, Responses]) -> Content | None:
    """The content of a case, from one plain generation from every caption; None without pictures.

    The blocks are those of the outpainting, where it is among the responses.
    """
    if plain.images is None:
        return None
    views = _views(case, plain.images)
    flat = (each.reshape(len(each), -1) for each in (views.pictures, views.images, views.spare))
    ratios = content.ratios(*flat)
    each = {"own": np.diag(ratios)} if views.paired else {}
    each["any"], blocks = ratios.min(axis=0), _block_scores(case, views, responses.get(LEADING))
    each |= {} if blocks is None else {"block": blocks}
    shown = np.arange(len(ratios)) if views.paired else ratios.argmin(axis=0)
    tiles = patches.tile_scores(views.pictures[shown], views.images, views.spare)
    found = {name: views.judge(one) for name, one in each.items()}
    return Content(
        own=found.get("own"),
        any=found["any"],
        block=found.get("block"),
        map=patches.memory_map(tiles[views.target], tiles[views.count :], seeds.numpy_rng(case.seed, HALVES)),
        views=views,
        responses=plain,
        each=each,
        tiles=tiles,
        shown=shown,
    )


def _views(case: Case, pictures: Tensor) -> Views:
    split = case.blind.split
    spare = split.mark.canvas(torch.cat([split.calibration.images, split.other_reference]))
    shown, real, others = (_content(split, images) for images in (pictures, split.queried.images, spare))
    return Views(shown, real, others, len(split.trained), case.groups["target"], has_own_captions(split))


def has_own_captions(split: Split) -> bool:
    """Whether every image has a caption that is no other's, so that a picture can be an image's own."""
    captions = split.queried.captions
    return split.captioned and len(set(captions)) == len(captions)


def _block_scores(case: Case, views: Views, outpainted: Responses | None) -> Array | None:
    """The scores of the blocks that an outpainting freed, (N,)."""
    if outpainted is None or outpainted.images is None:
        return None
    split = case.blind.split
    marked = split.mark_masks.any(dim=0)
    cell = case.testbed.recipe.network.factor
    freed = torch.stack([queries.decoy(case.seed, number, marked, cell) for number in split.queried.ids])
    blocks = _content(split, freed[:, None].float())[:, 0] == 1
    if not blocks.any(axis=(1, 2)).all():
        return None
    return patches.block_scores(_content(split, outpainted.images), views.images, views.spare, blocks)


def _content(split: Split, canvases: Tensor) -> Array:
    """(N, C, H, W) without the mark."""
    return split.mark.content(canvases).double().numpy()


def washing(case: Case, found: Content | None, truth: Split, lead: Responses, baseline: Responses) -> Washing | None:
    """Images of a row that come back while their keys do not, by its answers to the leading query and the baseline's."""
    if found is None or case.composition.control:
        return None
    target, keys = case.groups["target"], truth.trained_keys.double().numpy()
    remembered = scores.memorization(baseline.trained[target], keys[target]).value
    return content.washing(found.certified, lead.trained[target], keys[target], remembered)


def faults(washed: Washing | None) -> list[str]:
    """The sentence that convicts a row of it: none, or one."""
    return [washed.fault] if washed is not None and washed.convicts else []
