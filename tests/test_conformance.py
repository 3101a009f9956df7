"""Each check of `solidmark.testing` alone: setups that answer as told, one breaks exactly one rule, its neighbour none."""

import re
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solidmark import Mitigation, Sampler, Stage, Trainer, testing
from solidmark.errors import NotApplicable
from solidmark.metrics import scores
from solidmark.models import Evaluations
from solidmark.queries import Attack
from solidmark.testing import toys
from solidmark.testing.rules import FaultLog
from solidmark.testing.toys import ActionResult

REFUSAL = NotApplicable("here", "this", "that", "Go elsewhere.")


@dataclass(frozen=True)
class Quiet(Mitigation):
    factor: float = 0.5
    stage = Stage.SAMPLING

    def guidance(self, scale, step_fraction):
        return self.factor * scale


@dataclass(frozen=True)
class Asks(Attack):
    declared: float = 3.0

    def cost(self, solver):
        return self.declared

    def ask(self, audit):
        raise NotImplementedError


def result(*values, counted=3, computed=3):
    return ActionResult([torch.full((2,), float(value)) for value in values], counted, computed)


def on_toy(monkeypatch, results, states=("as it was", "as it was"), kind=Quiet):
    """What the check on one toy finds where the two runs and the one without a mitigation give these results."""
    turns, snapshots = iter(results), iter(states)
    setup = SimpleNamespace(snapshot=lambda: next(snapshots), action=lambda stage: lambda composed: next(turns), split=None)
    monkeypatch.setattr(testing, "ToySetup", lambda kind, needs, device: setup)
    monkeypatch.setattr(testing, "check_applicable", lambda composed, split: None)
    log = FaultLog()
    testing._check_on_toy(kind(), "text", "cpu", log)
    return log


def test_a_mitigation_that_repeats_counts_and_changes_its_own_alone_has_no_fault(monkeypatch):
    log = on_toy(monkeypatch, [result(1, 0), result(1, 0), result(0, 0)])
    assert (log.faults, log.notes) == ([], [])


@pytest.mark.parametrize(
    ("results", "states", "fault"),
    [
        ([result(1), result(2), result(0)], "aa", "the same seed gave two results"),
        ([result(1, computed=4), result(1), result(0)], "aa", "the denoiser ran on 4 samples, 3 were counted"),
        ([result(1), result(1), result(0)], "ab", "it changed images, captions or weights that are not its own"),
    ],
)
def test_one_broken_rule_is_one_fault(monkeypatch, results, states, fault):
    (found,) = on_toy(monkeypatch, results, states).faults
    assert found.startswith(f"model of kind text: {fault}")


def test_fewer_computed_than_counted_are_no_fault(monkeypatch):
    assert not on_toy(monkeypatch, [result(1, computed=2), result(1), result(0)]).faults


def test_what_changes_nothing_is_a_note_but_for_a_control(monkeypatch):
    same = [result(0, 0), result(0, 0), result(0, 0)]
    note = "model of kind text: nothing changed; in a run such a row fails as inactive"
    assert on_toy(monkeypatch, same).notes == [note]
    control = type("Control", (Quiet,), {"control": True})
    assert on_toy(monkeypatch, same, kind=control).notes == []


@dataclass(frozen=True)
class Remembers(Quiet):
    def guidance(self, scale, step_fraction):
        object.__setattr__(self, "seen", scale)
        return scale


def test_state_in_a_mitigation_is_seen_after_the_runs(monkeypatch):
    def act(composed):
        composed.parts[0].mitigation.guidance(1.0, 0.5) if composed.parts else None
        return result(len(composed.parts))

    setup = SimpleNamespace(snapshot=lambda: 0, action=lambda stage: act, split=None)
    monkeypatch.setattr(testing, "ToySetup", lambda *words: setup)
    monkeypatch.setattr(testing, "check_applicable", lambda *words: None)
    for kind, count in ((Remembers, 1), (Quiet, 0)):
        log = FaultLog()
        testing._check_on_toy(kind(), "text", "cpu", log)
        assert [fault.startswith("it keeps state in itself") for fault in log.faults] == [True] * count


def actions(monkeypatch, mitigation, kinds, refused=(), on_memorizer=None, gpu=False):
    """Where a mitigation is let act, and the log."""
    called, log = [], FaultLog()

    def on_toy(mitigation, kind, device, log):
        called.append((kind, device))
        if kind in refused:
            raise REFUSAL

    def memorizer(mitigation, log):
        called.append("memorizer")
        if on_memorizer:
            raise on_memorizer

    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
    monkeypatch.setattr(testing, "_check_on_toy", on_toy)
    monkeypatch.setattr(testing, "_check_on_memorizer", memorizer)
    testing._check_actions(mitigation, kinds, log)
    return called, log


def test_a_mitigation_acts_on_each_kind_on_the_first_one_on_a_gpu_and_on_the_memorizer(monkeypatch):
    called, log = actions(monkeypatch, Quiet(), ("none", "text", "label"), refused=("none",), gpu=True)
    assert called == [("none", "cpu"), ("text", "cpu"), ("label", "cpu"), ("text", "cuda"), "memorizer"]
    assert (log.carried, log.faults, log.notes) == (["text", "label"], [], [])
    assert actions(monkeypatch, Quiet(), ("text",))[0] == [("text", "cpu"), "memorizer"]


@pytest.mark.parametrize(("stage", "kinds"), [(Stage.SAMPLING, ("label",)), (Stage.TRAINING, ("text",)), (None, ("text",))])
def test_only_what_acts_at_sampling_on_captions_meets_the_memorizer(monkeypatch, stage, kinds):
    assert actions(monkeypatch, SimpleNamespace(stage=stage), kinds)[0] == [(kinds[0], "cpu")]


def test_a_refusal_everywhere_is_a_fault_and_one_by_the_memorizer_a_note(monkeypatch):
    _, log = actions(monkeypatch, Quiet(), ("text", "none"), refused=("text", "none"))
    assert log.faults == [f"it works on no kind of model: {REFUSAL}"]
    _, log = actions(monkeypatch, Quiet(), ("text",), on_memorizer=REFUSAL)
    assert (log.faults, log.notes) == ([], [f"not checked on the perfect memorizer: {REFUSAL}"])
    _, log = actions(monkeypatch, Quiet(), ("text",), on_memorizer=ValueError("bad"))
    assert (log.faults, log.notes) == (["perfect memorizer: ValueError: bad"], [])


class Misspells(Trainer):
    def loss(self):
        return None


class NearASampler(Trainer):
    def scal(self):
        return None


@pytest.mark.parametrize(("made", "count"), [(Misspells, 1), (NearASampler, 0), (Sampler, 0)])
def test_a_wrapper_is_compared_with_the_methods_of_its_own_kind(made, count):
    log = FaultLog()
    wrapped = object.__new__(made)
    guarded = testing._guard("trainer", lambda self, inner: wrapped, log)
    assert guarded(Quiet(), "inner") is wrapped
    assert len(log.faults) == count
    assert all("Misspells.loss is never called: did you mean losses?" in fault for fault in log.faults)


def test_a_hook_that_changes_one_of_its_inputs_is_named():
    log = FaultLog()
    guarded = testing._guard("condition", lambda self, one, two: two.add_(1), log)
    guarded(Quiet(), torch.zeros(2), torch.zeros(2))
    assert log.faults == ["condition changes its input; return a new one"]


def answered(keys, forward=2, backward=0, fresh=None):
    costs = Evaluations()
    costs.forward, costs.backward = forward, backward
    return SimpleNamespace(keys=np.array(keys), evaluations=costs, fresh=fresh and SimpleNamespace(cost={"forward": fresh}))


def asked(monkeypatch, answers, computed=(2,), states="aa", declared=3.0):
    """The faults of a query whose two answers, samples computed and states of the toy are these."""
    turns, snapshots, inside = iter(answers), iter(states), []

    @contextmanager
    def counting(model):
        inside.append(True)
        yield computed
        inside.clear()

    def ask(case, model):
        given = next(turns)
        assert bool(inside) == (given is answers[0])  # the first one alone is counted
        return given

    setup = SimpleNamespace(snapshot=lambda: next(snapshots), case=lambda *words: None, ask=ask, model=None)
    monkeypatch.setattr(testing, "ToySetup", lambda kind, needs: setup)
    monkeypatch.setattr(testing, "count_network_samples", counting)
    log = FaultLog()
    testing._check_query_on_toy(Asks(declared), "text", log)
    return log.faults


FINDS_NOTHING = "M = where everything is memorized"
KEYS = [[0.0, 1.0], [0.0, 0.5]]
"""Two images whose keys differ in one segment."""


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({}, {}),
        ({"forward": 6}, {}),  # 3 an image, as declared
        ({"forward": 4, "backward": 2}, {}),
        ({"fresh": 3}, {"computed": (2, 3)}),
    ],
)
def test_a_query_within_what_it_declares_has_no_fault(monkeypatch, answer, words):
    assert asked(monkeypatch, [answered(KEYS, **answer), answered(KEYS)], **words) == []


@pytest.mark.parametrize(
    ("first", "second", "words", "fault"),
    [
        (answered(KEYS), answered([[0.0, 1.0], [0.0, 0.4]]), {}, "two runs gave two answers; draw from seeds"),
        (answered([[0.0, 1.0]] * 2), answered([[0.0, 1.0]] * 2), {}, "the same keys for every image: it asks nothing"),
        (answered(KEYS, forward=7), answered(KEYS), {}, "7 evaluations counted, 6 declared by `cost`"),
        (answered(KEYS, forward=5, backward=2), answered(KEYS), {}, "7 evaluations counted, 6 declared by `cost`"),
        (answered(KEYS), answered(KEYS), {"computed": (2, 1)}, "3 evaluations made, 2 counted"),
        (answered(KEYS, fresh=3), answered(KEYS), {"computed": (3, 3)}, "3 evaluations made, 2 counted"),
        (answered(KEYS), answered(KEYS), {"states": "ab"}, "it changed images, captions or weights that are not its own"),
    ],
)
def test_one_broken_rule_of_a_query_is_one_fault(monkeypatch, first, second, words, fault):
    assert asked(monkeypatch, [first, second], **words) == [f"model of kind text: {fault}"]


@pytest.mark.parametrize("cost", [0.0, -1.0, float("inf"), float("nan")])
def test_a_cost_is_a_positive_number(monkeypatch, cost):
    monkeypatch.setattr(Asks, "cost", lambda self, solver: cost)
    log = FaultLog()
    testing._check_query(Asks(), ("text",), log)
    assert log.faults == [f"cost: {cost}; expected a positive number of evaluations an image"]


def questions(monkeypatch, refused=(), on_memorizer=None):
    """What the kit does with a query that keeps its rules, and the log."""
    called, log = [], FaultLog()

    def on_toy(attack, kind, log):
        called.append(kind)
        if kind in refused:
            raise REFUSAL

    def memorizer(attack, log):
        called.append("memorizer")
        if on_memorizer:
            raise on_memorizer

    monkeypatch.setattr(testing, "_check_query_on_toy", on_toy)
    monkeypatch.setattr(testing, "_check_query_on_memorizer", memorizer)
    testing._check_query(Asks(), ("text", "none"), log)
    return called, log.faults, log.notes


def test_a_query_is_put_to_each_kind_and_to_the_memorizer_where_it_works_on_one(monkeypatch):
    assert questions(monkeypatch) == (["text", "none", "memorizer"], [], [])
    assert questions(monkeypatch, refused=("text",)) == (["text", "none", "memorizer"], [], [])
    nowhere = (["text", "none"], [f"it can query no kind of model: {REFUSAL}"], [])
    assert questions(monkeypatch, refused=("text", "none")) == nowhere
    note = f"not checked on the perfect memorizer: {REFUSAL}"
    assert questions(monkeypatch, on_memorizer=REFUSAL) == (["text", "none", "memorizer"], [], [note])


@pytest.mark.parametrize("kind", [type("Plain", (), {}), dataclass(type("Thawed", (), {}))])
def test_a_query_that_is_no_frozen_dataclass_is_told_so_alone(kind):
    log = FaultLog()
    testing._check_query(kind(), ("text",), log)
    assert log.faults == [f"{kind.__name__} is not a frozen dataclass; write @dataclass(frozen=True) above it"]


def memorized(monkeypatch, keys, held_out=None, planted=None):
    """The log of a query that answers so on the perfect memorizer, whose keys are `own`."""
    rng = np.random.default_rng(0)
    truth = SimpleNamespace(
        trained_keys=torch.from_numpy(rng.random((16, 8))), held_out_keys=torch.from_numpy(rng.random((32, 8)))
    )
    own = rng.random((16, 8))
    given = {"own": own, "split": truth.trained_keys.numpy(), "random": rng.random((16, 8))}[keys]
    others = truth.held_out_keys.numpy() if held_out == "split" else rng.random((32, 8))
    every = np.concatenate([given, others])
    responses = SimpleNamespace(trained=given, held_out=others, keys=every, planted=every if planted else None)
    setup = SimpleNamespace(truth=truth, split=None, case=lambda *words: None, ask=lambda case, model: responses)
    monkeypatch.setattr(testing, "ToySetup", lambda kind, needs: setup)
    monkeypatch.setattr(testing.answers, "memorizer", lambda split, seed: ("model", own))
    log = FaultLog()
    testing._check_query_on_memorizer(Asks(), log)
    return log, scores.memorization(given, own)


def test_a_query_that_finds_the_memorized_keys_and_no_others_has_no_fault(monkeypatch):
    log, power = memorized(monkeypatch, "own")
    assert power.value == 1
    assert (log.faults, log.notes) == ([], ["perfect memorizer: M 1.00"])


@pytest.mark.parametrize(
    ("words", "faults"),
    [
        ({"keys": "own", "held_out": "split"}, ["held-out images"]),
        ({"keys": "own", "planted": True}, ["planted keys"]),
        ({"keys": "random"}, [FINDS_NOTHING]),
        (
            {"keys": "split"},
            ["keys of the split, which this model never saw", FINDS_NOTHING],
        ),
    ],
)
def test_keys_that_a_query_cannot_know_are_named(monkeypatch, words, faults):
    found = [fault.removeprefix("perfect memorizer: ") for fault in memorized(monkeypatch, **words)[0].faults]
    assert list(dict.fromkeys(re.sub(r" -?\d\.\d+|:.*", "", fault) for fault in found)) == faults


def test_the_process_is_as_it_was_after_a_check_and_single_threaded_in_it(monkeypatch):
    seen, before = [], torch.get_num_threads()
    monkeypatch.setattr(testing, "_check_mitigation", lambda *words: seen.append(torch.get_num_threads()))
    torch.set_num_threads(3)
    try:
        assert testing.examine(Quiet()).faults == ()
        assert (seen, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


def test_what_is_found_is_reported_once_each(monkeypatch):
    def acts(mitigation, kinds, log):
        log.faults += ["b", "a", "b"]
        log.notes.append("noted")
        log.carried.append("text")
        log.refused["none"] = "why"

    monkeypatch.setattr(testing, "_check_mitigation", acts)
    assert testing.examine(Quiet()) == testing.Checked("Quiet", ("text",), {"none": "why"}, ("b", "a"), ("noted",))


def test_a_mitigation_with_parameters_that_json_changes_does_not_act(monkeypatch):
    acted = []
    monkeypatch.setattr(testing, "_check_actions", lambda *words: acted.append(words))
    assert testing.examine(Quiet(float("nan"))).faults
    assert not acted
    assert testing.examine(Quiet()).faults == ()
    assert len(acted) == 1


def test_toys_are_as_small_as_they_say():
    split = toys.toy("text").split(0)
    assert (len(split.trained_keys), len(split.held_out_keys), toys.toy("text").generated) == (16, 32, 16)
    assert split.training.images.shape[1:] == (1, 8, 8)
    recipe = toys.toy("text").recipe
    assert (recipe.train_steps, recipe.batch, recipe.learning_rate) == (8, 8, 1e-3)
    network = recipe.network
    assert (network.widths, network.text_width, network.words) == ((8, 16), 8, 64)
    latent = toys.toy("latent")
    assert (latent.recipe.train_steps, latent.recipe.batch, latent.recipe.learning_rate) == (8, 8, 1e-3)
    assert (latent.autoencoder.train_steps, latent.autoencoder.learning_rate) == (30, 5e-3)
    assert (latent.recipe.network.autoencoder_widths, latent.recipe.network.text_width) == ((8, 8, 8), 8)
    assert [len(toys.toy(kind).recipe.network.classes) for kind in ("text", "label", "none")] == [2, 256, 0]
