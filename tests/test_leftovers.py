"""What a case leaves behind, in words and in time: threads, programs, data of a testbed."""

import pickle
import sys
import threading
import zlib
from pathlib import Path

import pytest

from solidmark.runner import leftovers


@pytest.mark.parametrize(
    ("line", "words"), [(b"python\0-c\0\0x\0", "python -c x"), (b"", "unknown"), (b"a" * 90, "a" * 80), (b"\xff", "\ufffd")]
)
def test_a_program_is_named_by_its_words_and_at_most_80_letters(monkeypatch, line, words):
    monkeypatch.setattr(Path, "read_bytes", lambda path: line)
    assert leftovers._program(7) == words


def test_a_process_that_is_gone_is_unknown_and_has_no_state():
    assert (leftovers._program(-1), leftovers._state(-1)) == ("unknown", "")


@pytest.mark.parametrize(("text", "letter"), [("7 (a b) c) S 1", "S"), ("7 (x) Z", "Z"), ("7 (x)", "")])
def test_the_state_of_a_process_follows_its_name(monkeypatch, text, letter):
    monkeypatch.setattr(Path, "read_text", lambda path, **named: text)
    assert leftovers._state(7) == letter


def test_children_that_run_are_listed_and_dead_ones_are_not(monkeypatch):
    monkeypatch.setattr(Path, "glob", lambda path, pattern: [Path("a"), Path("b")])
    monkeypatch.setattr(Path, "read_text", lambda path, **named: {"a": "1 2", "b": "3 4"}[path.name])
    monkeypatch.setattr(leftovers, "_state", {1: "S", 2: "Z", 3: "X", 4: ""}.get)
    assert leftovers.children() == [1]


def test_what_an_object_holds_has_a_checksum_and_what_cannot_be_pickled_its_error():
    assert leftovers._digest([1, 2]) == zlib.crc32(pickle.dumps([1, 2]))
    assert leftovers._digest(threading.Lock()) == "TypeError"


def test_a_thread_is_placed_where_it_was_begun():
    found = []
    thread = threading.Thread(target=lambda: found.append(leftovers._place(sys._getframe())))
    thread.start()
    thread.join()
    line = test_a_thread_is_placed_where_it_was_begun.__code__.co_firstlineno + 2
    assert found == [f"test_leftovers.py, line {line}, in <lambda>"]


def test_waiting_ends_when_it_is_over_and_not_later_than_it_may():
    states, asked = iter((False, False, True)), []
    leftovers.wait(5.0, lambda: asked.append(1) or next(states))
    leftovers.wait(0.0, lambda: asked.append(1) and False)
    assert len(asked) == 4
