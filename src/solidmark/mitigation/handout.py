"""The handout: the parts of the data that one mitigation is given, and what it reports for the record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from ..data import Examples
from ..errors import InvalidValue, NotApplicable
from ..models import ReportedValue
from .needs import Needs

if TYPE_CHECKING:
    from ..models import Model

HandedOut: TypeAlias = "Mapping[str, Examples | Model]"
"""Parts of the data by name, of which each mitigation gets those that it declared."""


class Data:
    """The parts of the data that one mitigation declared in `needs`, and `reported`: what it reports, by name.

    A part that was not declared raises InvalidValue, which names the missing declaration. A part that the testbed does
    not have raises NotApplicable.
    """

    def __init__(self, needs: Needs, family: str, **parts: Examples | Model) -> None:
        self._needs, self._family, self._parts = needs, family, parts
        self.reported: dict[str, ReportedValue] = {}

    def report(self, name: str, value: ReportedValue) -> None:
        """Put a number or a word into the record, once a training or an edit. What a sampler reports is not kept.

        Raises InvalidValue for a value that is not plain or not finite, and for a name that was reported before.
        """
        plain = value is None or isinstance(value, int | float | str)
        if not plain or (isinstance(value, float) and not math.isfinite(value)) or name in self.reported:
            found = f"{value!r}, and {self.reported[name]!r} before" if name in self.reported else repr(value)
            where, cure = f"mitigation {self._family}, report of {name}", "Report it once, at the end."
            raise InvalidValue(where, found, "one finite number, word, truth value, or None where it is unknown", cure)
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
