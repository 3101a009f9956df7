"""The JSON schemas, made from the types: what other tools validate a record or a leaderboard with."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from .record import Record
from .row import Row

if TYPE_CHECKING:
    from pydantic import TypeAdapter

FOLDER = Path(__file__).parent


@cache
def record_type() -> TypeAdapter[Record]:
    """Checks one record; made at the first, since it takes a quarter of a second."""
    from pydantic import Field, TypeAdapter

    return TypeAdapter(Annotated[Record, Field(discriminator="event")])


def json_schemas() -> dict[str, dict[str, Any]]:
    """By file name, each schema as JSON: of a record, and of one of the `rows` of `leaderboard.json`."""
    return {"record.schema.json": record_type().json_schema(), "row.schema.json": _row_schema()}


def _row_schema() -> dict[str, Any]:
    """That of the fields of `Row`, as `Row.to_json` writes them."""
    from pydantic import TypeAdapter

    schema = TypeAdapter(Row).json_schema(mode="serialization")
    properties = schema["properties"]
    properties["per_seed"] = properties.pop("attempts")
    properties["seeds"] = {"type": "array", "items": {"type": "integer"}}
    properties["reasons"] = {"type": "object", "additionalProperties": {"type": "string"}}
    return {**schema, "required": sorted(properties), "additionalProperties": False}


def publish(folder: Path = FOLDER) -> list[Path]:
    """Write each schema into a folder, and return their paths."""
    paths = []
    for name, schema in json_schemas().items():
        paths.append(folder / name)
        paths[-1].write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    return paths
