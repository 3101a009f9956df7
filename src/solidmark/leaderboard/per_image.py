"""Per image: what one query predicted of the images that a row answers for, read from the files that runs left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..schema.row import Row
from .paired import Array

FOLDERS = ("per_image", "items")
"""Where the files of a run are, in newer runs and in older ones."""


@dataclass(frozen=True)
class Answers:
    """Predicted and true keys, (N, S) each, of N images by name."""

    images: tuple[str, ...]
    predictions: Array
    keys: Array


def answers(runs: Sequence[Path], row: Row, seed: int, query: str) -> Answers | None:
    """What `query` predicted in one seed of a row; None where no run has a file that can be read.

    Of a row that is to forget some images, these are they.
    """
    case = next((attempt.case_id for attempt in row.attempts if attempt.seed == seed), "")
    for path in (run / folder / f"{case}.parquet" for run in runs for folder in FOLDERS):
        if path.is_file() and (found := _read(path, query, forget="forget list" in row.needs)) is not None:
            return found
    return None


def _read(path: Path, query: str, *, forget: bool) -> Answers | None:
    import pandas as pd

    try:
        names = ["query", "image", "trained", "forget", "key", "prediction"]
        table = pd.read_parquet(path, columns=names)
        asked = table[(table["query"] == query) & table["trained"] & (table["forget"] if forget else True)]
        keys, predictions = (np.stack(asked[name].to_list()).astype(np.float64) for name in ("key", "prediction"))
    except (OSError, ValueError, KeyError, TypeError):  # damaged, or of an older form
        return None
    return Answers(tuple(map(str, asked["image"])), predictions, keys)
