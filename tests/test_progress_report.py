"""The progress report: what workers write and the controller says."""

import pytest

from solidmark.runner.progress_report import Reporter, read_states, summary, time_left


def test_the_state_that_a_worker_writes_is_read_back(tmp_path):
    Reporter(tmp_path, "gw0", "digits-rna-s0")("train", 600, 600)
    state = read_states(tmp_path)[0]
    assert (state["worker"], state["case"], state["done"], state["of"]) == ("gw0", "digits-rna-s0", 600, 600)


def test_progress_is_written_seldom_but_ends_are_not_lost(tmp_path):
    report = Reporter(tmp_path, "gw0")
    for step in range(1, 500):
        report("train", step, 500)
    assert read_states(tmp_path)[0]["done"] < 499
    report("train", 500, 500)
    assert read_states(tmp_path)[0]["done"] == 500


def test_a_disk_that_is_full_does_not_stop_the_work(tmp_path):
    (tmp_path / "progress").write_text("a file where the folder would be")
    Reporter(tmp_path, "gw0")("train", 1, 1)
    assert read_states(tmp_path) == []


def test_a_file_caught_half_written_is_left_out(tmp_path):
    (tmp_path / "progress").mkdir()
    (tmp_path / "progress" / "gw0.json").write_text('{"worker": "gw')
    assert read_states(tmp_path) == []


def test_the_summary_says_what_is_done_and_left_and_which_worker_is_silent():
    busy = {"worker": "gw0", "case": "digits-agc-s0", "action": "train", "done": 310, "of": 600, "t": 1000.0}
    silent = {**busy, "worker": "gw1", "t": 800.0}
    said = summary([busy, silent], 5, 24, 130.0, now=1001.0)
    assert said.startswith("5 of 24 cases, about 2:10 left | gw0: digits-agc-s0 train 310/600 |")
    assert "gw1: digits-agc-s0 train 310/600 (no sign of life for 201 s)" in said


@pytest.mark.parametrize(("elapsed", "done", "total", "left"), [(60, 6, 12, 60), (30, 0, 12, None), (30, 12, 12, 0)])
def test_the_time_left_is_at_the_pace_so_far(elapsed, done, total, left):
    assert time_left(elapsed, done, total) == left


def test_what_has_no_end_is_told_in_seconds_and_silence_begins_after_a_minute():
    waiting = {"worker": "gw0", "case": "digits-none-s0", "action": "waiting", "done": 7, "of": 0, "t": 1000.0}
    assert summary([waiting], 0, 0, None, now=1060.0) == "0 cases | gw0: digits-none-s0 waiting 7 s"
    assert summary([waiting], 3, 9, 59.9, now=1061.0).endswith("waiting 7 s (no sign of life for 61 s)")
    assert summary([], 3, 9, 59.9, now=0.0) == "3 of 9 cases, about 0:59 left"
