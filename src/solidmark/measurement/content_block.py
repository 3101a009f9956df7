"""The `content` block of a record."""

from __future__ import annotations

from collections.abc import Mapping

from ..metrics import patches, scoring
from ..metrics.content import ContentScore, Washing
from ..schema.record import ContentBlock, ContentDistanceBlock, ContentScoreBlock, MapBlock, WashedBlock
from . import weights
from .content import Content
from .distances import Beside


def as_block(
    found: Content | None, distances: Mapping[str, Beside], washed: Washing | None, *, shared: bool
) -> ContentBlock | None:
    """Content, with what installed distances find; `shared` where its pictures are those of a query that was put anyway."""
    if found is None:
        return None
    work, images = weights.work(found.responses.evaluations, found.responses.seconds), len(found.responses.keys)
    return {
        "own": _score(found.own),
        "any": score(found.any),
        "block": _score(found.block),
        "map": _map(found),
        "distances": {name: _distance(one) for name, one in distances.items()},
        "washed": _washed(washed),
        "evaluations": {**work, "images": images},
        "shared": shared,
    }


def score(one: ContentScore) -> ContentScoreBlock:
    """One score."""
    return {
        "auroc": {**scoring.interval(one.auroc), "chance": 0.5},
        "images": len(one.p),
        "permutation_p": one.permutation_p,
        "certified": scoring.share(one.certified),
        "least": one.least,
    }


def _score(one: ContentScore | None) -> ContentScoreBlock | None:
    return None if one is None else score(one)


def _washed(washed: Washing | None) -> WashedBlock | None:
    if washed is None:
        return None
    found = scoring.interval(washed.memorization)
    return {"images": washed.images, "of": washed.of, "memorization": found, "baseline": washed.baseline}


def _map(found: Content) -> MapBlock:
    return {
        "tile": patches.tile_side(*found.views.images.shape[-2:]),
        "picture": "own" if found.views.paired else "any",
        "trained": scoring.interval(found.map.trained),
        "held_out": scoring.interval(found.map.held_out),
        "images": len(found.map.p),
        "held_out_images": len(found.map.held_out_p),
        "held_out_among": "half",
    }


def _distance(one: Beside) -> ContentDistanceBlock:
    block: ContentDistanceBlock = {"own": _score(one.own), "any": _score(one.any)}
    return {**block, "reason": one.reason} if one.reason else block
