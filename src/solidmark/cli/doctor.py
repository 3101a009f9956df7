"""The doctor: are this machine and installation fit to run the benchmark?"""

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
"""Free bytes that the store should have: several times what a run of the quick profile writes."""


@dataclass(frozen=True)
class Diagnosis:
    """What was examined, what it is like, and whether it is as it should be."""

    subject: str
    text: str
    sound: bool = True


def examine() -> list[Diagnosis]:
    """All diagnoses; an examination that raises is a diagnosis, too."""
    examinations: list[Callable[[], Diagnosis]] = [_python, _versions, _devices, _store, _locks, _entry_points, _plugins]
    diagnoses = []
    for examination in examinations:
        try:
            diagnoses.append(examination())
        except Exception as cause:  # the doctor reports whatever is wrong with the machine
            diagnoses.append(Diagnosis(examination.__name__.strip("_"), f"{type(cause).__name__}: {cause}", sound=False))
    return diagnoses


def _python() -> Diagnosis:
    return Diagnosis("python", f"{platform.python_version()} on {platform.system()}", sys.version_info >= (3, 11))


def _versions() -> Diagnosis:
    names = ("solidmark", "torch", "diffusers", "numpy", "scipy", "pytest", "pytest-xdist")
    return Diagnosis("packages", ", ".join(f"{name} {metadata.version(name)}" for name in names))


def _devices() -> Diagnosis:
    gpus, cores = devices.visible_gpus(), devices.usable_cores()
    device = devices.torch_device()
    cures = {"cpu": "install a torch build for this GPU", "cuda": "torch has a GPU that CUDA_VISIBLE_DEVICES or NVML lacks"}
    fits = (device == "cuda") == bool(gpus)
    text = f"{len(gpus)} GPUs visible, {cores} cores, torch on {device}; -n auto means {devices.workers(gpus, 1)} workers"
    left_out = "".join(f"; {note}" for note in devices.notes())
    return Diagnosis("devices", text + left_out + ("" if fits else f": {cures[device]}"), fits)


def _store() -> Diagnosis:
    root = default_root()
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=root):
        free = shutil.disk_usage(root).free
    return Diagnosis("store", f"{root}, {free / 1e9:.1f} GB free", free > ROOM)


def _locks() -> Diagnosis:
    """A second handle must not get a lock that the first handle holds."""
    absent = "do not hold on the store's file system: models may be trained twice, never wrongly"
    with tempfile.TemporaryDirectory(dir=default_root()) as folder:
        path = Path(folder) / "lock"
        try:
            with FileLock(path):
                FileLock(path).acquire(timeout=0)
        except Timeout:
            return Diagnosis("locks", "work on the store's file system")
        except (OSError, NotImplementedError) as cause:
            return Diagnosis("locks", f"{absent} ({cause})", sound=False)
    return Diagnosis("locks", absent, sound=False)


def _entry_points() -> Diagnosis:
    """A stale editable install knows fewer plugins than the checkout it points to."""
    project = Path(__file__).parents[3] / "pyproject.toml"
    if not project.exists():
        return Diagnosis("entry points", "of an installed package")
    import tomllib

    written = tomllib.loads(project.read_text(encoding="utf-8"))["project"]["entry-points"]
    groups = (*plugins.GROUPS.values(), plugins.REPORTS)
    missing = [
        name for group in groups for name in written.get(group, {}) if name not in {p.name for p in plugins.discover(group)}
    ]
    cure = "remove solidmark.egg-info from the checkout, if it is there, and run `pip install -e .` again"
    text = f"not installed: {', '.join(missing)}; {cure}" if missing else "as the checkout has them"
    return Diagnosis("entry points", text, not missing)


def _plugins() -> Diagnosis:
    groups = (*plugins.GROUPS.values(), plugins.REPORTS)
    rows = [row for group in groups for row in plugins.listing(group)]
    broken = [f"{row['name']} ({row['reason']})" for row in rows if row["status"] == "broken"]
    return Diagnosis("plugins", f"{len(rows)} found" + (f", broken: {'; '.join(broken)}" if broken else ""), not broken)
