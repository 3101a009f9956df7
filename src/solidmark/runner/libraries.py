"""What the suite calls of other people's code, by the imports in its own files: modules, and classes in them."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

IMPORT = re.compile(r"^[ \t]*(?:from ([\w.]+) import (?:\(([^)]*)\)|([^\n#(]+))|import ([^\n#]+))", re.MULTILINE)
"""An import at the top of a file or inside a function; a line of a docstring that looks like one does no harm."""


def imported(module: ModuleType) -> set[str]:
    """The full names of all that the file of a module imports; empty where it has no file."""
    try:
        text = Path(getattr(module, "__file__", None) or "").read_text(encoding="utf-8")
    except OSError:
        return set()
    found = set[str]()
    for origin, many, few, whole in IMPORT.findall(text):
        names = [part.partition(" as ")[0].strip() for part in (many or few or whole).split(",")]
        found |= {origin, *(f"{origin}.{name}" for name in names)} if origin else set(names)
    return found
