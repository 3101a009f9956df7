"""Progress: how code that takes long says what it does, and how much of it is done."""

from typing import Protocol


class Progress(Protocol):
    """Called as progress(action, done, of), often; the receiver decides how seldom to show it.

    `of` is 0 where the end is unknown: then `done` counts seconds. `runner.progress_report.Reporter` is the receiver of
    a run.
    """

    def __call__(self, action: str, done: int, of: int, /) -> None:
        """Report that `done` of `of` steps of an action are done."""


def silent(action: str, done: int, of: int) -> None:
    """Progress that nobody watches."""
