"""Pictures of a run, small enough to be committed: those that the gallery of a page shows, of one seed.

python design/kept_pictures.py runs/latest results/latent-emoji 0

Writes `pictures/<case_id>.parquet` for each sound case of that seed. Of its first query's images that have pictures it keeps
the trained one that is remembered best, the one that is least, the first, and a held-out one, with what was generated from
their captions. `per_image/` of the run has all images and queries, from which `solidmark compare` pairs rows; this has not.
Pictures in colour are kept in 64 colours each, which is a third of their size; those in gray as they are.
"""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from solidmark.reports.gallery import CONTENT, KEPT

from solidmark.records import read, write_bytes
from solidmark.schema.record import CaseRecord

COLOURS = 64
"""Colours of a picture that is kept."""

NAMED = ["query", "image", "caption", "trained", "key", "prediction", "combined_p"]
PICTURES = ["as_trained", "as_asked", "as_answered", "tile", "tile_p", "as_generated"]


def slim(table: pd.DataFrame, query: str) -> pd.DataFrame:
    """The rows and columns of a per-image table that the gallery reads, numbers in single precision."""
    asked = table[(table["query"] == query) & table["as_answered"].notna()]
    known = asked["trained"].astype(bool)
    ranked = asked[known].sort_values("combined_p")
    chosen = [ranked.iloc[[0, -1]], asked[known].iloc[:1], asked[~known].iloc[:1]]
    asked = asked.loc[sorted({index for part in chosen for index in part.index})]
    generated = table[(table["query"] == CONTENT) & table["as_generated"].notna() & table["image"].isin(asked["image"])]
    kept = pd.concat([asked, generated], ignore_index=True)[[*NAMED, *PICTURES]]
    for column in ("as_trained", "as_asked", "as_answered", "as_generated"):
        kept[column] = [_few_colours(each) if isinstance(each, bytes) else None for each in kept[column]]
    for column in ("key", "prediction", "tile_p"):
        kept[column] = [None if each is None else np.asarray(each, dtype=np.float32) for each in kept[column]]
    return kept


def _few_colours(png: bytes) -> bytes:
    """A picture in colour with a palette."""
    image, buffer = Image.open(io.BytesIO(png)), io.BytesIO()
    if image.mode != "RGB":
        return png
    image.quantize(COLOURS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def keep(run: Path, into: Path, record: CaseRecord) -> int:
    """Write the pictures of a case; how many bytes they take."""
    table = pd.read_parquet(run / "per_image" / f"{record['case_id']}.parquet")
    buffer = io.BytesIO()
    kept = slim(table, next(iter(record["queries"])))
    kept.to_parquet(buffer, index=False, compression="zstd", write_statistics=False)
    write_bytes(into / KEPT / f"{record['case_id']}.parquet", buffer.getvalue())
    return len(buffer.getvalue())


if __name__ == "__main__":
    run, into, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    cases = [one for one in read(run).records if one["event"] == "case" and one["status"] == "ok" and one["seed"] == seed]
    sizes = [keep(run, into, case) for case in cases]
    print(f"{len(sizes)} cases, {sum(sizes) / 1e6:.2f} MB")
