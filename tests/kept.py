"""Files of cases, each a name and lines of words and numbers, that are compared with what is found now."""

from __future__ import annotations

from pathlib import Path

import pytest


def blocks(path: Path, name: str) -> dict[str, list[str]]:
    """The cases of a file whose first word is this name."""
    every = (block.splitlines() for block in path.read_text(encoding="utf-8").strip().split("\n\n"))
    return {lines[0]: [line.strip() for line in lines[1:]] for lines in every if lines[0].split()[0] == name}


def write(path: Path, cases: dict[str, list[str]]) -> None:
    """Write all cases."""
    text = "\n\n".join("\n".join([name, *(f"  {line}".rstrip() for line in lines)]) for name, lines in cases.items())
    path.write_text(f"{text}\n", encoding="utf-8")


def parted(line: str) -> list[object]:
    """Words and numbers of a line."""
    parts: list[object] = []
    for word in line.replace("=", " = ").split():
        try:
            parts.append(float(word))
        except ValueError:
            parts.append(word)
    return parts


def alike(old: list[str], new: list[str]) -> list[tuple[str, str]]:
    """The lines that differ: in a word, or in a number by more than rounding, here and on another processor."""

    def same(one: str, other: str) -> bool:
        a, b = parted(one), parted(other)
        near = (x == pytest.approx(y, rel=5e-3, abs=2e-6) if isinstance(y, float) else x == y for x, y in zip(a, b))
        return len(a) == len(b) and all(near)

    missing = [(f"{len(old)} lines", f"{len(new)} lines")] if len(old) != len(new) else []
    return missing + [(one, other) for one, other in zip(old, new) if not same(one, other)]
