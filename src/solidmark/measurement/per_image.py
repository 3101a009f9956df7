"""Items: per image and query, what was asked, answered and scored, as one Parquet file a case."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import torch
from torch import Tensor

from .. import records
from ..data import join
from ..metrics import scores
from ..testbed import Board

if TYPE_CHECKING:
    from .responses import Asked

SHOWN = 6
"""Trained images that the gallery shows; half as many held-out ones stand beside them."""


def write(case_id: str, board: Board, asked: Mapping[str, Asked], run: Path) -> dict[str, Any]:
    """Write `items/<case_id>.parquet`, whole or not at all, and say where it is and how many rows it has."""
    tables = [_table(name, one, board) for name, one in asked.items()]
    buffer = io.BytesIO()
    pd.concat(tables, ignore_index=True).to_parquet(buffer, index=False)
    records.write_bytes(run / "items" / f"{case_id}.parquet", buffer.getvalue())
    return {"path": f"items/{case_id}.parquet", "rows": sum(map(len, tables))}


def _table(name: str, asked: Asked, board: Board) -> pd.DataFrame:
    examples, keys = join([board.trained, board.held_out]), torch.cat([board.trained_keys, board.held_out_keys])
    count, truth = len(board.trained), keys.double().numpy()
    p = scores.p_values(asked.keys, truth)
    columns: dict[str, Any] = {
        "query": name,
        "image": examples.ids,
        "caption": examples.captions,
        "trained": [place < count for place in range(len(examples))],
        "forget": [place in set(board.forget) for place in range(len(examples))],
        "key": list(truth),
        "prediction": list(asked.keys),
        "distance": list(scores.distances(asked.keys, truth)),
        "p_value": list(p),
        "combined_p": scores.combine(p),
    }
    pictures = {
        "as_trained": board.marked(examples, keys).images,
        "as_asked": board.asked.images,
        "as_answered": asked.images,
    }
    shown = {*range(min(SHOWN, count)), *range(count, count + SHOWN // 2)}
    for column, images in pictures.items():
        columns[column] = [
            _png(images[place]) if images is not None and place in shown else None for place in range(len(examples))
        ]
    return pd.DataFrame(columns)


def _png(image: Tensor) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    pixels = (image * 255).round().byte().permute(1, 2, 0).squeeze(-1).numpy()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
