"""Mistakes that a user can correct: each says where it is, what was found, what was expected, and the cure.

    SolidmarkError
    ├── InvalidValue      a value out of its range, a wrong shape, an empty input
    │   └── UnknownName   a name that no plugin, testbed, profile or parameter has
    ├── PluginFault       a plugin that fails to load, raises, or returns what its hook does not allow
    ├── DamagedFile       a file that was truncated, altered, or written by a newer version
    └── NotApplicable     a mitigation that this model, testbed or installation cannot carry

Any other exception is a fault of solidmark itself and shows its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class SolidmarkError(Exception):
    """A mistake: where it is, the value found, what was expected, and the cure."""

    def __init__(self, where: str, found: object, expected: str, cure: str) -> None:
        self.where, self.found, self.expected, self.cure = where, found, expected, cure
        super().__init__(f"{where}: found {found}; expected {expected}. {cure}")

    def __reduce__(self) -> tuple[type, tuple[str, object, str, str]]:
        return type(self), (self.where, self.found, self.expected, self.cure)


class InvalidValue(SolidmarkError, ValueError):
    """A value out of its range, a wrong shape, or an empty input."""


class UnknownName(InvalidValue):
    """A name that nothing has; the message lists those that exist, and suggests the nearest."""

    @classmethod
    def among(cls, where: str, name: str, existing: Iterable[str]) -> "UnknownName":
        """The error for `name` where these are the `existing` names."""
        names = sorted(existing)
        near = get_close_matches(name, names, n=1)
        cure = f"Did you mean {near[0]!r}?" if near else "Use one of those."
        return cls(where, repr(name), f"one of {', '.join(names) or '(none)'}", cure)


class PluginFault(SolidmarkError):
    """A plugin that fails to load, raises, or returns what its hook does not allow."""


class DamagedFile(SolidmarkError):
    """A file that was truncated, altered, or written by a newer version."""


class NotApplicable(SolidmarkError):
    """A mitigation that this model, testbed or installation cannot carry."""
