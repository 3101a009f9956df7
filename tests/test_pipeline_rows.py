"""A stranger's pipeline is a row: asked as it is on the testbed's own weights, and compared with the stock pipeline."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import worlds
from strangers import World, metadata

from solidmark import plugins
from solidmark.errors import InvalidValue, NotApplicable, UnknownName
from solidmark.measurement import pipeline
from solidmark.measurement.case import Workspace
from solidmark.metrics import scores
from solidmark.mitigation import Mitigation, Needs
from solidmark.mitigation.composition import Composition, Part
from solidmark.pipelines import Loaded
from solidmark.provenance import code_digest
from solidmark.queries import Answer
from solidmark.queries.average import Average
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.outpaint import Outpaint
from solidmark.runner import plan
from solidmark.runner.options import Options
from solidmark.sampling import Service
from solidmark.store import Store
from solidmark.testing.toys import ToySetup

FILE = Path(__file__).with_name("modified_pipelines.py")
STRANGERS = {
    **{
        name: f"pipeline(pipeline_class='{FILE}:{name}', batch=16)"
        for name in ("PromptNoise", "OwnClock", "BetterStart", "LateGuidance")
    },
    "optimised": f"pipeline(call='{FILE}:optimised', batch=16)",
}


@pytest.fixture(scope="module")
def toy():
    return ToySetup("latent", Needs.NOTHING)


def answers(toy, expression, attack=None):
    case = toy.case(plugins.compose(expression) if isinstance(expression, str) else expression, attack)
    return toy.ask(case, toy.model)


@pytest.fixture(scope="module")
def stock(toy):
    return answers(toy, "pipeline")


@pytest.mark.parametrize("name", STRANGERS)
def test_five_modified_pipelines_answer_otherwise_than_the_stock_one_and_repeat(toy, stock, name):
    found = answers(toy, STRANGERS[name])
    assert np.abs(found.keys - stock.keys).max() > pipeline.SAME
    assert np.array_equal(found.keys, answers(toy, STRANGERS[name]).keys)


def test_the_stock_pipeline_answers_as_the_suites_own_sampler_without_noise(toy, stock):
    case = toy.case(Composition())
    own = toy.ask(replace(case, solver=replace(case.solver, eta=0.0)), toy.model)
    assert np.abs(own.keys - stock.keys).mean() < 0.02  # noise of their own


def test_what_a_pipeline_computes_is_counted_with_its_own_search(toy, stock):
    each, steps = len(stock.keys), 6
    assert stock.evaluations.forward == 2 * steps * (each + 1)  # one image is asked alone and in a batch
    searched = answers(toy, STRANGERS["optimised"]).evaluations
    assert (searched.forward, searched.backward) == ((each + 1) * (2 * steps + 3), (each + 1) * 3)
    assert searched.encoded >= each
    assert searched.decoded >= each


def test_the_model_behind_a_pipeline_stays_as_it_is(toy):
    before = toy.snapshot()
    answers(toy, STRANGERS["optimised"])
    assert toy.snapshot() == before


def test_a_stranger_s_edits_reach_no_other_model(toy):
    before = toy.snapshot()
    pipe = Service(toy.model, plugins.compose(STRANGERS["PromptNoise"]), 0).pipeline.pipe
    for part in (pipe.unet, pipe.text_encoder, pipe.vae):
        next(part.parameters()).data.zero_()
    assert toy.snapshot() == before


def test_plain_generation_goes_through_the_pipeline_as_well(toy):
    own, theirs = (answers(toy, one, CaptionOnly()) for one in ("pipeline", STRANGERS["PromptNoise"]))
    assert not np.allclose(own.images, theirs.images, atol=1e-5)  # repeated, either gives the same bits


def test_two_draws_of_an_image_are_two_answers(toy, stock):
    assert not np.array_equal(answers(toy, "pipeline", Average(draws=2)).keys, stock.keys)


def test_the_pipeline_of_the_documents_is_a_row(toy, stock, tmp_path):
    section = (Path(__file__).parents[1] / "docs" / "your_pipeline.md").read_text()
    (tmp_path / "theirs.py").write_text(section.partition("```python\n")[2].partition("```")[0])
    found = answers(toy, f"pipeline(pipeline_class='{tmp_path}/theirs.py:Shaken', batch=16)")
    assert np.abs(found.keys - stock.keys).max() > pipeline.SAME


@dataclass(frozen=True)
class StepsBack(Outpaint):
    """A query through the service that needs more than captions and given pixels."""

    def ask(self, audit):
        return Answer(audit.read(audit.outpaint(solver=replace(audit.solver, strength=0.5))))


def test_a_query_that_needs_more_than_captions_and_pixels_is_not_put(toy):
    with pytest.raises(NotApplicable, match=r"steps back.*captions and given pixels"):
        answers(toy, "pipeline", StepsBack())


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        (f"pipeline(pipeline_class='{FILE}:Builds')", "never called DDIMScheduler.step"),
        ("pipeline+gni", "gni.* at sampling; expected a pipeline alone"),
        (f"pipeline+pipeline(call='{FILE}:optimised')", "expected a pipeline alone"),
    ],
    ids=["one that calls no scheduler", "with a mitigation", "twice"],
)
def test_what_cannot_be_a_row_is_refused_with_the_cure(toy, expression, found):
    with pytest.raises(NotApplicable, match=found):
        answers(toy, expression)


def test_a_model_of_pixels_is_no_pipeline():
    with pytest.raises(NotApplicable, match="Choose a latent testbed"):
        Service(worlds.model(), plugins.compose("pipeline"), 0).pipeline  # noqa: B018


@dataclass(frozen=True)
class Brings(Mitigation):
    """A plugin of a package that brings a pipeline itself."""

    def pipeline(self, stock):
        stock.scheduler = type("Other", (type(stock.scheduler),), {}).from_config(stock.scheduler.config)
        return Loaded(stock, batch=16)


def test_a_plugin_may_bring_a_pipeline_without_any_file(toy, stock):
    found = answers(toy, Composition((Part("brings", Brings()),)))
    assert np.abs(found.keys - stock.keys).max() < pipeline.SAME


@pytest.mark.parametrize(
    ("kind", "fault", "warning"),
    [("Renamed", True, None), ("Elsewhere", True, "overrides _encode_prompt"), ("PromptNoise", False, None)],
)
def test_a_row_is_compared_with_the_stock_pipeline_image_by_image(toy, stock, tmp_path, kind, fault, warning):
    case = toy.case(plugins.compose(f"pipeline(pipeline_class='{FILE}:{kind}', batch=16)"))
    beside, lead = pipeline.find(case, toy.model, Workspace(Store(tmp_path))), toy.ask(case, toy.model)
    assert np.array_equal(beside.stock.keys, stock.keys)
    assert bool(pipeline.faults(beside, lead)) is fault
    block = pipeline.as_block(beside, toy.truth, case, {case.leading: lead})
    keys = toy.truth.trained_keys.double().numpy()
    m, n = (scores.memorization(found.trained, keys).value for found in (lead, stock))
    assert block["stock"]["difference"]["value"] == pytest.approx(m - n)
    assert block["identity"]["pipeline"] == kind
    assert any(warning in text for text in block["warnings"]) if warning else not block["warnings"]


def test_the_stock_pipeline_stands_for_itself(toy, tmp_path):
    beside = pipeline.find(toy.case(plugins.compose("pipeline")), toy.model, Workspace(Store(tmp_path)))
    assert beside.stock is None
    assert pipeline.find(toy.case(Composition()), toy.model, Workspace(Store(tmp_path))) is None


def test_class_file_and_call_are_a_part_of_the_identity(tmp_path, toy):
    file = tmp_path / "theirs.py"
    cases = []
    for text in ("def call(pipe, captions): return 1", "def call(pipe, captions): return 2"):
        file.write_text(text)
        composition = plugins.compose(f"pipeline(call='{file}:call')")
        assert code_digest(file.read_bytes()) in composition.parts[0].source
        cases.append(toy.case(composition).case_id)
    assert composition.family == "theirs.call"
    assert len({*cases, toy.case(plugins.compose("pipeline")).case_id}) == 3


def test_the_options_give_two_rows_beside_the_others():
    named = {"mitigations": ("none",), "testbeds": ("latent-digits",), "references": False}
    options = Options(**named, pipeline_class=f"{FILE}:PromptNoise")
    assert [case.family for case in plan.cases(options)] == ["none", "pipeline", "modified_pipelines.PromptNoise"]
    assert [case.case.composition.control for case in plan.cases(options)] == [True, True, False]


@pytest.mark.parametrize(
    ("expression", "error", "found"),
    [
        ("pipeline(pipeline_class='missing.py:Mine')", InvalidValue, "missing.py"),
        ("pipeline(call='nothing')", InvalidValue, "file.py:Name"),
        ("pipeline(batch=0)", InvalidValue, "batch"),
        ("pipeline(steps=3)", UnknownName, "steps"),
    ],
)
def test_a_mistake_is_named_before_anything_runs(expression, error, found):
    with pytest.raises(error, match=found):
        plugins.compose(expression)


def test_a_scheduler_that_does_not_exist_is_named_with_those_that_do(toy):
    with pytest.raises(UnknownName, match="EulerDiscreteScheduler"):
        answers(toy, "pipeline(scheduler='EulerDiscrete')")


TESTBED = """
from dataclasses import dataclass
from typing import ClassVar
from solidmark.api import Autoencoder, Mark, Recipe, SolverConfig
from solidmark.testing.toys import Toy, toy

@dataclass(frozen=True)
class Tiny(Toy):
    recipe: Recipe = toy("latent").recipe
    mark: Mark = toy("latent").mark
    autoencoder: Autoencoder | None = Autoencoder(train_steps=2)
    solvers: ClassVar[dict[str, SolverConfig]] = {"fast": SolverConfig(steps=3, reencode=2)}
"""


def test_pytest_gives_a_strangers_class_and_call_their_row_and_a_refused_one_its_reason(tmp_path):
    world = World(tmp_path)
    (tmp_path / "site" / "latent_world.py").write_text(TESTBED)
    metadata(tmp_path / "site", "latent-world", "[solidmark.testbeds]\ntiny-latent = latent_world:Tiny\n")
    theirs = ("--pipeline-class", f"{FILE}:LateGuidance", "--pipeline-call", f"{FILE}:optimised")
    others = ("--mitigation", f"pipeline(pipeline_class='{FILE}:Builds')", "--queries", "outpaint", "--no-references")
    ran = world.run("-n", "0", *theirs, *others, "--run-dir", "run", testbed="tiny-latent")
    record = ran.record("modified_pipelines.optimised")
    assert code_digest(FILE.read_bytes()) in record["pipeline"]["identity"]["source"], ran.output
    assert record["pipeline"]["stock"]["difference"]["images"] == 16
    assert ran.record("pipeline")["pipeline"]["stock"] is None
    assert ran.record("modified_pipelines.Builds")["status"] == "unsupported"
    assert "never called DDIMScheduler.step" in ran.record("modified_pipelines.Builds")["reason"]
    assert "modified_pipelines.optimised" in (ran.run / "leaderboard.html").read_text()


def test_a_label_names_files_without_the_folders_of_a_machine():
    composition = plugins.compose(f"pipeline(pipeline_class='{FILE}:PromptNoise', call='{FILE}:optimised')")
    place = "tests/modified_pipelines.py"
    assert composition.parts[0].distinguishing == {"pipeline_class": f"{place}:PromptNoise", "call": f"{place}:optimised"}
    assert composition.parts[0].parameters["call"] == f"{FILE}:optimised"
