"""A worker that ends while it starts: one sentence, and how to go on."""

import errno
from types import SimpleNamespace

import pytest
from strangers import World

from solidmark.runner.starting import Starting

ENDS = """
import os, sys
if "sys.stdin.readline" in " ".join(sys.orig_argv):  # as a worker of pytest-xdist begins
    os._exit(9)
"""


def test_a_session_whose_worker_ends_while_it_starts_says_how_to_go_on(tmp_path):
    world = World(tmp_path)
    (tmp_path / "site" / "sitecustomize.py").write_text(ENDS)
    ran = world.run("-n", "1", "-k", "x-good", "--run-dir", "run")
    assert ran.code == pytest.ExitCode.INTERRUPTED
    assert "INTERNALERROR" not in ran.output
    assert "a worker ended while it started, before any case (EOFError: " in ran.output
    assert "--resume=run" in ran.output


ENDED = pytest.exit.Exception


@pytest.mark.parametrize(
    ("cause", "tx", "raised"),
    [
        (OSError(), [], OSError),
        (ValueError(), ["popen"], ValueError),
        (OSError(errno.ENOSPC, "no space left"), ["popen"], OSError),
        (OSError(errno.EPIPE, "broken pipe"), ["popen"], ENDED),
        (OSError("cannot send (already closed?)"), ["popen"], ENDED),
    ],
)
def test_a_broken_connection_to_a_worker_is_told_and_any_other_error_is_left_as_it_is(tmp_path, cause, tx, raised):
    where = SimpleNamespace(args=(), dir=tmp_path)
    hook = Starting(SimpleNamespace(getoption=lambda *_: tx, invocation_params=where), tmp_path).pytest_sessionstart()
    next(hook)
    with pytest.raises(raised):
        hook.throw(cause)
