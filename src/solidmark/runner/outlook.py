"""What the planned cases will take, as their testbeds say it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..measurement.case import Case
from ..mitigation import Stage
from .devices import torch_device
from .plan import Planned
from .stored import stored_bytes
from .timings import foretell


def outlook(planned: Sequence[Planned], store: Path) -> list[str]:
    """Lines for the user, those of one testbed after the other: its own estimate, else what earlier runs took here."""
    lines: list[str] = []
    for name in dict.fromkeys(one.testbed for one in planned):
        mine = [one for one in planned if one.testbed == name]
        cases = [one.case for one in mine if one.case is not None]
        if not cases:
            continue
        trainings = sum(one.weight > 1 for one in mine)
        edits = sum(Stage.POST_HOC in case.composition.stages for case in cases)
        evaluations = sum(map(_evaluations, cases))
        told = cases[0].testbed.outlook(trainings, edits, evaluations, cases[0].solver, torch_device())
        lines += [f"{name}: {line}" for line in told] if told else foretell(mine, store, _stored)
    return lines


def _stored(planned: Sequence[Planned]) -> int:
    return stored_bytes((one.event, one.case) for one in planned if one.case is not None)


def _evaluations(case: Case) -> float:
    """Denoiser evaluations of an image in all queries of a case, and in the generations beside them: plainly from its own
    caption, from a fresh one, and from a fresh one round a known mark."""
    return sum(attack.cost(case.solver) for _, attack in case.queries) + 3 * case.solver.evaluations
