"""Where a result comes from: code, packages, machine, arguments. What is needed to explain a record years later.

Names that results depend on are made here, and nowhere else:

- A configuration is known by the name of its class and its fields (`describe`). The module is no part of it, so that
  a file can be moved without a new `case_id` or a new training.
- Code is known by what it computes (`code_digest`): its syntax tree without docstrings. A comment, a docstring or a
  line break changes nothing; a formula does.
- Libraries that compute are known by their versions (`libraries`).
- A random stream is known by the name of its class, or by the `stream` that the class states (`stream_name`).
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .schema.run import CodeBlock, MachineBlock, RunProvenance

ENVIRONMENT = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
"""The environment variables that are recorded; no others, since they may hold secrets."""


def code(folder: Path | None = None) -> CodeBlock:
    """Commit and dirty flag of the checkout that holds `folder` (this file's by default); null with a reason outside one.

    A checkout that only surrounds an installed package, as that of a project with its `.venv`, is not its source.
    """
    folder = folder or Path(__file__).parent
    commit, reason = _git(folder, "rev-parse", "HEAD")
    own, _ = _git(folder, "ls-files", "--", ".")
    if commit is None or not own:
        return {"commit": None, "dirty": None, "reason": _reason(reason)}
    changed, new = (_git(folder, *words)[0] or b"" for words in (DIFF, NEW))
    dirty = bool(changed or new)
    sha = hashlib.sha256(changed + new).hexdigest() if dirty else None
    return {"commit": commit.decode().strip(), "dirty": dirty, "diff_sha256": sha}


DIFF, NEW = ("diff", "HEAD"), ("ls-files", "--others", "--exclude-standard")


def _reason(told: str) -> str:
    """Why there is no commit: git's own words, unless they only say that there is no repository."""
    return told if told and "not a git repository" not in told else "not run from a git checkout"


def _git(folder: Path, *words: str) -> tuple[bytes | None, str]:
    """What git prints, as bytes, since a file of a checkout may hold any; None, and why, where it refuses."""
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["git", "-C", str(folder), *words]
    try:
        return subprocess.run(command, capture_output=True, timeout=20, check=True, env=environment).stdout, ""
    except subprocess.CalledProcessError as cause:
        return None, next(iter(cause.stderr.decode(errors="replace").splitlines()), "").removeprefix("fatal: ")
    except (OSError, subprocess.SubprocessError) as cause:
        return None, f"git did not answer: {type(cause).__name__}"


def packages() -> dict[str, str]:
    """Every installed distribution with its version."""
    return {
        str(d.metadata["Name"]): d.version for d in sorted(metadata.distributions(), key=lambda d: str(d.metadata["Name"]))
    }


def machine() -> MachineBlock:
    """Python, system, processor and number of cores; no host name, user or address."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def environment_key(device: str, precision: str = "float32") -> str:
    """What must be equal for two rows to be compared pair by pair: device kind, torch version, precision."""
    return f"{device.split(':')[0]}-torch{metadata.version('torch').split('+')[0]}-{precision}"


def run(arguments: list[str], plugins: list[str]) -> RunProvenance:
    """The provenance of a whole run, for `run.json`. Arguments are recorded without the folders they name."""
    return {
        "arguments": [Path(arguments[0]).name, *arguments[1:]] if arguments else [],
        "code": code(),
        "packages": packages(),
        "machine": machine(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "plugins": plugins,
    }


ADDED: Mapping[str, object] = {"added": True}
"""Metadata of a field that was added to a class of ours: at its default, names of what was made before stay as they are."""
DIGESTED: Mapping[str, object] = {"digested": True}
"""Metadata of a field whose value is long: the sha256 of it stands in its place."""


def describe(thing: Any) -> Any:
    """A frozen dataclass as plain JSON: its class and all its fields, nested ones too. Raises TypeError for others.

    The class is named without its module. What tells two classes of one name apart stands beside it in every key: the
    name and source of the plugin, and the digest of the images that a mark was painted on. A field that is ADDED is
    left out at its default, and of one that is DIGESTED the digest is told.
    """
    if is_dataclass(thing) and not isinstance(thing, type):
        told = [f for f in fields(thing) if not (f.metadata.get("added") and getattr(thing, f.name) == f.default)]
        return {"class": type(thing).__qualname__, **{f.name: _field(thing, f) for f in told}}
    if isinstance(thing, list | tuple):
        return [describe(part) for part in thing]
    if isinstance(thing, dict):
        return {str(name): describe(part) for name, part in thing.items()}
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    raise TypeError(f"{type(thing).__name__} has no one description; use frozen dataclasses, numbers and strings")


def _field(thing: Any, field: Field[Any]) -> Any:
    value = describe(getattr(thing, field.name))
    if not field.metadata.get("digested"):
        return value
    return f"sha256 {hashlib.sha256(json.dumps(value).encode()).hexdigest()}"


CORE = Path(__file__).parent

TRAINING = ("seeds", "keys", "marks", "data", "models", "pipelines", "mitigation", "training", "split", "testbed")
ASKING = (*TRAINING, "sampling", "queries/__init__", "measurement/answers", "measurement/responses")
"""Modules and packages whose source decides what a trained or an edited model is, and what it answers."""


LIBRARIES = ("diffusers", "numpy", "torch")
"""Libraries that decide what a network is and what it computes."""


def libraries() -> dict[str, str]:
    """The versions of LIBRARIES, without the build."""
    return {name: metadata.version(name).split("+")[0] for name in LIBRARIES}


def core_digest(modules: tuple[str, ...]) -> str:
    """sha256 of what these modules of the core compute, so that other code never takes what they made."""
    files = [path for module in modules for path in core_files(module)]
    return _digest([_code(str(path), path) for path in files])


def core_files(module: str) -> list[Path]:
    """The file of a module of the core, or all those of a package."""
    index = CORE / module
    return sorted(index.rglob("*.py")) if index.is_dir() else [index.with_suffix(".py")]


def source_digest(module: str) -> str:
    """sha256 of what a plugin's module computes, and the modules beside it that it imports, theirs too.

    So yesterday's weights are not taken for today's code. Empty for a module without a file.
    """
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and name not in found:
            found[name] = _code(name, Path(path))
            waiting += _beside(name, found[name]) if path.endswith(".py") else []
    return _digest([found[name] for name in sorted(found)]) if found else ""


def code_digest(source: bytes) -> str:
    """sha256 of what Python source computes: its syntax tree, in which comments, docstrings and layout have no part."""
    return _digest([normalized(source)])


@cache
def _code(module: str, path: Path) -> str:
    """The normalized source of a module, its bytes where it is no Python.

    Read once a process, so that an edit during a run does not file what the old code makes under the new one's name.
    """
    source = path.read_bytes()
    return normalized(source) if path.suffix == ".py" else hashlib.sha256(source).hexdigest()


def normalized(source: bytes) -> str:
    """Python source written anew from its syntax tree, without docstrings and comments."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            node.body = [part for part in node.body if not _is_text(part)] or [ast.Pass()]
    return ast.unparse(tree)


def _is_text(statement: ast.stmt) -> bool:
    """Whether a statement is nothing but a string: a docstring, or the note under an attribute."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _digest(texts: list[str]) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()


@cache
def _beside(module: str, source: str) -> list[str]:
    """Names that a module imports from its own package, by `from .name` or `from . import name`; found once a process."""
    package = module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").startswith(f"{package}.")):
            start = (node.module or "").removeprefix(f"{package}.")
            found += [f"{package}.{start}"] if start else [f"{package}.{alias.name}" for alias in node.names]
    return found
