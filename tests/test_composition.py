"""Composition: what the parts of a row make together, and what a record may hold of them."""

from dataclasses import dataclass
from math import inf, nan
from typing import ClassVar

import pytest

from solidmark import Mitigation, Needs, Stage
from solidmark.errors import InvalidValue
from solidmark.mitigation.composition import LARGEST, Composition, Part, unfit


@dataclass(frozen=True)
class Trains(Mitigation):
    """At training, least faithful, a control and a reference."""

    rate: object = 1.0
    stage = Stage.TRAINING
    fidelity = "C"
    control = True
    reference_curve = True
    reference = "One title, arXiv 1"
    needs = Needs.FORGET


@dataclass(frozen=True)
class Samples(Mitigation):
    """At sampling, a control."""

    scale: float = 3.0
    more: int = 1
    stage = Stage.SAMPLING
    fidelity = "B"
    control = True
    reference = "Another title, arXiv 2"
    needs = Needs.CAPTIONS


@dataclass(frozen=True)
class Edits(Mitigation):
    """After training, neither control nor reference, without a source."""

    stage = Stage.POST_HOC


def of(*parts, own=True):
    return Composition(tuple(Part(type(part).__name__.lower(), part, "source 1", own) for part in parts))


EMPTY, ONE, ALL = of(), of(Trains()), of(Edits(), Samples(), Trains())


@pytest.mark.parametrize(("whole", "stage"), [(EMPTY, "none"), (ONE, "training"), (ALL, "training+sampling+post-hoc")])
def test_stages_come_in_the_order_in_which_they_act(whole, stage):
    assert whole.stage == stage


def test_the_parts_of_a_stage_are_those_that_act_at_it_in_order():
    two = of(Samples(1.0), Edits(), Samples(2.0))
    assert two.at(Stage.SAMPLING).label == "samples(scale=1.0)+samples(scale=2.0)"
    assert two.at(Stage.POST_HOC) == of(Edits())
    assert two.at(Stage.TRAINING) == EMPTY


def test_the_empty_composition_is_the_baseline():
    assert (EMPTY.family, EMPTY.label, EMPTY.fidelity, EMPTY.reference) == ("none", "none", "", "")
    assert (EMPTY.control, EMPTY.reference_curve, EMPTY.needs, EMPTY.parameters) == (True, False, Needs.NOTHING, {})
    assert (EMPTY.described(), EMPTY.notes) == ([], [])


def test_a_composition_has_the_families_needs_and_titles_of_all_its_parts():
    assert ALL.family == "edits+samples+trains"
    assert ALL.needs == Needs.FORGET | Needs.CAPTIONS
    assert ALL.reference == "Another title, arXiv 2; One title, arXiv 1"


@pytest.mark.parametrize(
    ("parts", "fidelity"), [((Edits(),), "A"), ((Edits(), Samples()), "B"), ((Trains(), Samples()), "C")]
)
def test_a_composition_is_as_faithful_as_its_least_faithful_part(parts, fidelity):
    assert of(*parts, own=False).fidelity == fidelity


def test_a_control_of_the_suites_own_has_no_letter():
    assert (of(Samples()).fidelity, of(Edits(), Samples()).fidelity) == ("", "A")


@pytest.mark.parametrize(
    ("whole", "control", "reference"),
    [
        (of(Trains()), True, True),
        (of(Samples()), True, False),
        (of(Trains(), Samples()), True, False),
        (of(Trains(), Edits()), False, False),
        (of(Edits()), False, False),
        (of(Trains(), own=False), False, False),
    ],
)
def test_a_control_has_controls_alone_and_a_reference_stands_alone_and_both_are_our_own(whole, control, reference):
    assert (whole.control, whole.reference_curve) == (control, reference)


def test_what_a_stranger_states_and_is_not_counted_is_noted():
    assert [note.split(",")[0] for note in of(Trains(), Samples(), Edits(), own=False).notes] == [
        "trains(rate=1.0) states control",
        "trains(rate=1.0) states reference_curve",
        "samples(scale=3.0) states control",
    ]
    assert of(Trains()).notes == []


def test_parameters_of_one_part_have_plain_names_and_those_of_several_their_family_s():
    assert of(Samples(2.0)).parameters == {"scale": 2.0, "more": 1}
    assert of(Samples(2.0), Trains()).parameters == {"samples.scale": 2.0, "samples.more": 1, "trains.rate": 1.0}


@pytest.mark.parametrize(
    ("mitigation", "told"),
    [
        (Samples(), {"scale": 3.0}),
        (Samples(2.0), {"scale": 2.0}),
        (Samples(3.0, 2), {"scale": 3.0, "more": 2}),
        (Edits(), {}),
    ],
)
def test_a_setting_is_told_by_its_first_parameter_and_those_off_their_default(mitigation, told):
    assert Part("family", mitigation).distinguishing == told


def test_a_long_label_is_shortened_and_two_long_ones_stay_apart():
    labels = {Part("trains", Trains("x" * 90 + end)).label for end in "ab"}
    assert (len(labels), {len(label) for label in labels}) == (2, {80})


def test_a_part_is_described_by_family_class_parameters_and_source():
    assert of(Trains((1, (2, 3)))).described() == [["trains", {"class": "Trains", "rate": [1, [2, 3]]}, "source 1"]]


FIT = [None, True, -3, LARGEST - 1, 1 - LARGEST, 1e300, "a b", "x" * 200, (), (1, ("a", None)), (0,) * 200]
UNFIT = {
    "inf": inf,
    "nan": nan,
    "a whole number of 2**63 or more": LARGEST,
    "a text of 201 letters": "x" * 201,
    "a tuple of 201 values": (0,) * 201,
    "an object of type list": [1],
    "an object of type dict": {},
    "the text 'a\\nb'": "a\nb",
}


@pytest.mark.parametrize("value", FIT, ids=lambda value: repr(value)[:20])
def test_plain_values_fit_into_a_record(value):
    assert unfit(value) is None
    assert Part("trains", Trains(value)).checked().parameters == {"rate": value}


@pytest.mark.parametrize("reason", UNFIT)
@pytest.mark.parametrize("nested", [False, True])
def test_other_values_are_refused_with_the_parameter_s_name(reason, nested):
    value = (1, UNFIT[reason]) if nested else UNFIT[reason]
    assert unfit(value) == reason
    with pytest.raises(InvalidValue, match=r"Trains\.rate: found "):
        Part("trains", Trains(value)).checked()


@pytest.mark.parametrize("value", [-LARGEST, LARGEST, -inf])
def test_numbers_are_bounded_on_both_sides(value):
    assert unfit(value) is not None


def test_a_subclass_of_a_plain_type_is_no_plain_value():
    class Text(str):
        __slots__ = ()

    class Number(float):
        fake: ClassVar[int] = 1

    assert (unfit(Text("a")), unfit(Number(1))) == ("an object of type Text", "an object of type Number")
