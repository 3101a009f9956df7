"""Image sets: images with captions, from a folder, webdataset tars, Parquet, or under a name of `datasets`."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidValue
from . import sources, tables, tars

Stream = Callable[[Sequence[int]], Iterator[tuple[int, bytes]]]
"""What gives (index, file) of each wanted image, in any order."""
FILES = (".tar", ".gz", ".tgz", ".parquet")
"""How names end that are of files, so that none of them is looked for on a hub where the file is missing."""


@dataclass(frozen=True)
class ImageSource:
    """Images in their own order: `names`, which tell a user which is which, and `captions`. `digest` is of all of it.

    `stream(indices)` gives (index, file) of each wanted image, in any order.
    """

    where: str
    names: list[str]
    captions: list[str]
    digest: str
    stream: Stream


def find(
    source: str,
    beside: Path,
    caption_column: str = "",
    image_column: str = "image",
    split: str = "train",
    where: str = "images.source",
) -> ImageSource:
    """The images that `source` names, a path being relative to the folder `beside`; `where` a user has said so.

    Raises InvalidValue for what is none of them, DamagedFile for what cannot be read, NotApplicable without a package.
    """
    place = beside / source
    if place.is_dir():
        return _folder(place, caption_column)
    files = [place] if place.is_file() else [Path(name) for name in sorted(glob.glob(str(place)))]
    kinds = {"".join(path.suffixes[-2:]) if path.suffix == ".gz" else path.suffix for path in files}
    if files and kinds <= {".tar", ".tar.gz", ".tgz"}:
        return _source(source, *tars.read(files, caption_column))
    if files and kinds == {".parquet"}:
        return _source(source, *tables.read_parquet(files, caption_column, image_column))
    if files or Path(source).suffix in FILES or not tables.NAME.fullmatch(source):
        found = f"files {', '.join(sorted(kinds))}" if files else f"no folder or file {source!r}"
        expected, cure = (
            "a folder, .tar, .parquet, or a name of `datasets`",
            f"Give one; the path is relative to {beside.resolve()}.",
        )
        raise InvalidValue(where, found, expected, cure)
    return _source(source, *tables.read_dataset(source, split, caption_column, image_column, where))


def _source(where: str, names: list[str], captions: list[str], digest: str, stream: Stream) -> ImageSource:
    """A source whose digest tells other captions of the same files apart."""
    told = hashlib.sha256(json.dumps([digest, names, captions]).encode()).hexdigest()
    return ImageSource(where, names, captions, told, stream)


def _folder(folder: Path, caption_column: str) -> ImageSource:
    found = sources.find(folder, caption_column or None)
    files = [image.file for image in found.images]

    def stream(indices: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        for index in sorted(indices):
            yield index, (folder / files[index]).read_bytes()

    if found.left_out:
        name, why = next(iter(found.left_out.items()))
        more = f", and {len(found.left_out) - 1} more" if found.left_out.keys() - {name} else ""
        raise InvalidValue(folder.name, f"{name}: {why}{more}", "PNG, JPEG or WebP alone", "Convert or remove it.")
    captions = [str(image.columns[found.caption_column]) for image in found.images]
    return _source(folder.name, files, captions, found.digest, stream)
