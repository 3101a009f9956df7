"""`solidmark show FAMILY`: one family of a run, its verdict with the reasons, its settings, and what each query finds."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tabulate import tabulate

from ..errors import UnknownName
from ..runner.board_table import BOUND, MEMORY, interval
from ..runner.colours import STYLES, are_wanted, bar, paint
from .paths import given_path

if TYPE_CHECKING:
    from ..leaderboard import Excess, JointVerdict, Leaderboard, MatchedComparison, Row, TestbedFacts
    from ..leaderboard.standing import Standing
    from ..schema.row import Scored

CONTENT = "content (0 is chance)"
"""2 AUROC - 1 by the caption that finds most, as the page has it."""

LATEST = Path("runs/latest")
"""The run that is read where none is named."""

LISTED = "the table of `solidmark report RUN --into DIR`"
"""What lists the rows of a run."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("family", metavar="FAMILY", help="as the table calls it, such as rna")
    parser.add_argument("runs", nargs="*", type=given_path, metavar="RUN", help="folders of runs (default: runs/latest)")
    parser.set_defaults(command=_show)


def _show(options: argparse.Namespace) -> int:
    from ..leaderboard.render import load_leaderboard

    board = load_leaderboard(options.runs or [LATEST])
    print(told(board, options.family, colours=are_wanted(sys.stdout)))
    return 0


def told(board: Leaderboard, family: str, *, colours: bool = False) -> str:
    """What a leaderboard says of a family, testbed after testbed. Raises UnknownName for one that it does not have."""
    names = list(dict.fromkeys(row.family for row in board.rows))
    if family not in names:
        raise UnknownName.among("solidmark show", family, names, LISTED)
    parts = [_on(board, facts, family, colours=colours) for facts in board.testbeds]
    return "\n\n".join(part for part in parts if part)


def _on(board: Leaderboard, facts: TestbedFacts, family: str, *, colours: bool) -> str:
    """The family on one testbed and solver; empty where it was not measured there."""
    from ..leaderboard.standing import standings

    mine = [one for one in standings(board, facts) if one.row.family == family]
    if not mine:
        return ""
    comparison = board.comparison(facts)
    return "\n".join(
        [
            paint(f"{family} on {facts.title}", "bold", on=colours),
            *_about(mine[0].row),
            "",
            *_verdicts(mine[0], comparison, colours=colours),
            *_rank(comparison, family),
            "",
            _settings(mine, comparison, colours=colours),
            BOUND,
            *_unset(mine),
            *_queries(mine),
            *_content(mine),
            *(f"{one.row.mitigation}: {one.row.status}: {one.row.reason}" for one in mine if not one.row.ok),
        ]
    )


def _about(row: Row) -> list[str]:
    needs = f"; needs {', '.join(row.needs)}" if row.needs else ""
    fidelity = f"; fidelity {row.fidelity}" if row.fidelity else ""
    return [f"acts at: {row.stage}{needs}{fidelity}", *([f"source: {row.reference}"] if row.reference else [])]


def _verdicts(standing: Standing, comparison: MatchedComparison, *, colours: bool) -> list[str]:
    """Each verdict with its reasons, that of the hardest reference first; what the family is where it has none."""
    family = standing.row.family
    found = sorted(
        (one for one in comparison.verdicts_on(comparison.axis) if one.keys.family == family),
        key=lambda one: one is not standing.place.family,
    )
    if not found:
        return [f"no verdict: it is the {standing.word}" if standing.row.ok else "no verdict: it has no numbers"]
    return [line for one in found for line in _verdict(one, comparison.axis, colours=colours)]


def _verdict(found: JointVerdict, axis: str, *, colours: bool) -> list[str]:
    word = found.verdict.value
    against = found.keys.reference or "no reference"
    lines = [f"verdict: {paint(word, STYLES[word], on=colours)} against {against} at equal {axis}: {found.reason}"]
    parts = {"keys": found.keys, "content": found.content, "both at once": found.together}
    lines += [_excess(name, excess) for name, excess in parts.items() if excess is not None]
    return lines + (["  by content: not measured"] if found.keys_only else [])


def _excess(name: str, excess: Excess) -> str:
    """`  by keys: real, excess +0.579 [+0.398, +0.759], p 0.0012 among 32, 6 seeds: below its reference`."""
    if excess.estimate is None:
        return f"  by {name}: {excess.verdict.value}: {excess.reason}"
    p = f", p {excess.p:.2g} among {excess.comparisons}" if excess.p is not None else ""
    seeds = f"{len(excess.seeds)} seed{'' if len(excess.seeds) == 1 else 's'}"
    number = interval(excess.estimate, sign=True)
    why = excess.reason if excess.reason.startswith(seeds) else f"{seeds}: {excess.reason}"
    return f"  by {name}: {excess.verdict.value}, excess {number}{p}, {why}"


def _rank(comparison: MatchedComparison, family: str) -> list[str]:
    ranking = comparison.leading_ranking(comparison.axis)
    families = ranking.families if ranking is not None else ()
    mine = next((one for one in families if one.family == family), None)
    if mine is None:
        return []
    setting = f" by {mine.setting}" if mine.setting else ""
    found = f"{interval(mine.matched)} at matched utility{setting}"
    return [f"rank {mine.ranks} of {len(families)}, pair by pair without correction: {found}"]


def _settings(found: Sequence[Standing], comparison: MatchedComparison, *, colours: bool) -> str:
    """A line a setting, that which remembers least first."""
    lost = {p.mitigation: p.loss for curve in comparison.curves_on(comparison.axis) for p in curve.points}
    headers = [
        "setting",
        "verdict",
        MEMORY,
        *([""] if colours else []),
        "certified",
        CONTENT,
        f"{comparison.axis} lost",
        "cost",
        "seeds",
    ]
    return tabulate([_setting(one, lost, colours=colours) for one in found], headers=headers, disable_numparse=True)


def _setting(standing: Standing, lost: dict[str, float], *, colours: bool) -> list[str]:
    from ..leaderboard.measures import content_of

    row, memory, share = standing.row, standing.memory, standing.certified
    bars = [] if not colours else [bar(abs(memory.value)) if memory is not None else ""]
    content = content_of(row)
    return [
        row.setting or "default",
        standing.word,
        interval(memory) if memory is not None else "",
        *bars,
        f"{share.count} of {share.of}" if share is not None else "",
        f"{content.value:.2f}" if content is not None else "–",
        f"{round(100 * lost[row.mitigation])} %" if row.mitigation in lost else "–",
        _cost(row),
        ", ".join(map(str, row.seeds)),
    ]


def _unset(found: Sequence[Standing]) -> list[str]:
    """Where a parameter is None, what tells its meaning, and how images are sampled, which it may leave as it is."""
    row = next((one.row for one in found if None in one.row.parameters.values()), None)
    if row is None:
        return []
    names = ", ".join(name for name, value in row.parameters.items() if value is None)
    solver = ", ".join(f"{name} {value}" for name, value in row.solver.items() if name != "name")
    sampled = f"; the solver here is {row.solver.get('name')}: {solver}" if row.solver else ""
    return [f"{names}=None: `solidmark plugins {row.family}` says what that means{sampled}"]


def _cost(row: Row) -> str:
    """Evaluations over those of the baseline: at training and editing, and for an image."""
    if row.cost is None or row.cost.relative is None:
        return "–"
    image = f", {row.cost.sampling_relative:.2g} × an image" if row.cost.sampling_relative is not None else ""
    return f"{row.cost.relative:.2g} × training{image}"


def _queries(found: Sequence[Standing]) -> list[str]:
    """M of each query, where a row was asked more than one."""
    asked = [(one.row.setting, one.row.queries) for one in found if one.row.queries is not None]
    names = list(dict.fromkeys(name for _, queries in asked for name in queries))
    if len(names) < 2:
        return []
    lines = [[setting or "default", *(_m(queries.get(name)) for name in names)] for setting, queries in asked]
    return ["", tabulate(lines, headers=["M by query", *names], disable_numparse=True)]


def _content(found: Sequence[Standing]) -> list[str]:
    """The fewest images that content can certify, and images that come back without their keys."""
    from ..leaderboard.disagreement import washed

    read = [(one.row.setting or "default", one.row.content) for one in found if one.row.content is not None]
    least = " or ".join(map(str, sorted({content.any.least for _, content in read})))
    told = [f"content certifies at least {least} images of a seed, or none"] if least else []
    return told + [f"{setting}: {note}" for setting, content in read if (note := washed(content)) is not None]


def _m(scored: Scored | None) -> str:
    return f"{scored.memorization.value:.3f}" if scored is not None else "–"
