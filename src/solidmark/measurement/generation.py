"""Generation: what a mitigation leaves of it, in the ways in which a model is asked for keys.

Who notices that he is asked for an image, by known pixels, by the size of a batch or by a caption, and answers badly there
alone, has no memory to show and generates well elsewhere. So pictures are judged where M is measured: those of held-out
captions, which are asked in the batches of the trained ones, and those of fresh captions in a batch of queries with known
pixels. What counts is the least useful of them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from .. import provenance, seeds
from ..metrics import utility
from ..metrics.given_judge import ClipScore
from ..metrics.scores import Array
from ..metrics.utility import Utility
from ..mitigation import Stage
from ..models import Denoiser, metered
from ..queries import Audit
from ..sampling import Service
from ..schema.record import WorkBlock
from ..split import Split
from . import weights
from .answers import fresh_captions, generated_along, is_kept
from .blind import BlindSplit
from .case import Case, Workspace
from .responses import Generated, Responses

FEWEST = 16
"""Images of a kind that a kernel distance needs."""
FRESH, HELD_OUT, KNOWN_MARK = "fresh captions", "held-out captions", "fresh captions, blank mark known"
"""The ways to generate: plainly, from captions of held-out images, and round a mark that is known to be blank."""


def in_all_ways(
    case: Case, model: Denoiser, workspace: Workspace, plain: Responses, blind: BlindSplit | None = None
) -> dict[str, Generated]:
    """Pictures of every way. `plain` are the answers to plain generation; a known mark costs one sampling run more."""
    split = (blind or case.blind).split
    if plain.fresh is None or plain.images is None or plain.refused is None:
        raise ValueError("plain generation was not asked with fresh captions")
    count = min(len(split.held_out), len(split.fresh_captions))
    chosen = slice(plain.count, plain.count + count)
    cost: WorkBlock = {"forward": 0, "backward": 0, "seconds": 0.0, "images": count}
    held_out = Generated(split.mark.content(plain.images[chosen]), plain.refused[0, chosen], cost)
    ways = {FRESH: plain.fresh, HELD_OUT: held_out}
    return {**ways, KNOWN_MARK: round_a_known_mark(case, model, workspace, blind)}


def round_a_known_mark(case: Case, model: Denoiser, workspace: Workspace, blind: BlindSplit | None = None) -> Generated:
    """Pictures of the fresh captions round a blank mark, from the store where these weights were asked so before.

    Where a sampling stage could notice by what it is asked for that keys are, images with their marks masked fill the
    batches up, as in outpainting, to as many queries as any query is asked in; their answers are not used.
    """
    if blind is not None or not is_kept(case):
        return _round_a_known_mark(case, model, workspace, blind or case.blind)
    key = {
        "weights": weights.fingerprint(model),
        "split": case.blind.fingerprint,
        "seed": case.seed,
        "solver": provenance.describe(case.solver),
    }
    modules = (*provenance.ASKING, "measurement/generation")

    def build(folder: Path) -> None:
        _round_a_known_mark(case, model, workspace, case.blind).save(folder)

    label = weights.label(case, case.composition.label)  # nothing acts at sampling
    return Generated.load(workspace.stored(KNOWN_MARK, key, modules, build, label))


def _round_a_known_mark(case: Case, model: Denoiser, workspace: Workspace, blind: BlindSplit) -> Generated:
    split = blind.split
    company = fresh_captions(split, case.solver)
    handed = weights.at_sampling(case, blind, workspace, model)
    service = Service(model, case.composition.at(Stage.SAMPLING), case.seed, KNOWN_MARK, data=handed)
    queried = split.queried
    left = max(len(queried) - len(company), 1) if Stage.SAMPLING in case.composition.stages else 0
    order = torch.randperm(len(queried), generator=seeds.torch_rng(case.seed, "company of a known mark"))
    others = queried.take(order[:left].tolist())
    audit = Audit(others, split.mark, case.solver, service, case.seed, KNOWN_MARK, progress=workspace.progress)
    company.mask = (~audit.marked).expand_as(company.mask)
    audit.company = company
    clock = time.perf_counter()
    with metered() as evaluations:
        audit.outpaint(draw=1)
    found, _, _ = generated_along(audit, evaluations, time.perf_counter() - clock)
    assert found is not None, "its first sampling asks it"
    return found


def judge(case: Case, split: Split, generated: Mapping[str, Generated]) -> dict[str, Utility] | None:
    """Utility of each way against the held-out images, unmarked; None where `no_utility` has a reason."""
    judging = case.testbed.judge()
    if judging is None or no_utility(case, split):
        return None
    real, others = (split.mark.content(split.mark.canvas(i)) for i in (split.held_out.images, split.other_reference))
    labels = {FRESH: split.fresh_labels, HELD_OUT: split.held_out_labels, KNOWN_MARK: split.fresh_labels}
    judged = {
        way: utility.measure(
            _flat(found.images),
            labels[way][: len(found.images)] if case.testbed.tells_class else None,
            _flat(real),
            _flat(others),
            judging,
            found.refused,
        )
        for way, found in generated.items()
    }
    matching = getattr(judging, "clip", None)
    return judged if matching is None else _with_captions(matching, split, generated, judged)


def no_utility(case: Case, split: Split) -> str | None:
    """Why pictures of a case cannot be judged; None where they can."""
    if case.testbed.judge() is None:
        return "this testbed has no judge of pictures"
    fewest = min(len(split.held_out), len(split.other_reference), len(split.fresh_captions))
    return f"{fewest} images are too few for a distance, which needs {FEWEST}" if fewest < FEWEST else None


def _with_captions(
    matching: ClipScore, split: Split, generated: Mapping[str, Generated], judged: Mapping[str, Utility]
) -> dict[str, Utility]:
    """The same with how well pictures fit their captions, beside how well held-out images fit theirs."""
    captions = {FRESH: split.fresh_captions, HELD_OUT: split.held_out.captions, KNOWN_MARK: split.fresh_captions}
    real = float(matching.scores(split.held_out.images.double().numpy(), split.held_out.captions).mean())
    found = {
        way: float(matching.scores(one.images.double().numpy(), captions[way][: len(one.images)]).mean())
        for way, one in generated.items()
    }
    return {way: replace(one, clip=found[way], clip_real=real) for way, one in judged.items()}


def _flat(images: torch.Tensor) -> Array:
    return images.flatten(1).double().numpy()
