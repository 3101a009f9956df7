"""Exports: a trained marked model with its images, keys and card, as a plain diffusers folder. Read `export` first.

model_index.json, unet/, vae/, ...   the pipeline, as `DiffusionPipeline.from_pretrained` reads it
README.md                            the model card
export.json                          how it was made, what it remembers, and the sha256 of every file
images/, ledger/                     the marked images and their keys, as `solidmark mark` writes them
store/                               the entries of the store, which `solidmark store import` takes over
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import plugins, provenance, records
from ..collection import ledger
from ..errors import InvalidValue, NotApplicable
from ..measurement import answers, weights
from ..measurement.case import Case, Workspace
from ..metrics import scoring
from ..mitigation import Stage
from ..mitigation.composition import Composition
from ..mitigation.hooks import Hooks
from ..models import LatentNetwork, Model, Recipe
from ..pipelines.quiet import quiet
from . import export_images
from .export_names import ABOUT, CARD, ENTRIES, IMAGES, LEDGER, SCHEMA
from .written import written


@dataclass(frozen=True)
class Exported:
    """What an export is, as `export.json` states it, and where it is."""

    folder: Path
    about: Mapping[str, Any]


def export(case: Case, into: Path, workspace: Workspace) -> Exported:
    """Train the model of a case, or take it from the store, ask it, and write `into`, whole or not at all.

    Raises NotApplicable for a testbed in pixel space, which no pipeline of diffusers draws, and for a mitigation that
    acts at sampling, since weights do not carry it; InvalidValue where `into` exists or cannot be written.
    """
    check(case, into)
    into = into.resolve()
    store = workspace.store
    with export_images.whole(into) as work:
        model, builds = weights.edit_or_load(case, workspace)
        entries = [store.folder(name) for name in store.used]
        with quiet():
            model.pipeline().save_pretrained(work)
        for folder in entries:
            shutil.copytree(folder, work / ENTRIES / folder.name)
        kept = export_images.write(case.testbed, case.seed, work / IMAGES, work / LEDGER)
        names, cost = [folder.name for folder in entries], {stage: info.cost for stage, info in builds.items()}
        about = {**_about(case, model, workspace, kept), "entries": names, "cost": cost}
        for notice in type(case.testbed).notices:
            shutil.copy(notice, work / IMAGES / notice.name)
        (work / CARD).write_text(_card(case, about), encoding="utf-8")
        (work / ABOUT).write_text(json.dumps({**about, "files": _digests(work)}, indent=1), encoding="utf-8")
    return Exported(into, about)


def case_of(testbed: str, mitigation: str, seed: int) -> Case:
    """The case of a row that is asked by `outpaint` alone. Raises UnknownName and InvalidValue."""
    name, made = plugins.testbed(testbed)
    composition = Composition() if mitigation == "none" else plugins.compose(mitigation)
    outpaint = plugins.instance(plugins.GROUPS["query"], "query", "outpaint")
    return Case(name, made, composition, seed, (("outpaint", outpaint),), made.solvers["fast"])


def check(case: Case, into: Path) -> None:
    """Whether a case can be exported, and `into` is new. Raises as `export` does."""
    _check(case)
    there = into.resolve()
    if there.exists() and (not there.is_dir() or any(there.iterdir())):
        raise InvalidValue("solidmark store export", f"{there} is there", "a new folder", "Choose another name.")


def _check(case: Case) -> None:
    where = "solidmark store export"
    if not isinstance(case.testbed.recipe.network, LatentNetwork):
        found, expected = f"{case.testbed_name}, in pixel space", "a model that diffusers can draw with"
        raise NotApplicable(where, found, expected, "Choose a latent testbed, such as latent-digits.")
    if case.composition.at(Stage.SAMPLING).parts:
        found, expected = f"{case.composition.label}, which acts at sampling", "a mitigation of the weights"
        raise NotApplicable(where, found, expected, "Export the model without it.")


def _recipe(case: Case) -> Recipe:
    """How the model was trained: the testbed's recipe as the mitigation changed it."""
    return Hooks(case.composition.at(Stage.TRAINING), case.seed, "recipe of an export").recipe(case.testbed.recipe)


def _about(case: Case, model: Model, workspace: Workspace, kept: ledger.Ledger) -> dict[str, Any]:
    """What is known of an export but its files."""
    found, truth = answers.ask_query(case, case.leading, model, workspace), case.truth
    keys, held_out = truth.trained_keys.double().numpy(), truth.held_out_keys.double().numpy()
    scored = scoring.query(found.trained, keys, found.held_out, held_out, case.seed)
    return {
        "schema": SCHEMA,
        "testbed": case.testbed_name,
        "mitigation": case.composition.label,
        "seed": case.seed,
        "recipe": provenance.describe(_recipe(case)),
        "autoencoder": provenance.describe(case.testbed.autoencoder),
        "solver": case.solver.as_block(),
        "memorization": scored["memorization"],
        "certified": scored["certified"],
        "false_discovery_rate": scored["false_discovery_rate"],
        "held_out": scoring.negative(found.held_out, held_out),
        "marked": {part: len(kept.asked(part)) for part in ("trained", "held-out")},
        "segments": kept.head.segments,
        "benchmark_version": records.BENCHMARK_VERSION,
        "libraries": provenance.libraries(),
        "code": provenance.code(),
        "origin": type(case.testbed).origin,
        "licence": type(case.testbed).licence,
    }


def _card(case: Case, about: Mapping[str, Any]) -> str:
    size = case.testbed.mark.canvas(case.truth.trained.images[:1]).shape[-1]
    return written("card.md.j2", **about, size=size, parameters=case.composition.parameters)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
