"""Rules for a plugin's object alone, without a model, and the log in which faults are collected."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from difflib import get_close_matches
from functools import cached_property
from types import FunctionType
from typing import Any

from .. import provenance
from ..errors import NotApplicable, PluginFault, SolidmarkError, cleaned, said
from ..mitigation import Mitigation
from ..mitigation.composition import Part
from ..timeouts import at_most, interrupts, is_fault

PATIENCE = 120.0
"""Seconds that one step of a check may take."""


class FaultLog:
    """Collects faults. A step that raises is one fault, and the steps after it still run."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.carried: list[str] = []
        self.refused: dict[str, str] = {}

    def require(self, holds: bool, fault: str) -> None:
        """Add the fault unless `holds`."""
        if not holds:
            self.faults.append(fault)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Any exception inside is a fault of the step `name`, except NotApplicable, which is raised."""
        with interrupts():
            try:
                with at_most(PATIENCE):
                    yield
            except (NotApplicable, GeneratorExit):
                raise
            except SolidmarkError as error:
                self.faults.append(cleaned(f"{name}: {error}"))
            except BaseException as error:  # a plugin may even call sys.exit
                if isinstance(error, KeyboardInterrupt) and not is_fault(error):
                    raise
                self.faults.append(f"{name}: {said(error)}")

    @contextmanager
    def kind(self, kind: str) -> Iterator[None]:
        """One kind of model. It is refused where NotApplicable is raised inside, and carried where no fault is added."""
        before = len(self.faults)
        try:
            with self.step(f"model of kind {kind}"):
                yield
        except NotApplicable as reason:
            self.refused[kind] = str(reason)
        else:
            if len(self.faults) == before:
                self.carried.append(kind)


def stray_methods(kind: type, base: type, hooks: Sequence[str]) -> list[str]:
    """A fault for each public method that overrides no hook. Nothing calls it, and most often its name is misspelt."""
    near = {name: get_close_matches(name, hooks, n=1) for name in _added_methods(kind, base, hooks)}
    cures = {name: f"did you mean {like[0]}?" if like else "begin its name with _" for name, like in near.items()}
    return [f"{kind.__name__}.{name} is public and overrides no hook: {cure}" for name, cure in cures.items()]


def misspelt_methods(kind: type, base: type, methods: Sequence[str]) -> list[str]:
    """A fault for each public method of a wrapper whose name is close to one that is called. Others are allowed."""
    near = [(name, get_close_matches(name, methods, n=1)) for name in _added_methods(kind, base, methods)]
    return [f"{kind.__name__}.{name} is never called: did you mean {like[0]}?" for name, like in near if like]


def _added_methods(kind: type, base: type, allowed: Sequence[str]) -> list[str]:
    """The public methods that a class and its parents below `base` add, without the allowed ones."""
    own = [cls for cls in kind.__mro__ if cls is not base and issubclass(cls, base)]
    every = {name: value for cls in own for name, value in vars(cls).items() if not name.startswith("_")}
    methods = (FunctionType, staticmethod, classmethod)
    return [name for name, value in every.items() if name not in allowed and isinstance(value, methods)]


def state(thing: Any) -> dict[str, Any]:
    """The attributes of an object, without the values that `cached_property` has stored."""
    return {
        name: value
        for name, value in vars(thing).items()
        if not isinstance(getattr(type(thing), name, None), cached_property)
    }


def check_json_round_trip(thing: Any) -> None:
    """Raise PluginFault unless parameters through JSON and back make an equal object.

    Records, keys and the command line depend on it.
    """
    where = f"{type(thing).__name__}"
    values = {f.name: getattr(thing, f.name) for f in fields(thing) if f.init}
    provenance.describe(thing)
    try:
        again = type(thing)(**{name: _tuples(value) for name, value in json.loads(_json(values)).items()})
    except (TypeError, ValueError) as cause:
        expected = "parameters of numbers, strings, booleans, None, or tuples of them"
        raise PluginFault(where, f"{values} ({cause})", expected, "Make them so.") from cause
    if again != thing or hash(again) != hash(thing):
        raise PluginFault(where, f"{again!r} after JSON", f"{thing!r}", "Let `==` compare the fields, as a dataclass does.")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, allow_nan=False)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def check_settings(mitigation: Mitigation) -> None:
    """Raise PluginFault unless the settings are distinct instances, the published default among them, fit for JSON."""
    kind = type(mitigation)
    settings, where = list(mitigation.settings()), f"{kind.__name__}.settings"
    if not settings or not all(isinstance(setting, kind) for setting in settings):
        raise PluginFault(where, f"{settings}", f"instances of {kind.__name__}", "Return a list of them.")
    if kind() not in settings and mitigation not in settings:
        raise PluginFault(where, f"{settings}", f"the published default {kind()} among them", "Add it.")
    for setting in settings:
        Part(kind.__name__, setting).checked()
        check_json_round_trip(setting)
    if len({json.dumps(setting.parameters(), sort_keys=True) for setting in settings}) < len(settings):
        raise PluginFault(where, f"{settings}", "distinct parameters", "Leave the copy out.")
    again = list(type(mitigation)().settings())
    if kind() != kind() or (mitigation == kind() and again != settings):
        raise PluginFault(where, f"{settings}, then {again}", "the same settings each time", "Draw none of them at random.")
