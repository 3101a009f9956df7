"""The class of a mitigation: its stage follows from its hooks, its parameters are its identity."""

from dataclasses import dataclass

import pytest
from worlds import NoHooks

from solidmark import Mitigation, Needs, Stage
from solidmark.errors import InvalidValue
from solidmark.mitigation import HOOKS, hook, overridden_hooks
from solidmark.mitigation.composition import Composition, Part


@dataclass(frozen=True)
class Cooler(Mitigation):
    scale: float = 1.0
    extra: int = 2

    def guidance(self, scale, step_fraction):
        return self.scale


def test_every_hook_declares_its_stage_or_leaves_it_to_the_class():
    free = {name for name, stage in HOOKS.items() if stage is None}
    assert free == {"caption", "condition"}
    assert {name: stage for name, stage in HOOKS.items() if stage} == {
        "recipe": Stage.TRAINING,
        "prepare": Stage.TRAINING,
        "view": Stage.TRAINING,
        "trainer": Stage.TRAINING,
        "guidance": Stage.SAMPLING,
        "pipeline": Stage.SAMPLING,
        "sampler": Stage.SAMPLING,
        "edit": Stage.POST_HOC,
    }


def test_a_declared_hook_is_still_the_method_itself():
    def method(self):
        return "as written"

    assert hook(Stage.TRAINING)(method) is method


def test_a_hook_declared_in_a_subclass_is_none_of_the_suite():
    stray = type("Stray", (Mitigation,), {"views": hook(Stage.TRAINING)(lambda self, images, rng: images)})
    assert (overridden_hooks(stray), stray.stage) == ([], None)


def test_the_stage_follows_from_the_overridden_hooks():
    assert Cooler.stage is Stage.SAMPLING
    assert NoHooks.stage is None
    assert overridden_hooks(Cooler) == ["guidance"]


def test_hooks_of_two_stages_are_refused_by_name():
    with pytest.raises(InvalidValue, match=r"guidance.*one stage.*'\+'"):
        type("Both", (Mitigation,), {"guidance": lambda s, a, b: a, "edit": lambda s, m, d, r: m})


def test_a_caption_hook_alone_needs_a_stated_stage():
    with pytest.raises(InvalidValue, match=r"caption without a stage.*Stage\.TRAINING"):
        type("Unstated", (Mitigation,), {"caption": lambda s, c, r: c})


def test_a_stated_stage_that_contradicts_the_hooks_is_refused():
    with pytest.raises(InvalidValue, match="hooks guidance, stage"):
        type("Wrong", (Mitigation,), {"stage": Stage.TRAINING, "guidance": lambda s, a, b: a})


def test_a_training_twin_is_a_two_line_subclass():
    sampling = type("Twin", (Mitigation,), {"stage": Stage.SAMPLING, "caption": lambda s, c, r: c})
    training = type("TrainingTwin", (sampling,), {"stage": Stage.TRAINING})
    assert (sampling.stage, training.stage) == (Stage.SAMPLING, Stage.TRAINING)


def test_labels_show_the_first_parameter_and_those_off_their_default():
    assert Part("cooler", Cooler()).label == "cooler(scale=1.0)"
    assert Part("cooler", Cooler(2.0, 5)).label == "cooler(scale=2.0, extra=5)"


def test_a_composition_adds_up_its_parts():
    both = Composition((Part("a", Cooler()), Part("b", NoHooks())))
    assert (both.family, both.stage) == ("a+b", "sampling")
    assert both.parameters == {"a.scale": 1.0, "a.extra": 2}
    assert Composition().label == "none"


def test_needs_are_written_in_words():
    assert (Needs.FORGET | Needs.CALIBRATION).names() == ["forget list", "calibration set"]
