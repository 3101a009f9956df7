"""The class of a mitigation: its stage follows from its doors, its parameters are its identity."""

from dataclasses import dataclass

import pytest
from worlds import Nothing

from solidmark import Mitigation, Needs, Stage
from solidmark.errors import InvalidValue
from solidmark.mitigation import opened
from solidmark.mitigation.composition import Composition, Part


@dataclass(frozen=True)
class Cooler(Mitigation):
    scale: float = 1.0
    extra: int = 2

    def guidance(self, scale, progress):
        return self.scale


def test_the_stage_follows_from_the_doors():
    assert Cooler.stage is Stage.SAMPLING
    assert Nothing.stage is None
    assert opened(Cooler) == ["guidance"]


def test_doors_of_two_stages_are_refused_by_name():
    with pytest.raises(InvalidValue, match=r"guidance.*one stage.*'\+'"):
        type("Both", (Mitigation,), {"guidance": lambda s, a, b: a, "edit": lambda s, m, d, r: m})


def test_a_caption_door_alone_needs_a_stated_stage():
    with pytest.raises(InvalidValue, match=r"caption without a stage.*Stage\.TRAINING"):
        type("Unstated", (Mitigation,), {"caption": lambda s, c, r: c})


def test_a_stated_stage_that_contradicts_the_doors_is_refused():
    with pytest.raises(InvalidValue, match="doors guidance, stage"):
        type("Wrong", (Mitigation,), {"stage": Stage.TRAINING, "guidance": lambda s, a, b: a})


def test_a_training_twin_is_a_two_line_subclass():
    sampling = type("Twin", (Mitigation,), {"stage": Stage.SAMPLING, "caption": lambda s, c, r: c})
    training = type("TrainingTwin", (sampling,), {"stage": Stage.TRAINING})
    assert (sampling.stage, training.stage) == (Stage.SAMPLING, Stage.TRAINING)


def test_labels_tell_the_first_parameter_and_those_off_their_default():
    assert Part("cooler", Cooler()).label == "cooler(scale=1.0)"
    assert Part("cooler", Cooler(2.0, 5)).label == "cooler(scale=2.0, extra=5)"


def test_a_composition_adds_up_its_parts():
    both = Composition((Part("a", Cooler()), Part("b", Nothing())))
    assert (both.family, both.stage) == ("a+b", "sampling")
    assert both.parameters == {"a.scale": 1.0, "a.extra": 2}
    assert Composition().label == "none"


def test_needs_are_told_in_words():
    assert (Needs.FORGET | Needs.CALIBRATION).names() == ["forget list", "calibration set"]
