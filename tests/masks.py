"""Masks: what differs from run to run in a text, replaced so that the same thing has the same name everywhere in it."""

from __future__ import annotations

import re
from pathlib import Path

KINDS = {
    "time": r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\dZ)?",
    "sha": r"\b[0-9a-f]{64}\b",
    "entry": r"\b[0-9a-f]{12}\b",
    "version": r"\b\d+\.\d+\.[\d.]*\w*(?:\+\w+)?\b",
}
"""Patterns of what is replaced by its kind; digests are numbered in the order in which they are first seen."""


def masked(text: str, **folders: Path) -> str:
    """The text with `<name>` for each folder, and with kinds and numbers for times, digests and versions."""
    for name, folder in folders.items():
        text = text.replace(str(folder), f"<{name}>")
    for kind, pattern in KINDS.items():
        seen: dict[str, str] = {}
        numbered = kind in ("sha", "entry")
        for found in re.findall(pattern, text):
            seen.setdefault(found, f"<{kind}{f' {len(seen) + 1}' if numbered else ''}>")
        text = re.sub(pattern, lambda match, seen=seen: seen[match[0]], text)
    return text


def narrow(text: str) -> str:
    """Tables without their padding, whose width is that of what is masked."""
    return re.sub("-{3,}", "-", re.sub("(?<=.) +", " ", text))
