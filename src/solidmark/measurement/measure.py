"""Measure a case, from images to a record. Read `measure` first.

images → keys → marks → marked set → training → trained model → queries → predicted keys → scores → record
"""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import provenance, records
from ..errors import NotApplicable, PluginFault
from ..metrics import controls, scoring, utility, worst_case
from ..metrics.features import judge_features
from ..mitigation import Needs, Stage, overridden_hooks
from ..mitigation.composition import Composition
from ..models import Model
from ..queries import Access
from ..schema.record import (
    CaseNumbers,
    ControlsBlock,
    DenoisingLossBlock,
    Heading,
    IntervalBlock,
    NegativeBlock,
    ProvenanceBlock,
    QueryBlock,
    Status,
    TestbedNumbers,
    UtilityOrReason,
    WorstBlock,
)
from ..split import Split
from . import (
    action,
    answers,
    content,
    content_block,
    detectors,
    distances,
    expected,
    floor,
    generation,
    per_image,
    pipeline,
    sources,
    weights,
    whitebox,
)
from .answers import Power
from .case import Case, Workspace
from .content import Content
from .distances import Beside
from .responses import Generated, Responses

Array = NDArray[np.float64]


def measure(case: Case, workspace: Workspace, run: Path) -> CaseNumbers:
    """Train (or load), ask, score: the record of one case without its identity in the plan. Images go to `run/per_image`."""
    case = replace(case)  # a copy caches its split, and frees it at the end
    case.testbed.check_rows(len(case.queries), forgetting=Needs.FORGET in case.composition.needs)
    check_applicable(case.composition, case.blind.split)
    model, builds = weights.edit_or_load(case, workspace)
    asked = _ask_all(case, model, workspace)
    responses, shown = asked.responses, content.measure_content(case, asked.plain, asked.responses)
    generated, source = generation.in_all_ways(case, model, workspace, asked.plain), sources.find(case, model, workspace)
    power, baseline = answers.measure_power(case, workspace), answers.ask_baseline(case, workspace)
    beside, behind = _beside(case, shown), pipeline.find(case, model, workspace)
    truth = case.truth  # no plugin runs any more: from here on the true keys may be used
    washed = content.washing(case, shown, truth, responses[case.leading], baseline)
    space = floor.measure_floor(case, truth, workspace)
    delta, fresh = _claimed_delta(builds, len(case.groups["target"])), generated[generation.FRESH]
    scored = {name: _scores(case, truth, name, found, delta) for name, found in responses.items()}
    contradictions = [fault for name, block in scored.items() for fault in controls.contradictions(name, block)]
    further = [
        *expected.faults(case, truth, baseline),
        *asked.broken.values(),
        *content.faults(washed),
        *floor.faults(space),
    ]
    further += [*sources.fault(source), *contradictions, *pipeline.faults(behind, responses[case.leading])]
    checked = _controls(
        case, truth, responses, baseline, power, further, no_op=_no_op(case, builds, responses[case.leading])
    )
    return {
        **_heading(case),
        "status": "ok" if checked["sound"] else "failed_check",
        "queries": scored,
        "not_applicable": asked.not_applicable | asked.broken,
        "worst": _worst(case, truth, responses, delta),
        "worst_service": _worst(case, truth, _through_service(case, responses), delta),
        "controls": checked,
        "power": _power(power),
        **_utility(case, truth, generated),
        "denoising_loss": _denoising_loss(case, model, truth),
        "content": content_block.as_block(shown, beside, washed, shared=answers.PLAIN in responses),
        "sources": source,
        "space": space,
        "pipeline": pipeline.as_block(behind, truth, case, responses),
        "cost": {
            "training": weights.training_cost(case, workspace, builds["training"].cost),
            "editing": builds["editing"].cost,
            "sampling": fresh.cost,
        },
        "reported": {
            "training": builds["training"].reported,
            "editing": builds["editing"].reported,
            "sampling": answers.sampling_report(case, responses, fresh),
        },
        "provenance": {**_provenance(case, truth, workspace), "distances": distances.described(beside)},
        "per_image": per_image.write(case.case_id, truth, responses, run, shown),
    }


def measure_testbed(case: Case, workspace: Workspace) -> TestbedNumbers:
    """What belongs to testbed and seed alone: power of every query, and the cost of marking (equal training, no keys)."""
    case = replace(case)
    power = answers.measure_power(case, workspace)
    unmarked, _ = weights.train_or_load(replace(case, marked=False), workspace)
    marked, _ = weights.train_or_load(case, workspace)
    generated = generation.in_all_ways(case, unmarked, workspace, answers.ask_plainly(case, unmarked, workspace))
    return {
        **_heading(case),
        "status": "ok",
        "power": _power(power),
        "unmarked": _utility(case, case.truth, generated),
        "detectors": detectors.measure_detectors(case, marked),
        "expected": case.testbed.expected,
        "provenance": _provenance(case, case.truth, workspace),
    }


def unmeasured(case: Case | None, status: Status, reason: str) -> CaseNumbers:
    """The record of a case that has no numbers: null, with the reason; never 0. None where no case could be made."""
    heading: Heading = _heading(case) if case is not None else {"benchmark_version": records.BENCHMARK_VERSION}
    return {**heading, "status": status, "reason": reason, "queries": None, "controls": None, "utility": None, "cost": None}


def _utility(case: Case, split: Split, generated: Mapping[str, Generated]) -> UtilityOrReason:
    judged = generation.judge(case, split, generated)
    if judged is None:
        return {"utility": None, "utility_reason": generation.no_utility(case, split) or ""}
    return {"utility": utility.as_block(judged, {way: found.cost for way, found in generated.items()})}


def check_applicable(composition: Composition, split: Split) -> None:
    """Raise NotApplicable for a mitigation of captions where there are none: it would be a silent no-op."""
    for part in composition.parts:
        needed = set(overridden_hooks(type(part.mitigation))) & {"caption", "condition", "guidance"}
        if (needed or Needs.CAPTIONS in part.mitigation.needs) and not split.captioned:
            cure = "Choose a testbed with captions."
            raise NotApplicable(f"mitigation {part.family}", "a testbed without captions", "captions to act on", cure)


@dataclass(frozen=True)
class Asked:
    """The answers to each query, why others do not apply, and what others did wrong; and one plain generation."""

    responses: dict[str, Responses]
    plain: Responses
    not_applicable: dict[str, str]
    broken: dict[str, str]


def _ask_all(case: Case, model: Model, workspace: Workspace) -> Asked:
    """Put all queries. A fault of the leading one, or of plain generation, raises.

    Plain generation is put once, for content and for every query that reads its pictures.
    """
    responses = {case.leading: answers.ask_or_load(case, case.leading, model, workspace)}
    plain = responses.get(answers.PLAIN) or answers.ask_plainly(case, model, workspace)
    asked = Asked(responses, plain, {}, {})
    for name, _ in case.queries[1:]:
        try:
            is_plain = name == answers.PLAIN
            responses[name] = plain if is_plain else answers.ask_or_load(case, name, model, workspace, plain)
        except NotApplicable as reason:
            asked.not_applicable[name] = str(reason)
        except PluginFault as fault:
            asked.broken[name] = str(fault)
    return asked


def _beside(case: Case, shown: Content | None) -> dict[str, Beside]:
    """What the installed distances find in the same pictures."""
    features = judge_features(case.testbed.judge())
    return {} if shown is None else distances.measure_distances(shown.views, features, case.seed)


def _controls(
    case: Case,
    truth: Split,
    responses: Mapping[str, Responses],
    baseline: Responses,
    power: Mapping[str, Power],
    further: Sequence[str],
    *,
    no_op: bool,
) -> ControlsBlock:
    """The controls of the leading query beside the baseline's answers to it, and the faults of all others.

    A row that changes nothing is a fault, unless a method reports itself that it found nothing to change.
    """
    lead = responses[case.leading]
    known = [one.estimate for name, one in power.items() if one.estimate is not None and name in responses]
    faults = [fault for name, one in responses.items() for fault in _faults(case, truth, name, one, power[name])]
    return controls.check(
        _negative(truth, lead),
        scoring.negative(lead.trained, _double(truth.other_keys)),
        max(known, key=lambda estimate: estimate.value),
        lead.marks,
        baseline.marks,
        active=case.composition.control or no_op or changes(lead, baseline),
        further=[*faults, *further],
    )


def changes(lead: Responses, baseline: Responses) -> bool:
    """Whether a row answers otherwise than the baseline, by more than what another order of the same sums changes."""
    return bool(np.abs(lead.keys - baseline.keys).max() > pipeline.SAME)


def _faults(case: Case, truth: Split, name: str, responses: Responses, power: Power) -> list[str]:
    """Leaks of one query: on held-out images (for the leading one a control says so), and to keys that nobody may know."""
    leads = name == case.leading
    faults = [] if leads else controls.leaks(f"{name}, held-out images", _negative(truth, responses))
    if responses.planted is not None:
        acting = (part.label for part in case.composition.parts if overridden_hooks(type(part.mitigation)))
        who, followed = " or ".join(["the query", *acting]), scoring.negative(responses.keys, responses.planted)
        faults += controls.leaks(f"{name}, planted keys that {who} has looked up", followed)
    if power.leak is not None:
        faults += controls.leaks(f"{name}, keys that the perfect memorizer never saw", power.leak)
    if not leads and float(np.ptp(responses.keys, axis=0).max()) == 0:
        same = responses.keys[0].round(3).tolist()
        faults.append(f"{name}: the same keys for every image, {same}: it asks nothing")
    return faults


def _negative(truth: Split, responses: Responses) -> NegativeBlock:
    return scoring.negative(responses.held_out, _double(truth.held_out_keys))


def _through_service(case: Case, responses: Mapping[str, Responses]) -> dict[str, Responses]:
    """The answers to queries that go through the mitigation's sampler, as a user of the service has them."""
    return {name: found for name, found in responses.items() if case.attack(name).access is Access.BLACK_BOX}


def _no_op(case: Case, builds: Mapping[str, weights.BuildInfo], lead: Responses) -> bool:
    """Whether every part reports that it found nothing to change or acted on none: one that does so excuses no other."""
    reports = [report for each in (*(b.reported for b in builds.values()), lead.doses) for report in each.values()]
    idle = [report for report in reports if action.of_part(report) == 0]
    return 0 < len(idle) == len({part.label for part in case.composition.parts})


def _claimed_delta(builds: Mapping[str, weights.BuildInfo], count: int) -> float:
    """The largest δ at which a part claims an ε, so that ε̂ can be compared with it; 0 where none claims any.

    It is at most one in `count`, the trained images that the row answers for: a mechanism that reveals one of them
    whole has a δ of that, so that a larger one claims nothing.
    """
    claims = [report for build in builds.values() for report in build.reported.values() if report.get("epsilon") is not None]
    told = [report.get("delta") for report in claims]
    numbers = [float(delta) for delta in told if isinstance(delta, int | float) and delta >= 0]
    return min(max(numbers, default=0.0), 1 / count)


def _worst(case: Case, truth: Split, responses: Mapping[str, Responses], delta: float) -> WorstBlock | None:
    """The worst case over queries, on the images that the row answers for; None without any query."""
    if not responses:
        return None
    target = case.groups["target"]
    predictions = {name: found.trained[target] for name, found in responses.items()}
    return worst_case.as_block(worst_case.find(predictions, _double(truth.trained_keys)[target], case.seed, delta))


def _denoising_loss(case: Case, model: Model, truth: Split) -> DenoisingLossBlock | None:
    """None if not comparable: the row shares the baseline's weights, the mark covers every cell, or the network
    predicts another target (ε, v, x0)."""
    shared = case.composition.stages == [Stage.SAMPLING]
    same_target = model.config.prediction == case.testbed.recipe.network.prediction
    comparable = same_target and not shared and whitebox.has_centre(model, truth)
    return whitebox.generalization(model, truth) if comparable else None


def _power(power: Mapping[str, Power]) -> dict[str, IntervalBlock | None]:
    return {name: None if one.estimate is None else scoring.interval(one.estimate) for name, one in power.items()}


def _scores(case: Case, truth: Split, name: str, responses: Responses, delta: float) -> QueryBlock:
    """The scores of one query, of retained images too where the query does not learn from them."""
    keys, held_out, attack = _double(truth.trained_keys), _double(truth.held_out_keys), case.attack(name)
    by_group = {
        group: scoring.query(responses.trained[rows], keys[rows], responses.held_out, held_out, case.seed, delta)
        for group, rows in case.groups.items()
        if group == "target" or not attack.learns
    }
    block: QueryBlock = {
        **by_group["target"],
        "access": attack.access.value,
        "held_out": _negative(truth, responses),
        "marks": responses.marks.as_block(),
        "evaluations": {**weights.work(responses.evaluations, responses.seconds), "images": len(responses.keys)},
    }
    return {**block, "retained": by_group["retained"]} if "retained" in by_group else block


def _heading(case: Case) -> Heading:
    composition = case.composition
    return {
        "benchmark_version": records.BENCHMARK_VERSION,
        "testbed": case.testbed_name,
        "mitigation": composition.label,
        "family": composition.family,
        "stage": composition.stage,
        "needs": composition.needs.names(),
        "control": composition.control,
        "reference_curve": composition.reference_curve,
        "fidelity": composition.fidelity,
        "reference": composition.reference,
        "parameters": provenance.describe(composition.parameters),
        "seed": case.seed,
        "solver": case.solver.as_block(),
    }


def _provenance(case: Case, split: Split, workspace: Workspace) -> ProvenanceBlock:
    left = "1 image was" if split.left_out == 1 else f"{split.left_out} images were"
    note = f"testbed {case.testbed_name}: {left} left out, nearly equal to another"
    return {
        "device": workspace.device,
        "environment_key": provenance.environment_key(workspace.device, case.testbed.recipe.network.precision),
        "testbed": provenance.describe(case.testbed),
        "sources": {part.family: part.source for part in case.composition.parts},
        "queries": {name: provenance.describe(attack) for name, attack in case.queries},
        "notes": [
            *workspace.store.notes,
            *case.composition.notes,
            *expected.notes(case),
            *([note] if split.left_out else []),
        ],
        "peak_bytes": _peak_bytes(workspace.device),
    }


def _peak_bytes(device: str) -> int | None:
    """The most memory that the process has used, of its GPU if it has one; None where the system does not tell."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if platform.system() == "Darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _double(tensor: Tensor) -> Array:
    return tensor.double().numpy()
