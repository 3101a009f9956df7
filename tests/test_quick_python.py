"""The fork server of sessions under test outlives whoever asks it."""

import socket

import quick_python


def test_a_program_that_is_ended_while_it_asks_starts_nothing():
    ours, theirs = socket.socketpair()
    with theirs:
        socket.send_fds(theirs, [(9).to_bytes(8, "big")], [0, 1, 2])
        theirs.send(b"half")
    forks = {}
    quick_python.fork_for(ours, None, forks)
    assert forks == {}
    assert ours.fileno() == -1
