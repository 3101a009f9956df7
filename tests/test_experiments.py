"""Experiments: they share answers, and a private base has keys of its own."""

from dataclasses import replace

from solidmark.fixtures.finetune import PrivateDigits
from worlds import tiny

from solidmark.experiments import Experiments
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Workspace
from solidmark.sampling import SolverConfig
from solidmark.store import Store


def test_a_model_is_asked_once_and_again_only_through_another_sampler(tmp_path, monkeypatch):
    experiments, asked, ask = Experiments(Workspace(Store(tmp_path)), solver=SolverConfig(steps=2)), [], answers.ask_query
    monkeypatch.setattr(
        answers, "ask_query", lambda case, *rest: (asked.append(case.composition.family), ask(case, *rest))[1]
    )
    recalls = [experiments.measure_recall(tiny(), 0, name).value for name in ("rna", "rna", "gni", "none")]
    assert asked == ["rna", "gni", "none"]
    assert recalls[0] == recalls[1]


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
