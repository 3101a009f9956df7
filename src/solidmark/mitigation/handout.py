"""The handout: the parts of the data that one mitigation is given, and what it reports for the record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from ..data import Examples
from ..errors import InvalidValue, NotApplicable
from ..models import ReportedValue
from .needs import Needs

if TYPE_CHECKING:
    from ..models import Model, Recipe

NUMBERS = ("epsilon", "delta")
"""What the table shows as numbers."""
ACTED_ON = "acted_on"
"""The dose that says on which share of queries or images a part acted. A row on which no part acted is no fault."""
HALVES = ("first_half", "second_half")
"""The names under which two models of half of the images are handed out."""
LARGEST = 1e300
"""Numbers from here on are taken for infinite."""

HandedOut: TypeAlias = "Mapping[str, Examples | Model | Recipe]"
"""Parts of the data by name, of which each mitigation gets those that it declared, and an edit the recipe."""


class Data:
    """The parts of the data that one mitigation declared in `needs`, and `reported`: what it reports, by name.

    A part that was not declared raises InvalidValue, which names the missing declaration. A part that the testbed does
    not have raises NotApplicable. A part at sampling (`sampled`) acts on many batches, so it gives doses and no reports.
    """

    def __init__(self, needs: Needs, family: str, *, sampled: bool = False, **parts: Examples | Model | Recipe) -> None:
        self._needs, self._family, self._sampled, self._parts = needs, family, sampled, parts
        self.reported: dict[str, ReportedValue] = {}
        self._doses: dict[str, tuple[float, int]] = {}

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
                "Use `data.dose(name, values)`, which is averaged over all queries.",
            )
        if name in self.reported or name in self._doses:
            before = self.reported.get(name, "a dose")
            found, cure = f"{value!r}, and {before!r} before", "Report it once, at the end."
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

    def dose(self, name: str, values: float | Tensor) -> None:
        """Add to the record what was really done: one number, or one for each query, image or access, (B,).

        It may be called any number of times. The record has the mean over a training or an edit, and at sampling over
        the answers to each query. Examples are the share that was acted on (`acted_on`, booleans), words that were
        added, a norm before and one after. Raises InvalidValue for numbers that are not finite, and for a name that was
        reported.
        """
        numbers = torch.as_tensor(values).detach().double().flatten()
        total = float(numbers.sum())
        where = f"mitigation {self._family}, dose {name}"
        if name in self.reported:
            raise InvalidValue(where, f"{name} reported before", "a name of its own", "Give the dose another name.")
        if not math.isfinite(total):
            raise InvalidValue(where, f"{total}", "finite numbers", "Leave out what is not known.")
        before, count = self._doses.get(name, (0.0, 0))
        self._doses[name] = before + total, count + numbers.numel()

    @property
    def doses(self) -> dict[str, ReportedValue]:
        """The mean of each dose so far."""
        return {name: total / count for name, (total, count) in self._doses.items() if count}

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

    @property
    def recipe(self) -> Recipe:
        """How the model was trained: what an edit takes its learning rate, timesteps and dropped captions from. No secret.

        Raises InvalidValue outside an edit.
        """
        if "recipe" not in self._parts:
            where, cure = f"mitigation {self._family}, data.recipe", "A trainer has it as `self.run.recipe`."
            raise InvalidValue(where, "none outside an edit", "an edit", cure)
        return self._parts["recipe"]  # type: ignore[return-value]  # the one part of this type

    @property
    def halves(self) -> tuple[Model, Model]:
        """The same training on one half of the images, and on the other; at sampling."""
        first, second = (self._hand_out(Needs.HALVES, name) for name in HALVES)
        return first, second  # type: ignore[return-value]  # models, as base_model

    def _hand_out(self, need: Needs, name: str) -> Examples:
        if need not in self._needs:
            where, cure = f"mitigation {self._family}, data.{name}", f"Write `needs = Needs.{need.name}` into the class."
            raise InvalidValue(where, f"needs {self._needs.names() or 'nothing'}", f"Needs.{need.name} declared", cure)
        if name not in self._parts:
            cure = "Run it on a testbed that has one."
            raise NotApplicable(f"mitigation {self._family}, data.{name}", "none on this testbed", f"a {name}", cure)
        return self._parts[name]  # type: ignore[return-value]  # Examples but for models
