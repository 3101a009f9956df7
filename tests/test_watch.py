"""`solidmark watch`: what is told of a run that goes on; and the live line at the foot of a terminal."""

import gzip
import io
import json
import sys
from types import SimpleNamespace

import pytest
from record_samples import case, failed

from solidmark.__main__ import main
from solidmark.cli import watch
from solidmark.cli.watch import View
from solidmark.records import Writer
from solidmark.runner.live import LiveLine

PLAN = {"digits-none-s0": {"weight": 5.0}, "digits-rna-s0": {"weight": 1.0}, "digits-agc-s0": {"weight": 4.0}}


@pytest.fixture
def run(tmp_path):
    """Two of three cases have ended; a worker trains for the third."""
    folder = tmp_path / "run"
    for record in (case(), failed("rna")):
        Writer(folder).write(record)
    (folder / "run.json").write_text("{}")
    (folder / "plan.json").write_text(json.dumps(PLAN))
    (folder / "progress").mkdir()
    state = {"worker": "gw0", "case": "digits-agc-s0", "action": "train", "done": 30, "of": 600, "t": 0.0}
    (folder / "progress" / "gw0.json").write_text(json.dumps(state))
    return folder


def test_a_view_has_what_ended_what_goes_on_and_the_time_left(run):
    view = View.of(run)
    first, worker, *last = view.lines(view.began + 60)
    assert first == "2 of 3 cases, about 0:40 left (1 ok, 1 error)"  # 6 of 10 parts in a minute
    assert worker.startswith("gw0: digits-agc-s0 train 30/600")
    assert [line.split() for line in last] == [["digits-none-s0", "M", "+0.880"], ["digits-rna-s0", "error"]]


def test_a_torn_line_is_no_case_and_a_complete_run_is_over(run):
    (path, *_) = (run / "records").glob("*.jsonl")
    path.write_bytes(path.read_bytes() + b'{"event": "ca')
    assert not View.of(run).is_over
    Writer(run).write(case("agc"))
    assert View.of(run).is_over
    head, *last = View.of(run).lines(1e9)
    assert "left" not in head
    assert {line.split()[0] for line in last} == {*PLAN}  # no worker, whose silence would look like a hang


def test_a_run_without_a_plan_tells_its_records_by_status(run):
    (run / "plan.json").unlink()
    first = min((run / "records").glob("*.jsonl"))
    first.with_suffix(".jsonl.gz").write_bytes(gzip.compress(first.read_bytes()))  # as results are kept
    first.unlink()
    head = View.of(run).lines(0.0)[0]
    assert head == "no plan.json, so that what is left is unknown: 2 records (1 ok, 1 error)"


def test_the_command_tells_it_once_where_the_output_is_no_terminal(run, capsys):
    assert main(["watch", str(run)]) == 0
    assert capsys.readouterr().out.count("of 3 cases") == 1
    assert main(["watch", str(run / "records")]) == 2
    assert "the folder of a run, with run.json" in capsys.readouterr().err


class Screen(io.StringIO):
    """A terminal."""

    def isatty(self):
        return True


def test_on_a_terminal_it_is_drawn_over_itself_until_the_run_is_over(run, monkeypatch):
    screen, slept, view = Screen(), [], View.of(run)
    views = iter([view, View(run, {}, (), 0.0), View(run, {"digits-none-s0": {}}, view.ended, 0.0)])
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setattr(watch.View, "of", lambda folder: next(views))
    monkeypatch.setattr(watch.time, "sleep", slept.append)
    assert main(["watch", str(run), "--every", "0.5"]) == 0
    assert slept == [0.5, 0.5]
    parts = screen.getvalue().split("\x1b[J")
    assert [part[-4:] for part in parts[:2]] == [
        "\x1b[4F",
        "\x1b[2F",
    ]  # a head, a worker, two cases; then a head and a worker
    assert ["2 of 3 cases" in parts[0], ": 0 records" in parts[1], "1 of 1 cases" in parts[2]] == [True] * 3


def test_once_on_a_terminal_is_told_once(run, monkeypatch):
    monkeypatch.setattr(sys, "stdout", screen := Screen())
    assert main(["watch", str(run), "--once"]) == 0
    assert screen.getvalue().count("of 3 cases") == 1


@pytest.mark.parametrize("seconds", ["0", "-1", "inf", "nan"])
def test_a_time_that_never_comes_is_refused(run, capsys, seconds):
    assert main(["watch", str(run), "--every", seconds]) == 2
    assert "seconds, more than 0" in capsys.readouterr().err


def test_a_live_line_is_cut_drawn_over_itself_and_gone_before_others_write():
    file, lines = io.StringIO(), []
    writer = SimpleNamespace(_file=file, width_of_current_line=3, fullwidth=11, line=lambda: lines.append(1))
    line = LiveLine(writer)
    line.draw("a long text that does not fit")
    line.draw("short")
    line.erase()
    line.erase()
    assert file.getvalue() == "\r\x1b[2Ka long tex\r\x1b[2Kshort\r\x1b[2K"
    assert lines == [1]
