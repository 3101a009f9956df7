"""Which phrase a row gets, case by case: each condition alone, on both sides of its limit, and which comes first."""

from types import SimpleNamespace

import pytest

from solidmark.leaderboard.disagreement import FAINT, OUTLIVES, UNLINKED, disagreement
from solidmark.schema.numbers import Estimate, Share


def score(value, low=None, high=None, certified=0, chance=0.5):
    limits = (value - 0.02 if low is None else low, value + 0.02 if high is None else high)
    return SimpleNamespace(auroc=Estimate(value, *limits, chance=chance), certified=Share(certified, 64, 0.0, 1.0, 0.0))


def keys(m, certified=0):
    return SimpleNamespace(memorization=Estimate(m, m - 0.01, m + 0.01), certified=Share(certified, 64, 0.0, 1.0, 0.0))


def row(own, other, worst=None, stage="training", **more):
    content = None if other is None else SimpleNamespace(own=own, any=other)
    fields = {
        "content": content,
        "stage": stage,
        "baseline": False,
        "worst": worst or keys(0.3),
        "worst_service": None,
        "lead": None,
    }
    return SimpleNamespace(**{**fields, **more})


BASELINE = row(score(0.99), score(0.97), keys(0.9, 64), baseline=True)
CUT = row(score(0.6), score(0.8), keys(0.3))
KEPT = row(score(0.9), score(0.7), keys(0.3))
DIM = row(score(0.7, certified=1), score(0.6), keys(0.6, 32))
QUIET = row(score(0.6), score(0.6), keys(0.3))
LABELS = row(score(0.55), score(0.99), keys(0.9, 64), baseline=True)


def like(one, **more):
    return SimpleNamespace(**{**vars(one), **more})


def content(own, other):
    return SimpleNamespace(own=own, any=other)


CASES = [
    (CUT, BASELINE, UNLINKED),
    (KEPT, BASELINE, OUTLIVES),
    (DIM, BASELINE, FAINT),
    (QUIET, BASELINE, None),
    # the baseline
    (CUT, None, None),
    (CUT, like(BASELINE, content=None), None),
    (CUT, LABELS, None),
    (KEPT, None, None),
    (KEPT, like(BASELINE, content=None), None),
    (KEPT, like(BASELINE, worst=None), None),
    (KEPT, like(BASELINE, worst=None, lead=keys(0.9)), OUTLIVES),
    (DIM, None, FAINT),
    (DIM, like(BASELINE, content=None), FAINT),
    (like(KEPT, worst=keys(-0.05), baseline=True), like(KEPT, worst=keys(-0.05), baseline=True), None),
    # what is not measured
    (like(CUT, content=None), BASELINE, None),
    (like(CUT, worst=None), BASELINE, None),
    (like(CUT, worst=None, lead=keys(0.3)), BASELINE, UNLINKED),
    # through the service
    (like(DIM, stage="sampling", worst_service=keys(0.6, 32), worst=keys(0.9, 0)), BASELINE, FAINT),
    (like(DIM, stage="sampling", worst_service=keys(0.6, 0), worst=keys(0.9, 32)), BASELINE, None),
    (like(KEPT, stage="sampling", worst_service=keys(0.3), worst=keys(0.9)), BASELINE, OUTLIVES),
    # the first that applies
    (row(score(0.6), score(0.9, certified=1), keys(0.3, 32)), BASELINE, UNLINKED),
    (row(score(0.9), score(0.7, certified=1), keys(0.3, 32)), BASELINE, OUTLIVES),
    # unlinked: apart, and two thirds
    (row(score(0.6, high=0.7), score(0.8, low=0.7), keys(0.9)), BASELINE, None),
    (row(score(0.6, high=0.7), score(0.8, low=0.71), keys(0.9)), BASELINE, UNLINKED),
    (row(score(0.71), score(0.8), keys(0.9)), BASELINE, None),
    (row(score(0.45, high=0.47), score(0.6, low=0.49), keys(0.9)), BASELINE, None),
    (row(score(0.45, high=0.47), score(0.6, low=0.51), keys(0.9)), BASELINE, UNLINKED),
    (row(score(0.45, high=0.47), score(0.6, low=0.51, chance=None), keys(0.9)), BASELINE, UNLINKED),
    (row(score(0.45, high=0.47), score(0.6, low=0.55, chance=0.56), keys(0.9)), BASELINE, None),
    (row(score(0.3, 0.2, 0.6), score(0.4, 0.61, 0.63), keys(0.9)), BASELINE, None),
    (row(None, score(0.8), keys(0.9)), BASELINE, None),
    (CUT, like(BASELINE, content=content(None, score(0.97))), UNLINKED),
    # outlives: half of the keys, three quarters of the most that is shown, above chance
    (like(KEPT, worst=keys(0.45)), BASELINE, OUTLIVES),
    (like(KEPT, worst=keys(0.46)), BASELINE, None),
    (like(KEPT, content=content(score(0.87), score(0.6))), BASELINE, OUTLIVES),
    (like(KEPT, content=content(score(0.86), score(0.6))), BASELINE, None),
    (like(KEPT, content=content(score(0.6), score(0.9))), LABELS, OUTLIVES),
    (like(KEPT, content=content(None, score(0.9))), BASELINE, OUTLIVES),
    (like(KEPT, content=content(score(0.87), score(0.6))), like(BASELINE, content=content(score(0.6), score(1.0))), None),
    (like(KEPT, content=content(score(0.9, low=0.5), score(0.6))), BASELINE, None),
    (like(KEPT, content=content(score(0.9, low=0.51), score(0.6, low=0.4))), BASELINE, OUTLIVES),
    (like(KEPT, content=content(score(0.9, low=0.51, chance=None), score(0.6))), LABELS, OUTLIVES),
    (like(KEPT, content=content(score(0.9, low=0.5, chance=None), score(0.6))), LABELS, None),
    (like(KEPT, content=content(score(0.95, low=0.59, chance=0.6), score(0.6))), BASELINE, None),
    (like(KEPT, worst=keys(-0.6)), BASELINE, None),
    # faint: one image in twenty by keys, half of them by content, one reading above chance
    (like(DIM, worst=keys(0.6, 4)), BASELINE, FAINT),
    (like(DIM, worst=keys(0.6, 3)), BASELINE, None),
    (like(DIM, content=content(score(0.7, certified=16), score(0.6, certified=0))), BASELINE, FAINT),
    (like(DIM, content=content(score(0.7, certified=17), score(0.6, certified=0))), BASELINE, None),
    (like(DIM, content=content(score(0.7, certified=0), score(0.6, certified=17))), BASELINE, None),
    (like(DIM, content=content(score(0.7, low=0.5), score(0.6, low=0.51))), BASELINE, FAINT),
    (like(DIM, content=content(score(0.7, low=0.51), score(0.6, low=0.5))), BASELINE, FAINT),
    (like(DIM, content=content(score(0.7, low=0.5), score(0.6, low=0.5))), BASELINE, None),
    (like(DIM, content=content(None, score(0.6))), BASELINE, FAINT),
]  # fmt: skip


@pytest.mark.parametrize(("one", "baseline", "phrase"), CASES, ids=range(len(CASES)))
def test_a_row_gets_the_first_phrase_that_applies(one, baseline, phrase):
    assert disagreement(one, baseline) == phrase
