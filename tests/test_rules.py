"""The rules that `solidmark.testing.check` rests on, one by one: its log, the methods of classes, parameters, settings."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pytest
import torch

from solidmark import Mitigation, testing
from solidmark.data import Examples
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.marks import Border
from solidmark.mitigation import Stage
from solidmark.mitigation.composition import Composition
from solidmark.models import LatentNetwork
from solidmark.testing import rules, toys
from solidmark.testing.rules import FaultLog, check_json_round_trip, check_settings, misspelt_methods, state, stray_methods


def raising(error, log=None):
    log = log or FaultLog()
    with log.step("act"):
        raise error
    return log.faults


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (ValueError("bad"), "act: ValueError: bad"),
        (SystemExit(3), "act: SystemExit: 3"),
        (InvalidValue("here", 1, "two", "Go."), "act: here: found 1; expected two. Go."),
    ],
)
def test_what_a_step_raises_is_a_fault_of_its_name(error, fault):
    assert raising(error) == [fault]


@pytest.mark.parametrize("error", [NotApplicable("a", "b", "c", "d"), GeneratorExit()])
def test_a_refusal_and_the_end_of_a_generator_pass_through_a_step(error):
    with pytest.raises(type(error)):
        raising(error)


def test_only_what_does_not_hold_is_a_fault():
    log = FaultLog()
    log.require(True, "a")
    log.require(False, "b")
    assert log.faults == ["b"]


def test_a_kind_is_refused_carried_or_at_fault():
    log = FaultLog()
    for kind, error in (("text", None), ("label", NotApplicable("a", "b", "c", "d")), ("none", ValueError("bad"))):
        with log.kind(kind):
            if error:
                raise error
    assert (log.carried, list(log.refused)) == (["text"], ["label"])
    assert log.faults == ["model of kind none: ValueError: bad"]
    with log.kind("latent"):
        log.require(False, "broken")
    assert log.carried == ["text"]


class Base:
    def hook(self): ...


class Grand(Base):
    def hoook(self): ...

    @staticmethod
    def far(): ...


class Kind(Grand):
    hook, value = Base.hook, 3

    @classmethod
    def hooks(cls): ...

    @property
    def prop(self): ...

    def _own(self): ...


def test_public_methods_that_override_nothing_are_stray_and_close_ones_are_misspelt():
    cures = {"hooks": "did you mean hook?", "hoook": "did you mean hook?", "far": "begin its name with _"}
    expected = {f"Kind.{name} is public and overrides no hook: {cure}" for name, cure in cures.items()}
    assert set(stray_methods(Kind, Base, ("hook",))) == expected
    told = {f"Kind.{name} is never called: did you mean hook?" for name in ("hooks", "hoook")}
    assert set(misspelt_methods(Kind, Base, ("hook",))) == told
    assert stray_methods(Kind, Base, ("hook", "hooks", "hoook", "far")) == []


class Caches:
    def __init__(self):
        self.kept = 1

    @cached_property
    def made(self):
        return 2


def test_state_is_what_an_object_holds_without_what_it_has_cached():
    thing = Caches()
    assert thing.made == 2
    assert state(thing) == {"kept": 1}


@dataclass(frozen=True)
class Numbers(Mitigation):
    share: float = 0.5
    steps: tuple = (1, (2, 3))
    inner: int = field(default=0, init=False)

    def guidance(self, scale, step_fraction):
        return scale


@dataclass(frozen=True, eq=False)
class Itself(Numbers):
    """Equal to nothing but itself."""

    __eq__, __hash__ = object.__eq__, object.__hash__


def test_parameters_that_survive_json_are_accepted():
    check_json_round_trip(Numbers())
    check_json_round_trip(Numbers(share=1.0, steps=((),)))


@pytest.mark.parametrize(
    ("thing", "found"), [(Numbers(share=float("nan")), "Numbers: found .*nan"), (Itself(), "after JSON; expected")]
)
def test_parameters_that_json_changes_are_a_fault(thing, found):
    with pytest.raises(PluginFault, match=found):
        check_json_round_trip(thing)


def with_settings(settings):
    return dataclass(frozen=True)(type("Sweep", (Numbers,), {"settings": settings}))()


TURNS = iter(range(100))


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        (lambda self: [], "instances of Sweep"),
        (lambda self: [type(self)(), Numbers()], "instances of Sweep"),
        (lambda self: [type(self)(share=0.1)], "the published default"),
        (lambda self: [type(self)(), type(self)()], "distinct parameters"),
        (lambda self: [type(self)(), type(self)(share=next(TURNS) / 100)], "the same settings each time"),
    ],
)
def test_settings_that_are_no_sweep_are_a_fault(settings, found):
    with pytest.raises(PluginFault, match=rf"Sweep.settings: found .*{found}"):
        check_settings(with_settings(settings))


def test_settings_with_the_published_default_are_accepted():
    check_settings(Numbers())
    check_settings(with_settings(lambda self: [type(self)(share=0.1), type(self)()]))


@pytest.mark.parametrize(
    ("value", "change", "equal"),
    [
        (torch.zeros(2), lambda value: value.add_(1), False),
        ([1, 2], lambda value: value.append(3), False),
        (Examples(torch.zeros(2, 1, 2, 2), ["a", "b"], [0, 1]), lambda value: value.captions.reverse(), False),
        (Examples(torch.zeros(2, 1, 2, 2), ["a", "b"], [0, 1]), lambda value: value.images.add_(1), False),
        (torch.Generator(), lambda value: value.manual_seed(3), True),
    ],
)
def test_what_a_hook_does_to_its_input_is_seen(value, change, equal):
    before = testing._copy(value)
    assert testing._equal(testing._copy(value), before)
    change(value)
    assert testing._equal(testing._copy(value), before) is equal


@pytest.mark.parametrize("kind", testing.KINDS)
def test_a_toy_has_captions_of_its_kind_distinct_in_words(kind):
    testbed = toys.toy(kind)
    drawn = testbed.captions(np.array([0, 1] * 8), np.random.default_rng(0))
    assert len(drawn) == 16
    assert kind not in ("text", "latent") or len(set(drawn)) == 16
    names = set(testbed.recipe.network.classes)
    assert drawn == [""] * 16 if kind == "none" else all(caption.split()[0] in names for caption in drawn)


def test_captions_of_a_toy_name_the_class_of_their_label():
    drawn = toys.toy("text").captions(np.array([0, 1]), np.random.default_rng(0))
    assert [caption.split()[0] for caption in drawn] == ["zero", "one"]
    assert all(word[0] == "w" and 0 <= int(word[1:]) < 64 for caption in drawn for word in caption.split()[1:])


def test_a_latent_toy_has_latents_of_four_cells_a_side():
    testbed = toys.toy("latent")
    network = testbed.recipe.network
    assert isinstance(network, LatentNetwork)
    assert (network.size, network.factor, network.x_channels, testbed.mark) == (16, 4, 2, Border(4, 8))
    images = testbed.load()
    assert (images.images.shape, images.labels[:3].tolist()) == ((256, 1, 8, 8), [0, 1, 0])


@pytest.mark.parametrize("stage", [*Stage, None])
def test_each_stage_acts_where_it_belongs(stage):
    setup = object.__new__(toys.ToySetup)
    expected = {Stage.TRAINING: setup.train, Stage.POST_HOC: setup.edit}.get(stage, setup.sample)
    assert setup.action(stage) == expected


def test_two_results_are_equal_bit_for_bit_or_not_at_all():
    one = toys.ActionResult([torch.zeros(2)], 1, 1)
    assert one.equals(toys.ActionResult([torch.zeros(2)], 5, 7))
    assert not one.equals(toys.ActionResult([torch.zeros(2)] * 2, 1, 1))
    assert not one.equals(toys.ActionResult([torch.full((2,), 1e-30)], 1, 1))


def test_networks_of_one_class_are_counted_inside_alone():
    class Holder:
        network = torch.nn.Linear(2, 2)

    other = torch.nn.Sequential(torch.nn.Identity())
    with toys.count_network_samples(Holder) as sizes:
        Holder.network(torch.zeros(1, 3, 2))
        other(torch.zeros(5, 2))
    Holder.network(torch.zeros(1, 3, 2))
    assert sizes == [3]  # the network's first output, (B, ...)


def test_a_check_waits_two_minutes_for_a_step_and_knows_all_kinds():
    assert rules.PATIENCE == 120
    assert testing.KINDS == ("text", "latent", "label", "none")


def test_a_composition_of_one_is_named_by_its_class():
    made = testing._compose(Numbers())
    assert isinstance(made, Composition)
    assert [(part.family, part.mitigation) for part in made.parts] == [("Numbers", Numbers())]
