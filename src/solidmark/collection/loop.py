"""Measure: memorization as a validation metric, in the loop of a training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import nn

from . import asking, ledger, showing, verdict
from .questions import Collection, Query, handed_out


class Measure:
    """Asks a pipeline for images of a marked collection, and gives the numbers of what it has memorized by name.

    `ledger` is the folder that `solidmark mark` has written, `marked` the images that were handed out (default: the same
    name without `.ledger`). `images` is the most of each split that are asked, the same ones each time (None: all).
    `passphrase` opens a sealed ledger; `query` are further fields of `Query`: steps, guidance, batch, seed, resolution.

    What a call draws, and how it sets networks, is undone: a training goes on as if it had not been measured.
    """

    def __init__(
        self,
        ledger_folder: str | Path,
        marked: str | Path | None = None,
        *,
        images: int | None = 64,
        passphrase: str | None = None,
        **query: Any,
    ) -> None:
        folder = Path(ledger_folder)
        out = handed_out(folder, None if marked is None else Path(marked), "Measure, marked")
        self.collection = Collection(ledger.load(folder, passphrase), out, folder)
        self.query = Query(limit=images, **query)

    def __call__(self, pipe: Any) -> dict[str, float]:
        """`solidmark/memorization` with its limits, `solidmark/certified`, `solidmark/epsilon_low`, those of held-out
        images, and `solidmark/sound`, which is 0 where a control has failed.

        `pipe` is a diffusers pipeline or a function that fills in pixels. In a training of several processes call it in
        one of them. Raises as `solidmark measure` does.
        """
        with _evaluating(pipe):
            groups = list(asking.ask_all(pipe, self.collection, self.query, lambda _: False))
        answers = sorted((answer for group in groups for answer in group.answers), key=lambda answer: answer.number)
        rows = self.collection.ledger.rows
        trained, held = ([a for a in answers if rows[a.number].split == part] for part in ("trained", "held-out"))
        judged = verdict.judge(
            asking.predictions(trained),
            ledger.keys_of([rows[answer.number] for answer in trained]),
            asking.predictions(held),
            ledger.keys_of([rows[answer.number] for answer in held]),
            self.query.seed,
        )
        return {f"solidmark/{name}": value for name, value in showing.numbers(judged).items()}


@contextmanager
def _evaluating(pipe: Any) -> Iterator[None]:
    """Inside, the networks of a pipeline do not drop out; afterwards each of their parts is as it was."""
    parts = [part for part in vars(pipe).values() if isinstance(part, nn.Module)] if hasattr(pipe, "scheduler") else []
    before = [(module, module.training) for part in parts for module in part.modules()]
    try:
        for part in parts:
            part.eval()
        yield
    finally:
        for module, training in before:
            module.training = training
