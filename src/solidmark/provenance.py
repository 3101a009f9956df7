"""Where a result comes from: code, packages, machine, arguments. What is needed to explain a record years later."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

ENVIRONMENT = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "CUBLAS_WORKSPACE_CONFIG")
"""The environment variables that are recorded; no others, since they may hold secrets."""


def code(folder: Path | None = None) -> dict[str, Any]:
    """Commit and dirty flag of the checkout that holds `folder` (this file's by default); null outside one."""
    folder = folder or Path(__file__).parent
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "dirty": None, "reason": "not run from a git checkout"}
    changed = _git(folder, "diff", "HEAD") or ""
    new = _git(folder, "ls-files", "--others", "--exclude-standard") or ""
    dirty = bool(changed or new)
    sha = hashlib.sha256((changed + new).encode()).hexdigest() if dirty else None
    return {"commit": commit.strip(), "dirty": dirty, "diff_sha256": sha}


def _git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout


def packages() -> dict[str, str]:
    """Every installed distribution with its version."""
    return {
        str(d.metadata["Name"]): d.version for d in sorted(metadata.distributions(), key=lambda d: str(d.metadata["Name"]))
    }


def machine() -> dict[str, Any]:
    """Python, system, processor and number of cores; no host name, user or address."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def environment_key(device: str) -> str:
    """What must be equal for two rows to be compared pair by pair: device kind, torch version, precision."""
    return f"{device.split(':')[0]}-torch{metadata.version('torch').split('+')[0]}-float32"


def run(arguments: list[str], plugins: list[str]) -> dict[str, Any]:
    """The provenance of a whole run, for `run.json`. Arguments are recorded without the folders they name."""
    return {
        "arguments": [Path(arguments[0]).name, *arguments[1:]] if arguments else [],
        "code": code(),
        "packages": packages(),
        "machine": machine(),
        "environment": {name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        "plugins": plugins,
    }


def describe(thing: Any) -> Any:
    """A frozen dataclass as plain JSON: its class and all its fields, nested ones too. Raises TypeError for others."""
    if is_dataclass(thing) and not isinstance(thing, type):
        kind = type(thing)
        return {
            "class": f"{kind.__module__}.{kind.__qualname__}",
            **{f.name: describe(getattr(thing, f.name)) for f in fields(thing)},
        }
    if isinstance(thing, list | tuple):
        return [describe(part) for part in thing]
    if isinstance(thing, dict):
        return {str(name): describe(part) for name, part in thing.items()}
    if thing is None or isinstance(thing, str | int | float | bool):
        return thing
    raise TypeError(f"{type(thing).__name__} has no one description; use frozen dataclasses, numbers and strings")


TRAINING = ("seeds", "keys", "marks", "data", "mitigation", "composition", "doors", "models", "training", "testbed")
EDITING = (*TRAINING, "denoising")
ASKING = (*TRAINING, "sampling", "memorizer", "denoising", "queries/__init__", "answers")
"""Modules whose source decides what a trained model is, an edited one, and what it answers."""


@cache
def core_digest(modules: tuple[str, ...]) -> str:
    """sha256 of these modules of the core, so that other code never takes what they made.

    Taken once a process, so that an edit during a run does not file what the old code makes under the new one's name.
    """
    folder = Path(__file__).parent
    return hashlib.sha256(b"".join((folder / f"{module}.py").read_bytes() for module in modules)).hexdigest()


def source_digest(module: str) -> str:
    """sha256 of a plugin module's source and of the modules beside it that it imports, theirs too.

    So yesterday's weights are not taken for today's code. Empty for a module without a file.
    """
    sources: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = getattr(sys.modules.get(name), "__file__", None)
        if path and name not in sources:
            sources[name] = Path(path).read_bytes()
            waiting += _beside(name, sources[name]) if path.endswith(".py") else []
    return hashlib.sha256(b"".join(sources[name] for name in sorted(sources))).hexdigest() if sources else ""


def _beside(module: str, source: bytes) -> list[str]:
    """Names that a module imports from its own package, by `from .name` or `from . import name`."""
    package = module.rpartition(".")[0]
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.level == 1 or (node.module or "").startswith(f"{package}.")):
            start = (node.module or "").removeprefix(f"{package}.")
            found += [f"{package}.{start}"] if start else [f"{package}.{alias.name}" for alias in node.names]
    return found
