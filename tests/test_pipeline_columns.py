"""Columns of rows that a diffusers pipeline answers: what it changes, and which it is."""

import csv
import io

import pytest
from record_samples import case, estimate
from solidmark.reports import as_csv, as_json, markdown

from solidmark.leaderboard import NO_PIPELINE, NO_STOCK, build_leaderboard


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
