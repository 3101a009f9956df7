"""The committed board: its tables are what its records give, and anyone's run stands beside them."""

from pathlib import Path

import pandas as pd
import pytest
from record_samples import case

from solidmark.leaderboard.render import leaderboard
from solidmark.records import Writer

BOARD = Path(__file__).parents[1] / "reports" / "published"


@pytest.fixture(scope="module")
def board():
    return leaderboard([BOARD])


def test_it_has_thirty_families_and_ninety_rows_of_three_seeds_or_more_with_passing_controls(board):
    assert len({row.family for row in board.rows}) > 30
    assert len(board.rows) >= 90
    assert all(row.ok and row.controls.sound and {0, 1, 2} <= {*row.seeds} for row in board.rows)


def test_its_rows_are_those_that_were_asked_for(board):
    asked = (BOARD / "rows.txt").read_text().splitlines()
    assert {row.mitigation for row in board.rows} == {line.removeprefix("--mitigation=") for line in asked[1:]}


def test_its_table_is_what_its_records_give(board):
    table = pd.read_csv(BOARD / "leaderboard.csv", keep_default_na=False).set_index("mitigation")
    assert len(table) == len(board.rows)
    for row in board.rows:
        told = table.loc[row.mitigation, ["memorization", "worst_memorization", "worst_certified_count"]]
        expected = [row.lead.memorization.value, row.worst.memorization.value, row.worst.certified.count]
        assert [float(number) for number in told] == pytest.approx(expected)


def test_what_a_newcomer_measures_is_ranked_among_them(board, tmp_path):
    for seed in (0, 1, 2):
        Writer(tmp_path).write(case("mine(factor=1)", 0.4, seed, "sampling", protocol=dict(board.rows[0].protocol)))
    both = leaderboard([BOARD, tmp_path])
    (fair,) = both.fairness
    ranked = fair.ranked("accuracy", "lead")
    assert "mine" in {place.family for place in ranked.places}
