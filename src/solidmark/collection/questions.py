"""Questions: what is asked of a model, of which collection, and what an answer is."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

from ..errors import DamagedFile, InvalidValue
from . import pictures
from .layouts import Pixels
from .ledger import HELD_OUT, Ledger, Row, manifest

LEDGER = ".ledger"
"""How the folder of a ledger is called behind the name of OUT."""


@dataclass(frozen=True)
class Query:
    """How a model is asked; None is the pipeline's own number.

    `limit` is the most images of each split (None: all), `resolution` the side in pixels that the model answers at (None:
    that of the marked image); for `every` see `pipelines.held`. With `content` every image is also generated from its
    caption alone. Without `captions` they are kept from the model, as a pipeline that takes none wants it. Where no image
    has one, a pipeline that takes prompts is asked by empty ones.
    """

    steps: int | None = None
    guidance: float | None = None
    batch: int = 1
    every: int = 4
    seed: int = 0
    limit: int | None = None
    resolution: int | None = None
    content: bool = False
    captions: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "limit", "resolution"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise InvalidValue(f"--{name}", number, "at least 1", "Give a larger number.")
        if self.resolution is not None and self.resolution**2 > pictures.LARGEST:
            expected = f"at most {pictures.LARGEST:,} pixels in all"
            raise InvalidValue("--resolution", self.resolution, expected, "Give the side of the model's images.")
        if self.guidance is not None and not math.isfinite(self.guidance):
            raise InvalidValue("--guidance", self.guidance, "a finite number", "Leave it away for the pipeline's own.")


@dataclass(frozen=True)
class Collection:
    """A ledger with the folders of its marked files: `marked` is OUT, `folder` that of the ledger."""

    ledger: Ledger
    marked: Path
    folder: Path

    def read(self, row: Row) -> Pixels:
        """The marked picture. Raises InvalidValue where it is missing, DamagedFile where it is not the one of the ledger."""
        path = (self.marked if row.split == "trained" else self.folder / HELD_OUT) / row.marked
        try:
            data = path.read_bytes()
        except OSError as cause:
            cure = "Give the OUT that belongs to this ledger with --marked."
            raise InvalidValue(str(path), f"{cause.strerror}", "the marked image", cure) from cause
        if hashlib.sha256(data).hexdigest() != row.marked_sha256:
            cure = "Give the folders as `solidmark mark` wrote them."
            raise DamagedFile(str(path), "another file than the ledger's", row.marked_sha256[:12], cure)
        return pictures.decode(data, str(path))[0]

    @property
    def captioned(self) -> bool:
        """Whether any image has a caption."""
        return any(row.caption for row in self.ledger.rows)

    def colour(self, row: Row) -> Pixels:
        """The same as a training in RGB sees it."""
        return pictures.as_colour(self.read(row))


def handed_out(folder: Path, marked: Path | None, where: str) -> Path:
    """The marked images of the ledger in `folder`: as stated, else those of the same name without `.ledger`.

    Raises InvalidValue where nothing tells.
    """
    if marked is not None:
        return marked
    if (folder := _named(folder)).suffix != LEDGER:
        manifest(folder)  # whoever names the images instead is told so
        raise InvalidValue(
            where, f"a ledger in {folder}, and no images", "the marked images", "Give the folder that was handed out."
        )
    return folder.with_suffix("")


def default_into(folder: Path) -> Path:
    """Where a measurement goes that says nothing of it: `photos.measured` beside the ledger `photos.ledger`."""
    folder = _named(folder)
    return folder.with_name(f"{folder.name.removesuffix(LEDGER)}.measured")


def default_ledger(out: Path) -> Path:
    """Where the ledger of a marking goes that says nothing of it: `photos.ledger` beside `photos`."""
    out = _named(out)
    return out.with_name(f"{out.name}{LEDGER}")


def _named(folder: Path) -> Path:
    """A folder by a name of its own, also where it was called `.` or `..`. Raises InvalidValue for the root."""
    named = folder if folder.name not in ("", "..") else folder.resolve()
    if not named.name:
        raise InvalidValue(str(folder), "the root of all files", "a folder", "Choose another folder.")
    return named


def check_outside(into: Path, *folders: Path) -> None:
    """Raises InvalidValue where `into` is one of these folders or lies in it: what is written has keys, or is no image."""
    for folder in folders:
        if into.resolve().is_relative_to(folder.resolve()):
            found = (
                "a folder that is handed out or kept secret"
                if into.resolve() == folder.resolve()
                else f"a folder in {folder}"
            )
            raise InvalidValue(str(into), found, f"one outside of {folder}", "Choose another folder with --into.")


@dataclass(frozen=True)
class Answer:
    """What a model answered for a row: (S,) predicted keys, and whether it refused (then they are gray).

    `content` is the score of the picture that its caption gave; None where that was not asked.
    """

    number: int
    prediction: tuple[float, ...]
    refused: bool
    content: float | None = None


@dataclass(frozen=True)
class Group:
    """The answers to one group, with the pictures as asked and as answered, and what the model's door warns of.

    Pictures are as large as the marked ones.
    """

    answers: list[Answer]
    asked: list[Pixels]
    answered: list[Pixels]
    warnings: list[str]
