"""Plugins: mitigations, testbeds, queries and reports, found by entry point and loaded guarded.

A plugin that fails to load is a `Broken` with distribution, entry point and cause; all others go on.
"""

from __future__ import annotations

import ast
import dataclasses
import hashlib
import importlib.util
import inspect
import json
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import Any, TypedDict

from . import provenance
from .errors import DamagedFile, InvalidValue, PluginFault, SolidmarkError, UnknownName, cleaned, cure_of, said, shortened
from .mitigation import Claim, Mitigation, Needs, trial
from .mitigation.composition import Composition, Part
from .mitigation.elsewhere import ELSEWHERE, TrainedElsewhere, elsewhere_part
from .mitigation.foreign import PIPELINE, ForeignPipeline, StockPipeline, pipeline_part
from .store import default_root
from .timeouts import at_most, end_copies, interrupts, is_fault

GROUPS = {
    "mitigation": "solidmark.mitigations",
    "testbed": "solidmark.testbeds",
    "query": "solidmark.queries",
    "distance": "solidmark.distances",
    "detector": "solidmark.detectors",
}
REPORTS = "solidmark.reports"
FORBIDDEN = {"nan", "null", "na", "n/a", "none.none", ""}
"""Names that spreadsheets and readers of tables take for a missing value."""
RESERVED = (PIPELINE, ELSEWHERE)
"""Names of rows that are made of a stranger's files."""
NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
"""Names that can be written on a command line and can be marks of pytest."""
PATIENCE = 120.0
"""Seconds that a plugin may take to be imported, and to list its settings."""
OWN = "solidmark"
"""The suite's own distribution: its names stay its own, and its classes alone are controls and reference curves."""
SETTINGS = ".toml"
"""How a file of settings of a testbed ends."""
MOST_SETTINGS = {True: 200, False: 50}
"""How many settings a family of the suite's own distribution may have, and one of another."""


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
        return cleaned(f"{self.distribution} {self.version}, entry point {self.name} = {self.value}")

    @property
    def own(self) -> bool:
        """Whether it belongs to the suite's own distribution."""
        return self.distribution == OWN


@dataclass(frozen=True)
class Broken:
    """A plugin that cannot be used, and why."""

    name: str
    origin: str
    reason: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "origin", cleaned(self.origin))
        object.__setattr__(self, "reason", cleaned(self.reason))


class Listed(TypedDict):
    """A plugin in a listing: `ok`, or `broken` with the reason."""

    name: str
    origin: str
    status: str
    reason: str | None


@lru_cache
def discover(group: str) -> tuple[Plugin, ...]:
    """All entry points of a group, sorted.

    A name that the suite's own distribution has, or that is RESERVED, is its own: a stranger's of that name is called
    `distribution:name`. Where strangers share a name they all are.
    """
    entries = {(entry.name, entry.value, *_distribution(entry)): entry for entry in metadata.entry_points(group=group)}
    names = Counter([*(name for name, *_ in entries), *RESERVED])
    plugins = [
        Plugin(
            shortened(name if names[name] == 1 or distribution == OWN else f"{distribution}:{name}"),
            value,
            distribution,
            version,
            entry,
        )
        for (name, value, distribution, version), entry in entries.items()
    ]
    return tuple(sorted(plugins, key=lambda plugin: (plugin.name, plugin.distribution)))


def _distribution(entry: metadata.EntryPoint) -> tuple[str, str]:
    try:
        return (str(entry.dist.metadata["Name"]), str(entry.dist.version)) if entry.dist else ("unknown", "0")
    except Exception:  # metadata that are damaged: the plugin may be as good as any
        return "unknown", "0"


@lru_cache
def load(plugin: Plugin) -> Any:
    """The object of the entry point, or `Broken`: whatever its import raises is caught and reported.

    A child process imports a stranger's module first (see `trial`).
    """
    fault = None if plugin.own else _trial(plugin)
    if fault is not None:
        return Broken(plugin.name, plugin.origin, fault)
    return _run_guarded(plugin, plugin.entry.load)


def _trial(plugin: Plugin) -> str | None:
    """Why a child process did not come back from loading this plugin; None where it did."""
    return _trials(plugin.distribution, plugin.version, plugin.value.partition(":")[0]).get(plugin.value)


@lru_cache
def _trials(distribution: str, version: str, module: str) -> dict[str, str]:
    """The same for all entry points that a distribution has in one module."""
    every = (plugin for group in (*GROUPS.values(), REPORTS) for plugin in discover(group))
    mine = {plugin.value for plugin in every if (plugin.distribution, plugin.version) == (distribution, version)}
    values = sorted(value for value in mine if value.partition(":")[0] == module)
    return trial.faults([distribution, version], values, PATIENCE, default_root() / "trials") if values else {}


def _run_guarded(plugin: Plugin, work: Callable[[], Any]) -> Any:
    """The result of a plugin's own code, or `Broken`: whatever it raises is caught and reported, and it may not hang.

    A KeyboardInterrupt is the user's where a signal came, and else the plugin's. A copy that it forked ends here.
    """
    pid = os.getpid()
    with interrupts():
        try:
            with at_most(PATIENCE):
                return work()
        except BaseException as cause:  # a plugin may even call sys.exit
            if isinstance(cause, KeyboardInterrupt) and not is_fault(cause):
                raise
            return Broken(plugin.name, plugin.origin, said(cause))
        finally:
            end_copies(pid)


def named(group: str, kind: str, name: str) -> Plugin:
    """The plugin of that name. Raises UnknownName with the names there are."""
    plugins = {plugin.name: plugin for plugin in discover(group)}
    if name not in plugins:
        twins = [full for full in plugins if full.endswith(f":{name}")]
        if twins:
            cure = f"Write {' or '.join(twins)}, or uninstall one of them."
            raise InvalidValue(kind, f"{name!r} from {len(twins)} distributions", "one distribution", cure)
        raise UnknownName.among(kind, name, plugins, "`solidmark plugins`")
    return plugins[name]


def family(name: str) -> list[Part] | Broken:
    """All settings of a family, weakest first; `Broken` where the class or its `settings` cannot be used."""
    plugin = named(GROUPS["mitigation"], "mitigation", name)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        return kind

    def work() -> list[Part]:
        most = MOST_SETTINGS[plugin.own]
        instances = list(islice(kind().settings(), most + 1))
        if len(instances) > most:
            raise ValueError(f"settings() gives more than {most}, the most that a family may have")
        wrong = [instance for instance in instances if not isinstance(instance, Mitigation)]
        if wrong or not instances:
            raise TypeError(f"settings() gives {wrong or 'nothing'}, expected instances of {kind.__name__}")
        return [_make_part(name, instance, plugin) for instance in instances]

    parts: list[Part] | Broken = _run_guarded(plugin, work)
    return parts


def published(name: str) -> Part | Broken:
    """The family at its published default: the class with its default fields."""
    plugin = named(GROUPS["mitigation"], "mitigation", name)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        return kind
    part: Part | Broken = _run_guarded(plugin, lambda: _make_part(name, kind(), plugin))
    return part


def _mitigation_class(plugin: Plugin) -> Any:
    """The class of a mitigation, or `Broken`."""
    if plugin.name.lower() in FORBIDDEN:
        return Broken(plugin.name, plugin.origin, "this name reads as a missing value in tables; choose another")
    if not NAME.fullmatch(plugin.name.rpartition(":")[2]):
        return Broken(
            plugin.name, plugin.origin, "a name has letters, digits, dots, - and _, and begins with a letter or digit"
        )
    kind = load(plugin)
    if isinstance(kind, Broken):
        return kind
    fault = _run_guarded(plugin, lambda: class_fault(kind))
    return Broken(plugin.name, plugin.origin, fault) if isinstance(fault, str) else fault or kind


def class_fault(kind: Any) -> str | None:
    """The reason why something is no class of a mitigation, or None."""
    if not isinstance(kind, type) or not issubclass(kind, Mitigation):
        return f"{kind!r} is not a subclass of solidmark.Mitigation"
    dataclass = getattr(kind, "__dataclass_params__", None)
    if dataclass is None or not dataclass.frozen:
        return f"{kind.__name__} is not a frozen dataclass; write @dataclass(frozen=True) above it"
    declared = [name for name, note in _annotations(kind).items() if "ClassVar" not in str(note)]
    if declared and "__dataclass_fields__" not in vars(kind):
        return f"{kind.__name__} has fields {', '.join(declared)} but no @dataclass(frozen=True) above it"
    if kind.parameters is not Mitigation.parameters:
        return f"{kind.__name__} overrides parameters(), by which records know it; give the method another name"
    words, booleans = ("reference", "stream", "form_of"), ("control", "reference_curve", "costly")
    expected = {"needs": Needs, "suited": tuple, **dict.fromkeys(words, str), **dict.fromkeys(booleans, bool)}
    wrong = [
        f"{name} = {getattr(kind, name)!r}" for name, type_ in expected.items() if not isinstance(getattr(kind, name), type_)
    ]
    if wrong:
        return (
            f"{kind.__name__} has {', '.join(wrong)}; expected needs of Needs, a reference and a stream in words, "
            "control, reference_curve and costly True or False, suited a tuple of names of testbeds"
        )
    if not (isinstance(kind.claims, tuple) and all(isinstance(claim, str | Claim) for claim in kind.claims)):
        return f"{kind.__name__} has claims of {type(kind.claims).__name__}; expected a tuple of Claim or sentences"
    return None


def _annotations(kind: type) -> Mapping[str, Any]:
    """A class's own annotations. From Python 3.14 on they are made when asked for, and may name what is not there."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format, get_annotations

        return get_annotations(kind, format=Format.STRING)
    return inspect.get_annotations(kind)


def _make_part(name: str, mitigation: Mitigation, plugin: Plugin) -> Part:
    source = f"{plugin.distribution} {plugin.version} {provenance.source_digest(type(mitigation).__module__)}"
    return Part(name, mitigation, source, plugin.own).checked()


def compose(expression: str) -> Composition:
    """`rna(count=8)+delayed-guidance`, or `file.py:Class(…)`: a composition with these parameters.

    Raises UnknownName for a family or parameter that does not exist, InvalidValue for a value that its
    class refuses, PluginFault for a plugin that does not load.
    """
    return Composition(tuple(_parse(text.strip()) for text in _split(expression)))


def remade(expression: str, parameters: Sequence[Mapping[str, Any]]) -> Composition | Broken:
    """The composition of an expression with the parameters that another process planned, by part.

    `Broken` where a part cannot be made so here: its import fails here alone, or it does not keep what it is given.
    """
    origin = f"planned by another process as {cleaned(repr([dict(values) for values in parameters]))}"
    stand_in = Plugin(expression, origin, "", "", metadata.EntryPoint(expression, origin, ""))

    def work() -> Composition:
        parts = tuple(_with(part, values) for part, values in zip(compose(expression).parts, parameters, strict=True))
        return Composition(parts)

    made: Composition | Broken = _run_guarded(stand_in, work)
    return dataclasses.replace(made, origin=origin) if isinstance(made, Broken) else made


def _with(part: Part, parameters: Mapping[str, Any]) -> Part:
    """The part with these parameters. Raises PluginFault where it then has others."""
    kind = type(part.mitigation)
    given = {one.name: tuples(parameters[one.name]) for one in dataclasses.fields(kind) if one.init}
    made = Part(part.family, kind(**given), part.source, part.own).checked()
    if made.parameters != {name: tuples(value) for name, value in parameters.items()}:
        expected = f"{dict(parameters)}, as another process has them"
        cure = "Let parameters follow from what is given to the class alone."
        raise PluginFault(f"mitigation {part.family}", f"parameters {dict(made.parameters)}", expected, cure)
    return made


def tuples(value: Any) -> Any:
    """Lists as tuples: JSON has lists alone."""
    return tuple(tuples(part) for part in value) if isinstance(value, list) else value


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


def _parse(text: str) -> Part:
    head, bracket, _ = text.partition("(")
    if bracket and not text.endswith(")"):
        raise InvalidValue("mitigation", repr(text), "name or name(parameter=value, ...)", "Close the parenthesis.")
    values = _parse_values(text[len(head) :], f"mitigation {head}")
    if ".py:" in head:
        return _load_file(head, values)
    if head.endswith(".py"):
        raise InvalidValue(
            f"mitigation {head}", "a file without a class", f"{head}:MyMethod", "Name its class after a colon."
        )
    if head == PIPELINE:
        kind = ForeignPipeline if {"pipeline_class", "call"} & values.keys() else StockPipeline
        return _instantiate(kind, values, head, pipeline_part)
    if head == ELSEWHERE:
        return _instantiate(TrainedElsewhere, values, head, elsewhere_part)
    plugin = named(GROUPS["mitigation"], "mitigation", head)
    kind = _mitigation_class(plugin)
    if isinstance(kind, Broken):
        raise PluginFault(f"mitigation {head}", kind.reason, "a plugin that loads", f"Repair or uninstall {kind.origin}.")
    return _instantiate(kind, values, head, lambda made: _make_part(head, made, plugin))


def _parse_values(text: str, head: str) -> dict[str, Any]:
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


def _instantiate(kind: type[Mitigation], values: dict[str, Any], head: str, part: Callable[[Mitigation], Part]) -> Part:
    """The part of an instance with these values. Raises UnknownName or InvalidValue where the class refuses them."""
    parameters = [field.name for field in dataclasses.fields(kind)]
    for name in values:
        if name not in parameters:
            raise UnknownName.among(f"parameter of mitigation {head}", name, parameters)
    try:
        return part(kind(**values))
    except SolidmarkError:
        raise
    except Exception as cause:
        found, cure = f"{values} ({said(cause)})", "Give other values."
        raise InvalidValue(f"mitigation {head}", found, "values that it takes", cure) from cause


def _load_file(head: str, values: dict[str, Any]) -> Part:
    """A mitigation from a file that is in no package: its source takes the place of the version."""
    file, _, name = head.rpartition(":")
    path = Path(file)
    if not path.is_file():
        raise InvalidValue(f"mitigation {head}", f"no file {file}", "a Python file", "Give its path.")
    source = path.read_bytes()
    unique = hashlib.sha256(source).hexdigest()[:8]  # two files of one name are two modules, and so are two versions of one
    spec = importlib.util.spec_from_file_location(f"solidmark_local_{path.stem}_{unique}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    try:
        spec.loader.exec_module(module)
    except Exception as cause:
        found, cure = said(cause), cure_of(cause)
        raise PluginFault(f"mitigation {head}", found, "a file that can be imported", cure) from cause
    kind: Any = getattr(module, name, None)
    fault = class_fault(kind)
    if fault is not None:
        raise PluginFault(f"mitigation {head}", fault, "the class of a mitigation", "Name such a class after the colon.")
    source_text = f"file {path.name} {provenance.code_digest(source)}"
    return _instantiate(kind, values, head, lambda made: Part(f"{path.stem}.{name}", made, source_text, own=False).checked())


def testbed_name(expression: str) -> str:
    """What a testbed is called without its parameters: `digits` of `digits(trained=256)`, `mine` of `folder/mine.toml`."""
    return Path(expression).stem if expression.endswith(SETTINGS) else expression.partition("(")[0]


def testbed(expression: str) -> tuple[str, Any]:
    """`digits`, `digits(trained=256)` or a file of settings, `mine.toml`: its label and the testbed.

    Such a file has a key `testbed`, the name of a testbed that takes the path as its `settings`. Raises as `compose` does.
    """
    if expression.endswith(SETTINGS):
        return _testbed_of_file(Path(expression))
    head, bracket, _ = expression.partition("(")
    if bracket and not expression.endswith(")"):
        raise InvalidValue("testbed", repr(expression), "name or name(parameter=value, ...)", "Close the parenthesis.")
    values = _parse_values(expression[len(head) :], f"testbed {head}")
    plain = instance(GROUPS["testbed"], "testbed", head)
    for name in values:
        if name not in (parameters := [field.name for field in dataclasses.fields(plain)]):
            raise UnknownName.among(f"parameter of testbed {head}", name, parameters)
    text = ", ".join(f"{name}={value!r}" for name, value in values.items())
    return (f"{head}({text})" if text else head), instance(GROUPS["testbed"], "testbed", head, **values)


def _testbed_of_file(path: Path) -> tuple[str, Any]:
    """Its label is the name of the file, since the place of it is no part of what was measured."""
    try:
        named = tomllib.loads(path.read_text(encoding="utf-8")).get("testbed")
    except OSError as cause:
        cure = "Correct the path."
        raise InvalidValue("--testbed", f"{path}: {cause.strerror or cause}", "a file of settings", cure) from cause
    except ValueError as cause:
        raise DamagedFile(str(path), f"{cause}", "TOML in UTF-8", "Correct the line.") from cause
    plain = instance(GROUPS["testbed"], f"{path.name}, testbed", str(named))
    if "settings" not in {field.name for field in dataclasses.fields(plain)}:
        cure = "Name a testbed that has such a field."
        raise InvalidValue(f"{path.name}, testbed", repr(named), "one that takes settings", cure)
    installed = {plugin.name for plugin in discover(GROUPS["testbed"])} - {named}
    if not NAME.fullmatch(path.stem) or path.stem in installed:
        expected = "letters, digits, dots, - and _, and .toml, and no name of another testbed"
        raise InvalidValue("--testbed", repr(path.name), expected, "Rename the file: its name becomes that of the testbed.")
    return path.stem, instance(GROUPS["testbed"], "testbed", str(named), settings=str(path))


def instance(group: str, kind: str, name: str, **values: Any) -> Any:
    """A testbed or query of that name, with these parameters. Raises as `compose` does."""
    plugin = named(group, kind, name)
    factory = load(plugin)
    if isinstance(factory, Broken):
        raise PluginFault(f"{kind} {name}", factory.reason, "a plugin that loads", f"Repair or uninstall {factory.origin}.")
    try:
        made = factory(**values)
        json.dumps(provenance.describe(made), allow_nan=False, ensure_ascii=False).encode()  # a key must hold it
        return made
    except SolidmarkError:
        raise
    except Exception as cause:
        cure = f"Repair or uninstall {plugin.origin}."
        raise PluginFault(f"{kind} {name}", said(cause), "a class without required fields, of plain ones", cure) from cause


def listing(group: str) -> list[Listed]:
    """Name, origin and status of every plugin of a group, each of which is loaded."""
    rows: list[Listed] = []
    for plugin in discover(group):
        loaded = _mitigation_class(plugin) if group == GROUPS["mitigation"] else load(plugin)
        fault = loaded.reason if isinstance(loaded, Broken) else None
        rows.append({"name": plugin.name, "origin": plugin.origin, "status": "broken" if fault else "ok", "reason": fault})
    return rows


def as_json(rows: Sequence[Mapping[str, object]]) -> str:
    """A listing as JSON, for scripts."""
    return json.dumps(rows, indent=1)
