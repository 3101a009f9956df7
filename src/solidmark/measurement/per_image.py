"""Per image and query, what was asked, answered and scored, as one Parquet file a case."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from .. import records
from ..data import join
from ..metrics import scores
from ..schema.record import PerImageBlock
from ..split import Split
from .answers import Responses

SHOWN = 6
"""Trained images that the gallery shows; half as many held-out ones stand beside them."""


def write(case_id: str, split: Split, responses: Mapping[str, Responses], run: Path) -> PerImageBlock:
    """Write `per_image/<case_id>.parquet`, whole or not at all, and say where it is and how many rows it has."""
    tables = [_table(name, one, split) for name, one in responses.items()]
    buffer = io.BytesIO()
    pd.concat(tables, ignore_index=True).to_parquet(buffer, index=False)
    records.write_bytes(run / "per_image" / f"{case_id}.parquet", buffer.getvalue())
    return {"path": f"per_image/{case_id}.parquet", "rows": sum(map(len, tables))}


def _table(name: str, responses: Responses, split: Split) -> pd.DataFrame:
    examples, keys = join([split.trained, split.held_out]), torch.cat([split.trained_keys, split.held_out_keys])
    count, truth = len(split.trained), keys.double().numpy()
    p = scores.p_values(responses.keys, truth)
    columns: dict[str, Any] = {
        "query": name,
        "image": examples.ids,
        "caption": examples.captions,
        "trained": [index < count for index in range(len(examples))],
        "forget": [index in set(split.forget) for index in range(len(examples))],
        "key": list(truth),
        "prediction": list(responses.keys),
        "distance": list(scores.distances(responses.keys, truth)),
        "p_value": list(p),
        "combined_p": scores.combine(p),
    }
    pictures = {
        "as_trained": split.marked(examples, keys).images,
        "as_asked": split.queried.images,
        "as_answered": responses.images,
    }
    shown = {*range(min(SHOWN, count)), *range(count, count + SHOWN // 2)}
    for column, images in pictures.items():
        columns[column] = [
            _png(images[index]) if images is not None and index in shown else None for index in range(len(examples))
        ]
    return pd.DataFrame(columns)


def _png(image: Tensor) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    pixels = (image * 255).round().byte().permute(1, 2, 0).squeeze(-1).numpy()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()
