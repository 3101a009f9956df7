"""Cards: what each experiment found, in words, a card a finding, suite by suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from solidmark.leaderboard import Estimate, Finding, Leaderboard, Outcome, Step

from .columns import spans

TITLES = {
    "validity": "Does the ruler measure memory?",
    "copy-metrics": "Compared with other metrics",
    "claims": "What papers claim, on these testbeds",
}
"""What a suite asks; one that is not listed goes by its name."""

SIGNS = {"holds": "✓", "fails": "✗", "undecided": "?", "not seen here": "○", "not testable here": "–"}
"""Shown with the word, so that verdicts differ without colour."""

WORDS = {"claims": {"holds": "supported", "fails": "refuted"}}
"""A suite's own words for verdicts."""

COLUMNS = ("verdict", "statement", "found", "source")
"""Of the table of a suite."""

STEPS = ("reach", "replication", "keys and content")
"""The steps in which a claim is tested; a column each in the table of a suite that has steps."""

ABOUT = (
    "Each rule was written before the numbers. It holds where the 95 % interval over seeds is within what the rule asks, "
    "fails where it is outside, and is undecided in between."
)

ABOUT_CLAIMS = (
    "A claim is tested in three steps. Reach: the method's strongest setting moves something, else the claim is not "
    "testable here. Replication: by the source's own measure and solver the published direction is seen. Then the rule, by "
    "keys and by content. Only a claim with reach and replication can be refuted, by a method of fidelity A or B that acts, "
    "where the source's steps and guidance are known; else it is not seen here. A verdict is about the testbed that it "
    "names and nothing else. Records that have the last step alone refute nothing."
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
        """The verdict in the words of its suite: claims are `supported` or `refuted`, and say where, by both names."""
        word, finding = WORDS.get(self.outcome.suite, {}).get(self.verdict, self.verdict), self.outcome.finding
        if finding is None or not finding.where:
            return word
        named = f" ({finding.testbed})" if finding.testbed not in ("", finding.where) else ""
        return f"{word.removesuffix(' here')} on {finding.where}{named}"

    @property
    def sign(self) -> str:
        """A letter for the verdict."""
        return SIGNS.get(self.verdict, "–")

    @property
    def kind(self) -> str:
        """The verdict as the name of a look."""
        return self.verdict.replace(" ", "-") if self.outcome.finding else "none"

    @property
    def method(self) -> str:
        """The family that a claim is about; empty for other findings."""
        return method_of(self.outcome.slug)

    @property
    def summary(self) -> tuple[str, ...]:
        """A line of the suite's table: verdict, statement, result, and source."""
        finding = self.outcome.finding
        result = f"{finding.statistic}: {interval(finding.estimate)}" if finding else self.outcome.reason
        return f"{self.sign} {self.word}", self.outcome.title, result, finding.source if finding else ""

    @property
    def stepwise(self) -> tuple[str, ...]:
        """The same with the method, and a cell a step in place of the result."""
        verdict, title, result, source = self.summary
        steps = {step.name: step for step in self.outcome.finding.steps} if self.outcome.finding else {}
        found = [_step(steps[name]) if name in steps else "not measured" for name in STEPS[:-1]]
        return verdict, self.method, title, *found, _step(steps[STEPS[-1]]) if STEPS[-1] in steps else result, source

    @property
    def words(self) -> list[tuple[str, str]]:
        """Name and text of each part of the card."""
        finding = self.outcome.finding
        if finding is None:
            return [("no numbers", self.outcome.reason)]
        result = f"{finding.statistic} {interval(finding.estimate)}, over seeds {spans(finding.seeds)}"
        steps = [(step.name, f"{step.asks} {_step(step)}") for step in finding.steps]
        parts = [("rule", finding.rule), *steps, ("found", result), ("reason", finding.reason), ("source", finding.source)]
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

    @property
    def about(self) -> str:
        """How to read its verdicts."""
        return f"{ABOUT} {ABOUT_CLAIMS}" if self.stepwise else ABOUT

    @property
    def columns(self) -> tuple[str, ...]:
        """The headings of its table."""
        return (COLUMNS[0], "method", COLUMNS[1], *STEPS, COLUMNS[-1]) if self.stepwise else COLUMNS

    @property
    def lines(self) -> list[tuple[str, ...]]:
        """Its table, a line a finding."""
        return [card.stepwise if self.stepwise else card.summary for card in self.cards]

    @property
    def stepwise(self) -> bool:
        """Whether its findings are tested in steps."""
        return self.name in WORDS


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
    words = {verdict: verdict.removesuffix("s") if numbers[verdict] > 1 else verdict for verdict in SIGNS}  # hold, fail
    words |= WORDS.get(suite, {})
    parts = [f"{count} {words[verdict]}" for verdict, count in numbers.items() if count]
    without = len(verdicts) - sum(numbers.values())
    parts += [f"{without} without numbers"] if without else []
    return f"{suite}, {len(verdicts)} finding{'' if len(verdicts) == 1 else 's'}: {', '.join(parts)}"


def method_of(slug: str) -> str:
    """`claims-prss-2` is about prss; what is no claim is about none."""
    suite, _, name = slug.partition("-")
    return name.rpartition("-")[0] if suite == "claims" else ""


def _step(step: Step) -> str:
    """`yes: M 0.90 to 0.20`."""
    answer = {True: "yes", False: "no", None: "not sure" if step.found else "not measured"}[step.seen]
    return f"{answer}: {step.found}" if step.found else answer


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
