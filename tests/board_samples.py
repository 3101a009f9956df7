"""Leaderboards that have all that a report can say, each built once a process."""

from __future__ import annotations

from functools import cache
from typing import Any

from record_samples import (
    Record,
    broken_finding,
    case,
    content,
    cost,
    crash,
    failed,
    finding,
    of_testbed,
    scored,
    share,
    utility,
)
from test_each_column import record
from yardstick_samples import world

from solidmark.leaderboard import Leaderboard, build_leaderboard

NOTES = ["store: one entry was set aside", "a|line of its own"]


def findings() -> list[Record]:
    """One of each verdict, one that came to no end, and one with points by name."""
    verdicts = [finding(f"{verdict} dose", verdict, order=n) for n, verdict in enumerate(("holds", "fails", "undecided"))]
    named = finding("kind", x=("one", "two"), order=4, details={"log_x": True})
    return [*verdicts, named, broken_finding("broken", order=5), broken_finding("late", "timeout", "no end", order=6)]


@cache
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


@cache
def keys() -> Leaderboard:
    """Keys alone, six seeds, no accuracy in one row, a stage without a reference, and a method that remembers more."""
    rows = [case(m=0.8 + 0.01 * s, seed=s, utility=utility(200)) for s in range(6)]
    settings = {"stop": [(190, 0.75), (100, 0.3)], "good": [(198, 0.1), (90, 0.05)], "worse": [(150, 0.85)]}
    for family, each in settings.items():
        kind: Record = {"control": True, "reference_curve": True} if family == "stop" else {"fidelity": "B"}
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


@cache
def each() -> Leaderboard:
    """One row that has every column there is, and another setting of its family that has few; seeds in any order."""
    few = [case("x(a=2)", 0.3, seed, "sampling", content=content(0.6, 0.7), utility=utility(None)) for seed in (1, 0)]
    return build_leaderboard([case(seed=1), case(), record(1), *few, record(0)])


@cache
def beside() -> Leaderboard:
    """Two testbeds that rank families, one by keys alone; detectors, claims, losses of a method, and a gold standard."""
    return build_leaderboard([*_ranked("one", 0.0), *_ranked("two", 0.08), *_told("one"), *_claimed()])


LEFT = {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.4, "e": 0.5, "f": 0.6, "gone": 0.02}


def _ranked(testbed: str, shift: float) -> list[Record]:
    """A baseline, a reference and families whose order differs a little by testbed; the second one has keys alone."""
    named: dict[str, tuple[float, str, Record]] = {
        "none": (0.9, "none", {}),
        "stop": (0.8, "training", {"control": True, "reference_curve": True}),
        **{name: (m + shift * (-1) ** place, "training", {}) for place, (name, m) in enumerate(LEFT.items())},
    }
    named["gone"] = (named["gone"][0], "training", {"control": True, "reference_curve": False})
    right: Any = {"none": 200, "stop": 150, "c": 140, "e": 230}
    return [
        case(
            name,
            m + 0.01 * seed,
            seed,
            stage,
            testbed=testbed,
            case_id=f"{testbed}-{name}-{seed}",
            utility=utility(right.get(name, 195)),
            content=None if testbed == "two" else content(0.5 + m / 2.2, 0.5 + m / 2.5),
            needs=["forget list"] if name in ("d", "gone") else [],
            denoising_loss=_loss(0.2 + m / 10) if testbed == "one" and name in ("none", "stop", "a") else None,
            **more,
        )
        for name, (m, stage, more) in named.items()
        for seed in (1, 2, 0)
    ]


def _loss(value: float) -> Record:
    """The denoising loss of trained and of held-out images."""
    return {part: {"value": value, "error": 0.01, "images": 64} for part in ("trained", "held_out")}


def _told(testbed: str) -> list[Record]:
    """What belongs to a testbed: detectors of which one broke, and one seed whose power is unknown."""
    area = {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}, "evaluations": 2.0, "captions": 64}
    found = {"norm": area, "other": {"auroc": None, "reason": "no attention"}}
    return [of_testbed(seed, testbed=testbed, slug=f"{testbed}-{seed}", detectors=found) for seed in range(2)]


def _claimed() -> list[Record]:
    """Claims of two families: each verdict, with steps and without, here and elsewhere."""
    answers = {"reach": True, "replication": None, "keys and content": False}
    steps = [{"name": name, "asks": "Is it?", "seen": seen, "found": "0.5"} for name, seen in answers.items()]
    kinds = [
        ("a-1", "holds", "one"),
        ("a-2", "fails", "two"),
        ("b-1", "not seen here", ""),
        ("b-2", "not testable here", "one"),
    ]
    return [
        finding(f"{name}", verdict, suite="claims", where=where, steps=steps, order=n, series=[], slug=f"claims-{name}")
        for n, (name, verdict, where) in enumerate(kinds)
    ]


@cache
def bare() -> Leaderboard:
    """One seed of one family without a name of a parameter, a failed row, and a finding alone."""
    lone = case("lone", 0.5, stage="sampling", content=content(None, 0.8), utility=utility(None))
    return build_leaderboard([case(content=content(0.9, 0.9)), lone, failed("bad", reason="no room")])


@cache
def found_alone() -> Leaderboard:
    """Findings without any row."""
    return build_leaderboard(findings())
