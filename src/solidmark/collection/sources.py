"""Sources: the image files of a folder, and the captions that belong to them."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DamagedFile, InvalidValue, cleaned

READ = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".webp"})
KNOWN = READ | frozenset(
    {".apng", ".avif", ".bmp", ".gif", ".heic", ".heif", ".jp2", ".jxl", ".psd", ".tga", ".tif", ".tiff"}
)
"""Suffixes of images; a file of a kind that is not read is left out aloud, any other file is none of ours."""

TABLES = ("metadata.csv", "metadata.jsonl")
FILE_NAME = "file_name"
"""The column of a table that names the image."""
COLUMNS = ("text", "caption", "prompt")
"""Where captions are looked for in a table, in this order."""

Columns = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """An image file: its path within the folder, the sha256 of its bytes, and its columns of the table it came with."""

    file: str
    sha256: str
    columns: Columns


@dataclass(frozen=True)
class Sources:
    """The images of a folder in the order of their names, why others were left out, and the column that has captions."""

    images: list[Source]
    caption_column: str
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """sha256 of names, contents and columns: a marking that goes on must find what it began with."""
        found = hashlib.sha256()
        for image in self.images:
            found.update(json.dumps([image.file, image.sha256, image.columns], sort_keys=True).encode() + b"\n")
        return found.hexdigest()


def find(folder: Path, caption_column: str | None = None) -> Sources:
    """The images below a folder with their captions, from `metadata.csv`, `metadata.jsonl` or a `.txt` beside each.

    Linked files are read, linked folders are not entered, so no circle of links is followed. Raises InvalidValue where
    there is no image, an image has two captions, or a table names a file that is not there.
    """
    if not folder.is_dir():
        raise InvalidValue(str(folder), "no folder", "a folder of images", "Give the folder that has them.")
    paths, tables, left_out = _walk(folder)
    rows = _rows(folder, tables)
    column = _caption_column(rows, caption_column)
    _check_rows(folder, rows, {*paths, *left_out})
    images = []
    for file, path in sorted(paths.items()):
        try:
            columns = _with_sidecar(path, rows.get(file, {}), column)
            images.append(Source(file, _sha256(path), columns))
        except OSError as cause:
            left_out[file] = f"{cause.strerror or cause}"
    if not images:
        why = f", {len(left_out)} left out, such as {next(iter(left_out.items()))}" if left_out else ""
        raise InvalidValue(str(folder), f"no image{why}", "PNG, JPEG or WebP files", "Give the folder that has them.")
    return Sources(images, column, left_out)


def _walk(folder: Path) -> tuple[dict[str, Path], list[Path], dict[str, str]]:
    """Image files by their path within the folder, tables, and what was left out with the reason."""
    paths: dict[str, Path] = {}
    tables: list[Path] = []
    left_out: dict[str, str] = {}
    for path in _files(folder):
        file, suffix = path.relative_to(folder).as_posix(), path.suffix.lower()
        if path.name in TABLES:
            tables.append(path)
        elif suffix in KNOWN and not _can_be_written(file):
            left_out[ascii(file)] = "a name with control characters, or not in UTF-8: rename it"
        elif suffix in READ and path.is_file():
            paths[file] = path
        elif suffix in READ:
            left_out[file] = "a link to nowhere, or no plain file"
        elif suffix in KNOWN:
            left_out[file] = f"{suffix} is not read: convert it to PNG"
    return paths, tables, left_out


def _files(folder: Path) -> Iterator[Path]:
    """All files that are not hidden, in order."""
    for root, folders, files in os.walk(folder, onerror=_refused, followlinks=False):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(root, name) for name in sorted(files) if not name.startswith("."))


def _refused(cause: OSError) -> None:
    raise InvalidValue(str(cause.filename), f"{cause.strerror}", "a folder that can be read", "Change its mode.") from cause


def _can_be_written(text: str) -> bool:
    """Whether a name can stand in a ledger and on a console."""
    return cleaned(text) == text and not {"\n", "\t"} & set(text)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _rows(folder: Path, tables: list[Path]) -> dict[str, Columns]:
    """The columns of every image that a table names, by its path within the folder."""
    rows: dict[str, Columns] = {}
    for table in tables:
        below = table.parent.relative_to(folder)
        for where, columns in _read(table):
            name = columns.pop(FILE_NAME, None)
            if not isinstance(name, str) or not name or Path(name).is_absolute() or ".." in Path(name).parts:
                cure = "Name each image by its path below the table's folder."
                raise InvalidValue(where, f"{FILE_NAME} {name!r}", "a relative path without ..", cure)
            file = (below / name).as_posix()
            if file in rows:
                raise InvalidValue(where, f"a second line for {file}", "one line an image", "Remove one of them.")
            rows[file] = columns
    return rows


def _read(table: Path) -> Iterator[tuple[str, Columns]]:
    """Each row of a table with its place. Raises DamagedFile for what is no table."""
    try:
        text = table.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as cause:
        raise DamagedFile(str(table), f"{cause}", "a text in UTF-8", "Save it anew.") from cause
    yield from _csv_rows(table, text) if table.suffix == ".csv" else _json_rows(table, text)


def _csv_rows(table: Path, text: str) -> Iterator[tuple[str, Columns]]:
    try:
        reader = csv.DictReader(io.StringIO(text, newline=""))
        rows, names = list(reader), list(reader.fieldnames or [])
    except csv.Error as cause:
        raise DamagedFile(str(table), f"{cause}", "a table", "Write it as metadata.jsonl.") from cause
    if twice := [name for name in names if names.count(name) > 1]:
        raise DamagedFile(str(table), f"two columns {twice[0]!r}", "one column a name", "Rename or remove one of them.")
    if names and FILE_NAME not in names:
        found, cure = f"columns {', '.join(names)}", "Name the column of the images so, and part columns with commas."
        raise DamagedFile(str(table), found, f"a column {FILE_NAME}", cure)
    for number, columns in enumerate(rows, start=1):
        if None in columns or None in columns.values():
            found, cure = "more or fewer values than columns", "Quote texts that have commas."
            raise DamagedFile(f"{table}, row {number}", found, "one value a column", cure)
        yield f"{table}, row {number}", dict(columns)


def _json_rows(table: Path, text: str) -> Iterator[tuple[str, Columns]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{table}, line {number}"
        try:
            columns = json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as cause:
            raise DamagedFile(where, f"{cause}", "a JSON object", "Correct the line.") from cause
        if not isinstance(columns, dict):
            raise DamagedFile(where, line[:60], "a JSON object", "Correct the line.")
        yield where, columns


def _once(pairs: list[tuple[str, Any]]) -> Columns:
    """An object of JSON, whose names a stranger may have twice: the last would count, and nobody be told."""
    names = [name for name, _ in pairs]
    if twice := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"{twice[0]!r} twice")
    return dict(pairs)


def _caption_column(rows: dict[str, Columns], stated: str | None) -> str:
    """The column that has the captions: as stated, else the first of `COLUMNS` that a table has, else `text`."""
    names = {name for columns in rows.values() for name in columns}
    if stated is not None and rows and stated not in names:
        found = f"columns {', '.join(sorted(names)) or '(none)'}"
        raise InvalidValue("--caption-column", found, stated, "Name one of those.")
    chosen = stated or next((name for name in COLUMNS if name in names), None)
    if chosen is None and names:
        found = f"columns {', '.join(sorted(names))}"
        raise InvalidValue("metadata", found, f"one of {', '.join(COLUMNS)}", "Name it with --caption-column.")
    return chosen or COLUMNS[0]


def _check_rows(folder: Path, rows: dict[str, Columns], present: set[str]) -> None:
    missing = sorted(set(rows) - present)
    if missing:
        found = f"a line for {missing[0]}, which is not there" + (f", and {len(missing) - 1} more" if missing[1:] else "")
        raise InvalidValue(
            f"metadata of {folder}", found, "lines of images in the folder", "Remove the line, or add the image."
        )


def _with_sidecar(path: Path, columns: Columns, column: str) -> Columns:
    """The columns of an image with its caption, a text: from the table, or from the `.txt` beside it; "" without any."""
    beside = path.with_suffix(".txt")
    told = columns.get(column)
    if isinstance(told, str) and told.encode(errors="replace").decode() != told:
        raise InvalidValue(str(path), f"caption {told!a}", "a text in Unicode", "Correct the caption.")
    if told is not None and not isinstance(told, str):
        raise InvalidValue(str(path), f"caption {told!r}", "a text", "Put quotation marks round it.")
    if not beside.is_file():
        return {**columns, column: told or ""}
    if told:
        raise InvalidValue(str(path), f"a caption in a table and one in {beside.name}", "one", "Remove one of them.")
    try:
        return {**columns, column: beside.read_bytes().decode("utf-8-sig").strip()}
    except UnicodeDecodeError as cause:
        raise DamagedFile(str(beside), f"{cause}", "a text in UTF-8", "Save it anew.") from cause


def relation(images: Path, out: Path) -> None:
    """Raises InvalidValue where one of two folders lies in the other: the next marking would mark the marked."""
    inner, outer = out.resolve(), images.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise InvalidValue(str(out), f"a folder that shares files with {images}", "one outside of it", "Choose another OUT.")
