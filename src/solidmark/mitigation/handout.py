"""The handout: the parts of the data that one mitigation is given, and what it reports back."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..errors import InvalidValue, NotApplicable
from .needs import Needs

if TYPE_CHECKING:
    from ..models import Model
from ..data import Examples
from ..models import Told


class Data:
    """What one mitigation is handed: only what it declared in `needs`; the rest raises, naming the declaration.

    `told` is what it gives back for the record, by name.
    """

    def __init__(self, needs: Needs, family: str, **parts: Examples | Model) -> None:
        self._needs, self._family, self._parts = needs, family, parts
        self.told: dict[str, Told] = {}

    def tell(self, name: str, value: Told) -> None:
        """Put a number or a word into the record, once a training or an edit: what sampling tells is not kept.

        Raises InvalidValue for what is no plain value, not finite, or told already.
        """
        plain = value is None or isinstance(value, int | float | str)
        if not plain or (isinstance(value, float) and not math.isfinite(value)) or name in self.told:
            found = f"{value!r}, and {self.told[name]!r} before" if name in self.told else repr(value)
            expected = "one finite number, word, truth value, or None where it is unknown"
            raise InvalidValue(f"mitigation {self._family}, told {name}", found, expected, "Tell it once, at the end.")
        self.told[name] = value

    @property
    def calibration(self) -> Examples:
        """Unmarked images that nobody trains on or asks for."""
        return self._hand_out(Needs.CALIBRATION, "calibration")

    @property
    def forget(self) -> Examples:
        """Marked training images that are to be forgotten."""
        return self._hand_out(Needs.FORGET, "forget")

    @property
    def retain(self) -> Examples:
        """Marked training images that are to be kept."""
        return self._hand_out(Needs.FORGET, "retain")

    @property
    def training_images(self) -> Examples:
        """Marked training images, held-out ones with other keys mixed in as decoys."""
        return self._hand_out(Needs.TRAINING_IMAGES, "training_images")

    @property
    def base_model(self) -> Model:
        """The model before fine-tuning."""
        return self._hand_out(Needs.BASE_MODEL, "base_model")  # type: ignore[return-value]  # the one part of another type

    def _hand_out(self, need: Needs, name: str) -> Examples:
        if need not in self._needs:
            place, cure = f"mitigation {self._family}, data.{name}", f"Write `needs = Needs.{need.name}` into the class."
            raise InvalidValue(place, f"needs {self._needs.names() or 'nothing'}", f"Needs.{need.name} declared", cure)
        if name not in self._parts:
            cure = "Run it on a testbed that has one."
            raise NotApplicable(f"mitigation {self._family}, data.{name}", "none on this testbed", f"a {name}", cure)
        return self._parts[name]  # type: ignore[return-value]  # Examples but for base_model
