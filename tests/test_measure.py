"""A measured case: that its record says what its answers, controls and costs are. Colour images, three steps of training."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from solidmark.mitigations.finetune import FineTune
from solidmark.mitigations.none import NoMitigation
from solidmark.mitigations.rna import RandomNumbers
from solidmark.mitigations.weight_noise import WeightNoise
from worlds import Colours, NoHooks, composed

from solidmark import Mitigation, plugins
from solidmark.errors import NotApplicable, PluginFault
from solidmark.measurement import answers, measure, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores, scoring
from solidmark.metrics.controls import Marks
from solidmark.mitigation.composition import Composition, Part
from solidmark.queries import Answer, Attack
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.outpaint import Outpaint
from solidmark.queries.outpaint_weights import OutpaintWeights
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = Colours()
QUERIES = (("outpaint", Outpaint()), ("outpaint-weights", OutpaintWeights()), ("caption-only", CaptionOnly()))
ROWS = {"none": (NoMitigation(),), "rna": (RandomNumbers(4),), "finetune": (FineTune(2, batch=4),)}


def case(*mitigations, queries=QUERIES, testbed=TESTBED):
    return Case("colours", testbed, composed(*mitigations), 0, queries, SolverConfig(steps=3))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def records(workspace, run):
    return {name: measure.measure(case(*parts), workspace, run) for name, parts in ROWS.items()}


@pytest.fixture(scope="module")
def asked(workspace):
    """The answers of each row to each query, asked a second time."""
    found = {}
    for name, parts in ROWS.items():
        model = weights.edit_or_load(case(*parts), workspace)[0]
        found[name] = {query: answers.ask_or_load(case(*parts), query, model, workspace) for query, _ in QUERIES}
    return found


@pytest.mark.parametrize("row", ROWS)
def test_a_record_has_the_numbers_of_its_answers_to_every_query(records, asked, row):
    truth, group = TESTBED.split(0), case(*ROWS[row]).groups["target"]
    keys = truth.trained_keys.double().numpy()[group]
    for query, block in records[row]["queries"].items():
        found = scores.memorization(asked[row][query].trained[group], keys)
        assert block["memorization"] == scoring.memorization(found, len(group))
        held_out = scores.memorization(asked[row][query].held_out, truth.held_out_keys.double().numpy())
        assert block["held_out"]["memorization"] == scoring.memorization(held_out, 64)
        assert block["access"] == ("white-box" if query == "outpaint-weights" else "black-box")
        assert (block["evaluations"]["forward"], block["evaluations"]["images"]) == (6 * 88, 88)


def test_a_row_answers_for_its_forget_list_and_states_what_it_retained(records, asked):
    truth = TESTBED.split(0)
    kept = [index for index in range(24) if index not in truth.forget]
    block = records["finetune"]["queries"]["outpaint"]
    found = scores.memorization(asked["finetune"]["outpaint"].trained[kept], truth.trained_keys.double().numpy()[kept])
    assert (block["memorization"]["images"], block["retained"]["memorization"]) == (6, scoring.memorization(found, 18))
    assert "retained" not in records["none"]["queries"]["outpaint"]


def test_the_worst_case_of_a_service_leaves_out_the_query_of_the_weights(records):
    worst = records["rna"]
    assert list(worst["worst"]["chosen"]) == ["outpaint", "outpaint-weights", "caption-only"]
    assert list(worst["worst_service"]["chosen"]) == ["outpaint", "caption-only"]
    assert (worst["worst"]["queries"], worst["worst_service"]["queries"]) == (3, 2)


def test_costs_are_those_of_training_editing_and_sampling(records):
    costs = {name: {part: work["forward"] for part, work in record["cost"].items()} for name, record in records.items()}
    assert costs["none"] == {"training": 24, "editing": 0, "sampling": 6 * 16}
    assert costs["finetune"] == {"training": 24, "editing": 8, "sampling": 6 * 16}
    assert {record["cost"]["sampling"]["images"] for record in records.values()} == {16}


def test_the_loss_of_held_out_images_is_stated_where_the_weights_are_the_rows_own(records):
    losses = {name: record["denoising_loss"] for name, record in records.items()}
    assert losses["rna"] is None
    assert losses["none"]["held_out"]["images"] == 64
    assert losses["finetune"]["held_out"]["value"] != losses["none"]["held_out"]["value"]


def test_only_a_row_that_samples_reports_refusals_and_doses(records):
    assert {name: list(record["reported"]["sampling"]) for name, record in records.items()} == {
        "none": [],
        "rna": ["refused", "doses"],
        "finetune": [],
    }


def test_the_heading_says_what_was_measured(records):
    heading = {name: records["finetune"][name] for name in ("testbed", "family", "stage", "needs", "control", "seed")}
    assert heading == {
        "testbed": "colours",
        "family": "FineTune",
        "stage": "post-hoc",
        "needs": ["forget list"],
        "control": False,
        "seed": 0,
    }
    assert records["finetune"]["parameters"] == {"updates": 2, "rate": 0.1, "batch": 4}
    assert records["finetune"]["solver"]["steps"] == 3


def test_controls_are_of_the_leading_query_and_power_is_the_best(records, asked):
    truth, checked = TESTBED.split(0), records["rna"]["controls"]
    other = scores.memorization(asked["rna"]["outpaint"].trained, truth.other_keys.double().numpy())
    assert checked["other_keys"]["memorization"] == scoring.memorization(other, 24)
    assert checked["power"]["value"] == max(block["value"] for block in records["rna"]["power"].values())
    assert (checked["active"], checked["faults"], checked["sound"]) == (True, [], True)


def test_the_file_of_images_has_a_row_for_each_image_and_query_in_colour(records, run):
    block = records["rna"]["per_image"]
    table = pd.read_parquet(run / block["path"])
    assert len(table) == block["rows"] == 4 * 88
    assert table.groupby("query").trained.sum().to_dict() == dict.fromkeys((*records["rna"]["queries"], "content"), 24)
    shown = table[table["query"] == "outpaint"].as_trained.notna()
    assert np.flatnonzero(shown).tolist() == [*range(6), 24, 25, 26]


def test_the_file_of_images_has_what_was_predicted_and_how_likely_that_is(records, asked, run):
    table = pd.read_parquet(run / records["none"]["per_image"]["path"])
    table, truth = table[table["query"] == "outpaint"], TESTBED.split(0)
    keys = torch.cat([truth.trained_keys, truth.held_out_keys]).double().numpy()
    assert np.stack(table.prediction) == pytest.approx(asked["none"]["outpaint"].keys)
    assert np.stack(table.distance) == pytest.approx(np.abs(np.stack(table.prediction) - keys))
    assert table.combined_p.to_numpy() == pytest.approx(scores.combine(np.stack(table.p_value)))
    assert np.flatnonzero(table.forget).tolist() == truth.forget


def test_a_part_without_effect_is_a_fault_unless_it_is_a_control(workspace, run):
    nothing = case(WeightNoise(0.0), queries=QUERIES[:1])
    stranger = replace(nothing, composition=Composition((Part("idle", WeightNoise(0.0), own=False),)))
    assert measure.measure(nothing, workspace, run)["status"] == "ok"
    record = measure.measure(stranger, workspace, run)
    assert (record["status"], record["controls"]["active"]) == ("failed_check", False)


@pytest.mark.parametrize(("by", "changed"), [(0.0, False), (5e-5, False), (2e-4, True)])
def test_what_differs_by_the_order_of_sums_alone_changes_nothing(by, changed):
    keys = np.full((4, 8), 0.5)
    assert measure.changes(SimpleNamespace(keys=keys + by * np.eye(4, 8)), SimpleNamespace(keys=keys)) is changed


@dataclass(frozen=True)
class Failing(Attack):
    broken: bool = False

    def ask(self, audit):
        raise (PluginFault if self.broken else NotApplicable)("query", "no weights", "weights", "Train some.")


@dataclass(frozen=True)
class Guess(Attack):
    """The same keys for every image, or the planted ones."""

    planted: bool = False

    def ask(self, audit):
        return Answer(audit.keys if self.planted else torch.full_like(audit.keys, 0.3))


def further(workspace, run, attack):
    """The record of a row that is asked one query more."""
    return measure.measure(case(queries=(("outpaint", Outpaint()), ("more", attack))), workspace, run)


def test_a_query_that_does_not_apply_is_left_out_with_its_reason(workspace, run):
    record = further(workspace, run, Failing())
    assert (record["status"], list(record["queries"]), list(record["worst"]["chosen"])) == ("ok", ["outpaint"], ["outpaint"])
    assert record["not_applicable"] == {"more": "query: found no weights; expected weights. Train some."}
    assert record["power"]["more"] is None


def test_a_query_that_breaks_fails_the_row_and_the_others_keep_their_numbers(workspace, run):
    record = further(workspace, run, Failing(broken=True))
    assert (record["status"], list(record["queries"])) == ("failed_check", ["outpaint"])
    assert record["not_applicable"]["more"] in record["controls"]["faults"]


@pytest.mark.parametrize(("broken", "fault"), [(False, NotApplicable), (True, PluginFault)])
def test_a_leading_query_that_cannot_be_put_ends_the_case(workspace, run, broken, fault):
    with pytest.raises(fault, match="no weights"):
        measure.measure(case(queries=(("more", Failing(broken)), *QUERIES[:1])), workspace, run)


@pytest.mark.parametrize(("planted", "words"), [(False, "it asks nothing"), (True, "planted keys that the query")])
def test_a_query_that_asks_nothing_or_has_looked_up_keys_is_a_fault(workspace, run, planted, words):
    faults = further(workspace, run, Guess(planted))["controls"]["faults"]
    assert any(words in fault for fault in faults)


def test_a_testbed_has_the_power_of_its_queries_and_the_utility_of_training_without_marks(workspace, records):
    record = measure.measure_testbed(case(), workspace)
    assert record["power"] == records["none"]["power"]
    assert list(record["power"]) == [name for name, _ in QUERIES]
    assert record["unmarked"]["utility"]["frechet"]["value"] != records["none"]["utility"]["frechet"]["value"]
    assert record["expected"] == TESTBED.expected
    installed = [plugin.name for plugin in plugins.discover(plugins.GROUPS["detector"])]
    assert [name for name, block in record["detectors"].items() if block["auroc"] is not None] == installed


def test_a_case_without_numbers_has_its_reason_and_no_zero():
    record = measure.unmeasured(case(RandomNumbers()), "timeout", "too long")
    assert (record["status"], record["reason"], record["family"]) == ("timeout", "too long", "RandomNumbers")
    assert [record[name] for name in ("queries", "controls", "utility", "cost")] == [None] * 4
    assert "family" not in measure.unmeasured(None, "error", "no case")


@dataclass(frozen=True)
class Capless(Colours):
    """Without captions."""

    def captions(self, labels, rng):
        return [""] * len(labels)


@pytest.mark.parametrize("part", [RandomNumbers(), type("Guided", (NoHooks,), {"guidance": lambda s, a, b: a})()])
def test_what_acts_on_captions_does_not_apply_where_there_are_none(part):
    split = Capless().split(0)
    with pytest.raises(NotApplicable, match="a testbed without captions"):
        measure.check_applicable(composed(part), split)
    measure.check_applicable(composed(WeightNoise()), split)
    measure.check_applicable(composed(part), TESTBED.split(0))


def build(**reported):
    return weights.BuildInfo({"forward": 0, "backward": 0, "seconds": 0.0}, reported)


@pytest.mark.parametrize(
    ("reports", "delta"),
    [
        ({}, 0.0),
        ({"a": {"epsilon": 3.0, "delta": 1e-5}}, 1e-5),
        ({"a": {"epsilon": 3.0, "delta": 1e-5}, "b": {"epsilon": 1.0, "delta": 1e-3}}, 1e-3),
        ({"a": {"epsilon": 3.0, "delta": 0.5}}, 0.1),
        ({"a": {"delta": 1e-5}}, 0.0),
        ({"a": {"epsilon": None, "delta": 1e-5}}, 0.0),
        ({"a": {"epsilon": 3.0}}, 0.0),
        ({"a": {"epsilon": 3.0, "delta": -1.0}}, 0.0),
    ],
)
def test_the_delta_of_a_bound_is_the_largest_that_is_claimed_with_an_epsilon_up_to_one_image(reports, delta):
    assert measure._claimed_delta({"training": build(**reports), "editing": build()}, 10) == delta


@pytest.mark.parametrize(
    ("reports", "excused"),
    [
        ({}, False),
        ({"NoHooks": {"no_op": True}}, False),
        ({"NoHooks": {"no_op": True}, "WeightNoise": {"no_op": True}}, True),
        ({"NoHooks": {"no_op": True}, "WeightNoise": {"no_op": False}}, False),
    ],
)
def test_a_row_is_excused_where_every_part_reports_that_it_found_nothing(reports, excused):
    silent = SimpleNamespace(doses={})
    assert measure._no_op(case(NoHooks(), WeightNoise()), {"editing": build(**reports)}, silent) is excused


@pytest.mark.parametrize(("doses", "excused"), [({}, False), ({"acted_on": 0.1}, False), ({"acted_on": 0.0}, True)])
def test_a_row_whose_sampler_acted_on_nothing_is_excused(doses, excused):
    assert measure._no_op(case(NoHooks()), {}, SimpleNamespace(doses={"NoHooks": doses})) is excused


def test_looks_of_marks_are_written_whole():
    assert Marks(0.2, 0.1, 0.3).as_block() == {"spread": 0.2, "unevenness": 0.1, "decoy_error": 0.3}


def test_the_memory_of_a_process_is_told_in_bytes():
    assert 10**7 < measure._peak_bytes("cpu") < 10**12


def test_only_a_mitigation_that_acts_is_named_beside_a_query_that_looked(workspace):
    """A class without hooks cannot have looked."""
    assert isinstance(NoHooks(), Mitigation)
    model = weights.train_or_load(case(), workspace)[0]
    peeked = case(NoHooks(), RandomNumbers(), queries=(("outpaint", Guess(planted=True)),))
    found = answers.ask_query(peeked, "outpaint", model, workspace)
    faults = measure._faults(peeked, TESTBED.split(0), "outpaint", found, answers.Power(None))
    assert all("planted keys that the query or RandomNumbers(count=4) has looked up" in fault for fault in faults)
    assert faults
