"""Colours on a terminal, and none elsewhere: a log of continuous integration and a file get plain words.

Who sets NO_COLOR (https://no-color.org) gets none either; FORCE_COLOR asks for them where no terminal is.
"""

from __future__ import annotations

import os
from typing import TextIO

CODES = {"red": 31, "green": 32, "yellow": 33, "cyan": 36, "bold": 1, "faint": 2}

STYLES = {"real": "green", "equal": "yellow", "worse": "red", "undecided": "faint", "–": "faint"}
STYLES |= dict.fromkeys(("baseline", "gold standard", "reference"), "cyan")
"""How the words of a verdict column are painted; anything else is a status other than ok."""

EIGHTHS = " ▏▎▍▌▋▊▉█"


def are_wanted(stream: TextIO) -> bool:
    """Whether what is written to a stream is seen in colours."""
    if os.environ.get("NO_COLOR"):
        return False
    return bool(os.environ.get("FORCE_COLOR")) or (stream.isatty() and os.environ.get("TERM") != "dumb")


def paint(text: str, style: str, *, on: bool = True) -> str:
    """The text in a style of CODES; as it is where colours are not `on`, or where there is none."""
    return f"\x1b[{CODES[style]}m{text}\x1b[0m" if on and text else text


def bar(share: float, width: int = 10) -> str:
    """A bar that is filled to a share of its width, to an eighth of a letter; what is outside 0 to 1 is cut."""
    filled = round(min(max(share, 0.0), 1.0) * width * 8)
    whole, rest = divmod(filled, 8)
    return ("█" * whole + (EIGHTHS[rest] if rest else "")).ljust(width)
