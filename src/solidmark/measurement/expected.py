"""What a testbed expects of its unmitigated model: below that nothing was memorized that a mitigation could remove."""

from __future__ import annotations

from ..metrics import scores
from ..schema.row import WEAK_BASELINE
from ..split import Split
from ..testbed import Testbed
from .case import Case
from .responses import Responses

TRAINING = ("trained", "queried", "mark", "recipe", "base", "autoencoder")
"""Fields on which M of the unmitigated model depends."""

METHODS = ("load", "captions", "arrange", "base_examples", "base_keys")
"""Methods on which it depends."""


def faults(case: Case, truth: Split, baseline: Responses) -> list[str]:
    """That the unmitigated model remembers less than its testbed expects: no row beside it can be believed."""
    least = least_memorization(case)
    if least is None:
        return []
    m = scores.memorization(baseline.trained, truth.trained_keys.double().numpy())
    if m.value >= least:
        return []
    found = f"{WEAK_BASELINE} of {case.testbed_name}, seed {case.seed}: found M = {m.value:+.3f}"
    cure = "Run `solidmark store verify`, or measure in a fresh store (SOLIDMARK_STORE)"
    return [f"{found}; expected {least} or more, as the testbed states. {cure}: its training or its stored model is broken"]


def notes(case: Case) -> list[str]:
    """That no row of a testbed, solver and leading query is gated, where that is so; the page says it once."""
    if least_memorization(case) is not None:
        return []
    where = f"{case.testbed_name} by {case.leading}, solver {case.solver.name}"
    return [f"{where}: nobody has stated which M the unmitigated model must have, so that a broken training is not noticed"]


def least_memorization(case: Case) -> float | None:
    """The least M of the unmitigated model under the leading query; None where nobody has stated it.

    A class states it for its own defaults and the fast solver. It holds for a subclass or other parameters that train alike.
    """
    testbed, outpaints = case.testbed, case.leading == "outpaint"
    stating = next(kind for kind in type(testbed).__mro__ if "least" in vars(kind))
    if testbed.least is None or not outpaints or case.solver != testbed.solvers.get("fast"):
        return None
    return testbed.least if _trains_alike(testbed, stating) else None


def _trains_alike(testbed: Testbed, stating: type[Testbed]) -> bool:
    """Whether a testbed trains on what the class that states its `least` trains on by default."""
    plain = stating()
    same_fields = all(getattr(testbed, name) == getattr(plain, name) for name in TRAINING)
    return same_fields and all(getattr(type(testbed), name) is getattr(stating, name) for name in METHODS)
