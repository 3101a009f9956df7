"""A column is there as soon as one row has its numbers, and not before."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from record_samples import case
from solidmark.reports import columns

from solidmark.leaderboard import build_leaderboard

AUTOENCODER = {
    *(f"{part}_{way}" for part in ("training", "editing", "sampling") for way in ("encoded", "decoded")),
    *(f"autoencoder_{name}" for name in ("bias", "ceiling", "error", "seconds")),
}


@pytest.fixture(scope="module")
def board():
    """Three rows of one query."""
    return build_leaderboard([case(), case("a", 0.5, stage="sampling"), case("b", 0.3, stage="sampling")])


def shown(board, **changed):
    """Main and other columns where the second of three rows has changed fields."""
    rows = (board.rows[0], replace(board.rows[1], **changed), board.rows[2])
    grid = columns.table(replace(board, rows=rows))
    return {column.key for column in grid.main}, {column.key for column in grid.more}


@pytest.mark.parametrize(
    ("changed", "main", "more"),
    [
        ({"space": SimpleNamespace()}, set(), AUTOENCODER),
        ({"reported": SimpleNamespace(claimed=1.0, refused=None)}, {"claimed_epsilon"}, set()),
        ({"reported": SimpleNamespace(claimed=None, refused=3)}, set(), {"refused"}),
        ({"fidelity": "B"}, {"fidelity"}, set()),
    ],
)
def test_one_row_is_enough_for_a_column(board, changed, main, more):
    before, after = shown(board), shown(board, **changed)
    assert (after[0] - before[0], after[1] - before[1] - main) == (main, more)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [((), ""), ((3,), "3"), ((1, 0), "0, 1"), ((0, 2, 1), "0-2"), ((0, 2, 3, 4, 7, 8), "0, 2-4, 7, 8"), ((5, 9), "5, 9")],
)
def test_three_numbers_in_a_row_are_drawn_together(numbers, words):
    assert columns.spans(numbers) == words


@pytest.mark.parametrize(
    ("seeds", "missing", "words"), [((), (), "unknown"), ((0, 1, 2), (), "0-2"), ((0,), (1, 2), "0 (not 1, 2)")]
)
def test_seeds_that_a_row_lacks_are_told(seeds, missing, words):
    assert columns.seeds_text(SimpleNamespace(seeds=seeds, seeds_missing=missing)) == words


@pytest.mark.parametrize(
    ("solver", "words"),
    [({}, "unknown"), ({"name": "fast"}, "unknown"), ({"name": "fast", "steps": 25, "eta": 1.0}, "fast: steps 25, eta 1.0")],
)
def test_a_solver_is_told_with_its_numbers(solver, words):
    assert columns.solver_text(solver) == words


@pytest.mark.parametrize(
    ("control", "reference", "word"), [(True, False, "yes"), (False, True, "yes"), (False, False, "no")]
)
def test_a_reference_is_a_control_or_the_curve_of_a_stage(board, control, reference, word):
    (column,) = (one for one in columns.table(board).columns if one.key == "control")
    assert column.cell(replace(board.rows[1], control=control, reference_curve=reference)).value == word
