"""Limits of time: what hangs is interrupted, or its process is ended, and told where it was."""

import signal
import subprocess
import sys
import time

import pytest

from solidmark import timeouts
from solidmark.timeouts import TimeUp, at_most


def test_what_runs_too_long_is_interrupted_and_told_where():
    with (
        pytest.raises(TimeUp, match=r"no end after 0.05 s; it was at test_limits.py, line \d+, in test_what"),
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
def test_what_catches_exceptions_is_interrupted_as_well(plugin):
    with pytest.raises(TimeUp), at_most(0.05):
        plugin()


def armed():
    """Seconds until the alarm of this process, 0 where none is set, and who answers it."""
    return signal.getitimer(signal.ITIMER_REAL)[0], signal.getsignal(signal.SIGALRM)


def test_what_ends_in_time_is_left_alone_and_no_alarm_is_left_behind():
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


def test_a_process_that_cannot_be_interrupted_is_ended_and_leaves_where_it_was(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom solidmark.timeouts import or_ended\n"
        "def deaf():\n    time.sleep(60)\n"
        "with or_ended(0.1, pathlib.Path(sys.argv[1]), 'case'):\n    deaf()\n"
    )
    note = tmp_path / "hangs" / "gw0.txt"
    ended = subprocess.run([sys.executable, "-c", code, note], capture_output=True, timeout=60)
    assert ended.returncode == 1
    assert timeouts.ended(note, "case") == "<string>, line 4 in deaf"
    assert timeouts.ended(note, "other") is None


def test_a_process_that_ends_in_time_leaves_nothing(tmp_path):
    note = tmp_path / "gw0.txt"
    with timeouts.or_ended(30, note, "case"):
        assert timeouts.ended(note, "case") is None
    assert not note.exists()
