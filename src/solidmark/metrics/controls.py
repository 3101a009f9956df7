"""Controls: what must hold for a row to be believed, and the sentence that says which of it does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import scoring
from .scores import Estimate

SUSPICION = 1e-4
"""A control fails below this p-value: at 0.05 one sound row in twenty would fail; a real leak lies far below."""

LEAST_SPREAD, EVENNESS = 0.5, (0.4, 3.0)
"""A mark is not valid when its spread is below this share of the baseline's and its unevenness outside this range of it."""


@dataclass(frozen=True)
class Marks:
    """How the marks of held-out answers look: spread of predicted keys, unevenness inside a segment, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None


def check(
    held_out: dict[str, Any],
    other_keys: dict[str, Any],
    power: Estimate,
    marks: Marks,
    baseline: Marks,
    *,
    active: bool,
    further: Sequence[str] = (),
) -> dict[str, Any]:
    """The controls block of a record; `sound` when none of its `faults`, `further` ones included, stands.

    `power` is the best of the queries that were asked: a row of queries that cannot find what is there is no
    measurement. Mark validity: either number alone may have honest reasons, so only both together disqualify.
    """
    graying = marks.spread < LEAST_SPREAD * baseline.spread
    low, high = (factor * baseline.unevenness for factor in EVENNESS)
    valid = not (graying and not low <= marks.unevenness <= high)
    faults = [
        *leaks("held-out images", held_out),
        *leaks("other keys", other_keys),
        *([] if power.value >= 0.95 else [f"power {power.value:.3f} of the perfect memorizer, expected 0.95 or more"]),
        *([] if valid else [_invalid(marks, baseline)]),
        *([] if active else ["inactive: its answers equal the baseline's bit for bit"]),
        *further,
    ]
    return {
        "held_out": held_out,
        "other_keys": other_keys,
        "power": scoring.estimate(power),
        "mark_valid": {"valid": valid, **asdict(marks), "baseline": asdict(baseline)},
        "active": active,
        "faults": faults,
        "sound": not faults,
    }


def leaks(name: str, scored: dict[str, Any]) -> list[str]:
    """What says that predictions which cannot know keys do: none, or a sentence a reason."""
    faults = []
    if scored["chance_p"] < SUSPICION:
        faults.append(f"{name}: M = {scored['memorization']['value']:+.3f} is not 0 (p = {scored['chance_p']:.1e})")
    if scored["uniform_p"] < SUSPICION:
        faults.append(f"{name}: p-values are not uniform (p = {scored['uniform_p']:.1e})")
    if scored["certified"]["count"] > max(2, 0.05 * scored["certified"]["of"]):  # one or two happen where N is small
        faults.append(f"{name}: {scored['certified']['count']} of {scored['certified']['of']} certified")
    return faults


def _invalid(marks: Marks, baseline: Marks) -> str:
    return (
        f"mark not valid: predicted keys spread {marks.spread:.3f} (baseline {baseline.spread:.3f}) "
        f"and segments are uneven by {marks.unevenness:.3f} (baseline {baseline.unevenness:.3f})"
    )
