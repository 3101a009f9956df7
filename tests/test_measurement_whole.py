"""A whole case and its record by named parts: which part of a record is made of what."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from worlds import split

from solidmark import Needs, Stage
from solidmark.measurement import answers, measure, responses
from solidmark.measurement import case as cases
from solidmark.metrics.controls import Marks
from solidmark.models import Evaluations
from solidmark.queries import Access
from solidmark.schema.numbers import Estimate

LAID = split(6, 20)


def named(name):
    """A function that says its name and what it was given."""
    return lambda *given, **more: f"{name}({', '.join([*map(str, given), *(f'{key}={more[key]}' for key in more)])})"


class Words(SimpleNamespace):
    """Something that is called by its name in words."""

    def __str__(self):
        return self.name


@pytest.fixture
def whole(monkeypatch):
    """A case of two queries whose parts are words."""
    testbed = Words(name="testbed", check_rows=lambda *given, **more: checked.append((given, more)), expected="expected")
    checked = []
    case = Words(name="case", testbed=testbed, queries=[("a", None), ("b", None)], leading="a", groups={"target": [1, 2]})
    case.composition = SimpleNamespace(needs={Needs.FORGET})
    case.blind, case.truth, case.case_id, case.checked = SimpleNamespace(split="blind"), "truth", "the id", checked
    monkeypatch.setattr(measure, "replace", lambda one, **more: Words(**{**vars(one), **more}))
    builds = {part: SimpleNamespace(cost=f"{part} cost", reported=f"{part} told") for part in ("training", "editing")}
    parts = {
        measure.weights: {"edit_or_load": lambda *given: checked.append(given) or ("model", builds), "training_cost": None},
        measure.answers: {"measure_power": None, "ask_baseline": None, "ask_plainly": None, "sampling_report": None},
        measure.content: {"measure_content": None, "washing": None, "faults": lambda washed: [f"fault of {washed}"]},
        measure.generation: {"in_all_ways": lambda *given: checked.append(given) or {measure.generation.FRESH: FRESH}},
        measure.sources: {"find": None, "fault": lambda found: [f"fault of {found}"]},
        measure.pipeline: {"find": None, "as_block": None, "faults": lambda *given: [named("inactive")(*given)]},
        measure.floor: {"measure_floor": None, "faults": lambda space: [f"lossy {space}"]},
        measure.expected: {"faults": lambda *given: [named("weak")(*given)]},
        measure.controls: {"contradictions": lambda name, block: [f"{name} contradicts {block}"]},
        measure.distances: {"described": None},
        measure.content_block: {"as_block": None},
        measure.per_image: {"write": None},
        measure.detectors: {"measure_detectors": None},
    }
    own = "_beside _claimed_delta _scores _no_op _worst _power _denoising_loss _through_service"
    for module, functions in {**parts, measure: dict.fromkeys(own.split())}.items():
        for name, function in functions.items():
            monkeypatch.setattr(module, name, function or named(name))
    monkeypatch.setattr(measure, "check_applicable", lambda *given: checked.append(given))
    monkeypatch.setattr(measure, "_ask_all", lambda *given: checked.append(given) or ASKED)
    monkeypatch.setattr(measure, "_heading", lambda case: {"heading": str(case)})
    monkeypatch.setattr(measure, "_utility", lambda *given: {"utility": (str(given[0]), *given[1:])})
    monkeypatch.setattr(measure, "_provenance", lambda *given: {"made": named("")(*given)})
    return case


FRESH = SimpleNamespace(cost="sampling cost")
ASKED = measure.Asked({"a": "found a", "b": "found b"}, "plain", {"x": "does not apply"}, {"y": "is broken"})


@pytest.mark.parametrize("sound", [True, False])
def test_each_part_of_a_record_is_made_of_what_belongs_to_it(monkeypatch, whole, sound):
    given = []
    monkeypatch.setattr(measure, "_controls", lambda *words, no_op: given.append((words, no_op)) or {"sound": sound})
    record = measure.measure(whole, "workspace", "run")
    rows, *called = whole.checked
    assert rows == ((2,), {"forgetting": True})
    words = [tuple(map(str, given)) for given in called]
    assert words[0] == (str(whole.composition), "blind")
    assert words[1:] == [("case", "workspace"), ("case", "model", "workspace"), ("case", "model", "workspace", "plain")]
    found, shown = ASKED.responses, f"measure_content(case, plain, {ASKED.responses})"
    delta, beside = "_claimed_delta", f"_beside(case, {shown})"
    blocks = {name: record["queries"][name] for name in "ab"}
    assert all(blocks[name].startswith(f"_scores(case, truth, {name}, found {name}, {delta}(") for name in "ab")
    assert blocks["a"].endswith(", 2))")  # two images of the target group
    (((of, truth, responses_, baseline, power, further), no_op),) = given
    baseline_, power_ = "ask_baseline(case, workspace)", "measure_power(case, workspace)"
    assert (str(of), truth, responses_, baseline, power) == ("case", "truth", found, baseline_, power_)
    assert no_op.startswith("_no_op(case, ")
    assert no_op.endswith(", found a)")
    source, behind = "find(case, model, workspace)", "find(case, model, workspace)"
    space = "measure_floor(case, truth, workspace)"
    washed = f"washing(case, {shown}, truth, found a, {baseline})"
    assert further == [
        f"weak(case, truth, {baseline})",
        "is broken",
        f"fault of {washed}",
        f"lossy {space}",
        f"fault of {source}",
        *(f"{name} contradicts {blocks[name]}" for name in "ab"),
        f"inactive({behind}, found a)",
    ]
    told = {"heading": "case", "status": "ok" if sound else "failed_check", "controls": {"sound": sound}}
    told |= {"not_applicable": {"x": "does not apply", "y": "is broken"}, "power": f"_power({power})"}
    told |= {"utility": ("case", "truth", {measure.generation.FRESH: FRESH}), "space": space, "source": source}
    told["denoising_loss"] = "_denoising_loss(case, model, truth)"
    told["content"] = f"as_block({shown}, {beside}, {washed}, shared=False)"
    told["pipeline"] = f"as_block({behind}, truth, case, {found})"
    told["sources"] = told.pop("source")
    told["cost"] = {
        "training": "training_cost(case, workspace, training cost)",
        "editing": "editing cost",
        "sampling": "sampling cost",
    }
    sampling = f"sampling_report(case, {found}, {FRESH})"
    told["reported"] = {"training": "training told", "editing": "editing told", "sampling": sampling}
    told["provenance"] = {"made": "(case, truth, workspace)", "distances": f"described({beside})"}
    told["per_image"] = f"write(the id, truth, {found}, run, {shown})"
    assert {name: record[name] for name in told} == told
    service = f"_through_service(case, {found})"
    assert record["worst"].startswith(f"_worst(case, truth, {found}, _claimed_delta(")
    assert record["worst_service"].startswith(f"_worst(case, truth, {service}, _claimed_delta(")
    assert set(record) == {*told, "queries", "worst", "worst_service"}


def test_the_record_of_a_testbed_has_the_model_without_marks_for_utility_and_the_marked_one_for_detectors(
    monkeypatch, whole
):
    monkeypatch.setattr(
        measure.weights, "train_or_load", lambda case, workspace: ("marked" if case.marked else "unmarked", "info")
    )
    monkeypatch.setattr(measure.generation, "in_all_ways", named("in_all_ways"))
    whole.marked = True
    record = measure.measure_testbed(whole, "workspace")
    ways = "in_all_ways(case, unmarked, workspace, ask_plainly(case, unmarked, workspace))"
    assert record == {
        "heading": "case",
        "status": "ok",
        "power": "_power(measure_power(case, workspace))",
        "unmarked": {"utility": ("case", "truth", ways)},
        "detectors": "measure_detectors(case, marked)",
        "expected": "expected",
        "provenance": {"made": "(case, truth, workspace)"},
    }


# Controls


def keyed(keys, **more):
    return responses.Responses(keys, 6, Marks(0.2, 0.1, None), Evaluations(forward=5), 2.0, None, **more)


@pytest.mark.parametrize(("control", "no_op", "moved"), [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_controls_get_held_out_and_other_keys_the_best_power_and_whether_a_row_acts(monkeypatch, control, no_op, moved):
    asked = []
    monkeypatch.setattr(measure.controls, "check", lambda *given, **more: asked.append((given, more)))
    monkeypatch.setattr(measure, "_faults", lambda case, truth, name, one, power: [f"{name}: {power.estimate}"])
    monkeypatch.setattr(measure.scoring, "negative", lambda found, keys: (found.tolist(), keys.tolist()))
    keys = np.linspace(0, 1, 26 * 8).reshape(26, 8)
    lead, base = keyed(keys), keyed(keys * (1 - 0.5 * moved))
    power = {"a": answers.Power(Estimate(0.5, 0.4, 0.6)), "b": answers.Power(Estimate(0.9, 0.8, 1.0))}
    power |= {"c": answers.Power(Estimate(0.95, 0.9, 1.0)), "d": answers.Power(None)}  # `c` was not answered
    case = SimpleNamespace(leading="a", composition=SimpleNamespace(control=bool(control)))
    given = {"a": lead, "b": lead, "d": lead}
    measure._controls(case, LAID, given, base, power, ["further"], no_op=bool(no_op))
    (((held_out, other, best, marks, before), more),) = asked
    assert held_out == (keys[6:].tolist(), LAID.held_out_keys.double().tolist())
    assert other == (keys[:6].tolist(), LAID.other_keys.double().tolist())
    assert (best.value, marks, before) == (0.9, lead.marks, base.marks)
    assert more["active"] is bool(control or no_op or moved)
    assert more["further"] == [*(f"{name}: {power[name].estimate}" for name in "abd"), "further"]


@pytest.mark.parametrize("leads", [True, False])
def test_leaks_of_a_query_are_looked_for_in_held_out_planted_and_unseen_keys(monkeypatch, leads):
    monkeypatch.setattr(measure.controls, "leaks", lambda where, block: [f"{where}: {block}"])
    monkeypatch.setattr(measure.scoring, "negative", lambda found, keys: (found.shape, round(float(keys.sum()), 3)))
    case = SimpleNamespace(leading="a" if leads else "b", composition=SimpleNamespace(parts=[]))
    keys = np.linspace(0, 1, 26 * 8).reshape(26, 8)
    found = keyed(keys, planted=np.ones((26, 8)))
    faults = measure._faults(case, LAID, "a", found, answers.Power(None, "a leak"))
    held_out = ((20, 8), round(float(LAID.held_out_keys.double().sum()), 3))
    assert faults == [
        *([] if leads else [f"a, held-out images: {held_out}"]),
        f"a, planted keys that the query has looked up: {((26, 8), 208.0)}",
        "a, keys that the perfect memorizer never saw: a leak",
    ]


@pytest.mark.parametrize(("learns", "groups"), [(False, ["target", "retained"]), (True, ["target"])])
def test_the_block_of_a_query_has_both_groups_unless_it_learns_from_one(monkeypatch, learns, groups):
    rows = {"target": [0, 2], "retained": [1, 3, 4]}
    keys = np.linspace(0, 1, 26 * 8).reshape(26, 8)
    truth = (LAID.trained_keys.double().numpy(), LAID.held_out_keys.double().numpy())
    asked = []
    monkeypatch.setattr(measure.scoring, "query", lambda *given: asked.append(given) or {"of": len(given[0])})
    monkeypatch.setattr(measure, "_negative", lambda truth, found: (truth is LAID, found.count))
    attack = SimpleNamespace(learns=learns, access=Access.WHITE_BOX)
    case = SimpleNamespace(attack=lambda name: attack, groups=rows, seed=7)
    block = measure._scores(case, LAID, "x", keyed(keys), 0.25)
    marks = {"spread": 0.2, "unevenness": 0.1, "decoy_error": None}
    spent = {"forward": 5, "backward": 0, "seconds": 2.0, "images": 26}
    more = {"retained": {"of": 3}} if len(groups) == 2 else {}
    told = {"of": 2, "access": "white-box", "held_out": (True, 6), "marks": marks, "evaluations": spent}
    assert block == {**told, **more}
    for group, (found, own, others, other_keys, seed, delta) in zip(groups, asked, strict=True):
        assert (found.tolist(), own.tolist()) == (keys[rows[group]].tolist(), truth[0][rows[group]].tolist())
        assert (others.tolist(), other_keys.tolist(), seed, delta) == (keys[6:].tolist(), truth[1].tolist(), 7, 0.25)


def test_the_worst_case_is_of_the_target_images_of_every_query(monkeypatch):
    monkeypatch.setattr(measure.worst_case, "find", lambda *given: given)
    monkeypatch.setattr(measure.worst_case, "as_block", lambda found: found)
    keys = np.linspace(0, 1, 26 * 8).reshape(26, 8)
    case = SimpleNamespace(groups={"target": [1, 4]}, seed=7)
    found, truth, seed, delta = measure._worst(case, LAID, {"a": keyed(keys), "b": keyed(keys / 2)}, 0.25)
    assert {name: one.tolist() for name, one in found.items()} == {
        "a": keys[[1, 4]].tolist(),
        "b": (keys / 2)[[1, 4]].tolist(),
    }
    assert (truth.tolist(), seed, delta) == (LAID.trained_keys.double()[[1, 4]].tolist(), 7, 0.25)


@pytest.mark.parametrize(
    ("stages", "prediction", "centre", "told"),
    [
        ([], "v", True, True),
        ([Stage.SAMPLING], "v", True, False),
        ([Stage.TRAINING, Stage.SAMPLING], "v", True, True),
        ([], "x0", True, False),
        ([], "v", False, False),
    ],
)
def test_a_loss_is_told_where_weights_target_and_mark_let_it_be_compared(monkeypatch, stages, prediction, centre, told):
    model = SimpleNamespace(config=SimpleNamespace(prediction=prediction))
    monkeypatch.setattr(measure.whitebox, "has_centre", lambda *given: given == (model, "truth") and centre)
    monkeypatch.setattr(measure.whitebox, "generalization", lambda *given: given)
    testbed = SimpleNamespace(recipe=SimpleNamespace(network=SimpleNamespace(prediction="v")))
    case = SimpleNamespace(composition=SimpleNamespace(stages=stages), testbed=testbed)
    assert measure._denoising_loss(case, model, "truth") == ((model, "truth") if told else None)


def test_provenance_has_where_and_of_what_a_case_was_made(monkeypatch):
    monkeypatch.setattr(measure.provenance, "environment_key", lambda *given: ("environment", *given))
    monkeypatch.setattr(measure.provenance, "describe", lambda value: f"described {value}")
    monkeypatch.setattr(measure, "_peak_bytes", lambda device: f"peak of {device}")
    monkeypatch.setattr(measure.expected, "notes", lambda case: [f"{case.testbed_name} is not gated"])
    recipe = SimpleNamespace(network=SimpleNamespace(precision="half"))
    testbed = Words(name="testbed", recipe=recipe)
    parts = [SimpleNamespace(family=name, source=f"source of {name}") for name in ("rna", "dp")]
    composition = SimpleNamespace(parts=parts, notes=["of the row"])
    case = SimpleNamespace(testbed=testbed, testbed_name="digits", composition=composition, queries=[("a", "A"), ("b", "B")])
    workspace = SimpleNamespace(device="cpu", store=SimpleNamespace(notes=["of the store"]))
    whole = {
        "device": "cpu",
        "environment_key": ("environment", "cpu", "half"),
        "testbed": "described testbed",
        "sources": {"rna": "source of rna", "dp": "source of dp"},
        "queries": {"a": "described A", "b": "described B"},
        "notes": ["of the store", "of the row", "digits is not gated"],
        "peak_bytes": "peak of cpu",
    }
    assert measure._provenance(case, SimpleNamespace(left_out=0), workspace) == whole
    note = "testbed digits: 3 images were left out, nearly equal to another"
    assert measure._provenance(case, SimpleNamespace(left_out=3), workspace) == {**whole, "notes": [*whole["notes"], note]}
    (*_, one) = measure._provenance(case, SimpleNamespace(left_out=1), workspace)["notes"]
    assert one == "testbed digits: 1 image was left out, nearly equal to another"


@pytest.mark.parametrize(("system", "unit"), [("Darwin", 1), ("Linux", 1024)])
def test_the_memory_of_a_process_is_in_the_unit_of_its_system(monkeypatch, system, unit):
    import resource

    usage = Words(name="x", ru_maxrss=7)
    monkeypatch.setattr(measure.platform, "system", lambda: system)
    monkeypatch.setattr(resource, "getrusage", lambda who: usage if who == resource.RUSAGE_SELF else None)
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 11)
    assert (measure._peak_bytes("cpu"), measure._peak_bytes("cuda:1")) == (7 * unit, 11)


def test_a_heading_says_what_was_measured_field_by_field(monkeypatch):
    monkeypatch.setattr(measure.provenance, "describe", lambda value: ("described", value))
    names = "label family stage control reference_curve fidelity reference parameters"
    composition = SimpleNamespace(**{name: f"its {name}" for name in names.split()})
    composition.needs = SimpleNamespace(names=lambda: ["forget list"])
    case = SimpleNamespace(composition=composition, testbed_name="digits", seed=4)
    case.solver = SimpleNamespace(as_block=lambda: "the solver")
    told = {name: f"its {name}" for name in names.split()[1:]}
    told |= {"mitigation": "its label", "parameters": ("described", "its parameters"), "needs": ["forget list"]}
    told |= {"benchmark_version": measure.records.BENCHMARK_VERSION, "testbed": "digits", "seed": 4, "solver": "the solver"}
    assert measure._heading(case) == told
    nothing = dict.fromkeys(("queries", "controls", "utility", "cost"))
    assert measure.unmeasured(case, "error", "why") == {**told, **nothing, "status": "error", "reason": "why"}
    bare = {"benchmark_version": measure.records.BENCHMARK_VERSION, "status": "timeout", "reason": "late"}
    assert measure.unmeasured(None, "timeout", "late") == {**bare, **nothing}


def test_utility_is_that_of_all_ways_with_their_costs_or_a_reason(monkeypatch):
    ways = {"a": SimpleNamespace(cost=1), "b": SimpleNamespace(cost=2)}
    monkeypatch.setattr(measure.generation, "judge", lambda *given: ("judged", *given))
    monkeypatch.setattr(measure.generation, "no_utility", lambda case, split: f"{case} and {split}")
    monkeypatch.setattr(measure.utility, "as_block", lambda *given: given)
    assert measure._utility("case", "split", ways) == {"utility": (("judged", "case", "split", ways), {"a": 1, "b": 2})}
    monkeypatch.setattr(measure.generation, "judge", lambda *given: None)
    assert measure._utility("case", "split", ways) == {"utility": None, "utility_reason": "case and split"}
    monkeypatch.setattr(measure.generation, "no_utility", lambda case, split: None)
    assert measure._utility("case", "split", ways) == {"utility": None, "utility_reason": ""}


def test_distances_beside_are_of_the_same_pictures_with_the_features_of_the_judge(monkeypatch):
    monkeypatch.setattr(measure, "judge_features", lambda judge: f"features of {judge}")
    monkeypatch.setattr(measure.distances, "measure_distances", lambda *given: given)
    case = SimpleNamespace(testbed=SimpleNamespace(judge=lambda: "a judge"), seed=4)
    assert measure._beside(case, SimpleNamespace(views="views")) == ("views", "features of a judge", 4)
    assert measure._beside(case, None) == {}


def test_the_identity_of_a_case_has_all_that_decides_its_outcome(monkeypatch):
    monkeypatch.setattr(cases, "digest", lambda value: [value] * 20)
    monkeypatch.setattr(cases.provenance, "describe", lambda value: f"described {value}")
    composition = SimpleNamespace(described=lambda: "its parts")
    made = cases.Case("digits", Words(name="testbed", version=7), composition, 4, (("a", "A"), ("b", "B")), "solver")
    found = made.case_id
    assert (len(found), found[0]) == (
        16,
        {
            "benchmark": measure.records.BENCHMARK_VERSION,
            "testbed": ["digits", 7, "described testbed"],
            "mitigation": "its parts",
            "queries": [["a", "described A"], ["b", "described B"]],
            "solver": "described solver",
            "seed": 4,
        },
    )


def test_an_entry_of_the_store_is_known_by_its_key_and_by_what_all_of_its_kind_follow_from(monkeypatch):
    monkeypatch.setattr(cases.provenance, "core_digest", lambda modules: ("core", modules))
    monkeypatch.setattr(cases.provenance, "libraries", lambda: "libraries")
    monkeypatch.setattr(cases.provenance, "environment_key", lambda device: ("environment", device))
    store = SimpleNamespace(**{name: lambda *given, name=name: (name, *given) for name in ("get", "has", "unfinished")})
    space = cases.Workspace(store, "cuda", "progress")
    whole = {"a": 1, "core": ("core", ("m",)), "libraries": "libraries", "environment": ("environment", "cuda")}
    build = space.suited
    assert space.stored("kind", {"a": 1}, ("m",), build, "label") == ("get", "kind", whole, build, "progress", "label")
    assert space.has("kind", {"a": 1}, ("m",)) == ("has", "kind", whole)
    assert space.unfinished("kind", {"a": 1}, ("m",)) == ("unfinished", "kind", whole)
    gains, plain = (space.suited(SimpleNamespace(gains_from_gpu=gains)) for gains in (True, False))
    assert (gains is space, plain.device, plain.progress) == (True, "cpu", "progress")
