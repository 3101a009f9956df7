"""What mitigations tell of themselves: kept with the trained model, and in the record."""

from dataclasses import dataclass

import pytest
from worlds import composed, tiny

from solidmark import Mitigation, Trainer, plugins
from solidmark.errors import InvalidValue
from solidmark.measurement.case import Case, Desk
from solidmark.measurement.measure import measure
from solidmark.mitigation import Needs
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Doors
from solidmark.sampling import Protocol
from solidmark.store import Store
from solidmark.training import train


class Counter(Trainer):
    """Counts updates and tells of them at the end."""

    def finish(self):
        self.inner.finish()
        self.data.tell("updates", self.run.done)


@dataclass(frozen=True)
class Counting(Mitigation):
    share: float = 0.0

    def trainer(self, inner):
        return Counter(self, inner)


@dataclass(frozen=True)
class Removing(Mitigation):
    def edit(self, model, data, rng):
        data.tell("removed", 0.25)
        model.parameters()[0].data.mul_(0.5)
        return model


@dataclass(frozen=True)
class Looking(Mitigation):
    """Finds nothing to change, and says so or not."""

    says: bool = True

    def edit(self, model, data, rng):
        data.tell("idle", self.says)
        return model


class Claims(Trainer):
    """Claims to be private."""

    def finish(self):
        self.inner.finish()
        self.data.tell("epsilon", self.mitigation.epsilon)
        self.data.tell("delta", 0.01)


@dataclass(frozen=True)
class Private(Mitigation):
    epsilon: float | None = 2.0

    def trainer(self, inner):
        return Claims(self, inner)


def trained(*mitigations):
    laid = tiny().board(0)
    return train(tiny().recipe, laid.trained, laid.trained_keys, laid.mark, composed(*mitigations), 0)


def test_what_a_link_told_is_with_the_trained_model():
    assert trained(Counting()).told == {"Counting": {"updates": 3}}
    assert trained().told == {}


def test_of_two_parts_of_one_family_each_is_told_by_its_label():
    assert list(trained(Counting(), Counting(0.5)).told) == ["Counting(share=0.0)", "Counting(share=0.5)"]


def test_a_copy_has_told_nothing():
    assert trained(Counting()).copy().told == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [1.0], {"a": 1}])
def test_what_is_no_finite_plain_value_is_refused(value):
    with pytest.raises(InvalidValue, match="mitigation mine, told share"):
        Data(Needs.NOTHING, "mine").tell("share", value)


def test_a_name_is_told_once():
    data = Data(Needs.NOTHING, "mine")
    data.tell("share", None)
    with pytest.raises(InvalidValue, match=r"told share: found 0\.5, and None before"):
        data.tell("share", 0.5)


def test_the_record_has_what_training_and_editing_told_also_from_the_store(tmp_path):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    parts = composed(Counting(), Removing())
    case = Case("tiny", tiny(), parts, 0, (("outpaint", attack),), Protocol(steps=2))
    desk = Desk(Store(tmp_path / "store"))
    for _ in range(2):
        told = measure(case, desk, tmp_path / "run")["told"]
        assert (told["training"], told["editing"]) == ({"Counting": {"updates": 3}}, {"Removing": {"removed": 0.25}})


@pytest.mark.parametrize("says", [(True,), (False,), (True, False), (True, True)])
def test_edits_that_change_nothing_are_a_fault_unless_each_says_so(tmp_path, says):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    case = Case("tiny", tiny(), composed(*map(Looking, says)), 0, (("outpaint", attack),), Protocol(steps=2))
    controls = measure(case, Desk(Store(tmp_path / "store")), tmp_path / "run")["controls"]
    assert any("inactive" in fault for fault in controls["faults"]) is not all(says)


@pytest.mark.parametrize(("epsilon", "delta"), [(2.0, 0.01), (None, 0.0)])
def test_the_privacy_loss_is_held_against_the_claim_at_its_delta(tmp_path, epsilon, delta):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    case = Case("tiny", tiny(), composed(Private(epsilon)), 0, (("outpaint", attack),), Protocol(steps=2))
    record = measure(case, Desk(Store(tmp_path / "store")), tmp_path / "run")
    blocks = (record["queries"]["outpaint"], record["worst"], record["worst_service"])
    assert [block["epsilon"]["delta"] for block in blocks] == [delta] * 3


def test_what_was_told_belongs_to_its_doors_alone():
    one, other = (Doors(composed(Removing()), 0, "editing") for _ in range(2))
    one.edit(trained().copy())
    assert (one.told, other.told) == ({"Removing": {"removed": 0.25}}, {})
