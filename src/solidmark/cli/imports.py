"""Imports: the models of an exported folder, taken over into a store after every file has been checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import provenance
from ..errors import DamagedFile, InvalidValue
from ..store import Entry, Store, check_entry
from .export_names import ABOUT, ENTRIES, SCHEMA

CURE = "Fetch the whole folder again."


@dataclass(frozen=True)
class Adopted:
    """An entry that the store has now, and in words whether the benchmark takes it."""

    entry: Entry
    use: str


def adopt(folder: Path, store: Store) -> list[Adopted]:
    """Take over all entries of an export. No file is unpickled, and nothing outside the folder is read.

    Raises InvalidValue where the folder is no export, DamagedFile where a file is missing, altered, a link, beside the
    listed ones of an entry, or of a newer schema; then the store is as it was.
    """
    about = _about(folder)
    _check_files(folder, about)
    entries = [folder / ENTRIES / name for name in about["entries"]]
    for entry in entries:
        check_entry(entry)
    return [Adopted(adopted := store.adopt(entry), _use(adopted)) for entry in entries]


def _about(folder: Path) -> Mapping[str, Any]:
    path = folder / ABOUT
    if not path.is_file():
        cure = "Give a folder that `solidmark store export` has written."
        raise InvalidValue("solidmark store import", f"{folder} without {ABOUT}", "an exported folder", cure)
    try:
        about: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        schema = about["schema"]
        whole = isinstance(about["files"], dict) and all(_is_name(name) for name in about["entries"])
    except (ValueError, KeyError, TypeError) as cause:
        raise DamagedFile(str(path), f"{type(cause).__name__}: {cause}", SCHEMA, CURE) from cause
    if schema != SCHEMA:
        raise DamagedFile(str(path), f"schema {str(schema)[:60]}", SCHEMA, "Install a newer solidmark to read it.")
    if not whole:
        raise DamagedFile(str(path), "no files, or entries that are no names", SCHEMA, CURE)
    return about


def _is_name(name: object) -> bool:
    return isinstance(name, str) and len(name) == 64 and set(name) <= set("0123456789abcdef")


def _check_files(folder: Path, about: Mapping[str, Any]) -> None:
    """That every file is there as it was written, and none besides in an entry."""
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links:
        raise DamagedFile(str(links[0]), "a link", "files alone", "Do not trust it.")
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    missing = sorted(set(about["files"]) - set(found))
    if missing:
        raise DamagedFile(str(folder), f"no {missing[0]}", "every file of the export", CURE)
    added = sorted(name for name in set(found) - set(about["files"]) - {ABOUT} if name.startswith(f"{ENTRIES}/"))
    if added:
        raise DamagedFile(str(folder), f"{added[0]}, which is not listed", "the files of the export alone", CURE)
    for label, sha in about["files"].items():
        with found[label].open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != sha:
                raise DamagedFile(str(found[label]), "other bytes than the export states", "the file as written", CURE)


def _use(entry: Entry) -> str:
    """Whether today's code, libraries and devices would make this very entry."""
    today = {"core": provenance.core_digest(provenance.TRAINING), "libraries": provenance.libraries()}
    other = [name for name, value in today.items() if entry.key.get(name) != value]
    if not other:
        return "the benchmark takes it"
    words = {"core": "another version of solidmark", "libraries": "other libraries"}
    made = " and ".join(words[name] for name in other)
    return f"made with {made}, so the benchmark trains its own; ask this one as a pipeline"
