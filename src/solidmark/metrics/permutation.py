"""Permutation: the exact p-value of a rank sum, ties included. Pure functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from .scores import Array

ENUMERATED = 2048
"""Up to so many pairs of a trained and a held-out image the distribution of a rank sum with ties is enumerated."""


def rank_sum_p(trained: Array, held_out: Array) -> float:
    """The share of all ways to choose N of N + H scores whose rank sum is at most that of the trained ones, (N,) and (H,).

    One-sided: small where trained images score lower. Equal scores share their mean rank. Exact without ties, and with
    ties up to ENUMERATED pairs; beyond, the normal approximation with the variance that ties leave (Mann and Whitney).
    Without ties it is the p-value of their U. Never 0: the order that was seen is one of them.
    """
    tied = len(np.unique(np.concatenate([trained, held_out]))) < len(trained) + len(held_out)
    if tied and len(trained) * len(held_out) <= ENUMERATED:
        return _enumerated(trained, held_out)
    method: Literal["asymptotic", "exact"] = "asymptotic" if tied else "exact"
    p = float(stats.mannwhitneyu(trained, held_out, alternative="less", method=method).pvalue)
    return max(p, float(np.exp(-_log_ways(len(trained), len(held_out)))))


def _enumerated(trained: Array, held_out: Array) -> float:
    """By dynamic programming over the scores: in how many ways do n of them have doubled ranks of this sum?"""
    ranks: NDArray[np.int64] = (2 * stats.rankdata(np.concatenate([trained, held_out]))).astype(np.int64)
    ranks -= ranks.min()
    count, seen = len(trained), int(ranks[: len(trained)].sum())
    ways = np.zeros((count + 1, seen + 1))
    ways[0, 0] = 1.0
    for rank in ranks[ranks <= seen].tolist():
        ways[1:, rank:] += ways[:-1, : seen + 1 - rank]
    return float(np.exp(np.log(ways[count].sum()) - _log_ways(count, len(held_out))))


def _log_ways(trained: int, held_out: int) -> float:
    return float(special.gammaln(trained + held_out + 1) - special.gammaln(trained + 1) - special.gammaln(held_out + 1))
