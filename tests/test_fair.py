"""The fair comparison in reports: verdicts, panels, ranking, costs, generalization, in all formats."""

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from record_samples import HOSTILE, case, cost, failed, scored, utility
from solidmark.reports import as_csv, as_json, columns, fair, fair_table, generalization, markdown, page

from solidmark.leaderboard import Leaderboard, leaderboard
from solidmark.leaderboard.excess import Standing

Record = dict[str, object]


def loss(value: float) -> Record:
    """The denoising losses of a record; trained images have half of it."""
    known = {"held_out": value, "trained": value / 2}
    return {
        name: {"value": x, "low": x - 0.01, "high": x + 0.01, "error": 0.005, "images": 256} for name, x in known.items()
    }


def family(name: str, stage: str, memories: dict[int, float], seeds: int, **known: object) -> list[Record]:
    """A family of strengths: how many of 256 are right, and M; every seed a little different."""
    return [
        case(f"{name}(x={right})", m + 0.01 * seed, seed, stage, utility=utility(right), denoising_loss=loss(0.1), **known)
        for right, m in memories.items()
        for seed in range(seeds)
    ]


def records(seeds: int = 3) -> list[Record]:
    """A baseline, the reference of training, and a family that remembers far less at the same accuracy."""
    return [
        *(
            case(m=0.8 + 0.01 * s, seed=s, utility=utility(200), denoising_loss=loss(0.2), fidelity="A")
            for s in range(seeds)
        ),
        *family("stop", "training", {190: 0.75, 100: 0.3}, seeds, control=True, reference_curve=True, fidelity="A"),
        *family("good", "training", {198: 0.1, 90: 0.05}, seeds, fidelity="B", cost=cost(38400)),
        *family("other", "sampling", {190: 0.5}, seeds, fidelity="C"),
    ]


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    return leaderboard([*records(), failed("broken", reason="no room")])


@pytest.fixture(scope="module")
def site(board: Leaderboard) -> str:
    return page.render(board, [])


def test_a_family_below_its_reference_is_real_in_every_format(board: Leaderboard, site: str) -> None:
    (line,) = (line for line in fair_table.lines(board.fairness[0]) if line.lead.family == "good")
    assert line.lead.standing is Standing.REAL
    assert re.search(r"\| good +\| training +\| stop .*✓ real", markdown.render(board, []))
    assert re.search(r"<b>good</b>.*?badge real", site, re.DOTALL)
    told = list(csv.DictReader(io.StringIO(as_csv.render(board, []))))
    assert {row["standing"] for row in told if row["family"] == "good"} == {"real"}
    found = json.loads(as_json.render(board, []))["fairness"][0]["excesses"]
    assert {one["standing"] for one in found if one["family"] == "good" and one["axis"] == "accuracy"} == {"real"}


def test_too_few_seeds_are_told_instead_of_a_p_value(board: Leaderboard, site: str) -> None:
    told = "Too few seeds for a p-value: 3, of at least 6."
    assert told in site
    assert told in markdown.render(board, [])
    assert "too few seeds for a p-value" not in page.render(leaderboard(records(6)), []).lower()


def test_a_stage_without_a_reference_is_told(board: Leaderboard) -> None:
    assert "no reference of stage sampling is among the records" in markdown.render(board, [])


def test_every_family_has_a_panel_and_the_reference_comes_first(board: Leaderboard) -> None:
    stages = fair.section(0, board, board.testbeds[0]).trades[0].stages
    assert [[panel.drawing.title for panel in stage.panels] for stage in stages] == [["stop", "broken", "good"], ["other"]]
    assert "no room" in stages[0].panels[1].reason


def test_a_strength_in_a_panel_tells_its_numbers(site: str) -> None:
    assert re.search(r"<title>good\(x=198\): M\* 0\.11 \[0\.10, 0\.12\], keeps 99 %</title>", site)


def test_the_ranking_tells_ranges_and_groups_never_bare_places(board: Leaderboard, site: str) -> None:
    found = fair_table.ranked(board, board.testbeds[0])
    assert [one.place.family for one in found] == ["good", "other", "stop"]
    assert all(re.fullmatch(r"\d+-\d+|\d+", one.place.ranks) and one.place.groups for one in found)
    assert "pairs of families are told apart" in site
    assert f"## {fair_table.RANKING}" in markdown.render(board, [])


def test_the_ranking_tells_the_best_setting_and_its_cost(board: Leaderboard) -> None:
    best = fair_table.ranked(board, board.testbeds[0])[0]
    cells = {column.key: column.cell(best).value for column in fair_table.RANKED}
    assert (cells["setting"], cells["training"], cells["sampling"]) == ("good(x=198)", "2.00 ×", "1.00 ×")


def test_costs_stand_against_the_baselines_with_seconds_and_memory_beside_them(board: Leaderboard) -> None:
    row = next(row for row in board.rows if row.family == "good")
    cells = {column.key: column.cell(row) for column in columns.table(board).columns}
    assert [cells[key].value for key in ("training_relative", "sampling_relative")] == ["2.00 ×", "1.00 ×"]
    assert [cells[f"training_{way}"].value for way in ("forward", "backward")] == ["38,400", "38,400"]
    assert [cells[f"sampling_{way}"].value for way in ("forward", "backward")] == ["50.0", "0.0"]
    assert (cells["peak_bytes"].value, cells["peak_bytes"].flat[""]) == ("954 MiB", 10**9)


def test_how_faithful_a_row_is_stands_in_the_table(board: Leaderboard) -> None:
    found = next(column for column in columns.table(board).main if column.key == "fidelity")
    assert [found.cell(row).value for row in board.rows if row.family == "good"] == ["B", "B"]
    older = columns.table(leaderboard([case()]))
    assert "fidelity" not in [column.key for column in older.main]


def test_held_out_loss_stands_beside_that_of_trained_images(board: Leaderboard) -> None:
    found = next(column for column in columns.table(board).columns if column.key == "denoising_loss")
    assert found.cell(board.rows[0]).text == "0.2000 [0.1943, 0.2057] (trained 0.1000)"


def test_families_that_train_have_a_panel_of_memorization_against_held_out_loss(board: Leaderboard, site: str) -> None:
    found = fair.section(0, board, board.testbeds[0]).losses
    assert [panel.drawing.title for panel in found] == ["stop", "good"]
    assert "Does it still generalize?" in site


def test_without_recorded_losses_there_is_no_such_figure() -> None:
    older = leaderboard([case(), case("x", 0.5, stage="training")])
    assert generalization.placed(older.rows) == []
    assert "Does it still generalize?" not in page.render(older, [])


def test_a_family_of_two_stages_has_a_verdict_beside_each_reference() -> None:
    guide = family("guide", "sampling", {190: 0.7}, 3, control=True, reference_curve=True)
    found = leaderboard([*records(), *guide, *family("stop+guide", "training+sampling", {190: 0.2}, 3)])
    lines = [line.lead for line in fair_table.lines(found.fairness[0]) if line.lead.family == "stop+guide"]
    assert {one.reference for one in lines} == {"stop", "guide"}
    shown = next(column for column in columns.table(found).columns if column.key == "excess_reference")
    hardest = min(lines, key=lambda one: one.estimate.value if one.estimate else 0.0)
    assert shown.cell(next(row for row in found.rows if row.family == "stop+guide")).value == hardest.reference


def test_the_worst_case_and_the_leading_query_both_stand_in_a_panel() -> None:
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    known = [case(queries=two), case("x(a=1)", stage="sampling", queries=two, utility=utility(150))]
    alone, both = (leaderboard(found) for found in ([case(), case("x(a=1)", 0.6, stage="sampling")], known))
    drawn = [fair.section(0, board, board.testbeds[0]).trades[0].stages[0].panels[0].drawing for board in (alone, both)]
    markers = [one.svg.count("<use") for one in drawn]
    assert markers[1] == markers[0] + 1


@pytest.mark.parametrize("render", [markdown.render, page.render])
def test_hostile_names_stay_names(render: Callable[..., str]) -> None:
    hostile = [case(f"{HOSTILE}(x=1)", 0.5, stage="training"), failed(f"{HOSTILE}b", reason=HOSTILE)]
    text = render(leaderboard([*records(), *hostile]), [])
    assert "<script>alert" not in text


def test_curves_in_numbers_stand_folded_in_markdown(board: Leaderboard) -> None:
    text = markdown.render(board, []).partition("M\\* of every family by the accuracy that is lost")[2]
    assert re.search(r"\| stop +\| 0\.81 \[0\.79, 0\.83\]", text.partition("</details>")[0])


def test_a_row_without_numbers_has_no_verdict(board: Leaderboard) -> None:
    (told,) = (row for row in csv.DictReader(io.StringIO(as_csv.render(board, []))) if row["family"] == "broken")
    assert told["standing"] == ""
