"""Weights: which rows share a trained or edited model, what building one costs, and what is reported."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.fixtures.finetune import FineTunedDigits
from solidmark.mitigations.early_stopping import EarlyStopping
from solidmark.mitigations.finetune import FineTune
from solidmark.mitigations.rna import RandomNumbers
from solidmark.mitigations.weight_noise import WeightNoise
from worlds import composed, digits, tiny

from solidmark import Mitigation, Needs
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.models import Network, Recipe
from solidmark.models.memorizer import Memorizer
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store

TESTBED = tiny()
"""Three steps on batches of eight images."""


@dataclass(frozen=True)
class Reporting(Mitigation):
    """Edits nothing and says so."""

    needs = Needs.FORGET

    def edit(self, model, data, rng):
        data.report("no_op", True)
        data.report("drawn", torch.rand((), generator=rng).item())
        return model


def case(*mitigations, testbed=TESTBED, seed=0, **changed):
    return Case("digits", testbed, composed(*mitigations), seed, (("outpaint", Outpaint()),), **changed)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(Store(tmp_path))


@pytest.fixture
def trainings(monkeypatch):
    """The trainings that take place, as (training set, composition)."""
    seen, train = [], weights.train
    monkeypatch.setattr(weights, "train", lambda *given, **named: (seen.append(given[1:3]), train(*given, **named))[1])
    return seen


def test_rows_of_the_same_training_share_its_model(workspace, trainings):
    rows = [case(), case(RandomNumbers()), case(WeightNoise()), case(testbed=replace(TESTBED, held_out=65))]
    digests = {weights.fingerprint(weights.train_or_load(row, workspace)[0]) for row in rows}
    assert (len(trainings), len(digests)) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        case(seed=1),
        case(marked=False),
        case(EarlyStopping(0.4)),
        case(testbed=replace(TESTBED, trained=17)),
        case(testbed=replace(TESTBED, recipe=replace(TESTBED.recipe, batch=9))),
    ],
    ids=["seed", "blank marks", "training stage", "images", "recipe"],
)
def test_what_a_training_follows_from_keeps_models_apart(workspace, trainings, other):
    digests = {weights.fingerprint(weights.train_or_load(row, workspace)[0]) for row in (case(), other)}
    assert (len(trainings), len(digests)) == (2, 2)


def test_a_training_part_that_may_see_held_out_images_is_known_by_the_whole_split(workspace, trainings):
    for held_out in (64, 65):
        weights.train_or_load(case(EarlyStopping(0.4), testbed=replace(TESTBED, held_out=held_out)), workspace)
    assert len(trainings) == 2


def test_a_training_gets_the_true_keys_or_none_on_blank_marks(workspace, trainings):
    for marked in (True, False):
        weights.train_or_load(case(marked=marked), workspace)
    (painted, _), (blank, _) = trainings
    assert torch.equal(painted.keys, TESTBED.split(0).training_keys)
    assert blank.keys is None
    assert torch.equal(painted.examples.images, TESTBED.split(0).training.images)


def test_only_the_parts_of_the_training_stage_train(workspace, trainings):
    weights.train_or_load(case(RandomNumbers(), EarlyStopping(0.4), WeightNoise()), workspace)
    assert trainings[0][1].label == "EarlyStopping(share=0.4)"


def test_a_training_costs_its_steps_times_its_batch_and_the_cost_is_kept(workspace):
    first, again = (weights.train_or_load(case(), workspace)[1].cost for _ in range(2))
    assert (first["forward"], first["backward"]) == (3 * 8, 3 * 8)
    assert first["seconds"] > 0
    assert again == first


def test_without_an_edit_the_trained_model_is_the_edited_one_and_costs_nothing_more(workspace):
    model, builds = weights.edit_or_load(case(RandomNumbers()), workspace)
    assert weights.fingerprint(model) == weights.fingerprint(weights.train_or_load(case(), workspace)[0])
    assert builds["editing"].cost == {"forward": 0, "backward": 0, "seconds": 0.0}
    assert (builds["editing"].reported, list(builds)) == ({}, ["training", "editing"])


def test_an_edit_costs_what_it_evaluates_apart_from_the_training(workspace):
    builds = weights.edit_or_load(case(FineTune(2, batch=4)), workspace)[1]
    assert (builds["training"].cost["forward"], builds["training"].cost["backward"]) == (24, 24)
    assert (builds["editing"].cost["forward"], builds["editing"].cost["backward"]) == (2 * 4, 2 * 4)
    assert builds["editing"].cost["seconds"] > 0


def test_an_edit_is_made_once_and_leaves_the_trained_model_as_it_was(workspace):
    before = weights.fingerprint(weights.train_or_load(case(), workspace)[0])
    first, again = (weights.edit_or_load(case(WeightNoise()), workspace)[0] for _ in range(2))
    assert weights.fingerprint(first) == weights.fingerprint(again) != before
    assert weights.fingerprint(weights.train_or_load(case(), workspace)[0]) == before


def test_what_an_edit_reports_is_kept_and_drawn_again_from_its_seed(workspace, tmp_path):
    first, again = (weights.edit_or_load(case(Reporting()), workspace)[1]["editing"].reported for _ in range(2))
    anew = weights.edit_or_load(case(Reporting()), Workspace(Store(tmp_path / "new")))[1]["editing"].reported
    other = weights.edit_or_load(case(Reporting(), seed=1), workspace)[1]["editing"].reported
    drawn = first["Reporting"]["drawn"]
    assert first == again == anew == {"Reporting": {"no_op": True, "drawn": drawn, "weights_moved": 0.0}}
    assert other["Reporting"]["drawn"] != first["Reporting"]["drawn"]


def test_edits_of_other_parameters_or_of_another_forget_list_are_made_anew(workspace, monkeypatch):
    edits, edit = [], FineTune.edit
    monkeypatch.setattr(FineTune, "edit", lambda self, *given: (edits.append(self), edit(self, *given))[1])
    lists = [replace(TESTBED, forget=forget) for forget in ((0, 1, 2), (3, 4, 5))]
    rows = [case(FineTune(1, batch=2), testbed=one) for one in lists]
    for row in [*rows, *rows, case(FineTune(1, batch=3), testbed=lists[0])]:
        weights.edit_or_load(row, workspace)
    assert [one.batch for one in edits] == [2, 2, 3]


def small_base():
    recipe = Recipe(network=TESTBED.recipe.network, train_steps=2, batch=4)
    return replace(FineTunedDigits(), trained=16, held_out=64, generated=16, recipe=TESTBED.recipe, base=recipe)


def test_a_base_is_trained_once_for_all_rows_on_images_that_nobody_asks_about(workspace, trainings):
    testbed = small_base()
    for row in (case(testbed=testbed), case(EarlyStopping(0.4), testbed=testbed)):
        weights.train_or_load(row, workspace)
    (base, nothing), *tuned = trainings
    assert (len(tuned), nothing.label, base.keys) == (2, "none", None)
    assert torch.equal(base.examples.images, testbed.base_examples().images)


def test_a_training_goes_on_from_its_base(workspace, trainings):
    """No step at a tiny rate: the weights are those of the base."""
    still = replace(small_base(), recipe=replace(TESTBED.recipe, train_steps=1, learning_rate=1e-30, weight_decay=0.0))
    model = weights.train_or_load(case(testbed=still), workspace)[0]
    base = weights._train_base_or_load(case(testbed=still), workspace)
    assert weights.fingerprint(model) == weights.fingerprint(base)
    assert weights._train_base_or_load(case(), workspace) is None


@pytest.mark.parametrize("changed", [{"train_steps": 3}, {"batch": 5}])
def test_another_base_is_another_model(workspace, trainings, changed):
    testbed = small_base()
    other = replace(testbed, base=replace(testbed.base, **changed))
    assert len({weights.fingerprint(weights.train_or_load(case(testbed=t), workspace)[0]) for t in (testbed, other)}) == 2
    assert len(trainings) == 4


def test_a_fingerprint_tells_any_weight_of_network_and_text_and_nothing_else():
    model = weights.models.build(TESTBED.recipe.network, torch.Generator().manual_seed(0))
    seen = {weights.fingerprint(model), weights.fingerprint(model.copy())}
    for weight in (model.network.conv_in.weight, next(model.text.parameters())):
        with torch.no_grad():
            weight.flatten()[-1] += 1
        seen.add(weights.fingerprint(model))
    assert len(seen) == 3


def test_memorizers_of_other_images_have_other_fingerprints():
    splits = [digits(trained=16, held_out=32).split(seed) for seed in (0, 1)]
    assert len({weights.fingerprint(Memorizer(split.marked_trained)) for split in splits}) == 2


@pytest.mark.parametrize(
    ("base", "given", "needs", "handed"),
    [
        ("trained", True, True, "trained"),
        ("trained", False, False, "trained"),
        (None, True, True, "built"),
        (None, True, False, None),
        (None, False, True, None),
    ],
)
def test_a_base_is_the_trained_one_else_a_given_pipeline_that_a_mitigation_asks_for(monkeypatch, base, given, needs, handed):
    frozen = SimpleNamespace(frozen=lambda: "built")
    monkeypatch.setattr(weights.models, "build", lambda network, rng: SimpleNamespace(to=lambda device: frozen))
    network = object.__new__(weights.GivenNetwork if given else Network)
    composition = SimpleNamespace(needs={Needs.BASE_MODEL} if needs else set())
    testbed = SimpleNamespace(recipe=SimpleNamespace(network=network))
    case = SimpleNamespace(testbed=testbed, composition=composition, seed=0)
    found = weights._handed_base(case, base, SimpleNamespace(device="cpu"))
    assert found == ({} if handed is None else {"base_model": handed})
