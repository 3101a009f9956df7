"""Kills: a run whose processes are killed at random times, and that is resumed, ends with the records of an undisturbed one.

    python tests/kills.py --kills 100 --seed 0 --workers 2           # two rows on a tiny testbed
    python tests/kills.py --kills 100 --seed 0 --workers 2 --quick   # the quick profile
    python tests/kills.py --kills 100 --workers 2 --quick --store S --every 20   # the same, in a tenth of the time

With `--store` each run begins with a copy of a store, of which a tenth is missing, so that it trains some models and
finds the others. With `--every` a process is killed after so many seconds in the mean, again and again until the session
ends, whatever a run takes. With `--undisturbed` the run that others are compared with is one that was made before.

Sessions are forked from this process, which has imported what they need, so that many of them fit into a minute. Workers are
processes of their own, as ever. Exit code 0: after each run the records are equal, but for times, processes and attempts.
"""

import argparse
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

TINY = ["solidmark.benchmark.test_memorization", "--testbed=tiny", "--mitigation=x-good", "--no-references"]
QUICK = ["solidmark.benchmark", "--profile=quick"]
MOVING = {"seconds", "peak_bytes", "t", "pid", "worker", "attempt"}
"""What may differ between two runs."""


def main() -> int:
    options = parse()
    random.seed(options.seed)
    work = options.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    prepare(work)
    began = time.monotonic()
    whole, code = Run(work, "whole", options), 0
    if options.undisturbed is not None:
        whole.folder = options.undisturbed
    else:
        code = whole.session(())
    truth, length = whole.content(), time.monotonic() - began
    print(f"undisturbed: exit code {code}, {len(truth[0])} records, {length:.1f} s", flush=True)
    done = number = 0
    while done < options.kills:
        number += 1
        run = Run(work, f"run{number}", options)
        done += run.disturbed(options.kills - done, truth, options.every, length / 3)
        if run.content() != truth:
            print(f"{run.folder}: its records differ; exit codes {run.codes}")
            return 1
        print(f"run {number}: {done} kills so far, exit codes {run.codes}, records equal", flush=True)
    seconds = time.monotonic() - began
    print(f"{done} kills in {number} runs, {seconds:.0f} s: all records equal to those of an undisturbed run")
    return 0 if code in (0, 1) and truth[0] else 1


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Kill a run's processes at random, and resume it.")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=0, help="0: the run is one process")
    parser.add_argument("--quick", action="store_true", help="the whole quick profile")
    parser.add_argument("--folder", type=Path, help="an empty folder to work in")
    parser.add_argument("--seeds", default="0", help="the seeds of the rows")
    parser.add_argument("--store", type=Path, help="a store that each run begins with, but for a tenth of it")
    parser.add_argument(
        "--undisturbed", type=Path, help="the folder of an undisturbed run of the same rows and the same code"
    )
    parser.add_argument("--every", type=float, help="seconds between two kills, in the mean")
    return parser.parse_args()


def prepare(work: Path) -> None:
    """Install the strangers' package, and import what every session needs."""
    from strangers import install

    site = str(install(work / "site"))
    del sys.modules["strangers"]  # the installed module has the same name
    sys.path.insert(0, site)
    os.environ["PYTHONPATH"] = os.pathsep.join([site, os.environ.get("PYTHONPATH", "")])
    os.environ.pop("PYTEST_XDIST_WORKER", None)
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each worker would compile the same files anew
    import torch
    from sessions import LIBRARIES
    from solidmark.reports import page  # noqa: F401

    from solidmark import provenance
    from solidmark.models import Model, Network
    from solidmark.runner import plan
    from solidmark.runner.options import Options

    for name in ("pytest", *LIBRARIES):
        import_module(name)
    torch.set_num_threads(1)
    Model(Network(widths=(8,)))
    plan.cases(Options(testbeds=("tiny",), mitigations=("x-good",), references=False))  # what keys of the store are made of
    provenance.core_digest(provenance.ASKING)


class Run:
    """A run, its store, and the sessions that measure it."""

    def __init__(self, work: Path, name: str, options: argparse.Namespace) -> None:
        self.folder, self.store, self.work, self.codes = work / name, work / f"store-{name}", work, []
        if options.store is not None:
            begin_store(options.store, self.store)
        rows = [*(QUICK if options.quick else TINY), f"--seeds={options.seeds}"]
        self.arguments = [
            "--pyargs",
            "solidmark.benchmark",
            "-p",
            "no:cacheprovider",
            "-q",
            "-n",
            str(options.workers),
            *rows,
        ]

    def start(self) -> int:
        """Begin a session, which goes on with the run where there is one; its process."""
        pid = os.fork()
        if pid:
            return pid
        os.setsid()
        os.chdir(self.work)
        os.environ["SOLIDMARK_STORE"] = str(self.store)
        log = os.open(self.work / f"{self.folder.name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        began = (self.folder / "run.json").exists()
        arguments = [*self.arguments, "--resume" if began else "--run-dir", self.folder.name]
        import pytest

        code = 99
        try:
            code = int(pytest.main(arguments))
        finally:
            os._exit(code)

    def session(self, delays: "tuple[float, ...]") -> int:
        """One session, in which a random process is killed after each of these seconds; its exit code."""
        controller, workers = self.start(), set()
        for delay in delays:
            code = ended(controller, delay)
            if code is not None:
                return code
            workers = set(children(controller))
            victim = random.choice([controller, *workers])
            kill(victim)
            self.killed += 1
            if victim == controller:
                os.waitpid(controller, 0)
                self.orphans(workers)
                return -9
        return os.waitstatus_to_exitcode(os.waitpid(controller, 0)[1])

    def orphans(self, workers: "set[int]") -> None:
        """Workers without a controller: they die with it, come to their end, or go on beside the next session."""
        fate = random.choice(("die", "end", "go on"))
        for pid in workers if fate == "die" else ():
            kill(pid)
        while fate == "end" and any(Path(f"/proc/{pid}").exists() for pid in workers):
            time.sleep(0.05)

    def disturbed(self, kills: int, truth: object, every: "float | None", third: float) -> int:
        """Sessions with at most so many kills, then sessions until the run is complete; how many kills there were.

        A session has one to three kills, or with `every` as many as there is time for. A run with rows that fail never ends
        with 0: it is complete once it has what the undisturbed one has.
        """
        self.killed, left = 0, 20
        while self.killed < kills and len(self.codes) < 200 and self.codes[-1:] != [0] and self.content() != truth:
            count = min(random.choice((1, 2, 3)) if every is None else kills, kills - self.killed)
            self.codes.append(self.session(tuple((every or third) * 3 * random.random() ** 2 for _ in range(count))))
        while self.codes[-1:] != [0] and left and self.content() != truth:
            self.codes.append(self.session(()))
            left -= 1
        return self.killed

    def content(self) -> "tuple[dict[str, object], dict[str, bytes]]":
        """The measured records by case, and the files with a row an image."""
        from solidmark import records

        if not (self.folder / "records").is_dir():
            return {}, {}
        reading = records.read(self.folder)
        kept = {record["case_id"]: still(record) for record in records.latest(reading.records)}
        return kept, {path.name: path.read_bytes() for path in sorted((self.folder / "per_image").glob("*.parquet"))}


def still(value: object) -> object:
    """A record without what may differ."""
    if isinstance(value, dict):
        return {name: still(part) for name, part in value.items() if name not in MOVING}
    return re.sub(r"\bgw\d+", "gw", value) if isinstance(value, str) else value


def begin_store(source: Path, target: Path) -> None:
    """A copy of a store without its locks, and without a tenth of its entries."""
    shutil.copytree(source / "objects", target / "objects")
    for entry in sorted(target.glob("objects/*/*")):
        if random.random() < 0.1:
            shutil.rmtree(entry)


def children(pid: int) -> "list[int]":
    """The processes that a process has started."""
    listed = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in listed for child in path.read_text().split()]


def kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def ended(pid: int, seconds: float) -> "int | None":
    """The exit code of a process that ends within so many seconds; None of one that goes on."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    return None


if __name__ == "__main__":
    sys.exit(main())
