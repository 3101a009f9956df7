"""The columns of the leaderboard: what is shown, what it means, what chance gives, which way is better.

`score_columns` has those of memorization, `content_columns` of content, `utility_columns` of utility, `matched_columns`
of the comparison at matched utility, `cost_columns` of cost; here are the others, and their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from solidmark.leaderboard import Leaderboard, Row

from . import (
    content_columns,
    cost_columns,
    matched_columns,
    pipeline_columns,
    score_columns,
    source_columns,
    utility_columns,
)
from .table import TEXT, Column, Table


def table(board: Leaderboard) -> Table[Row]:
    """All columns that some row of the leaderboard needs, the main ones first."""
    return Table(
        (
            *who(board),
            *matched_columns.main(board),
            *score_columns.main(board),
            *pipeline_columns.main(board),
            *content_columns.main(board),
            *utility_columns.main(board),
            *cost_columns.main(),
            _status(),
            *score_columns.more(board),
            *content_columns.more(board),
            *score_columns.soundness(board),
            *source_columns.main(board),
            *utility_columns.more(),
            *utility_columns.by_way(board),
            *matched_columns.more(board),
            *cost_columns.more(board),
            *pipeline_columns.more(board),
            *origin(),
        ),
        board.rows,
    )


def who(board: Leaderboard) -> list[Column[Row]]:
    """What a row is: its testbed, its name, and what it is given."""
    several = len({facts.name for facts in board.testbeds}) > 1
    return [
        Column("testbed", "testbed", "Images, mark, model and training recipe.", TEXT, lambda r: r.testbed, main=several),
        Column(
            "mitigation",
            "mitigation",
            "The technique with the parameters of this setting. Markdown, CSV and JSON have rows by baseline, stage, family "
            "and setting, the page by verdict and by what is left; families are ranked by their curves, in groups.",
            TEXT,
            lambda r: r.mitigation,
            main=True,
        ),
        Column(
            "stage",
            "stage",
            "When it acts. Rows of stage sampling use the baseline's weights, post-hoc rows edit a copy of them.",
            TEXT,
            lambda r: r.stage,
            main=True,
        ),
        Column(
            "fidelity",
            "fidelity",
            "A: the published algorithm as it is. B: a part of it is replaced by its counterpart at this scale. C: only its "
            "idea. Unverified: neither code nor the whole paper could be read. A control is nobody's method and has none.",
            TEXT,
            lambda r: None if r.control else r.fidelity or None,
            note="to the paper",
            main=any(row.fidelity for row in board.rows),
            missing="a control, or not recorded",
        ),
        Column(
            "needs",
            "needs",
            "What the technique is given beyond the model, as declared and measured.",
            TEXT,
            lambda r: ", ".join(r.needs) or None,
            main=True,
        ),
        Column(
            "seeds",
            "seeds",
            "Each seed has its own images, keys and training. With several seeds, intervals are for their mean.",
            TEXT,
            seeds_text,
            main=True,
        ),
    ]


def _status() -> Column[Row]:
    return Column(
        "status",
        "status",
        "ok, or why a row has no numbers. One failed control or seed is enough: a mean over the other seeds would flatter "
        "the row.",
        TEXT,
        lambda r: r.status,
        main=True,
    )


def _reported() -> Column[Row]:
    return Column(
        "reported",
        "what it did",
        "What the parts report of themselves, as means over seeds: at sampling over the images of the leading query. "
        "`acted_on` is the share of queries or images that a part changed; where it is 0, its dose was nothing here.",
        TEXT,
        lambda r: reported_text(r.reported.values) if r.reported is not None else None,
        missing="it reports nothing, or its records are older than that",
    )


def reported_text(values: Mapping[str, object]) -> str | None:
    """`sampling: acted_on 0.25, norm_after 1.2`: each number by its name; null without any."""
    told = (f"{name} {value:.4g}" if isinstance(value, float) else f"{name} {value}" for name, value in values.items())
    return ", ".join(told) or None


def origin() -> list[Column[Row]]:
    """Where the numbers of a row come from."""
    return [
        _reported(),
        Column(
            "control",
            "reference",
            "Whether other rows are compared with this one: the baseline, a reference curve, or a control.",
            TEXT,
            lambda r: "yes" if r.control or r.reference_curve else "no",
        ),
        Column(
            "solver",
            "solver",
            "How images are sampled. Compare only rows of the same solver.",
            TEXT,
            lambda r: solver_text(r.solver) if r.solver else None,
        ),
        Column(
            "environment",
            "environment",
            "Device kind, torch version and precision. Do not compare rows of different environments pair by pair.",
            TEXT,
            lambda r: ", ".join(r.environments) or None,
        ),
        Column("reason", "reason", "Why a row has no numbers.", TEXT, lambda r: r.reason or None),
    ]


def seeds_text(row: Row) -> str:
    """`0, 1` or `0-7`, and those that other rows have and this one has not."""
    measured = spans(row.seeds) or "unknown"
    return f"{measured} (not {spans(row.seeds_missing)})" if row.seeds_missing else measured


def spans(numbers: Iterable[int]) -> str:
    """Whole numbers with runs of three or more drawn together: `0, 2-7`."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)


def solver_text(solver: Mapping[str, object]) -> str:
    """`fast: steps 25, eta 1.0, guidance 3.0`."""
    fields = ", ".join(f"{name} {value}" for name, value in solver.items() if name != "name")
    return f"{solver.get('name', 'solver')}: {fields}" if fields else "unknown"
