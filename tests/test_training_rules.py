"""Rules of the training loop and of hooks on stand-ins: what makes a step, what is added up, what is asked of a part."""

import math
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from solidmark.data import Examples
from solidmark.errors import NotApplicable, PluginFault
from solidmark.mitigation import Mitigation
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.foreign import StockPipeline
from solidmark.mitigation.hooks import Hooks, is_scale
from solidmark.mitigation.needs import Stage
from solidmark.mitigation.run import Run
from solidmark.pipelines import Loaded
from solidmark.training import BaseTrainer, _added, _require_one_a_sample


def trainer(losses, accumulate=1, crew=None, weights=1):
    """A loop on weights w = 1; `losses` gives the losses of the images with these indices, from w."""
    layers = [nn.Parameter(torch.ones(())) for _ in range(weights)]
    run = SimpleNamespace(recipe=SimpleNamespace(accumulate=accumulate), done=3, steps=[], rng=torch.Generator())
    run.parameters, run.apply = (lambda: layers), (lambda gradients: run.steps.append([g and float(g) for g in gradients]))
    run.model = SimpleNamespace(device=torch.device("cpu"))
    run.batch = lambda indices: SimpleNamespace(clean=indices.float())
    made = BaseTrainer(run, None, crew)
    made.outer = SimpleNamespace(times=lambda batch: batch.clean.long(), losses=lambda batch, t: losses(layers, batch.clean))
    return made


@pytest.mark.parametrize(("accumulate", "parts"), [(1, 1), (2, 2), (3, 3), (99, 4)])
def test_a_step_follows_the_mean_over_samples_that_were_not_dropped_however_it_is_cut(accumulate, parts):
    seen = []

    def losses(weights, values):
        seen.append(len(values))
        return weights[0] * values

    made = trainer(losses, accumulate)
    made.update(torch.tensor([0, 2, 4, 6]))
    assert (made.run.steps, len(seen)) == ([[4.0]], parts)  # 0 is dropped


@pytest.mark.parametrize("accumulate", [1, 2])
def test_without_a_sample_there_is_no_step_and_a_weight_without_part_has_no_gradient(accumulate):
    made = trainer(lambda weights, values: weights[0] * values, accumulate, weights=2)
    made.update(torch.tensor([0, 0]))
    assert made.run.steps == []
    made.update(torch.tensor([2, 4]))
    assert made.run.steps == [[3.0, None]]


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_told_with_its_step(wrong):
    with pytest.raises(PluginFault, match=r"training, step 3: found loss (nan|inf)"):
        trainer(lambda weights, values: weights[0] * values * wrong).update(torch.tensor([1, 2]))


@pytest.mark.parametrize(("shape", "found"), [((2,), None), ((1,), r"\(1,\) on cpu"), ((2, 1), r"\(2, 1\) on cpu")])
def test_there_is_one_number_a_sample(shape, found):
    batch = SimpleNamespace(clean=torch.zeros(2, 1))
    if found is None:
        _require_one_a_sample("times", torch.zeros(shape), batch)
    else:
        with pytest.raises(PluginFault, match=rf"training, times: found {found}; expected \(2,\) on cpu"):
            _require_one_a_sample("times", torch.zeros(shape), batch)


def test_gradients_of_all_processes_are_added_up_and_one_that_nobody_had_is_none():
    others = SimpleNamespace(total=lambda tensors: [one + other for one, other in zip(tensors, more)])
    more = [torch.tensor(5.0), torch.tensor(0.0), torch.tensor([3.0, 1.0, 0.0])]
    made = trainer(None, crew=others, weights=2)
    gradients, total = made._of_all([None, None], 2)
    assert ([g and float(g) for g in gradients], total) == ([5.0, None], 5)
    gradients, total = made._of_all([torch.tensor(1.0), torch.tensor(2.0)], 0)
    assert ([float(g) for g in gradients], total) == ([6.0, 2.0], 3)
    assert [_added(None, None), _added(None, 1), _added(1, None), _added(1, 2)] == [None, 1, 1, 3]


@pytest.mark.parametrize(("done", "batches", "taken"), [(0, 9, 4), (3, 9, 1), (4, 9, 0), (0, 2, 2)])
def test_a_training_takes_the_steps_that_are_left_or_as_many_as_there_are_batches(done, batches, taken):
    saved, run = [], SimpleNamespace(recipe=SimpleNamespace(train_steps=4), done=done, model=None)
    run.count_step = lambda: setattr(run, "done", run.done + 1)
    made, updated = BaseTrainer(run, SimpleNamespace(save_when_due=lambda *given: saved.append(given))), []
    made.outer = SimpleNamespace(batches=lambda: iter(range(batches)), update=updated.append)
    made.fit()
    assert (updated, run.done, len(saved)) == (list(range(taken)), done + taken, taken)
    assert all(given == (run, made.waiting) for given in saved)


@pytest.mark.parametrize(("leads", "saves"), [(True, 1), (False, 0)])
def test_of_a_crew_the_process_that_leads_saves(leads, saves):
    saved, run = [], SimpleNamespace(recipe=SimpleNamespace(train_steps=1), done=0, model=None, count_step=lambda: None)
    made = BaseTrainer(run, SimpleNamespace(save_when_due=lambda *_: saved.append(1)), SimpleNamespace(leads=leads))
    made.outer = SimpleNamespace(batches=lambda: iter([0]), update=lambda indices: None)
    made.fit()
    assert len(saved) == saves


def test_latents_are_encoded_once_unless_a_view_changes_them():
    run, encoded = Run.__new__(Run), []
    run.examples, run._latents = SimpleNamespace(images=torch.arange(4.0)), {}
    run.model = SimpleNamespace(space=SimpleNamespace(factor=8), encode=lambda x: encoded.append(x.tolist()) or 10 * x)
    run._painted, run._hooks = (lambda rows: run.examples.images[rows]), SimpleNamespace(acts=lambda hook: False)
    found = [run._clean(rows).tolist() for rows in ([2, 0, 2], [0, 3], [2])]
    assert (found, encoded) == ([[20.0, 0.0, 20.0], [0.0, 30.0], [20.0]], [[2.0, 0.0], [3.0]])
    run._hooks.acts = lambda hook: hook == "view"
    run._clean([2])
    run.model.space.factor, run._hooks.acts = 1, lambda hook: False
    run._clean([2])
    assert encoded[2:] == [[2.0], [2.0]]


@dataclass(frozen=True)
class Keeps(Mitigation):
    """Gives what a test wants from each hook of data at training."""

    what: str = ""

    stage = Stage.TRAINING

    def prepare(self, examples, rng):
        """Some of the examples."""
        return {
            "none": examples.take([]),
            "half": examples.take([0, 0]),
            "other": Examples(examples.images, ["a"] * 3, [7, 8, 9]),
        }[self.what]

    def view(self, images, rng):
        """Images at or beyond the ends of their range."""
        return images + float(self.what)


def hooks(mitigation):
    return Hooks(Composition((Part("keeps", mitigation),)), 0, "training")


def test_examples_are_kept_repeated_or_dropped_but_not_invented_and_one_is_left():
    given = Examples(torch.zeros(3, 1, 2, 2), ["a", "b", "c"], [1, 2, 3])
    kept = hooks(Keeps("half"))
    assert kept.prepare(given).ids == [1, 1]
    assert kept.reported == {"keeps": {"examples_kept": pytest.approx(2 / 3)}}
    for what in ("none", "other"):
        with pytest.raises(PluginFault, match=r"keeps.*prepare: found [03] examples of shape \(1, 2, 2\)"):
            hooks(Keeps(what)).prepare(given)


def test_a_view_may_have_the_ends_of_the_range_and_nothing_beyond():
    images = torch.tensor([0.0, 0.5]).reshape(2, 1, 1, 1)
    same, up = hooks(Keeps("0")), hooks(Keeps("0.5"))
    assert float(up.view(images).max()) == 1.0
    same.view(images)
    assert [one.reported["keeps"]["images_changed"] for one in (same, up)] == [0.0, 1.0]
    for beyond in ("0.50001", "-0.00001"):
        with pytest.raises(PluginFault, match=r"view: found values from .* expected images in \[0, 1\]"):
            hooks(Keeps(beyond)).view(images)


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (torch.tensor(2.0), True),
        (torch.tensor([2.0, 3.0]), True),
        (torch.tensor([[2.0]]), False),
        (torch.tensor([2.0, math.inf]), False),
        (2, True),
        (math.nan, False),
        ("2", False),
    ],
)
def test_a_scale_is_finite_and_has_one_axis_at_most(value, fits):
    assert is_scale(value) is fits


PLAIN = Part("none", Mitigation())
BRINGS = Part("pipeline", StockPipeline())


@pytest.mark.parametrize(
    ("parts", "model", "found"),
    [
        ((BRINGS, Part("keeps", Keeps("0"))), None, r"keeps\(what='0'\) at sampling"),
        ((BRINGS, BRINGS), None, "pipeline.* and pipeline.* at sampling"),
        ((BRINGS,), object(), "found object"),
    ],
)
def test_a_pipeline_answers_alone_and_for_a_model_that_has_one(parts, model, found):
    with pytest.raises(NotApplicable, match=found):
        Hooks(Composition(parts), 0, "sampling").pipeline(model)
    assert Hooks(Composition((PLAIN,)), 0, "sampling").pipeline(model) is None


def test_a_loaded_pipeline_is_taken_as_it_is_and_a_bare_one_is_loaded(monkeypatch):
    stock = SimpleNamespace(vae=[1], text_encoder=[2], register_modules=lambda **parts: vars(stock).update(parts))
    model = SimpleNamespace(pipeline=lambda: stock)
    model.copy = model.frozen = lambda: model
    answers = type("Answers", (), {"scheduler": "s", "__call__": lambda self: None})()
    vae = stock.vae
    monkeypatch.setattr("solidmark.mitigation.hooks.quiet", nullcontext)  # it imports diffusers
    for given in (answers, Loaded(answers, batch=3)):
        monkeypatch.setattr(StockPipeline, "pipeline", lambda self, stock, given=given: given)
        loaded = Hooks(Composition((BRINGS,)), 0, "sampling").pipeline(model)
        assert (loaded.pipe, loaded.batch) == (answers, 1 if given is answers else 3)
    assert (stock.vae, stock.vae is vae) == ([1], False)
    monkeypatch.setattr(StockPipeline, "pipeline", lambda self, stock: SimpleNamespace(scheduler=1))
    with pytest.raises(PluginFault, match="found SimpleNamespace; expected a diffusers pipeline"):
        Hooks(Composition((BRINGS,)), 0, "sampling").pipeline(model)
