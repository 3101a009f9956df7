"""Columns that given networks fill: the CLIP score, beside Fréchet and SSCD, in every form of the leaderboard."""

import csv
import io
import json

import pytest
from record_samples import case, of_testbed, utility
from solidmark.reports import as_csv, as_json, markdown, page
from test_content_columns import measured, score

from solidmark.leaderboard import NO_CLIP, build_leaderboard


def judged(score=None, real=27.5):
    """A utility whose every way has the same CLIP score."""
    block = utility(None)
    told = {} if score is None else {"clip": {"value": score, "real": real}}
    return {**block, **told, "ways": {name: {**one, **told} for name, one in block["ways"].items()}}


def board(*scores):
    """A baseline and rows whose pictures have such scores; None where no CLIP was given."""
    return build_leaderboard([case(utility=judged(one), mitigation=f"m(a={i})") for i, one in enumerate(scores)])


def cells(text, word):
    """The cells of the first line of a table that has a word."""
    return next([cell.strip() for cell in line.split("|")] for line in text.splitlines() if line[:1] == "|" and word in line)


def lines(board):
    return list(csv.DictReader(io.StringIO(as_csv.render(board, []))))


def test_the_csv_has_the_clip_score_with_that_of_real_images():
    one, other = lines(board(24.25, None))
    assert (one["clip"], one["clip_real"]) == ("24.25", "27.5")
    assert (other["clip"], other["clip_real"]) == ("", "")


def test_the_json_has_it_for_each_way_and_a_reason_where_it_is_null():
    one, other = json.loads(as_json.render(board(24.25, None), []))["rows"]
    assert (one["utility"]["clip"]["value"], one["utility"]["clip_real"]) == (24.25, 27.5)
    assert {way["clip"]["value"] for way in one["utility"]["ways"].values()} == {24.25}
    assert other["utility"]["clip"] is other["utility"]["clip_real"] is None
    assert other["reasons"]["utility.clip"] == other["reasons"]["utility.clip_real"] == NO_CLIP
    assert not [name for name in one["reasons"] if "clip" in name]


def test_markdown_shows_it_beside_the_frechet_distance_and_says_what_a_dash_is():
    told = markdown.render(board(24.25, None), [])
    heading = cells(told, "CLIP score")
    assert heading[heading.index("Fréchet ↓ (floor: real)") + 1] == "CLIP score ↑ (beside real images)"
    assert "24.2 (real 27.5)" in told
    assert f"A dash: {NO_CLIP}." in told


def test_the_page_has_it_in_its_columns_of_utility():
    told = page.render(board(24.25), [])
    assert "CLIP score" in told
    assert '"24.2"' in told
    assert "real 27.5" in told


@pytest.mark.parametrize("render", [as_csv.render, markdown.render, page.render])
def test_a_board_without_a_clip_has_no_such_column(render):
    assert "clip" not in render(board(None), []).splitlines()[0]
    assert "CLIP score" not in render(board(None), [])


def test_seeds_are_averaged_with_an_interval_and_one_without_takes_it_from_the_row():
    found = build_leaderboard([case(utility=judged(one, 30 + one), seed=seed) for seed, one in enumerate((20, 22, 24))])
    (row,) = found.rows
    assert (row.utility.clip.value, row.utility.clip_real, row.utility.clip.count) == (22, 52, 3)
    assert row.utility.clip.low == pytest.approx(22 - 4.302653 * 2 / 3**0.5)
    (row,) = build_leaderboard([case(utility=judged(one), seed=seed) for seed, one in enumerate((20, None))]).rows
    assert row.utility.clip is None


def test_the_cost_of_marking_has_it_where_both_trainings_have():
    def marking(unmarked):
        facts = of_testbed(unmarked={"utility": judged(unmarked)})
        return markdown.render(build_leaderboard([facts, case(utility=judged(24.25))]), []).partition("cost of marking")[2]

    assert cells(marking(26.0), "CLIP score")[1:4] == ["CLIP score", "24.2 (real 27.5)", "26.0 (real 27.5)"]
    assert "| CLIP score" not in marking(None)
    assert "| Fréchet" in marking(None)


def test_a_column_of_sscd_says_why_a_row_has_none():
    by, none = {"own": score(0.8, 9), "any": score(0.7, 0)}, {"own": None, "any": None, "reason": "no weights"}
    contents = [measured(distances={"sscd": one}) for one in (by, none)]
    found = build_leaderboard([case(content=one, mitigation=f"m(a={i})") for i, one in enumerate(contents)])
    assert [line["content_sscd_own_auroc"] for line in lines(found)] == ["0.8", ""]
    assert "A dash: no weights." in markdown.render(found, [])
