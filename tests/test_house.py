"""The rules of the house: imports point one way, folders know only the core, nothing is registered twice."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "solidmark"
FOLDERS = ("benchmark", "fixtures", "mitigations", "reports")
LAYERS = (
    ("errors", "progress", "schema", "timeouts"),
    ("seeds", "data", "marks", "provenance", "records", "store"),
    ("keys", "models", "pipelines"),
    ("metrics", "mitigation", "split"),
    ("findings", "sampling", "training", "plugins"),
    ("queries", "testbed", "leaderboard"),
    ("measurement", "api", "collection"),
    ("experiments", "runner"),
    ("testing", "cli", "pytest_plugin"),
    ("__main__",),
)
"""The rooms of the core, a package or a module each, from the ground up. An import points down, or stays in its room."""
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def room(path: Path) -> str:
    """The package or module of the core that a file belongs to."""
    return path.relative_to(CORE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Rooms that a file imports, for types too, wherever in the file it does so."""
    package = ["solidmark", *path.relative_to(CORE).parts[:-1]] if path.is_relative_to(CORE) else []
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            found |= _names(node, package)
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("solidmark.")}
    return found


def _names(node: ast.ImportFrom, package: list[str]) -> set[str]:
    base = package[: len(package) - node.level + 1] if node.level else []
    parts = [*base, *(node.module or "").split(".")] if node.module else base
    if parts[:1] != ["solidmark"]:
        return set()
    return {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}


def test_the_house_is_small_enough_to_be_drawn():
    assert len(LEVEL) <= 32
    assert len(LAYERS) <= 10


@pytest.mark.parametrize("name", LEVEL)
def test_imports_of_the_core_point_down(name):
    files = [path for path in CORE.rglob("*.py") if room(path) == name]
    level = {path: imported(path) & set(LEVEL) - {name} for path in files}
    wrong = {path.name: up for path, names in level.items() if (up := {n for n in names if LEVEL[n] >= LEVEL[name]})}
    assert files
    assert not wrong, f"{name} (layer {LEVEL[name]}) imports from its own layer or above: {wrong}"


def test_every_room_of_the_core_has_a_layer():
    assert {room(path) for path in CORE.rglob("*.py")} - {"__init__"} == set(LEVEL)


def test_no_two_files_of_a_room_import_each_other():
    """No circle inside a package either, types included."""
    for package in sorted({path.parent for path in CORE.rglob("*.py")} - {CORE}):
        graph = {path.stem: _siblings(path) for path in package.glob("*.py") if path.stem != "__init__"}
        order = [*TopologicalSorter(graph).static_order()]  # a CycleError names the circle
        assert set(order) == set(graph), package


def _siblings(path: Path) -> set[str]:
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.level == 1]
    named = {node.module.split(".")[0] for node in nodes if node.module}
    beside = {alias.name for node in nodes if not node.module for alias in node.names}
    return {name for name in named | beside if (path.parent / f"{name}.py").exists()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_core_and_the_other_folders_never_import_a_folder(folder):
    others = [path for index in (CORE, *(ROOT / f for f in FOLDERS if f != folder)) for path in index.rglob("*.py")]
    assert not [
        path
        for path in others
        if folder in imported(path) or re.search(rf"^from {folder}|^import {folder}", path.read_text(), re.M)
    ]


def test_no_method_or_testbed_is_named_in_the_core():
    """A list of names in the core would be a second place to register; `none` and the default testbed are the exceptions."""
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    names = set(entries["solidmark.mitigations"]) - {"none"}
    for path in CORE.rglob("*.py"):
        strings = {
            n.value
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
        assert not strings & names, path


def test_only_models_and_what_needs_a_trained_model_import_torch_at_the_top():
    """After a record is written nothing needs torch."""
    free = "solidmark.leaderboard.render, solidmark.collection.marking, solidmark.collection.verifying, solidmark.__main__"
    code = f"import sys, {free}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_a_folder_imported_under_its_bare_name_says_what_to_import():
    for folder in ("fixtures", "mitigations", "reports"):
        done = subprocess.run([sys.executable, "-c", f"import {folder}"], cwd=ROOT, capture_output=True, text=True)
        assert f"import solidmark.{folder}" in done.stderr


def test_every_file_of_the_folders_is_in_the_installed_package():
    found = subprocess.run(
        [sys.executable, "-c", "import setuptools, json; print(json.dumps(setuptools.find_packages('src')))"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    packages = {
        "cli",
        "collection",
        "leaderboard",
        "measurement",
        "metrics",
        "mitigation",
        "models",
        "pipelines",
        "queries",
        "records",
        "runner",
        "schema",
        "testing",
    }
    assert set(json.loads(found.stdout)) == {"solidmark", *(f"solidmark.{name}" for name in packages)}
    for folder in FOLDERS:
        assert not [path for path in (ROOT / folder).rglob("*/*.py") if not (path.parent / "__init__.py").exists()]


def test_files_that_documents_name_exist():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("design/*.md"), *ROOT.glob("docs/*.md")]:
        links = re.findall(r"\]\((?!https?:|#|\.\./\.\./actions/)([^)#]+)", document.read_text())  # a badge of GitHub
        assert not [link for link in links if not (document.parent / link).exists()], document


def test_files_bear_no_path_of_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/(?:root|home|work)/\w")
    own = Path(__file__).name
    assert not [
        name for name in listed if not name.endswith(own) and pattern.search((ROOT / name).read_text(errors="replace"))
    ]
