"""What whole runs cost: how well workers are used, the quick profile cold and warm, and a large report."""

from __future__ import annotations

import calendar
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from solidmark import plugins, training
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.records import reading

from .line import Line, seconds

RECORDS = 10_000
MOST_SECONDS = 60.0
WORKERS, SLOWEST = 2, 16.0
"""Workers of the quick profile, and the seconds of a core that a training takes where its minutes are promised."""
ROOT = Path(__file__).parents[1]


def makespan(run: Path) -> list[Line]:
    """How long a run took, over what its workers could have reached: the mean of their time, or the longest case."""
    ends: dict[str, list[int]] = defaultdict(list)
    for file in (run / "records").glob("*.jsonl"):
        for line in file.read_text(encoding="utf-8").splitlines():
            record = json.loads(line)
            if "t" in record and record.get("worker", "controller") != "controller":
                ends[record["worker"]].append(_moment(record["t"]))
    began = _moment(json.loads((run / "run.json").read_text(encoding="utf-8"))["started"])
    took = [max(times) - began for times in ends.values()]
    longest = max(max(b - a for a, b in pairwise(sorted([began, *times]))) for times in ends.values())
    ideal = max(sum(took) / len(took), longest)
    remark = f"{len(took)} workers, {max(took)} s, longest case {longest} s"
    return [Line("makespan of the run, over its ideal", max(took) / ideal, "x", most=1.2, remark=remark)]


def _moment(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%SZ"))


def profile() -> list[Line]:
    """The quick profile on two workers, with an empty store and again with what it left there, in units of a training.

    CPU seconds are counted, which a busy machine changes little. Six minutes are 45 trainings of 16 s of a core each.
    """
    folder, once = Path(tempfile.mkdtemp(prefix="perf-")), training_seconds()
    lines = []
    for name, minutes in (("cold", 6.0), ("warm", 2.0)):
        run = folder / name
        command = [sys.executable, "-m", "pytest", "benchmark/", "-n", "2", "--run-dir", str(run), "--progress", "off", "-q"]
        environment = {**os.environ, "SOLIDMARK_STORE": str(folder / "store")}
        before = of_children()
        took = seconds(partial(subprocess.run, command, cwd=ROOT, env=environment, check=False, capture_output=True))
        units = (of_children() - before) / once
        there = units * SLOWEST / WORKERS / 60
        remark = f"{there:.1f} min where a training takes {SLOWEST:g} s of a core; {took / 60:.1f} min here"
        goal = minutes * 60 * WORKERS / SLOWEST
        lines.append(Line(f"quick profile on two workers, {name}, in trainings", units, "x", most=goal, remark=remark))
        lines += makespan(run) if name == "cold" else []
    shutil.rmtree(folder)
    return lines


def training_seconds() -> float:
    """CPU seconds of one training of the quick profile's unmitigated model, here and now."""
    testbed = plugins.testbed("digits-quick")[1]
    split, began = testbed.split(0), time.process_time()
    training.train(testbed.recipe, TrainingSet(split.training, split.training_keys, split.mark), Composition(), 0)
    return time.process_time() - began


def of_children() -> float:
    """CPU seconds of all processes that were started from here and have ended, theirs included."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def report() -> list[Line]:
    """The page and all tables of ten thousand records: those of the published board, again under other seeds."""
    folder = Path(tempfile.mkdtemp(prefix="perf-"))
    (folder / "records").mkdir()
    shutil.copy(ROOT / "results" / "run.json", folder)
    published = [dict(record) for record in reading.read(ROOT / "results").records]
    cases: list[dict[str, Any]] = [record for record in published if record.get("event", "case") == "case"]
    with (folder / "records" / "many.jsonl").open("w", encoding="utf-8") as file:
        for number in range(RECORDS):
            again, one = divmod(number, len(cases))
            record = {**cases[one], "seed": cases[one]["seed"] + 100 * again}
            file.write(json.dumps({**record, "case_id": f"{record.get('case_id', one)}-{again}"}) + "\n")
    command = [sys.executable, "-m", "solidmark", "report", str(folder), "--into", str(folder / "page")]
    took = seconds(lambda: subprocess.run(command, check=True, capture_output=True))
    size = (folder / "page" / "leaderboard.html").stat().st_size / 1e6
    shutil.rmtree(folder)
    return [Line(f"report of {RECORDS} records", took, " s", most=MOST_SECONDS, remark=f"a page of {size:.1f} MB")]
