"""A new plugin: a package that works as it is, written from templates; its author edits one file."""

from __future__ import annotations

import importlib.util
import json
import keyword
import re
import sys
from importlib import metadata
from pathlib import Path

from .. import plugins
from ..errors import InvalidValue
from .written import written

NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", re.ASCII)

STATED = {"repository", "source", "source code", "sourcecode"}
"""What a package calls the address of its repository among its project URLs."""

ADDRESS = re.compile(r"https://[\w.-]+(:\d+)?(/[\w.~-]+)+", re.ASCII)
"""An address without a name or password in it."""


def module_name(name: str) -> str:
    """The name of a package's module: `quiet_words` for `quiet-words`."""
    return name.replace("-", "_")


def class_name(name: str) -> str:
    """The name of a package's class: `QuietWords` for `quiet-words`."""
    return "".join(word.capitalize() for word in name.split("-"))


def write(name: str, into: Path) -> list[Path]:
    """Write `into/name` with a mitigation, a test and a workflow for GitHub: the paths, the one to edit second.

    Raises InvalidValue for a name that cannot be a package's, that is taken, or whose folder exists or cannot be written.
    """
    _check(name, into)
    module = module_name(name)
    files = {
        "pyproject.toml": "pyproject.toml.j2",
        f"{module}.py": "module.py.j2",
        f"tests/test_{module}.py": "test_module.py.j2",
        ".github/workflows/solidmark.yml": "workflow.yml.j2",
    }
    paths, address = [], repository()
    for target, template in files.items():
        path = into / name / target
        text = written(template, name=name, module=module, method=class_name(name), repository=address)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        except OSError as cause:
            cure = "Go to a folder that can be written."
            raise InvalidValue(f"solidmark new {name}", f"{cause}", "a new folder", cure) from cause
        paths.append(path)
    return paths


def repository() -> str:
    """Where solidmark is from: the repository that the installed package states, or that pip has fetched it from.

    Empty where neither is known, as in a checkout of a version that states none.
    """
    installed = metadata.distribution("solidmark")
    urls = [line.partition(", ") for line in installed.metadata.get_all("Project-URL") or []]
    addresses = [address for label, _, address in urls if label.casefold() in STATED]
    fetched = json.loads(installed.read_text("direct_url.json") or "{}")
    addresses += [fetched["url"]] if "vcs_info" in fetched else []
    return next(filter(ADDRESS.fullmatch, addresses), "")


def _check(name: str, into: Path) -> None:
    where, module = f"solidmark new {name}", module_name(name)
    if not NAME.fullmatch(name) or keyword.iskeyword(module) or name in plugins.FORBIDDEN:
        likely = "-".join(re.findall(r"[a-z0-9]+", re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name).lower())).lstrip(
            "0123456789-"
        )
        cure = f"Write {likely}." if NAME.fullmatch(likely) and likely != name else "Choose another name."
        raise InvalidValue(where, repr(name), "lower-case words of letters and digits with - between them", cure)
    if (into / name).exists():
        raise InvalidValue(where, f"{into / name} exists", "a new folder", "Choose another name, or remove the folder.")
    family = {plugin.name: plugin for plugin in plugins.discover(plugins.GROUPS["mitigation"])}.get(name)
    if family is not None:
        raise InvalidValue(where, f"a mitigation of that name, from {family.origin}", "a new name", "Choose another name.")
    if module in sys.modules or importlib.util.find_spec(module) is not None or _distributed(name):
        raise InvalidValue(where, f"{module}, which is installed", "a name that nothing has", "Choose another name.")


def _distributed(name: str) -> bool:
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True
