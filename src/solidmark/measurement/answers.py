"""Answers: a model asked by a query, the baseline beside it, the perfect memorizer's power, and plain generation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .. import keys, marks, provenance, seeds
from ..data import Examples
from ..errors import NotApplicable, PluginFault
from ..metrics import scores, scoring
from ..metrics.controls import Marks
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition
from ..models import Denoiser, Evaluations, Model, Space, build, metered
from ..models.memorizer import Memorizer, memorize
from ..queries import Access, Answer, Attack, Audit, Company, Pictures, ask
from ..queries.caption_only import CaptionOnly
from ..sampling import Service, SolverConfig
from ..schema.numbers import Estimate
from ..schema.record import NegativeBlock, RefusedQueryBlock, RefusedShareBlock, SamplingReportBlock, WorkBlock
from ..split import Split
from . import untouched, weights
from .blind import BlindSplit
from .case import Case, Workspace
from .responses import Generated, Responses

Array = NDArray[np.float64]

PLAIN = "caption-only"
"""The query whose pictures are one plain generation from the caption of every image."""
KEPT = 2**26
"""The store keeps answers of up to so many bytes; those of large images would fill a disk."""


def ask_query(
    case: Case,
    name: str,
    model: Denoiser,
    workspace: Workspace,
    blind: BlindSplit | None = None,
    plain: Responses | None = None,
) -> Responses:
    """Put one query of the case to a model, which may not be changed by it, about the case's split or another.

    `plain` are the responses of a query that generated plainly from the same captions through the same service, whose
    pictures this one may read.
    """
    attack, blind = case.attack(name), blind or case.blind
    split, parts = blind.split, _sampling_parts(case, attack)
    service = Service(model, parts, case.seed, name, data=weights.at_sampling(case, blind, workspace, model))
    audit = Audit(
        split.queried,
        split.mark,
        case.solver,
        service,
        case.seed,
        name,
        access=attack.access,
        others=_others(case, blind),
        budget=attack.cost(case.solver),
        progress=workspace.progress,
        pictures=_pictures(plain) if attack.access is Access.BLACK_BOX else None,
        company=fresh_captions(split, case.solver) if isinstance(attack, CaptionOnly) else None,
    )
    before, clock = untouched.checksum(weights.state(model)), time.perf_counter()
    with metered() as evaluations, seeds.forked(case.seed, "asking, global generator", name):
        answer = ask(attack, audit)
    seconds = time.perf_counter() - clock
    if untouched.checksum(weights.state(model)) != before:
        raise PluginFault(f"query {name}", "a changed model", "the model as it was", "Train a copy: `audit.model.copy()`.")
    if attack.access is Access.WHITE_BOX:
        count, passes = len(audit.examples), evaluations.encoded + evaluations.decoded
        _within_budget(name, evaluations.forward + evaluations.backward, "denoiser evaluations", count, audit.budget)
        _within_budget(name, passes, "encodings and decodings", count, audit.budget)
    return _responses(answer, split, audit, evaluations, seconds)


def _pictures(plain: Responses | None) -> Pictures | None:
    if plain is None or plain.images is None or plain.refused is None:
        return None
    return Pictures(plain.images, torch.from_numpy(plain.refused[0]))


def fresh_captions(split: Split, solver: SolverConfig) -> Company:
    """The fresh captions, as plain generation asks them: all pixels free."""
    count, blank = len(split.fresh_captions), split.mark.canvas(torch.full_like(split.trained.images[:1], marks.BLANK))
    observed = blank.expand(count, -1, -1, -1)
    firsts = [(index, index - index % solver.batch) for index in range(count)]
    numbers = [index - first - min(count, first + solver.batch) for index, first in firsts]
    return Company(split.fresh_captions, observed, torch.ones_like(observed[:, :1], dtype=torch.bool), numbers)


def generated_along(audit: Audit, evaluations: Evaluations, seconds: float) -> tuple[Generated | None, Evaluations, float]:
    """What the company of an audit gave, with its share of the work, and the share that is left for the audit's images."""
    company = audit.company
    if company is None or company.answers is None or company.refused is None:
        return None, evaluations, seconds
    part = len(company) / (len(company) + len(audit.examples))
    its = Evaluations(**{name: round(part * count) for name, count in asdict(evaluations).items()})
    cost: WorkBlock = {**weights.work(its, part * seconds), "images": len(company)}
    found = Generated(audit.mark.content(company.answers), company.refused.numpy(), cost)
    return found, evaluations.since(its), (1 - part) * seconds


def _sampling_parts(case: Case, attack: Attack) -> Composition:
    """The parts that a query goes through: those of the sampling stage, or none where it reads the weights."""
    return case.composition.at(Stage.SAMPLING) if attack.access is Access.BLACK_BOX else Composition()


def _others(case: Case, blind: BlindSplit) -> Examples:
    """What an auditor may learn from: the images that were to be kept, else others with marks of their own."""
    if Needs.FORGET in case.composition.needs:
        return blind.handed_out["retain"]
    split = blind.split
    drawn = keys.draw(len(split.calibration), split.mark.segments, seeds.numpy_rng(case.seed, "keys of other images"))
    return split.marked(split.calibration, torch.from_numpy(drawn).float())


def _within_budget(name: str, work: int, kind: str, count: int, budget: float) -> None:
    """Raise PluginFault for more work an image than the query declares: an image may pass through the autoencoder as often
    as through the denoiser."""
    if work > budget * count:
        found, expected = f"{work / count:.0f} {kind} an image", f"at most {budget:.0f}, as declared"
        raise PluginFault(f"query {name}", found, expected, "Declare its whole `cost`, or ask less.")


def _responses(answer: Answer, split: Split, audit: Audit, evaluations: Evaluations, seconds: float) -> Responses:
    predicted, count = answer.keys.double().numpy(), len(split.trained)
    uneven = marks.unevenness(split.mark, answer.images[count:]) if answer.images is not None else 0.0
    errors = [float(error[count:].mean()) for error in audit.decoy_errors]
    looks = Marks(float(predicted[count:].std()), uneven, float(np.mean(errors)) if errors else None)
    refused = torch.stack(audit.refused).numpy() if audit.refused else None
    planted, (fresh, evaluations, seconds) = audit.keys.double().numpy(), generated_along(audit, evaluations, seconds)
    told, doses = tuple(audit.service.warnings), audit.service.doses
    return Responses(predicted, count, looks, evaluations, seconds, answer.images, planted, refused, fresh, told, doses)


def ask_or_load(case: Case, name: str, model: Denoiser, workspace: Workspace, plain: Responses | None = None) -> Responses:
    """The answers to a query; from the store where they follow from weights that were asked so before.

    What acts at sampling alone leaves the weights as they are, so that its rows share what is asked of these. `plain` as in
    `ask_query`.
    """
    if case.attack(name).access is Access.WHITE_BOX or is_kept(case):
        return ask_cached(case, name, model, workspace, plain)
    return ask_query(case, name, model, workspace, plain=plain)


def is_kept(case: Case) -> bool:
    """Whether the store keeps what the service answers: nothing acts at sampling, so that it follows from the weights, and
    it takes no more than KEPT bytes."""
    images = case.blind.split.queried.images
    return Stage.SAMPLING not in case.composition.stages and images.numel() * images.element_size() <= KEPT


def ask_cached(case: Case, name: str, model: Denoiser, workspace: Workspace, plain: Responses | None = None) -> Responses:
    """The answers to a query, from the store where these weights were asked so before, through the same sampler if any."""
    key = {
        "weights": weights.fingerprint(model),
        "parts": _sampling_parts(case, case.attack(name)).described(),
        "learns from": Needs.FORGET in case.composition.needs and case.blind.split.forget,
        "may read pictures": plain is not None,
        **_question(case, name),
    }
    label = weights.label(case, _behind(case, name).label, name)
    return _cached("answers", key, lambda: ask_query(case, name, model, workspace, plain=plain), workspace, label)


def _behind(case: Case, name: str) -> Composition:
    """The parts that answers come from: those in the weights, and those that the query goes through."""
    through = _sampling_parts(case, case.attack(name)).parts
    return Composition(tuple(p for p in case.composition.parts if p.mitigation.stage is not Stage.SAMPLING or p in through))


def ask_baseline(case: Case, workspace: Workspace) -> Responses:
    """The unmitigated model's answers to the leading query, from the store or asked now."""
    bare = replace(case, composition=Composition(), queries=case.queries[:1])

    def asks() -> Responses:
        return ask_query(bare, bare.leading, weights.train_or_load(bare, workspace)[0], workspace)

    key = {"case": bare.case_id, **_question(bare, bare.leading)}
    return _cached("baseline answers", key, asks, workspace, weights.label(bare, bare.composition.label, bare.leading))


def _question(case: Case, name: str) -> dict[str, object]:
    """What answers follow from beside the model."""
    return {"split": case.blind.fingerprint, "seed": case.seed, "query": _described(case, name)}


def _described(case: Case, name: str) -> list[object]:
    """A query for a key, with its source, so that edited code never meets old answers."""
    attack = case.attack(name)
    source = provenance.source_digest(type(attack).__module__)
    return [name, provenance.describe(attack), source, provenance.describe(case.solver)]


def _cached(
    kind: str, key: Mapping[str, object], asks: Callable[[], Responses], workspace: Workspace, label: str
) -> Responses:
    """The answers under a key of the store, where they are asked for once."""
    return Responses.load(workspace.stored(kind, key, provenance.ASKING, lambda folder: asks().save(folder), label))


@dataclass(frozen=True)
class Power:
    """What a query reads of the perfect memorizer; None where it cannot be asked.

    The memorizer has keys of its own, which are in no split: `leak` scores the answers against the split's keys
    instead, which that model never saw, so that only a query which has them from elsewhere is off chance.
    """

    estimate: Estimate | None
    leak: NegativeBlock | None = None


def measure_power(case: Case, workspace: Workspace) -> dict[str, Power]:
    """Power of each query: M of the perfect memorizer, asked in the same way."""
    bare = replace(case, composition=Composition())
    network = case.testbed.recipe.network
    space = weights.space_key(weights.train_space_or_load(bare, workspace), network)
    found: dict[str, Power] = {}
    for name, _ in case.queries:

        def build(folder: Path, name: str = name) -> None:
            (folder / "power.json").write_text(json.dumps(asdict(_power(bare, name, workspace))))

        key = {**_question(case, name), **space, "network": provenance.describe(network)}
        folder = workspace.stored("power", key, provenance.ASKING, build, weights.label(case, name))
        power = json.loads((folder / "power.json").read_text())
        estimate = power["estimate"]
        found[name] = Power(None if estimate is None else Estimate(**estimate), power["leak"])
    return found


def _power(bare: Case, name: str, workspace: Workspace) -> Power:
    space = weights.train_space_or_load(bare, workspace)
    model, remembered = disguised_memorizer(bare, name, space, workspace.device)
    try:
        responses = ask_query(bare, name, model, workspace)
    except (NotApplicable, PluginFault):
        return Power(None)
    leak = scoring.negative(responses.trained, bare.truth.trained_keys.double().numpy())
    return Power(scores.memorization(responses.trained, remembered), leak)


def _under_own_keys(split: Split, seed: int) -> tuple[Examples, Array]:
    """The training images under keys of the perfect memorizer's own, and these for the trained images, (N, S)."""
    _, first = np.unique(split.training.ids, return_index=True)
    once = split.training.take(sorted(first.tolist()))
    drawn = keys.draw(len(once), split.mark.segments, seeds.numpy_rng(seed, "keys of the perfect memorizer"))
    rows = [once.ids.index(number) for number in split.trained.ids]
    return split.marked(once, torch.from_numpy(drawn).float()), drawn[rows]


def memorizer(split: Split, seed: int) -> tuple[Memorizer, Array]:
    """The perfect memorizer of the training images under keys of its own, and these for the trained images, (N, S)."""
    examples, drawn = _under_own_keys(split, seed)
    return Memorizer(examples), drawn


def disguised_memorizer(case: Case, name: str, space: Space | None = None, device: str = "cpu") -> tuple[Model, Array]:
    """The same as a model like any other of the testbed, which has answered the queries of the case before this one."""
    examples, drawn = _under_own_keys(case.blind.split, case.seed)
    model = build(case.testbed.recipe.network, seeds.torch_rng(case.seed, "weights of the perfect memorizer"))
    if space is not None:
        model.space = space
    earlier = [one for one, _ in case.queries].index(name)
    model.evaluations.forward += earlier * case.solver.evaluations * len(case.blind.split.queried)
    return memorize(model.to(device).frozen(), examples), drawn


def ask_plainly(case: Case, model: Denoiser, workspace: Workspace, blind: BlindSplit | None = None) -> Responses:
    """One plain generation from every caption, trained, held-out and fresh mixed, through the mitigation's sampler."""
    plain = replace(case, queries=((PLAIN, CaptionOnly()),))
    if blind is not None:
        return ask_query(plain, PLAIN, model, workspace, blind)
    return ask_or_load(plain, PLAIN, model, workspace)


def sampling_report(case: Case, responses: Mapping[str, Responses], generated: Generated) -> SamplingReportBlock:
    """How many of the fresh captions and of each query's images the sampling stage refused, and the doses it gave.

    M is of all images, a refused one being answered by a gray that knows nothing: so much is what the service gives
    away. A service that refuses trained images more often than held-out ones gives away who was trained on.
    """
    if Stage.SAMPLING not in case.composition.stages:
        return {}
    queries: dict[str, RefusedQueryBlock] = {
        name: {"trained": _share(found.refused[:, : found.count]), "held_out": _share(found.refused[:, found.count :])}
        for name, found in responses.items()
        if found.refused is not None and case.attack(name).access is Access.BLACK_BOX
    }
    doses = {name: found.doses for name, found in responses.items() if found.doses}
    report: SamplingReportBlock = {"refused": {"generated": _share(generated.refused), "queries": queries}}
    return {**report, "doses": doses} if doses else report


def _share(refused: NDArray[np.bool_]) -> RefusedShareBlock:
    return {"value": float(refused.mean()), "count": int(refused.sum()), "of": refused.size}
