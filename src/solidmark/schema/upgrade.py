"""Upgrades: records that older versions wrote, read as if this one had written them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .record import SCHEMA

READABLE = (SCHEMA, "solidmark.record/1")
"""Schemas that can be read."""

RENAMED = {"protocol": "solver", "place": "order", "told": "reported", "items": "per_image"}
"""Keys of a record of schema 1, and what they are called since."""

ACCESS = {"api": "black-box", "weights": "white-box"}


def upgraded(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record in the present schema; one of the present schema as it is, and what is no block unchanged."""
    if record["schema"] != "solidmark.record/1":
        return dict(record)
    renewed = {RENAMED.get(name, name): value for name, value in record.items()} | {"schema": SCHEMA}
    if renewed.get("suite") == "concordance":
        renewed["suite"] = "copy-metrics"
    if isinstance(renewed.get("queries"), dict):
        renewed["queries"] = {name: _query(block) for name, block in renewed["queries"].items()}
    if isinstance(renewed.get("reported"), dict):
        renewed["reported"] = {stage: _reports(stage, parts) for stage, parts in renewed["reported"].items()}
    return renewed


def _query(block: Any) -> Any:
    """`access` as black-box or white-box."""
    if not isinstance(block, dict) or "access" not in block:
        return block
    return {**block, "access": ACCESS.get(str(block["access"]), block["access"])}


def _reports(stage: str, parts: Any) -> Any:
    """What each part reports, `idle` as `no_op`; the sampling stage reports no parts."""
    if stage == "sampling" or not isinstance(parts, dict):
        return parts
    return {part: _renamed(values) for part, values in parts.items()}


def _renamed(values: Any) -> Any:
    return {"no_op" if name == "idle" else name: v for name, v in values.items()} if isinstance(values, dict) else values
