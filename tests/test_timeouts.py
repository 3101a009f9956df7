"""Timeouts: code that hangs is interrupted, or its process is ended, and its line is reported."""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress

import pytest

from solidmark import timeouts
from solidmark.timeouts import TimeUp, at_most


def test_code_that_runs_too_long_is_interrupted_and_its_line_reported():
    with (
        pytest.raises(TimeUp, match=r"no end after 0.05 s; it was at test_timeouts.py, line \d+, in test_code"),
        at_most(0.05),
    ):
        time.sleep(10)


def catches_mistakes():
    try:
        time.sleep(10)
    except Exception:
        pytest.fail("it was taken for a mistake")


def swallows():
    try:
        time.sleep(10)
    except TimeUp:
        time.sleep(10)


@pytest.mark.parametrize("plugin", [catches_mistakes, swallows])
def test_code_that_catches_exceptions_is_interrupted_as_well(plugin):
    with pytest.raises(TimeUp), at_most(0.05):
        plugin()


def armed():
    """Seconds until the alarm of this process, 0 where none is set, and its handler."""
    return signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM)


def test_code_that_ends_in_time_is_left_alone_and_no_alarm_is_left_behind():
    before = armed()
    with at_most(60):
        within, handler = armed()
        assert 0 < within <= 60
        assert handler != before[1]
    assert armed() == before == (0, before[1])


def test_zero_is_no_limit():
    before = armed()
    with at_most(0):
        assert armed() == before


def limited_inside():
    with at_most(5):
        pass
    time.sleep(10)


def test_a_limit_inside_another_leaves_the_outer_one_on():
    with pytest.raises(TimeUp, match=r"0\.3 s"), at_most(0.3):
        limited_inside()


@pytest.mark.parametrize("inner", [5.0, 0.02])
def test_the_time_that_an_inner_limit_took_is_taken_off_the_outer_one(inner):
    with at_most(60):
        with suppress(TimeUp), at_most(inner):
            time.sleep(0.1)
        left, _ = armed()
    assert 59.0 < left < 60 - min(inner, 0.1) * 0.99


def test_an_outer_limit_that_ran_out_inside_rings_at_once():
    with pytest.raises(TimeUp, match=r"no end after 0\.02 s"), at_most(0.02):
        late_inside()


def late_inside():
    with at_most(30):
        busy(0.05)
    time.sleep(10)


def busy(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def test_a_limit_rings_every_second_until_it_ends():
    before = signal.getitimer(signal.ITIMER_REAL)
    with at_most(60):
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 1.0
    assert signal.getitimer(signal.ITIMER_REAL) == before


@pytest.mark.parametrize("times", [0.5, 1.4])
def test_a_process_is_left_alone_before_so_many_times_its_limit(tmp_path, monkeypatch, times):
    armed_for = []
    monkeypatch.setattr(timeouts.faulthandler, "dump_traceback_later", lambda seconds, **named: armed_for.append(seconds))
    with timeouts.exit_after(times, tmp_path / "deep" / "note", "case"):
        assert (tmp_path / "deep" / "note").read_text().splitlines() == ["case", str(os.getpid())]
    assert armed_for == [pytest.approx(1.5 * times)]


def test_zero_is_no_limit_for_a_process_and_leaves_its_note_while_it_lasts(tmp_path, monkeypatch):
    monkeypatch.setattr(timeouts.faulthandler, "dump_traceback_later", lambda *given, **named: pytest.fail("a limit"))
    with timeouts.exit_after(0, tmp_path / "note", "case"):
        assert (tmp_path / "note").exists()
    assert list(tmp_path.iterdir()) == []


def test_a_keyboard_interrupt_is_the_user_s_where_a_signal_came_and_else_the_plugin_s():
    assert not timeouts.is_fault(KeyboardInterrupt())
    with timeouts.interrupts() as watch:
        assert timeouts.is_fault(KeyboardInterrupt())
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert watch.came
        assert not timeouts.is_fault(KeyboardInterrupt())
    assert timeouts.is_fault(SystemExit())
    assert not timeouts.is_fault(TimeUp(1.0, "here"))


def test_the_handler_of_interrupts_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with timeouts.interrupts():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before


def test_in_another_thread_there_is_no_limit():
    ended = []
    thread = threading.Thread(target=lambda: [ended.append(armed()[0]) for _ in [at_most(0.01).__enter__()]])
    thread.start()
    thread.join()
    assert ended == [0.0]


def test_a_process_that_cannot_be_interrupted_is_ended_and_leaves_its_last_line(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom solidmark.timeouts import exit_after\n"
        "def deaf():\n    time.sleep(60)\n"
        "with exit_after(0.1, pathlib.Path(sys.argv[1]), 'case'):\n    deaf()\n"
    )
    note = tmp_path / "hangs" / "gw0.txt"
    ended = subprocess.run([sys.executable, "-c", code, note], capture_output=True, timeout=60)
    assert ended.returncode == 1
    assert timeouts.last_location(note, "case") == "<string>, line 4 in deaf"
    assert timeouts.last_location(note, "other") is None


def test_a_process_that_ends_in_time_leaves_nothing(tmp_path):
    note = tmp_path / "gw0.txt"
    with timeouts.exit_after(30, note, "case"):
        assert timeouts.last_location(note, "case") is None
    assert not note.exists()
