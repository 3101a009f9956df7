"""Progress: what is being done, how far it is, and how long it will take."""

from collections.abc import Callable

Progress = Callable[[str, int, int], None]
"""Called as progress(what, done, of), often; whoever listens decides how seldom to show it."""


def silent(what: str, done: int, of: int) -> None:
    """Progress that nobody watches."""
