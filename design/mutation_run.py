"""Put drawn faults into copies of the checkout, one by one, and run the tests that each one meets.

Several workers side by side, each with a copy of its own. One process imports the libraries once and forks for each worker
and for each run of tests, which saves most of the time.
"""

from __future__ import annotations

import io
import json
import os
import resource
import select
import signal
import sys
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from mutation_choice import contents_of_tests, runs
from mutation_home import copied, guarded, point
from mutation_map import Map, append, libraries
from mutation_operators import Fault

FAIL_ANYWAY: set[str] = set()
"""Tests that fail without any fault: they say nothing."""
HOLD: set[str] = set()
"""Tests that were seen to pass without any fault."""


def run(drawn: list[dict], known: Map, results: Path, budget: float, workers: int, seconds: float) -> None:
    """Run the tests of each fault that has no result yet, in the order drawn.

    After `seconds` no fault is begun; those that are begun are ended, so what has a result is the beginning of the draw.
    """
    results, until = results.resolve(), time.time() + seconds
    done = {json.loads(line)["id"] for line in results.read_text().splitlines()} if results.exists() else set()
    waiting = [each for each in drawn if each["id"] not in done and "equivalent" not in each]
    if strange := [each["id"] for each in waiting if not fits(each)]:
        sys.exit(f"faults {strange} were drawn from other files than are here: draw anew")
    FAIL_ANYWAY.update(known.failed)
    contents = contents_of_tests()
    with TemporaryDirectory(prefix="faults-") as folder:
        claims, children = Path(folder) / "claims", []
        claims.mkdir()
        libraries()  # each fork has them then
        for worker in range(workers):
            child = os.fork()
            if child == 0:
                guarded(
                    lambda own=Path(folder) / f"copy{worker}": work(
                        own, claims, waiting, known, contents, results, budget, until
                    )
                )
            children.append(child)
        signal.signal(signal.SIGTERM, lambda *_: [os.kill(child, signal.SIGTERM) for child in children])
        for child in children:
            os.waitpid(child, 0)


def fits(each: dict) -> bool:
    """Whether the text that a fault replaces stands where it stood when it was drawn."""
    path = Path(each["file"])
    return path.exists() and path.read_bytes()[each["start"] : each["end"]].decode(errors="replace") == each["old"]


def work(
    own: Path, claims: Path, waiting: list[dict], known: Map, contents: dict, results: Path, budget: float, until: float
) -> None:
    """Take faults, in order, until none is left or the time is up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    os.chdir(copied(own))
    point(own)
    for each in waiting:
        if time.time() > until:
            return
        try:
            os.close(os.open(claims / str(each["id"]), os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            continue  # another worker has it
        chosen = runs(each, known, contents, budget)
        fault = Fault(**{name: each[name] for name in Fault.__annotations__})
        outcome = with_fault(Path(each["file"]), fault, chosen, each["id"], 60 + int(4 * budget))
        append(results, {**each, **outcome, "tests": sum(map(len, chosen))})
        print(each["id"], outcome["outcome"], outcome["cpu"], each["file"], each["line"], each["kind"], flush=True)


def with_fault(path: Path, fault: Fault, tests: list[list[str]], number: int, limit: int) -> dict:
    """What the tests say of a file with the fault, `by` which one it is caught: run by run, until one fails."""
    source, before, began = path.read_text(), path.stat(), time.time()
    outcome, told, cpu = "survived", "", 0.0
    waiting = list(tests)
    while waiting and outcome == "survived":
        try:
            path.write_text(fault.applied(source))
            later = before.st_mtime + 10**6 + number  # no stale bytecode is taken for it
            os.utime(path, (later, later))
            outcome, told, spent = in_child(waiting[0], limit)
        finally:
            path.write_text(source)
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        cpu += spent
        if outcome == "caught" and fails_anyway(named(told, waiting[0]), limit):
            outcome = "survived"  # once more, without that test
        else:
            waiting.pop(0)
    return {"outcome": outcome, "by": told, "cpu": round(cpu, 1), "seconds": round(time.time() - began, 1)}


def named(told: str, tests: list[str]) -> str:
    """The test, or the file that cannot be imported, of a line such as `FAILED file::test[one - two] - reason`."""
    text = told.partition(" ")[2]
    known = [name for test in tests for name in (test, test.partition("::")[0]) if text.startswith(name)]
    return max(known, key=len, default="")


def fails_anyway(name: str, limit: int) -> bool:
    """Whether a test fails without a fault; it is then left out, and not asked about a second time."""
    if not name or name in HOLD | FAIL_ANYWAY:
        return False
    again = [name] if "::" in name else [name, "--collect-only"]
    fails = in_child(again, limit)[0] != "survived"
    (FAIL_ANYWAY if fails else HOLD).add(name)
    return fails


def in_child(tests: list[str], limit: int) -> tuple[str, str, float]:
    """Run pytest in a fork of this process: the outcome, the first failure, and seconds of processor time.

    `limit` is how many seconds of processor time it may take; three times as many on the clock.
    """
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        guarded(lambda: os.write(writer, json.dumps(judged(tests)).encode()))
    os.close(writer)
    ready, _, _ = select.select([reader], [], [], 3 * limit)
    with os.fdopen(reader) as pipe:
        told = pipe.read() if ready else ""
    _end(child)
    _, status, used = os.wait4(child, 0)
    if told:
        outcome, text = json.loads(told)
        if outcome == "unknown":  # tests that were renamed since the map was made
            gone = {*text.splitlines()}  # pytest leaves a parameter out that holds a colon
            rest = [test for test in tests if test not in gone and test.partition("[")[0] not in gone]
            return in_child(rest, limit) if rest and len(rest) < len(tests) else ("survived", "no test", 0.0)
    elif os.WIFSIGNALED(status):
        outcome, text = "timeout", f"over {limit} s in {tests}"[:400]
    else:  # whatever ended the process, no whole run does so
        outcome, text = "caught", "the process of pytest was ended"
    return outcome, text, used.ru_utime + used.ru_stime


def _end(child: int) -> None:
    """End a fork that has told what it found, or none in time, and what it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)


def judged(tests: list[str]) -> tuple[str, str]:
    """Caught or survived, and by which test."""
    import pytest

    sys.dont_write_bytecode = True
    os.environ |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    shown = io.StringIO()
    files = {test.partition("::")[0] for test in tests}
    failing = [name for name in FAIL_ANYWAY if name.partition("::")[0] in files]
    out = [word for name in failing for word in (("--deselect", name) if "::" in name else ("--ignore", name))]
    words = [*tests, *out, "-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--no-header", "--tb=no", "-rfE", "-W", "error"]
    words += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # of the libraries that are imported already
    with redirect_stdout(shown), redirect_stderr(shown):
        code = pytest.main(words)
    if code == pytest.ExitCode.USAGE_ERROR:
        absent = [line.partition("not found: ")[2] for line in shown.getvalue().splitlines()]
        names = [line.removeprefix(f"{Path.cwd()}/") for line in absent if line]
        return ("unknown", "\n".join(names)) if names else ("caught", shown.getvalue()[-400:])
    lines = [line for line in shown.getvalue().splitlines() if line.startswith(("FAILED", "ERROR"))]
    last = (lines or shown.getvalue().strip().splitlines() or [""])[-1]
    return ("survived" if code in (0, 5) else "caught"), last[:400]
