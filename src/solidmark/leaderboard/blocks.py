"""Blocks: those of a record, such as the scores of one query, over the seeds of a row.

`aggregate` says how numbers become one; here is which numbers a block has. What a seed lacks the row lacks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from ..metrics.worst_case import covering
from ..schema.numbers import Estimate
from ..schema.record import (
    ContentBlock,
    ContentDistanceBlock,
    ContentScoreBlock,
    ControlsBlock,
    CostBlock,
    DenoisingLossBlock,
    EpsilonBlock,
    IntervalBlock,
    MapBlock,
    MarksBlock,
    MemorizationBlock,
    NegativeBlock,
    PipelineBlock,
    QueryBlock,
    ScoresBlock,
    SourcesBlock,
    SpaceBlock,
    UtilityBlock,
    UtilityNumbers,
    WashedBlock,
    WorkBlock,
    WorstBlock,
)
from ..schema.row import (
    Content,
    ContentDistance,
    ContentScore,
    Controls,
    Cost,
    DenoisingLoss,
    Marks,
    MemoryMap,
    Negative,
    Pipeline,
    Scored,
    Sources,
    Space,
    Utility,
    Washed,
    Way,
    Work,
    Worst,
)
from .aggregate import area, clustered_share, distance, least, memorization, number, of_all, share


def query(blocks: Sequence[QueryBlock]) -> Scored:
    """One query of a row, from its blocks of every seed."""
    return replace(
        _scores(blocks),
        access=blocks[0].get("access"),
        held_out=of_all(negative, (block.get("held_out") for block in blocks)),
        marks=of_all(marks, (block.get("marks") for block in blocks)),
        evaluations=of_all(work, (block.get("evaluations") for block in blocks)),
        retained=of_all(_scores, (block.get("retained") for block in blocks)),
    )


def _scores(blocks: Sequence[ScoresBlock]) -> Scored:
    images = [block["memorization"]["images"] for block in blocks]
    epsilon = least([block["epsilon"] for block in blocks])
    return Scored(
        memorization=memorization([block["memorization"] for block in blocks], images),
        certified=share([block["certified"] for block in blocks]),
        avoided=of_all(share, (block.get("avoided") for block in blocks)),
        leaked_bits=number([block["leaked_bits"] for block in blocks], images),
        epsilon=_bound(epsilon),
        epsilon_delta=epsilon["delta"],
        epsilon_confidence=epsilon["confidence"],
        epsilon_adjacency=epsilon["adjacency"],
        within={d: clustered_share([block["within"][d] for block in blocks]) for d in blocks[0]["within"]},
        auroc=area([block["auroc"] for block in blocks], images),
        tpr_at_1_fpr=share([block["tpr_at_1_fpr"] for block in blocks]),
        permutation_p=max(block["permutation_p"] for block in blocks),
        keys=blocks[0]["leaked_bits"]["keys"],
        false_discovery_rate=max(block.get("false_discovery_rate", 0.05) for block in blocks),
    )


def _bound(block: EpsilonBlock) -> Estimate:
    """A lower bound: value and lower limit are the same."""
    return Estimate(block["low"], block["low"], chance=0.0)


def worst(blocks: Sequence[WorstBlock], queries: Sequence[Mapping[str, QueryBlock]]) -> Worst:
    """The worst case of a row, from the blocks of seeds that were all asked the same queries, and what each query found."""
    images = [block["memorization"]["images"] for block in blocks]
    epsilon = least([block["epsilon"] for block in blocks])
    names = list(blocks[0]["chosen"])
    return Worst(
        memorization=_starred([block["memorization"] for block in blocks], images, names, queries),
        certified=share([block["certified"] for block in blocks]),
        epsilon=_bound(epsilon),
        epsilon_delta=epsilon["delta"],
        epsilon_confidence=epsilon["confidence"],
        epsilon_adjacency=epsilon["adjacency"],
        chosen={name: float(np.mean([block["chosen"][name] for block in blocks])) for name in names},
        queries=len(names),
    )


def _starred(
    blocks: Sequence[IntervalBlock], images: Sequence[int], names: Sequence[str], queries: Sequence[Mapping[str, QueryBlock]]
) -> Estimate:
    """M* with the interval that covers the strongest query's M, which may be another one in each seed."""
    each = [[seed[name]["memorization"] for name in names] for seed in queries]
    ends = [max(found, key=_high) for found in each], [min(found, key=_low) for found in each]
    return covering(memorization(blocks, images), [memorization(end, images) for end in ends])


def _high(block: IntervalBlock) -> float:
    return block["high"]


def _low(block: IntervalBlock) -> float:
    return block["low"]


def power(blocks: Sequence[Mapping[str, IntervalBlock | None]], images: Sequence[int]) -> dict[str, Estimate | None]:
    """The power of each query; None for one that a perfect memorizer cannot be asked."""
    queries = [query for query in blocks[0] if all(query in block for block in blocks)]
    return {
        query: of_all(lambda seeds: memorization(seeds, images), (block[query] for block in blocks)) for query in queries
    }


def controls(blocks: Sequence[ControlsBlock]) -> Controls:
    """The controls of a row, from its blocks of every seed."""
    return Controls(
        held_out=negative([block["held_out"] for block in blocks]),
        other_keys=negative([block["other_keys"] for block in blocks]),
        power=memorization([block["power"] for block in blocks], images_of(blocks)),
        mark_valid=all(block["mark_valid"]["valid"] for block in blocks),
        marks=marks([block["mark_valid"] for block in blocks]),
        baseline_marks=marks([block["mark_valid"]["baseline"] for block in blocks]),
        active=all(block["active"] for block in blocks),
        faults=tuple(fault for block in blocks for fault in block["faults"]),
        sound=all(block["sound"] for block in blocks),
    )


def images_of(blocks: Sequence[ControlsBlock]) -> list[int]:
    """How many trained images each seed has."""
    return [block["other_keys"]["memorization"]["images"] for block in blocks]


def negative(blocks: Sequence[NegativeBlock]) -> Negative:
    """A control of a row, from its blocks of every seed."""
    images = [block["memorization"]["images"] for block in blocks]
    return Negative(
        memorization=memorization([block["memorization"] for block in blocks], images),
        certified=share([block["certified"] for block in blocks]),
        chance_p=min(block["chance_p"] for block in blocks),
        uniform_p=min(block["uniform_p"] for block in blocks),
    )


def utility(blocks: Sequence[UtilityBlock]) -> Utility:
    """The utility of a row, from its blocks of every seed."""
    frechet, frechet_real = distance([block["frechet"] for block in blocks])
    frechet = replace(frechet, low=max(frechet.low, 0.0)) if frechet.low is not None else frechet
    kernel, kernel_real = distance([block["kernel"] for block in blocks])  # may be below 0 by chance
    ways = [block.get("ways") or {} for block in blocks]
    clip = of_all(distance, (block.get("clip") for block in blocks))
    return Utility(
        accuracy=of_all(share, (block.get("accuracy") for block in blocks)),
        frechet=frechet,
        frechet_real=frechet_real,
        kernel=kernel,
        kernel_real=kernel_real,
        diversity=share([block["diversity"] for block in blocks]),
        diversity_real=float(np.mean([block["diversity_real"] for block in blocks])),
        judge_accuracy=of_all(lambda each: float(np.mean(each)), (block["judge_accuracy"] for block in blocks)),
        ways={name: way([one[name] for one in ways]) for name in ways[0] if all(name in one for one in ways)},
        clip=None if clip is None else clip[0],
        clip_real=None if clip is None else clip[1],
    )


def way(blocks: Sequence[UtilityNumbers]) -> Way:
    """One way to generate, from its blocks of every seed."""
    return Way(
        accuracy=of_all(share, (block.get("accuracy") for block in blocks)),
        frechet=distance([block["frechet"] for block in blocks])[0],
        kernel=distance([block["kernel"] for block in blocks])[0],
        diversity=share([block["diversity"] for block in blocks]),
        clip=of_all(lambda each: distance(each)[0], (block.get("clip") for block in blocks)),
    )


def denoising_loss(blocks: Sequence[DenoisingLossBlock]) -> DenoisingLoss:
    """The denoising loss of a row, from its blocks of every seed."""
    held_out = number([block["held_out"] for block in blocks], [block["held_out"]["images"] for block in blocks])
    return DenoisingLoss(held_out, float(np.mean([block["trained"]["value"] for block in blocks])))


def content(blocks: Sequence[ContentBlock]) -> Content:
    """The content scores of a row, from its blocks of every seed."""
    names = [name for name in blocks[0].get("distances", {}) if all(name in block.get("distances", {}) for block in blocks)]
    return Content(
        own=of_all(_content_score, (block["own"] for block in blocks)),
        any=_content_score([block["any"] for block in blocks]),
        block=of_all(_content_score, (block.get("block") for block in blocks)),
        map=of_all(_memory_map, (block.get("map") for block in blocks)),
        distances={name: _content_distance([block["distances"][name] for block in blocks]) for name in names},
        washed=_washed([one for block in blocks if (one := block.get("washed")) is not None]),
    )


def _washed(blocks: Sequence[WashedBlock]) -> Washed | None:
    """Of the seeds where any images came back without their keys; None where there is none."""
    if not blocks:
        return None
    return Washed(
        images=sum(block["images"] for block in blocks),
        of=sum(block["of"] for block in blocks),
        high=max(block["memorization"]["high"] for block in blocks),
        baseline=_mean([block["baseline"] for block in blocks]),
        seeds=len(blocks),
    )


def _memory_map(blocks: Sequence[MapBlock]) -> MemoryMap:
    return MemoryMap(
        tile=blocks[0]["tile"],
        trained=number([block["trained"] for block in blocks], [block["images"] for block in blocks]),
        held_out=of_all(_control, (block if "held_out_among" in block else None for block in blocks)),
    )


def _control(blocks: Sequence[MapBlock]) -> Estimate:
    """The share of half of the held-out images, over seeds."""
    return number([block["held_out"] for block in blocks], [block["held_out_images"] for block in blocks])


def _content_distance(blocks: Sequence[ContentDistanceBlock]) -> ContentDistance:
    return ContentDistance(
        own=of_all(_content_score, (block["own"] for block in blocks)),
        any=of_all(_content_score, (block["any"] for block in blocks)),
        reason="; ".join(dict.fromkeys(block["reason"] for block in blocks if block.get("reason"))),
    )


def _content_score(blocks: Sequence[ContentScoreBlock]) -> ContentScore:
    return ContentScore(
        auroc=area([block["auroc"] for block in blocks], [block["images"] for block in blocks]),
        certified=share([block["certified"] for block in blocks]),
        permutation_p=max(_whole_p(block) for block in blocks),
        least=max(block["least"] for block in blocks),
    )


def _whole_p(block: ContentScoreBlock) -> float:
    """The p-value of the whole, which older records call `rank_p`; 1 where there is none."""
    return block.get("permutation_p", block.get("rank_p", 1.0))


def sources(blocks: Sequence[SourcesBlock]) -> Sources:
    """The control with exchanged class names, from its blocks of every seed."""
    known = [p for block in blocks if (p := block["p"]) is not None]
    if len(known) == len(blocks):
        return Sources(min(known))
    return Sources(None, "; ".join(dict.fromkeys(block.get("reason", "") for block in blocks if block["p"] is None)))


def space(blocks: Sequence[SpaceBlock], images: Sequence[int]) -> Space:
    """The latent space of a row, from its blocks of every seed, whose keys were painted on so many held-out images."""
    return Space(
        factor=blocks[0]["factor"],
        key_error=_mean([block["key_error"] for block in blocks]),
        bias=_mean([block["bias"] for block in blocks]),
        ceiling=memorization([block["ceiling"] for block in blocks], images),
        training=of_all(work, (block.get("training") for block in blocks)),
        shipped=all(block.get("shipped", False) for block in blocks),
    )


def held_out_images(blocks: Sequence[ControlsBlock]) -> list[int]:
    """How many held-out images each seed has."""
    return [block["held_out"]["memorization"]["images"] for block in blocks]


def cost(blocks: Sequence[CostBlock], peaks: Sequence[int | None]) -> Cost:
    """The cost of a row, from its blocks and peaks of memory of every seed."""
    training = work([block["training"] for block in blocks])
    editing = work([block["editing"] for block in blocks])
    sampling = work([block["sampling"] for block in blocks])
    return Cost(training, editing, sampling, max((peak for peak in peaks if peak is not None), default=None))


def work(blocks: Sequence[WorkBlock]) -> Work:
    """Evaluations and seconds, averaged over seeds."""
    return Work(
        forward=float(np.mean([block["forward"] for block in blocks])),
        backward=float(np.mean([block["backward"] for block in blocks])),
        seconds=float(np.mean([block["seconds"] for block in blocks])),
        images=of_all(_mean, (block.get("images") for block in blocks)),
        encoded=_mean([block.get("encoded", 0) for block in blocks]),
        decoded=_mean([block.get("decoded", 0) for block in blocks]),
    )


def marks(blocks: Sequence[MarksBlock]) -> Marks:
    """Looks of the marks, averaged over seeds."""
    return Marks(
        spread=float(np.mean([block["spread"] for block in blocks])),
        unevenness=float(np.mean([block["unevenness"] for block in blocks])),
        decoy_error=of_all(_mean, (block.get("decoy_error") for block in blocks)),
    )


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def pipeline(blocks: Sequence[PipelineBlock]) -> Pipeline:
    """The pipeline of a row, from its blocks of every seed."""
    first, warnings = blocks[0]["identity"], (text for block in blocks for text in block["warnings"])
    called = first["call"]
    stock, difference = (
        of_all(_over_images, (_beside(block, name) for block in blocks)) for name in ("memorization", "difference")
    )
    return Pipeline(
        name=str(first["pipeline"]),
        call=None if called is None else str(called),
        scheduler=str(first["scheduler"]),
        stock=stock,
        difference=difference,
        warnings=tuple(dict.fromkeys(warnings)),
    )


def _beside(block: PipelineBlock, name: Literal["memorization", "difference"]) -> MemorizationBlock | None:
    return None if block["stock"] is None else block["stock"][name]


def _over_images(blocks: Sequence[MemorizationBlock]) -> Estimate:
    return number(blocks, [block["images"] for block in blocks])
