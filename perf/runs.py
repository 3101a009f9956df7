"""What whole runs cost: how well workers are used, the quick profile cold and warm, and a large report."""

from __future__ import annotations

import calendar
import json
import os
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

from solidmark.records import reading

from .line import Line, seconds

RECORDS = 10_000
MOST_SECONDS = 60.0
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
    """The quick profile on two workers, with an empty store and again with what it left there."""
    folder = Path(tempfile.mkdtemp(prefix="perf-"))
    lines = []
    for name, most in (("cold", 6.0), ("warm", 2.0)):
        run = folder / name
        command = [sys.executable, "-m", "pytest", "benchmark/", "-n", "2", "--run-dir", str(run), "--progress", "off", "-q"]
        environment = {**os.environ, "SOLIDMARK_STORE": str(folder / "store")}
        took = seconds(partial(subprocess.run, command, cwd=ROOT, env=environment, check=False, capture_output=True))
        lines.append(Line(f"quick profile on two workers, {name}", took / 60, " min", most=most))
        lines += makespan(run) if name == "cold" else []
    shutil.rmtree(folder)
    return lines


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
