"""The published ranking, verdicts and page, computed a second time: from the records, by loops and other libraries."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from solidmark.reports import markdown
from statsmodels.stats.multitest import multipletests

from solidmark.leaderboard.render import load_leaderboard
from solidmark.records import read

RESULTS = Path(__file__).parents[1] / "results"
TRAPEZES = {number / 100: (0.5 if number in (0, 25) else 1.0) / 25 for number in range(26)}
"""Weights of a mean over losses from 0 to 25 %."""
GOLD = "retrain"
REFERENCES = {"training": "early-stopping", "sampling": "guidance-scale", "post-hoc": "finetune"}


def memory(record):
    """M of the worst case that the stage of a row answers for; by its size where it lies below 0 for sure."""
    found = record["worst_service" if "sampling" in record["stage"] else "worst"]["memorization"]
    return abs(found["value"]) if found["high"] < 0 else found["value"]


def accuracy(record):
    share = record["utility"]["accuracy"]
    return share["count"] / share["of"]


class Family:
    """Loss and memory of the baseline and of each setting, by seed."""

    def __init__(self, stage, settings, baseline):
        self.stage = stage
        self.seeds = sorted(set.intersection(*(set(setting) for setting in [*settings, baseline])))
        self.points = [
            {seed: (1 - accuracy(setting[seed]) / accuracy(baseline[seed]), memory(setting[seed])) for seed in self.seeds}
            for setting in settings
        ]
        self.known = {}  # frontiers, which many pairs ask for
        # the baseline is judged by the same queries as the family
        self.start = {seed: (0.0, memory({**baseline[seed], "stage": stage})) for seed in self.seeds}

    def frontier(self, at, seeds, moved=0.0):
        """The least mean memory at a mean loss of at most `at`, of a setting or on a line between two.

        All losses are `moved` by so many of their standard errors.
        """
        asked = (at, tuple(seeds), moved)
        if asked not in self.known:
            self.known[asked] = self._frontier(at, seeds, moved)
        return self.known[asked]

    def _frontier(self, at, seeds, moved):
        drawn = [np.array([point[seed] for seed in seeds]) for point in [self.start, *self.points]]
        further = [moved * stats.sem(each[:, 0]) if moved else 0.0 for each in drawn]
        points = [(each[:, 0].mean() + more, each[:, 1].mean()) for each, more in zip(drawn, further)]
        reached = [m for loss, m in points if loss <= at]
        for (la, ma), (lb, mb) in itertools.permutations(points, 2):
            if la < at < lb and lb - la > 1e-9:
                reached.append(ma + (at - la) / (lb - la) * (mb - ma))
        return min(reached)


def jackknifed(statistic, seeds):
    """Value, error and p-value of a statistic of seeds, by leaving each one out."""
    value, without = statistic(seeds), [statistic([s for s in seeds if s != out]) for out in seeds]
    error = np.sqrt((len(seeds) - 1) * np.var(without))
    return value, error, float(2 * stats.t.sf(abs(value) / error, len(seeds) - 1)) if error > 1e-12 else float(value == 0)


def luck(less, more, seeds):
    """The p-value of losses that are only lucky: by how many errors both may be moved before the difference is gone."""
    standing = itertools.takewhile(
        lambda c: less.frontier(0.05, seeds, c) < more.frontier(0.05, seeds, -c), np.geomspace(0.5, 100, 40)
    )
    return float(2 * stats.t.sf(2 * max(standing, default=0.0), len(seeds) - 1))


def gap(one, other, weights):
    """How much more one family remembers than another, summed over losses with these weights, as a function of seeds."""
    return lambda seeds: sum(w * (one.frontier(at, seeds) - other.frontier(at, seeds)) for at, w in weights.items())


@pytest.fixture(scope="module")
def cases():
    """The records of cases."""
    return [record for record in read(RESULTS)[0] if record["event"] == "case"]


@pytest.fixture(scope="module")
def families(cases):
    """The families of the records by name."""
    by_name = defaultdict(lambda: defaultdict(dict))
    for record in cases:
        by_name[record["family"]][record["mitigation"]][record["seed"]] = record
    (baseline,) = by_name.pop("none").values()
    stages = {record["family"]: record["stage"] for record in cases}
    return {name: Family(stages[name], list(rows.values()), baseline) for name, rows in by_name.items()}


@pytest.fixture(scope="module")
def ranked(families):
    """The families that were measured at a loss of a twentieth at most; the gold standard is no competitor."""
    return {
        name: family
        for name, family in families.items()
        if name != GOLD and min(np.mean([loss for loss, _ in point.values()]) for point in family.points) <= 0.05
    }


@pytest.fixture(scope="module")
def board():
    return load_leaderboard([RESULTS])


@pytest.fixture(scope="module")
def ranking(board):
    return board.matched[0].ranking_on("accuracy")


def test_families_come_in_the_order_of_what_they_remember_at_a_loss_of_a_twentieth(ranked, ranking):
    expected = {name: family.frontier(0.05, family.seeds) for name, family in ranked.items()}
    assert [family.family for family in ranking.families] == sorted(expected, key=lambda name: (expected[name], name))
    for family in ranking.families:
        assert family.matched.value == pytest.approx(expected[family.family], abs=1e-9)
        assert family.matched.count == len(ranked[family.family].seeds)


def test_the_best_setting_remembers_least_of_those_that_lose_so_little(cases, ranking):
    means = defaultdict(list)
    baseline = {record["seed"]: accuracy(record) for record in cases if record["family"] == "none"}
    for record in cases:
        means[record["family"], record["mitigation"]].append(
            (1 - accuracy(record) / baseline[record["seed"]], memory(record))
        )
    for family in ranking.families:
        settings = {label: np.mean(pairs, axis=0) for (name, label), pairs in means.items() if name == family.family}
        useful = {label: m for label, (loss, m) in settings.items() if loss <= 0.05}
        assert family.setting == (min(useful, key=useful.__getitem__) if useful else "")


def test_pairs_that_differ_are_those_of_a_paired_test(ranked, ranking):
    pairs, p = [], []
    for a, b in itertools.combinations(ranked, 2):
        seeds = sorted({*ranked[a].seeds} & {*ranked[b].seeds})
        value, _, chance = jackknifed(gap(ranked[a], ranked[b], {0.05: 1.0}), seeds)
        less, more = (a, b) if value < 0 else (b, a)
        pairs.append((less, more))
        p.append(max(chance, luck(ranked[less], ranked[more], seeds)) if chance <= 0.05 else chance)
    apart = [pair for pair, differs in zip(pairs, multipletests(p, method="holm")[0]) if differs]
    assert (ranking.pairs, ranking.apart) == (len(pairs), len(apart))
    assert {len(family.seeds) for family in ranked.values()} == {3, 6}  # so that unequal seeds are among them


def test_a_rank_counts_the_families_that_are_clear_of_it_by_interval_and_not_by_luck(ranked, ranking):
    limits = {name: interval(family) for name, family in ranked.items()}
    both = {(a, b): sorted({*ranked[a].seeds} & {*ranked[b].seeds}) for a, b in itertools.permutations(ranked, 2)}
    apart = [(a, b) for a, b in both if limits[a][1] < limits[b][0]]
    clear = [(a, b) for a, b in apart if luck(ranked[a], ranked[b], both[a, b]) <= 0.05]
    assert ranking.clear == len(clear)
    for family in ranking.families:
        worse, better = (sum(pair[side] == family.family for pair in clear) for side in (1, 0))
        assert (family.first, family.last) == (1 + worse, len(ranked) - better)


def interval(family):
    """Of what a family remembers at a loss of a twentieth; no further from 0 than 1."""
    value, error, _ = jackknifed(lambda seeds: family.frontier(0.05, seeds), family.seeds)
    margin = stats.t.ppf(0.975, len(family.seeds) - 1) * error
    return max(value - margin, -1.0), min(value + margin, 1.0)


def test_families_share_a_letter_where_they_are_not_apart(ranked, ranking):
    letters = {family.family: {*family.groups} for family in ranking.families}
    together = sum(bool(letters[a] & letters[b]) for a, b in itertools.combinations(ranked, 2))
    assert together == ranking.pairs - ranking.apart


def test_an_excess_is_the_mean_distance_below_the_reference_and_its_verdict_follows(families, board):
    excesses = {excess.family: excess for excess in board.matched[0].excesses_on("accuracy")}
    assert {*excesses} == {*families} - {*REFERENCES.values(), GOLD}
    raw = {}
    for name, excess in excesses.items():
        family, reference = families[name], families[REFERENCES[families[name].stage]]
        seeds = sorted({*family.seeds} & {*reference.seeds})
        value, error, raw[name] = jackknifed(gap(reference, family, TRAPEZES), seeds)
        assert (excess.reference, excess.seeds) == (REFERENCES[family.stage], tuple(seeds))
        assert (excess.estimate.value, excess.estimate.error) == pytest.approx((value, error), abs=1e-9)
    adjusted = dict(zip(raw, multipletests(list(raw.values()), method="holm")[1]))
    for name, excess in excesses.items():
        assert excess.verdict.value == verdict(excess.estimate, adjusted[name]), name
        assert excess.p == (pytest.approx(adjusted[name]) if len(excess.seeds) >= 6 else None)


def verdict(estimate, p):
    """The rule as results/README.md and the page state it."""
    margin = stats.t.ppf(0.975, estimate.count - 1) * estimate.error
    low, high = estimate.value - margin, estimate.value + margin
    if max(-low, high) <= 0.05:
        return "equal"
    if low <= 0 <= high or p > 0.05 or abs(estimate.value) < 0.05:
        return "undecided"
    return "real" if estimate.value > 0 else "worse"


def test_the_page_ranks_as_the_ranking_does(board, ranking):
    text = markdown.render(board, [])
    table = text.partition("## At matched utility")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")][2:]
    shown = [(row[0], row[2].split(" (")[0], float(re.match(r"-?[\d.]+", row[4])[0])) for row in rows]
    assert shown == [(family.ranks, family.family, round(family.matched.value + 0, 2)) for family in ranking.families]
