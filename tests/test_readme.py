"""The documents: README's example runs, its commands are those of continuous integration, lists agree with the code."""

import re
import tomllib
from pathlib import Path

import pytest
from strangers import World, metadata
from test_house import LAYERS

from solidmark import __main__ as console
from solidmark import plugins

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def block(language):
    return re.search(rf"```{language}\n(.*?)```", README, re.DOTALL).group(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("readme"))


def test_the_readme_is_read_in_three_minutes_and_says_early_what_there_is_for_stable_diffusion():
    prose = re.sub(r"```.*?```|\]\([^)]*\)", " ", README, flags=re.DOTALL)
    assert len(re.findall(r"[A-Za-z★]{2,}", prose)) <= 3 * 250
    paragraphs = [part for part in README.split("\n\n") if part.startswith("**")]
    assert "Stable Diffusion" in paragraphs[1]


def test_the_example_is_about_twenty_lines():
    assert len([line for line in block("python").splitlines() if line.strip()]) <= 20


def test_the_example_as_a_file_gets_its_row(world):
    (world.folder / "mine.py").write_text(block("python"))
    ran = world.run("--mitigation", "mine.py:ShrunkEmbeddings(factor=0.2)", "-k", "Shrunk", "--run-dir", "run")
    assert ran.code == 0, ran.output
    assert ran.record("mine.ShrunkEmbeddings")["parameters"] == {"factor": 0.2}


def test_the_example_as_a_package_gets_a_row_for_each_setting(world):
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
    assert all(f"make {target}" in (ROOT / ".ci" / "run").read_text() for target in ("check", "test", "results"))


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "results/README.md"])
def test_make_targets_that_documents_name_exist(document):
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make (\w+)`", (ROOT / document).read_text())) <= {*targets}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "design/measured.md", "results/README.md"])
def test_files_that_commands_name_exist(document):
    named = re.findall(r"(?:benchmark|tests|results|design)/[\w/.-]+\.(?:py|txt)", (ROOT / document).read_text())
    assert not [path for path in named if not (ROOT / path).exists()]


def test_the_design_note_has_the_layers_of_the_house():
    rows = re.findall(r"^\| \d \| (`.*`) \|$", (ROOT / "design" / "structure.md").read_text(), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in reversed(rows)] == [set(layer) for layer in LAYERS]


def test_the_glossary_has_at_most_thirty_lines():
    text = (ROOT / "design" / "structure.md").read_text()
    glossary = text.partition("## Glossary\n")[2].partition("\n## ")[0].strip()
    assert 20 < len(glossary.splitlines()) <= 30


def test_version_changelog_and_citation_agree():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    heading = re.search(r"^## (\S+) - (\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert heading.group(1) == version
    assert f"version: {version}\ndate-released: {heading.group(2)}" in (ROOT / "CITATION.cff").read_text()


def test_the_list_of_mitigations_names_every_family_and_file():
    listed = (ROOT / "mitigations" / "README.md").read_text().partition("## Left out")[0]
    rows = re.findall(r"^\| (`.*`) \| \[(\w+)\.py\]", listed, re.MULTILINE)
    named = {name for families, _ in rows for name in re.findall(r"`(.*?)`", families)}
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["solidmark.mitigations"]
    assert named == set(entries) - {"none"}
    assert {file for _, file in rows} == {entry.split(":")[0].split(".")[-1] for entry in entries.values()} - {"none"}


def test_the_list_of_mitigations_says_of_each_family_what_its_class_says():
    listed = (ROOT / "mitigations" / "README.md").read_text().partition("## Left out")[0]
    rows = re.findall(r"^\| (`.*`) \| \[\w+\.py\]\(\w+\.py\) \| (\w+) \| (.*) \|$", listed, re.MULTILINE)
    for families, letter, source in rows:
        for name in re.findall(r"`(.*?)`", families):
            (part,) = plugins.compose(name).parts
            kind = part.mitigation
            assert (letter, source) == ("control" if kind.control else kind.fidelity, kind.reference), name


def test_options_that_the_readme_names_exist(world):
    commands = next(action.choices for action in console.parser()._actions if action.choices)
    help_text = world.run("--help").output + "".join(command.format_help() for command in commands.values())
    pages = [path.read_text() for path in sorted((ROOT / "docs").glob("*.md"))]
    others = {"--collect-only", "--pyargs", "--help", "--num_processes"}
    named = {option for text in (README, *pages) for option in re.findall(r"(?<![\w-])--[a-z][a-z_-]+", text)} - others
    assert not [option for option in named if option not in help_text]
