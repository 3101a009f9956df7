"""The rules of the house: imports point one way, folders know only the core, nothing is registered twice."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CORE = ROOT / "src" / "solidmark"
FOLDERS = ("benchmark", "fixtures", "mitigations", "reports")
LAYERS = (
    ("errors", "seeds", "keys", "scores", "claims", "mitigation", "progress", "limits", "surroundings"),
    ("composition", "marks", "data", "assess", "worst"),
    ("models", "doors", "utility", "features", "concordance", "concord"),
    ("memorizer", "sampling", "training", "denoising"),
    ("queries", "testbed", "store", "records", "provenance", "whitebox"),
    ("blind",),
    ("weights", "answers", "items"),
    ("case",),
    ("pooling", "pooled", "incidents", "findings", "outcomes", "paired", "telling", "rows"),
    ("curves", "excess", "ranking", "fairness"),
    ("compare", "plugins", "profiles", "devices", "watch"),
    ("plan", "render", "session", "doctor", "lab", "toys", "rules", "new"),
    ("controller", "testing"),
    ("pytest_plugin", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def imported(path: Path) -> set[str]:
    """Modules of solidmark that a file imports when it runs; imports for types alone point where they like."""
    tree = ast.parse(path.read_text())
    typing = {
        id(n)
        for b in ast.walk(tree)
        if isinstance(b, ast.If) and "TYPE_CHECKING" in ast.unparse(b.test)
        for n in ast.walk(b)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and id(node) not in typing:
            found |= _names(node)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("solidmark.") for alias in node.names if alias.name.startswith("solidmark.")}
    return found


def _names(node: ast.ImportFrom) -> set[str]:
    module = node.module or ""
    if node.level == 0 and module.split(".")[0] != "solidmark":
        return set()
    inside = module.removeprefix("solidmark").lstrip(".")
    return {inside.split(".")[0]} if inside else {alias.name for alias in node.names}


@pytest.mark.parametrize("path", sorted(CORE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_of_the_core_point_down(path):
    if path.stem == "__init__":
        return
    above = {name for name in imported(path) & set(LEVEL) if LEVEL[name] > LEVEL[path.stem]}
    assert not above, f"{path.stem} (layer {LEVEL[path.stem]}) imports {above}"


def test_every_module_of_the_core_has_a_layer():
    modules = {path.stem for path in CORE.glob("*.py")} | {path.parent.name for path in CORE.glob("*/__init__.py")}
    assert modules - {"__init__"} == set(LEVEL)


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_core_and_the_other_folders_never_import_a_folder(folder):
    others = [path for place in (CORE, *(ROOT / f for f in FOLDERS if f != folder)) for path in place.rglob("*.py")]
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
    code = "import sys, solidmark.render, solidmark.compare, solidmark.__main__; print('torch' in sys.modules)"
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
    assert json.loads(found.stdout) == ["solidmark", "solidmark.queries"]
    for folder in FOLDERS:
        assert not [path for path in (ROOT / folder).rglob("*/*.py") if not (path.parent / "__init__.py").exists()]


def test_files_that_documents_name_exist():
    for document in [*ROOT.glob("*.md"), *ROOT.glob("design/*.md")]:
        links = re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text())
        assert not [link for link in links if not (document.parent / link).exists()], document


def test_files_bear_no_path_of_a_machine():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    pattern = re.compile(r"/(?:root|home|work)/\w")
    own = Path(__file__).name
    assert not [
        name for name in listed if not name.endswith(own) and pattern.search((ROOT / name).read_text(errors="replace"))
    ]
