"""The public face for authors: which names it has, that each is documented, and that our own plugins need no other."""

import ast
import inspect
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import solidmark
from solidmark import api

ROOT = Path(__file__).parents[1]
SECTIONS = {
    "Mitigation": "Claim Data Mitigation Needs Origin ReportedValue Sampler Scale Stage Trainer",
    "Models and batches": "Attention Autoencoder Batch Denoiser END Evaluations LatentNetwork Layer Model Network PADDING "
    "Prediction START SamplingBatch Schedule WORD",
    "Data": "ALIKE COMMON_WORDS Captions Examples join says_something",
    "Sampling": "Composition Service SolverConfig guide",
    "Training": "Recipe Run",
    "Editing a trained model": "NoisedBatch draw_noised_batch follow_direction global_norm gradients "
    "mean_gradients minimize_loss parts_of",
    "Queries": "Access Answer Attack Audit",
    "Distances": "Distance Surroundings",
    "Detectors": "Detector",
    "Testbeds and marks": "Blocks Border Labelled Mark Patch Testbed draw_keys paint_keys read_keys",
    "Randomness": "numpy_rng torch_rng",
    "Errors": "InvalidValue NotApplicable PluginFault SolidmarkError",
}
PLUGINS = [path for folder in ("mitigations", "fixtures") for path in sorted((ROOT / folder).glob("*.py"))]


def imported(path: Path) -> set[str]:
    """Modules of solidmark that a file imports, wherever in the file it does so."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    froms = {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {name for name in froms | plain if name.split(".")[0] == "solidmark"}


def noted_constants() -> set[str]:
    """Names that a module of the core assigns, with a docstring of their own below the assignment."""
    bodies = [ast.parse(path.read_text()).body for path in (ROOT / "src" / "solidmark").rglob("*.py")]
    pairs = [pair for body in bodies for pair in pairwise(body)]
    noted = [statement for statement, note in pairs if isinstance(note, ast.Expr) and isinstance(note.value, ast.Constant)]
    targets = [
        target for statement in noted for target in getattr(statement, "targets", [getattr(statement, "target", None)])
    ]
    return {node.id for target in targets if target for node in ast.walk(target) if isinstance(node, ast.Name)}


def test_the_public_names_are_these():
    assert sorted(api.__all__) == sorted(name for names in SECTIONS.values() for name in names.split())


def test_every_public_name_is_there():
    assert [name for name in api.__all__ if not hasattr(api, name)] == []


def test_the_seven_plain_names_are_those_of_the_package():
    assert all(getattr(solidmark, name) is getattr(api, name) for name in set(solidmark.__all__) - {"Measure"})
    assert set(solidmark.__all__) == {"Claim", "Measure", "Mitigation", "Needs", "Origin", "Sampler", "Stage", "Trainer"}


@pytest.mark.parametrize(("section", "names"), SECTIONS.items())
def test_every_section_explains_its_names(section, names):
    paragraph = next(part for part in api.__doc__.split("\n\n") if part.startswith(f"**{section}.**"))
    assert [name for name in names.split() if f"`{name}`" not in paragraph] == []


@pytest.mark.parametrize("name", api.__all__)
def test_every_public_name_is_documented(name):
    thing = getattr(api, name)
    if inspect.isclass(thing) or inspect.isfunction(thing):
        assert thing.__doc__
        assert not thing.__doc__.startswith(f"{thing.__name__}("), "the text that a dataclass writes by itself"
    else:
        assert name in noted_constants()


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_our_own_plugins_import_the_public_names_alone(path):
    assert imported(path) <= {"solidmark", "solidmark.api"}


def test_the_plain_names_need_no_torch():
    code = "import sys, solidmark; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
