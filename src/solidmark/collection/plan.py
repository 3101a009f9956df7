"""The plan of a marking: which image goes where, with which keys."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from . import draws
from .ledger import Part
from .painting import Style, Task
from .sources import Sources


def tasks(
    found: Sources, images: Path, folders: dict[Part, Path], style: Style, hold_out: float, secret: bytes
) -> list[Task]:
    """What is to be painted, in the order of names; `folders` are where the images of each split go."""
    held = draws.held_out(secret, (image.sha256 for image in found.images), hold_out)
    names = targets([image.file for image in found.images])
    return [
        _task(number, image.file, image.sha256, name, images, folders, style, secret, image.sha256 in held)
        for number, (image, name) in enumerate(zip(found.images, names, strict=True))
    ]


def _task(
    number: int,
    file: str,
    sha256: str,
    name: str,
    images: Path,
    folders: dict[Part, Path],
    style: Style,
    secret: bytes,
    held: bool,
) -> Task:
    split: Part = "held-out" if held else "trained"
    keys = tuple(draws.keys_of(secret, sha256, style.segments).tolist())
    return Task(number, file, images / file, sha256, split, name, folders[split] / name, keys, style)


def targets(files: list[str]) -> list[str]:
    """Names of the marked files: with the suffix .png, or with .png behind the whole name where two would be one."""
    plain = [str(PurePosixPath(file).with_suffix(".png")) for file in files]
    whole = [f"{file}.png" for file in files]
    counts: dict[str, int] = {}
    for name in (*plain, *whole):
        counts[name.casefold()] = counts.get(name.casefold(), 0) + 1
    return [short if counts[short.casefold()] == 1 else long for short, long in zip(plain, whole, strict=True)]


def sweep(planned: list[Task]) -> None:
    """Remove the drafts that killed processes have left beside planned files."""
    names = {task.target for task in planned}
    for folder in {task.target.parent for task in planned}:
        for path in folder.glob(".*") if folder.is_dir() else ():
            draft = re.fullmatch(r"\.(.+)\.\d+", path.name)
            if draft and path.with_name(draft[1]) in names:
                path.unlink(missing_ok=True)
