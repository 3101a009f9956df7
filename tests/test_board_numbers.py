"""All numbers of a leaderboard beside its rows change on purpose alone: curves, excesses, verdicts, ranks, testbeds, faults.

`python tests/test_board_numbers.py` writes `board.txt` anew; read what changed in it before you commit it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from kept import alike, blocks, write
from record_samples import Record, case, content, crash, failed, finding, of_testbed, utility

from solidmark.leaderboard import Leaderboard, build_leaderboard

FILE = Path(__file__).with_name("board.txt")
SETTINGS: dict[str, tuple[str, list[tuple[int, float]]]] = {
    "stop": ("training", [(190, 0.75), (120, 0.35)]),
    "good": ("training", [(198, 0.15), (170, 0.1)]),
    "odd": ("training+sampling", [(196, 0.6)]),
    "alone": ("sampling", [(199, 0.5)]),
    "again": ("training", [(180, 0.02)]),
}
"""Right answers of 256 and M of each setting, by family and stage."""


def kinds(family: str) -> Record:
    """What a family is besides."""
    control: Record = {"control": True, "reference_curve": family == "stop"} if family in ("stop", "again") else {}
    return {**control, "needs": ["forget list"] if family == "again" else []}


def rows(testbed: str, seeds: int, shift: float) -> Iterator[Record]:
    """A baseline and all families; `alone` has keys alone, and the last seed of `odd` is missing."""
    for seed in range(seeds):
        more = {"testbed": testbed, "case_id": f"{testbed}-none-{seed}"}
        yield case("none", 0.9 + 0.01 * seed, seed, utility=utility(200), content=content(0.95, 0.9), **more)
        for family, (stage, settings) in SETTINGS.items():
            for right, m in [] if (family, seed) == ("odd", 3) else settings:
                name, left = f"{family}(x={right})", m + shift + 0.02 * ((seed * 7) % 5)
                shown = None if family == "alone" else content(0.5 + m / 2.1, 0.5 + left / 2.5)
                more = {"testbed": testbed, "case_id": f"{testbed}-{name}-{seed}", "utility": utility(right - seed)}
                yield case(name, left, seed, stage, content=shown, **more, **kinds(family))


@cache
def board() -> Leaderboard:
    """Four seeds of one testbed, one of another; a failed row, a crash, a finding, and what belongs to the testbed."""
    area = {"auroc": {"value": 0.8, "low": 0.7, "high": 0.9}, "evaluations": 2.0, "captions": 64}
    told = [of_testbed(seed, testbed="one", slug=f"one-{seed}", detectors={"norm": area}) for seed in range(2)]
    wrong = [failed("good(x=1)", testbed="one", case_id="wrong"), {**crash("gone"), "testbed": "one"}]
    return build_leaderboard([*rows("one", 4, 0.0), *rows("two", 1, 0.05), *told, *wrong, finding()], ["a note"])


def lines(value: Any, where: str = "") -> Iterator[str]:
    """A line a block, by its path, with what is plain in it; of a curve's line the first, the middle and the last point."""
    if isinstance(value, Mapping):
        plain = {name: part for name, part in value.items() if not _has_parts(part)}
        yield " ".join([where or "/", *(f"{name}={_told(part)}" for name, part in plain.items())])
        for name in (name for name in value if name not in plain):
            yield from lines(value[name], f"{where}/{name}")
    elif where.endswith("/line") and len(value) > 3:
        yield from lines([value[0], value[len(value) // 2], value[-1]], f"{where}:{len(value)}")
    else:
        for place, part in enumerate(value):
            yield from lines(part, f"{where}/{place}") if _has_parts(part) else [f"{where}/{place} {_told(part)}"]


def _has_parts(value: object) -> bool:
    """Whether a value has lines of its own: a block that is not empty, or a list of blocks."""
    if isinstance(value, Mapping):
        return bool(value)
    return isinstance(value, list | tuple) and any(isinstance(part, Mapping | list | tuple) for part in value)


def _told(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"[ {' '.join(map(_told, value))} ]"
    return f"{value:.5g}" if isinstance(value, float) else str(value)


PARTS = ("measured", "testbeds", "matched", "agreements", "findings", "incidents", "notes")


def found(part: str) -> list[str]:
    """The lines of a part of the leaderboard's JSON."""
    value: Any = board().to_json()[part]
    return [line.strip() for line in lines(value)]


@pytest.mark.parametrize("part", PARTS)
def test_a_part_of_a_leaderboard_has_the_numbers_that_it_had(part: str) -> None:
    (kept,) = blocks(FILE, part).values()
    assert not alike(kept, found(part)), f"if that is meant, run `python tests/{Path(__file__).name}`"


def test_every_family_of_the_sample_is_in_the_leaderboard() -> None:
    (comparison, other) = board().matched
    assert {curve.family for curve in comparison.curves if curve.points} == {*SETTINGS}
    assert [found.keys.family for found in comparison.verdicts_on("accuracy") if found.verdict.value == "real"] == [
        "good",
        "odd",
    ]
    assert other.testbed == "two"


if __name__ == "__main__":
    write(FILE, {part: found(part) for part in PARTS})
