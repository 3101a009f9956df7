"""Weights: the model of a case, trained and edited through the store, each once for everyone."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from .. import models, provenance, seeds
from ..mitigation import Stage
from ..mitigation.composition import Composition
from ..mitigation.hooks import Doors
from ..models import Denoiser, Evaluations, Model, Told
from ..store import digest
from ..testbed import Board
from ..training import train

if TYPE_CHECKING:
    from .case import Case, Desk


@dataclass(frozen=True)
class Making:
    """What the making of a model cost, {forward backward seconds}, and what its parts told, by family."""

    cost: dict[str, Any]
    told: dict[str, dict[str, Told]]


def trained(case: Case, board: Board, desk: Desk, *, with_keys: bool = True) -> tuple[Model, Making]:
    """The model of the training-stage parts, from the store or trained now, and its making."""
    parts, base = case.composition.at(Stage.TRAINING), _base(case, board, desk)
    key = {
        "base": None if base is None else fingerprint(base),
        "recipe": provenance.describe(case.testbed.recipe),
        "board": board.fingerprint if parts.parts else board.lesson,
        "seed": case.seed,
        "keys": with_keys,
        "parts": parts.described(),
        "core": provenance.core_digest(provenance.TRAINING),
        "libraries": provenance.libraries(),
        "environment": provenance.environment_key(desk.device),
    }

    def build(folder: Path) -> None:
        clock = time.perf_counter()
        model = train(
            case.testbed.recipe,
            board.training,
            board.truth().training_keys if with_keys else None,
            board.mark,
            parts,
            case.seed,
            device=desk.device,
            data={**board.handed_out(), **({} if base is None else {"base_model": base})},
            initial=base,
            progress=desk.progress,
        )
        _save(model, folder, Making(cost(model.evaluations, time.perf_counter() - clock), model.told))

    return _loaded(desk.store.get("trained model", key, build, desk.progress), desk)


def _base(case: Case, board: Board, desk: Desk) -> Model | None:
    """The model that a testbed's training goes on from, trained once for all cases of a seed, without any secret key."""
    recipe = case.testbed.base
    if recipe is None:
        return None
    examples = case.testbed.base_examples()
    keys = case.testbed.base_keys(len(examples), case.seed)
    key = {
        "recipe": provenance.describe(recipe),
        "examples": digest([examples.captions, _sha(examples.images)]),
        "keys": None if keys is None else _sha(keys),
        "mark": provenance.describe(board.mark),
        "seed": case.seed,
        "core": provenance.core_digest(provenance.TRAINING),
        "libraries": provenance.libraries(),
        "environment": provenance.environment_key(desk.device),
    }

    def build(folder: Path) -> None:
        clock = time.perf_counter()
        model = train(
            recipe, examples, keys, board.mark, Composition(), case.seed, device=desk.device, progress=desk.progress
        )
        _save(model, folder, Making(cost(model.evaluations, time.perf_counter() - clock), model.told))

    return _loaded(desk.store.get("base model", key, build, desk.progress), desk)[0]


def prepared(case: Case, board: Board, desk: Desk) -> tuple[Model, dict[str, Making]]:
    """The trained model, edited by the post-hoc parts, and the making of both: `training` and `editing`."""
    model, training = trained(case, board, desk)
    edits = case.composition.at(Stage.POST_HOC)
    if not edits.parts:
        return model, {"training": training, "editing": Making(cost(Evaluations(), 0.0), {})}
    key = {
        "weights": fingerprint(model),
        "board": board.fingerprint,
        "seed": case.seed,
        "parts": edits.described(),
        "core": provenance.core_digest(provenance.TRAINING),
        "libraries": provenance.libraries(),
        "environment": provenance.environment_key(desk.device),
    }

    def build(folder: Path) -> None:
        clock, copy = time.perf_counter(), model.copy()
        with seeds.forked(case.seed, "editing, global generator"):
            doors = Doors(edits, case.seed, "editing", data=dict(board.handed_out()))
            edited = doors.edit(copy)
        _save(edited, folder, Making(cost(copy.evaluations, time.perf_counter() - clock), doors.told))

    edited, editing = _loaded(desk.store.get("edited model", key, build, desk.progress), desk)
    return edited, {"training": training, "editing": editing}


def cost(evaluations: Evaluations, seconds: float) -> dict[str, Any]:
    """{forward backward seconds} of a record."""
    return {"forward": evaluations.forward, "backward": evaluations.backward, "seconds": seconds}


def fingerprint(model: Denoiser) -> str:
    """A digest of all weights, to show that none was changed."""
    state = {**model.network.state_dict(prefix="network."), **model.text.state_dict(prefix="text.")}
    return digest({name: _sha(tensor) for name, tensor in state.items()})


def _save(model: Model, folder: Path, making: Making) -> None:
    model.save(folder)
    (folder / "making.json").write_text(json.dumps(asdict(making)))


def _loaded(folder: Path, desk: Desk) -> tuple[Model, Making]:
    return models.load(folder).to(desk.device), Making(**json.loads((folder / "making.json").read_text()))


def _sha(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
