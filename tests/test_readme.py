"""The README: its example runs as it stands, and its commands are those of continuous integration."""

import re
import tomllib
from pathlib import Path

import pytest
from strangers import World, metadata

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("readme"))


def test_the_example_is_about_twenty_lines():
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 20


def test_the_example_as_a_file_gets_its_row(world):
    (world.folder / "mine.py").write_text(block("python"))
    ran = world.run("--mitigation", "mine.py:ShrunkEmbeddings(factor=0.2)", "-k", "Shrunk", "--run-dir", "run")
    assert ran.code == 0, ran.output
    assert ran.record("mine.ShrunkEmbeddings")["parameters"] == {"factor": 0.2}


def test_the_example_as_a_package_gets_a_row_for_each_strength(world):
    site = world.folder / "site"
    (site / "mine.py").write_text(block("python"))
    project = tomllib.loads(block("toml"))["project"]
    entries = "\n".join(f"{k} = {v}" for k, v in project["entry-points"]["solidmark.mitigations"].items())
    metadata(site, project["name"], f"[solidmark.mitigations]\n{entries}\n")
    listed = world.run("--collect-only", "-q", "-m", "shrunk", "--profile", "standard", "--seeds", "0").output
    assert re.findall(r"tiny-shrunk-([\d.]+)-s0", listed) == ["0.8", "0.5", "0.2"]


def test_continuous_integration_runs_the_commands_of_the_readme():
    makefile = (ROOT / "Makefile").read_text()
    assert ".venv/bin/pytest tests/ -n auto -W error" in README
    assert "$(BIN)/pytest tests/ -n auto -W error" in makefile
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_the_list_of_mitigations_names_every_family_and_file():
    listed = (ROOT / "mitigations" / "README.md").read_text().partition("## Left out")[0]
    rows = re.findall(r"^\| (`.*`) \| \[(\w+)\.py\]", listed, re.MULTILINE)
    named = {name for families, _ in rows for name in re.findall(r"`(.*?)`", families)}
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["solidmark.mitigations"]
    assert named == set(entries) - {"none"}
    assert {file for _, file in rows} == {entry.split(":")[0].split(".")[-1] for entry in entries.values()} - {"none"}


def test_options_that_the_readme_names_exist(world):
    help_text = world.run("--help").output
    named = set(re.findall(r"--[a-z][a-z-]+", README)) - {"--collect-only", "--pyargs", "--help"}
    assert not [option for option in named if option not in help_text]
