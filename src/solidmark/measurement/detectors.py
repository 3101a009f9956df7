"""Installed detectors, asked which captions of the unmitigated model were trained on (design/detectors.md).

A detector is a plugin: one that is broken, hangs or does not apply is named in the record, and costs nobody else.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from .. import plugins, seeds
from ..data import Examples, join
from ..errors import PluginFault, SolidmarkError
from ..marks import BLANK
from ..metrics import scores, scoring
from ..metrics.detectors import Detector
from ..mitigation.guard import alone, plugin_code
from ..models import Denoiser, SamplingBatch
from ..plugins import GROUPS, Plugin
from ..sampling import noises
from ..schema.record import DetectorBlock
from ..split import Split
from ..timeouts import TimeUp, at_most
from .case import Case

PATIENCE = 600.0
"""Seconds that one detector may take for a batch of captions."""
MOST = 128
"""Captions of each kind that are asked about at most."""


def measure_detectors(case: Case, model: Denoiser) -> dict[str, DetectorBlock]:
    """What each installed detector makes of the captions of the case's split, by name."""
    split, installed = case.blind.split, plugins.discover(GROUPS["detector"])
    reason = _nothing_to_tell(split)
    if reason:
        return {plugin.name: {"auroc": None, "reason": reason} for plugin in installed}
    count = min(len(split.trained), len(split.held_out), MOST)
    both = join([split.trained.take(range(count)), split.held_out.take(range(count))])
    order = seeds.numpy_rng(case.seed, "order of captions for detectors").permutation(2 * count)
    batches = _batches(case, model, both.take(order.tolist()))
    return {plugin.name: _measure(plugin, batches, np.argsort(order), case, model) for plugin in installed}


def _nothing_to_tell(split: Split) -> str:
    """Why captions do not tell who was trained on; empty where they do."""
    if not split.captioned:
        return "a testbed without captions"
    return "trained and held-out images share captions" if {*split.trained.captions} & {*split.held_out.captions} else ""


def _batches(case: Case, model: Denoiser, asked: Examples) -> list[SamplingBatch]:
    """Plain generation from these captions, before its first step; their images are not in it."""
    parts = torch.arange(len(asked)).split(case.solver.batch)
    return [_batch(case, model, asked.take(part)) for part in parts]


def _batch(case: Case, model: Denoiser, asked: Examples) -> SamplingBatch:
    solver, count, split = case.solver, len(asked), case.blind.split
    blank = split.mark.canvas(torch.full_like(asked.images, BLANK))
    return SamplingBatch(
        asked.captions,
        model.embed(asked.captions),
        model.embed([""] * count),
        noises(asked.ids, model.shape, 1, case.seed, "detectors")[:, 0].to(model.device),
        model.cells(torch.ones_like(blank[:, :1], dtype=torch.bool).to(model.device)),
        torch.zeros(count, dtype=torch.bool, device=model.device),
        model.schedule.times(solver.steps),
        solver.guidance,
        solver.eta,
        model,
        model.encode(blank),
        steps=solver.steps,
    )


def _measure(
    plugin: Plugin, batches: Sequence[SamplingBatch], back: NDArray[np.int64], case: Case, model: Denoiser
) -> DetectorBlock:
    """The block of one detector; `back` leads from the order that was asked in to the trained captions, then the others."""
    before = model.evaluations.copy()
    try:
        detector = plugins.instance(GROUPS["detector"], "detector", plugin.name)
        if not isinstance(detector, Detector):
            cure = "Subclass solidmark.api.Detector."
            raise PluginFault(f"detector {plugin.name}", type(detector).__name__, "a Detector", cure)
        found = np.concatenate([_scores(detector, plugin.name, batch, case.seed) for batch in batches])[back]
    except SolidmarkError as reason:
        return {"auroc": None, "reason": str(reason)}
    spent, count = model.evaluations.since(before), len(found) // 2
    separation = scores.auroc(-found[:count], -found[count:])
    return {
        "auroc": scoring.interval(separation),
        "evaluations": (spent.forward + spent.backward) / len(found),
        "captions": count,
    }


@torch.no_grad()
def _scores(detector: Detector, name: str, batch: SamplingBatch, seed: int) -> scores.Array:
    """The scores of a batch, (B,). Raises PluginFault for what are not so many finite numbers."""
    where, rng = f"detector {name}", seeds.torch_rng(seed, "detector", name, *batch.captions)
    try:
        with seeds.forked(seed, "detector, global generator", name), at_most(PATIENCE), plugin_code(where, "numbers"):
            given = alone(detector.score, batch, rng)
            found = np.asarray(given.detach().cpu() if isinstance(given, torch.Tensor) else given, dtype=np.float64)
    except TimeUp as late:
        raise PluginFault(where, str(late), f"an end within {PATIENCE:g} s a batch", "Ask the model less often.") from late
    if found.shape != (len(batch.captions),) or not np.isfinite(found).all():
        told = f"shape {found.shape}" + ("" if np.isfinite(found).all() else ", NaN or infinity")
        raise PluginFault(where, told, f"{len(batch.captions)} finite numbers", "Return one number a prompt.")
    return found
