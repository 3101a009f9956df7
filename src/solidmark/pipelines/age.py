"""Pipelines of another age: classes that today's diffusers refuses, and mitigations that it silently leaves out."""

from __future__ import annotations

import ast
import importlib
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .quiet import quiet

MOVED = (
    ("diffusers.utils", "randn_tensor", "diffusers.utils.torch_utils", "randn_tensor"),
    ("diffusers.utils", "is_compiled_module", "diffusers.utils.torch_utils", "is_compiled_module"),
    ("transformers", "CLIPFeatureExtractor", "transformers", "CLIPImageProcessor"),
)
"""Module and name of 2023, module and name of today."""


@contextmanager
def old_imports() -> Iterator[None]:
    """Inside, files of 2023 can be imported: names that have moved are where they were."""
    added: list[tuple[Any, str]] = []
    with quiet():
        for old, name, new, today in MOVED:
            value = getattr(importlib.import_module(new), today)
            home = importlib.import_module(old)  # afterwards: transformers may replace itself while it looks a name up
            if not hasattr(home, name):
                setattr(home, name, value)
                added.append((home, name))
    try:
        yield
    finally:
        for home, name in added:
            delattr(home, name)


def modern(cls: type) -> type:
    """The class with an `__init__` that today's diffusers accepts: it takes every component that its stock class has.

    A class of 2023 lacks `image_encoder`, which `from_pretrained` then misses. A class that lacks none is given back as
    it is. Import the file of such a class inside `old_imports`.
    """
    stock = stock_class(cls)
    own, today = inspect.signature(cls.__init__).parameters, inspect.signature(stock.__init__).parameters  # type: ignore[misc]  # those of two classes, not of instances
    lacking = {name: one for name, one in today.items() if name not in own and one.default is not one.empty}
    if not lacking or any(one.kind is one.VAR_KEYWORD for one in own.values()):
        return cls

    def __init__(self: Any, *given: Any, **named: Any) -> None:
        later = {name: named.pop(name, one.default) for name, one in lacking.items()}
        cls.__init__(self, *given, **named)  # type: ignore[misc]  # this very class, whose __init__ is known
        self.register_modules(**later)

    __init__.__signature__ = inspect.Signature([*own.values(), *lacking.values()])  # type: ignore[attr-defined]  # what diffusers reads
    body = {"__init__": __init__, "__module__": cls.__module__, "__doc__": cls.__doc__, "__qualname__": cls.__qualname__}
    return type(cls.__name__, (cls,), body)


def stock_class(cls: type) -> type:
    """The nearest class of diffusers that a pipeline's class is, or is made from; `object` where there is none."""
    return next((one for one in cls.__mro__ if one.__module__.split(".")[0] == "diffusers"), object)


def unused_overrides(cls: type) -> list[str]:
    """Methods of the stock class that a stranger's class overrides and that its `__call__` never reaches.

    Such an override has no effect: diffusers of today calls `encode_prompt` where it called `_encode_prompt`. What is
    called is read from the sources; nothing is run.
    """
    stock = stock_class(cls)
    if stock in (object, cls):
        return []
    own = cls.__mro__[: cls.__mro__.index(stock)]
    overridden = {name for one in own for name, value in vars(one).items() if inspect.isfunction(value)}
    general = next((one for one in stock.__mro__ if one.__name__ == "DiffusionPipeline"), object)
    candidates = {name for name in overridden if hasattr(stock, name) and not hasattr(general, name)}
    if not candidates:
        return []
    reached = _reached(cls)
    return sorted(candidates - reached)


def _reached(cls: type) -> set[str]:
    """The names of all methods that `__call__` calls on self or super, directly or through one another."""
    reached, waiting = set[str](), ["__call__"]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += sorted(called for one in cls.__mro__ for called in _called(vars(one).get(name)))
    return reached


def _called(method: Any) -> set[str]:
    """Attributes of self and of super() in the source of a method; none where there is no source."""
    method = getattr(method, "fget", method)
    method = getattr(method, "__func__", method)
    if not inspect.isfunction(method):
        return set()
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(method))))
    except (OSError, SyntaxError):
        return set()
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and _is_self(node.value)}


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "super"
    return isinstance(node, ast.Name) and node.id == "self"
