"""Paths that are given on the command line."""

from __future__ import annotations

import argparse
from pathlib import Path


def given_path(text: str) -> Path:
    """A path. Refuses an empty one, as an unset variable of a shell leaves: it would mean the current folder."""
    return Path(given(text))


def given(text: str) -> str:
    """What may be a path or a name. Refuses an empty one."""
    if not text:
        raise argparse.ArgumentTypeError("found an empty path; expected a name. Is a variable of the shell unset?")
    return text
