"""The counts of the paper compared with chance: the page is what the tables give, checked with other libraries."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from solidmark.reports import paper_counts, paper_counts_chance, paper_counts_tables
from solidmark.reports.paper_counts_chance import Guesser, simulate
from solidmark.reports.paper_counts_tables import AGAIN, BASELINE, MITIGATED, PERCENT_CHANGES, UNMITIGATED
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportions_ztest

from solidmark.errors import InvalidValue
from solidmark.metrics.scores import DELTAS

PAGE = Path(__file__).parents[1] / "reports" / "paper_counts.md"


def simulated(guesser, copies=3, images=4000):
    return simulate(guesser, copies, 10, np.random.default_rng(0), images)


def test_the_committed_page_is_what_the_tables_give():
    assert PAGE.read_text(encoding="utf-8") == paper_counts.page()


def test_the_page_says_what_is_not_verified():
    page = paper_counts.page()
    assert "not checked\n  against the paper's PDF" in page.replace("**They are ", "")
    assert page.count("(implied)") == 12
    assert page.count("| unknown ") == 6


@pytest.mark.parametrize("delta", DELTAS)
def test_the_chance_levels_are_those_of_a_simulated_guess(delta):
    keys, guesses = np.random.default_rng(0).uniform(size=(2, 10**6))
    for hits, chance in (
        (abs(guesses - keys) <= delta, paper_counts_chance.uniform_chance(delta)),
        (abs(0.4 - keys) <= delta, paper_counts_chance.constant_chance(delta)),
    ):
        assert abs(hits.mean() - chance) < 4 * np.sqrt(chance / len(keys))


def test_printed_percent_changes_are_those_of_the_counts():
    for run, printed in zip(MITIGATED, PERCENT_CHANGES, strict=True):
        changes = [round(100 * run.count(d) / BASELINE.count(d) - 100, 2) for d in DELTAS]
        assert changes == pytest.approx(printed)


def test_z_of_two_runs_is_that_of_statsmodels():
    for run in (*MITIGATED, AGAIN):
        expected = [proportions_ztest([a, b], [5000, 5000])[0] for a, b in zip(run.counts, BASELINE.counts, strict=True)]
        assert paper_counts._between(run, BASELINE) == pytest.approx(expected)


def test_the_largest_effect_is_smaller_than_what_querying_twice_does():
    effects = [abs(z) for run in MITIGATED for z in paper_counts._between(run, BASELINE)]
    twice = [abs(z) for z in paper_counts._between(AGAIN, BASELINE)]
    assert (round(max(effects), 2), round(max(twice), 2)) == (1.17, 1.18)


def test_p_values_are_those_of_the_exact_binomial_test():
    for run in (run for run in UNMITIGATED if run.images):
        for delta in DELTAS:
            expected = stats.binomtest(run.count(delta), run.images, 2 * delta, alternative="greater").pvalue
            assert paper_counts._p(run, delta) == pytest.approx(expected)


def test_holm_is_that_of_statsmodels():
    p = [0.01, 0.04, 0.03, 0.005, 0.5]
    assert paper_counts_chance.holm(p) == pytest.approx(multipletests(p, method="holm")[1])


def test_the_largest_of_many_is_the_median_of_their_largest():
    drawn = np.abs(np.random.default_rng(0).normal(size=(20_000, 12))).max(axis=1)
    assert paper_counts_chance.largest_of(12) == pytest.approx(np.median(drawn), abs=0.02)


def test_crowding_is_within_chance_between_its_two_levels():
    run = paper_counts_tables.Run("x", "x", (1000, 505, 51), None, "unknown", "")
    assert [paper_counts_chance.crowding(run, delta).z for delta in DELTAS[1:]] == [0, 0]


def test_hits_of_a_model_that_remembers_crowd():
    run = paper_counts_tables.Run("x", "x", (1000, 715, 83), None, "unknown", "")
    assert min(paper_counts_chance.crowding(run, delta).z for delta in DELTAS[1:]) > 4


def test_one_gray_for_all_queries_hits_with_the_closed_probability():
    simulation = simulated(Guesser(0.05, 0.0), copies=3, images=40_000)
    for delta in DELTAS:
        closed = paper_counts_chance.nearest_of(3, delta)
        assert simulation[delta].any == pytest.approx(closed, abs=4 * np.sqrt(closed / 40_000))


def test_queries_that_all_hit_one_key_are_not_counted_as_found():
    assert {shares.counted for shares in simulated(Guesser(0.05, 0.0)).values()} == {0.0}


def test_found_by_chance_is_the_double_loop_of_its_definition():
    rng = np.random.default_rng(1)
    middle, noise, keys = rng.normal(0.5, 0.2, (50, 1)), rng.normal(0, 0.1, (50, 10)), rng.uniform(size=(50, 1, 4))
    painted, counted = np.clip(middle + noise, 0, 1), 0
    for row, own in zip(painted, keys[:, 0], strict=True):
        outcomes = {int(abs(own - p).argmin()) if abs(own - p).min() < 0.1 else -1 for p in row}
        counted += len(outcomes) > 1
    assert simulate(Guesser(0.2, 0.1), 4, 10, np.random.default_rng(1), 50)[0.1].counted == counted / 50


def test_more_copies_are_found_more_often_by_a_model_that_knows_nothing():
    shares = [simulated(paper_counts.GIVEN, copies)[0.05].counted for copies in (2, 5, 10)]
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]


def test_a_run_whose_n_is_unknown_has_no_share():
    with pytest.raises(InvalidValue, match="no N"):
        _ = UNMITIGATED[-1].n
