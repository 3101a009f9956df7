"""What papers and our records state of each method: parameters, sweep, stage, needs, and the bounds of its claims.

`methods.txt` says it a second time: a number that is changed here or there alone is a mistake. Where a method
is meant to change, write its new lines (`python tests/test_published.py FAMILY`) into the file, and say so in CHANGELOG.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import pytest

from solidmark import Claim, Origin, plugins
from solidmark.mitigation.composition import Composition, Part
from solidmark.plugins import GROUPS

TABLE = Path(__file__).parent / "methods.txt"
FAMILIES = [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]


def written() -> dict[str, list[str]]:
    """The lines of the table, by family."""
    blocks = TABLE.read_text().strip().split("\n\n")
    return {block.splitlines()[0].split(":")[0]: block.splitlines() for block in blocks}


def described(family: str) -> list[str]:
    """The lines of a family, from its class."""
    part, sweep = plugins.published(family), plugins.family(family)
    assert isinstance(part, Part)
    assert isinstance(sweep, list)
    whole, mitigation = Composition((part,)), part.mitigation
    kinds = [word for word in ("control", "reference_curve") if getattr(whole, word)]
    letter = [f"fidelity {whole.fidelity}"] if whole.fidelity else []
    forms = [f"form of {mitigation.form_of}"] if mitigation.form_of else []
    dear = ["costly"] if mitigation.costly else []
    suited = [f"suited to {' and '.join(mitigation.suited)}"] if mitigation.suited else []
    needs = [f"needs {need}" for need in whole.needs.names()]
    return [
        f"{family}: {', '.join([whole.stage, *letter, *kinds, *forms, *dear, *suited, *needs])}",
        f"  default {_pairs(part.parameters)}",
        *(f"  setting {_pairs(one.parameters)}" for one in sweep),
        *(f"  {_told(claim)}" for claim in mitigation.claims),
    ]


def _told(claim: Claim | str) -> str:
    """A claim by its fields, a sentence by its beginning; both in the order in which they are shown."""
    return f"says {claim[:60].rstrip()}" if isinstance(claim, str) else f"claim {_pairs(_stated(claim))}"


def _stated(claim: Claim) -> dict[str, object]:
    """The fields of a claim, but for its words and those at their defaults."""
    plain = Claim("", below=0.0)
    whole = {name: one for name, one in _fields(claim, plain).items() if name not in ("text", "origin")}
    return {"below": claim.below, **whole, **_fields(claim.origin, plain.origin)}


def _fields(one: Claim | Origin, plain: Claim | Origin) -> dict[str, object]:
    """The fields that are not as in a plain one."""
    values = {field.name: getattr(one, field.name) for field in dataclasses.fields(one)}
    return {name: value for name, value in values.items() if value != getattr(plain, name)}


def _pairs(values: object) -> str:
    return " ".join(f"{name}={value!r}" for name, value in dict(values).items())  # type: ignore[call-overload]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_method_is_what_the_table_says(family: str) -> None:
    assert described(family) == written()[family]


def test_the_table_has_no_method_that_is_gone() -> None:
    assert sorted(written()) == sorted(FAMILIES)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_claim_about_memory_has_bounds_that_memory_can_meet(family: str) -> None:
    """M lies in [-1, 1], and so does a ratio of it that a paper could state, but for "hardly changes"."""
    claims = [claim for claim in plugins.published(family).mitigation.claims if isinstance(claim, Claim)]
    for claim in claims:
        assert claim.above is None or -1 < claim.above < 1
        assert claim.below is None or -1 < claim.below <= 1.1
        assert claim.above is None or claim.below is None or claim.above < claim.below


if __name__ == "__main__":
    print("\n\n".join("\n".join(described(family)) for family in sys.argv[1:] or FAMILIES))
