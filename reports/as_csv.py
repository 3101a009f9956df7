"""The leaderboard as CSV: one line a row, flat columns; read it with `pandas.read_csv(path, keep_default_na=False)`."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from solidmark.leaderboard import Leaderboard, Row

from .columns import table
from .table import Column, Flat

DANGEROUS = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes text that begins so for a formula."""

NAMES = {"verdict": "standing", "solver": "protocol"}
"""Columns that keep their first name in this file, for it has no schema number and is read by name."""


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.csv`: each number with `_low`, `_high` and `_chance` in columns of their own; unknown is empty."""
    columns = table(board).columns
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["benchmark_version", "family", *(field for column in columns for field in _fields(column))])
    for row in board.rows:
        cells = (column.cell(row) for column in columns)
        values = [value for column, cell in zip(columns, cells) for value in (cell.flat[f] for f in column.kind.fields)]
        writer.writerow([safe(value) for value in (board.benchmark_version, row.family, *values)])
    return out.getvalue()


def _fields(column: Column[Row]) -> list[str]:
    return [NAMES.get(column.key, column.key) + suffix for suffix in column.kind.fields]


def safe(value: Flat) -> Flat:
    """Text that a spreadsheet would run gets an apostrophe before it; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(DANGEROUS) else value
