"""Anchors: the address of each family on the page."""

from __future__ import annotations

import re
from hashlib import sha256

from solidmark.leaderboard import Row


def anchor(row: Row) -> str:
    """`rna` on digits by the solver fast: `at-digits--fast--rna`; a name with other letters gets a digest."""
    return anchor_of(row.testbed, str(row.solver.get("name", "")), row.family)


def anchor_of(*parts: str) -> str:
    """One word of letters, digits and hyphens that no other names share."""
    name = "--".join(part for part in parts if part)
    plain = re.sub(r"[^A-Za-z0-9-]+", "-", name)
    return f"at-{plain}" if plain == name else f"at-{plain}-{sha256(name.encode()).hexdigest()[:6]}"
