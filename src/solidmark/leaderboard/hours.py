"""Hours: how long the rows of a board were computed, by the seconds that their records state."""

from __future__ import annotations

from collections.abc import Iterable

from ..mitigation.needs import Stage
from ..schema.row import Row


def hours(rows: Iterable[Row]) -> float:
    """Hours of training, editing, asking and generation of all rows and seeds, one worker after the other.

    Rows that act after training share the training of the baseline, which counts once.
    """
    return sum(_seconds(row) * max(len(row.seeds), 1) for row in rows) / 3600


def _seconds(row: Row) -> float:
    """Of one seed."""
    if row.cost is None:
        return 0.0
    trains = row.baseline or Stage.TRAINING.value in row.stage.split("+")
    asked = (scored.evaluations.seconds for scored in (row.queries or {}).values() if scored.evaluations is not None)
    return (row.cost.training.seconds if trains else 0.0) + row.cost.editing.seconds + row.cost.sampling.seconds + sum(asked)
