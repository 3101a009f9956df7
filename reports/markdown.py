"""The leaderboard as Markdown: for a terminal, a pull request, a paper's appendix."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from tabulate import tabulate

from solidmark.leaderboard import Leaderboard, MatchedComparison, Row, TestbedFacts
from solidmark.leaderboard.measures import CONTENT, KEYS, Measure

from . import by_query, finding_cards, matched_prose, matched_table, prose, ranking_table
from .columns import solver_text, table
from .finding_cards import Card, Suite
from .table import Column, Table
from .wrong import wrong

DETECTOR_COLUMNS = ["detector", "AUROC of trained against held-out captions", "evaluations a prompt"]


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.md`: the main table, how to read it, the other columns, testbeds, what went wrong, provenance."""
    sections = [f"# {prose.TITLE}", *_body(board), *_findings(board), *_wrong(board), *_notes(board), *_provenance(board)]
    return "\n\n".join(sections) + "\n"


def _body(board: Leaderboard) -> list[str]:
    if not board.rows:
        return [_verdicts(board) or prose.NOTHING]
    grid = table(board)
    return [
        *(f"**{escape(facts.title)}** {escape(prose.headline(board, facts))}." for facts in board.testbeds),
        f"{escape(prose.counts(board))}. {_footnote(board)}",
        *([_verdicts(board)] if board.findings else []),
        _table(grid, grid.main),
        *_matched(board),
        "## How to read this table",
        _meanings((*prose.principles(board), *prose.explain(grid.main))),
        "## More columns",
        _table(grid, _with_names(grid)),
        _meanings(prose.explain(grid.more)),
        *_queries(board),
        *(section for facts in board.testbeds for section in _testbed(board, facts)),
    ]


def _matched(board: Leaderboard) -> list[str]:
    """Excesses, ranking and curves in numbers, testbed by testbed."""
    named = len(board.testbeds) > 1
    excesses = [section for facts in board.testbeds for section in _excesses(board, facts, named=named)]
    ranked = [section for facts in board.testbeds for section in _ranking(board, facts, named=named)]
    return [
        *([f"## {matched_prose.TITLE}", escape(matched_prose.about(board)), *excesses] if excesses else []),
        *([f"## {matched_prose.RANKING}", escape(matched_prose.about_ranking(board)), *ranked] if ranked else []),
    ]


def _excesses(board: Leaderboard, facts: TestbedFacts, *, named: bool) -> list[str]:
    comparison = board.comparison(facts)
    lines, columns = matched_table.lines(comparison), matched_table.columns(comparison)
    if not lines:
        return []
    remarks = [text for text in (matched_table.counts(comparison), matched_table.few(comparison)) if text]
    cells = [[column.cell(line).text for column in columns] for line in lines]
    return [
        *([f"### {escape(facts.title)}"] if named else []),
        f"{escape('. '.join(map(prose.sentence, remarks)))}.",
        _tabulate(cells, [column.heading for column in columns]),
        *_levels(comparison, KEYS),
        *([] if comparison.keys_only else _levels(comparison, CONTENT)),
    ]


def _levels(comparison: MatchedComparison, measure: Measure) -> list[str]:
    """Every curve by one yardstick in numbers, folded."""
    name = f"Content ({measure.title})" if measure is CONTENT else measure.title
    numbers = [[family, *each] for family, each in matched_table.levels(comparison, measure.name)]
    losses = [f"{100 * loss:.0f} % lost" for loss in matched_table.LEVELS]
    return _fold(f"{name} of every family by the {comparison.axis} that is lost", _tabulate(numbers, ["family", *losses]))


def _ranking(board: Leaderboard, facts: TestbedFacts, *, named: bool) -> list[str]:
    comparison = board.comparison(facts)
    ranking = comparison.leading_ranking(comparison.axis)
    if ranking is None:
        return []
    columns = ranking_table.ranking_columns(comparison)
    cells = [[column.cell(line).text for column in columns] for line in ranking_table.ranking_lines(board, facts)]
    return [
        *([f"### {escape(facts.title)}"] if named else []),
        escape(f"{prose.sentence(ranking.reason)}. {ranking_table.without_rank(comparison)}".strip()),
        _tabulate(cells, [column.heading for column in columns]),
    ]


def _queries(board: Leaderboard) -> list[str]:
    """Each query of the baseline, and folded those of every other row."""
    tables = [by_query.query_tables(board, facts) for facts in board.testbeds]
    shown = [table for table in tables if table.baseline or table.others]
    if not shown:
        return []
    named = len(board.testbeds) > 1
    sections = [section for table in shown for section in _query_table(table, named=named)]
    return [f"## {by_query.TITLE}", escape(by_query.ABOUT), *sections]


def _query_table(table: by_query.QueryTables, *, named: bool) -> list[str]:
    headings = [column.heading for column in by_query.COLUMNS]
    baseline = [[cell.text for cell in line.cells] for line in table.baseline]
    others = [[row.mitigation, *(cell.text for cell in line.cells)] for row, lines in table.others for line in lines]
    return [
        *([f"### {escape(table.facts.title)}"] if named else []),
        *([_tabulate(baseline, headings)] if baseline else []),
        *(_fold("Every other row", _tabulate(others, ["mitigation", *headings])) if others else []),
    ]


def _fold(summary: str, content: str) -> list[str]:
    return [f"<details><summary>{escape(summary)}</summary>", content, "</details>"]


def _with_names(grid: Table[Row]) -> tuple[Column[Row], ...]:
    names = tuple(column for column in grid.main if column.key in ("testbed", "mitigation"))
    return (*names, *grid.more)


def _table(grid: Table[Row], columns: tuple[Column[Row], ...]) -> str:
    rows = [[cell.text for cell in cells] for _, cells in prose.cells(grid, columns)]
    return _tabulate(rows, [column.heading for column in columns])


def _tabulate(rows: Iterable[Iterable[str]], headings: Sequence[str]) -> str:
    """A table whose cells are all text, already formatted: tabulate would turn 0.10 into 0.1."""
    safe = [[escape(cell) for cell in row] for row in rows]
    return tabulate(safe, headers=[escape(name) for name in headings], tablefmt="github", disable_numparse=True)


def escape(text: str) -> str:
    """Text that stays in its cell and is shown as it is: no markup, no column, no line of its own."""
    line = " ".join(text.split())
    for letter in "\\`*|" + ("[" if "](" in line else ""):
        line = line.replace(letter, f"\\{letter}")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _footnote(board: Leaderboard) -> str:
    sizes = "; ".join(f"{facts.title}: {prose.sizes(board, facts)}" for facts in board.testbeds)
    first, last = board.measured
    return escape(
        f"{sizes}. Environment {prose.environments(board)}. Benchmark version {board.benchmark_version}, measured {first}"
        f"{'' if first == last else f' to {last}'}, {prose.commits(board)}."
    )


def _meanings(pairs: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"- **{escape(name)}**: {escape(meaning)}" for name, meaning in pairs)


def _testbed(board: Leaderboard, facts: TestbedFacts) -> list[str]:
    power, marking = prose.power(facts), prose.marking(board, facts)
    lines = [
        f"Baseline: {prose.headline(board, facts).removeprefix('baseline: ')}.",
        *([f"Expected of the baseline: {facts.expected}."] if facts.expected else []),
        f"Size: {prose.sizes(board, facts)}. Solver {solver_text(facts.solver)}.",
        *([f"Power and cost of marking are unknown: {prose.ended(facts.reason)}"] if facts.reason else []),
    ]
    return [
        f"## Testbed {escape(facts.title)}",
        "\n".join(f"- {escape(line)}" for line in lines),
        *([_tabulate(power, ["query", "power: M of a perfect memorizer (expected 1)"])] if power else []),
        *([_tabulate(marking, ["cost of marking", "trained with marks", "without"])] if marking else []),
        *([escape(prose.DETECTORS), _tabulate(prose.detectors(facts), DETECTOR_COLUMNS)] if facts.detectors else []),
    ]


def _verdicts(board: Leaderboard) -> str:
    counts = finding_cards.counts(board.findings)
    return f"{escape(counts)}." if counts else ""


def _findings(board: Leaderboard) -> list[str]:
    """A section a suite; the points of each figure are folded below it."""
    return [section for suite in finding_cards.suites(board) for section in _suite(suite)]


def _suite(suite: Suite) -> list[str]:
    """A table of all verdicts, then each finding by itself."""
    lines = _tabulate(suite.lines, suite.columns)
    return [f"## {escape(prose.sentence(suite.title))}", suite.about, lines, *map(_card, suite.cards)]


def _card(card: Card) -> str:
    numbers = _fold("The numbers", _tabulate(card.numbers, card.headings)) if card.numbers else []
    return "\n\n".join([f"### {card.sign} {card.word}: {escape(card.outcome.title)}", _meanings(card.words), *numbers])


def _wrong(board: Leaderboard) -> list[str]:
    found = wrong(board)
    nothing = [] if found.count else ["Nothing: no case failed, none crashed, and no record was damaged."]
    rows = [(i.slug, i.status, i.reason, i.worker, i.afterwards) for i in found.incidents]
    listed = [_tabulate(rows, ["case", "status", "reason", "worker", "afterwards"])] if rows else []
    apart = ["### Not applicable here", *_list([f"{n}: {why}" for n, why in found.unsupported])] if found.unsupported else []
    return ["## What went wrong", *nothing, *listed, *_list(board.faults), *apart]


def _notes(board: Leaderboard) -> list[str]:
    return ["## Notes", *_list(board.remarks)] if board.remarks else []


def _list(notes: Sequence[str]) -> list[str]:
    return ["\n".join(f"- {escape(note)}" for note in notes)] if notes else []


def _provenance(board: Leaderboard) -> list[str]:
    sources = prose.references(board.rows)
    listed = ["## Sources", _meanings(sources)] if sources else []
    runs = [section for name, facts in prose.each_run(board) if facts for section in _run(name, facts)]
    return [*listed, "## Provenance", _meanings(prose.provenance(board)), *runs]


def _run(name: str, facts: Sequence[tuple[str, str]]) -> list[str]:
    return [f"### Run {escape(name)}", _meanings(facts)]
