"""Per image and query, what was asked, answered and scored, as one Parquet file a case."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .. import records
from ..data import join
from ..metrics import content, patches, scores
from ..metrics.scores import Array
from ..schema.record import PerImageBlock
from ..split import Split
from .content import Content
from .responses import Responses

SHOWN = 6
"""Trained images that the gallery shows; half as many held-out ones stand beside them."""


CONTENT = "content"
"""What stands for a query in the rows of content, which have no keys."""


def write(
    case_id: str, split: Split, responses: Mapping[str, Responses], run: Path, shown: Content | None = None
) -> PerImageBlock:
    """Write `per_image/<case_id>.parquet`, whole or not at all, and say where it is and how many rows it has."""
    tables = [_table(name, one, split) for name, one in responses.items()]
    tables += [] if shown is None else [_content_table(shown, split)]
    buffer = io.BytesIO()
    pd.concat(tables, ignore_index=True).to_parquet(buffer, index=False)
    records.write_bytes(run / "per_image" / f"{case_id}.parquet", buffer.getvalue())
    return {"path": f"per_image/{case_id}.parquet", "rows": sum(map(len, tables))}


def _content_table(shown: Content, split: Split) -> pd.DataFrame:
    """A row an image: scores and exact p-values by name, those of its tiles, row by row, and its picture, cropped."""
    examples, count, pictures = join([split.trained, split.held_out]), len(split.trained), shown.views.pictures
    columns: dict[str, Any] = {**_who(CONTENT, split)}
    for name, each in shown.each.items():
        columns |= {f"content_{name}": each, f"content_{name}_p": _content_p(each, count)}
    tiles = np.stack([_content_p(shown.tiles[:, place], count) for place in range(shown.tiles.shape[1])], axis=1)
    columns |= {"tile": patches.tile_side(*pictures.shape[-2:]), "tile_p": list(tiles)}
    columns["as_generated"] = [
        _png(torch.from_numpy(pictures[shown.shown[index]])) if index in _shown(count) else None
        for index in range(len(examples))
    ]
    return pd.DataFrame(columns)


def _content_p(each: Array, count: int) -> Array:
    """(N,): trained scores ranked among the held-out ones, held-out scores among the others of them."""
    held_out = each[count:]
    return np.concatenate([content.conformal_p(each[:count], held_out), patches.rank_among_others(held_out)])


def _shown(count: int) -> set[int]:
    return {*range(min(SHOWN, count)), *range(count, count + SHOWN // 2)}


def _who(query: str, split: Split) -> dict[str, Any]:
    examples, count = join([split.trained, split.held_out]), len(split.trained)
    return {
        "query": query,
        "image": examples.ids,
        "caption": examples.captions,
        "trained": [index < count for index in range(len(examples))],
        "forget": [index in set(split.forget) for index in range(len(examples))],
    }


def _table(name: str, responses: Responses, split: Split) -> pd.DataFrame:
    examples, keys = join([split.trained, split.held_out]), torch.cat([split.trained_keys, split.held_out_keys])
    count, truth = len(split.trained), keys.double().numpy()
    p = scores.p_values(responses.keys, truth)
    columns: dict[str, Any] = {
        **_who(name, split),
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
    shown = _shown(count)
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
