"""The columns of the leaderboard: what is shown, what it means, what chance gives, which way is better.

Those of memorization stand in `score_columns`, of utility in `utility_columns`, of fair comparison in `fair_columns`, of
cost in `cost_columns`; here the others, and their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from solidmark.leaderboard import Leaderboard, Row

from . import cost_columns, fair_columns, score_columns, utility_columns
from .table import TEXT, Column, Table


def table(board: Leaderboard) -> Table[Row]:
    """All columns that some row of the board has a use for, the main ones first."""
    return Table(
        (
            *_who(board),
            *fair_columns.main(board),
            *score_columns.main(board),
            *utility_columns.main(board),
            *cost_columns.main(),
            _status(),
            *score_columns.more(board),
            *score_columns.soundness(),
            *utility_columns.more(),
            *fair_columns.more(board),
            *cost_columns.more(),
            *_origin(),
        ),
        board.rows,
    )


def _who(board: Leaderboard) -> list[Column[Row]]:
    several = len({facts.name for facts in board.testbeds}) > 1
    return [
        Column("testbed", "testbed", "Images, mark, model and training recipe.", TEXT, lambda r: r.testbed, main=several),
        Column(
            "mitigation",
            "mitigation",
            "The technique with the parameters that tell its strength. Rows stand in the order baseline, stage, family, "
            "strength; families are ranked by their curves, in groups.",
            TEXT,
            lambda r: r.mitigation,
            main=True,
        ),
        Column(
            "stage",
            "stage",
            "When it acts: rows of stage sampling share the baseline's weights, post-hoc rows edit a copy of them.",
            TEXT,
            lambda r: r.stage,
            main=True,
        ),
        Column(
            "fidelity",
            "fidelity",
            "A: the published algorithm as it is. B: a part of it is replaced by its counterpart at this scale. C: its idea "
            "alone.",
            TEXT,
            lambda r: r.fidelity,
            note="to the paper",
            main=any(row.fidelity for row in board.rows),
            missing="not recorded",
        ),
        Column(
            "needs",
            "needs",
            "What the technique was handed beyond the model, as declared and measured.",
            TEXT,
            lambda r: ", ".join(r.needs) or None,
            main=True,
        ),
        Column(
            "seeds",
            "seeds",
            "Each seed has its own images, keys and training. With several, intervals are for the mean over them.",
            TEXT,
            seeds_told,
            main=True,
        ),
    ]


def _status() -> Column[Row]:
    return Column(
        "status",
        "status",
        "ok, or why a row has no numbers: one failed control or seed is enough, since a mean over what happens to be "
        "there would flatter the row.",
        TEXT,
        lambda r: r.status,
        main=True,
    )


def _origin() -> list[Column[Row]]:
    return [
        Column(
            "control",
            "reference",
            "Whether a row is there to be compared with: the baseline, a reference curve, or a control.",
            TEXT,
            lambda r: "yes" if r.control or r.reference_curve else "no",
        ),
        Column(
            "protocol",
            "protocol",
            "How images are sampled; rows compare only within one protocol.",
            TEXT,
            lambda r: protocol_told(r.protocol) if r.protocol else None,
        ),
        Column(
            "environment",
            "environment",
            "Device kind, torch version and precision. Rows of different environments are not to be compared pair by pair.",
            TEXT,
            lambda r: ", ".join(r.environments) or None,
        ),
        Column("reason", "reason", "Why a row has no numbers.", TEXT, lambda r: r.reason or None),
    ]


def seeds_told(row: Row) -> str:
    """`0, 1` or `0-7`, and those that neighbours were asked with and this row was not."""
    told = spans(row.seeds) or "unknown"
    return f"{told} (not {spans(row.seeds_missing)})" if row.seeds_missing else told


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers with runs of three or more drawn together: `0, 2-7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def protocol_told(protocol: Mapping[str, Any]) -> str:
    """`fast: steps 25, eta 1.0, guidance 3.0`."""
    told = ", ".join(f"{name} {value}" for name, value in protocol.items() if name != "name")
    return f"{protocol.get('name', 'protocol')}: {told}" if told else "unknown"
