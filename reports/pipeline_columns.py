"""Columns of rows that a diffusers pipeline answers, beside the stock pipeline of the same weights."""

from __future__ import annotations

from solidmark.leaderboard import NO_PIPELINE, NO_STOCK, Leaderboard, Row

from .table import NUMBER, SIGNED, TEXT, Column


def main(board: Leaderboard) -> list[Column[Row]]:
    """What a pipeline changes; nothing on a board without such rows."""
    difference = Column[Row](
        "stock_difference",
        "M − stock pipeline",
        "M of the leading query minus M of the stock pipeline, with the same weights, scheduler, steps, images and noise.",
        NUMBER,
        lambda r: r.pipeline and r.pipeline.difference,
        note="paired",
        better="lower",
        form=SIGNED,
        main=True,
        missing=NO_STOCK,
    )
    return [difference] if any(row.pipeline for row in board.rows) else []


def more(board: Leaderboard) -> list[Column[Row]]:
    """Which pipeline answered, and what is to be known of its answers."""
    if not any(row.pipeline for row in board.rows):
        return []
    return [
        Column(
            "pipeline",
            "pipeline",
            "The diffusers pipeline that answered, as it is: its class, the call that asked it, and its scheduler.",
            TEXT,
            lambda r: r.pipeline and r.pipeline.title,
            missing=NO_PIPELINE,
        ),
        Column(
            "pipeline_warnings",
            "of the pipeline",
            "What is to be known of its answers.",
            TEXT,
            lambda r: "; ".join(r.pipeline.warnings) or None if r.pipeline else None,
            missing="nothing",
        ),
    ]
