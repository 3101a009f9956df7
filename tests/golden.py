"""Golden files: texts by name that change on purpose alone, each a section of a file beside the tests.

A test file that has one writes it anew when it is run as a script; what changed is read before it is committed.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Golden:
    """A golden file, and the test file that writes it."""

    path: Path
    script: str

    @classmethod
    def beside(cls, script: str, name: str) -> Golden:
        """The file of that name in the folder of a test file, which is given as `__file__`."""
        return cls(Path(script).with_name(name), Path(script).name)

    @cached_property
    def sections(self) -> dict[str, str]:
        """The sections as they were written; none where there is no file yet."""
        parts = self.path.read_text(encoding="utf-8").split("\f")[1:] if self.path.exists() else []
        return {name: words.rstrip("\n") for name, _, words in (part.partition("\n") for part in parts)}

    @property
    def names(self) -> list[str]:
        """The names of the sections, for parameters of a test."""
        return list(self.sections)

    def check_names(self, found: dict[str, str]) -> None:
        """Every section is there, in its order, and no other."""
        assert list(found) == self.names, self.cure

    def check(self, name: str, found: str) -> None:
        """A section says what it said; else the lines that differ are told."""
        was, now = (tidy(text).splitlines() for text in (self.sections[name], found))
        changed = list(difflib.unified_diff(was, now, self.path.name, "today", lineterm="", n=1))
        assert not changed, "\n".join([f"{name}: {self.cure}", *changed])

    @property
    def cure(self) -> str:
        """How to write the file anew."""
        return f"if that is meant, run `python tests/{self.script}`, and read what changed in {self.path.name}"

    def write(self, sections: dict[str, str]) -> None:
        """Write the file anew."""
        self.path.write_text("".join(f"\f{name}\n{tidy(words)}\n" for name, words in sections.items()), encoding="utf-8")


def tidy(text: str) -> str:
    """A text without spaces at the ends of its lines, which no editor keeps."""
    return "\n".join(line.rstrip() for line in text.splitlines()).rstrip("\n")
