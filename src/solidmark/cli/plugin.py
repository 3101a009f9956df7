"""`solidmark plugins`: what is installed, and one plugin whole: what it does, its parameters, settings and claims."""

from __future__ import annotations

import argparse
import inspect
import re
from collections.abc import Mapping
from typing import Any

from tabulate import tabulate

from .. import plugins
from ..errors import PluginFault, UnknownName
from ..mitigation import Mitigation

KINDS = {**plugins.GROUPS, "report": plugins.REPORTS}
"""The kinds of plugins with their groups of entry points."""


def add(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one plugin, told whole, such as rna")
    parser.add_argument("--check", action="store_true", help="exit with 1 when one is broken")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.set_defaults(command=_plugins)


def _plugins(options: argparse.Namespace) -> int:
    if options.name is not None:
        print("\n\n".join(told(options.name)))
        return 0
    rows = [{"kind": kind, **row} for kind, group in KINDS.items() for row in plugins.listing(group)]
    if options.json:
        print(plugins.as_json(rows))
    else:
        facts = _facts()
        lines = [[row["kind"], row["name"], row["status"], *_short(row, facts)] for row in rows]
        print(tabulate(lines, headers=("kind", "name", "status", "acts at", "needs", "paper", "from", "reason")))
    broken = any(row["status"] == "broken" for row in rows)
    return 1 if broken and options.check else 0


def _facts() -> dict[str, type[Mitigation]]:
    """The class of each mitigation that can be loaded, by its name."""
    loaded = {one.name: plugins.load(one) for one in plugins.discover(plugins.GROUPS["mitigation"])}
    return {name: kind for name, kind in loaded.items() if isinstance(kind, type) and issubclass(kind, Mitigation)}


def _short(row: Mapping[str, Any], facts: Mapping[str, type[Mitigation]]) -> list[str | None]:
    """Stage, needs and arXiv number of a mitigation, and the distribution that it is from; why one is broken."""
    kind = facts.get(row["name"]) if row["kind"] == "mitigation" and row["status"] == "ok" else None
    source = row["origin"] if row["status"] == "broken" else row["origin"].partition(", entry point")[0]
    if kind is None:
        return [None, None, None, source, row["reason"]]
    stage = kind.stage.value if kind.stage is not None else None
    paper = re.search(r"arXiv \S*\d", kind.reference or "")
    return [stage, ", ".join(kind.needs.names()), paper and paper.group(), source, row["reason"]]


def told(name: str) -> list[str]:
    """Each plugin of that name, of whatever kind. Raises UnknownName, and PluginFault where it cannot be loaded."""
    found = [(kind, plugin) for kind, group in KINDS.items() for plugin in plugins.discover(group) if plugin.name == name]
    if not found:
        known = [plugin.name for group in KINDS.values() for plugin in plugins.discover(group)]
        raise UnknownName.among("solidmark plugins", name, dict.fromkeys(known), "`solidmark plugins`")
    return [_one(kind, plugin) for kind, plugin in found]


def _one(kind: str, plugin: plugins.Plugin) -> str:
    made = plugins.load(plugin)
    if isinstance(made, plugins.Broken):
        raise PluginFault(f"{kind} {plugin.name}", made.reason, "a plugin that loads", f"Repair or uninstall {made.origin}.")
    mitigates = isinstance(made, type) and issubclass(made, Mitigation)
    more = _mitigation(plugin.name, made, plugin.own) if mitigates else _fields(made)
    about = inspect.getdoc(made) or "It says nothing of itself."
    return "\n".join([f"{kind} {plugin.name}, from {plugin.origin}", "", about, *more])


def _fields(made: Any) -> list[str]:
    """Parameters of a dataclass with their defaults; nothing of what has none."""
    try:
        values = {one.name: one.default for one in inspect.signature(made).parameters.values()}
    except (TypeError, ValueError):
        return []
    stated = {name: value for name, value in values.items() if value is not inspect.Parameter.empty}
    return ["", *(f"{name} = {value!r}" for name, value in stated.items())] if isinstance(made, type) and stated else []


def _mitigation(name: str, kind: type[Mitigation], own: bool = False) -> list[str]:
    """Facts, settings and claims. A control of the suite's `own` is nobody's method and has no letter, as in records."""
    stage = kind.stage.value if kind.stage is not None else "none"
    facts = {
        "acts at": stage,
        "fidelity": "none: a control" if kind.control and own else kind.fidelity,
        "needs": ", ".join(kind.needs.names()) or "nothing but the model",
        "source": kind.reference or "none",
        "parameters": ", ".join(f"{key}={value!r}" for key, value in kind().parameters().items()) or "none",
    }
    family = plugins.family(name)
    settings = [] if isinstance(family, plugins.Broken) else [part.label for part in family]
    claims = [claim if isinstance(claim, str) else claim.text for claim in kind.claims]
    return [
        "",
        *(f"{title:<12}{value}" for title, value in facts.items()),
        *(f"{'settings' if index == 0 else '':<12}{label}" for index, label in enumerate(settings)),
        *(f"{'claims' if index == 0 else '':<12}{claim}" for index, claim in enumerate(claims)),
    ]
