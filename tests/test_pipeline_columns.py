"""Columns of rows that a diffusers pipeline answers: what it changes, and which it is."""

import csv
import io
import re

import pytest
from record_samples import case, estimate
from solidmark.reports import as_csv, as_json, markdown, page

from solidmark.leaderboard import NO_PIPELINE, NO_STOCK, build_leaderboard
from solidmark.leaderboard.differences import Change, compare_rows


def answered(difference=-0.3, call="wen", warnings=()):
    identity = {"pipeline": "Theirs", "stock": "StableDiffusionPipeline", "call": call, "scheduler": "DDIMScheduler"}
    stock = None if difference is None else {"memorization": estimate(0.9), "difference": estimate(difference, 0.02)}
    return {"identity": identity, "batch": 1, "warnings": list(warnings), "stock": stock}


def board(*blocks):
    seeds = (case("theirs.wen", 0.6, seed=seed, stage="sampling", pipeline=block) for seed, block in enumerate(blocks))
    return build_leaderboard([case(), *seeds], [])


def cells(made):
    return list(csv.DictReader(io.StringIO(as_csv.render(made, []))))


def test_a_row_has_its_paired_difference_to_the_stock_pipeline_over_seeds():
    baseline, row = cells(board(answered(-0.3), answered(-0.2)))
    assert float(row["stock_difference"]) == pytest.approx(-0.25)
    assert float(row["stock_difference_low"]) < -0.25 < float(row["stock_difference_high"])
    assert baseline["stock_difference"] == ""


def test_class_call_scheduler_and_warnings_stand_in_their_columns_once():
    _, row = cells(board(answered(warnings=["one"]), answered(warnings=["one", "two"])))
    assert row["pipeline"] == "Theirs, call wen, DDIMScheduler"
    assert row["pipeline_warnings"] == "one; two"


def test_the_stock_pipeline_has_no_difference_and_says_why():
    baseline, row = board(answered(None, call=None)).rows
    assert row.pipeline.title == "Theirs, DDIMScheduler"
    assert row.reasons["pipeline.difference"] == NO_STOCK
    assert baseline.reasons["pipeline"] == NO_PIPELINE


def test_a_board_without_pipelines_has_no_such_column():
    made = build_leaderboard([case()], [])
    assert "stock_difference" not in cells(made)[0]
    assert "stock pipeline" not in markdown.render(made, [])
    assert '"pipeline": null' in as_json.render(made, [])


def test_the_table_shows_the_difference():
    assert "-0.30" in markdown.render(board(answered(-0.3)), []).replace("−", "-")


def test_the_page_shows_the_paired_difference_without_being_asked_and_none_without_pipelines():
    shown = page.render(board(answered(-0.3), answered(-0.2)), []).partition("<tbody>")[2].partition("</tbody>")[0]
    assert re.findall(r'at-stock_difference"[^>]*>([^<]*)', shown.replace("−", "-")) == ["–", "-0.25"]
    assert "stock_difference" not in page.render(build_leaderboard([case()], []), [])


def test_a_strangers_row_is_compared_with_the_stock_pipeline_over_seeds():
    stock, theirs = (
        [case(name, level + seed / 100, seed=seed, stage="sampling") for seed in range(3)]
        for name, level in (("pipeline", 0.9), ("theirs.wen", 0.6))
    )
    made = build_leaderboard([*[case(seed=seed) for seed in range(3)], *stock, *theirs], [])
    _, before, after = made.rows
    found = compare_rows(before, after, []).differences[0]
    assert (found.mitigation, found.paired, found.change) == ("theirs.wen", "3 seeds", Change.BETTER)
    assert found.estimate.value == pytest.approx(-0.3)
