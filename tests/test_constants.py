"""Numbers and lists of words that measurement and pages follow from: `constants.txt` says each a second time.

They are those of papers, of the documented rules and of the testbeds. Where one is meant to change, write the new line
(`python tests/test_constants.py` prints all) into the file, and say in CHANGELOG which results change.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

from solidmark import Mitigation, plugins
from solidmark.errors import shortened
from solidmark.plugins import GROUPS
from solidmark.testbed import Testbed

TABLE = Path(__file__).parent / "constants.txt"
ROOMS = (
    "cli collection data experiments findings keys leaderboard marks measurement metrics mitigation mitigations models "
    "pipelines plugins queries records reports runner sampling schema seeds split store testbed testing timeouts training"
).split()


def is_number(value: object) -> bool:
    """Whether it is a number or truth value, or made of such, of None and of short words."""
    return _has_number(value) and _is_plain(value)


def _parts(value: object) -> list[object] | None:
    """What a container holds; None for anything else."""
    if isinstance(value, dict):
        return [*value, *value.values()]
    return list(value) if isinstance(value, list | tuple) else None


def _has_number(value: object) -> bool:
    parts = _parts(value)
    return type(value) in (bool, int, float) if parts is None else any(map(_has_number, parts))


def _is_plain(value: object) -> bool:
    parts = _parts(value)
    if parts is not None:
        return all(map(_is_plain, parts))
    return value is None or type(value) in (bool, int, float) or (type(value) is str and len(value) < 40)


def is_list_of_words(value: object) -> bool:
    """Whether it is a list or table of a few short words, whose order or pairs something follows from."""
    parts = _parts(value)
    return parts is not None and 1 < len(parts) < 50 and _is_plain(value)


def numbers(values: dict[str, object]) -> str:
    """The numbers among them."""
    return " ".join(f"{name}={value!r}" for name, value in values.items() if is_number(value))


def defaults(part: object) -> dict[str, object]:
    """Default values of a function's parameters, or of a dataclass's fields."""
    if dataclasses.is_dataclass(part):
        told = [name for name, note in vars(part).get("__annotations__", {}).items() if "ClassVar" in str(note)]
        own = {name: vars(part)[name] for name in told if name in vars(part)}
        return {**{field.name: field.default for field in dataclasses.fields(part)}, **own}
    return {p.name: p.default for p in inspect.signature(part).parameters.values()} if inspect.isfunction(part) else {}


def of_module(module: ModuleType) -> list[str]:
    """Its constants, and the default numbers of its functions and dataclasses; `methods.txt` has those of mitigations."""
    tree = ast.parse(inspect.getsource(module)).body
    targets = [t for node in tree if isinstance(node, ast.Assign) for t in node.targets]
    names = [n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name) and n.id.isupper()]
    lines = [numbers({name: vars(module)[name]}) for name in names]
    lines += [
        f"{name}={value!r}" for name in names if is_list_of_words(value := vars(module)[name]) and not is_number(value)
    ]
    own = {name: part for name, part in vars(module).items() if getattr(part, "__module__", "") == module.__name__}
    own = {name: part for name, part in own.items() if not (isinstance(part, type) and issubclass(part, Mitigation))}
    lines += [f"{name}({found})" for name, part in own.items() if (found := numbers(defaults(part)))]
    return [f"{module.__name__.removeprefix('solidmark.')}: {line}" for line in lines if line]


def of_room(room: str) -> list[str]:
    """All lines of a room of the suite."""
    package = importlib.import_module(f"solidmark.{room}")
    found = pkgutil.iter_modules(getattr(package, "__path__", []), f"{package.__name__}.")
    names = [package.__name__, *sorted(one.name for one in found)]
    return [line for name in names for line in of_module(importlib.import_module(name))]


def changes(made: object, plain: object) -> dict[str, object]:
    """The fields in which an object differs from one of defaults, `recipe.batch` for a field of a field."""
    values: dict[str, object] = {}
    for field in dataclasses.fields(plain):  # type: ignore[arg-type]  # a dataclass
        value, usual = getattr(made, field.name), getattr(plain, field.name)
        if dataclasses.is_dataclass(value) and type(value) is type(usual):
            values |= {f"{field.name}.{name}": one for name, one in changes(value, usual).items()}
        elif value != usual:
            values[field.name] = value
    return values


def of_testbeds() -> list[str]:
    """What tells each testbed from a plain one."""
    made = {plugin.name: plugins.instance(GROUPS["testbed"], "testbed", plugin.name) for plugin in discovered("testbed")}
    texts = {name: {"version": one.version, **changes(one, Testbed())}.items() for name, one in made.items()}
    return [f"testbed {name}: {' '.join(f'{f}={shortened(repr(v))}' for f, v in pairs)}" for name, pairs in texts.items()]


def discovered(kind: str) -> tuple[plugins.Plugin, ...]:
    return plugins.discover(GROUPS[kind])


def found(part: str) -> list[str]:
    return of_testbeds() if part == "testbed" else of_room(part)


def written(part: str) -> list[str]:
    """The lines of the table that belong to a room, or to a kind of plugin."""
    return [line for line in TABLE.read_text().splitlines() if re.match(rf"{part}[:. ]", line)]


PARTS = [*ROOMS, "testbed"]


@pytest.mark.parametrize("part", PARTS)
def test_numbers_are_those_of_the_table(part: str) -> None:
    there = found(part)
    assert [line for line in written(part) if line not in there] == []


if __name__ == "__main__":
    print("\n".join(line for part in PARTS for line in found(part)))
