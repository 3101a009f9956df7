"""How many small faults do the tests catch? Draw faults at random, put each into a copy of the checkout, run its tests.

    python design/mutation_map.py map.jsonl                     # which tests run which lines
    python design/mutation.py draw --seed 20261127 --count 160 > drawn.jsonl
    python design/mutation.py run drawn.jsonl map.jsonl results.jsonl     # goes on where it was stopped
    python design/mutation.py table results.jsonl

`run` changes files of the checkout that it is started in and puts them back, so start it in a copy. One process imports
the libraries once and forks for each fault, which saves most of the time. A fault is caught where a test fails, where the
tests cannot be collected, or where a run of them needs more than LIMIT seconds of processor time. A drawn fault with a
key `equivalent`, which has the reason, is left out.

A fault in a function meets the tests that run its statement, those of the test files that name its module most first. One in
a constant or a default meets the tests that run anything of its module.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import os
import random
import re
import resource
import signal
import sys
import time
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from mutation_map import LIBRARIES, ROOTS, Map, lines_of, test_files
from mutation_operators import RULES, Fault, faults, is_change

LIMIT = 150
"""Seconds of processor time that one run of tests may take; without a fault none takes a third of it."""
PUBLISHED = "tests/test_published.py tests/test_ranges.py tests/test_constants.py".split()
"""Tests that go through all plugins and constants without naming them."""


def sources() -> list[Path]:
    """The files that faults are put into."""
    return sorted(path for root in ROOTS for path in Path(root).rglob("*.py"))


def draw(seed: int, count: int) -> list[dict]:
    """Faults at random: kinds weigh alike, then all places of a kind; no two on a line."""
    rng, by_kind = random.Random(seed), {kind: [] for kind in RULES}
    for path in sources():
        for fault in faults(path.read_text()):
            by_kind[fault.kind].append((path, fault))
    drawn, lines = [], set()
    while len(drawn) < count:
        path, fault = rng.choice(by_kind[rng.choice(list(RULES))])
        if (path, fault.line) not in lines and is_change(path.read_text(), fault):
            lines.add((path, fault.line))
            drawn.append({"id": len(drawn), "file": str(path), **vars(fault)})
    return drawn


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
    """What is given to pytest, run by run: first the tests of the files that name most of the module, then all others.

    At most `budget` seconds of tests, the shortest first. Where no test runs the statement, or it lies in no function,
    these are the tests that run anything of the module, of the files that name it most, and those of all plugins.
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
    first, later, spent = known.new(near), [], 0.0
    for test in sorted(set(tests), key=lambda test: (test.partition("::")[0] not in near, known.seconds[test])):
        spent += known.seconds[test]
        if spent <= budget:
            (first if test.partition("::")[0] in near and spent <= budget / 3 else later).append(test)
    return [each for each in (first, later) if each]


def run(drawn: list[dict], known: Map, results: Path, budget: float) -> None:
    """Run the tests of each fault that has no result yet."""
    for name in LIBRARIES.split():
        __import__(name)
    import torch

    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that the file is put back
    done = {json.loads(line)["id"] for line in results.read_text().splitlines()} if results.exists() else set()
    contents = contents_of_tests()
    for number, each in enumerate(drawn):
        if each["id"] not in done and "equivalent" not in each:
            path = Path(each["file"])
            chosen = runs(each, known, contents, budget)
            outcome = with_fault(path, Fault(**{name: each[name] for name in Fault.__annotations__}), chosen, number)
            with results.open("a") as file:
                file.write(json.dumps({**each, **outcome, "tests": chosen}) + "\n")
            print(each["id"], outcome["outcome"], outcome["cpu"], each["file"], each["line"], each["kind"], flush=True)


def with_fault(path: Path, fault: Fault, tests: list[list[str]], number: int) -> dict:
    """What the tests say of a file with the fault: run by run, until one fails."""
    source, before, began = path.read_text(), path.stat(), time.time()
    outcome, told, cpu = "survived", "", 0.0
    waiting = list(tests)
    while waiting and outcome == "survived":
        try:
            path.write_text(fault.applied(source))
            later = before.st_mtime + 10**6 + number  # no stale bytecode is taken for it
            os.utime(path, (later, later))
            outcome, told, spent = in_child(waiting[0])
        finally:
            path.write_text(source)
            os.utime(path, (before.st_atime, before.st_mtime))
        cpu += spent
        if outcome == "caught" and fails_anyway(told):
            outcome = "survived"  # once more, without that test
        else:
            waiting.pop(0)
    return {"outcome": outcome, "told": told, "cpu": round(cpu, 1), "seconds": round(time.time() - began, 1)}


FAIL_ANYWAY: set[str] = set()
"""Tests that fail in this copy without any fault: they say nothing."""
HOLD: set[str] = set()
"""Tests that were seen to pass without any fault."""


def fails_anyway(told: str) -> bool:
    """Whether the test of a line such as `FAILED file::test - reason` fails without a fault; it is then left out."""
    name = told.partition(" ")[2].partition(" - ")[0]
    if name and name not in HOLD | FAIL_ANYWAY:
        again = [name] if "::" in name else [name, "--collect-only"]  # a file that cannot be imported
        (FAIL_ANYWAY if in_child(again)[0] != "survived" else HOLD).add(name)
    return name in FAIL_ANYWAY


def in_child(tests: list[str]) -> tuple[str, str, float]:
    """Run pytest in a fork of this process: the outcome, the first failure, and seconds of processor time."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            os.setsid()
            resource.setrlimit(resource.RLIMIT_CPU, (LIMIT, LIMIT + 5))
            sys.dont_write_bytecode = True
            os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
            os.write(writer, json.dumps(judged(tests)).encode())
        finally:
            os._exit(0)  # whatever happens, this copy of the process ends here
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    _, status, used = os.wait4(child, 0)
    seconds = used.ru_utime + used.ru_stime
    if not told and not os.WIFSIGNALED(status):
        raise RuntimeError(f"pytest came to no end on {tests}: run it by hand")
    outcome, text = json.loads(told) if told else ("timeout", f"over {LIMIT} s in {tests}")
    return outcome, text, seconds


def judged(tests: list[str]) -> tuple[str, str]:
    """Caught or survived, and by which test."""
    import pytest

    shown = io.StringIO()
    out = [word for name in FAIL_ANYWAY for word in (("--deselect", name) if "::" in name else ("--ignore", name))]
    words = [*tests, *out, "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rfE", "-W", "error"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the libraries that are imported already
    with redirect_stdout(shown), redirect_stderr(shown):
        code = pytest.main(words)
    lines = [line for line in shown.getvalue().splitlines() if line.startswith(("FAILED", "ERROR"))]
    last = (lines or shown.getvalue().strip().splitlines() or [""])[-1]
    return ("survived" if code in (0, 5) else "caught"), last


def table(results: list[dict]) -> str:
    """Shares caught, by kind and by room, and the survivors."""
    from scipy.stats import binomtest

    caught = sum(each["outcome"] != "survived" for each in results)
    limits = binomtest(caught, len(results)).proportion_ci(method="exact")
    head = f"{caught} of {len(results)} caught: {caught / len(results):.1%} [{limits.low:.1%}, {limits.high:.1%}]"
    lines = [head]
    for title, key in (("kind", "kind"), ("room", "file")):
        rooms = [each[key] if key == "kind" else str(Path(each[key]).parent) for each in results]
        for name in sorted(set(rooms)):
            mine = [each["outcome"] != "survived" for each, room in zip(results, rooms) if room == name]
            lines.append(f"{title} {name}: {sum(mine)} of {len(mine)}")
    for each in results:
        if each["outcome"] == "survived":
            lines.append(
                f"survived {each['id']} {each['file']}:{each['line']} {each['kind']}: {each['old']} -> {each['new']}"
            )
    return "\n".join(lines)


def read(path: Path) -> list[dict]:
    """The lines of a file, one object each."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    one = verbs.add_parser("draw")
    one.add_argument("--seed", type=int, required=True)
    one.add_argument("--count", type=int, default=150)
    one = verbs.add_parser("run")
    one.add_argument("drawn", type=Path)
    one.add_argument("map", type=Path)
    one.add_argument("results", type=Path)
    one.add_argument("--budget", type=float, default=40.0, help="seconds of tests that are run for a fault at most")
    verbs.add_parser("table").add_argument("results", type=Path)
    options = parser.parse_args()
    if options.verb == "draw":
        print("\n".join(json.dumps(each) for each in draw(options.seed, options.count)))
    elif options.verb == "run":
        run(read(options.drawn), Map(options.map), options.results, options.budget)
    else:
        print(table(read(options.results)))


if __name__ == "__main__":
    main()
