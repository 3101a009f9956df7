"""Rules that a plugin's object keeps by itself, and the notebook in which its faults are collected."""

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
from ..errors import NotApplicable, PluginFault, SolidmarkError
from ..mitigation import Mitigation
from ..timeouts import TimeUp, at_most

PATIENCE = 120.0
"""Seconds that one step of a check may take."""


class Notebook:
    """Collects faults; a step that raises is one of them, and all others go on."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.notes: list[str] = []
        self.carried: list[str] = []
        self.refused: dict[str, str] = {}

    def require(self, holds: bool, fault: str) -> None:
        """Note the fault unless `holds`."""
        if not holds:
            self.faults.append(fault)

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Whatever is raised inside, but NotApplicable, is a fault of `what`."""
        try:
            with at_most(PATIENCE):
                yield
        except NotApplicable:
            raise
        except SolidmarkError as error:
            self.faults.append(f"{what}: {error}")
        except (Exception, SystemExit, TimeUp) as error:
            self.faults.append(f"{what}: {type(error).__name__}: {error}")

    @contextmanager
    def kind(self, kind: str) -> Iterator[None]:
        """A kind of model: refused where NotApplicable is raised inside, else carried."""
        before = len(self.faults)
        try:
            with self.step(f"model of kind {kind}"):
                yield
        except NotApplicable as reason:
            self.refused[kind] = str(reason)
        else:
            if len(self.faults) == before:
                self.carried.append(kind)


def public_methods_open_doors(kind: type, base: type, doors: Sequence[str]) -> list[str]:
    """A fault for each public method that is nobody's door, so that no one calls it: most often it is a misspelt one."""
    near = {name: get_close_matches(name, doors, n=1) for name in _strays(kind, base, doors)}
    cures = {name: f"did you mean {like[0]}?" if like else "begin its name with _" for name, like in near.items()}
    return [f"{kind.__name__}.{name} is public and opens no door: {cure}" for name, cure in cures.items()]


def methods_are_not_misspelt(kind: type, base: type, methods: Sequence[str]) -> list[str]:
    """A fault for each public method of a link that is nearly named like one that is asked; others are its own affair."""
    near = [(name, get_close_matches(name, methods, n=1)) for name in _strays(kind, base, methods)]
    return [f"{kind.__name__}.{name} is never asked: did you mean {like[0]}?" for name, like in near if like]


def _strays(kind: type, base: type, known: Sequence[str]) -> list[str]:
    """Public methods that a class adds to those of its base, and that are not known."""
    own = [cls for cls in kind.__mro__ if cls is not base and issubclass(cls, base)]
    every = {name: value for cls in own for name, value in vars(cls).items() if not name.startswith("_")}
    methods = (FunctionType, staticmethod, classmethod)
    return [name for name, value in every.items() if name not in known and isinstance(value, methods)]


def state(thing: Any) -> dict[str, Any]:
    """What an object holds, but for what `cached_property` remembers of it."""
    return {
        name: value
        for name, value in vars(thing).items()
        if not isinstance(getattr(type(thing), name, None), cached_property)
    }


def goes_through_json(thing: Any) -> None:
    """Parameters through JSON and back make an equal object; records, keys and the command line live by it."""
    place = f"{type(thing).__name__}"
    values = {f.name: getattr(thing, f.name) for f in fields(thing) if f.init}
    provenance.describe(thing)
    try:
        again = type(thing)(**{name: _tuples(value) for name, value in json.loads(_json(values)).items()})
    except (TypeError, ValueError) as cause:
        expected = "parameters of numbers, strings, booleans, None, or tuples of them"
        raise PluginFault(place, f"{values} ({cause})", expected, "Make them so.") from cause
    if again != thing or hash(again) != hash(thing):
        raise PluginFault(place, f"{again!r} after JSON", f"{thing!r}", "Let `==` compare the fields, as a dataclass does.")


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, allow_nan=False)


def _tuples(value: Any) -> Any:
    return tuple(_tuples(part) for part in value) if isinstance(value, list) else value


def strengths_are_a_curve(mitigation: Mitigation) -> None:
    """Instances with distinct parameters, the published default among them, each of which goes through JSON."""
    kind = type(mitigation)
    curve, place = list(mitigation.strengths()), f"{kind.__name__}.strengths"
    if not curve or not all(isinstance(one, kind) for one in curve):
        raise PluginFault(place, f"{curve}", f"instances of {kind.__name__}", "Return a list of them.")
    if kind() not in curve and mitigation not in curve:
        raise PluginFault(place, f"{curve}", f"the published default {kind()} among them", "Add it.")
    if len({json.dumps(one.parameters(), sort_keys=True) for one in curve}) < len(curve):
        raise PluginFault(place, f"{curve}", "distinct parameters", "Leave the copy out.")
    for one in curve:
        goes_through_json(one)
