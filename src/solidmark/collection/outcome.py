"""The outcome of a measurement: what its record holds, and the names of its files. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NotRequired

from typing_extensions import TypedDict

from ..schema.record import ContentScoreBlock
from .verdict import Verdict

SCHEMA = "solidmark.collection/1"
RECORD, TABLE, ASKED, ANSWERS = "record.json", "per_image.parquet", "asked", "answers"


class Model(TypedDict):
    """Which model was asked: its name, a sha256 of its files where it has some, and what a pipeline is (`Identity`)."""

    name: str
    sha256: str | None
    pipeline: NotRequired[Mapping[str, Any]]


class AskedBlock(TypedDict):
    """Counts of images asked, of those refused, and of keys an image."""

    trained: int
    held_out: int
    refused: int
    keys: int


class CollectionRecord(Verdict):
    """A measurement of a collection; `certified` are numbers of rows of the ledger with the given commitment.

    `content` says whether images are generated from their captions alone; null where that was not asked.
    """

    schema: str
    model: Model
    query: dict[str, Any]
    commitment: str
    asked: AskedBlock
    content: ContentScoreBlock | None
    certified: list[int]
    warnings: list[str]
    versions: dict[str, str]
    per_image_sha256: str
