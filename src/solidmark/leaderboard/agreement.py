"""Agreement: whether two testbeds rank the families that both have alike.

    rho     Spearman's rank correlation of what is left at matched utility, by the measure that leads on both; chance 0
    limits  tanh(atanh rho ± 1.96 √((1 + rho²/2) / (n - 3))), from five families on

Bonett and Wright, Sample size requirements for estimating Pearson, Kendall and Spearman correlations (2000). The interval is
over families, as if they were drawn; the noise of few seeds in what is left draws rho towards 0 besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from ..schema.numbers import Estimate
from .excess import CurveVerdict
from .matched import MatchedComparison
from .measures import KEYS
from .placing import hardest

FEWEST_FAMILIES = 5
"""Families below which a rank correlation has no interval."""

IDLE = 0.99
"""Who leaves so much on both testbeds does nothing on either: many such families are tied, which says little."""

PERFECT = 1 - 1e-9
"""A correlation of 1 has no interval on the scale of atanh: it is taken for a little less."""


@dataclass(frozen=True)
class Agreement:
    """Two testbeds: what is left of each family that both rank, `left`, in the order of the first; and the correlation.

    References are no competitors and are left out. `idle` families leave all on both (see IDLE), and `moving` is the
    correlation over the others, null where they are too few. Of `judged` families that both decide (`undecided` is no
    verdict), `same` have the same verdict. `correlation` is null with a `reason`.
    """

    one: str
    other: str
    left: tuple[tuple[str, float, float], ...]
    correlation: Estimate | None
    same: int
    judged: int
    reason: str = ""
    idle: int = 0
    moving: Estimate | None = None

    def to_json(self) -> dict[str, object]:
        """The fields as plain JSON, null with a reason where unknown."""
        reasons = {} if self.correlation is not None else {"correlation": self.reason}
        if self.moving is None:
            reasons["moving"] = (
                f"families that do something on either: {len(self.left) - self.idle}, of at least {FEWEST_FAMILIES}"
            )
        return {**asdict(self), "reasons": reasons}


def agreements(titles: Sequence[str], comparisons: Sequence[MatchedComparison]) -> list[Agreement]:
    """Every two testbeds, in their order; `titles` are their names."""
    pairs = combinations(zip(titles, comparisons, strict=True), 2)
    return [agreement(one, other, a, b) for (one, a), (other, b) in pairs]


def agreement(one: str, other: str, first: MatchedComparison, second: MatchedComparison) -> Agreement:
    """How two testbeds agree."""
    left = _left(first, second)
    found = [{name: one.verdict for name, one in hardest(each).items()} for each in (first, second)]
    verdicts = [{name: one for name, one in each.items() if one is not CurveVerdict.UNDECIDED} for each in found]
    judged = [name for name in verdicts[0] if name in verdicts[1]]
    same = sum(verdicts[0][name] is verdicts[1][name] for name in judged)
    if len(left) < FEWEST_FAMILIES:
        reason = f"{len(left)} families are ranked on both, of at least {FEWEST_FAMILIES}"
        return Agreement(one, other, left, None, same, len(judged), reason)
    rho = _correlation(left)
    acting = [point for point in left if min(point[1:]) < IDLE]
    moving = _correlation(acting) if len(acting) >= FEWEST_FAMILIES else None
    reason = "" if rho else "on one of them all families are equal"
    return Agreement(one, other, left, rho, same, len(judged), reason, len(left) - len(acting), moving)


def _correlation(left: Sequence[tuple[str, float, float]]) -> Estimate | None:
    return rank_correlation([a for _, a, _ in left], [b for _, _, b in left])


def _left(first: MatchedComparison, second: MatchedComparison) -> tuple[tuple[str, float, float], ...]:
    """Each family that both rank, with what is left at matched utility: by both yardsticks where both know both."""
    alike = first.keys_only == second.keys_only
    ranks = [_matched(each, leading=alike) for each in (first, second)]
    return tuple((name, value, ranks[1][name]) for name, value in ranks[0].items() if name in ranks[1])


def _matched(comparison: MatchedComparison, *, leading: bool) -> Mapping[str, float]:
    axis = comparison.axis
    ranking = comparison.leading_ranking(axis) if leading else comparison.ranking_on(axis, KEYS.name)
    families = ranking.families if ranking is not None else ()
    return {family.family: family.matched.value for family in families if not family.reference}


def rank_correlation(one: Sequence[float], other: Sequence[float]) -> Estimate | None:
    """Spearman's, with its interval; None where all of one side are equal."""
    if len(set(one)) == 1 or len(set(other)) == 1:
        return None
    rho = float(stats.spearmanr(one, other).statistic)
    bent = float(np.clip(rho, -PERFECT, PERFECT))
    margin = float(stats.norm.ppf(0.975)) * np.sqrt((1 + bent**2 / 2) / (len(one) - 3))
    low, high = (float(np.tanh(np.arctanh(bent) + side * margin)) for side in (-1, 1))
    return Estimate(rho, low, high, chance=0.0, count=len(one))
