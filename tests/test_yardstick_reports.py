"""Both yardsticks in every format: verdicts, ranks, what decides, and in words how a row's yardsticks differ."""

import csv
import io
import json
import re

import pytest
from solidmark.reports import answer, as_csv, as_json, families, markdown, page
from yardstick_samples import world

from solidmark.leaderboard import Leaderboard, build_leaderboard
from solidmark.leaderboard.disagreement import OUTLIVES, UNLINKED
from solidmark.leaderboard.standing import standings
from solidmark.runner.board_table import cells


def built(*families: str, shown: bool = True) -> Leaderboard:
    return build_leaderboard(world(*families, shown=shown))  # type: ignore[arg-type]  # records, as objects


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """A washer and an unlinker, an honest family, and one whose records have no content."""
    old = [record for record in world("blur", shown=False) if record["family"] == "blur"]
    return build_leaderboard([*world("washer", "unlinker", "honest"), *old])  # type: ignore[list-item]


@pytest.fixture(scope="module")
def site(board: Leaderboard) -> str:
    return page.render(board, [])


@pytest.fixture(scope="module")
def text(board: Leaderboard) -> str:
    return markdown.render(board, [])


def of_family(board: Leaderboard, family: str) -> dict[str, str]:
    """Its first line in the CSV."""
    return next(row for row in csv.DictReader(io.StringIO(as_csv.render(board, []))) if row["family"] == family)


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        ("washer", ("worse", "real", "worse", "content", OUTLIVES)),
        ("unlinker", ("equal", "real", "equal", "content", UNLINKED)),
        ("honest", ("real", "real", "real", "both", "")),
    ],
)
def test_the_csv_has_the_verdict_and_that_of_each_yardstick(
    board: Leaderboard, family: str, expected: tuple[str, ...]
) -> None:
    line = of_family(board, family)
    assert (
        tuple(line[name] for name in ("standing", "verdict_keys", "verdict_content", "decided_by", "disagreement"))
        == expected
    )
    assert float(line["excess"]) > 0.2


def test_the_json_has_verdicts_and_phrases(board: Leaderboard) -> None:
    written = json.loads(as_json.render(board, []))
    (washer,) = (v for v in written["matched"][0]["verdicts"] if (v["family"], v["axis"]) == ("washer", "accuracy"))
    assert [washer[name] for name in ("verdict", "keys", "content", "worse")] == ["worse", "real", "worse", "content"]
    assert {row["disagreement"] for row in written["rows"] if row["family"] == "unlinker"} == {UNLINKED}
    assert {ranking["measure"] for ranking in written["matched"][0]["rankings"]} == {"worst", "lead", "content", "both"}


def test_markdown_and_page_show_both_excesses_and_which_decides(text: str, site: str) -> None:
    assert re.search(r"\| washer +\| training +\| stop +\| 0-2 +\| ✗ worse +\| content .*✓ real .*✗ worse", text)
    assert re.search(r'<td class="[^"]*" data-order="washer">washer</td>.*?badge worse.*?>content</td>', site, re.DOTALL)
    assert "excess in keys" in site
    assert "<figcaption>content</figcaption>" in site


def test_phrases_are_explained_to_the_reader(text: str, site: str) -> None:
    for shown in (text, site):
        assert shown.count(UNLINKED) > 1
        assert "the link from caption to image is cut" in shown


def test_the_ranking_goes_by_the_worse_of_both_and_leaves_out_what_lacks_one(text: str) -> None:
    lines = [line.split("|") for line in text.partition("## At matched utility")[2].splitlines() if line.startswith("|")]
    families = [line[3].strip() for line in lines[2:7]]
    assert families == ["honest", "unlinker", "stop (reference)", "washer", "blur"]
    assert lines[6][1].strip() == "–"


def test_a_row_of_keys_only_says_so_beside_others(board: Leaderboard, text: str) -> None:
    assert of_family(board, "blur")["decided_by"] == "keys only"
    assert re.search(r"\| blur\(x=198\) .*\(keys only\)", text)


def test_how_many_families_keys_alone_would_call_real_is_told(text: str) -> None:
    assert "of those read by both yardsticks, keys alone would call 3 real; 1 by keys only" in text


def test_records_without_content_make_a_page_of_keys_only() -> None:
    old = built("honest", shown=False)
    for shown in (markdown.render(old, []), page.render(old, [])):
        assert "Keys only: these records hold no content" in shown
        assert "excess in content" not in shown
    assert "disagreement" not in as_csv.render(old, [])


def test_a_curve_of_content_has_its_own_numbers(board: Leaderboard) -> None:
    (part,) = (part for part in families.parts(board, answer.answers(board), []) if part.first.family == "honest")
    assert [name for name, _ in part.curves] == ["M*", "content"]
    assert "honest: content from 0.20 to 0.40 at 2 settings" in part.curves[1][1]
    assert "content 0.40 [" in part.curves[1][1]


def test_the_table_at_the_end_of_a_run_has_content() -> None:
    board = built("unlinker")
    lines = [cells(one, shown=True) for one in standings(board, board.testbeds[0])]
    assert {line[0]: line[4] for line in lines}["unlinker(x=190)"] == "own 0.52, any 0.94"


def test_the_baseline_is_told_by_both_yardsticks(text: str, site: str) -> None:
    assert "by content AUROC 0.99 [0.93, 1.00] from the own caption, 0.98 [0.92, 1.00] from any caption" in text
    assert "<dt>content, own caption</dt>" in site


def test_curves_of_content_are_in_numbers_too(text: str) -> None:
    numbers = text.partition("Content (2 AUROC − 1) of every family by the accuracy that is lost")[2].partition(
        "</details>"
    )[0]
    assert re.search(r"\| honest +\| 0\.98 .*\| 0\.20 \[[^|]*\|$", numbers, re.MULTILINE)
