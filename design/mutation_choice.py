"""Which tests does a fault meet? Those that run its statement, of the test files that name its module most first."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

from mutation_map import Map, lines_of, test_files

PUBLISHED = "tests/test_published.py tests/test_ranges.py tests/test_constants.py".split()
"""Tests that go through all plugins and constants without naming them."""


def words_of(path: Path) -> set[str]:
    """The names by which tests may know a module: its path as an import, its functions and classes, its plugins."""
    tree = ast.parse(path.read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    plugins = re.findall(rf"^([\w-]+) = \"[\w.]+\.{path.stem}:", Path("pyproject.toml").read_text(), re.MULTILINE)
    return {name for name in names if len(name) > 3 and not name.startswith("__")} | set(plugins) | {path.stem}


def tests_of(path: Path, scope: str, contents: dict[Path, Counter]) -> list[str]:
    """Test files, those first that name most of a module and of the function in question."""
    mine, inner, room = words_of(path), set(scope.split(".")), path.parent.name
    scores = {}
    for test, words in contents.items():
        named = sum(min(words[word], 4) for word in mine) + 6 * sum(words[word] > 0 for word in inner)
        known = 15 * (path.stem in test.stem) + 6 * words[f"import:{path.stem}"] + 8 * (room in test.stem)
        scores[test] = named + known + 2 * (words[f"import:{room}"] > 0)
    ordered = sorted(scores, key=lambda test: -scores[test])
    named = [str(test) for test in ordered if scores[test] > 0]
    always = PUBLISHED if path.parts[0] == "mitigations" else PUBLISHED[2:] if path.parts[0] == "src" and not scope else []
    first = 0 if scope.endswith(("__post_init__", "settings")) or scope.split(".")[-1][:1].isupper() or not scope else 2
    return [*named[:first], *always, *(test for test in named[first:] if test not in always)]


def contents_of_tests() -> dict[Path, Counter]:
    """The words of every test file; `import:x` for a module x that it imports."""
    contents = {}
    for path in test_files():
        text = path.read_text()
        words = Counter(re.findall(r"[\w-]+", text))
        for line in re.findall(r"^(?:from|import) .*", text, re.MULTILINE):
            words.update(f"import:{word}" for word in re.findall(r"\w+", line))
        contents[path] = words
    return contents


def runs(each: dict, known: Map, contents: dict[Path, Counter], budget: float) -> list[list[str]]:
    """What is given to pytest, run by run: tests of the files that name most of the module, others, and what is near.

    The first two run the statement. The third are the other tests of these files: what one test runs and keeps for all,
    another may judge. At most `budget` seconds of tests, or two tests, the shortest of each first. Where no test runs the
    statement, or it lies in no function, they are the tests that run anything of the module, and those of all plugins.
    """
    path = Path(each["file"])
    named = tests_of(path, each["scope"], contents)
    lines = lines_of(path.read_text(), each["line"], each["scope"])
    tests, near = known.tests(each["file"], lines), set(named[:4])
    if not tests:
        files = {*named[:3], *(test for test in named if test in PUBLISHED)}
        tests = [
            *known.tests(each["file"], range(10**6)),
            *(test for test in known.seconds if test.partition("::")[0] in files),
        ]
    groups: tuple[list[str], ...] = (known.new(near), [], [])
    spent, run_it = 0.0, set(tests)
    beside = {test for test in known.seconds if test.partition("::")[0] in near}
    ordered = sorted((_worth(test, run_it, near, known.seconds[test]), test) for test in run_it | beside)
    for number, ((aside, _), test) in enumerate(ordered):
        spent += known.seconds[test]
        early = test.partition("::")[0] in near and spent <= budget / 3
        if spent <= budget or number < 2:
            groups[2 if aside else 0 if early else 1].append(test)
    return [group for group in groups if group]


def _worth(test: str, run_it: set[str], near: set[str], seconds: float) -> tuple[int, float]:
    """What sorts tests: those that run the statement first, the shortest first, one elsewhere as if it took three times."""
    return int(test not in run_it), seconds * (1 if test.partition("::")[0] in near else 3)
