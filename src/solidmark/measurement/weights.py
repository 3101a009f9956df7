"""Weights: the model of a case, trained and edited through the store, each once for everyone."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from safetensors.torch import load_file, save_file
from torch import Tensor

from .. import models, provenance, seeds
from ..errors import InvalidValue
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..mitigation.guard import alone
from ..mitigation.handout import HALVES, HandedOut
from ..mitigation.hooks import Hooks
from ..mitigation.run import TrainingSet
from ..models import Autoencoder, Denoiser, Evaluations, GivenNetwork, Model, Network, Space, metered
from ..models.autoencoder import read_autoencoder, train_autoencoder
from ..models.parts import build_parts, shared_space
from ..schema.record import Reports, WorkBlock
from ..store import digest
from ..training import train
from . import untouched
from .blind import BlindSplit
from .case import Case, Workspace


@dataclass(frozen=True)
class BuildInfo:
    """What the building of a model cost, and what the parts of the mitigation report, by family."""

    cost: WorkBlock
    reported: Reports


def train_or_load(case: Case, workspace: Workspace) -> tuple[Model, BuildInfo]:
    """The model of the training-stage parts, from the store or trained now, and its cost and reports."""
    training = _Training.of(case, workspace)

    def build(folder: Path) -> None:
        _check_disk(case, workspace)
        if workspace.crew is not None:
            workspace.crew.begin()
        model, cost = training.run()
        _save(model, folder, BuildInfo(cost, model.reported))

    return _load(workspace.stored(TRAINED, training.key, provenance.TRAINING, build, _trained_label(case)), workspace)


def _check_disk(case: Case, workspace: Workspace) -> None:
    """Raise InvalidValue where the disk has no room for what hours of training would give."""
    needed, free = case.testbed.stored_bytes(), shutil.disk_usage(workspace.store.root).free
    if free < needed:
        found, expected = f"{free / 1e6:,.1f} MB free", f"{needed / 1e6:,.1f} MB for the training of a model"
        cure = "Free some space (`solidmark store gc`), or set SOLIDMARK_STORE to another disk."
        raise InvalidValue(f"store {workspace.store.root}", found, expected, cure)


def help_to_train(case: Case, workspace: Workspace) -> None:
    """Share the training of a model that another process of the crew stores."""
    _Training.of(case, workspace).run()


def is_trained(case: Case, workspace: Workspace) -> bool:
    """Whether the store has the model of a case."""
    return workspace.has(TRAINED, _Training.of(case, workspace).key, provenance.TRAINING)


TRAINED = "trained model"
"""What the store calls a model of the training-stage parts."""


@dataclass(frozen=True)
class _Training:
    """A training, with all that it follows from, and its `key` in the store."""

    case: Case
    workspace: Workspace
    base: Model | None
    space: Space | None
    key: dict[str, Any]

    @classmethod
    def of(cls, case: Case, workspace: Workspace) -> _Training:
        """The training of a case's training-stage parts; its base and its space are trained first."""
        parts, base, blind = case.composition.at(Stage.TRAINING), _train_base_or_load(case, workspace), case.blind
        space = train_space_or_load(case, workspace)
        key = {
            "base": None if base is None else fingerprint(base),
            **space_key(space, case.testbed.recipe.network),
            "recipe": provenance.describe(case.testbed.recipe),
            "split": blind.fingerprint if parts.parts else blind.training_digest,
            "seed": case.seed,
            "keys": case.marked,
            "parts": parts.described(),
            **({} if case.half is None else {"half": case.half}),
        }
        return cls(case, workspace, base, space, key)

    def run(self) -> tuple[Model, WorkBlock]:
        """The trained model, and what it cost."""
        case, workspace = self.case, self.workspace
        parts, clock = case.composition.at(Stage.TRAINING), time.perf_counter()
        with metered() as evaluations:
            model = alone(
                train,
                case.testbed.recipe,
                _training_set(case),
                parts,
                case.seed,
                device=workspace.device,
                data={**case.blind.handed_out, **_handed_base(case, self.base, workspace)},
                initial=self.base,
                space=self.space,
                unfinished=workspace.unfinished(TRAINED, self.key, provenance.TRAINING),
                crew=workspace.crew,
                progress=workspace.progress,
            )
        if workspace.crew is not None:
            workspace.crew.add_up(evaluations)
        return model, work(evaluations, time.perf_counter() - clock)


def _training_set(case: Case) -> TrainingSet:
    """What a case trains on: all of its training, or the rows of its half."""
    split, keys = case.blind.split, case.training_keys
    if case.half is None:
        return TrainingSet(split.training, keys, split.mark)
    rows = list(range(case.half, len(split.training), 2))
    return TrainingSet(split.training.take(rows), None if keys is None else keys[rows], split.mark)


def at_sampling(
    case: Case, blind: BlindSplit, workspace: Workspace, model: Denoiser, change: Callable[[Model], Model] | None = None
) -> HandedOut:
    """What is handed out to the mitigations of a case at sampling: parts of the data, and the models of both halves.

    `change` makes other models of the halves. Their evaluations count as the `model`'s.
    """
    halves = {}
    for name, (half, _) in zip(HALVES, halves_or_load(case, workspace), strict=False):
        halves[name] = half if change is None else change(half)
        halves[name].evaluations = model.evaluations
    return {**blind.handed_out, **halves}


def halves_or_load(case: Case, workspace: Workspace) -> list[tuple[Model, BuildInfo]]:
    """The models of the training-stage parts on half of the images each; none where the case does not need them."""
    if Needs.HALVES not in case.composition.needs:
        return []
    plain = replace(case, composition=case.composition.at(Stage.TRAINING))
    with seeds.forked(case.seed, "halves, global generator"):  # a model that is loaded is drawn first
        return [train_or_load(replace(plain, half=half), workspace) for half in (0, 1)]


def training_cost(case: Case, workspace: Workspace, own: WorkBlock) -> WorkBlock:
    """The cost of a row's training: its `own`, and that of the halves where it needs them."""
    every = [own, *(built.cost for _, built in halves_or_load(case, workspace))]
    summed: WorkBlock = {
        **own,
        "forward": sum(one["forward"] for one in every),
        "backward": sum(one["backward"] for one in every),
        "seconds": sum(one["seconds"] for one in every),
    }
    return summed


def _handed_base(case: Case, base: Model | None, workspace: Workspace) -> dict[str, Model]:
    """The base model that a mitigation may ask for: the testbed's, or a given pipeline itself."""
    network = case.testbed.recipe.network
    if base is None and isinstance(network, GivenNetwork) and Needs.BASE_MODEL in case.composition.needs:
        base = models.build(network, seeds.torch_rng(case.seed, "initialisation")).to(workspace.device).frozen()
    return {} if base is None else {"base_model": base}


def _train_base_or_load(case: Case, workspace: Workspace) -> Model | None:
    """The model that a testbed's training goes on from, trained once for all cases of a seed, without any secret key."""
    recipe = case.testbed.base
    if recipe is None:
        return None
    examples, mark, space = case.testbed.base_examples(), case.testbed.mark, train_space_or_load(case, workspace)
    keys = case.testbed.base_keys(len(examples), case.seed)
    key = {
        "recipe": provenance.describe(recipe),
        "examples": digest([examples.captions, _sha(examples.images)]),
        "keys": None if keys is None else _sha(keys),
        "mark": [provenance.describe(mark), _sha(case.blind.split.mark_masks)],
        "seed": case.seed,
        **space_key(space, recipe.network),
    }

    def build(folder: Path) -> None:
        clock, training_set = time.perf_counter(), TrainingSet(examples, keys, mark)
        model = train(
            recipe,
            training_set,
            Composition(),
            case.seed,
            device=workspace.device,
            space=space,
            unfinished=workspace.unfinished("base model", key, provenance.TRAINING),
            progress=workspace.progress,
        )
        _save(model, folder, BuildInfo(work(model.evaluations, time.perf_counter() - clock), model.reported))

    return _load(workspace.stored("base model", key, provenance.TRAINING, build, label(case)), workspace)[0]


def train_space_or_load(case: Case, workspace: Workspace) -> Space | None:
    """The latent space of a testbed, trained once for all its seeds and rows, or given; None in pixel space."""
    if (shared := shared_space(case.testbed.recipe.network)) is not None:
        shared.to(workspace.device)
        return shared
    if case.testbed.autoencoder is None:
        return None
    space = build_parts(case.testbed.recipe.network).space
    space.load_state(load_file(_stored_space(case.testbed.autoencoder, case, workspace) / "space.safetensors"))
    space.to(workspace.device)
    return space


def space_cost(case: Case, workspace: Workspace) -> WorkBlock | None:
    """What training the autoencoder cost, here or where the one that comes with the testbed was trained; None where it is a
    stranger's."""
    if case.testbed.autoencoder is None:
        return None
    cost: WorkBlock = json.loads((_stored_space(case.testbed.autoencoder, case, workspace) / "build.json").read_text())
    return cost


def _stored_space(recipe: Autoencoder, case: Case, workspace: Workspace) -> Path:
    """The folder with a trained autoencoder and its cost: trained now, or taken from the file of the testbed."""
    network = case.testbed.recipe.network
    images, mark = case.testbed.base_examples().images, case.testbed.mark
    key = {
        "recipe": provenance.describe(recipe),
        "network": provenance.describe(network),
        "images": _sha(images),
        "mark": [provenance.describe(mark), _sha(case.blind.split.mark_masks)],
    }

    def build(folder: Path) -> None:
        clock = time.perf_counter()
        if recipe.sha256:
            state, seconds = read_autoencoder(recipe, case.testbed.autoencoder_file)
        else:
            state = train_autoencoder(recipe, network, images, mark, seeds.torch_rng(0, "autoencoder")).state()
            seconds = time.perf_counter() - clock
        folder.mkdir(parents=True, exist_ok=True)
        save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "space.safetensors")
        cost = work(Evaluations(encoded=recipe.seen, decoded=recipe.seen), seconds)
        (folder / "build.json").write_text(json.dumps(cost))

    return workspace.stored("autoencoder", key, provenance.TRAINING, build, case.testbed_name)


def space_key(space: Space | None, network: Network) -> dict[str, str]:
    """What tells models of different autoencoders apart; nothing in pixel space, or where the network says it."""
    if space is None or "space" in network.shared:
        return {}
    return {"space": digest({name: _sha(tensor) for name, tensor in space.state().items()})}


def edit_or_load(case: Case, workspace: Workspace) -> tuple[Model, dict[str, BuildInfo]]:
    """The trained model, edited by the post-hoc parts, and the builds of both: `training` and `editing`."""
    model, training = train_or_load(case, workspace)
    edits = case.composition.at(Stage.POST_HOC)
    if not edits.parts:
        return model, {"training": training, "editing": BuildInfo(work(Evaluations(), 0.0), {})}
    recipe = case.testbed.recipe
    key = {
        "weights": fingerprint(model),
        "recipe": provenance.describe(recipe),
        "split": case.blind.fingerprint,
        "seed": case.seed,
        "parts": edits.described(),
    }

    def build(folder: Path) -> None:
        clock, copy = time.perf_counter(), model.copy()
        if recipe.checkpointing:
            copy.network.enable_gradient_checkpointing()  # type: ignore[operator]  # of every network of diffusers
        with metered() as evaluations, seeds.forked(case.seed, "editing, global generator"):
            hooks = Hooks(edits, case.seed, "editing", data={**case.blind.handed_out, "recipe": recipe})
            edited = alone(hooks.edit, copy)
        _save(edited, folder, BuildInfo(work(evaluations, time.perf_counter() - clock), hooks.reported))

    told = label(case, case.composition.label)
    edited, editing = _load(workspace.stored("edited model", key, provenance.TRAINING, build, told), workspace)
    return edited, {"training": training, "editing": editing}


def label(case: Case, *of: str) -> str:
    """What an entry of the store is of: `digits, agc(threshold=0.5), outpaint, seed 0`."""
    return ", ".join([case.testbed_name, *of, f"seed {case.seed}"])


def _trained_label(case: Case) -> str:
    """The same of a training, which may be without marks, or have half of the images alone."""
    apart = [*([] if case.marked else ["without marks"]), *([] if case.half is None else [f"half {case.half}"])]
    return label(case, case.composition.at(Stage.TRAINING).label, *apart)


def work(evaluations: Evaluations, seconds: float) -> WorkBlock:
    """{forward backward seconds} of a record, and what went through an autoencoder where there is one."""
    block: WorkBlock = {"forward": evaluations.forward, "backward": evaluations.backward, "seconds": seconds}
    if not evaluations.encoded and not evaluations.decoded:
        return block
    return {**block, "encoded": evaluations.encoded, "decoded": evaluations.decoded}


def state(model: Denoiser) -> dict[str, Tensor]:
    """All weights by name: of the network, of what embeds captions, and of the space."""
    return {**model.network.state_dict(prefix="network."), **model.text.state_dict(prefix="text."), **model.space.state()}


def fingerprint(model: Denoiser) -> str:
    """A digest of all weights, which names them in the store; made once for a model, until its weights change."""
    found = state(model)
    known, sums = _FINGERPRINTS.get(model), untouched.checksum(found)
    if known is None or known[0] != sums:
        known = sums, digest({name: _sha(tensor) for name, tensor in found.items()})
        _FINGERPRINTS[model] = known
    return known[1]


_FINGERPRINTS: WeakKeyDictionary[Denoiser, tuple[dict[str, int], str]] = WeakKeyDictionary()


def _save(model: Model, folder: Path, info: BuildInfo) -> None:
    model.save(folder)
    (folder / "build.json").write_text(json.dumps(asdict(info)))


def _load(folder: Path, workspace: Workspace) -> tuple[Model, BuildInfo]:
    return models.load(folder).to(workspace.device), BuildInfo(**json.loads((folder / "build.json").read_text()))


def _sha(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.detach().cpu().contiguous().numpy().tobytes()).hexdigest()
