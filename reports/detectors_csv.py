"""Detectors of memorized prompts as CSV: one line a testbed and detector."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from solidmark.leaderboard import Leaderboard

from .as_csv import safe

HEADER = ["testbed", "detector", "auroc", "auroc_low", "auroc_high", "auroc_chance", "captions", "evaluations", "reason"]


def render(board: Leaderboard, runs: Sequence[Path]) -> str:
    """`leaderboard.detectors.csv`: AUROC of trained against held-out captions; unknown is empty, with a reason."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(HEADER)
    for facts in board.testbeds:
        for name, one in facts.detectors.items():
            numbers = (
                ["", "", "", "", ""] if one.auroc is None else [one.auroc.value, *one.auroc.limits, 0.5, one.auroc.count]
            )
            evaluations = "" if one.evaluations is None else one.evaluations
            writer.writerow([safe(value) for value in (facts.title, name, *numbers, evaluations, one.reason)])
    return out.getvalue()
