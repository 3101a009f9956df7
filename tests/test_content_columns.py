"""Columns of content: shown where records have it, with chance and count, and absent where none has."""

import csv
import io

import pytest
from record_samples import case, share
from solidmark.reports import as_csv, markdown, page

from solidmark.cli import show
from solidmark.leaderboard import NOTHING_SAMPLED, build_leaderboard
from solidmark.leaderboard.disagreement import WASHED
from solidmark.runner import board_table


def score(auroc, count):
    limits = {"low": auroc - 0.1, "high": min(auroc + 0.1, 1.0)}
    area = {"value": auroc, **limits, "chance": 0.5}
    return {"auroc": area, "images": 64, "permutation_p": 1e-9, "certified": share(count, 64), "least": 10}


def shown(own=0.97, count=59):
    work = {"forward": 16000, "backward": 0, "seconds": 4.0, "images": 320}
    own_block = None if own is None else score(own, count)
    return {"own": own_block, "any": score(0.9, 40), "evaluations": work, "shared": False}


def rows(*records):
    return list(csv.DictReader(io.StringIO(as_csv.render(build_leaderboard(records), []))))


def test_content_stands_in_its_columns_with_chance_and_count():
    (row,) = rows(case(content=shown()))
    assert (row["content_own_auroc"], row["content_own_auroc_chance"]) == ("0.97", "0.5")
    assert (row["content_own_certified_count"], row["content_own_certified_of"]) == ("59", "64")
    assert row["content_own_certified_least"] == row["content_any_certified_least"] == "10"
    assert row["content_any_auroc"] == "0.9"


def test_seeds_are_averaged_and_counts_are_summed():
    (row,) = rows(case(content=shown(0.9, 50), seed=0), case(content=shown(0.8, 30), seed=1))
    assert float(row["content_own_auroc"]) == pytest.approx(0.85)
    assert (row["content_own_certified_count"], row["content_own_certified_of"]) == ("80", "128")


def test_records_without_content_have_no_columns_of_it():
    assert not [name for name in rows(case())[0] if name.startswith("content")]


def test_a_row_that_lacks_it_beside_one_that_has_it_is_empty_with_a_reason():
    board = build_leaderboard([case(content=shown()), case("gni(scale=1.0)", 0.5, stage="sampling")])
    (empty,) = [row for row in board.rows if row.family == "gni"]
    assert "older than the content scores" in empty.reasons["content"]
    assert rows(case(content=shown()), case("gni(scale=1.0)", 0.5, stage="sampling"))[1]["content_own_auroc"] == ""


def test_without_captions_the_own_score_is_null_with_a_reason():
    (row,) = build_leaderboard([case(content=shown(own=None))]).rows
    assert "say nothing or are shared" in row.reasons["content.own"]
    assert row.content.any.certified.count == 40


def test_the_markdown_table_shows_the_own_score():
    page = markdown.render(build_leaderboard([case(content=shown())]), [])
    assert "| content" in page
    assert "0.97" in page


def test_records_that_name_the_p_value_of_the_whole_as_before_are_read():
    block = shown()
    block["any"]["rank_p"] = block["any"].pop("permutation_p")
    (row,) = build_leaderboard([case(content=block)]).rows
    assert row.content.any.permutation_p == row.content.own.permutation_p == 1e-9


def measured(**changed):
    """What a record has today."""
    tiles, low = ({"value": value, "low": value - 0.1, "high": value + 0.1} for value in (0.6, 0.04))
    shares = {"trained": tiles, "held_out": low, "images": 64, "held_out_images": 128, "held_out_among": "half"}
    by_l2, by_none = {"own": score(0.8, 9), "any": score(0.7, 0)}, {"own": None, "any": None, "reason": "no weights"}
    new = {"map": {"tile": 4, "picture": "own", **shares}, "distances": {"l2": by_l2, "sscd": by_none}}
    return {**shown(), "block": score(0.85, 12), **new, **changed}


def test_block_map_and_other_distances_have_columns_of_their_own():
    (row,) = rows(case(content=measured()))
    assert (row["content_block_auroc"], row["content_block_auroc_permutation_p"]) == ("0.85", "1e-09")
    assert (row["content_map"], row["content_map_held_out"], row["content_map_tile"]) == ("0.6", "0.04", "4")
    assert (row["content_l2_own_auroc"], row["content_l2_own_auroc_certified_count"]) == ("0.8", "9")
    assert (row["content_l2_any_auroc"], row["content_l2_any_auroc_chance"]) == ("0.7", "0.5")
    assert row["content_own_permutation_p"] == "1e-09"
    assert not [name for name in row if name.startswith("content_sscd")]


def test_a_distance_without_weights_is_null_with_its_reason():
    (row,) = build_leaderboard([case(content=measured())]).rows
    assert row.reasons["content.distances.sscd"] == "no weights"
    assert row.to_json()["content"]["distances"]["sscd"]["any"] is None


def test_records_from_before_block_and_map_say_why_they_lack_them():
    (row,) = build_leaderboard([case(content=shown())]).rows
    assert "older" in row.reasons["content.block"]
    assert "older" in row.reasons["content.map"]
    assert not [name for name in rows(case(content=shown()))[0] if name.startswith(("content_block", "content_map"))]


def test_a_seed_without_a_distance_takes_it_from_the_row_and_the_map_is_averaged():
    other = measured(map={**measured()["map"], "trained": {"value": 0.8, "low": 0.7, "high": 0.9}}, distances={})
    (row,) = build_leaderboard([case(content=measured(), seed=0), case(content=other, seed=1)]).rows
    assert row.content.distances == {}
    assert row.content.map.trained.value == pytest.approx(0.7)


def test_the_least_number_that_can_be_certified_stands_beside_the_count_and_in_show():
    board = build_leaderboard([case(content=shown())])
    assert "59 of 64 (at least 10)" in markdown.render(board, [])
    assert "content certifies at least 10 images of a seed, or none" in show.told(board, "none")


def test_an_older_map_has_no_control_and_says_why():
    old = {name: value for name, value in measured()["map"].items() if name != "held_out_among"}
    for blocks in ([old], [old, measured()["map"]]):
        board = build_leaderboard([case(content=measured(map=one), seed=seed) for seed, one in enumerate(blocks)])
        assert board.rows[0].content.map.held_out is None
        assert "by construction" in board.rows[0].reasons["content.map.held_out"]
    (line,) = rows(case(content=measured(map=old)))
    assert (line["content_map"], line["content_map_held_out"]) == ("0.6", "")


def washed(images, high=0.2):
    m = {"value": 0.05, "low": -0.1, "high": high}
    return {"images": images, "of": 64, "memorization": m, "baseline": 0.88}


def test_images_without_their_keys_are_told_wherever_rows_are():
    block = shown()
    found = [{**block, "washed": washed(8)}, {**block, "washed": None}, {**block, "washed": washed(12, 0.15)}]
    board = build_leaderboard(
        [case(seed=s, content=block) for s in range(3)]
        + [case("x", 0.5, s, "sampling", content=one) for s, one in enumerate(found)]
    )
    note = f"{WASHED}: 20 of 128, in 2 seeds, M at most 0.20 (baseline 0.88)"
    assert [row.disagreement for row in board.rows] == [None, note]
    texts = (as_csv.render(board, []), markdown.render(board, []), page.render(board, []), show.told(board, "x"))
    assert all(note in text for text in (*texts, board_table.tables(board)))


def test_rows_without_such_images_say_nothing_of_them_and_old_records_are_read():
    old, new = (build_leaderboard([case(content=one)]).rows[0] for one in (shown(), {**shown(), "washed": None}))
    assert old.content.washed is new.content.washed is old.disagreement is None
    assert "older" in old.reasons["content.washed"]


SOURCES = [
    ([0.3, 0.024, 0.9], "p 0.024"),
    ([None, None, None], "not tested, for captions name no class: a sampler that shows stored pictures"),
    ([0.3, None, 0.9], "not tested, for captions name no class: a sampler that shows stored pictures"),
]


@pytest.mark.parametrize(("each", "told"), SOURCES)
def test_a_row_says_whether_its_pictures_were_tried_to_come_from_its_weights(each, told):
    found = [{"p": p, **({} if p is not None else {"reason": "captions name no class"})} for p in each]
    records = [case("x", 0.5, seed, "sampling", sources=one) for seed, one in enumerate(found)]
    board = build_leaderboard(
        [*(case(seed=seed, sources={"p": None, "reason": NOTHING_SAMPLED}) for seed in range(3)), *records]
    )
    first, second = csv.DictReader(io.StringIO(as_csv.render(board, [])))
    assert (first["sources"], second["sources"].startswith(told)) == ("", True)
    assert told in markdown.render(board, [])
    assert board.rows[1].reasons.get("sources.p") == (None if "p 0" in told else "captions name no class")


def test_records_from_before_the_test_of_sources_say_so():
    assert "older" in build_leaderboard([case()]).rows[0].reasons["sources"]
    assert "sources" not in rows(case())[0]
