"""Keys of the store: each part stands under its own name, so that two entries that differ in anything have two keys."""

from types import SimpleNamespace

import pytest
import torch

from solidmark import Needs
from solidmark.collection import verifying
from solidmark.collection.judging import Check
from solidmark.leaderboard import reported
from solidmark.measurement import answers, weights

SPLIT = SimpleNamespace(mark_masks=torch.ones(2), training="training", queried="queried", forget=[1, 2])
BLIND = SimpleNamespace(split=SPLIT, fingerprint="fingerprint", training_digest="training digest")


class Parts:
    """A composition that says what it was asked for."""

    label, needs = "x(a=1)", Needs.NOTHING

    def __init__(self, stage="all", parts=("part",)):
        self.stage, self.parts = stage, parts

    def at(self, stage):
        return Parts(stage.value, self.parts)

    def described(self):
        return f"parts at {self.stage}"


def case(**more):
    network = SimpleNamespace(name="network", shared=())
    recipe = SimpleNamespace(name="recipe", network=network, checkpointing=False)
    base_examples = SimpleNamespace(images=torch.zeros(3), captions=["a"])
    testbed = SimpleNamespace(recipe=recipe, mark=SimpleNamespace(name="mark"), base_examples=lambda: base_examples)
    given = {"testbed": testbed, "blind": BLIND, "composition": Parts(), "seed": 3, "half": None, "marked": True}
    return SimpleNamespace(**{**given, "testbed_name": "digits", **more})


@pytest.fixture
def stored(monkeypatch):
    """A workspace that keeps what it was asked for; whatever is described, or has a digest, is called by its name."""
    asked = []
    monkeypatch.setattr(weights.provenance, "describe", lambda value: f"described {getattr(value, 'name', value)}")
    monkeypatch.setattr(weights, "fingerprint", lambda model: f"fingerprint of {model}")
    monkeypatch.setattr(weights, "_sha", lambda tensor: f"sha of {len(tensor)}")
    monkeypatch.setattr(weights, "digest", lambda value: f"digest of {value}")
    monkeypatch.setattr(weights, "_load", lambda folder, workspace: (folder, "info"))

    def keep(kind, key, modules, build, label=""):
        asked.append((kind, key, label))
        return f"folder {len(asked)}"

    return SimpleNamespace(stored=keep, asked=asked)


def test_an_autoencoder_is_stored_by_its_recipe_network_images_and_mark(stored):
    weights._stored_space(SimpleNamespace(name="autoencoder"), case(), stored)
    kind, key, label = stored.asked[0]
    assert (kind, label) == ("autoencoder", "digits")
    assert key == {
        "recipe": "described autoencoder",
        "network": "described network",
        "images": "sha of 3",
        "mark": ["described mark", "sha of 2"],
    }


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        ({}, {}),
        ({"composition": Parts(parts=())}, {"split": "training digest"}),
        ({"half": 1}, {"half": 1}),
        ({"marked": False}, {"keys": False}),
        ({"seed": 9}, {"seed": 9}),
    ],
)
def test_a_trained_model_is_stored_by_all_that_it_follows_from(monkeypatch, stored, changed, differs):
    monkeypatch.setattr(weights, "_train_base_or_load", lambda case, workspace: "base")
    monkeypatch.setattr(weights, "train_space_or_load", lambda case, workspace: None)
    whole = {"base": "fingerprint of base", "recipe": "described recipe", "split": "fingerprint", "seed": 3, "keys": True}
    found = weights._Training.of(case(**changed), stored)
    assert found.key == {**whole, "parts": "parts at training", **differs}
    assert (found.base, found.space) == ("base", None)


def test_an_edited_model_is_stored_by_its_weights_and_edits(monkeypatch, stored):
    built = weights.BuildInfo({"forward": 1}, {})
    monkeypatch.setattr(weights, "train_or_load", lambda case, workspace: ("model", built))
    edited, builds = weights.edit_or_load(case(), stored)
    assert (edited, builds) == ("folder 1", {"training": built, "editing": "info"})
    key = {"weights": "fingerprint of model", "recipe": "described recipe", "split": "fingerprint", "seed": 3}
    assert stored.asked == [("edited model", {**key, "parts": "parts at post-hoc"}, "digits, x(a=1), seed 3")]
    plain, builds = weights.edit_or_load(case(composition=Parts(parts=())), stored)
    assert (plain, builds["training"]) == ("model", built)
    assert builds["editing"] == weights.BuildInfo({"forward": 0, "backward": 0, "seconds": 0.0}, {})


def test_a_base_is_stored_by_what_it_was_trained_on_and_there_is_none_without_a_recipe(monkeypatch, stored):
    monkeypatch.setattr(weights, "train_space_or_load", lambda case, workspace: None)
    given = case()
    given.testbed.base = None
    assert weights._train_base_or_load(given, stored) is None
    given.testbed.base = SimpleNamespace(name="base recipe", network=given.testbed.recipe.network)
    given.testbed.base_examples = lambda: type(
        "Few", (), {"images": torch.zeros(3), "captions": ["a"], "__len__": lambda s: 3}
    )()
    for keys, told in ((None, None), (torch.zeros(5), "sha of 5")):
        given.testbed.base_keys = lambda count, seed, keys=keys: keys
        assert weights._train_base_or_load(given, stored).startswith("folder")
        kind, key, label = stored.asked[-1]
        assert (kind, label) == ("base model", "digits, seed 3")
        assert key == {
            "recipe": "described base recipe",
            "examples": "digest of [['a'], 'sha of 3']",
            "keys": told,
            "mark": ["described mark", "sha of 2"],
            "seed": 3,
        }


def test_a_space_names_a_model_unless_its_network_does():
    space = SimpleNamespace(state=lambda: {"a": torch.zeros(2)})
    assert weights.space_key(None, SimpleNamespace(shared=())) == {}
    assert weights.space_key(space, SimpleNamespace(shared=("space",))) == {}
    assert [*weights.space_key(space, SimpleNamespace(shared=("text",)))] == ["space"]


def test_models_of_halves_are_of_both_and_of_the_training_alone(monkeypatch):
    trained = []
    monkeypatch.setattr(weights, "train_or_load", lambda case, workspace: trained.append(case) or (case.half, "info"))
    monkeypatch.setattr(weights, "replace", lambda case, **more: SimpleNamespace(**{**vars(case), **more}))
    given = case()
    assert weights.halves_or_load(given, None) == []
    given.composition.needs = Needs.HALVES
    assert weights.halves_or_load(given, None) == [(0, "info"), (1, "info")]
    assert [one.composition.stage for one in trained] == ["training", "training"]


def attack(name, source="source"):
    return SimpleNamespace(name=name, source=source)


def test_answers_are_stored_by_weights_parts_question_and_what_may_be_read(monkeypatch):
    monkeypatch.setattr(answers.weights, "fingerprint", lambda model: f"fingerprint of {model}")
    monkeypatch.setattr(answers, "_sampling_parts", lambda case, attack: Parts("sampling"))
    monkeypatch.setattr(answers, "_described", lambda case, name: ["described", name])
    monkeypatch.setattr(answers, "_cached", lambda kind, key, asks, workspace, label: (kind, key, label))
    monkeypatch.setattr(answers, "_behind", lambda case, name: case.composition)
    given = case(attack=attack)
    kind, key, label = answers.ask_cached(given, "average", "model", None)
    assert (kind, label) == ("answers", "digits, x(a=1), average, seed 3")
    assert key == {
        "weights": "fingerprint of model",
        "parts": "parts at sampling",
        "learns from": False,
        "may read pictures": False,
        "split": "fingerprint",
        "seed": 3,
        "query": ["described", "average"],
    }
    given.composition.needs = Needs.FORGET
    _, key, _ = answers.ask_cached(given, "average", "model", None, plain="pictures")
    assert (key["learns from"], key["may read pictures"]) == ([1, 2], True)


@pytest.mark.parametrize(
    ("counts", "told"),
    [
        ((0, 0, 0), False),
        ((1, 0, 0), True),
        ((0, 1, 0), True),
        ((0, 0, 1), True),
        ((1, 1, 0), True),
        ((1, 0, 1), True),
        ((0, 1, 1), True),
        ((1, 1, 2), True),
    ],
)
def test_refusals_are_told_where_anything_was_refused(counts, told):
    trained, held_out, fresh = ({"count": count, "of": 4} for count in counts)
    block = {"generated": fresh, "queries": {"outpaint": {"trained": trained, "held_out": held_out}}}
    assert (reported._refused([block], "outpaint") is not None) is told


SOUND = Check("x", "fine", True)


@pytest.mark.parametrize(
    ("faulty", "commitment", "subjects"),
    [
        (False, None, ["x"] * 6 + ["checks", "images", "controls"]),
        (False, "file", ["x"] * 6 + ["published", "checks", "images", "controls"]),
        (True, None, ["x"] * 5 + ["bad", "checks"]),
    ],
)
def test_a_certificate_is_checked_part_by_part_and_its_images_where_all_else_is_sound(
    monkeypatch, faulty, commitment, subjects
):
    monkeypatch.setattr(verifying.certificates, "read", lambda folder: {"record": 1, "answers": 2})
    for name in ("_digest", "_page", "_commitment"):
        monkeypatch.setattr(verifying, name, lambda *given: SOUND)
    monkeypatch.setattr(verifying, "_pictures", lambda *given: iter([SOUND, SOUND]))
    monkeypatch.setattr(verifying, "_drawn", lambda ledger: Check("bad", "not drawn", False) if faulty else SOUND)
    monkeypatch.setattr(verifying, "_published", lambda certificate, path: Check("published", path, True))
    monkeypatch.setattr(
        verifying.judging, "checks", lambda record, answers, ledger: [Check("checks", f"{record} {answers}", True)]
    )
    monkeypatch.setattr(verifying, "_images", lambda *given: iter([Check("images", "", True)]))
    monkeypatch.setattr(verifying, "_controls", lambda certificate: Check("controls", "", True))
    found = verifying.verify("folder", "ledger", commitment=commitment)
    assert [check.subject for check in found] == subjects
    assert [check.text for check in found if check.subject == "checks"] == ["1 2"]


def test_controls_of_a_certificate_are_told():
    record = {"sound": True, "held_out": {"m": 1}, "faults": []}
    assert verifying._controls({"record": record}) == Check("controls", "at chance", True)
    assert verifying._controls({"record": {**record, "held_out": None}}).text == "none: nothing was held out"
    assert verifying._controls({"record": {**record, "sound": False, "faults": ["a"]}}) == Check("controls", "['a']", False)


def test_checks_are_told_a_line_each():
    assert verifying.told([SOUND, Check("y", "bad", False)]) == "ok   x: fine\nBAD  y: bad"
