"""Which tests run which lines? Made before a draw is run, so that a fault meets the tests that reach it, and no others.

    python -m pip install coverage
    python design/mutation_map.py map.jsonl -j 16     # one line a test file; goes on where it was stopped
    python design/mutation_map.py map.jsonl "reports|scores"     # only files of such names

Each test file runs in a fork under coverage.py, `-j` of them at a time. What only a process that a test starts reaches is
not seen. Started again it traces the test files that are new or changed. The sources are kept beside the lines, so that a
map is read after edits of them as well: lines that stand as they stood keep their tests.
"""

from __future__ import annotations

import argparse
import ast
import fcntl
import hashlib
import io
import json
import os
import re
import time
from collections import defaultdict
from contextlib import redirect_stderr, redirect_stdout, suppress
from difflib import SequenceMatcher
from functools import cache
from pathlib import Path

from mutation_home import guarded, point

ROOTS = ("src/solidmark", "mitigations", "reports")
LIBRARIES = "torch numpy scipy.stats pandas pyarrow sklearn.datasets hypothesis diffusers pytest jinja2 statsmodels.api"
SLOW = "hostile|benchmark|careless|neighbours|test_new|packaging|readme|kills|alone|house"
"""Test files that start processes of their own, and are too slow to run for each fault: what is caught is a lower bound."""
LONG = "queries|one_run|scores|results|_rows|unlearning|worst_case|weights|self_reports|measure|training|latent|plan|exports"
"""Test files that take longest, and are begun first."""


def test_files() -> list[Path]:
    """The test files that are run for faults."""
    return [path for path in sorted(Path("tests").glob("test_*.py")) if not re.search(SLOW, path.stem)]


def traced(test: Path) -> dict:
    """The seconds of each test of a file, and for each line of each source the places of the tests that run it."""
    import coverage
    import pytest

    cover = coverage.Coverage(
        data_file=None,
        config_file=False,
        concurrency=["greenlet", "thread"],
        source=[str(Path(root).resolve()) for root in ROOTS],
    )
    seconds: dict[str, float] = defaultdict(float)
    failed: set[str] = set()

    class Contexts:
        @pytest.hookimpl(hookwrapper=True, tryfirst=True)
        def pytest_runtest_protocol(self, item):
            began = time.process_time()
            cover.switch_context(item.nodeid)
            yield
            seconds[item.nodeid] += time.process_time() - began

        def pytest_runtest_logreport(self, report):
            if report.failed:
                failed.add(report.nodeid)

        def pytest_collectreport(self, report):
            if report.failed:
                failed.add(report.nodeid)

    cover.start()
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        words = [str(test), "-q", "-n", "0", "-p", "no:cacheprovider", "-W", "error"]
        words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the libraries that are imported already
        pytest.main(words, plugins=[Contexts()])
    cover.stop()
    data, lines, places = cover.get_data(), {}, {name: place for place, name in enumerate(seconds)}
    for file in data.measured_files():
        by_line = {line: [places[name] for name in names if name] for line, names in data.contexts_by_lineno(file).items()}
        lines[os.path.relpath(file)] = {line: found for line, found in by_line.items() if found}
    spent = {name: round(each, 3) for name, each in seconds.items()}
    return {"test": str(test), "seconds": spent, "failed": sorted(failed), "lines": lines}


class Map:
    """For each line of a source the tests that run it, how many seconds each test takes, and the files that were traced.

    A test is one of its parameters: where a line belongs to one plugin, the tests of the others need not be run.
    """

    def __init__(self, path: Path) -> None:
        self.seconds: dict[str, float] = {}
        self.by_line: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        texts, rows = read(path)
        rows = {test: row for test, row in rows.items() if Path(test).exists()}
        self.files = set(rows)
        self.failed = {name for row in rows.values() for name in row.get("failed", ())}
        for row in rows.values():
            self.seconds |= row["seconds"]
            every = list(row["seconds"])
            for file, lines in row["lines"].items():
                now = lines_now(texts[row["sources"]].get(file, ""), file)
                for line, found in lines.items():
                    if int(line) in now:
                        self.by_line[file][now[int(line)]] += [every[place] for place in found]

    def new(self, files: set[str]) -> list[str]:
        """The tests of these files that were written after the map."""
        found = re.compile(r"^def (test_\w+)", re.MULTILINE)
        every = [f"{file}::{name}" for file in sorted(files & self.files) for name in found.findall(Path(file).read_text())]
        old = {name.partition("[")[0] for name in self.seconds}
        return [test for test in every if test not in old]

    def tests(self, file: str, lines: range) -> list[str]:
        """The tests that run one of the lines, the shortest first.

        Where a test file has a fixture for all of its tests, what the first one runs may decide any of them: all are given.
        """
        names = {name for line in lines for name in self.by_line[file].get(line, ())}
        shared = {test for test in {name.partition("::")[0] for name in names} if shares(test)}
        names |= {name for name in self.seconds if name.partition("::")[0] in shared}
        return sorted(names, key=lambda name: (self.seconds[name], name))


def lines_of(source: str, line: int, scope: str) -> range:
    """The lines of the statement round a line; of a compound one its head. Outside of functions none: imports run those."""
    tree, best, inside = ast.parse(source), range(0), False
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.lineno <= line <= node.end_lineno and node.name in scope.split("."):
            inside = inside or node.body[0].lineno <= line
        if isinstance(node, ast.stmt) and node.lineno <= line <= node.end_lineno:
            body = getattr(node, "body", None)
            end = body[0].lineno - 1 if isinstance(body, list) else node.end_lineno
            head = range(node.lineno, max(end, node.lineno) + 1)
            if line in head and (not best or len(head) <= len(best)):
                best = head
    return best if inside else range(0)


@cache
def shares(test: str) -> bool:
    """Whether a test file has a fixture that is made once for several tests."""
    return re.search(r"scope=\"(module|session)\"", Path(test).read_text()) is not None


def read(path: Path) -> tuple[dict[str, dict[str, str]], dict[str, dict]]:
    """The texts of the sources by their digest, and of each test file its last line."""
    texts: dict[str, dict[str, str]] = {}
    rows: dict[str, dict] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        row = json.loads(line)
        if "texts" in row:
            texts[row["sources"]] = row["texts"]
        else:
            rows[row["test"]] = row
    return texts, rows


@cache
def lines_now(before: str, file: str) -> dict[int, int]:
    """Where the lines of a file stand today, by where they stood; both count from 1."""
    old, new = before.splitlines(), Path(file).read_text().splitlines() if Path(file).exists() else []
    blocks = SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    return {block.a + place + 1: block.b + place + 1 for block in blocks for place in range(block.size)}


def digest(text: str) -> str:
    """A short name of a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def libraries() -> None:
    """Import what the tests need, once for all forks; on processors, so that any machine says the same."""
    os.environ |= {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    for name in LIBRARIES.split():
        with suppress(ImportError):
            __import__(name)
    import torch

    torch.set_num_threads(1)


def main() -> None:
    """Trace every test file that has no line yet, or has changed since."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("map", type=Path)
    parser.add_argument("only", nargs="?", default="", help="a pattern: of the test files whose name it is found in")
    parser.add_argument("-j", "--workers", type=int, default=1, help="how many test files at a time")
    options = parser.parse_args()
    target = options.map.resolve()
    point(Path.cwd())
    libraries()
    sources = {str(path): path.read_text() for root in ROOTS for path in sorted(Path(root).rglob("*.py"))}
    name = digest(json.dumps(sources))
    texts, rows = read(target)
    if name not in texts:
        append(target, {"sources": name, "texts": sources})
    running: dict[int, tuple[Path, float]] = {}
    for test in sorted(test_files(), key=lambda test: re.search(LONG, test.stem) is None):
        stated = {"sources": name, "digest": digest(test.read_text())}
        if rows.get(str(test), {}).get("digest") == stated["digest"] or not re.search(options.only, test.stem):
            continue
        if len(running) == options.workers:
            ended(running)
        child = os.fork()
        if child == 0:
            guarded(lambda: append(target, {**traced(test), **stated}))  # noqa: B023
        running[child] = test, time.time()
    while running:
        ended(running)


def ended(running: dict[int, tuple[Path, float]]) -> None:
    """Wait until one of the processes ends."""
    child, status = os.wait()
    test, began = running.pop(child)
    print(test, round(time.time() - began, 1), "" if status == 0 else f"ended with {status}", flush=True)


def append(path: Path, row: dict) -> None:
    """Add a line to a file that several processes write, whole or not at all."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
