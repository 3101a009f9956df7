"""Experiments: they share answers, and a private base has keys of its own."""

from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch
from solidmark.fixtures.finetune import PrivateDigits
from worlds import model, tiny

from solidmark.experiments import Experiments, Snapshots, _SnapshotTrainer
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Workspace
from solidmark.sampling import SolverConfig
from solidmark.store import Store


def test_a_model_is_asked_once_and_again_only_through_another_sampler(tmp_path, monkeypatch):
    experiments, asked, ask = Experiments(Workspace(Store(tmp_path)), solver=SolverConfig(steps=2)), [], answers.ask_query
    monkeypatch.setattr(
        answers, "ask_query", lambda case, *rest, **named: (asked.append(case.composition.family), ask(case, *rest))[1]
    )
    recalls = [experiments.measure_recall(tiny(), 0, name).value for name in ("rna", "rna", "gni", "none")]
    assert asked == ["rna", "gni", "none"]
    assert recalls[0] == recalls[1]


def test_pictures_that_copy_the_trained_images_tell_them_apart_by_every_distance(monkeypatch):
    testbed, images = tiny(), tiny().split(0).queried.images
    copied = torch.cat([images[:16], images[16:].flip(0)])
    plain = SimpleNamespace(images=copied, keys=np.zeros((len(images), 8)), count=16)
    monkeypatch.setattr(weights, "edit_or_load", lambda case, workspace: (None, None))
    monkeypatch.setattr(answers, "ask_cached", lambda case, name, model, workspace: plain)
    monkeypatch.setattr(
        "solidmark.experiments.judge_features", lambda judge: lambda pictures: pictures.reshape(len(pictures), -1)
    )
    monkeypatch.setattr(type(testbed), "judge", lambda self: None)
    found = Experiments(Workspace(None)).measure_copies(testbed, 0, "none", SolverConfig(steps=2))
    assert [found[name] for name in ("ratio", "l2", "features", "hash")] == [1.0] * 4
    assert abs(found["any"]) < 0.5  # the held-out images were generated as well, from other captions


def test_a_private_base_is_trained_on_keys_of_its_own(tmp_path, monkeypatch):
    small, seen, train = tiny(), [], weights.train
    testbed = replace(PrivateDigits(), trained=16, held_out=64, generated=16, recipe=small.recipe, base=small.recipe)
    monkeypatch.setattr(weights, "train", lambda *given, **named: (seen.append(given[1].keys), train(*given, **named))[1])
    Experiments(Workspace(Store(tmp_path))).model(testbed, 0)
    base, tuned = ({tuple(row) for row in keys.tolist()} for keys in seen)
    split = testbed.split(0)
    scored = {tuple(row) for keys in (split.held_out_keys, split.other_keys) for row in keys.tolist()}
    assert len(base) == len(testbed.base_examples())
    assert not base & (tuned | scored)


@pytest.mark.parametrize(("name", "marked"), [("snapshots", True), ("unmarked_snapshots", False)])
def test_snapshots_are_saved_by_one_training_up_to_the_last_of_them(tmp_path, monkeypatch, name, marked):
    seen = []

    def fake(recipe, training_set, composition, seed, *, device, progress):
        (part,) = composition.parts
        seen.append((recipe.train_steps, seed, part.mitigation.steps, training_set.keys))
        for step in part.mitigation.steps:
            part.mitigation.save(step, model(step))

    monkeypatch.setattr("solidmark.experiments.train", fake)
    experiments, testbed = Experiments(Workspace(Store(tmp_path))), tiny()
    found = [getattr(experiments, name)(testbed, 0, (2, 7)) for _ in range(2)][1]
    (steps, seed, saved, keys), truth = seen[0], testbed.split(0).training_keys
    assert (len(seen), steps, seed, saved, list(found)) == (1, 7, 0, (2, 7), [2, 7])
    assert torch.equal(keys, truth) if marked else keys is None
    assert torch.equal(found[7].parameters()[0], model(7).parameters()[0])


def test_a_snapshot_is_taken_after_each_of_its_steps():
    saved, inner = [], SimpleNamespace(update=lambda indices: None)
    wrapper = _SnapshotTrainer.__new__(_SnapshotTrainer)
    wrapper.inner, wrapper.mitigation = inner, Snapshots((2, 3), lambda step, model: saved.append((step, model)))
    for done in range(4):
        wrapper.run = MagicMock(done=done)
        wrapper.run.__enter__.return_value = f"after {done + 1}"
        wrapper.update(torch.tensor([0]))
    assert saved == [(2, "after 2"), (3, "after 3")]


def test_models_are_of_their_case_marked_or_not_and_under_a_mitigation(monkeypatch):
    asked = []
    monkeypatch.setattr(weights, "train_or_load", lambda case, workspace: asked.append(case) or ("model", None))
    experiments = Experiments(Workspace(None))
    experiments.model(tiny(), 1), experiments.unmarked_model(tiny(), 2), experiments.model(tiny(), 3, "rna(count=8)")
    found = [(case.seed, case.marked, case.composition.label) for case in asked]
    assert found == [(1, True, "none"), (2, False, "none"), (3, True, "rna(count=8)")]


def test_a_case_is_of_one_query_without_mitigation_and_takes_changes():
    experiments = Experiments(None, solver=SolverConfig(steps=2))
    case = experiments.case(tiny(), 3, "average", marked=False)
    assert (case.testbed_name, case.seed, case.marked, case.solver.steps) == ("experiment", 3, False, 2)
    assert (case.composition.family, [name for name, _ in case.queries]) == ("none", ["average"])
    assert experiments.testbed("digits", trained=32).trained == 32
    assert experiments.testbed("digits(trained=48)").trained == 48


def test_answers_are_to_the_query_and_solver_and_about_the_split_that_are_named(monkeypatch):
    asked = []
    monkeypatch.setattr(answers, "ask_query", lambda case, query, model, *rest: asked.append((case, query, model)))
    monkeypatch.setattr("solidmark.experiments.with_keys", lambda split: split)
    experiments, fast = Experiments(Workspace(None)), SolverConfig(steps=2)
    experiments.ask(tiny(), 0, "model")
    experiments.ask(tiny(), 1, "other", "average", solver=fast)
    assert [(case.seed, case.queries[0][0], case.solver.steps, model) for case, _, model in asked] == [
        (0, "outpaint", 25, "model"),
        (1, "average", 2, "other"),
    ]


def test_recall_is_of_trained_images_and_chance_of_held_out_ones():
    keys = torch.rand(2, 8, 4, generator=torch.Generator().manual_seed(0))
    split = SimpleNamespace(trained_keys=keys[0], held_out_keys=keys[1])
    responses = SimpleNamespace(trained=keys[0].double().numpy(), held_out=np.full((8, 4), 0.5))
    experiments = Experiments(None)
    assert experiments.recall(responses, split).value == 1
    assert abs(experiments.chance(responses, split).value) < 1e-9


def test_a_curve_has_the_mean_of_the_seeds_at_each_x():
    found = Experiments(None, seeds=(1, 2, 3)).curve(lambda seed: {"a": seed, "b": 10.0 * seed})
    assert [(x, y.value) for x, y in found] == [("a", 2), ("b", 20)]
    assert found[0][1].error == pytest.approx(1 / 3**0.5)


def test_where_snapshots_are_saved_is_no_part_of_what_they_are():
    one, other = (Snapshots((2,), save) for save in (print, max))
    assert (one == other, repr(one)) == (True, "Snapshots(steps=(2,))")
    assert one != Snapshots((3,), print)


def test_a_case_bears_the_name_of_the_testbed_that_was_asked_for_its_numbers_changed_or_not():
    experiments = Experiments(None)
    changed = experiments.testbed("digits-quick", held_out=128)
    experiments.testbed("digits")
    assert experiments.case(changed, 0).testbed_name == "digits-quick"
