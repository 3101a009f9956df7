"""Columns of cost: counted denoiser evaluations, relative to the baseline's; seconds and memory."""

from __future__ import annotations

from solidmark.leaderboard import Row

from .table import FOUR, MEMORY, ONE, PLAIN, TIMES, WHOLE, Column


def main() -> list[Column[Row]]:
    """Training and an image, relative to the baseline."""
    return [
        Column(
            "training_relative",
            "training",
            "Denoiser evaluations (forward and backward, counted) of training and editing, relative to the baseline.",
            PLAIN,
            lambda r: r.cost and r.cost.relative,
            note="of baseline",
            better="lower",
            form=TIMES,
            main=True,
        ),
        Column(
            "sampling_relative",
            "an image",
            "Denoiser evaluations (forward and backward, counted) an image at plain generation, relative to the baseline.",
            PLAIN,
            lambda r: r.cost and r.cost.sampling_relative,
            note="of baseline",
            better="lower",
            form=TIMES,
            main=True,
        ),
    ]


def more() -> list[Column[Row]]:
    """Forward and backward of each stage, seconds and memory."""
    return [
        *(_evaluations(part, way) for part in ("training", "editing") for way in ("forward", "backward")),
        *(_an_image(way) for way in ("forward", "backward")),
        Column(
            "train_seconds",
            "seconds",
            "Seconds of training and editing, a seed. They depend on the machine; evaluations do not.",
            PLAIN,
            lambda r: r.cost and r.cost.training.seconds + r.cost.editing.seconds,
            note="training, editing",
            better="lower",
            form=ONE,
        ),
        Column(
            "sampling_seconds",
            "seconds an image",
            "Seconds of plain generation, an image. They depend on the machine and on how many images are made together.",
            PLAIN,
            lambda r: (
                r.cost and r.cost.sampling.seconds / r.cost.sampling.images if r.cost and r.cost.sampling.images else None
            ),
            note="generation",
            better="lower",
            form=FOUR,
        ),
        Column(
            "peak_bytes",
            "peak memory",
            "Largest memory of the measuring process until then, of any seed.",
            MEMORY,
            lambda r: r.cost and r.cost.peak_bytes,
            better="lower",
        ),
    ]


def _evaluations(part: str, way: str) -> Column[Row]:
    return Column(
        f"{part}_{way}",
        f"{part}, {way}",
        f"{way.capitalize()} evaluations of the denoiser at {part}, a seed.",
        PLAIN,
        lambda row: row.cost and getattr(getattr(row.cost, part), way),
        note="evaluations",
        better="lower",
        form=WHOLE,
    )


def _an_image(way: str) -> Column[Row]:
    def an_image(row: Row) -> float | None:
        work = row.cost.sampling if row.cost else None
        return float(getattr(work, way)) / work.images if work and work.images else None

    return Column(
        f"sampling_{way}",
        f"an image, {way}",
        f"{way.capitalize()} evaluations of the denoiser at plain generation, an image.",
        PLAIN,
        an_image,
        note="evaluations",
        better="lower",
        form=ONE,
    )
