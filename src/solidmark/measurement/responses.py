"""Answers: a model asked by a query, the baseline asked beside it, the perfect memorizer's power, plain generation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import keys, marks, provenance, seeds
from ..data import Examples
from ..errors import NotApplicable, PluginFault
from ..metrics import scores, scoring
from ..metrics.controls import Marks
from ..metrics.scores import Estimate
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..models import Denoiser, Evaluations
from ..models.memorizer import Memorizer
from ..queries import Access, Answer, Attack, Audit, ask
from ..sampling import Service, noises
from ..testbed import Board
from . import weights

if TYPE_CHECKING:
    from .case import Case, Desk

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Asked:
    """The answers to one query: predicted keys of trained, then held-out images, and how they look."""

    keys: Array
    count: int
    marks: Marks
    evaluations: Evaluations
    seconds: float
    images: Tensor | None
    planted: Array | None = None
    """(N + M, S): numbers that were planted where a query may not look."""
    refused: NDArray[np.bool_] | None = None
    """(R, N + M): which images the service refused in each of R rounds of answers."""

    @property
    def trained(self) -> Array:
        """(N, S)"""
        return self.keys[: self.count]

    @property
    def held_out(self) -> Array:
        """(M, S)"""
        return self.keys[self.count :]


def question(case: Case, name: str, attack: Attack, model: Denoiser, board: Board, desk: Desk) -> Asked:
    """Put one query to a model, which may not be changed by it."""
    parts = case.composition.at(Stage.SAMPLING) if attack.access is Access.API else Composition()
    service = Service(model, parts, case.seed, name, data=dict(board.handed_out()))
    audit = Audit(
        board.asked,
        board.mark,
        case.protocol,
        service,
        case.seed,
        name,
        access=attack.access,
        others=_others(case, board),
        budget=attack.cost(case.protocol),
        progress=desk.progress,
    )
    before, began, clock = weights.fingerprint(model), model.evaluations.copy(), time.perf_counter()
    with seeds.forked(case.seed, "asking, global generator", name):
        answer = ask(attack, audit)
    seconds, evaluations = time.perf_counter() - clock, model.evaluations.since(began)
    if weights.fingerprint(model) != before:
        raise PluginFault(f"query {name}", "a changed model", "the model as it was", "Train a copy: `audit.model.copy()`.")
    if attack.access is Access.WEIGHTS:
        _within_budget(name, evaluations, len(audit.examples), audit.budget)
    return _answered(answer, board, audit, evaluations, seconds)


def _others(case: Case, board: Board) -> Examples:
    """What an auditor may learn from: the images that were to be kept, else others with marks of their own."""
    handed = board.handed_out()
    if Needs.FORGET in case.composition.needs:
        return handed["retain"]
    drawn = keys.draw(len(board.calibration), board.mark.segments, seeds.numpy_rng(case.seed, "keys of other images"))
    return board.marked(board.calibration, torch.from_numpy(drawn).float())


def _within_budget(name: str, evaluations: Evaluations, count: int, budget: float) -> None:
    spent = (evaluations.forward + evaluations.backward) / count
    if spent > budget:
        found, expected = f"{spent:.0f} denoiser evaluations an image", f"at most {budget:.0f}, as declared"
        raise PluginFault(f"query {name}", found, expected, "Declare its whole `cost`, or ask less.")


def _answered(answer: Answer, board: Board, audit: Audit, evaluations: Evaluations, seconds: float) -> Asked:
    predicted, count = answer.keys.double().numpy(), len(board.trained)
    uneven = marks.unevenness(board.mark, answer.images[count:]) if answer.images is not None else 0.0
    errors = [float(error[count:].mean()) for error in audit.decoy_errors]
    looks = Marks(float(predicted[count:].std()), uneven, float(np.mean(errors)) if errors else None)
    refused = torch.stack(audit.refused).numpy() if audit.refused else None
    return Asked(predicted, count, looks, evaluations, seconds, answer.images, audit.keys.double().numpy(), refused)


def answered(case: Case, name: str, attack: Attack, model: Denoiser, board: Board, desk: Desk) -> Asked:
    """The answers to a query; from the store where it has access to weights that were asked so before.

    What acts at sampling alone leaves the weights as they are, so that its rows share these answers.
    """
    return (question if attack.access is Access.API else kept)(case, name, attack, model, board, desk)


def kept(case: Case, name: str, attack: Attack, model: Denoiser, board: Board, desk: Desk) -> Asked:
    """The answers to a query, from the store where these weights were asked so before, through the same sampler if any."""
    parts = case.composition.at(Stage.SAMPLING) if attack.access is Access.API else Composition()
    key = {
        "weights": weights.fingerprint(model),
        "parts": parts.described(),
        "learns from": Needs.FORGET in case.composition.needs and board.forget,
        **_asked_for(case, name, attack, board, desk),
    }
    return _remembered("answers", key, lambda: question(case, name, attack, model, board, desk), board, desk)


def baseline(case: Case, board: Board, desk: Desk) -> Asked:
    """The unmitigated model's answers to the leading query, from the store or asked now."""
    bare = replace(case, composition=Composition(), queries=case.queries[:1])
    name, attack = bare.queries[0]
    key = {"case": bare.case_id, **_asked_for(case, name, attack, board, desk)}

    def asks() -> Asked:
        return question(bare, name, attack, weights.trained(bare, board, desk)[0], board, desk)

    return _remembered("baseline answers", key, asks, board, desk)


def _asked_for(case: Case, name: str, attack: Attack, board: Board, desk: Desk) -> dict[str, Any]:
    """What answers follow from beside the model."""
    return {
        "board": board.fingerprint,
        "seed": case.seed,
        "query": _described(case, name, attack),
        "core": provenance.core_digest(provenance.ASKING),
        "libraries": provenance.libraries(),
        "environment": provenance.environment_key(desk.device),
    }


def _remembered(kind: str, key: dict[str, Any], asks: Callable[[], Asked], board: Board, desk: Desk) -> Asked:
    """The answers under a key of the store, where they are asked for once."""

    def build(folder: Path) -> None:
        asked = asks()
        arrays = {name: getattr(asked, name) for name in ("keys", "images", "planted", "refused")}
        for name, one in arrays.items():
            if one is not None:
                np.save(folder / f"{name}.npy", np.asarray(one), allow_pickle=False)
        told = {"marks": asdict(asked.marks), "evaluations": asdict(asked.evaluations), "seconds": asked.seconds}
        (folder / "answers.json").write_text(json.dumps(told))

    folder = desk.store.get(kind, key, build, desk.progress)
    told = json.loads((folder / "answers.json").read_text())
    kept = {path.stem: np.load(path, allow_pickle=False) for path in folder.glob("*.npy")}
    images = torch.from_numpy(kept["images"]) if "images" in kept else None
    looks, evaluations = Marks(**told["marks"]), Evaluations(**told["evaluations"])
    planted, refused = kept.get("planted"), kept.get("refused")
    return Asked(kept["keys"], len(board.trained), looks, evaluations, told["seconds"], images, planted, refused)


@dataclass(frozen=True)
class Power:
    """What a query reads of the perfect memorizer; None where it cannot be asked.

    The memorizer has keys of its own, which stand on no board: `leak` scores the answers against the board's keys
    instead, which that model never saw, so that only a query which has them from elsewhere is off chance.
    """

    estimate: Estimate | None
    leak: dict[str, Any] | None = None


def perfect(case: Case, board: Board, desk: Desk) -> dict[str, Power]:
    """Power of each query: M of the perfect memorizer, asked in the same way."""
    found: dict[str, Power] = {}
    for name, attack in case.queries:
        key = {
            "board": board.fingerprint,
            "seed": case.seed,
            "query": _described(case, name, attack),
            "core": provenance.core_digest(provenance.ASKING),
            "libraries": provenance.libraries(),
        }

        def build(folder: Path, name: str = name, attack: Attack = attack) -> None:
            bare = replace(case, composition=Composition())
            (folder / "power.json").write_text(json.dumps(asdict(_power(bare, name, attack, board, desk))))

        folder = desk.store.get("power", key, build, desk.progress)
        power = json.loads((folder / "power.json").read_text())
        estimate = power["estimate"]
        found[name] = Power(None if estimate is None else Estimate(**estimate), power["leak"])
    return found


def _power(bare: Case, name: str, attack: Attack, board: Board, desk: Desk) -> Power:
    model, remembered = memorizer(board, bare.seed)
    try:
        asked = question(bare, name, attack, model, board, desk)
    except (NotApplicable, PluginFault):
        return Power(None)
    leak = scoring.negative(asked.trained, board.truth().trained_keys.double().numpy())
    return Power(scores.memorization(asked.trained, remembered), leak)


def memorizer(board: Board, seed: int) -> tuple[Memorizer, Array]:
    """The perfect memorizer of the training images under keys of its own, and these for the trained images, (N, S)."""
    _, first = np.unique(board.training.ids, return_index=True)
    once = board.training.take(sorted(first.tolist()))
    drawn = keys.draw(len(once), board.mark.segments, seeds.numpy_rng(seed, "keys of the perfect memorizer"))
    places = [once.ids.index(number) for number in board.trained.ids]
    return Memorizer(board.marked(once, torch.from_numpy(drawn).float())), drawn[places]


def _described(case: Case, name: str, attack: Attack) -> list[Any]:
    """A query for a key, with its source, so that edited code never meets old answers."""
    source = provenance.source_digest(type(attack).__module__)
    return [name, provenance.describe(attack), source, provenance.describe(case.protocol)]


@dataclass(frozen=True)
class Generated:
    """Images from the fresh captions, mark cropped, (B,) booleans that tell which were refused, and what they cost."""

    images: Tensor
    refused: NDArray[np.bool_]
    cost: dict[str, Any]


def generated(case: Case, model: Denoiser, board: Board, desk: Desk) -> Generated:
    """Plain generation from the fresh captions with the mitigation active; a refused one is a blank image."""
    service = Service(model, case.composition.at(Stage.SAMPLING), case.seed, "utility", data=dict(board.handed_out()))
    began, clock, images = model.evaluations.copy(), time.perf_counter(), []
    count, size, protocol = len(board.fresh_captions), case.protocol.batch, case.protocol
    blank = board.mark.canvas(torch.zeros(1, *board.trained.images.shape[1:]))
    for first in range(0, count, size):
        captions = board.fresh_captions[first : first + size]
        numbers = range(-first - len(captions), -first)
        noise = noises(numbers, model.shape, protocol.draws, case.seed, "utility").to(model.device)
        known = blank.expand(len(captions), -1, -1, -1)
        images.append(service.sample(captions, known, torch.ones_like(known[:, :1], dtype=torch.bool), noise, protocol))
        desk.progress("generate", first + len(captions), count)
    cost = weights.cost(model.evaluations.since(began), time.perf_counter() - clock)
    refused = torch.cat(service.refused).numpy()
    return Generated(board.mark.content(torch.cat(images)), refused, {**cost, "images": count})


def told(case: Case, asked: Mapping[str, Asked], made: Generated) -> dict[str, Any]:
    """What the sampling stage tells of itself: how many of the fresh captions and of each query's images it refused.

    M is of all images, a refused one being answered by a gray that knows nothing: so much is what the service gives
    away. That trained images are refused more often than held-out ones gives away who was trained on, and stands here.
    """
    if Stage.SAMPLING not in case.composition.stages:
        return {}
    queries = {
        name: {"trained": _share(one.refused[:, : one.count]), "held_out": _share(one.refused[:, one.count :])}
        for name, one in asked.items()
        if one.refused is not None and dict(case.queries)[name].access is Access.API
    }
    return {"refused": {"generated": _share(made.refused), "queries": queries}}


def _share(refused: NDArray[np.bool_]) -> dict[str, Any]:
    return {"value": float(refused.mean()), "count": int(refused.sum()), "of": refused.size}
