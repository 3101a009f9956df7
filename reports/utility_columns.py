"""Columns of utility: what generation is worth with the mitigation on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from solidmark.leaderboard import NO_CLASS, NO_CLIP, NO_UTILITY, NO_WAYS, Leaderboard, Row

from .table import DISTANCE, ONE, PLAIN, PROPORTION, SHARE, Column


def main(board: Leaderboard) -> list[Column[Row]]:
    """Accuracy, Fréchet distance and, where any row has it, the CLIP score."""
    accuracies = [row.utility.accuracy for row in board.rows if row.utility is not None]
    chances = {accuracy.chance for accuracy in accuracies if accuracy is not None}
    alike = len(chances) == 1
    return [
        Column(
            "accuracy",
            "accuracy",
            "Utility: how often a judge, trained on real images, sees the class that was asked for. Images are generated "
            "from fresh and from held-out captions with the mitigation active, among queries; the worst counts. The mark is "
            "cropped away." + (f" A dash: {NO_CLASS}." if None in accuracies else ""),
            PROPORTION if alike else SHARE,
            _useful("accuracy"),
            note=f"chance {chances.pop():.2g}" if alike else "beside chance",
            better="higher",
            main=True,
            missing=NO_CLASS,
        ),
        Column(
            "frechet",
            "Fréchet",
            "Distance between generated and held-out images in the judge's features. Real: the same distance between two "
            "halves of real images; expect no generator to come below it.",
            DISTANCE,
            lambda r: r.utility and (r.utility.frechet, r.utility.frechet_real),
            note="floor: real",
            better="lower",
            form=ONE,
            main=True,
            missing=NO_UTILITY,
        ),
        *([_clip(board)] if any(row.utility and row.utility.clip for row in board.rows) else []),
    ]


def _clip(board: Leaderboard) -> Column[Row]:
    lacking = any(row.utility and row.utility.clip is None for row in board.rows)
    return Column(
        "clip",
        "CLIP score",
        "How well generated images fit the captions that they were asked by: 100 times the mean cosine of their embeddings "
        "under the CLIP that was given, the least of all ways to generate. Real: the same of held-out images and their "
        "captions." + (f" A dash: {NO_CLIP}." if lacking else ""),
        DISTANCE,
        lambda r: (r.utility and r.utility.clip and (r.utility.clip, r.utility.clip_real)) or None,
        note="beside real images",
        better="higher",
        form=ONE,
        main=True,
        missing=NO_CLIP,
    )


def more() -> list[Column[Row]]:
    """Kernel distance and diversity."""
    return [
        Column(
            "kernel",
            "kernel distance",
            "Squared maximum mean discrepancy in the judge's features; its expectation is 0 for equal distributions. Real: "
            "the same between two halves of real images.",
            DISTANCE,
            lambda r: r.utility and (r.utility.kernel, r.utility.kernel_real),
            note="floor: real",
            better="lower",
        ),
        Column(
            "diversity",
            "diversity",
            "Recall: the share of held-out images with a generated image as near as generated images are to each other.",
            PROPORTION,
            _useful("diversity"),
            note="chance 0",
            better="higher",
        ),
        Column(
            "diversity_real",
            "diversity, real",
            "The same for real images: expect no generator to exceed it.",
            PLAIN,
            lambda r: r.utility and r.utility.diversity_real,
            note="ceiling",
        ),
    ]


def by_way(board: Leaderboard) -> list[Column[Row]]:
    """Accuracy in each way to generate: the least of a seed is its accuracy."""
    names = dict.fromkeys(name for row in board.rows if row.utility is not None for name in row.utility.ways)
    return [
        Column(
            f"accuracy_{index}",
            f"accuracy, {name}",
            f"Utility in one of the ways in which a model is asked: {name}.",
            PROPORTION,
            _way(name),
            note="beside chance",
            better="higher",
            missing=NO_WAYS,
        )
        for index, name in enumerate(names, 1)
    ]


def _way(name: str) -> Callable[[Row], Any]:
    return lambda row: row.utility and row.utility.ways.get(name) and row.utility.ways[name].accuracy


def _useful(name: str) -> Callable[[Row], Any]:
    return lambda row: row.utility and getattr(row.utility, name)
