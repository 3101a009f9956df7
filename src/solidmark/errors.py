"""Mistakes that a user can mend, told as who, what was found, what was expected, and the cure.

    SolidmarkError
    ├── InvalidValue      a value out of its range, a wrong shape, an empty input
    │   └── UnknownName   a name that no plugin, testbed, profile or parameter has
    ├── PluginFault       a plugin that fails to load, raises, or returns what its door does not allow
    ├── DamagedFile       a file that was truncated, altered, or written by a newer version
    └── NotApplicable     a mitigation that this model, testbed or installation cannot carry

Anything else that is raised is a fault of solidmark itself and shows its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SolidmarkError(Exception):
    """A mistake with its place, the value found, what was expected, and the cure."""

    def __init__(self, place: str, found: object, expected: str, cure: str) -> None:
        self.place, self.found, self.expected, self.cure = place, found, expected, cure
        super().__init__(f"{place}: found {found}; expected {expected}. {cure}")

    def __reduce__(self) -> tuple[type, tuple[str, object, str, str]]:
        return type(self), (self.place, self.found, self.expected, self.cure)


class InvalidValue(SolidmarkError, ValueError):
    """A value out of its range, a wrong shape, or an empty input."""


class UnknownName(InvalidValue):
    """A name that nothing has; the message lists those that exist, the nearest first."""

    @classmethod
    def among(cls, place: str, name: str, known: Iterable[str]) -> "UnknownName":
        """The error for `name` where only `known` names exist."""
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else "Use one of those."
        return cls(place, repr(name), f"one of {', '.join(names) or '(none)'}", cure)


class PluginFault(SolidmarkError):
    """A plugin that fails to load, raises, or returns what its door does not allow."""


class DamagedFile(SolidmarkError):
    """A file that was truncated, altered, or written by a newer version."""


class NotApplicable(SolidmarkError):
    """A mitigation that this model, testbed or installation cannot carry."""
