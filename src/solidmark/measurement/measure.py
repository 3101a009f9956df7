"""A case: testbed x mitigation x seed, from images to a record. Read `measure` first.

images → keys → marks → marked set → training → trained model → queries → predicted keys → scores → record
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import provenance, records
from ..errors import NotApplicable, PluginFault
from ..metrics import controls, scoring, utility, worst_case
from ..mitigation import Needs, Stage, opened
from ..mitigation.composition import Composition
from ..models import Model
from ..queries import Access
from ..testbed import Board
from . import per_image, responses, weights, whitebox
from .blind import blind
from .case import Case, Desk
from .responses import Asked, Power

Array = NDArray[np.float64]


def measure(case: Case, desk: Desk, run: Path) -> records.Record:
    """Train (or load), ask, score: the record of one case, but for its identity in the plan; items go to `run/items`."""
    board: Board = blind(case.testbed, case.seed, case.composition.needs)
    applicable(case.composition, board)
    model, makings = weights.prepared(case, board, desk)
    asked, unasked, broken = _asked(case, model, board, desk)
    generated = responses.generated(case, model, board, desk)
    power, baseline = responses.perfect(case, board, desk), responses.baseline(case, board, desk)
    board = board.truth()  # nobody is asked any more
    checked = _controls(case, board, asked, baseline, power, broken, idle=_idle(case, makings))
    delta = _claimed_delta(makings)
    return {
        **_heading(case),
        "status": "ok" if checked["sound"] else "failed_check",
        "queries": {name: _scored(case, board, name, one, delta) for name, one in asked.items()},
        "not_applicable": unasked | broken,
        "worst": _worst(case, board, asked, delta),
        "worst_service": _worst(case, board, _through_service(case, asked), delta),
        "controls": checked,
        "power": _told(power),
        "utility": asdict(judged(case, board, generated)),
        "denoising_loss": _denoising_loss(case, model, board),
        "cost": {**{stage: making.cost for stage, making in makings.items()}, "sampling": generated.cost},
        "told": {
            **{stage: making.told for stage, making in makings.items()},
            "sampling": responses.told(case, asked, generated),
        },
        "provenance": _provenance(case, board, desk),
        "items": per_image.write(case.case_id, board, asked, run),
    }


def measure_testbed(case: Case, desk: Desk) -> records.Record:
    """What belongs to testbed and seed alone: power of every query, and the cost of marking (equal training, no keys)."""
    board = blind(case.testbed, case.seed, Needs.NOTHING)
    power = responses.perfect(case, board, desk)
    unmarked, _ = weights.trained(case, board, desk, with_keys=False)
    generated = responses.generated(case, unmarked, board, desk)
    return {
        **_heading(case),
        "status": "ok",
        "power": _told(power),
        "unmarked": {"utility": asdict(judged(case, board, generated))},
        "expected": case.testbed.expected,
        "provenance": _provenance(case, board, desk),
    }


def unmeasured(case: Case | None, status: str, reason: str) -> records.Record:
    """The record of a case that has no numbers: null, with the reason; never 0. None where no case could be made."""
    heading = _heading(case) if case is not None else {"benchmark_version": records.BENCHMARK_VERSION}
    return {**heading, "status": status, "reason": reason, **dict.fromkeys(("queries", "controls", "utility", "cost"))}


def judged(case: Case, board: Board, generated: responses.Generated) -> utility.Utility:
    """Utility of generated images against the held-out ones, unmarked."""
    real, others = (board.mark.content(board.mark.canvas(i)) for i in (board.held_out.images, board.other_reference))
    labels = board.fresh_labels if case.testbed.tells_class else None
    images = _flat(generated.images)
    return utility.measure(images, labels, _flat(real), _flat(others), case.testbed.judge(), generated.refused)


def applicable(composition: Composition, board: Board) -> None:
    """Raise NotApplicable for a mitigation of captions where there are none: it would be a silent no-op."""
    for part in composition.parts:
        heard = set(opened(type(part.mitigation))) & {"caption", "condition", "guidance"}
        if (heard or Needs.CAPTIONS in part.mitigation.needs) and not board.captioned:
            cure = "Choose a testbed with captions."
            raise NotApplicable(f"mitigation {part.family}", "a testbed without captions", "captions to act on", cure)


def _asked(case: Case, model: Model, board: Board, desk: Desk) -> tuple[dict[str, Asked], dict[str, str], dict[str, str]]:
    """The answers to each query, why others could not be asked, and what others did wrong; the leading one raises."""
    asked: dict[str, Asked] = {}
    unasked: dict[str, str] = {}
    broken: dict[str, str] = {}
    for name, attack in case.queries:
        try:
            asked[name] = responses.answered(case, name, attack, model, board, desk)
        except NotApplicable as reason:
            if not asked:
                raise
            unasked[name] = str(reason)
        except PluginFault as fault:
            if not asked:
                raise
            broken[name] = str(fault)
    return asked, unasked, broken


def _controls(
    case: Case,
    board: Board,
    asked: Mapping[str, Asked],
    baseline: Asked,
    power: Mapping[str, Power],
    broken: Mapping[str, str],
    *,
    idle: bool,
) -> dict[str, Any]:
    """The controls of the leading query beside the baseline's answers to it, and the faults of all others.

    A row that changes nothing is a fault, unless a method says itself that it found nothing to change.
    """
    leading, _ = case.queries[0]
    lead = asked[leading]
    known = [one.estimate for name, one in power.items() if one.estimate is not None and name in asked]
    further = [fault for name, one in asked.items() for fault in _faults(case, board, name, one, power[name])]
    return controls.check(
        scoring.negative(lead.held_out, _double(board.held_out_keys)),
        scoring.negative(lead.trained, _double(board.other_keys)),
        max(known, key=lambda one: one.value),
        lead.marks,
        baseline.marks,
        active=case.composition.control or idle or not np.array_equal(lead.keys, baseline.keys),
        further=[*further, *broken.values()],
    )


def _faults(case: Case, board: Board, name: str, asked: Asked, power: Power) -> list[str]:
    """Leaks of one query: on held-out images (told apart for the leading one), and towards keys that nobody may know."""
    leads = name == case.queries[0][0]
    faults = [] if leads else controls.leaks(f"{name}, held-out images", _negative(board, asked))
    if asked.planted is not None:
        by = " or ".join(["the query", *(part.label for part in case.composition.parts if opened(type(part.mitigation)))])
        faults += controls.leaks(
            f"{name}, planted keys that {by} has looked up", scoring.negative(asked.keys, asked.planted)
        )
    if power.leak is not None:
        faults += controls.leaks(f"{name}, keys that the perfect memorizer never saw", power.leak)
    if not leads and float(np.ptp(asked.keys, axis=0).max()) == 0:
        faults.append(f"{name}: the same keys for every image, {asked.keys[0].round(3).tolist()}: it asks nothing")
    return faults


def _negative(board: Board, asked: Asked) -> dict[str, Any]:
    return scoring.negative(asked.held_out, _double(board.held_out_keys))


def _through_service(case: Case, asked: Mapping[str, Asked]) -> dict[str, Asked]:
    """The answers to queries that go through the mitigation's sampler, as a user of the service has them."""
    attacks = dict(case.queries)
    return {name: one for name, one in asked.items() if attacks[name].access is Access.API}


def _idle(case: Case, makings: Mapping[str, weights.Making]) -> bool:
    """Whether every part tells that it found nothing to change: one that does so excuses no other."""
    idle = [one for making in makings.values() for one in making.told.values() if one.get("idle") is True]
    return 0 < len(idle) == len({part.label for part in case.composition.parts})


def _claimed_delta(makings: Mapping[str, weights.Making]) -> float:
    """The largest δ at which a part claims an ε, so that ε̂ can be held against it; 0 where none claims any."""
    told = [one for making in makings.values() for one in making.told.values() if one.get("epsilon") is not None]
    return max((float(one.get("delta") or 0.0) for one in told), default=0.0)


def _worst(case: Case, board: Board, asked: Mapping[str, Asked], delta: float) -> dict[str, Any] | None:
    """The worst case over queries, on the images that the row answers for; None without any query."""
    if not asked:
        return None
    places = groups(case, board)["target"]
    predictions = {name: one.trained[places] for name, one in asked.items()}
    return worst_case.as_record(worst_case.worst_case(predictions, _double(board.trained_keys)[places], case.seed, delta))


def _denoising_loss(case: Case, model: Model, board: Board) -> dict[str, Any] | None:
    """None where it would say nothing: weights of the baseline's, no cell without mark, or another thing predicted."""
    shared = case.composition.stages == [Stage.SAMPLING]
    alike = model.config.prediction == case.testbed.recipe.network.prediction
    return whitebox.generalization(model, board) if alike and not shared and whitebox.has_centre(model, board) else None


def _told(power: Mapping[str, Power]) -> dict[str, Any]:
    return {name: None if one.estimate is None else scoring.estimate(one.estimate) for name, one in power.items()}


def groups(case: Case, board: Board) -> dict[str, list[int]]:
    """Which trained images a row answers for: the forget list where one was handed out, else all."""
    every = list(range(len(board.trained)))
    if Needs.FORGET not in case.composition.needs:
        return {"target": every}
    return {"target": board.forget, "retained": [place for place in every if place not in set(board.forget)]}


def _scored(case: Case, board: Board, name: str, asked: Asked, delta: float) -> dict[str, Any]:
    keys, held_out_keys = _double(board.trained_keys), _double(board.held_out_keys)
    scored = {
        group: scoring.query(asked.trained[places], keys[places], asked.held_out, held_out_keys, case.seed, delta)
        for group, places in groups(case, board).items()
        if group == "target" or not dict(case.queries)[name].learns
    }
    attack = dict(case.queries)[name]
    evaluations = {**asdict(asked.evaluations), "images": len(asked.keys), "seconds": asked.seconds}
    return {
        **scored.pop("target"),
        **scored,
        "access": attack.access.value,
        "held_out": _negative(board, asked),
        "marks": asdict(asked.marks),
        "evaluations": evaluations,
    }


def _heading(case: Case) -> dict[str, Any]:
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
        "protocol": asdict(case.protocol),
    }


def _provenance(case: Case, board: Board, desk: Desk) -> dict[str, Any]:
    told = f"testbed {case.testbed_name}: {board.left_out} images were left out, each nearly equal to another"
    return {
        "device": desk.device,
        "environment_key": provenance.environment_key(desk.device),
        "testbed": provenance.describe(case.testbed),
        "sources": {part.family: part.source for part in case.composition.parts},
        "queries": {name: provenance.describe(attack) for name, attack in case.queries},
        "notes": [*desk.store.notes, *([told] if board.left_out else [])],
        "peak_bytes": _peak_bytes(desk.device),
    }


def _peak_bytes(device: str) -> int:
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated())
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _double(tensor: Tensor) -> Array:
    return tensor.double().numpy()


def _flat(images: Tensor) -> Array:
    return images.flatten(1).double().numpy()
