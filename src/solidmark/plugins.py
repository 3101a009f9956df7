"""Plugins: mitigations, testbeds, queries and reports, found by entry point and loaded guarded.

A plugin that fails to load is a `Broken` with distribution, entry point and cause; all others go on.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from . import provenance
from .errors import InvalidValue, PluginFault, SolidmarkError, UnknownName
from .mitigation import Mitigation, Needs
from .mitigation.composition import Composition, Part
from .timeouts import at_most

GROUPS = {"mitigation": "solidmark.mitigations", "testbed": "solidmark.testbeds", "query": "solidmark.queries"}
REPORTS = "solidmark.reports"
FORBIDDEN = {"nan", "null", "na", "n/a", "none.none", ""}
"""Names that spreadsheets and readers of tables take for a missing value."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
"""Names that can be written on a command line and are marks of pytest."""
PATIENCE = 120.0
"""Seconds that a plugin may take to be imported, and to make its strengths."""


@dataclass(frozen=True)
class Plugin:
    """An entry point, before anything is imported: `name` is unique in its group, `distribution` may be empty."""

    name: str
    value: str
    distribution: str
    version: str
    entry: metadata.EntryPoint = dataclasses.field(compare=False, repr=False)

    @property
    def origin(self) -> str:
        """Distribution, version and entry point, for messages and records."""
        return f"{self.distribution} {self.version}, entry point {self.name} = {self.value}"


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, and why."""

    name: str
    origin: str
    reason: str


@lru_cache
def discover(group: str) -> tuple[Plugin, ...]:
    """All entry points of a group, sorted; where two distributions share a name both are called `distribution:name`."""
    found = {(entry.name, entry.value, *_distribution(entry)): entry for entry in metadata.entry_points(group=group)}
    names = Counter(name for name, *_ in found)
    plugins = [
        Plugin(name if names[name] == 1 else f"{distribution}:{name}", value, distribution, version, entry)
        for (name, value, distribution, version), entry in found.items()
    ]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))


def _distribution(entry: metadata.EntryPoint) -> tuple[str, str]:
    return (entry.dist.metadata["Name"], entry.dist.version) if entry.dist else ("unknown", "0")


@lru_cache
def load(plugin: Plugin) -> Any:
    """What the entry point names, or `Broken`: whatever its import raises is caught and told."""
    return _tried(plugin, plugin.entry.load)


def _tried(plugin: Plugin, work: Callable[[], Any]) -> Any:
    """What a plugin's own code gives, or `Broken`: whatever it raises is caught and told, and it may not hang."""
    try:
        with at_most(PATIENCE):
            return work()
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as cause:  # a plugin may even call sys.exit
        return Broken(plugin.name, plugin.origin, f"{type(cause).__name__}: {cause}")


def named(group: str, kind: str, name: str) -> Plugin:
    """The plugin of that name. Raises UnknownName with the names there are."""
    plugins = {plugin.name: plugin for plugin in discover(group)}
    if name not in plugins:
        twins = [other for other in plugins if other.endswith(f":{name}")]
        if twins:
            cure = f"Write {' or '.join(twins)}, or uninstall one of them."
            raise InvalidValue(kind, f"{name!r} from {len(twins)} distributions", "one distribution", cure)
        raise UnknownName.among(kind, name, plugins)
    return plugins[name]


def family(name: str) -> list[Part] | Broken:
    """All strengths of a family, weakest first; `Broken` where the class or its `strengths` cannot be used."""
    plugin = named(GROUPS["mitigation"], "mitigation", name)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        return kind

    def work() -> list[Part]:
        instances = list(kind().strengths())
        wrong = [instance for instance in instances if not isinstance(instance, Mitigation)]
        if wrong or not instances:
            raise TypeError(f"strengths() gives {wrong or 'nothing'}, expected instances of {kind.__name__}")
        return [_part(name, instance, plugin) for instance in instances]

    parts: list[Part] | Broken = _tried(plugin, work)
    return parts


def published(name: str) -> Part | Broken:
    """The family at its published default: the class with its default fields."""
    plugin = named(GROUPS["mitigation"], "mitigation", name)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        return kind
    part: Part | Broken = _tried(plugin, lambda: _part(name, kind(), plugin))
    return part


def _mitigation_class(plugin: Plugin) -> Any:
    if plugin.name.lower() in FORBIDDEN:
        return Broken(plugin.name, plugin.origin, "this name reads as a missing value in tables; choose another")
    if not NAME.fullmatch(plugin.name.rpartition(":")[2]):
        return Broken(
            plugin.name, plugin.origin, "a name has letters, digits, dots, - and _, and begins with a letter or digit"
        )
    kind = load(plugin)
    if isinstance(kind, Broken):
        return kind
    fault = class_fault(kind)
    return kind if fault is None else Broken(plugin.name, plugin.origin, fault)


def class_fault(kind: Any) -> str | None:
    """Why something is not the class of a mitigation, or None."""
    if not isinstance(kind, type) or not issubclass(kind, Mitigation):
        return f"{kind!r} is not a subclass of solidmark.Mitigation"
    dataclass = getattr(kind, "__dataclass_params__", None)
    if dataclass is None or not dataclass.frozen:
        return f"{kind.__name__} is not a frozen dataclass; write @dataclass(frozen=True) above it"
    declared = [name for name, note in vars(kind).get("__annotations__", {}).items() if "ClassVar" not in str(note)]
    if declared and "__dataclass_fields__" not in vars(kind):
        return f"{kind.__name__} has fields {', '.join(declared)} but no @dataclass(frozen=True) above it"
    expected = {"needs": Needs, "reference": str, "control": bool}
    wrong = [
        f"{name} = {getattr(kind, name)!r}" for name, one in expected.items() if not isinstance(getattr(kind, name), one)
    ]
    if wrong:
        return (
            f"{kind.__name__} has {', '.join(wrong)}; expected needs of Needs, a reference in words, control True or False"
        )
    return None


def _part(name: str, mitigation: Mitigation, plugin: Plugin) -> Part:
    provenance.describe(mitigation)  # raises for what no record can hold
    return Part(
        name, mitigation, f"{plugin.distribution} {plugin.version} {provenance.source_digest(type(mitigation).__module__)}"
    )


def compose(expression: str) -> Composition:
    """`rna(share=0.5)+delayed-guidance`, or `file.py:Class(…)`: a composition with these parameters.

    Raises UnknownName for a family or parameter that does not exist, InvalidValue for a value that its
    class refuses, PluginFault for a plugin that does not load.
    """
    return Composition(tuple(_parsed(text.strip()) for text in _split(expression)))


def _split(expression: str) -> list[str]:
    """Cut at each `+` outside parentheses."""
    parts, depth = [""], 0
    for letter in expression:
        depth += (letter == "(") - (letter == ")")
        if letter == "+" and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _parsed(text: str) -> Part:
    head, bracket, _ = text.partition("(")
    if bracket and not text.endswith(")"):
        raise InvalidValue("mitigation", repr(text), "name or name(parameter=value, ...)", "Close the parenthesis.")
    values = _values(text[len(head) :], f"mitigation {head}")
    if ".py:" in head:
        return _from_file(head, values)
    plugin = named(GROUPS["mitigation"], "mitigation", head)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        raise PluginFault(f"mitigation {head}", kind.reason, "a plugin that loads", f"Mend or uninstall {kind.origin}.")
    return _part(head, _with(kind, values, head), plugin)


def _values(text: str, head: str) -> dict[str, Any]:
    if not text:
        return {}
    try:
        call = ast.parse(f"f{text}", mode="eval").body
        if not isinstance(call, ast.Call) or call.args:
            raise ValueError("write each parameter as name=value")
        return {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError) as cause:
        cure = "Write numbers, strings or tuples."
        raise InvalidValue(head, f"{text} ({cause})", "(parameter=value, ...)", cure) from cause


def _with(kind: type[Mitigation], values: dict[str, Any], head: str) -> Mitigation:
    known = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in known:
            raise UnknownName.among(f"parameter of mitigation {head}", name, known)
    try:
        made = kind(**values)
        provenance.describe(made)  # raises for what no record can hold
        return made
    except SolidmarkError:
        raise
    except Exception as cause:
        found, cure = f"{values} ({type(cause).__name__}: {cause})", "Give other values."
        raise InvalidValue(f"mitigation {head}", found, "values that it takes", cure) from cause


def _from_file(head: str, values: dict[str, Any]) -> Part:
    """A mitigation from a file that no one has packaged: its source stands in for the version."""
    place, _, name = head.rpartition(":")
    path = Path(place)
    if not path.is_file():
        raise InvalidValue(f"mitigation {head}", f"no file {place}", "a Python file", "Give its path.")
    source = path.read_bytes()
    unique = hashlib.sha256(source).hexdigest()[:8]  # two files of one name are two modules, and so are two versions of one
    spec = importlib.util.spec_from_file_location(f"solidmark_local_{path.stem}_{unique}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except Exception as cause:
        found, cure = f"{type(cause).__name__}: {cause}", "See the cause above."
        raise PluginFault(f"mitigation {head}", found, "a file that can be imported", cure) from cause
    kind: Any = getattr(module, name, None)
    fault = class_fault(kind)
    if fault is not None:
        raise PluginFault(f"mitigation {head}", fault, "the class of a mitigation", "Name such a class after the colon.")
    return Part(f"{path.stem}.{name}", _with(kind, values, head), f"file {path.name} {provenance.code_digest(source)}")


def testbed(expression: str) -> tuple[str, Any]:
    """`digits` or `digits(trained=256)`: its label and the testbed. Raises as `compose` does."""
    head, bracket, _ = expression.partition("(")
    if bracket and not expression.endswith(")"):
        raise InvalidValue("testbed", repr(expression), "name or name(parameter=value, ...)", "Close the parenthesis.")
    values = _values(expression[len(head) :], f"testbed {head}")
    plain = instance(GROUPS["testbed"], "testbed", head)
    for name in values:
        if name not in (known := [field.name for field in dataclasses.fields(plain)]):
            raise UnknownName.among(f"parameter of testbed {head}", name, known)
    told = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return (f"{head}({told})" if told else head), instance(GROUPS["testbed"], "testbed", head, **values)


def instance(group: str, kind: str, name: str, **values: Any) -> Any:
    """A testbed or query of that name, with these parameters. Raises as `compose` does."""
    plugin = named(group, kind, name)
    found = load(plugin)
    if isinstance(found, Broken):
        raise PluginFault(f"{kind} {name}", found.reason, "a plugin that loads", f"Mend or uninstall {found.origin}.")
    try:
        return found(**values)
    except SolidmarkError:
        raise
    except Exception as cause:
        cure = f"Mend or uninstall {plugin.origin}."
        raise PluginFault(
            f"{kind} {name}", f"{type(cause).__name__}: {cause}", "a class without required fields", cure
        ) from cause


def listing(group: str) -> list[dict[str, Any]]:
    """Name, origin and status of every plugin of a group, loaded to see whether it can be."""
    rows = []
    for plugin in discover(group):
        found = _mitigation_class(plugin) if group == GROUPS["mitigation"] else load(plugin)
        fault = found.reason if isinstance(found, Broken) else None
        rows.append({"name": plugin.name, "origin": plugin.origin, "status": "broken" if fault else "ok", "reason": fault})
    return rows


def as_json(rows: list[dict[str, Any]]) -> str:
    """A listing as JSON, for scripts."""
    return json.dumps(rows, indent=1)
