"""Neighbours: other plugins and other people's projects, beside which solidmark is installed."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import sessions

from solidmark import pytest_plugin
from solidmark.measurement import measure
from solidmark.runner.options import SHORT_NAMES, with_long_names

ROOT = Path(__file__).parents[1]
OURS = (
    "from collections.abc import Callable\n\ndef test_it(solidmark_measured: Callable) -> None:\n    solidmark_measured()\n"
)


def run_pytest(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Pytest in a folder, with its modules importable."""
    path = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])
    chosen = {**os.environ, "PYTHONPATH": path, "SOLIDMARK_STORE": str(folder / "store"), **environment}
    chosen.pop("PYTEST_XDIST_WORKER", None)
    return sessions.run(["-p", "no:cacheprovider", *arguments], folder, chosen)


@pytest.fixture
def stranger(tmp_path):
    """A project of somebody else, with a folder `benchmark`, results of its own, and an option `--profile` of its own."""
    (tmp_path / "benchmark").mkdir()
    (tmp_path / "benchmark" / "test_speed.py").write_text(
        "import sys\n\ndef test_speed():\n    assert 'solidmark.models' not in sys.modules\n"
    )
    (tmp_path / "runs" / "exp1").mkdir(parents=True)
    (tmp_path / "runs" / "latest").symlink_to("exp1")
    (tmp_path / "fake.py").write_text(
        "def pytest_addoption(parser):\n    for name in ('profile', 'seeds', 'progress', 'resume', 'queries', 'solver'):\n"
        "        parser.addoption(f'--{name}', action='store_true', default=False)\n"
        "def pytest_report_header(config):\n    return f'theirs: {config.option.profile}'\n"
    )
    return tmp_path


def test_a_folder_called_benchmark_wakes_nothing_and_is_left_as_it_was(stranger):
    before = sorted(stranger.rglob("*"))
    ran = run_pytest(stranger, "benchmark/test_speed.py", "-p", "no:randomly", PYTHONDONTWRITEBYTECODE="1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "solidmark:" not in ran.stdout
    assert sorted(stranger.rglob("*")) == before
    assert os.readlink(stranger / "runs" / "latest") == "exp1"


@pytest.mark.parametrize("order", [("-p", "fake", "-p", "solidmark"), ("-p", "solidmark", "-p", "fake")])
def test_anothers_option_of_a_short_name_is_its_own(stranger, order):
    ran = run_pytest(stranger, "benchmark", "--profile", *order)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "theirs: True" in ran.stdout


@pytest.mark.parametrize("order", [("-p", "fake", "-p", "solidmark"), ("-p", "solidmark", "-p", "fake")])
def test_in_a_run_of_ours_a_short_name_is_ours(stranger, order):
    asked = (
        "--pyargs",
        "solidmark.benchmark",
        "--profile",
        "standard",
        "--mitigation",
        "none",
        "--collect-only",
        "-q",
        "-v",
    )
    ran = run_pytest(stranger, *asked, *order)
    assert "solidmark: profile standard" in ran.stdout, ran.stdout + ran.stderr
    assert "theirs: False" in ran.stdout


def test_short_names_in_a_file_of_arguments_reach_us(stranger):
    (stranger / "arguments").write_text("--pyargs\nsolidmark.benchmark\n--profile=standard\n--mitigation=none\n--seeds\n5\n")
    ran = run_pytest(stranger, "@arguments", "--collect-only", "-q")
    assert "-s5]" in ran.stdout, ran.stdout + ran.stderr


def test_every_short_name_is_an_option_under_its_long_name_and_in_the_help(stranger):
    listed = run_pytest(stranger, "--help").stdout
    options = set(re.findall(r"--[a-z][a-z-]+", listed))
    assert options >= {*SHORT_NAMES, *SHORT_NAMES.values()}


def test_long_names_stand_for_short_ones_until_two_dashes():
    assert with_long_names(["--seeds=1", "--protocol", "ddim", "-k", "x", "--", "--seeds"]) == [
        "--solidmark-seeds=1",
        "--solidmark-solver",
        "ddim",
        "-k",
        "x",
        "--",
        "--seeds",
    ]


@pytest.mark.parametrize("first", ["solidmark", "xdist"])
def test_auto_means_workers_of_ours_whichever_plugin_is_loaded_first(stranger, first):
    arguments = ("-p", first, "--pyargs", "solidmark.benchmark", "-n", "auto", "-k", "no_such_case")
    ran = run_pytest(stranger, *arguments, PYTEST_XDIST_AUTO_NUM_WORKERS="abc")
    assert "PYTEST_XDIST_AUTO_NUM_WORKERS: found 'abc'; expected a whole number of at least 0." in ran.stderr
    assert ran.returncode == 4


@pytest.mark.parametrize(
    ("text", "ours"),
    [(OURS, True), (OURS.replace("solidmark_measured", "timed"), False), (None, False)],
)
def test_a_copy_of_the_benchmark_is_ours_and_another_folder_of_that_name_is_not(tmp_path, text, ours):
    folder = tmp_path / "benchmark"
    folder.mkdir()
    if text is not None:
        (folder / "test_memorization.py").write_text(text)
    targets = ("benchmark", str(folder), "benchmark/test_mine.py")
    assert {pytest_plugin._inside_benchmark(target, tmp_path) for target in targets} == {ours}


@pytest.mark.parametrize(("system", "peak"), [("Linux", 512 * 1024), ("Darwin", 512)])
def test_the_peak_of_memory_is_in_bytes_on_every_system(monkeypatch, system, peak):
    resource = SimpleNamespace(RUSAGE_SELF=0, getrusage=lambda who: SimpleNamespace(ru_maxrss=512))
    monkeypatch.setitem(sys.modules, "resource", resource)
    monkeypatch.setattr("platform.system", lambda: system)
    assert measure._peak_bytes("cpu") == peak


def test_a_system_that_does_not_tell_its_memory_has_no_peak(monkeypatch):
    monkeypatch.setitem(sys.modules, "resource", None)  # as on Windows
    assert measure._peak_bytes("cpu") is None


CONFTEST = """
import pytest
@pytest.fixture
def solidmark_measured():
    return lambda: {"controls": CONTROLS}
"""


@pytest.mark.parametrize(
    ("controls", "failed"), [('{"faults": []}', 0), ('{"faults": ["held-out images: M = 0.5"]}', 1), ("None", 1)]
)
def test_a_failed_check_fails_without_asserts_too(tmp_path, controls, failed):
    (tmp_path / "conftest.py").write_text(CONFTEST.replace("CONTROLS", controls))
    shutil.copy(ROOT / "benchmark" / "test_memorization.py", tmp_path / "test_it.py")
    command = [sys.executable, "-O", "-m", "pytest", "--assert=plain", "-q", "-p", "no:cacheprovider", "test_it.py"]
    assert subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120).returncode == failed


PLUGINS = ("xdist", "solidmark", "solidmark-fixtures", "solidmark-experiments")


def test_without_autoload_the_four_plugins_that_the_documents_name_are_enough(stranger):
    named = [word for plugin in PLUGINS for word in ("-p", plugin)]
    assert " ".join(named) in (ROOT / "docs" / "first_board.md").read_text(encoding="utf-8").replace("\n", " ")
    arguments = (*named, "--pyargs", "solidmark.benchmark", "--seeds", "5", "--collect-only", "-q")
    ran = run_pytest(stranger, *arguments, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1")
    assert "-s5]" in ran.stdout, ran.stdout + ran.stderr


def test_a_store_that_cannot_be_is_one_sentence_before_anything_runs(stranger):
    (stranger / "file").write_text("")
    ran = run_pytest(stranger, "--pyargs", "solidmark.benchmark", "-k", "none", SOLIDMARK_STORE=str(stranger / "file"))
    assert ran.returncode == 4, ran.stdout
    assert "Set SOLIDMARK_STORE to a folder that can be written." in ran.stderr
    assert not (stranger / "runs" / "latest" / "run.json").exists()


def test_what_pytest_loads_in_every_project_imports_no_numpy():
    modules = "solidmark.pytest_plugin, solidmark.fixtures.pytest_fixtures.measurement"
    code = f"import sys, {modules}; print({{'numpy', 'torch', 'pydantic'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


ASCII = {"files.py", "publish.py", "trial.py", "model.py", "render.py", "answers.py", "weights.py"}
"""Files whose texts are JSON in ASCII."""


def without_encoding(path):
    """Lines of a file that read or write a text in the encoding of the locale."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            texts = {"read_text": 0, "write_text": 1}  # a function of ours of the second name takes two arguments
            if node.func.attr in texts and len(node.args) == texts[node.func.attr]:
                yield from [] if any(word.arg == "encoding" for word in node.keywords) else [f"{path.name}:{node.lineno}"]


def test_no_text_is_read_in_the_encoding_of_the_locale():
    folders = ("src/solidmark", "benchmark", "fixtures", "mitigations", "reports")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py") if path.name not in ASCII]
    assert len(files) > 150
    assert [line for path in files for line in without_encoding(path)] == []
