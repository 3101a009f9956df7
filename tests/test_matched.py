"""The comparison at matched utility in reports: verdicts, panels, ranking, costs, generalization, in all formats."""

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from record_samples import HOSTILE, case, cost, failed, finding, scored, utility
from solidmark.reports import (
    answer,
    as_csv,
    as_json,
    columns,
    families,
    generalization,
    markdown,
    matched,
    matched_prose,
    matched_table,
    page,
    ranking_table,
)

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.excess import CurveVerdict

Record = dict[str, object]


def loss(value: float) -> Record:
    """The denoising losses of a record; trained images have half of it."""
    losses = {"held_out": value, "trained": value / 2}
    return {
        name: {"value": x, "low": x - 0.01, "high": x + 0.01, "error": 0.005, "images": 256} for name, x in losses.items()
    }


def family(name: str, stage: str, memories: dict[int, float], seeds: int, **changed: object) -> list[Record]:
    """A family of settings: how many of 256 are right, and M; every seed a little different."""
    return [
        case(f"{name}(x={right})", m + 0.01 * seed, seed, stage, utility=utility(right), denoising_loss=loss(0.1), **changed)
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
    return build_leaderboard([*records(), failed("broken", reason="no room")])


@pytest.fixture(scope="module")
def site(board: Leaderboard) -> str:
    return page.render(board, [])


def test_a_family_below_its_reference_is_real_in_every_format(board: Leaderboard, site: str) -> None:
    (line,) = (line for line in matched_table.lines(board.matched[0]) if line.lead.family == "good")
    assert line.lead.verdict is CurveVerdict.REAL
    assert re.search(r"\| good +\| training +\| stop .*✓ real", markdown.render(board, []))
    assert re.search(r"<h3>good <span class=.badge real", site, re.DOTALL)
    rows = list(csv.DictReader(io.StringIO(as_csv.render(board, []))))
    assert {row["standing"] for row in rows if row["family"] == "good"} == {"real"}
    excesses = json.loads(as_json.render(board, []))["matched"][0]["excesses"]
    assert {e["verdict"] for e in excesses if e["family"] == "good" and e["axis"] == "accuracy"} == {"real"}


def test_too_few_seeds_are_stated_instead_of_a_p_value(board: Leaderboard, site: str) -> None:
    text = "Too few seeds for a p-value: 3, of at least 6."
    assert text in site
    assert text in markdown.render(board, [])
    assert "too few seeds for a p-value" not in page.render(build_leaderboard(records(6)), []).lower()


def test_a_stage_without_a_reference_is_named(board: Leaderboard) -> None:
    assert "no reference of stage sampling is among the records" in markdown.render(board, [])


def test_every_family_has_its_part_real_ones_before_references(board: Leaderboard) -> None:
    found = families.parts(board, answer.answers(board), [])
    assert [part.first.family for part in found] == ["none", "good", "other", "stop", "broken"]
    assert [len(part.curves) for part in found] == [0, 1, 1, 1, 0]
    assert found[-1].reason == "seed 0: no room"
    assert [part.word for part in found] == ["baseline", "real", "undecided", "reference", ""]


def test_a_setting_in_a_curve_has_its_numbers_as_a_title(site: str) -> None:
    assert re.search(r"<title>good\(x=198\): M\* 0\.11 \[0\.09, 0\.13\], keeps 99 %</title>", site)


def test_the_ranking_has_ranges_never_bare_numbers(board: Leaderboard, site: str) -> None:
    lines = ranking_table.ranking_lines(board, board.testbeds[0])
    assert [line.family.family for line in lines] == ["good", "other", "stop"]
    assert all(re.fullmatch(r"\d+-\d+|\d+", line.family.ranks) and line.family.groups for line in lines)
    assert "pairs of families are apart" in site
    assert f"## {matched_prose.RANKING}" in markdown.render(board, [])


def test_the_ranking_names_the_best_setting_and_its_cost(board: Leaderboard) -> None:
    best = ranking_table.ranking_lines(board, board.testbeds[0])[0]
    cells = {column.key: column.cell(best).value for column in ranking_table.ranking_columns(board.matched[0])}
    assert (cells["setting"], cells["training"], cells["sampling"]) == ("good(x=198)", "2.00 ×", "1.00 ×")


def test_costs_are_relative_to_the_baselines_and_have_seconds_and_memory(board: Leaderboard) -> None:
    row = next(row for row in board.rows if row.family == "good")
    cells = {column.key: column.cell(row) for column in columns.table(board).columns}
    assert [cells[key].value for key in ("training_relative", "sampling_relative")] == ["2.00 ×", "1.00 ×"]
    assert [cells[f"training_{way}"].value for way in ("forward", "backward")] == ["38,400", "38,400"]
    assert [cells[f"sampling_{way}"].value for way in ("forward", "backward")] == ["50.0", "0.0"]
    assert (cells["peak_bytes"].value, cells["peak_bytes"].flat[""]) == ("954 MiB", 10**9)


def test_the_table_says_how_faithful_a_row_is(board: Leaderboard) -> None:
    fidelity = next(column for column in columns.table(board).main if column.key == "fidelity")
    assert [fidelity.cell(row).value for row in board.rows if row.family == "good"] == ["B", "B"]
    older = columns.table(build_leaderboard([case()]))
    assert "fidelity" not in [column.key for column in older.main]


def test_held_out_loss_is_shown_with_that_of_trained_images(board: Leaderboard) -> None:
    column = next(column for column in columns.table(board).columns if column.key == "denoising_loss")
    assert column.cell(board.rows[0]).text == "0.2000 [0.1943, 0.2057] (trained 0.1000)"


def test_families_that_train_have_a_panel_of_memorization_against_held_out_loss(board: Leaderboard, site: str) -> None:
    losses = matched.section(0, board, board.testbeds[0]).losses
    assert [panel.drawing.title for panel in losses] == ["stop", "good"]
    assert "Does it still generalize?" in site


def test_without_recorded_losses_there_is_no_such_figure() -> None:
    older = build_leaderboard([case(), case("x", 0.5, stage="training")])
    assert generalization.loss_points(older.rows) == []
    assert "Does it still generalize?" not in page.render(older, [])


def test_a_family_of_two_stages_has_a_verdict_for_each_reference() -> None:
    guide = family("guide", "sampling", {190: 0.7}, 3, control=True, reference_curve=True)
    board = build_leaderboard([*records(), *guide, *family("stop+guide", "training+sampling", {190: 0.2}, 3)])
    excesses = [line.lead for line in matched_table.lines(board.matched[0]) if line.lead.family == "stop+guide"]
    assert {excess.reference for excess in excesses} == {"stop", "guide"}
    shown = next(column for column in columns.table(board).columns if column.key == "excess_reference")
    hardest = min(excesses, key=lambda excess: excess.estimate.value if excess.estimate else 0.0)
    assert shown.cell(next(row for row in board.rows if row.family == "stop+guide")).value == hardest.reference


def test_a_family_has_each_query_for_each_setting_and_the_seeds_apart() -> None:
    two = {"outpaint": scored(0.2), "average": scored(0.6)}
    rows = [case(f"x(a={a})", 0.1 * seed, seed, "sampling", queries=two) for a in (1, 2) for seed in (0, 1)]
    board = build_leaderboard([case(seed=0), case(seed=1), *rows])
    (part,) = (part for part in families.parts(board, answer.answers(board), []) if part.first.family == "x")
    assert part.queries == ["outpaint", "average"]
    cells = {column.key: column.cell(part.first).value for column in part.settings}
    assert (cells["keys"], cells["each"]) == ("0.60", "0.60, 0.60")


def test_a_claim_stands_with_its_family() -> None:
    claim = {**finding(suite="claims", title="It forgets."), "slug": "claims-good-2"}
    board = build_leaderboard([*records(), claim])
    found = {part.first.family: part.claims for part in families.parts(board, answer.answers(board), [])}
    assert [card.outcome.title for card in found["good"]] == ["It forgets."]
    assert not found["stop"]


@pytest.mark.parametrize("render", [markdown.render, page.render])
def test_hostile_names_stay_names(render: Callable[..., str]) -> None:
    hostile = [case(f"{HOSTILE}(x=1)", 0.5, stage="training"), failed(f"{HOSTILE}b", reason=HOSTILE)]
    text = render(build_leaderboard([*records(), *hostile]), [])
    assert "<script>alert" not in text


def test_curves_in_numbers_are_folded_in_markdown(board: Leaderboard) -> None:
    text = markdown.render(board, []).partition("M\\* of every family by the accuracy that is lost")[2]
    assert re.search(r"\| stop +\| 0\.81 \[0\.79, 0\.83\]", text.partition("</details>")[0])


def test_a_row_without_numbers_has_no_verdict(board: Leaderboard) -> None:
    (broken,) = (row for row in csv.DictReader(io.StringIO(as_csv.render(board, []))) if row["family"] == "broken")
    assert broken["standing"] == ""
