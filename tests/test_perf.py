"""The table of costs: medians, goals, and how well workers were used."""

import json
import subprocess
import sys

import pytest
from perf import runs
from perf.line import Line, median_ratio


@pytest.mark.parametrize(
    ("limits", "met"),
    [({}, True), ({"least": 2.0}, True), ({"least": 2.1}, False), ({"most": 2.0}, True), ({"most": 1.9}, False)],
)
def test_a_goal_is_met_at_its_limit(limits, met):
    line = Line("it", 2.0, "x", **limits)
    assert line.is_met is met
    assert ("MISSED" in line.goal_shown) is not met


def test_a_ratio_is_the_median_of_turns(monkeypatch):
    clock = iter([0, 8, 0, 1, 0, 9, 0, 3, 0, 2, 0, 1])  # ratios 8, 3, 2
    monkeypatch.setattr("perf.line.time.perf_counter", lambda: next(clock))
    assert median_ratio(lambda: None, lambda: None, turns=3) == 3.0


def record(worker, second):
    return json.dumps({"worker": worker, "t": f"2026-01-01T00:{second // 60:02}:{second % 60:02}Z"})


def test_a_run_takes_longer_than_its_workers_could_have(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"started": "2026-01-01T00:00:00Z"}))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_text("\n".join([record("gw0", 50), record("gw0", 120)]))
    (tmp_path / "records" / "b.jsonl").write_text(
        "\n".join([record("gw1", 40), record("gw1", 80), record("controller", 500)])
    )
    (line,) = runs.makespan(tmp_path)
    assert line.value == pytest.approx(120 / 100)  # both worked for 100 s in the mean, and no case took longer


def test_what_children_and_their_children_spend_is_counted():
    spin = "import time\nwhile time.process_time() < 0.2: pass"
    nested = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spin!r}])"
    before = runs.of_children()
    subprocess.run([sys.executable, "-c", nested], check=True)
    assert 0.2 < runs.of_children() - before < 5


def test_nothing_is_faster_than_its_longest_case(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"started": "2026-01-01T00:00:00Z"}))
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_text(record("gw0", 300) + "\n" + record("gw1", 20))
    assert runs.makespan(tmp_path)[0].value == 1.0
