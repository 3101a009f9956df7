"""Comparison of two runs or rows: paired over seeds, else over images, corrected, and 1 where something is worse."""

import json

import numpy as np
import pandas as pd
import pytest
from record_samples import case, failed, scored, utility
from scipy import stats

from solidmark.__main__ import main
from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.differences import Change, compare_rows, compare_runs, judged
from solidmark.metrics.scores import memorization
from solidmark.records import Writer


def board(m, name="rna(share=0.5)", right=164):
    """One family over as many seeds as there are `m`."""
    records = [case(name, value, seed=seed, stage="training", utility=utility(right)) for seed, value in enumerate(m)]
    return build_leaderboard(records)


def changes(before, after, **options):
    found = compare_runs((before, ()), (after, ()), **options)
    return {one.measure: one for one in found.differences}, found


def test_three_seeds_are_paired_by_students_t():
    before, after = [0.5, 0.6, 0.4, 0.55], [0.62, 0.74, 0.5, 0.7]
    found = changes(board(before), board(after))[0]["M★"]
    p = stats.ttest_rel(after, before).pvalue
    interval = stats.ttest_rel(after, before).confidence_interval()
    assert (found.estimate.low, found.estimate.high) == pytest.approx((interval.low, interval.high))
    assert found.paired == "4 seeds"
    assert found.p == pytest.approx(min(2 * p, 1))  # Holm, with an accuracy that did not change at all
    assert found.change is Change.WORSE


def test_a_run_compared_with_itself_is_the_same():
    found = changes(board([0.5, 0.6, 0.4]), board([0.5, 0.6, 0.4]))[1]
    assert {one.change for one in found.differences} == {Change.SAME}
    assert not found.worse


def test_less_accuracy_is_worse_and_less_memory_better():
    found, whole = changes(board([0.5, 0.6, 0.4]), board([0.1, 0.2, 0.0], right=100))
    assert (found["M★"].change, found["accuracy"].change) == (Change.BETTER, Change.WORSE)
    assert whole.worse


def test_a_difference_below_the_margin_is_none():
    before, after = board([0.5, 0.6, 0.4]), board([0.53, 0.63, 0.43])
    assert changes(before, after)[0]["M★"].change is Change.SAME
    assert changes(before, after, margin=0.01)[0]["M★"].change is Change.WORSE


def test_many_differences_need_more_than_one():
    one = changes(board([0.5, 0.6, 0.4, 0.55]), board([0.62, 0.74, 0.5, 0.7]))[0]["M★"]
    alone, among = judged([one])[0], judged([one] * 200)[0]
    assert (alone.change, among.change) == (Change.WORSE, Change.UNDECIDED)
    assert among.p == pytest.approx(200 * alone.p)


def test_without_files_one_seed_is_compared_by_the_errors_of_both():
    found = changes(board([0.5]), board([0.7]))[0]["M★"]
    assert found.paired == ""
    assert found.estimate.error == pytest.approx(np.hypot(0.01, 0.01))


@pytest.fixture(scope="module")
def answered(tmp_path_factory):
    """Two runs of one seed and the same images, the second a little nearer to the keys: their leaderboards and folders."""
    rng = np.random.default_rng(3)
    keys = rng.random((64, 2))
    noise = rng.normal(0, 0.2, keys.shape)
    sides = []
    for index, scale in enumerate((1.0, 0.7)):
        run = tmp_path_factory.mktemp("run")
        predictions = np.clip(keys + scale * noise, 0, 1)
        estimate = memorization(predictions, keys)
        record = case("rna(share=0.5)", estimate.value, stage="training")
        block = {"value": estimate.value, "low": estimate.low, "high": estimate.high, "error": estimate.error}
        record["queries"]["outpaint"]["memorization"] |= block
        table = {"query": "outpaint", "image": np.arange(64), "trained": True, "forget": False}
        (run / "per_image").mkdir()
        pd.DataFrame({**table, "key": list(keys), "prediction": list(predictions)}).to_parquet(
            run / "per_image" / f"{record['case_id']}.parquet"
        )
        sides.append((build_leaderboard([record]), (run,)))
        assert index < 2
    return sides


def test_one_seed_is_paired_over_the_images_that_both_were_asked_for(answered):
    found = compare_runs(*answered).differences[0]
    apart = compare_runs(*((one, ()) for one, _ in answered)).differences[0]
    assert (found.measure, found.paired) == ("M by outpaint", "64 images")
    assert found.estimate.value == pytest.approx(found.after - found.before)
    assert found.estimate.error < apart.estimate.error / 2


def test_other_images_are_not_paired(answered, tmp_path):
    (path,) = answered[1][1][0].glob("per_image/*.parquet")
    (tmp_path / "per_image").mkdir()
    pd.read_parquet(path).assign(image=lambda table: table["image"] + 1).to_parquet(tmp_path / "per_image" / path.name)
    assert compare_runs(answered[0], (answered[1][0], (tmp_path,))).differences[0].paired == ""


def test_two_rows_of_a_run_are_compared_as_two_runs_are():
    rows = build_leaderboard(
        [
            case(name, m + 0.01 * seed, seed=seed, stage="training")
            for seed in range(3)
            for name, m in (("a(x=1)", 0.2), ("b(x=1)", 0.6))
        ]
    ).rows
    (memory, accuracy) = compare_rows(rows[0], rows[1], ()).differences
    assert memory.estimate.value == pytest.approx(0.4)
    assert (memory.change, accuracy.change) == (Change.WORSE, Change.SAME)


def test_rows_that_were_asked_other_queries_are_compared_by_the_leading_one():
    pair = [{"outpaint": scored(0.5)}, {"outpaint": scored(0.5), "average": scored(0.9)}]
    before, after = (build_leaderboard([case("a(x=1)", queries=queries, stage="training") for _ in "1"]) for queries in pair)
    assert changes(before, after)[0]["M"].estimate.value == 0


def write(folder, records):
    for record in records:
        Writer(folder).write(record)
    return str(folder)


def test_the_command_ends_with_1_where_a_row_is_worse_or_lost(tmp_path, capsys):
    good = write(tmp_path / "a", [case("rna(share=0.5)", 0.2, seed=seed, stage="training") for seed in range(3)])
    bad = write(tmp_path / "b", [case("rna(share=0.5)", 0.6, seed=seed, stage="training") for seed in range(3)])
    gone = write(tmp_path / "c", [failed("rna(share=0.5)", solver=case()["solver"])])
    assert [main(["compare", good, other]) for other in (good, bad, gone)] == [0, 1, 1]
    assert "lost: digits, rna(share=0.5): error: seed 0: it broke" in capsys.readouterr().out


def test_the_command_compares_rows_of_a_run_and_speaks_json(tmp_path, capsys):
    run = write(tmp_path / "a", [case(name, m, stage="training") for name, m in (("a(x=1)", 0.2), ("b(x=1)", 0.1))])
    assert main(["compare", "a", "b", "--run", run, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["differences"][0]["measure"] == "M★"


def test_where_one_side_is_a_run_the_one_that_is_missing_is_named(tmp_path, capsys):
    run = write(tmp_path / "quick", [case()])
    (tmp_path / "empty").mkdir()
    for sides in ((tmp_path / "quik", run), (run, tmp_path / "quik")):
        assert main(["compare", *map(str, sides)]) == 2
        told = capsys.readouterr().err
        assert f"found '{tmp_path / 'quik'}', which is no folder; expected the folder of a run, as '{run}' is" in told
        assert told.endswith(f"Did you mean '{run}'?\n")
    assert main(["compare", run, str(tmp_path / "empty")]) == 2
    assert "a folder without `records`" in capsys.readouterr().err


@pytest.mark.parametrize(("row", "told"), [("ccc", "Did you mean 'cc'"), ("a", "a, of several settings")])
def test_a_row_that_is_not_there_or_several_is_a_mistake(tmp_path, capsys, row, told):
    run = write(
        tmp_path / "a", [case(f"a(x={x})", 0.2, stage="training") for x in (1, 2)] + [case("cc(x=1)", 0.2, stage="training")]
    )
    assert main(["compare", row, "a(x=1)", "--run", run]) == 2
    assert told in capsys.readouterr().err
