"""What each query finds: the section of a report, in both formats that people read."""

import pytest
from record_samples import HOSTILE, case, of_testbed, scored
from solidmark.reports import by_query, markdown, page, table

from solidmark.leaderboard import NO_POWER, Leaderboard, leaderboard

RENDERERS = {"md": markdown.render, "html": page.render}


@pytest.fixture(scope="module")
def asked() -> Leaderboard:
    """A baseline and a row that were asked three queries; one could not be, and one has no power."""
    three = {"outpaint": scored(0.4), "likelihood": {**scored(0.9), "access": "weights"}, "relearn": scored(0.1)}
    power = {"outpaint": {"value": 1.0, "low": 1.0, "high": 1.0}, "relearn": None}
    known = {"queries": three, "power": power, "not_applicable": {"caption-only": f"no captions {HOSTILE}"}}
    return leaderboard([case(**known), case("rna", stage="sampling", **known)])


def cells(board: Leaderboard, query: str) -> dict[str, table.Cell]:
    """The cells of one of the baseline's queries, by column."""
    (line,) = (one for one in by_query.asked(board, board.testbeds[0]).baseline if one.query == query)
    return dict(zip((found.key for found in by_query.COLUMNS), line.cells))


def test_a_query_is_told_with_its_access_controls_cost_and_how_often_it_was_the_worst(asked: Leaderboard) -> None:
    found = {key: cell.text for key, cell in cells(asked, "likelihood").items()}
    assert found["memorization"] == "0.90 [0.88, 0.92]"
    assert found["held_out"] == "0.00 [-0.03, 0.02]"
    assert (found["access"], found["certified"], found["cost"], found["chosen"]) == ("weights", "58 of 64", "50", "100 %")


def test_a_query_without_power_shows_a_dash_and_why(asked: Leaderboard) -> None:
    power = cells(asked, "relearn")["power"]
    assert power.value == table.EMPTY
    assert NO_POWER in power.missing


def test_power_that_a_row_did_not_record_is_that_of_its_testbed() -> None:
    found = leaderboard([case(power={}), of_testbed()])
    assert cells(found, "outpaint")["power"].value == "1.00"


@pytest.mark.parametrize("name", ["md", "html"])
def test_a_query_that_could_not_be_asked_is_told_with_its_reason(name: str, asked: Leaderboard) -> None:
    assert RENDERERS[name](asked, []).count("not applicable: no captions") == 2


def test_rows_are_told_query_by_query_where_several_were_asked(asked: Leaderboard) -> None:
    assert [row.mitigation for row, _ in by_query.asked(asked, asked.testbeds[0]).others] == ["rna"]
    one = leaderboard([case(), case("rna", stage="sampling")])
    assert by_query.asked(one, one.testbeds[0]).others == []


def test_markdown_folds_the_queries_of_all_rows_but_the_baseline(asked: Leaderboard) -> None:
    text = markdown.render(asked, [])
    before, _, folded = text.partition("<details><summary>Every other row</summary>\n\n")
    assert f"## {by_query.TITLE}" in before
    assert folded.partition("</details>")[0].count("| likelihood") == 1
