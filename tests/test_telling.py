"""What methods tell of themselves, over the seeds of a row, in rows and in reports."""

import pytest
from record_samples import case

from solidmark.leaderboard import leaderboard
from solidmark.leaderboard.reported import telling


def private(epsilon, seed=0):
    return case(
        "dp", seed=seed, stage="training", told={"training": {"dp": {"epsilon": epsilon, "delta": 1e-5, "updates": 7}}}
    )


def refusing(trained, fresh, seed=0):
    lead = {"trained": {"count": trained, "of": 64}, "held_out": {"count": 0, "of": 64}}
    told = {"sampling": {"refused": {"generated": {"count": fresh, "of": 64}, "queries": {"outpaint": lead}}}}
    return case("refusal", seed=seed, stage="sampling", told=told)


def row(*records):
    return leaderboard(records).rows[0]


def test_a_claim_is_the_largest_of_any_seed():
    found = row(private(2.0), private(3.0, seed=1))
    assert (found.telling.claimed.epsilon, found.telling.claimed.delta) == (3.0, 1e-5)
    assert found.telling.values == {"training: epsilon": 2.5, "training: delta": 1e-5, "training: updates": 7.0}


def test_a_seed_without_claim_leaves_the_row_without():
    found = row(private(2.0), private(None, seed=1))
    assert found.telling.claimed is None
    assert found.telling.values["training: epsilon"] is None
    assert "differentially private" in found.reasons["telling.claimed"]


def test_refusals_are_shares_of_all_seeds():
    found = row(refusing(32, 8), refusing(64, 0, seed=1)).telling.refused
    assert (found.trained.share, found.held_out.share, found.fresh.share) == (0.75, 0.0, 1 / 16)


def test_a_service_that_refuses_nothing_has_no_refusals():
    assert row(refusing(0, 0)).telling.refused is None


def test_parts_of_a_composition_keep_their_names():
    told = {"training": {"a": {"kept": 1.0}, "b": {"kept": 3.0}}}
    assert telling([told], "outpaint").values == {"training: a: kept": 1.0, "training: b: kept": 3.0}


@pytest.mark.parametrize(("record", "key", "text"), [
    (private(3.0), "claimed_epsilon", "3.0 (δ 1e-05)"),
    (refusing(32, 8), "refused", "50 % (held out 0 %, fresh 12 %)"),
])  # fmt: skip
def test_the_table_shows_it(record, key, text):
    from solidmark.reports.columns import table

    board = leaderboard([record])
    (column,) = [column for column in table(board).columns if column.key == key]
    assert column.cell(board.rows[0]).text == text


def test_the_table_shows_avoidance():
    from solidmark.reports.columns import table

    board = leaderboard([case("amg", m=-0.5)])
    (column,) = [column for column in table(board).columns if column.key == "avoided"]
    assert column.cell(board.rows[0]).text == "32 of 64"
