"""A stranger's plugin, from `solidmark new` to its row in the table, by the commands of CONTRIBUTING.md."""

import os
import re
import subprocess
from pathlib import Path

import fresh
import pytest
from strangers import install

ROOT = Path(__file__).parents[1]
COMMANDS = re.search(r"```sh\n(.*?)```", (ROOT / "CONTRIBUTING.md").read_text(), re.DOTALL).group(1).splitlines()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the commands were run, one after another, in a fresh environment without a network, on a tiny testbed."""
    folder = tmp_path_factory.mktemp("stranger")
    commands = fresh.environment(folder / "environment")
    path = {"PATH": f"{commands}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": str(install(folder / "site"))}
    options = {
        "PYTEST_ADDOPTS": "-p no:cacheprovider -W error --solidmark-testbed tiny --solidmark-run-dir run "
        "--solidmark-no-references",
        "SOLIDMARK_STORE": str(folder / "s"),
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "PYTHONPATH"))}
    script = "set -e\n" + "\n".join(COMMANDS).replace(" --seeds 0-2", "")  # one seed has the same row
    environment = {**inherited, **fresh.OFFLINE, **path, **options}
    done = subprocess.run(["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_it_takes_five_commands_and_one_file_to_edit(folder):
    assert len(COMMANDS) <= 5
    assert sorted(path.name for path in (folder / "quiet-words").glob("*.py")) == ["quiet_words.py"]


def test_the_row_is_in_the_table(folder):
    run = folder / "quiet-words" / "run"
    assert re.search(r"\| quiet-words\(scale=0\.5\)", (run / "leaderboard.md").read_text())
    assert "quiet-words(scale=0.5)" in (run / "leaderboard.html").read_text()
