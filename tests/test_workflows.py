"""Continuous integration: its files are YAML of the right form, and what will read their commands can read them."""

import re
import runpy
import shlex
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from record_samples import HOSTILE, case
from test_commands import commands
from yardstick_samples import world

from solidmark import __main__ as console
from solidmark.cli import new
from solidmark.leaderboard import build_leaderboard
from solidmark.runner import step_summary
from solidmark.runner.options import with_long_names
from solidmark.runner.shards import Shard

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """The workflow that `solidmark new` writes."""
    return new.write("quiet-words", tmp_path_factory.mktemp("new"))[-1]


def read(path):
    """A workflow; YAML takes its `on` for true."""
    text = path.read_text()
    assert not re.search(r"\{%|\{\{ name", text)
    return yaml.safe_load(text)


def jobs(path):
    return read(path)["jobs"]


def runs(path):
    """The commands of all steps; what an expression gives is a 1."""
    steps = [step for job in jobs(path).values() for step in job["steps"]]
    return [re.sub(r"\$\{\{.*?\}\}", "1", step["run"]) for step in steps if "run" in step]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_job_has_a_machine_a_limit_of_time_or_another_to_wait_for_and_known_steps(path):
    for name, job in jobs(path).items():
        assert job["runs-on"] == "ubuntu-latest"
        assert "timeout-minutes" in job or "environment" in job, name
        assert set(job.get("needs", "").split()) <= set(jobs(path))
        assert all("run" in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"]) for step in job["steps"])
    assert read(path)["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_commands_can_be_read(path, pytestconfig):
    for words in commands(runs(path), "make"):
        assert words[0] in TARGETS
    for words in commands(runs(path), "solidmark"):
        assert console.parser().parse_args(words).command
    for words in commands(runs(path), "pytest"):
        assert not [w for w in pytestconfig._parser.parse_known_and_unknown_args(with_long_names(words))[1] if w[0] == "-"]


def test_the_pythons_that_are_tested_are_those_that_are_promised():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    tested = jobs(ROOT / ".github" / "workflows" / "ci.yml")["test"]["strategy"]["matrix"]["python"]
    assert project["requires-python"] == f">={tested[0]}"
    assert tested == ["3.11", "3.12", "3.13"]


def test_the_page_is_tested_in_a_browser_that_must_be_there():
    job = jobs(ROOT / ".github" / "workflows" / "ci.yml")["browser"]
    assert job["env"] == {"SOLIDMARK_NEEDS_BROWSER": 1}
    told = [step.get("run", "") for step in job["steps"]][-3:]
    assert [
        any(word in line for line in told) for word in ("[browser]", "install --with-deps chromium", "tests/test_browser.py")
    ] == [True] * 3


@pytest.mark.parametrize(("needed", "raised"), [("", pytest.skip.Exception), ("1", ImportError)])
def test_where_a_browser_is_needed_its_tests_are_not_skipped_without_it(monkeypatch, needed, raised):
    monkeypatch.setenv("SOLIDMARK_NEEDS_BROWSER", needed)
    monkeypatch.setitem(sys.modules, "playwright.sync_api", None)
    with pytest.raises(raised):
        runpy.run_path(str(ROOT / "tests" / "test_browser.py"))


def test_the_weekly_board_measures_each_part_and_merges_them():
    found = jobs(ROOT / ".github" / "workflows" / "board.yml")
    parts = found["shard"]["strategy"]["matrix"]["shard"]
    (command,) = [step["run"] for step in found["shard"]["steps"] if "--shard" in step.get("run", "")]
    count = int(re.search(r"\}\}/(\d+)", command).group(1))
    assert [Shard.parse(f"{part}/{count}").number for part in parts] == list(range(1, count + 1))
    assert found["board"]["needs"] == "shard"


def test_the_site_has_each_board_that_its_home_page_links():
    target = (ROOT / "Makefile").read_text().partition("\nsite: results docs\n")[2]
    copied = set(re.findall(r"cp -r build/\w+ build/site/(\S+)", target))
    linked = re.findall(r'href="(board/[^"]*)/leaderboard.html|href="(board)/', (ROOT / "docs" / "index.md").read_text())
    assert {one or other for one, other in linked} == copied == {"board", "board/quick"}
    assert "make site" in runs(ROOT / ".github" / "workflows" / "pages.yml")


def test_a_stranger_s_workflow_runs_the_commands_of_contributing(stranger, pytestconfig):
    text = (ROOT / "CONTRIBUTING.md").read_text()
    told = re.search(r"```sh\n(.*?)```", text, re.DOTALL).group(1).splitlines()
    mine = [
        " ".join(word for word in shlex.split(run) if word not in ("-n", "auto", "--run-dir", "run"))
        for run in runs(stranger)
    ]
    assert told[-3:] == mine[-3:]
    assert commands(runs(stranger), "pytest")[-1][-2:] == ["--run-dir", "run"]


@pytest.fixture
def step(tmp_path, monkeypatch):
    path = tmp_path / "summary.md"
    monkeypatch.setenv(step_summary.VARIABLE, str(path))
    return path


def test_the_summary_of_a_step_has_a_row_a_family_with_its_verdict(step):
    step_summary.append(build_leaderboard(world("honest", "unlinker")))
    lines = step.read_text().splitlines()
    assert lines[0] == "### digits: 1 real, 1 equal"
    assert [line.split("|")[1].split("(")[0].strip() for line in lines[4:8]] == ["none", "honest", "unlinker", "stop"]


def test_a_summary_is_short_and_takes_no_markup_from_a_plugin(step):
    records = [case(f"m{index}(x=1)", 0.5, stage="training") for index in range(40)] + [case(HOSTILE, 0.1, stage="training")]
    step_summary.append(build_leaderboard(records))
    text = step.read_text()
    assert len(text.splitlines()) < 45
    assert "more families are on the page" in text
    assert "<script" not in text


def test_without_the_variable_or_with_a_folder_in_its_place_nothing_is_written(tmp_path, monkeypatch):
    board = build_leaderboard([case()])
    monkeypatch.setenv(step_summary.VARIABLE, str(tmp_path))
    step_summary.append(board)
    monkeypatch.delenv(step_summary.VARIABLE)
    step_summary.append(board)
    assert list(tmp_path.iterdir()) == []
