"""Self-reports of mitigations: kept with the trained model, and in the record."""

from dataclasses import dataclass

import pytest
from worlds import composed, tiny

from solidmark import Mitigation, Trainer, plugins
from solidmark.errors import InvalidValue
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.measure import measure
from solidmark.mitigation import Needs
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.run import TrainingSet
from solidmark.sampling import SolverConfig
from solidmark.store import Store
from solidmark.training import train


class Counter(Trainer):
    """Counts updates and reports the number at the end."""

    def finish(self):
        self.inner.finish()
        self.data.report("updates", self.run.done)


@dataclass(frozen=True)
class Counting(Mitigation):
    share: float = 0.0

    def trainer(self, inner):
        return Counter(self, inner)


@dataclass(frozen=True)
class Removing(Mitigation):
    def edit(self, model, data, rng):
        data.report("removed", 0.25)
        model.parameters()[0].data.mul_(0.5)
        return model


@dataclass(frozen=True)
class Looking(Mitigation):
    """Finds nothing to change, and reports that or not."""

    says: bool = True

    def edit(self, model, data, rng):
        data.report("no_op", self.says)
        return model


class Claims(Trainer):
    """Claims to be private."""

    def finish(self):
        self.inner.finish()
        self.data.report("epsilon", self.mitigation.epsilon)
        self.data.report("delta", 0.01)


@dataclass(frozen=True)
class Private(Mitigation):
    epsilon: float | None = 2.0

    def trainer(self, inner):
        return Claims(self, inner)


def trained(*mitigations):
    laid = tiny().split(0)
    return train(tiny().recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(*mitigations), 0)


def test_what_a_wrapper_reported_is_with_the_trained_model():
    assert trained(Counting()).reported == {"Counting": {"updates": 3}}
    assert trained().reported == {}


def test_of_two_parts_of_one_family_each_reports_under_its_label():
    assert list(trained(Counting(), Counting(0.5)).reported) == ["Counting(share=0.0)", "Counting(share=0.5)"]


def test_a_copy_has_reported_nothing():
    assert trained(Counting()).copy().reported == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 10**400, [1.0], {"a": 1}])
def test_what_is_no_finite_plain_value_is_refused(value):
    with pytest.raises(InvalidValue, match="mitigation mine, report of share"):
        Data(Needs.NOTHING, "mine").report("share", value)


@pytest.mark.parametrize(("name", "value"), [("delta", "tiny"), ("epsilon", True)])
def test_a_privacy_claim_is_a_number(name, value):
    with pytest.raises(InvalidValue, match=f"report of {name}: found {value!r}; expected a number, or None"):
        Data(Needs.NOTHING, "mine").report(name, value)


def test_a_sampler_may_not_report():
    with pytest.raises(InvalidValue, match="a report while sampling"):
        Data(Needs.NOTHING, "mine", sampled=True).report("share", 0.5)


def test_a_name_is_reported_once():
    data = Data(Needs.NOTHING, "mine")
    data.report("share", None)
    with pytest.raises(InvalidValue, match=r"report of share: found 0\.5, and None before"):
        data.report("share", 0.5)


def test_the_record_has_what_training_and_editing_reported_also_from_the_store(tmp_path):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    parts = composed(Counting(), Removing())
    case = Case("tiny", tiny(), parts, 0, (("outpaint", attack),), SolverConfig(steps=2))
    workspace = Workspace(Store(tmp_path / "store"))
    for _ in range(2):
        reported = measure(case, workspace, tmp_path / "run")["reported"]
        moved = reported["editing"]["Removing"].pop("weights_moved")  # which the suite tells
        assert (reported["training"], reported["editing"]) == ({"Counting": {"updates": 3}}, {"Removing": {"removed": 0.25}})
        assert 0 < moved < 0.5


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """A store whose base model several tests use."""
    return Workspace(Store(tmp_path_factory.mktemp("store")))


@pytest.mark.parametrize("says", [(True,), (False,), (True, False), (True, True)])
def test_edits_that_change_nothing_are_a_fault_unless_each_says_so(shared, tmp_path, says):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    case = Case("tiny", tiny(), composed(*map(Looking, says)), 0, (("outpaint", attack),), SolverConfig(steps=2))
    controls = measure(case, shared, tmp_path / "run")["controls"]
    assert any("inactive" in fault for fault in controls["faults"]) is not all(says)


@pytest.mark.parametrize(("epsilon", "delta"), [(2.0, 0.01), (None, 0.0)])
def test_the_privacy_loss_is_compared_with_the_claim_at_its_delta(shared, tmp_path, epsilon, delta):
    attack = plugins.instance("solidmark.queries", "query", "outpaint")
    case = Case("tiny", tiny(), composed(Private(epsilon)), 0, (("outpaint", attack),), SolverConfig(steps=2))
    record = measure(case, shared, tmp_path / "run")
    blocks = (record["queries"]["outpaint"], record["worst"], record["worst_service"])
    assert [block["epsilon"]["delta"] for block in blocks] == [delta] * 3


def test_a_report_belongs_to_its_hooks_alone():
    used, unused = (Hooks(composed(Removing()), 0, "editing") for _ in range(2))
    lengths = [float(weight.norm()) for weight in trained().parameters()]
    used.edit(trained().copy())
    moved = pytest.approx(0.5 * lengths[0] / sum(length**2 for length in lengths) ** 0.5, rel=0.1)
    assert (used.reported, unused.reported) == ({"Removing": {"removed": 0.25, "weights_moved": moved}}, {})
