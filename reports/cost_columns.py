"""Columns of cost: counted denoiser evaluations, relative to the baseline's; seconds and memory."""

from __future__ import annotations

from solidmark.leaderboard import NO_SPACE, Leaderboard, Row

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


def more(board: Leaderboard) -> list[Column[Row]]:
    """Forward and backward of each stage, an autoencoder's work, seconds and memory."""
    latent = any(row.space is not None for row in board.rows)
    return [*(_autoencoder() if latent else []), *_more()]


def _more() -> list[Column[Row]]:
    return [
        *(_work(part, way) for part in ("training", "editing") for way in ("forward", "backward")),
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


def _autoencoder() -> list[Column[Row]]:
    """Images through the autoencoder, which is part of the cost beside denoiser evaluations, and its own training."""
    return [
        *(_work(part, way) for part in ("training", "editing") for way in ("encoded", "decoded")),
        *(_an_image(way) for way in ("encoded", "decoded")),
        Column(
            "autoencoder_seconds",
            "seconds, autoencoder",
            "Seconds that training the autoencoder took, once for all rows and seeds. One that comes with the testbed was "
            "trained elsewhere.",
            PLAIN,
            lambda r: r.space and r.space.training and r.space.training.seconds,
            note="once",
            better="lower",
            form=ONE,
            missing=NO_SPACE,
        ),
    ]


def _work(part: str, way: str) -> Column[Row]:
    """What a stage took of the denoiser (forward, backward) or of the autoencoder (encoded, decoded)."""
    through = way in _AN_IMAGE
    plain, latent = f"{way.capitalize()} evaluations of the denoiser", f"Images {way} by the autoencoder"

    def work(row: Row) -> int | None:
        known = row.cost is not None and (row.space is not None or not through)
        return getattr(getattr(row.cost, part), way) if known else None

    return Column(
        f"{part}_{way}",
        f"{part}, {way}",
        f"{latent if through else plain} at {part}, a seed.",
        PLAIN,
        work,
        note="images" if through else "evaluations",
        better="lower",
        form=WHOLE,
        missing=NO_SPACE if through else "",
    )


_AN_IMAGE = {way: f"Images {way} by the autoencoder at plain generation, an image." for way in ("encoded", "decoded")}


def _an_image(way: str) -> Column[Row]:
    def an_image(row: Row) -> float | None:
        work = row.cost.sampling if row.cost else None
        return float(getattr(work, way)) / work.images if work and work.images else None

    return Column(
        f"sampling_{way}",
        f"an image, {way}",
        _AN_IMAGE.get(way, f"{way.capitalize()} evaluations of the denoiser at plain generation, an image."),
        PLAIN,
        an_image,
        note="images" if way in _AN_IMAGE else "evaluations",
        better="lower",
        form=ONE,
    )
