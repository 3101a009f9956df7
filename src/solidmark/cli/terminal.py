"""What a command shows while it works."""

from __future__ import annotations

import sys
from collections.abc import Callable


def progress() -> Callable[[str, int, int], None]:
    """Shows progress on a terminal, and nothing elsewhere."""

    def show(action: str, done: int, of: int) -> None:
        if sys.stderr.isatty() and (done % 20 == 0 or done == of):
            print(f"\r{action} {done} of {of}", end="\n" if done == of else "", file=sys.stderr, flush=True)

    return show
