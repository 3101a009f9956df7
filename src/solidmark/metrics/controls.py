"""Controls: what must hold for a row to be believed, and a sentence for each of them that does not hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..schema.numbers import Estimate
from ..schema.record import ControlsBlock, MarksBlock, NegativeBlock, ScoresBlock
from . import scoring

SUSPICION = 1e-4
"""A control fails below this p-value: at 0.05 one sound row in twenty would fail; a real leak lies far below."""

LEAST_SPREAD, EVENNESS = 0.5, (0.4, 3.0)
"""A mark is not valid when its spread is below this share of the baseline's and its unevenness outside this range of it."""


CERTIFIED_SHARE, LEAST_M = 0.5, 0.1
"""Where such a share of images is certified, M has an upper limit above this: about 0.15 with eight keys."""


@dataclass(frozen=True)
class Marks:
    """How the marks of held-out answers look: spread of predicted keys, unevenness inside a segment, decoy error."""

    spread: float
    unevenness: float
    decoy_error: float | None

    def as_block(self) -> MarksBlock:
        """{spread unevenness decoy_error} of a record."""
        return {"spread": self.spread, "unevenness": self.unevenness, "decoy_error": self.decoy_error}


def check(
    held_out: NegativeBlock,
    other_keys: NegativeBlock,
    power: Estimate,
    marks: Marks,
    baseline: Marks,
    *,
    active: bool,
    further: Sequence[str] = (),
) -> ControlsBlock:
    """The controls block of a record; `sound` when it has no `faults`, `further` ones included.

    `power` is the best of the queries that were asked: queries that do not find what is there measure nothing. Mark
    validity: either number alone may have honest reasons, so only both together disqualify.
    """
    is_gray = marks.spread < LEAST_SPREAD * baseline.spread
    low, high = (factor * baseline.unevenness for factor in EVENNESS)
    valid = not (is_gray and not low <= marks.unevenness <= high)
    faults = [
        *leaks("held-out images", held_out),
        *leaks("other keys", other_keys),
        *([] if power.value >= 0.95 else [f"power {power.value:.3f} of the perfect memorizer, expected 0.95 or more"]),
        *([] if valid else [_invalid_mark(marks, baseline)]),
        *([] if active else ["inactive: its answers equal the baseline's bit for bit"]),
        *further,
    ]
    return {
        "held_out": held_out,
        "other_keys": other_keys,
        "power": scoring.interval(power),
        "mark_valid": {"valid": valid, **marks.as_block(), "baseline": baseline.as_block()},
        "active": active,
        "faults": faults,
        "sound": not faults,
    }


def leaks(name: str, scored: NegativeBlock) -> list[str]:
    """A sentence for each sign that predictions know keys which they cannot know."""
    faults = []
    if scored["chance_p"] < SUSPICION:
        faults.append(f"{name}: M = {scored['memorization']['value']:+.3f} is not 0 (p = {scored['chance_p']:.1e})")
    if scored["uniform_p"] < SUSPICION:
        faults.append(f"{name}: p-values are not uniform (p = {scored['uniform_p']:.1e})")
    if scored["certified"]["count"] > max(2, 0.05 * scored["certified"]["of"]):  # one or two happen where N is small
        faults.append(f"{name}: {scored['certified']['count']} of {scored['certified']['of']} certified")
    return faults


def contradictions(name: str, scored: ScoresBlock) -> list[str]:
    """A sentence where many images are certified and M says that nothing is remembered: one of the two was tampered with.

    Both follow from the same distances. An image is certified by segments whose p-values are small, and no distance exceeds
    its p-value, so that M of half certified images cannot be near 0.
    """
    certified, m = scored["certified"], scored["memorization"]
    if certified["count"] < CERTIFIED_SHARE * certified["of"] or m["high"] >= LEAST_M:
        return []
    return [f"{name}: {certified['count']} of {certified['of']} certified beside M = {m['value']:.3f}, which cannot be"]


def _invalid_mark(marks: Marks, baseline: Marks) -> str:
    return (
        f"mark not valid: predicted keys spread {marks.spread:.3f} (baseline {baseline.spread:.3f}) "
        f"and segments are uneven by {marks.unevenness:.3f} (baseline {baseline.unevenness:.3f})"
    )
