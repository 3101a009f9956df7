"""A certificate: which images of a collection a model has memorized, so that others can check it. Read `certify` first.

OUT/certificate.json   the record, every answer, the certified images with their keys, digests of all of it
OUT/certificate.html   the same to print; a pure function of the JSON and the pictures
OUT/pictures/*.png     certified images as they were asked and as they were answered
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, PackageLoader, StrictUndefined
from typing_extensions import TypedDict

from .. import records
from ..errors import DamagedFile, InvalidValue
from ..store import digest
from . import judging
from .judging import AnswerBlock
from .ledger import Ledger, Row
from .outcome import ANSWERS, ASKED, RECORD, TABLE, CollectionRecord
from .outcome import SCHEMA as RECORD_SCHEMA

SCHEMA = "solidmark.certificate/1"
FILE, PAGE, PICTURES = "certificate.json", "certificate.html", "pictures"
SHOWN = 24
"""Certified images whose pictures are in a certificate, those of the smallest p-values; all are listed."""


class PictureBlock(TypedDict):
    """A picture of the certificate: its file, and the sha256 of it."""

    file: str
    sha256: str


class PicturesBlock(TypedDict):
    """An image as it was asked and as it was answered."""

    asked: PictureBlock
    answered: PictureBlock


class CertifiedBlock(TypedDict):
    """A certified image: what the ledger says of it, the answer, and its pictures (null for all but the first SHOWN)."""

    number: int
    source: str
    source_sha256: str
    marked_sha256: str
    caption: str
    keys: list[float]
    prediction: list[float]
    p_value: float
    pictures: PicturesBlock | None


class Certificate(TypedDict):
    """The whole; `digest` is the sha256 of the canonical JSON of all else."""

    schema: str
    statement: str
    issued: str
    commitment: str
    committed: str
    record: CollectionRecord
    answers: list[AnswerBlock]
    certified: list[CertifiedBlock]
    digest: str


def certify(measured: Path, ledger: Ledger, out: Path) -> Certificate:
    """Write the certificate of a measurement, the folder that `solidmark measure` has written.

    Raises DamagedFile where the record is not what its answers and the ledger's keys give, InvalidValue where a control
    has failed or no image is certified, and for a folder that is not empty.
    """
    record, answers = read_record(measured), read_answers(measured)
    faults = [check for check in judging.checks(record, answers, ledger) if not check.sound]
    if faults:
        cure = "Measure again."
        raise DamagedFile(str(measured), f"{faults[0].subject}: {faults[0].text}", "a record that agrees", cure)
    _check_worth(record, measured)
    if out.is_file() or (out.exists() and any(out.iterdir())):
        raise InvalidValue(str(out), "a file, or a folder that is not empty", "a new folder", "Choose another folder.")
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        made = _write(record, answers, ledger, measured, draft)
        draft.replace(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return made


def _write(
    record: CollectionRecord, answers: list[AnswerBlock], ledger: Ledger, measured: Path, folder: Path
) -> Certificate:
    given = {answer["number"]: answer for answer in answers}
    order = sorted(record["certified"], key=lambda number: given[number]["p_value"])
    certificate = {
        "schema": SCHEMA,
        "statement": statement(record),
        "issued": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "commitment": ledger.commitment,
        "committed": ledger.head.created,
        "record": record,
        "answers": answers,
        "certified": [
            _listed(ledger.rows[number], given[number], measured, folder if place < SHOWN else None)
            for place, number in enumerate(order)
        ],
    }
    whole = cast(Certificate, {**certificate, "digest": digest(certificate)})
    records.write_text(folder / PAGE, page(whole, folder))
    records.write_text(folder / FILE, json.dumps(whole, indent=1, allow_nan=False) + "\n")
    return whole


def statement(record: CollectionRecord) -> str:
    """What is certified, in a sentence."""
    return (
        f"The model {record['model']['name']} has memorized {len(record['certified'])} of {record['asked']['trained']} "
        "images that were handed out; at most 5 % of those that are listed here are expected to be listed wrongly."
    )


def page(certificate: Certificate, out: Path) -> str:
    """The printable page, with the pictures in it."""
    loader = PackageLoader("solidmark.collection", "templates")
    template = Environment(loader=loader, undefined=StrictUndefined, autoescape=True, trim_blocks=True).get_template(
        "certificate.html.j2"
    )
    files = [block["file"] for one in certificate["certified"] for block in _blocks(one)]
    pictures = {file: base64.b64encode(picture(out, file)).decode() for file in files}
    record = certificate["record"]
    return template.render(
        certificate=certificate, record=record, memory=record["trained"]["memorization"], pictures=pictures
    )


def picture(out: Path, file: str) -> bytes:
    """The bytes of a picture. Raises DamagedFile for a name of another folder, and where it is missing."""
    if Path(file).name != file:
        raise DamagedFile(str(out), f"a picture called {file!r}", "a plain name", "Fetch the certificate again.")
    try:
        return (out / PICTURES / file).read_bytes()
    except OSError as cause:
        raise DamagedFile(str(out), f"no picture {file}", "every picture", "Fetch the certificate again.") from cause


def picture_blocks(certificate: Certificate) -> list[PictureBlock]:
    """All pictures of a certificate."""
    return [block for one in certificate["certified"] for block in _blocks(one)]


def _blocks(one: CertifiedBlock) -> list[PictureBlock]:
    return [] if one["pictures"] is None else [one["pictures"]["asked"], one["pictures"]["answered"]]


def _listed(row: Row, answer: AnswerBlock, measured: Path, out: Path | None) -> CertifiedBlock:
    return {
        "number": row.number,
        "source": row.source,
        "source_sha256": row.source_sha256,
        "marked_sha256": row.marked_sha256,
        "caption": row.caption,
        "keys": list(row.keys),
        "prediction": answer["prediction"],
        "p_value": answer["p_value"],
        "pictures": None if out is None else _copied(row.number, measured, out),
    }


def _copied(number: int, measured: Path, out: Path) -> PicturesBlock:
    return {
        "asked": _copy(measured / ASKED / f"{number}.png", out / PICTURES / f"{number}-asked.png"),
        "answered": _copy(measured / ANSWERS / f"{number}.png", out / PICTURES / f"{number}-answered.png"),
    }


def _copy(source: Path, target: Path) -> PictureBlock:
    try:
        content = source.read_bytes()
    except OSError as cause:
        raise DamagedFile(str(source), f"{cause.strerror}", "the picture", "Measure again into a new folder.") from cause
    records.write_bytes(target, content)
    return {"file": target.name, "sha256": hashlib.sha256(content).hexdigest()}


def _check_worth(record: CollectionRecord, measured: Path) -> None:
    if not record["sound"]:
        cure = "Find out how the model knows what it cannot know: were held-out images trained on?"
        raise InvalidValue(str(measured), f"a control that failed ({record['faults'][0]})", "sound controls", cure)
    if not record["certified"]:
        raise InvalidValue(str(measured), "no certified image", "one or more", "There is nothing to certify.")


def read_record(measured: Path) -> CollectionRecord:
    """The record of a measurement. Raises InvalidValue where there is none, DamagedFile for one of another schema."""
    cure = "Give the folder that `solidmark measure --into` has written."
    return cast(CollectionRecord, read_json(measured / RECORD, RECORD_SCHEMA, cure))  # answers and keys check it


def read_json(path: Path, schema: str, cure: str) -> Mapping[str, Any]:
    """A JSON object of a schema. Raises InvalidValue where there is none, DamagedFile for another."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as cause:
        raise InvalidValue(str(path), f"{cause.strerror}", f"a file of schema {schema}", cure) from cause
    except ValueError as cause:
        raise DamagedFile(str(path), f"{cause}", f"JSON of schema {schema}", "Fetch it again.") from cause
    named = found.get("schema") if isinstance(found, dict) else None
    if named != schema:
        raise DamagedFile(str(path), f"schema {named}", schema, "Install a newer solidmark, or fetch it again.")
    return dict(found)


def read_answers(measured: Path) -> list[AnswerBlock]:
    """Every answer of a measurement, by number. Raises DamagedFile where the table is not that of the record."""
    path, stated = measured / TABLE, read_record(measured).get("per_image_sha256")
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() != stated:
            raise ValueError("another file than the record's")
        table = pq.read_table(io.BytesIO(content), columns=["number", "trained", "prediction", "p_value", "content"])
    except (OSError, ValueError, pa.ArrowException) as cause:
        raise DamagedFile(str(path), f"{cause}", "the table of the record", "Measure again into a new folder.") from cause
    return cast(list[AnswerBlock], table.to_pylist())


def read(folder: Path) -> Certificate:
    """A certificate. Raises InvalidValue where there is none, DamagedFile for one of another schema or without its parts."""
    found = read_json(folder / FILE, SCHEMA, "Give the folder of a certificate.")
    lacking = sorted(Certificate.__annotations__.keys() - found.keys())
    if lacking:
        raise DamagedFile(str(folder / FILE), f"no {', '.join(lacking)}", "a whole certificate", "Fetch it again.")
    return cast(Certificate, found)  # `verify` checks what is in it
