"""The Markdown report changes on purpose alone: the words and numbers of boards that have all of it, against `report.txt`.

`python tests/test_report_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from record_samples import broken_finding, case, cost, crash, failed, finding, of_testbed, scored, share, utility
from solidmark.reports import markdown
from test_each_column import record
from yardstick_samples import world

from solidmark.leaderboard import Leaderboard, build_leaderboard

KEPT = Path(__file__).with_name("report.txt")
NOTES = ["store: one entry was set aside", "a|line of its own"]


def findings() -> list[dict]:
    """One of each verdict, one that came to no end, and one with points by name."""
    verdicts = [finding(f"{verdict} dose", verdict, order=n) for n, verdict in enumerate(("holds", "fails", "undecided"))]
    named = finding("kind", x=("one", "two"), order=4, details={"log_x": True})
    return [*verdicts, named, broken_finding("broken", order=5), broken_finding("late", "timeout", "no end", order=6)]


def both() -> Leaderboard:
    """Keys and content, on two testbeds of which one has no baseline, with everything that can go wrong."""
    asked = {"outpaint": scored(0.7), "caption-only": {**scored(0.4), "access": "white-box"}, "average": scored(0.75, 0.02)}
    late = {"image-only": "it has no border"}
    more = [case("agc", seed=s, stage="training", queries=asked, not_applicable=late, cost=cost(30000)) for s in range(3)]
    other = [case(f"x(a={n})", 0.3, s, "sampling", testbed="other", case_id=f"o{n}{s}") for n in (1, 2) for s in range(2)]
    wrong = [failed("bad", reason="no room"), failed("bad", 1, "unsupported", "no captions"), crash("agc"), crash("gone", 2)]
    families = world("washer", "unlinker", "honest", "blur")
    facts = {"profile": "full", "commit": "abc", "python": "3.12"}
    testbeds = [of_testbed(seed) for seed in range(3)]
    return build_leaderboard([*families, *more, *other, *wrong, *testbeds, *findings()], NOTES, facts)


def keys() -> Leaderboard:
    """Keys alone, six seeds, no accuracy in one row, a stage without a reference, and a method that remembers more."""
    rows = [case(m=0.8 + 0.01 * s, seed=s, utility=utility(200)) for s in range(6)]
    settings = {"stop": [(190, 0.75), (100, 0.3)], "good": [(198, 0.1), (90, 0.05)], "worse": [(150, 0.85)]}
    for family, each in settings.items():
        kind = {"control": True, "reference_curve": True} if family == "stop" else {"fidelity": "B"}
        for right, m in each:
            name = f"{family}(x={right})"
            rows += [case(name, m + 0.01 * s, s, "training", utility=utility(right), **kind) for s in range(6)]
    lone = [case("lone", 0.5 - 0.02 * s, s, "sampling", utility=utility(None), needs=["captions"]) for s in range(6)]
    refusing = {
        "generated": {"count": 3, "of": 64},
        "queries": {"outpaint": {"trained": share(9, 64), "held_out": share(0, 64)}},
    }
    told = [case("refusal", 0.2, s, "sampling", reported={"sampling": {"refused": refusing}}) for s in range(3)]
    return build_leaderboard([*rows, *lone, *told])


def each() -> Leaderboard:
    """One row that has every column there is."""
    return build_leaderboard([case(), case(seed=1), record(0), record(1)])


def sections() -> dict[str, str]:
    """The sections of the reports by number and heading, without the padding of tables and without what columns mean."""
    found = {}
    for number, made in enumerate((both, keys, each)):
        for section in f"\n{markdown.render(made(), [])}".split("\n## "):
            heading, _, words = section.partition("\n")
            if heading in ("How to read this table", "More columns"):
                words = re.sub(r"^(- \*\*.*?\*\*).*", r"\1", words, flags=re.MULTILINE)
            found[f"{number} {heading or 'begin'}"] = re.sub("-{3,}", "-", re.sub(" +", " ", words)).strip()
    return found


def kept() -> dict[str, str]:
    """The same as they were."""
    named = (part.partition("\n") for part in KEPT.read_text().split("\f")[1:])
    return {name: words.strip() for name, _, words in named}


@pytest.fixture(scope="module")
def today() -> dict[str, str]:
    return sections()


def test_every_section_is_there(today):
    assert list(today) == list(kept())


@pytest.mark.parametrize("name", kept() if KEPT.exists() else [])
def test_a_section_says_what_it_said(today, name):
    assert today[name].splitlines() == kept()[name].splitlines()


if __name__ == "__main__":
    KEPT.write_text("".join(f"\f{name}\n{words}\n" for name, words in sections().items()))
