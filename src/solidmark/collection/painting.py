"""Painting: one image file to one marked PNG. It runs in processes of its own, which share nothing but files."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .. import records
from ..errors import InvalidValue
from . import pictures
from .layouts import fitting
from .ledger import Part


@dataclass(frozen=True)
class Style:
    """How images are marked: keys, thickness of the border (None follows the image), inside or round it, a square's size."""

    segments: int = 8
    thickness: int | None = None
    inside: bool = False
    size: int | None = None


@dataclass(frozen=True)
class Task:
    """An image to be marked: its place in the order, what is known of its file, its split, where it goes, its keys.

    `marked` is the path of the marked file within the folder of its split, `target` the same file from here.
    """

    number: int
    file: str
    path: Path
    sha256: str
    split: Part
    marked: str
    target: Path
    keys: tuple[float, ...]
    style: Style


@dataclass(frozen=True)
class Painted:
    """What became of a task: the marked file's digest and layout, or the reason why it was left out."""

    number: int
    sha256: str = ""
    size: int = 0
    height: int = 0
    width: int = 0
    thickness: int = 0
    colour: bool = False
    done: str = ""
    reason: str = ""


def paint(task: Task) -> Painted:
    """Read, mark and write one image. Raises InvalidValue where the disk refuses; a bad image is a reason, no error."""
    try:
        data = task.path.read_bytes()
        if hashlib.sha256(data).hexdigest() != task.sha256:
            raise InvalidValue(task.file, "other bytes than a moment ago", "a file at rest", "Mark it again.")
        picture, done = pictures.decode(data, task.file, task.style.size)
        height, width = picture.shape[:2]
        layout = fitting(height, width, task.style.segments, task.style.thickness, inside=task.style.inside)
    except InvalidValue as bad:
        return Painted(task.number, reason=f"found {bad.found}; expected {bad.expected}. {bad.cure}")
    except OSError as cause:
        return Painted(task.number, reason=f"{cause.strerror}: check the file")
    content = pictures.encode(layout.paint(layout.canvas(picture), np.array(task.keys)))
    records.write_bytes(task.target, content)
    return Painted(
        task.number,
        hashlib.sha256(content).hexdigest(),
        len(content),
        layout.height,
        layout.width,
        layout.thickness,
        picture.ndim == 3,
        done,
    )
