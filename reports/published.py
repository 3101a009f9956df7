"""The published tables beside chance: a page that follows from `published_tables` alone."""

from __future__ import annotations

import numpy as np
from scipy import stats

from solidmark.scores import DELTAS, Share, proportion

from .published_tables import AGAIN, BASELINE, MITIGATED, UNMITIGATED, Run


def uniform_chance(delta: float) -> float:
    """P(|guess - key| <= delta) for a guess and a key that are uniform on [0, 1]: 2 delta - delta²."""
    return 2 * delta - delta**2


def constant_chance(delta: float) -> float:
    """The same for a constant guess away from 0 and 1, the most that a guess without knowledge reaches: 2 delta."""
    return 2 * delta


def share(run: Run, delta: float) -> Share:
    """A count with its Clopper-Pearson interval, beside the chance of a constant guess."""
    assert run.images is not None
    return proportion(run.count(delta), run.images, constant_chance(delta))


def z_score(count: int, of: int, chance: float) -> float:
    """(count - of chance) / √(of chance (1 - chance))."""
    return float((count - of * chance) / np.sqrt(of * chance * (1 - chance)))


def p_above(count: int, of: int, chance: float) -> float:
    """The probability of so many or more, exactly."""
    return float(stats.binom.sf(count - 1, of, chance))


def z_between(run: Run, other: Run, delta: float) -> float:
    """z of two independent proportions with the pooled variance."""
    assert run.images is not None
    assert other.images is not None
    one, two = run.count(delta), other.count(delta)
    pooled = (one + two) / (run.images + other.images)
    error = np.sqrt(pooled * (1 - pooled) * (1 / run.images + 1 / other.images))
    return float((one / run.images - two / other.images) / error)


def page() -> str:
    """The page as Markdown."""
    lines = [
        f"| {run.experiment} | {delta} | {run.count(delta)} |" for run in (*UNMITIGATED, *MITIGATED) for delta in DELTAS
    ]
    largest = max(abs(z_between(run, BASELINE, delta)) for run in MITIGATED for delta in DELTAS)
    again = max(abs(z_between(AGAIN, BASELINE, delta)) for delta in DELTAS)
    return "\n".join(["# Published counts beside chance", *lines, f"{largest:.2f} {again:.2f}"]) + "\n"
