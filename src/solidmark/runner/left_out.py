"""What the quick profile leaves out where the user names no mitigation, and why; the run and its page say so."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from .. import records
from ..mitigation.composition import Composition
from ..schema.run import LEFT_OUT

CONTROL = "controls, which are not judged"
"""Why controls are left out; reference curves stay, which the others are compared with."""
COSTLY = "rows that cost more than two trainings each"
FORM = "other forms of a family that is measured"


def reason(made: Composition, testbed: str) -> str | None:
    """Why a first look at a testbed can do without a row; None where it is measured."""
    suited = [part.mitigation.suited for part in made.parts if part.mitigation.suited]
    elsewhere = [name for names in suited if testbed.partition("(")[0] not in names for name in names]
    if elsewhere:
        return f"at home on {', '.join(dict.fromkeys(elsewhere))}"
    if made.control and not made.reference_curve:
        return CONTROL
    if any(part.mitigation.costly for part in made.parts):
        return COSTLY
    return FORM if any(part.mitigation.form_of for part in made.parts) else None


def write(run: Path, families: Iterable[tuple[str, str]]) -> None:
    """Write which families a run leaves out, (reason, family) each; nothing where it leaves out none."""
    found: dict[str, list[str]] = {}
    for why, family in dict.fromkeys(families):
        found.setdefault(why, []).append(family)
    if found:
        records.write_text(run / LEFT_OUT, json.dumps(found))
