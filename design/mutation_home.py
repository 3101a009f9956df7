"""Where `solidmark` is imported from: a copy of the checkout, whatever is installed, here and in processes of tests.

    point(Path("/tmp/copy"))       # before anything of solidmark is imported

Each worker of `mutation.py` has a copy of the tree that it may change. An installed solidmark gives the entry points alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import traceback
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import NoReturn

FOLDERS = ("benchmark", "fixtures", "mitigations", "reports")
"""Folders of the checkout that are packages of solidmark."""
LEFT_OUT = (
    ".git",
    ".venv",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
    ".mutation",
    "build",
    "runs",
    "shared",
)
STARTED = "import sys; sys.path.append({here!r}); import mutation_home; mutation_home.point({root!r})\n"
"""What a process of a test reads first, so that it sees the faults as well."""


class Finder:
    """Finds solidmark and its folders in one tree."""

    def __init__(self, root: Path) -> None:
        self.places = {"solidmark": root / "src" / "solidmark"} | {f"solidmark.{name}": root / name for name in FOLDERS}

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """The spec of a package of the tree; None for all others."""
        if name not in self.places:
            return None
        place = self.places[name]
        return spec_from_file_location(name, place / "__init__.py", submodule_search_locations=[str(place)])


def point(root: Path | str) -> None:
    """Import solidmark from `root` in this process and in all that it starts."""
    root = Path(root).resolve()
    sys.meta_path[:] = [Finder(root), *(one for one in sys.meta_path if not isinstance(one, Finder))]
    first = root / ".mutation"
    first.mkdir(exist_ok=True)
    if not (first / "sitecustomize.py").exists():
        (first / "sitecustomize.py").write_text(STARTED.format(here=str(Path(__file__).parent.resolve()), root=str(root)))
    others = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each and ".mutation" not in each]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(first), *others])


def copied(into: Path) -> Path:
    """A copy of the checkout, with the bytecode that is there."""
    return Path(shutil.copytree(Path.cwd(), into, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True))


def guarded(act: Callable[[], object]) -> NoReturn:
    """Do it in a fork, which ends here whatever happens; what is wrong is printed."""
    status = 1
    try:
        act()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
