"""The first screen: how many mitigations leave less memory, which, by how much, how sure, on which models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Estimate, JointVerdict, Leaderboard, TestbedFacts
from solidmark.leaderboard.answer import Answer, Shown, answer
from solidmark.leaderboard.excess import EQUAL, CurveVerdict
from solidmark.leaderboard.paired import FEWEST
from solidmark.leaderboard.placing import STANDING

from . import prose
from .columns import spans
from .overview import Overview, overview
from .table import SIGNED, TWO, with_interval

MOST = 12
"""So many families are listed on the first screen."""

NEAREST = 5
"""Where none is proven, so many of those that come nearest to it."""

WORDS = ("None", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten", "Eleven", "Twelve")

PLAIN = "plain under-training, plain lower guidance, or plain fine-tuning"


@dataclass(frozen=True)
class Winner:
    """A family with its excess by the worse yardstick, its seeds, and the setting that is shown."""

    family: str
    excess: Estimate
    seeds: str
    shown: Shown | None

    @property
    def text(self) -> str:
        """`+0.62 [+0.52, +0.71]`."""
        return with_interval(self.excess, SIGNED)

    @property
    def at(self) -> str:
        """`M* 0.19 at 98 % of the utility`."""
        if self.shown is None or self.shown.place.worst is None or self.shown.place.kept is None:
            return ""
        kept = f"{100 * self.shown.place.kept:.0f} % of the utility"
        coin = "" if self.shown.place.verdict is not None else "; with less loss only as a coin between it and no mitigation"
        return f"{TWO.format(self.shown.place.worst)} left at {kept}{coin}"


@dataclass(frozen=True)
class First:
    """What the first screen says of one testbed. `nearest` are undecided, and told only where there are no `winners`."""

    facts: TestbedFacts
    decides: bool
    keys_only: bool
    headline: str
    sure: str
    models: str
    winners: list[Winner]
    nearest: list[Winner]
    further: int
    wide: Overview | None
    narrow: Overview | None


def answers(board: Leaderboard) -> list[Answer]:
    """What each testbed and solver answers, in their order."""
    return [answer(board.comparison(facts), board.of(facts)) for facts in board.testbeds]


def first_screens(board: Leaderboard, found: Sequence[Answer]) -> list[First]:
    """One a testbed and solver, in their order, from their answers."""
    return [_first(n, board, facts, one) for n, (facts, one) in enumerate(zip(board.testbeds, found, strict=True))]


def _first(number: int, board: Leaderboard, facts: TestbedFacts, found: Answer) -> First:
    comparison = board.comparison(facts)
    winners = [_winner(verdict, found) for verdict in found.of(CurveVerdict.REAL)]
    drawn = [overview(f"{name}-{number}", found, comparison, narrow=name == "narrow") for name in ("wide", "narrow")]
    return First(
        facts,
        found.decides,
        comparison.keys_only,
        _headline(found, facts),
        _sure(found, comparison.keys_only),
        f"{prose.sentence(prose.sizes(board, facts))}.",
        winners[:MOST],
        [] if winners or not found.decides else _nearest(found),
        max(len(winners) - MOST, 0),
        *drawn,
    )


def _winner(verdict: JointVerdict, found: Answer) -> Winner:
    return _listed(verdict, min(_known(verdict), key=lambda e: e.value), found)


def _listed(verdict: JointVerdict, excess: Estimate, found: Answer) -> Winner:
    shown = next((one for one in found.families if one.row.family == verdict.keys.family), None)
    return Winner(verdict.keys.family, excess, spans(verdict.keys.seeds), shown)


def _known(verdict: JointVerdict) -> list[Estimate]:
    """The excess by each yardstick, and by both together, as far as they have a number."""
    excesses = [each for each in (verdict.keys, verdict.content, verdict.together) if each is not None]
    return [each.estimate for each in excesses if each.estimate is not None]


def _nearest(found: Answer) -> list[Winner]:
    """The undecided families whose lowest bound is the highest: they leave less, but that may be luck."""
    bounded = []
    for verdict in found.of(CurveVerdict.UNDECIDED):
        known = [each for each in _known(verdict) if None not in (each.low, each.high)]
        if known and min(each.value for each in known) > EQUAL:
            bounded.append(_listed(verdict, min(known, key=lambda each: each.limits[0]), found))
    return sorted(bounded, key=lambda one: one.excess.limits[0], reverse=True)[:NEAREST]


def _headline(found: Answer, facts: TestbedFacts) -> str:
    """The answer in a sentence."""
    total = len(found.verdicts)
    if not total:
        return f"No mitigation was compared with a reference on {facts.title}."
    if not found.decides:
        seeds = "one seed" if found.seeds[1] == 1 else "two seeds" if found.seeds[1] == 2 else "no seed in common"
        several = "mitigation" if total == 1 else "mitigations"
        return f"{total} {several} on {facts.title}, {seeds}: a look, no verdict."
    real = len(found.of(CurveVerdict.REAL))
    if not real:
        return f"None of {total} mitigations is proven to leave less memory at equal utility on {facts.title}."
    number = WORDS[real] if real < len(WORDS) else str(real)
    return f"{number} of {total} mitigations leave{'s' * (real == 1)} less memory at equal utility on {facts.title}."


def _sure(found: Answer, keys_only: bool) -> str:
    """How sure that is, and what the others are."""
    if not found.verdicts:
        return ""
    yardsticks = "by keys alone, for these records hold no content" if keys_only else "by the worse of keys and content"
    if not found.decides:
        return (
            f"Each seed trains anew, and so few cannot tell a method's effect from that of another training. Verdicts need "
            f"{FEWEST} seeds: `--profile standard`. Until then the figure shows single trainings, {yardsticks}."
        )
    fewest, most = found.seeds
    seeds = f"{fewest} seeds" if fewest == most else f"{fewest} to {most} seeds"
    others = [f"{len(of)} {verdict.value}" for verdict in STANDING[1:] if (of := found.of(verdict))]
    subject = "The others" if found.of(CurveVerdict.REAL) else "They are"
    rest = f" {subject}: {', '.join(others)}." if others else ""
    corrected = f"{found.comparisons} comparison{'' if found.comparisons == 1 else 's'}"
    return (
        f"Less than {PLAIN} leaves, whichever acts at the same stage: by at least {EQUAL:g} of 1, {yardsticks}, with 95 % "
        f"intervals over {seeds}, corrected for all {corrected}.{rest}"
    )
