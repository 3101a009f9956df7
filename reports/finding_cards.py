"""Cards: what each experiment found, in words, a card a finding, suite by suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Estimate, Finding, Leaderboard, Outcome

from .columns import spans

TITLES = {
    "validity": "Does the ruler measure memory?",
    "copy-metrics": "Compared with other metrics",
    "claims": "What papers claim, on these testbeds",
}
"""What a suite asks; one that is not listed goes by its name."""

SIGNS = {"holds": "✓", "fails": "✗", "undecided": "?"}
"""Shown with the word, so that verdicts differ without colour."""

WORDS = {"claims": {"holds": "supported", "fails": "refuted"}}
"""A suite's own words for verdicts."""

COLUMNS = ("verdict", "statement", "found", "source")
"""Of the table of a suite."""

ABOUT = (
    "Each rule was written before the numbers. It holds where the 95 % interval over seeds is within what the rule asks, "
    "fails where it is outside, and is undecided in between."
)


@dataclass(frozen=True)
class Card:
    """One finding in words; one without numbers has its status as its verdict."""

    outcome: Outcome

    @property
    def verdict(self) -> str:
        """`holds`, `fails` or `undecided`; else what became of the experiment."""
        finding = self.outcome.finding
        return finding.verdict.value if finding else self.outcome.status.replace("_", " ")

    @property
    def word(self) -> str:
        """The verdict in the words of its suite: claims are `supported` or `refuted`."""
        return WORDS.get(self.outcome.suite, {}).get(self.verdict, self.verdict)

    @property
    def sign(self) -> str:
        """A letter for the verdict."""
        return SIGNS.get(self.verdict, "–")

    @property
    def summary(self) -> tuple[str, str, str, str]:
        """A line of the suite's table: verdict, statement, result, and source."""
        finding = self.outcome.finding
        result = f"{finding.statistic}: {interval(finding.estimate)}" if finding else self.outcome.reason
        return f"{self.sign} {self.word}", self.outcome.title, result, finding.source if finding else ""

    @property
    def words(self) -> list[tuple[str, str]]:
        """Name and text of each part of the card."""
        finding = self.outcome.finding
        if finding is None:
            return [("no numbers", self.outcome.reason)]
        result = f"{finding.statistic} {interval(finding.estimate)}, over seeds {spans(finding.seeds)}"
        parts = [("rule", finding.rule), ("found", result), ("reason", finding.reason), ("source", finding.source)]
        return [(name, text) for name, text in parts if text]

    @property
    def numbers(self) -> list[tuple[str, str, str]]:
        """Each point of the figure: series, x, and y with its interval."""
        finding = self.outcome.finding
        return points(finding) if finding else []

    @property
    def headings(self) -> tuple[str, str, str]:
        """Of the points."""
        finding = self.outcome.finding
        if finding is None:
            return "", "", ""
        chance = "" if finding.chance is None else f" (chance {digits(finding.chance)})"
        return "series", finding.x_title, f"{finding.y_title}{chance}"


@dataclass(frozen=True)
class Suite:
    """The cards of one suite, and what it asks."""

    name: str
    title: str
    cards: list[Card]


def suites(board: Leaderboard) -> list[Suite]:
    """All findings of a leaderboard, suite by suite, in their order."""
    return [
        Suite(name, TITLES.get(name, name), [Card(outcome) for outcome in board.findings if outcome.suite == name])
        for name in _suites(board.findings)
    ]


def counts(outcomes: Sequence[Outcome]) -> str:
    """`validity, 18 findings: 14 hold, 1 fails, 3 undecided; claims, ...`; empty where there are none."""
    cards = {suite: [Card(outcome) for outcome in outcomes if outcome.suite == suite] for suite in _suites(outcomes)}
    return "; ".join(_counts(suite, members) for suite, members in cards.items())


def _suites(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(outcome.suite for outcome in outcomes))


def _counts(suite: str, cards: Sequence[Card]) -> str:
    verdicts = [card.verdict for card in cards]
    numbers = {verdict: verdicts.count(verdict) for verdict in SIGNS}
    words = {verdict: verdict.removesuffix("s") if numbers[verdict] > 1 else verdict for verdict in SIGNS}
    words |= WORDS.get(suite, {})
    parts = [f"{count} {words[verdict]}" for verdict, count in numbers.items() if count]
    without = len(verdicts) - sum(numbers.values())
    parts += [f"{without} without numbers"] if without else []
    return f"{suite}, {len(verdicts)} finding{'' if len(verdicts) == 1 else 's'}: {', '.join(parts)}"


def points(finding: Finding) -> list[tuple[str, str, str]]:
    """Series, x, and y with its interval, for each point of a finding."""
    return [
        (series.label, at(x), interval(Estimate(y, low, high)))
        for series in finding.series
        for x, y, low, high in zip(series.x, series.y, series.low, series.high, strict=True)
    ]


def at(x: float | str) -> str:
    """An x, a number or a name, as text."""
    return x if isinstance(x, str) else digits(x)


def interval(estimate: Estimate) -> str:
    """`0.892 [0.888, 0.897]`."""
    low, high = estimate.limits
    return f"{digits(estimate.value)} [{digits(low)}, {digits(high)}]"


def digits(value: float) -> str:
    """Three digits of a number; all before the point of a large one."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:z.3g}"
