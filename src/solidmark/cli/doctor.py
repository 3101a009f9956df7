"""The doctor: is this machine and installation fit to run the benchmark?"""

from __future__ import annotations

import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from .. import plugins
from ..runner import devices
from ..store import default_root

ROOM = 500e6
"""Bytes that a run of the quick profile may want in the store, several times over."""


@dataclass(frozen=True)
class Finding:
    """One thing looked at, what was found, and whether it is as it should be."""

    what: str
    found: str
    fine: bool = True


def examine() -> list[Finding]:
    """Everything, each examination guarded: one that fails is a finding and not the end."""
    examinations: list[Callable[[], Finding]] = [_python, _versions, _devices, _store, _locks, _entry_points, _plugins]
    findings = []
    for examination in examinations:
        try:
            findings.append(examination())
        except Exception as cause:  # whatever is wrong with the machine is what the doctor is asked for
            findings.append(Finding(examination.__name__.strip("_"), f"{type(cause).__name__}: {cause}", fine=False))
    return findings


def _python() -> Finding:
    return Finding("python", f"{platform.python_version()} on {platform.system()}", sys.version_info >= (3, 11))


def _versions() -> Finding:
    names = ("solidmark", "torch", "diffusers", "numpy", "scipy", "pytest", "pytest-xdist")
    return Finding("packages", ", ".join(f"{name} {metadata.version(name)}" for name in names))


def _devices() -> Finding:
    gpus, cores = devices.visible_gpus(), devices.usable_cores()
    device = devices.torch_device()
    fits = (device == "cuda") == bool(gpus)
    told = f"{len(gpus)} GPUs visible, {cores} cores, torch on {device}; -n auto means {devices.workers(gpus, 1)} workers"
    return Finding("devices", told if fits else f"{told}: install a torch build for this GPU", fits)


def _store() -> Finding:
    root = default_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=root):
        free = shutil.disk_usage(root).free
    return Finding("store", f"{root}, {free / 1e9:.1f} GB free", free > ROOM)


def _locks() -> Finding:
    """A second handle must not get a lock that the first one holds."""
    with tempfile.TemporaryDirectory(dir=default_root()) as folder:
        path = Path(folder) / "lock"
        with FileLock(path):
            try:
                FileLock(path, is_singleton=False).acquire(timeout=0)
            except Timeout:
                return Finding("locks", "work on the store's file system")
    return Finding("locks", "do not hold on the store's file system: models may be trained twice, never wrongly", fine=False)


def _entry_points() -> Finding:
    """A stale editable install knows fewer plugins than the checkout it points to."""
    project = Path(__file__).parents[3] / "pyproject.toml"
    if not project.exists():
        return Finding("entry points", "of an installed package")
    import tomllib

    written = tomllib.loads(project.read_text())["project"]["entry-points"]
    groups = (*plugins.GROUPS.values(), plugins.REPORTS)
    missing = [
        name for group in groups for name in written.get(group, {}) if name not in {p.name for p in plugins.discover(group)}
    ]
    cure = "remove solidmark.egg-info from the checkout, if it is there, and run `pip install -e .` again"
    found = f"not installed: {', '.join(missing)}; {cure}" if missing else "as the checkout has them"
    return Finding("entry points", found, not missing)


def _plugins() -> Finding:
    groups = (*plugins.GROUPS.values(), plugins.REPORTS)
    rows = [row for group in groups for row in plugins.listing(group)]
    broken = [f"{row['name']} ({row['reason']})" for row in rows if row["status"] == "broken"]
    return Finding("plugins", f"{len(rows)} found" + (f", broken: {'; '.join(broken)}" if broken else ""), not broken)
