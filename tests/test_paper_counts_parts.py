"""Parts of the page of the paper's counts, each by itself: what follows from the tables stands in the committed page."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from scipy import stats
from solidmark.reports import paper_counts
from solidmark.reports.paper_counts_chance import Shares
from solidmark.reports.paper_counts_tables import AGAIN, CHANGED_IMAGES, DUPLICATES, UNMITIGATED, Run

from solidmark.metrics.scores import DELTAS

PAGE = (Path(__file__).parents[1] / "reports" / "paper_counts.md").read_text(encoding="utf-8")
WORDS = " ".join(PAGE.split())


@pytest.mark.parametrize(
    "part", ["_unmitigated levels", "_crowding crowding", "_mitigated mitigations", "_changed_images changed_images"]
)
def test_a_table_of_the_committed_page_is_what_the_counts_give(part):
    function, name = part.split()
    assert getattr(paper_counts, function)()[name] in PAGE


def test_the_numbers_between_the_tables_are_those_of_the_committed_page():
    found = paper_counts._unmitigated()
    assert f"has {found['excess']} more hits" in WORDS
    assert f"with N = {found['celeba']} and {found['scratch']}." in WORDS
    assert (
        f"correction for {len(found['counted'])} counts these are above chance at 5 %: {', '.join(found['above'])}." in WORDS
    )
    assert [(run.experiment, delta) for run, delta in found["counted"]] == [
        (e, d) for e in ("E1", "E2", "E7", "E9") for d in DELTAS
    ]
    crowding = paper_counts._crowding()
    assert f"The largest z of the {len(crowding['crowded'])} is {max(crowding['crowded']):.1f}" in WORDS
    within = [stats.norm.cdf(d / 0.05) - stats.norm.cdf(-d / 0.05) for d in DELTAS]
    assert crowding["remembered"] == pytest.approx([within[1] / within[0], within[2] / within[0]])


def test_effects_are_counted_and_compared_as_the_committed_page_says():
    found, changed = paper_counts._mitigated(), paper_counts._changed_images()
    largest = {
        name: f"{max(map(abs, values)):.2f}" for name, values in {**found, **changed}.items() if isinstance(values, list)
    }
    assert (len(found["effects"]), len(found["twice"]), len(changed["changes"])) == (12, 3, 63)
    effects, twice, changes, other = (largest[name] for name in ("effects", "twice", "changes", "other_changes"))
    assert f"of the 12 entries: **{effects}**. Largest of two identical baselines, among 3: **{twice}**" in WORDS
    assert f"of the 63 entries: **{changes}**; against the other baseline, E7, {other}." in WORDS
    assert f"would have a largest |z| of about {found['expected'](12)}." in WORDS


def test_sources_are_named_with_how_n_is_known():
    found = paper_counts._sources()
    assert f"outputs of {found['notebook']} of {found['repository']}" in WORDS
    assert len(found["numbers"]) == 4
    for names, known, basis in found["numbers"]:
        assert f"- {names}: N is {known}; {basis}." in PAGE


@pytest.mark.parametrize("delta", DELTAS)
def test_published_counts_of_duplicates_are_those_of_the_committed_page(delta):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| {delta} ") and "published" in line)
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == [str(delta), "published", *map(str, DUPLICATES.found[delta])]
    assert DUPLICATES.copies == tuple(range(2, 11))
    assert "50 images for each number of copies, every copy with a key of its own, 10 queries an image" in WORDS


def nulls(share, anything=0.5):
    return {copies: dict.fromkeys(DELTAS, Shares(anything, share)) for copies in DUPLICATES.copies}


def test_a_published_count_is_outside_beyond_the_central_range_and_not_on_its_edge(monkeypatch):
    low, high = stats.binom.interval(0.95, 50, 0.5)
    assert paper_counts._range(0.5) == (low, high) == (18, 32)
    found = {0.1: (17, 18, 32, 33, 34, 25, 25, 25, 25)}
    monkeypatch.setattr(paper_counts, "DUPLICATES", SimpleNamespace(copies=DUPLICATES.copies, found=found, images=50))
    assert paper_counts._outside(0.1, nulls(0.5)) == (2, 1)


def test_the_misfit_is_the_sum_of_squares_of_z(monkeypatch):
    found = {delta: (25 + n,) * 9 for n, delta in enumerate(DELTAS)}
    monkeypatch.setattr(paper_counts, "DUPLICATES", SimpleNamespace(copies=DUPLICATES.copies, found=found, images=50))
    assert paper_counts._misfit(nulls(0.5)) == pytest.approx(9 * (0 + 1 + 4) / 12.5)


def test_rows_of_duplicates_have_both_guessers_and_any_hit():
    rows = list(paper_counts._rows(nulls(0.5, 0.8), nulls(0.25)))
    assert len(rows) == 12
    assert rows[0][:2] == ["0.1", "published"]
    assert rows[1][:3] == ["", "first guesser", "25 [18, 32]"]
    low, high = map(int, stats.binom.interval(0.95, 50, 0.25))
    assert rows[2][:3] == ["", "second guesser", f"12 [{low}, {high}]"]
    assert rows[3][:3] == ["", "first guesser, any hit", "40"]
    assert {len(row) for row in rows} == {11}


def test_the_text_of_duplicates_counts_what_lies_outside(monkeypatch):
    given, wider = nulls(0.5), nulls(0.9)
    monkeypatch.setattr(paper_counts, "_nulls", lambda guesser: given if guesser is paper_counts.GIVEN else wider)
    found = paper_counts._duplicates()
    outside = [paper_counts._outside(delta, given) for delta in DELTAS]
    assert (found["over"], found["under"]) == tuple(map(sum, zip(*outside, strict=True)))
    assert (found["cells"], found["simulated"], found["given"].spread, found["wider"].spread) == (27, 10_000, 0.15, 0.3)
    assert found["misfit"] == [f"{paper_counts._misfit(null):.0f}" for null in (given, wider)]
    assert found["closed"] == [f"{50 * (1 - 0.8**copies):.0f}" for copies in (2, 10)]


def test_a_run_without_n_has_dashes_and_one_with_it_has_its_excess():
    unknown = Run("x", "y", (10, 5, 1), None, "unknown", "")
    assert paper_counts._level(unknown, 0.1) == ["x", "y", "0.1", "10", "unknown", "-", "0.1900, 0.2000", "-", "-", "-"]
    known = paper_counts._level(Run("x", "y", (30, 5, 1), 100, "stated", ""), 0.1)
    interval = stats.binomtest(30, 100).proportion_ci(method="exact")
    assert known[4:6] == ["100 (stated)", f"0.3000 [{interval.low:.4f}, {interval.high:.4f}]"]
    assert known[9] == f"10.00 [{100 * (interval.low - 0.2):.2f}, {100 * (interval.high - 0.2):.2f}]"
    assert paper_counts._at_chance(unknown) == "50 to 53"


def test_changed_images_are_four_thirteen_and_four_and_all_runs_have_their_basis():
    names = [run.experiment for run in CHANGED_IMAGES]
    assert [names.count(each) for each in ("E9", "E10", "E11")] == [4, 13, 4]
    assert {(run.images, run.known) for run in CHANGED_IMAGES} == {(5000, "implied")}
    assert [run.images for run in UNMITIGATED] == [10_000, 10_000, None, 5000, 5000, None]
    assert AGAIN.counts == (1085, 557, 68)
