"""The seal: what all rows of a process share, compared before and after each case, so that who changes it is named.

A plugin runs in the process of the benchmark. What it replaces there (a function of the suite, of torch or NumPy, the judge,
the images of a testbed), and the threads and processes that it leaves behind, would act on all later rows.
"""

from __future__ import annotations

import builtins
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from operator import is_
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import torch

from .libraries import imported

OWN = "solidmark"
"""The package in which nothing may change."""

LIBRARIES = ("torch.nn.modules", "torch.optim", "diffusers.models", "diffusers.schedulers")
"""Packages of other people, of which all modules and classes that are loaded are watched, whatever the suite imports."""

CHANGING = ("torch", "diffusers", "transformers")
"""Packages that replace functions of their own by others."""

MODULES = frozenset(
    "builtins hashlib json math os random torch torch.nn.functional torch.random numpy numpy.linalg numpy.random".split()
)
"""Single modules of other people that are watched, beside those that the suite imports."""

CLASSES = (torch.Tensor, torch.Generator, torch.nn.Module)

PASSING = frozenset(
    "__builtins__ __warningregistry__ __annotations__ __cached__ __doc__ __slotnames__ _abc_impl _showwarnmsg_impl "
    "showwarning excepthook unraisablehook breakpointhook".split()
)
"""Names that Python itself changes, and pytest round each test."""

MISSING = object()


@dataclass(frozen=True)
class Breach:
    """Something that changed: its name and what it is now, and how it is put back."""

    what: str
    put_back: Callable[[], object]


class Seal:
    """What is shared, as it was when this first saw it."""

    def __init__(self) -> None:
        self._modules: set[str] = set()
        self._looked: set[str] = set()
        self._called: set[str] = set(MODULES)
        self._holders: list[tuple[str, Any, dict[str, Any]]] = []
        self._functions: dict[FunctionType, tuple[str, tuple[Any, ...]]] = {}
        self._contents: list[tuple[str, Any, Any]] = []
        self._seen: set[int] = set()
        self._hooked = {name: get() for name, (get, _) in HOOKS.items()}
        for kind in CLASSES:
            self._watch_class(kind)

    def extend(self, *shared: object) -> None:
        """Watch modules that were imported meanwhile, and further objects: their attributes, and those of their classes."""
        new = {name: module for name, module in list(sys.modules.items()) if name not in self._looked}
        self._looked |= new.keys()
        for name, module in new.items():
            if _inside(name, OWN) and isinstance(module, ModuleType):
                self._called |= imported(module)
        for name in [*filter(_is_watched, new), *sorted(self._called & sys.modules.keys())]:
            module = sys.modules[name]
            if name not in self._modules and isinstance(module, ModuleType):
                self._modules.add(name)
                self._watch_module(name, module)
        for name in sorted(self._called - self._modules):
            self._watch_called(name)
        for one in shared:
            for kind in type(one).__mro__:
                self._watch_class(kind)
            self._watch_contents(f"{type(one).__qualname__} of this run", one)

    def breaches(self) -> list[Breach]:
        """What has changed since."""
        return [*self._exchanged(), *self._members(), *self._codes(), *self._insides(), *self._hooks()]

    def _watch_module(self, name: str, module: ModuleType) -> None:
        members = dict(vars(module))
        self._holders.append((name, module, members))
        for label, value in members.items():
            self._watch_function(f"{name}.{label}", value, name)
            if isinstance(value, type) and value.__module__ == name:
                self._watch_class(value)
            elif label not in PASSING if _inside(name, OWN) else label.startswith("_global_"):
                self._watch_contents(f"{name}.{label}", value)

    def _watch_called(self, name: str) -> None:
        """Watch a class that the suite imports by name from a module that is loaded."""
        origin, _, label = name.rpartition(".")
        kind = getattr(sys.modules.get(origin), label, None) if origin in self._modules else None
        if isinstance(kind, type):
            self._watch_class(kind)

    def _watch_class(self, kind: type) -> None:
        if id(kind) in self._seen or kind in (object, Exception):
            return
        self._seen.add(id(kind))
        name = f"{kind.__module__}.{kind.__qualname__}"
        members = dict(vars(kind))
        self._holders.append((name, kind, members))
        for label, value in members.items():
            self._watch_function(f"{name}.{label}", value, kind.__module__)

    def _watch_function(self, name: str, value: Any, module: str) -> None:
        """The code of a function, also inside a decorator; of a library's, who holds it is watched alone."""
        for function in _unwrapped(value) if not _any_inside(module) else ():
            if function not in self._functions:
                self._functions[function] = name, _parts(function)

    def _watch_contents(self, name: str, value: Any) -> None:
        copied = _contents(value)
        if copied is not None and id(value) not in self._seen:
            self._seen.add(id(value))
            self._contents.append((name, value, copied))

    def _exchanged(self) -> Iterator[Breach]:
        """Modules in whose place another one stands; one that a library loads anew has its file."""
        for name, module in ((name, holder) for name, holder, _ in self._holders if name in self._modules):
            now = sys.modules.get(name)
            file = getattr(module, "__file__", None)
            if now is not module and (now is None or file is None or getattr(now, "__file__", None) != file):
                yield Breach(f"module {name}{_described(MISSING if now is None else now)}", partial(_load, name, module))

    def _members(self) -> Iterator[Breach]:
        for name, holder, before in self._holders:
            now = vars(holder)
            if len(now) == len(before) and all(map(is_, now.values(), before.values())):
                continue
            for label in {**before, **now}:
                old, new = before.get(label, MISSING), now.get(label, MISSING)
                if label not in PASSING and not _same(old, new) and not _innocent(name, holder, label, old, new):
                    yield Breach(f"{name}.{label}{_described(new)}", partial(_set, holder, label, old))

    def _codes(self) -> Iterator[Breach]:
        for function, (name, before) in self._functions.items():
            same = function.__code__ is before[0] and function.__defaults__ is before[1]
            if same and len(before) == 2 and function.__kwdefaults__ is None:  # nearly all, so that this is quick
                continue
            if not all(map(_same, _parts(function), before)):
                yield Breach(f"the code of {name}", partial(_set_parts, function, before))

    def _insides(self) -> Iterator[Breach]:
        for name, value, before in self._contents:
            now = _contents(value)
            if now is None or len(now) != len(before) or not all(map(_same, _flat(now), _flat(before))):
                yield Breach(f"what is in {name}", partial(_refill, value, before))

    def _hooks(self) -> Iterator[Breach]:
        for name, (get, put) in HOOKS.items():
            now, before = get(), self._hooked[name]
            if now != before:
                yield Breach(f"{name}{_described(now)}", partial(put, before))


def _inside(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


HOOKS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "the trace function": (sys.gettrace, sys.settrace),
    "the profile function": (sys.getprofile, sys.setprofile),
    **{
        f"the handler of {number.name}": (partial(signal.getsignal, number), partial(signal.signal, number))
        for number in signal.Signals
    },
}
"""What Python calls by itself, later: how it is read and set."""


def _is_watched(name: str) -> bool:
    return _inside(name, OWN) or _any_inside(name)


def _any_inside(name: str) -> bool:
    return name.startswith(LIBRARIES) and any(_inside(name, package) for package in LIBRARIES)


def _same(one: Any, other: Any) -> bool:
    """Whether two values are one object, or plain and equal."""
    return one is other or (type(one) is type(other) and isinstance(one, int | float | str | bytes | bool) and one == other)


def _innocent(name: str, holder: Any, label: str, old: Any, new: Any) -> bool:
    """Whether a change is what imports and libraries do by themselves."""
    if isinstance(new, ModuleType):  # a submodule, at its import
        return old is MISSING or isinstance(old, ModuleType)
    if _inside(name, OWN):
        return old is MISSING and label in getattr(holder, "__all__", ())  # loaded at its first use
    before = _covered(holder, label) if old is MISSING else old
    if not callable(before):
        return True
    root = _root(name) if name.startswith(CHANGING) else None
    return root is not None and any(_file(function).is_relative_to(root) for function in _unwrapped(new))


def _covered(holder: Any, label: str) -> Any:
    """What a new name stands before: that of a parent class, or a builtin."""
    if isinstance(holder, type):
        return next((vars(base)[label] for base in holder.__mro__[1:] if label in vars(base)), None)
    return getattr(builtins, label, None)


def _root(name: str) -> Path | None:
    """The folder of the library that a module or class belongs to."""
    file = getattr(sys.modules.get(name.partition(".")[0]), "__file__", None)
    return Path(file).parent if file else None


def _file(function: FunctionType) -> Path:
    return Path(function.__code__.co_filename)


def _unwrapped(value: Any) -> Iterator[FunctionType]:
    """The functions in a value: itself, and what a decorator, a property or a cache has inside."""
    for _ in range(9):
        if isinstance(value, FunctionType):
            yield value
        names = ("__wrapped__", "__func__", "fget", "func")
        inner = next((found for name in names if (found := _attribute(value, name)) is not None), None)
        if inner is None:
            return
        value = inner


def _attribute(value: Any, name: str) -> Any:
    """An attribute of something like a function; None of anything else, which might do more than answer."""
    if isinstance(value, type | ModuleType):
        return None
    kind = type(value).__module__
    return getattr(value, name, None) if kind in ("builtins", "functools") else None


def _parts(function: FunctionType) -> tuple[Any, ...]:
    """What decides what a function does."""
    cells = function.__closure__ or ()
    keywords = function.__kwdefaults__ or {}
    return function.__code__, function.__defaults__, *keywords.values(), *(_cell(cell) for cell in cells)


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # an empty one
        return None


def _set_parts(function: FunctionType, before: tuple[Any, ...]) -> None:
    function.__code__, function.__defaults__ = before[:2]
    names = list(function.__kwdefaults__ or {})
    if names:
        function.__kwdefaults__ = dict(zip(names, before[2:], strict=False))
    for cell, value in zip(function.__closure__ or (), before[2 + len(names) :], strict=False):
        cell.cell_contents = value


def _contents(value: Any) -> Any:
    """A copy of a container, or of the attributes of an object of ours; None of anything else."""
    if isinstance(value, dict | list | set):
        return value.copy()
    if not isinstance(value, type) and _inside(type(value).__module__, OWN):
        return dict(getattr(value, "__dict__", {}))
    return None


def _flat(value: Any) -> Iterator[Any]:
    """Keys and values of a container."""
    return chain(value.keys(), value.values()) if isinstance(value, Mapping) else iter(value)


def _refill(value: Any, before: Any) -> None:
    target = value if isinstance(value, dict | list | set) else vars(value)
    target.clear()
    target.extend(before) if isinstance(target, list) else target.update(before)


def _load(name: str, module: ModuleType) -> None:
    sys.modules[name] = module


def _set(holder: Any, label: str, old: Any) -> None:
    if old is MISSING:
        delattr(holder, label)
    else:
        setattr(holder, label, old)


def _described(value: Any) -> str:
    if value is MISSING:
        return " was removed"
    name = getattr(value, "__qualname__", None)
    return f" became {getattr(value, '__module__', '')}.{name}" if isinstance(name, str) else " was changed"
