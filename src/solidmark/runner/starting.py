"""The start of workers: one that is ended before pytest-xdist knows it ends the session by one sentence."""

from __future__ import annotations

import errno
from collections.abc import Generator
from pathlib import Path

import pytest

from .resume import command

BROKEN = (None, errno.EPIPE, errno.ECONNRESET)
"""Numbers of the errors of a connection that is gone; execnet's own have none. Others are of a disk or a folder."""


class Starting:
    """A pytest plugin round the start of a session, which starts the workers."""

    def __init__(self, config: pytest.Config, run: Path) -> None:
        self.config, self.run = config, run

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Generator[None, None, None]:
        """A connection that breaks here is an error within pytest-xdist, which tells nobody how to go on.

        Raises pytest's Exit with the code of an interrupted run.
        """
        try:
            return (yield)
        except (EOFError, OSError) as cause:
            if not self.config.getoption("tx", None) or getattr(cause, "errno", None) not in BROKEN:
                raise
            where = self.config.invocation_params
            reason = f"a worker ended while it started, before any case ({type(cause).__name__}: {cause})"
            cure = f"go on with: {command(where.args, self.run, Path(where.dir))}"
            raise pytest.exit.Exception(f"{reason}\n{cure}", returncode=pytest.ExitCode.INTERRUPTED) from cause
