"""Findings in the reports: each with its rule, interval, verdict and figure, in every format."""

import json

import pytest
from record_samples import HOSTILE, broken_finding, case, finding
from solidmark.reports import as_json, finding_cards, finding_figure, markdown, page

from solidmark.leaderboard import Leaderboard, build_leaderboard


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """One of each verdict, in another order than written, one by names, one that broke."""
    named = finding("channels", "fails", ("image", "caption", HOSTILE), order=2)
    return build_leaderboard([finding("time", "undecided", order=1), named, finding(), broken_finding("bands", order=3)])


def test_findings_keep_their_order_and_their_verdicts(board: Leaderboard) -> None:
    (suite,) = finding_cards.suites(board)
    assert [card.verdict for card in suite.cards] == ["holds", "undecided", "fails", "error"]
    assert finding_cards.counts(board.findings) == "validity, 4 findings: 1 holds, 1 fails, 1 undecided, 1 without numbers"


def test_json_has_every_finding_and_null_with_a_reason_where_one_broke(board: Leaderboard) -> None:
    findings = json.loads(as_json.render(board, []))["findings"]
    assert findings[0]["estimate"] == {
        "value": 0.21,
        "low": 0.18,
        "high": 0.24,
        "error": 0.01,
        "chance": None,
        "count": None,
    }
    assert (findings[3]["estimate"], findings[3]["reason"]) == (None, "it broke")


@pytest.mark.parametrize("render", [markdown.render, page.render])
def test_rule_numbers_and_reason_are_shown_and_names_are_no_markup(render, board: Leaderboard) -> None:
    text = render(board, [])
    for part in ("The slope lies above 0.", "0.21 [0.18, 0.24]", "it rises from point to point", "it broke"):
        assert part in text
    assert "<script>" not in text.replace("<script>\n", "").replace('<script type="application/json"', "")


def test_a_claim_names_its_method_in_its_table_and_above_its_figure() -> None:
    claimed = build_leaderboard([{**finding(suite="claims", title="It forgets."), "slug": "claims-good-one-0-1"}])
    (suite,) = finding_cards.suites(claimed)
    assert suite.columns[:3] == ("verdict", "method", "statement")
    assert suite.lines[0][:3] == ("✓ supported", "good-one-0", "It forgets.")
    assert "good-one-0: It forgets.</h3>" in page.render(claimed, [])


def test_a_page_of_findings_alone_has_their_figures_and_no_table(board: Leaderboard) -> None:
    text = page.render(board, [])
    assert text.count("<svg") == 3
    assert 'id="table"' not in text


def test_a_figure_has_a_tip_for_each_point_of_each_series() -> None:
    (outcome,) = build_leaderboard([finding(x=(0.0, 1.0, 4.0))]).findings
    drawn = finding_figure.figure("0", outcome.finding)
    assert drawn.svg.count("<title>") == 6
    assert "some, 4: 0.5 [0.45, 0.55]" in drawn.svg


def test_a_finding_without_points_has_no_figure() -> None:
    (outcome,) = build_leaderboard([finding(series=[])]).findings
    assert finding_figure.figure("0", outcome.finding) is None


def test_the_latest_finding_of_an_experiment_counts() -> None:
    later = {**finding("dose", "fails"), "t": "2026-02-02T03:04:05Z"}
    assert [outcome.finding.verdict.value for outcome in build_leaderboard([finding(), later]).findings] == ["fails"]


def test_no_findings_leave_no_trace() -> None:
    assert "findings" not in markdown.render(build_leaderboard([case()]), [])
