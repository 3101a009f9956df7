"""The recipes for published files: each asks a pipeline in their style as it is, and is a row beside the stock pipeline."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from solidmark import plugins
from solidmark.mitigation import Needs
from solidmark.pipelines import ask
from solidmark.runner import plan
from solidmark.runner.options import Options
from solidmark.sampling import Service
from solidmark.testing.toys import ToySetup

ROOT = Path(__file__).parents[1]
NOTE = (ROOT / "design" / "pipelines.md").read_text()
FILE = Path(__file__).with_name("published_pipelines.py")
RECIPES = re.findall(r"`(\w+)` \|$", NOTE.partition("## Published files")[2], re.MULTILINE)


@pytest.fixture(scope="module")
def toy():
    return ToySetup("latent", Needs.NOTHING)


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """The file of calls that the note writes."""
    file = tmp_path_factory.mktemp("recipes") / "calls.py"
    file.write_text(re.search(r"```python\n(from types.*?)```", NOTE, re.DOTALL).group(1))
    return file


SEARCHED = {"wen": (20, 20), "han": (2, 0), "sail": (16, 0), "prss": (8, 0), "guard": (4, 0), "anisotropy": (16, 0)}
"""Evaluations forward and backward an image that the search of a recipe takes, beside the run of four steps."""


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_asks_a_class_in_the_style_of_its_file_which_searches_and_answers(toy, calls, name):
    part = plugins.compose(f"pipeline(pipeline_class='{FILE}:{name.title()}', call='{calls}:{name}')")
    loaded, split = Service(toy.model, part, 0).pipeline, toy.split
    images = split.mark.canvas(split.trained.images[:2])
    found = ask(loaded, images, split.mark, split.trained.captions[:2], steps=4, guidance=3.0)
    forward, backward = SEARCHED[name]
    assert (found.counts.denoiser, found.counts.backward) == (2 * (8 + forward), 2 * backward)
    filled = split.mark.masks(16, 16).any(dim=0)
    assert torch.equal(found.images[..., ~filled], images[..., ~filled])
    assert (found.images - images)[..., filled].abs().max() > 0.1


def test_the_note_has_a_recipe_for_each_file_and_a_command_that_makes_two_rows_of_it(calls):
    assert [line.partition("(")[0][4:] for line in calls.read_text().splitlines() if line.startswith("def ")] == RECIPES
    command = re.search(r"pytest benchmark/.*--pipeline-class (\S+) --pipeline-call calls.py:(\w+)", NOTE, re.DOTALL)
    assert command.group(2) in RECIPES
    options = Options(mitigations=("none",), testbeds=("latent-digits",), references=False, pipeline_class=f"{FILE}:Wen")
    rows = plan.cases(replace(options, pipeline_call=f"{calls}:{command.group(2)}"))
    assert [row.family for row in rows] == ["none", "pipeline", f"calls.{command.group(2)}"]
