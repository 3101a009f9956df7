"""The leaderboard as Markdown: for a terminal, a pull request, a paper's appendix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from solidmark.leaderboard import Leaderboard, Row, TestbedFacts

from . import by_query, fair_table, finding_cards, prose
from .columns import protocol_told, table
from .finding_cards import Card, Suite
from .table import Column, Table


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.md`: the main table, how to read it, the other columns, testbeds, what went wrong, provenance."""
    sections = [f"# {prose.TITLE}", *_body(board), *_findings(board), *_wrong(board), *_provenance(board)]
    return "\n\n".join(sections) + "\n"


def _body(board: Leaderboard) -> list[str]:
    if not board.rows:
        return [_verdicts(board) or prose.NOTHING]
    grid = table(board)
    return [
        *(f"**{escaped(facts.title)}** {escaped(prose.headline(board, facts))}." for facts in board.testbeds),
        f"{escaped(prose.counts(board))}. {_footnote(board)}",
        *([_verdicts(board)] if board.findings else []),
        _table(grid, grid.main),
        *_fair(board),
        "## How to read this table",
        _meanings((*prose.PRINCIPLES, *prose.explained(grid.main))),
        "## More columns",
        _table(grid, _with_names(grid)),
        _meanings(prose.explained(grid.more)),
        *_queries(board),
        *(section for facts in board.testbeds for section in _testbed(board, facts)),
    ]


def _fair(board: Leaderboard) -> list[str]:
    """Excesses, ranking and curves in numbers, testbed by testbed."""
    named = len(board.testbeds) > 1
    told = [section for facts in board.testbeds for section in _fair_of(board, facts, named=named)]
    ranked = [section for facts in board.testbeds for section in _ranking(board, facts, named=named)]
    return [
        *([f"## {fair_table.TITLE}", escaped(fair_table.ABOUT), *told] if told else []),
        *([f"## {fair_table.RANKING}", escaped(fair_table.ABOUT_RANKING), *ranked] if ranked else []),
    ]


def _fair_of(board: Leaderboard, facts: TestbedFacts, *, named: bool) -> list[str]:
    fair = board.fair(facts)
    lines, columns = fair_table.lines(fair), fair_table.columns(fair)
    if not lines:
        return []
    told = ". ".join(prose.sentence(text) for text in (fair_table.counts(fair), fair_table.few(fair)) if text)
    cells = [[column.cell(line).text for column in columns] for line in lines]
    levels = [[family, *numbers] for family, numbers in fair_table.levels(fair)]
    losses = [f"{100 * loss:.0f} % lost" for loss in fair_table.LEVELS]
    return [
        *([f"### {escaped(facts.title)}"] if named else []),
        f"{escaped(told)}.",
        _tabulated(cells, [column.heading for column in columns]),
        *_folded(f"M* of every family by the {fair.axis} that is lost", _tabulated(levels, ["family", *losses])),
    ]


def _ranking(board: Leaderboard, facts: TestbedFacts, *, named: bool) -> list[str]:
    fair, found = board.fair(facts), fair_table.ranked(board, facts)
    ranking = fair.ranked(fair.axis)
    if ranking is None:
        return []
    cells = [[column.cell(one).text for column in fair_table.RANKED] for one in found]
    return [
        *([f"### {escaped(facts.title)}"] if named else []),
        f"{escaped(prose.sentence(ranking.reason))}.",
        _tabulated(cells, [column.heading for column in fair_table.RANKED]),
    ]


def _queries(board: Leaderboard) -> list[str]:
    """Each query of the baseline, and folded those of every other row."""
    found = [asked for asked in (by_query.asked(board, facts) for facts in board.testbeds) if asked.baseline or asked.others]
    if not found:
        return []
    named = len(board.testbeds) > 1
    told = [section for asked in found for section in _asked(asked, named=named)]
    return [f"## {by_query.TITLE}", escaped(by_query.ABOUT), *told]


def _asked(asked: by_query.Asked, *, named: bool) -> list[str]:
    headings = [column.heading for column in by_query.COLUMNS]
    baseline = [[cell.text for cell in line.cells] for line in asked.baseline]
    others = [[row.mitigation, *(cell.text for cell in line.cells)] for row, lines in asked.others for line in lines]
    return [
        *([f"### {escaped(asked.facts.title)}"] if named else []),
        *([_tabulated(baseline, headings)] if baseline else []),
        *(_folded("Every other row", _tabulated(others, ["mitigation", *headings])) if others else []),
    ]


def _folded(summary: str, content: str) -> list[str]:
    return [f"<details><summary>{escaped(summary)}</summary>", content, "</details>"]


def _with_names(grid: Table[Row]) -> tuple[Column[Row], ...]:
    names = tuple(column for column in grid.main if column.key in ("testbed", "mitigation"))
    return (*names, *grid.more)


def _table(grid: Table[Row], columns: tuple[Column[Row], ...]) -> str:
    rows = [[cell.text for cell in cells] for _, cells in prose.cells(grid, columns)]
    return _tabulated(rows, [column.heading for column in columns])


def _tabulated(rows: Iterable[Iterable[str]], headings: Sequence[str]) -> str:
    """A table whose cells are all text, already formatted: tabulate would turn 0.10 into 0.1."""
    safe = [[escaped(cell) for cell in row] for row in rows]
    return tabulate(safe, headers=[escaped(name) for name in headings], tablefmt="github", disable_numparse=True)


def escaped(text: str) -> str:
    """Text that stays in its cell and is shown as it is: no markup, no column, no line of its own."""
    line = " ".join(text.split())
    for letter in "\\`*|" + ("[" if "](" in line else ""):
        line = line.replace(letter, f"\\{letter}")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _footnote(board: Leaderboard) -> str:
    told = "; ".join(f"{facts.title}: {prose.sizes(board, facts)}" for facts in board.testbeds)
    first, last = board.measured
    commit = dict(prose.provenance(board))["commit"]
    return escaped(
        f"{told}. Environment {prose.environments(board)}. Benchmark version {board.benchmark_version}, measured {first}"
        f"{'' if first == last else f' to {last}'}, commit {commit}."
    )


def _meanings(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{escaped(name)}**: {escaped(meaning)}" for name, meaning in pairs)


def _testbed(board: Leaderboard, facts: TestbedFacts) -> list[str]:
    power, marking = prose.power(facts), prose.marking(board, facts)
    lines = [
        f"Baseline: {prose.headline(board, facts).removeprefix('baseline: ')}.",
        *([f"Expected of the baseline: {facts.expected}."] if facts.expected else []),
        f"Size: {prose.sizes(board, facts)}. Protocol {protocol_told(facts.protocol)}.",
        *([f"Power and cost of marking are unknown: {facts.reason}."] if facts.reason else []),
    ]
    return [
        f"## Testbed {escaped(facts.title)}",
        "\n".join(f"- {escaped(line)}" for line in lines),
        *([_tabulated(power, ["query", "power: M of a perfect memorizer (expected 1)"])] if power else []),
        *([_tabulated(marking, ["cost of marking", "trained with marks", "without"])] if marking else []),
    ]


def _verdicts(board: Leaderboard) -> str:
    told = finding_cards.counts(board.findings)
    return f"{escaped(told)}." if told else ""


def _findings(board: Leaderboard) -> list[str]:
    """A section a suite; the points of each figure stand folded below it."""
    found = finding_cards.suites(board)
    return [section for suite in found for section in _suite(suite)]


def _suite(suite: Suite) -> list[str]:
    """A table of all verdicts, then each finding by itself."""
    lines = _tabulated([card.summary for card in suite.cards], finding_cards.COLUMNS)
    return [f"## {escaped(prose.sentence(suite.title))}", finding_cards.ABOUT, lines, *map(_card, suite.cards)]


def _card(card: Card) -> str:
    numbers = _folded("The numbers", _tabulated(card.numbers, card.headings)) if card.numbers else []
    return "\n\n".join([f"### {card.sign} {card.word}: {escaped(card.outcome.title)}", _meanings(card.words), *numbers])


def _wrong(board: Leaderboard) -> list[str]:
    if not board.incidents and not board.notes:
        return ["## What went wrong", "Nothing: no case failed, none crashed, and no record was damaged."]
    rows = [(i.slug, i.status, i.reason, i.worker, i.afterwards) for i in board.incidents]
    listed = [_tabulated(rows, ["case", "status", "reason", "worker", "afterwards"])] if rows else []
    notes = ["\n".join(f"- {escaped(note)}" for note in board.notes)] if board.notes else []
    return ["## What went wrong", *listed, *notes]


def _provenance(board: Leaderboard) -> list[str]:
    sources = prose.references(board.rows)
    listed = ["## Sources", _meanings(sources)] if sources else []
    return [*listed, "## Provenance", _meanings(prose.provenance(board))]
