"""A data set as a folder of images with a table of captions, for what works on files."""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from .. import records
from ..errors import InvalidValue
from .image_sets import ImageSource, find
from .sources import COLUMNS

OURS = re.compile(r"metadata\.jsonl|\d{8}\.(png|jpg|webp)|\..*")
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
"""Of the formats that are read; what is none of them is called a PNG, so that whoever reads it says what is wrong."""


@contextmanager
def unpacked(
    source: str, folder: Path, caption_column: str | None = None, image_column: str = "image", split: str = "train"
) -> Iterator[Path]:
    """The new folder of a data set's images as they are, and of their captions; it is removed at the end.

    `source` is what `find` takes. Files are called by their number, the column `source` has their names; nothing is decoded
    or changed. Where an interruption has left the folder, what stands in it is kept. Raises what `find` raises, and
    InvalidValue for a folder with files of others.
    """
    found = find(source, Path(), caption_column or "", image_column, split, "IMAGES")
    if folder.exists() and (strange := [path.name for path in folder.iterdir() if not OURS.fullmatch(path.name)]):
        raise InvalidValue(str(folder), f"a file {strange[0]}", f"a place to unpack {source}", "Move that folder elsewhere.")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        _write(found, folder, caption_column or COLUMNS[0])
        yield folder
    except Exception:
        shutil.rmtree(folder)
        raise
    shutil.rmtree(folder)


def _write(found: ImageSource, folder: Path, column: str) -> None:
    """Write each image that is not there yet, and the table."""
    files = [""] * len(found.names)
    for index, data in found.stream(range(len(found.names))):
        path = folder / f"{index:08}{_suffix(data)}"
        if not path.is_file() or path.stat().st_size != len(data):
            path.write_bytes(data)
        files[index] = path.name
    rows = zip(files, found.captions, found.names, strict=True)
    lines = (
        json.dumps({"file_name": file, column: caption, "source": name}, ensure_ascii=False) for file, caption, name in rows
    )
    records.write_text(folder / "metadata.jsonl", "".join(f"{line}\n" for line in lines))


def _suffix(data: bytes) -> str:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            return SUFFIXES.get(str(picture.format), ".png")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return ".png"
