"""Norms, detection and copies on a testbed with duplicates, beside what was published for Stable Diffusion.

    python design/duplicates.py latent-duplicates 0             # norms, AUROC, copies without mitigation
    python design/duplicates.py latent-duplicates 0 sail wen-embedding 'delayed-guidance(share=0.5)'
    python design/duplicates.py 'latent-duplicates(copies=8)' 0 none

Models are taken from the store. Pictures are asked for from 64 memorized and 64 held-out captions, in 50 steps without noise
between them.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from solidmark import plugins, seeds
from solidmark.measurement import answers, content, weights
from solidmark.measurement.answers import PLAIN
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.responses import Responses
from solidmark.metrics import copy_metrics, scores
from solidmark.metrics.features import judge_features
from solidmark.mitigation.composition import Composition
from solidmark.models import Model
from solidmark.queries.caption_only import CaptionOnly
from solidmark.sampling import SolverConfig, guide
from solidmark.store import Store

Array = NDArray[np.float64]

STEPS = 50
GUIDANCE = (3.0, 7.5)
COPY = 0.5
"""The ratio below which a picture is a copy, as published (arXiv 2301.13188): half as far as its nearest neighbours."""


@torch.no_grad()
def guidance_norms(model: Model, captions: Sequence[str], solver: SolverConfig, seed: int) -> Array:
    """‖eps_c - eps_u‖ of each caption at each step of a plain run, (steps, N), each from an x_T of its own."""
    x = torch.randn((len(captions), *model.shape), generator=seeds.torch_rng(seed, "norms of guidance"))
    own, empty = model.embed(list(captions)), model.embed([""] * len(captions))
    times, found = model.schedule.times(solver.steps), []
    for t, to in zip(times, [*times[1:], -1], strict=True):
        conditional, unconditional = model.predict(x, t, own).noise, model.predict(x, t, empty).noise
        found.append((conditional - unconditional).flatten(1).norm(dim=1).double().numpy())
        guided = guide(unconditional, conditional, solver.guidance)
        x, _ = model.schedule.step(x, guided, t, to, 0.0, torch.zeros_like(x))
    return np.stack(found)


@dataclass(frozen=True)
class Emitted:
    """What pictures of memorized and of held-out captions are: how like their own image, and which keys they show."""

    copies: float
    false_copies: float
    auroc: float
    similarity: float
    other_similarity: float
    memory: float

    @classmethod
    def of(cls, case: Case, plain: Responses) -> Emitted:
        """Read from plain generation. Similarity is the cosine of the judge's features, in the place of SSCD's."""
        found = content.measure_content(case, plain, {})
        assert found is not None
        own, count, target = np.diag(_ratios(found)), found.views.count, found.views.target
        images = (each.clip(0, 1) for each in (found.views.pictures, found.views.images))
        judge = case.testbed.judge()
        assert judge is not None
        alike = copy_metrics.feature_cosine(*images, judge_features(judge))
        keys = case.truth.trained_keys.double().numpy()[target]
        return cls(
            copies=float((own[target] < COPY).mean()),
            false_copies=float((own[count:] < COPY).mean()),
            auroc=scores.auroc(own[target], own[count:]).value,
            similarity=float(alike[target].mean()),
            other_similarity=float(alike[count:].mean()),
            memory=scores.memorization(plain.trained[target], keys).value,
        )


def _ratios(found: content.Content) -> Array:
    views = found.views
    flat = (each.reshape(len(each), -1) for each in (views.pictures, views.images, views.spare))
    return content.content.ratios(*flat)


def describe_norms(case: Case, workspace: Workspace, guidance: float) -> str:
    """A line: norms of memorized and held-out captions at the first step, and how well norms tell them apart."""
    model, truth = weights.train_or_load(case, workspace)[0], case.truth
    captions, count = [*truth.trained.captions, *truth.held_out.captions], len(truth.trained)
    norms = guidance_norms(model, captions, replace(case.solver, guidance=guidance), case.seed)
    first, early, whole = norms[0], norms[:10].mean(axis=0), norms.mean(axis=0)
    areas = " | ".join(f"{scores.auroc(-one[:count], -one[count:]).value:.3f}" for one in (first, early, whole))
    memorized, others = first[:count].mean(), first[count:].mean()
    return f"| {case.seed} | {guidance:g} | {memorized:.2f} | {others:.2f} | {memorized / others:.2f} | {areas} |"


def describe_copies(case: Case, workspace: Workspace, guidance: float) -> str:
    """A line: what the service emits under a mitigation."""
    asked = replace(case, solver=replace(case.solver, guidance=guidance))
    model, _ = weights.edit_or_load(asked, workspace)
    plain = answers.ask_cached(asked, PLAIN, model, workspace)
    found = Emitted.of(asked, plain)
    did = ", ".join(f"{name} {value:.2f}" for doses in plain.doses.values() for name, value in doses.items())
    return (
        f"| {case.composition.label} | {case.seed} | {guidance:g} | {found.copies:.0%} | {found.false_copies:.0%} "
        f"| {found.similarity:.3f} ({found.other_similarity:.3f}) | {found.auroc:.3f} | {found.memory:.2f} | {did} |"
    )


def main(testbed: str, seed: str, *mitigations: str) -> None:
    """Print both tables. `seed` is one number; guidance can be given by the environment variable GUIDANCE."""
    torch.set_num_threads(1)
    name, made = plugins.testbed(testbed)
    made = replace(made, held_out=64, generated=16)
    solver = replace(made.solvers["ddim"], steps=STEPS)
    case = Case(name, made, Composition(), int(seed), ((PLAIN, CaptionOnly()),), solver)
    workspace = Workspace(Store(Path(os.environ.get("SOLIDMARK_STORE", "~/.cache/solidmark")).expanduser()))
    scales = [float(one) for one in os.environ["GUIDANCE"].split()] if "GUIDANCE" in os.environ else GUIDANCE
    print("| seed | guidance | memorized | others | ratio | AUROC, first step | first ten | all |\n|" + " --- |" * 8)
    for scale in scales:
        print(describe_norms(case, workspace, scale), flush=True)
    print(
        "\n| mitigation | seed | guidance | copies | of others | similarity (of others) | AUROC | M | what it did |\n|"
        + " --- |" * 9
    )
    for scale in scales:
        for mitigation in mitigations or ("none",):
            asked = replace(case, composition=plugins.compose(mitigation))
            print(describe_copies(asked, workspace, scale), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
