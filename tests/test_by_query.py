"""What each query finds: the section of a report, in both formats that people read."""

from types import SimpleNamespace

import pytest
from record_samples import HOSTILE, case, of_testbed, scored
from solidmark.reports import by_query, markdown, page, table

from solidmark.leaderboard import NO_POWER, Leaderboard, build_leaderboard

RENDERERS = {"md": markdown.render, "html": page.render}


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """A baseline and a row that were asked three queries; one could not be, and one has no power."""
    three = {"outpaint": scored(0.4), "likelihood": {**scored(0.9), "access": "white-box"}, "relearn": scored(0.1)}
    power = {"outpaint": {"value": 1.0, "low": 1.0, "high": 1.0}, "relearn": None}
    changed = {"queries": three, "power": power, "not_applicable": {"caption-only": f"no captions {HOSTILE}"}}
    return build_leaderboard([case(**changed), case("rna", stage="sampling", **changed)])


def cells(board: Leaderboard, query: str) -> dict[str, table.Cell]:
    """The cells of one of the baseline's queries, by column."""
    (line,) = (line for line in by_query.query_tables(board, board.testbeds[0]).baseline if line.query == query)
    return dict(zip((column.key for column in by_query.COLUMNS), line.cells))


def test_a_query_has_its_access_controls_cost_and_how_often_it_was_the_worst(board: Leaderboard) -> None:
    texts = {key: cell.text for key, cell in cells(board, "likelihood").items()}
    assert texts["memorization"] == "0.90 [0.88, 0.92]"
    assert texts["held_out"] == "0.00 [-0.03, 0.02]"
    assert (texts["access"], texts["certified"], texts["cost"], texts["chosen"]) == ("white-box", "58 of 64", "50", "100 %")


def test_a_query_without_power_shows_a_dash_and_why(board: Leaderboard) -> None:
    power = cells(board, "relearn")["power"]
    assert power.value == table.EMPTY
    assert NO_POWER in power.missing


def test_power_that_a_row_did_not_record_is_that_of_its_testbed() -> None:
    older = build_leaderboard([case(power={}), of_testbed()])
    assert cells(older, "outpaint")["power"].value == "1.00"


@pytest.mark.parametrize("name", ["md", "html"])
def test_a_query_that_could_not_be_asked_has_its_reason(name: str, board: Leaderboard) -> None:
    assert RENDERERS[name](board, []).count("not applicable: no captions") == 2


def test_rows_are_listed_query_by_query_where_several_were_asked(board: Leaderboard) -> None:
    assert [row.mitigation for row, _ in by_query.query_tables(board, board.testbeds[0]).others] == ["rna"]
    single = build_leaderboard([case(), case("rna", stage="sampling")])
    assert by_query.query_tables(single, single.testbeds[0]).others == []


def test_markdown_folds_the_queries_of_all_rows_but_the_baseline(board: Leaderboard) -> None:
    text = markdown.render(board, [])
    before, _, folded = text.partition("<details><summary>Every other row</summary>\n\n")
    assert f"## {by_query.TITLE}" in before
    assert folded.partition("</details>")[0].count("| likelihood") == 1


@pytest.mark.parametrize(("chosen", "text"), [(0.25, "25 %"), (0.0, "0 %"), (None, table.EMPTY)])
def test_how_often_a_query_was_chosen_is_told_in_percent(chosen: float | None, text: str) -> None:
    column = next(column for column in by_query.COLUMNS if column.key == "chosen")
    assert column.cell(SimpleNamespace(chosen=chosen)).value == text
