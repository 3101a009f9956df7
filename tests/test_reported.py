"""What methods report of themselves, over the seeds of a row, in rows and in reports."""

import pytest
from record_samples import case

from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.reported import summarize_reports


def private(epsilon, seed=0):
    return case(
        "dp", seed=seed, stage="training", reported={"training": {"dp": {"epsilon": epsilon, "delta": 1e-5, "updates": 7}}}
    )


def refusing(trained, fresh, seed=0):
    lead = {"trained": {"count": trained, "of": 64}, "held_out": {"count": 0, "of": 64}}
    reports = {"sampling": {"refused": {"generated": {"count": fresh, "of": 64}, "queries": {"outpaint": lead}}}}
    return case("refusal", seed=seed, stage="sampling", reported=reports)


def row(*records):
    return build_leaderboard(records).rows[0]


def test_a_claim_is_the_largest_of_any_seed():
    block = row(private(2.0), private(3.0, seed=1)).reported
    assert (block.claimed.epsilon, block.claimed.delta) == (3.0, 1e-5)
    assert block.values == {"training: epsilon": 2.5, "training: delta": 1e-5, "training: updates": 7.0}


def test_a_seed_without_claim_leaves_the_row_without():
    without = row(private(2.0), private(None, seed=1))
    assert without.reported.claimed is None
    assert without.reported.values["training: epsilon"] is None
    assert "differentially private" in without.reasons["reported.claimed"]


def test_refusals_are_shares_of_all_seeds():
    refused = row(refusing(32, 8), refusing(64, 0, seed=1)).reported.refused
    assert (refused.trained.share, refused.held_out.share, refused.fresh.share) == (0.75, 0.0, 1 / 16)


def test_a_service_that_refuses_nothing_has_no_refusals():
    assert row(refusing(0, 0)).reported.refused is None


def test_parts_of_a_composition_keep_their_names():
    block = {"training": {"a": {"kept": 1.0}, "b": {"kept": 3.0}}}
    assert summarize_reports([block], "outpaint").values == {"training: a: kept": 1.0, "training: b: kept": 3.0}


@pytest.mark.parametrize(("record", "key", "text"), [
    (private(3.0), "claimed_epsilon", "3.0 (δ 1e-05)"),
    (refusing(32, 8), "refused", "50 % (held out 0 %, fresh 12 %)"),
])  # fmt: skip
def test_the_table_shows_it(record, key, text):
    from solidmark.reports.columns import table

    board = build_leaderboard([record])
    (column,) = [column for column in table(board).columns if column.key == key]
    assert column.cell(board.rows[0]).text == text


def test_the_table_shows_avoidance():
    from solidmark.reports.columns import table

    board = build_leaderboard([case("amg", m=-0.5)])
    (column,) = [column for column in table(board).columns if column.key == "avoided"]
    assert column.cell(board.rows[0]).text == "32 of 64"


def test_what_an_edit_reports_is_averaged_beside_what_a_training_reports():
    blocks = [
        {"training": {"x": {"rate": r}}, "editing": {"y": {"neurons": n}}, "sampling": {}} for r, n in ((0.5, 3), (0.7, 4))
    ]
    found = summarize_reports(blocks, "outpaint").values
    assert found == {"training: rate": pytest.approx(0.6), "editing: neurons": 3.5}


def test_parts_of_one_stage_are_named_and_what_a_seed_lacks_is_left_out():
    blocks = [{"training": {"x": {"a": 1, "b": 2}, "y": {"a": 3}}}, {"training": {"x": {"a": 3}, "y": {"a": 5}}}]
    assert summarize_reports(blocks, "outpaint").values == {"training: x: a": 2.0, "training: y: a": 4.0}


@pytest.mark.parametrize(
    ("trained", "held_out", "fresh", "known"),
    [(2, 2, 0, True), (0, 3, 0, True), (0, 0, 3, True), (3, 0, 0, True), (0, 2, 2, True), (0, 0, 0, False)],
)
def test_one_refusal_of_any_kind_is_enough_to_tell_of_them(trained, held_out, fresh, known):
    counts = {"trained": {"count": trained, "of": 5}, "held_out": {"count": held_out, "of": 6}}
    block = {"sampling": {"refused": {"generated": {"count": fresh, "of": 7}, "queries": {"lead": counts}}}}
    found = summarize_reports([block], "lead").refused
    assert (found is not None) is known
    if found is not None:
        shares = (found.trained, found.held_out, found.fresh)
        assert [(one.count, one.of) for one in shares] == [(trained, 5), (held_out, 6), (fresh, 7)]
    assert summarize_reports([block], "other").refused is None
    assert summarize_reports([block, {}], "lead").refused is None


def test_doses_are_those_of_the_leading_query():
    doses = {"lead": {"x": {"strength": 2}}, "other": {"x": {"strength": 9, "more": 1}}}
    blocks = [{"sampling": {"doses": doses}}, {"sampling": {"doses": {"lead": {"x": {"strength": 3}}}}}]
    assert summarize_reports(blocks, "lead").values == {"sampling: strength": 2.5}
    for none in ({}, {"sampling": None}, {"sampling": {"doses": None}}, {"sampling": {"doses": {"other": {}}}}):
        assert summarize_reports([none, blocks[0]], "lead").values == {}
        assert summarize_reports([blocks[0], none], "lead").values == {}


def test_the_largest_of_each_is_claimed_where_every_seed_claims():
    seeds = [{"training": {"x": {"epsilon": e, "delta": d}, "y": {"rate": 1}}} for e, d in ((1, 3e-5), (2, 1e-5), (0, 0))]
    claimed = summarize_reports(seeds, "lead").claimed
    assert (claimed.epsilon, claimed.delta) == (2.0, 3e-5)
    assert summarize_reports([seeds[2]], "lead").claimed.epsilon == 0.0
    for lacking in ({"epsilon": 1}, {"delta": 1}):
        assert summarize_reports([*seeds, {"training": {"x": lacking}}], "lead").claimed is None
