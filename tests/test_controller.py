"""The controller: what the short table at the end of a run says."""

from record_samples import case, failed, utility

from solidmark.leaderboard import build_leaderboard
from solidmark.runner.controller import _short_row


def short_row(record):
    return _short_row(build_leaderboard([record]).to_json()["rows"][0])


def test_a_row_of_the_short_table_has_interval_count_and_status():
    assert short_row(case()) == ["none", "+0.880 [+0.860, +0.900]", "56 of 64", "0.64", "ok"]


def test_a_row_without_accuracy_keeps_its_other_numbers():
    assert short_row(case(utility=utility(None)))[2:] == ["56 of 64", "–", "ok"]


def test_a_row_without_numbers_has_its_status_alone():
    assert short_row(failed("rna")) == ["rna", "", "", "", "error"]
