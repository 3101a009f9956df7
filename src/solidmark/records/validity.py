"""Validity: what a record must have, by the types of `schema.record`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import DamagedFile
from ..schema.publish import record_type
from ..schema.record import Record

CURE = "Remove the line, then run its case again with --resume."

MEASURED = ("ok", "failed_check")
"""Statuses of records that have numbers; those of a failed check are not to be believed."""

MEASURED_BLOCKS = ("seed", "solver", "queries", "controls", "utility", "cost")
"""What a case of such a status has."""


def checked(record: Mapping[str, Any], where: str, cure: str = CURE) -> Record:
    """The record itself. Raises DamagedFile, naming the first block that is not what `schema.record` says."""
    from pydantic import ValidationError  # not before there is a record

    try:
        typed = record_type().validate_python(record, strict=True)
    except ValidationError as cause:
        first = cause.errors()[0]
        path = ".".join(str(part) for part in first["loc"][1:]) or "event"
        if first["type"] in ("missing", "union_tag_not_found"):
            raise DamagedFile(where, f"no {path}", "a value for it", cure) from cause
        raise DamagedFile(where, f"{path} = {first['input']!r:.60}", first["msg"], cure) from cause
    lacking = [name for name in MEASURED_BLOCKS if record.get(name) is None and not record.get(f"{name}_reason")]
    if typed["event"] == "case" and typed["status"] in MEASURED and lacking:
        raise DamagedFile(
            where, f"status {typed['status']}, and no {', '.join(lacking)}", "numbers of a measured case", cure
        )
    return record  # type: ignore[return-value]  # it was checked above
