"""The guard round a plugin's own code: what it raises is its fault, and a copy of the process that it forks ends here."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import PluginFault, SolidmarkError, cure_of, said
from ..timeouts import end_copies, is_fault


@contextmanager
def plugin_code(where: str, expected: str) -> Iterator[None]:
    """Inside, an exception of the plugin's own becomes a PluginFault with its cause; errors of ours pass through."""
    pid = os.getpid()
    try:
        yield
    except SolidmarkError:
        raise
    except BaseException as cause:
        if not is_fault(cause):
            raise
        raise PluginFault(where, said(cause), expected, cure_of(cause)) from cause
    finally:
        end_copies(pid)
