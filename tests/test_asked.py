"""What each query answers on small models, what it spends and shows, and what each detector makes of captions.

Both against `asked.txt`.

`python tests/test_asked.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from effects import SOLVER, handed_out, model, row, toy_of
from kept import alike, blocks, write

from solidmark import plugins
from solidmark.errors import NotApplicable
from solidmark.measurement import detectors
from solidmark.measurement.case import Case
from solidmark.mitigation.composition import Composition
from solidmark.models import Evaluations
from solidmark.plugins import GROUPS
from solidmark.queries import Attack, Audit, ask
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Service

KEPT = Path(__file__).with_name("asked.txt")
NAMES = [plugin.name for plugin in plugins.discover(GROUPS["query"])]
SHORT = {"updates": 3, "draws": 3, "cycles": 3, "proposals": 3, "steps": 3, "grays": 3, "rounds": 2, "batch": 4}
DETECTORS = [plugin.name for plugin in plugins.discover(GROUPS["detector"])]
ROWS = (0, 1, 2, 16, 17, 18, 19)
"""Three trained images and four others, in two batches."""


def shortened(attack: Attack) -> Attack:
    """The same with short loops, and a rate by which so few steps do something."""
    values = {field.name: getattr(attack, field.name) for field in fields(attack)}
    faster = {"rate": 0.02} if "rate" in values else {}
    return replace(attack, **faster, **{name: min(values[name], most) for name, most in SHORT.items() if name in values})


def audit(attack: Attack, kind: str) -> Audit:
    """What a query gets: a service of its own, and budget for what it declares."""
    laid, solver = toy_of(kind).split(0), replace(SOLVER, batch=4)
    denoiser, budget = model(kind), attack.cost(replace(SOLVER, batch=4))
    service = Service(denoiser, Composition(), 0, "golden")
    others, examples = handed_out(kind)["retain"], laid.queried.take(ROWS)
    return Audit(examples, laid.mark, solver, service, 0, "golden", attack.access, others, budget)


def answered(name: str, kind: str) -> list[str]:
    """Predicted keys image by image, the mark and the rest of each picture, and what was spent."""
    attack = shortened(plugins.instance(GROUPS["query"], "query", name))
    asked = audit(attack, kind)
    asked.service.model.evaluations = Evaluations()
    try:
        answer = ask(attack, asked)
    except NotApplicable as reason:
        return [f"not here: {reason}"]
    spent = asked.service.model.evaluations
    lines = [f"keys {row(one)}" for one in answer.keys]
    if answer.images is not None:
        lines.append(f"pictures {row(answer.images.flatten(1).mean(dim=1))}")
        lines.append(f"contrast {row(answer.images.flatten(1).std(dim=1))}")
    lines += [f"decoy {row(errors)}" for errors in asked.decoy_errors]
    counts = f"forward={spent.forward} backward={spent.backward} decoded={spent.decoded}"
    return [*lines, f"spent={asked.spent:.6g} of={asked.budget:.6g} refused={len(asked.refused)} {counts}"]


def found(name: str) -> dict[str, list[str]]:
    kinds = ("text", "latent", "none") if name in ("outpaint", "embedding") else ("text", "latent")
    return {f"{name} {kind}": answered(name, kind) for kind in kinds}


@pytest.mark.parametrize("name", NAMES)
def test_what_a_query_answers_is_what_it_answered(name: str) -> None:
    now, before = found(name), blocks(KEPT, name)
    assert list(now) == list(before)
    assert [(case, old, new) for case in now for old, new in alike(before[case], now[case])] == []


def told(name: str) -> list[str]:
    """The scores of six captions as shares of the largest, and what they cost."""
    case = Case("toy", toy_of("text"), Composition(), 0, (("outpaint", Outpaint()),), SOLVER)
    denoiser, asked = model("text"), toy_of("text").split(0).trained.take(range(6))
    denoiser.evaluations, detector = Evaluations(), plugins.instance(GROUPS["detector"], "detector", name)
    found = detectors._scores(detector, name, detectors._batch(case, denoiser, asked), 0)
    largest, kind = np.abs(found).max(), type(detector)
    scores = f"scores {row(found / largest)} of=10^ {np.log10(largest):.4g}"
    return [scores, f"forward={denoiser.evaluations.forward} {kind.reference}"]


@pytest.mark.parametrize("name", DETECTORS)
def test_what_a_detector_makes_of_captions_is_what_it_made(name: str) -> None:
    assert alike(blocks(KEPT, f"detector-{name}")[f"detector-{name} text"], told(name)) == []


if __name__ == "__main__":
    scores = {f"detector-{name} text": told(name) for name in DETECTORS}
    write(KEPT, {case: lines for name in NAMES for case, lines in found(name).items()} | scores)
