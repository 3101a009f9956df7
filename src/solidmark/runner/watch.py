"""The watch over what all rows of a process share: who changes it is named, and it is put back before the next row."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .leftovers import Data, Exits, Running
from .seal import Breach, Seal
from .witness import Witness

if TYPE_CHECKING:
    from ..records import Writer
    from ..store import Store

MOST = 5
"""How many changes a record names."""


class Watch:
    """One process's seal, and what is compared before and after each of its cases."""

    def __init__(self, store: Store, writer: Writer | None = None) -> None:
        self._store, self._seal = store, Seal()
        self._witness = None if writer is None else Witness(writer)
        self._data: Data | None = None
        self.is_whole = True

    def begin(self, *shared: object) -> None:
        """Before a case. `shared` are objects that other cases use too: the testbed and the queries."""
        if self._witness is not None:
            self._witness.begin()
        self._seal.extend(*shared)
        self._running, self._exits = Running(), Exits()
        self._built, self._data = len(self._store.built), None

    def see_data(self, testbed: Any) -> None:
        """Before a case measures: the images and the judge. Raises whatever the testbed raises."""
        self._data = Data(testbed)

    def end(self) -> list[str]:
        """After a case: what has changed, in words. It is put back; `is_whole` says whether all of it could be.

        What the case has stored meanwhile may follow from it, so that it is set aside and made anew by whoever needs it.
        """
        found = self._breaches()
        if not found:
            return []
        for breach in found:
            with suppress(Exception):  # looked at again below
                breach.put_back()
        self.is_whole = not self._breaches()
        for name in self._store.built[self._built :]:
            self._store.set_aside(name, "it was built beside code that had been changed")
        more = [f"and {len(found) - MOST} more"] if len(found) > MOST else []
        return [*dict.fromkeys(breach.what for breach in found[:MOST]), *more]

    def _breaches(self) -> list[Breach]:
        data = self._data.breaches() if self._data is not None else []
        records = self._witness.breaches() if self._witness is not None else []
        return [*self._seal.breaches(), *records, *data, *self._exits.breaches(), *self._running.breaches()]
