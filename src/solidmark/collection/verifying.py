"""Verifying: is a certificate what ledger, answers and pictures give? Read `verify` first."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ..errors import DamagedFile, InvalidValue
from ..store import digest
from . import certificate as certificates
from . import draws, judging, pictures
from .certificate import Certificate, CertifiedBlock
from .judging import Check
from .ledger import SCHEMA as LEDGER_SCHEMA
from .ledger import Ledger


def verify(folder: Path, ledger: Ledger, marked: Path | None = None, commitment: Path | None = None) -> list[Check]:
    """Every check of a certificate, sound or not.

    `marked` is the folder that was handed out: with it the pictures as asked are compared with the marked files.
    `commitment` is the file that was published. Raises InvalidValue and DamagedFile where there is nothing to check.
    """
    certificate = certificates.read(folder)
    found = [
        _digest(certificate),
        *_pictures(certificate, folder),
        _page(certificate, folder),
        _commitment(certificate, ledger),
        _drawn(ledger),
    ]
    if commitment is not None:
        found.append(_published(certificate, commitment))
    found += judging.checks(certificate["record"], certificate["answers"], ledger)
    if all(check.sound for check in found):
        found += _images(certificate, folder, ledger, marked)
        found.append(_controls(certificate))
    return found


def _controls(certificate: Certificate) -> Check:
    record = certificate["record"]
    if not record["sound"]:
        return Check("controls", f"{record['faults']}", False)
    return Check("controls", "none: nothing was held out" if record["held_out"] is None else "at chance", True)


def _digest(certificate: Certificate) -> Check:
    sound = digest({name: value for name, value in certificate.items() if name != "digest"}) == certificate["digest"]
    return Check("certificate", "its digest is right" if sound else "changed since it was issued", sound)


def _pictures(certificate: Certificate, folder: Path) -> Iterator[Check]:
    try:
        blocks = certificates.picture_blocks(certificate)
        changed = [
            block["file"]
            for block in blocks
            if hashlib.sha256(certificates.picture(folder, block["file"])).hexdigest() != block["sha256"]
        ]
    except (KeyError, TypeError, DamagedFile) as cause:
        yield Check("pictures", f"not whole: {cause}", False)
        return
    text = f"{len(blocks)}, none changed" if not changed else f"changed: {', '.join(changed)}"
    yield Check("pictures", text, not changed)


def _page(certificate: Certificate, folder: Path) -> Check:
    try:
        same = (folder / certificates.PAGE).read_bytes() == certificates.page(certificate, folder).encode()
    except Exception as cause:  # a template over anything that JSON can hold
        return Check("page", f"cannot be made again: {type(cause).__name__}", False)
    return Check("page", "as the certificate gives it" if same else "changed, or made by another version", same)


def _commitment(certificate: Certificate, ledger: Ledger) -> Check:
    same = certificate["commitment"] == ledger.commitment and certificate["committed"] == ledger.head.created
    return Check("commitment", ledger.commitment if same else f"the ledger's is {ledger.commitment}", same)


def _drawn(ledger: Ledger) -> Check:
    """Keys that were chosen, and not drawn from the secret, prove nothing."""
    secret = bytes.fromhex(ledger.head.secret)
    chosen = [
        row.number
        for row in ledger.rows
        if tuple(draws.keys_of(secret, row.source_sha256, ledger.head.segments).tolist()) != row.keys
    ]
    return Check("keys", f"not drawn from the secret: {chosen[:5]}" if chosen else "drawn from the secret", not chosen)


def _published(certificate: Certificate, path: Path) -> Check:
    cure = "Give the commitment.json that was published."
    stated = certificates.read_json(path, LEDGER_SCHEMA, cure).get("commitment")
    same = stated == certificate["commitment"]
    return Check("published commitment", "the same" if same else f"{stated}", same)


def _images(certificate: Certificate, folder: Path, ledger: Ledger, marked: Path | None) -> Iterator[Check]:
    """The certified images: listed as in the ledger, and answered as the pictures show."""
    given = {answer["number"]: answer for answer in certificate["answers"]}
    listed = certificate["certified"]
    whole = sorted(one["number"] for one in listed) == sorted(certificate["record"]["certified"])
    wrong = [one["number"] for one in listed if whole and not _as_listed(one, ledger, given[one["number"]])]
    words = certificates.statement(certificate["record"]) == certificate["statement"]
    sound = whole and words and not wrong
    text = "as in the ledger" if sound else f"not as in the ledger: {wrong or 'the list or the statement'}"
    yield Check("list", text, sound)
    if not sound:
        return
    other = [one["number"] for one in listed if one["pictures"] and not _as_shown(one, folder, ledger, marked)]
    text = "show what was asked and answered" if not other else f"show something else: {other}"
    yield Check("shown", text, not other)


def _as_listed(one: CertifiedBlock, ledger: Ledger, answer: judging.AnswerBlock) -> bool:
    row = ledger.rows[one["number"]]
    stated = (one["source"], one["source_sha256"], one["marked_sha256"], one["caption"], tuple(one["keys"]))
    same = stated == (row.source, row.source_sha256, row.marked_sha256, row.caption, row.keys)
    return same and one["prediction"] == answer["prediction"] and one["p_value"] == answer["p_value"]


def _as_shown(one: CertifiedBlock, folder: Path, ledger: Ledger, marked: Path | None) -> bool:
    """Whether the answered picture has the predicted keys, and the asked one is the marked file without its border."""
    row = ledger.rows[one["number"]]
    layout, blocks = ledger.layout(row), one["pictures"]
    assert blocks is not None
    asked, answered = (
        pictures.decode(certificates.picture(folder, block["file"]), block["file"])[0]
        for block in (blocks["asked"], blocks["answered"])
    )
    right = np.allclose(layout.read(answered), one["prediction"], rtol=0, atol=1e-12)
    if marked is None:
        return right
    path = marked / row.marked
    try:
        data = path.read_bytes()
    except OSError as cause:
        cure = "Give the folder that was handed out."
        raise InvalidValue(str(path), f"{cause.strerror}", "the marked image", cure) from cause
    shown = pictures.as_colour(layout.canvas(layout.inner(pictures.decode(data, str(path))[0])))
    return right and hashlib.sha256(data).hexdigest() == row.marked_sha256 and np.array_equal(shown, asked)


def told(found: list[Check]) -> str:
    """The checks as lines."""
    return "\n".join(f"{'ok ' if check.sound else 'BAD'}  {check.subject}: {check.text}" for check in found)
