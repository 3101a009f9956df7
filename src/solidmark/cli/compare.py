"""`solidmark compare A B`: two runs row by row, or two rows of a run; it ends with 1 where something is worse."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from ..errors import InvalidValue, UnknownName, nearest
from ..runner.board_table import interval
from ..runner.colours import are_wanted, paint
from .paths import given, given_path
from .show import LATEST, LISTED

if TYPE_CHECKING:
    from ..leaderboard import Leaderboard, Row
    from ..leaderboard.differences import Comparison, Difference

STYLES = {"worse": "red", "better": "green", "same": "faint", "undecided": "yellow"}


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.description = (
        "Compare two runs row by row, or two rows of one run: memory, content and accuracy of B less those of A, paired "
        "over seeds (over images where there are fewer than three), with Holm's correction for all of them. It ends with 1 "
        "where a row is worse in B: more memory, less accuracy, or no numbers any more."
    )
    parser.add_argument("before", type=given, metavar="A", help="the folder of a run, or a row such as 'rna(share=0.5)'")
    parser.add_argument("after", type=given, metavar="B", help="as A")
    parser.add_argument(
        "--run", type=given_path, action="append", metavar="RUN", help="where rows are from (default: runs/latest)"
    )
    parser.add_argument("--margin", type=float, default=0.05, metavar="X", help="so much is no difference (default: 0.05)")
    parser.add_argument("--all", action="store_true", help="show what is the same as well")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(command=_compare)


def _compare(options: argparse.Namespace) -> int:
    if not 0 <= options.margin < 1:
        raise InvalidValue("--margin", f"{options.margin}", "a share of at least 0 and below 1", "Choose such a margin.")
    sides = [Path(options.before), Path(options.after)]
    if any(map(_is_run, sides)):
        _check_runs(sides)
    comparison = _of_runs(options) if sides[0].is_dir() else _of_rows(options)
    if options.json:
        print(as_json(comparison))
    else:
        print(told(comparison, everything=options.all, colours=are_wanted(sys.stdout)))
    return 1 if comparison.worse else 0


def _is_run(folder: Path) -> bool:
    return (folder / "records").is_dir()


def _check_runs(sides: Sequence[Path]) -> None:
    """Raises InvalidValue for the side that is no run where the other one is."""
    for side, other in (sides, sides[::-1]):
        if not _is_run(side):
            beside = side.parent.iterdir() if side.parent.is_dir() else ()
            near = nearest(side.name, [folder.name for folder in beside if _is_run(folder)])
            found = f"{str(side)!r}, a folder without `records`" if side.is_dir() else f"{str(side)!r}, which is no folder"
            cure = f"Did you mean {str(side.with_name(near))!r}?" if near else "Compare two rows of that run by --run."
            raise InvalidValue("solidmark compare", found, f"the folder of a run, as {str(other)!r} is", cure)


def _of_runs(options: argparse.Namespace) -> Comparison:
    from ..leaderboard.differences import compare_runs
    from ..leaderboard.render import load_leaderboard

    folders = [[Path(options.before)], [Path(options.after)]]
    sides = [(load_leaderboard(runs), runs) for runs in folders]
    return compare_runs(sides[0], sides[1], options.margin)


def _of_rows(options: argparse.Namespace) -> Comparison:
    from ..leaderboard.differences import compare_rows
    from ..leaderboard.render import load_leaderboard

    runs = options.run or [LATEST]
    board = load_leaderboard(runs)
    before = _row(board, options.before)
    after = _row(board, options.after, before)
    return compare_rows(before, after, runs, options.margin)


def _row(board: Leaderboard, name: str, beside: Row | None = None) -> Row:
    """The row of that name, on the testbed and with the solver of another where that is given.

    A family of one row is named by itself. Raises UnknownName, and InvalidValue for one without numbers.
    """
    rows = [row for row in board.rows if beside is None or (row.testbed, row.solver) == (beside.testbed, beside.solver)]
    named = [row for row in rows if row.mitigation == name] or [row for row in rows if row.family == name]
    if not named:
        known = dict.fromkeys(label for row in rows for label in (row.mitigation, row.family))
        raise UnknownName.among("solidmark compare", name, known, LISTED)
    if len({row.mitigation for row in named}) > 1:
        settings = ", ".join(row.mitigation for row in named)
        raise InvalidValue("solidmark compare", f"{name}, of several settings", f"one of {settings}", "Name a setting.")
    if not named[0].ok:
        raise InvalidValue(
            f"solidmark compare {name}", named[0].reason or named[0].status, "a row with numbers", "Name another."
        )
    return named[0]


def told(comparison: Comparison, *, everything: bool = False, colours: bool = False) -> str:
    """What has changed, the worst first; what is the same only as a count, unless `everything` is asked for."""
    order = list(STYLES)
    found = sorted(comparison.differences, key=lambda one: (order.index(one.change.value), -abs(one.estimate.value)))
    shown = [one for one in found if everything or one.change.value != "same"]
    several = len({one.testbed for one in found}) > 1
    headers = ["row", "of", "A", "B", "B − A", "paired over", "p", ""]
    table = [
        tabulate([_line(one, several=several, colours=colours) for one in shown], headers=headers, disable_numparse=True)
    ]
    counts = [f"{sum(one.change.value == word for one in found)} {word}" for word in order]
    return "\n".join(
        [
            *(table if shown else []),
            *(paint(f"lost: {name}", "red", on=colours) for name in comparison.lost),
            *_alone("A", comparison.only_before),
            *_alone("B", comparison.only_after),
            f"{len(found)} differences: {', '.join(counts)}" if found else "no row in common has numbers",
        ]
    )


def _alone(side: str, names: tuple[str, ...]) -> list[str]:
    return [f"only in {side}: {len(names)} rows, such as {names[0]}"] if names else []


def _line(one: Difference, *, several: bool, colours: bool) -> list[str]:
    return [
        f"{one.testbed}, {one.mitigation}" if several else one.mitigation,
        one.measure,
        f"{one.before:.3f}",
        f"{one.after:.3f}",
        interval(one.estimate, sign=True),
        one.paired or "not paired",
        "–" if one.p is None else f"{one.p:.2g}",
        paint(one.change.value, STYLES[one.change.value], on=colours),
    ]


def as_json(comparison: Comparison) -> str:
    """The comparison for scripts; `p` is null where there is no interval."""
    each: list[dict[str, Any]] = [{**asdict(one), "change": one.change.value} for one in comparison.differences]
    sides = {"only_before": comparison.only_before, "only_after": comparison.only_after, "lost": comparison.lost}
    return json.dumps({"worse": comparison.worse, "differences": each, **sides}, indent=1)
