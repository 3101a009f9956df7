"""The handout: the parts of the data that one mitigation is given, and what it reports for the record."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..data import Examples
from ..errors import InvalidValue, NotApplicable
from ..models import ReportedValue
from .needs import Needs

if TYPE_CHECKING:
    from ..models import Model

NUMBERS = ("epsilon", "delta")
"""What the table shows as numbers."""
LARGEST = 1e300
"""Numbers from here on are taken for infinite."""

HandedOut: TypeAlias = "Mapping[str, Examples | Model]"
"""Parts of the data by name, of which each mitigation gets those that it declared."""


class Data:
    """The parts of the data that one mitigation declared in `needs`, and `reported`: what it reports, by name.

    A part that was not declared raises InvalidValue, which names the missing declaration. A part that the testbed does
    not have raises NotApplicable. A model that is only `sampled` has no place for reports in a record.
    """

    def __init__(self, needs: Needs, family: str, *, sampled: bool = False, **parts: Examples | Model) -> None:
        self._needs, self._family, self._sampled, self._parts = needs, family, sampled, parts
        self.reported: dict[str, ReportedValue] = {}

    def report(self, name: str, value: ReportedValue) -> None:
        """Put a number or a word into the record, once a training or an edit.

        Raises InvalidValue in a sampler, for a value that is not plain or not finite, and for a name reported before.
        """
        where = f"mitigation {self._family}, report of {name}"
        if self._sampled:
            raise InvalidValue(
                where,
                "a report while sampling",
                "one in a training or an edit",
                "Leave it out: no record has a place for it.",
            )
        if name in self.reported:
            found, cure = f"{value!r}, and {self.reported[name]!r} before", "Report it once, at the end."
            raise InvalidValue(where, found, "one report a name", cure)
        given: object = value  # whatever a plugin gives
        numeric = isinstance(given, int | float) and not isinstance(given, bool)
        if isinstance(given, int | float) and not abs(given) < LARGEST:  # NaN is not below it either
            raise InvalidValue(where, repr(value), f"a finite number below {LARGEST:g}", "Report None where it is unknown.")
        if name in NUMBERS and not numeric and given is not None:
            raise InvalidValue(where, repr(value), "a number, or None", "The table shows it as a number.")
        if given is not None and not isinstance(given, int | float | str):
            cure = "Convert it: `float(value)` for a tensor of one element."
            raise InvalidValue(where, f"a {type(given).__name__}", "a number, word, truth value, or None", cure)
        self.reported[name] = value

    @property
    def calibration(self) -> Examples:
        """Unmarked images that no model is trained on and no query asks about."""
        return self._hand_out(Needs.CALIBRATION, "calibration")

    @property
    def forget(self) -> Examples:
        """Marked training images that are to be forgotten."""
        return self._hand_out(Needs.FORGET, "forget")

    @property
    def retain(self) -> Examples:
        """Marked training images that are to be retained."""
        return self._hand_out(Needs.FORGET, "retain")

    @property
    def training_images(self) -> Examples:
        """Marked training images, mixed with held-out images that carry other keys as decoys."""
        return self._hand_out(Needs.TRAINING_IMAGES, "training_images")

    @property
    def base_model(self) -> Model:
        """The model before fine-tuning."""
        return self._hand_out(Needs.BASE_MODEL, "base_model")  # type: ignore[return-value]  # the one part of another type

    def _hand_out(self, need: Needs, name: str) -> Examples:
        if need not in self._needs:
            where, cure = f"mitigation {self._family}, data.{name}", f"Write `needs = Needs.{need.name}` into the class."
            raise InvalidValue(where, f"needs {self._needs.names() or 'nothing'}", f"Needs.{need.name} declared", cure)
        if name not in self._parts:
            cure = "Run it on a testbed that has one."
            raise NotApplicable(f"mitigation {self._family}, data.{name}", "none on this testbed", f"a {name}", cure)
        return self._parts[name]  # type: ignore[return-value]  # Examples but for base_model
