"""The words of a report, exactly: counts, days, environments, packages, commits, figures of the baseline."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
from record_samples import case, failed, scored, utility
from solidmark.reports import prose

from solidmark.leaderboard import build_leaderboard


def toy(**facts):
    """A board without rows, of one day, without provenance."""
    given = {
        "rows": (),
        "measured": ("2026-11-26T10:00:00Z",) * 2,
        "provenance": {},
        "runs": (),
        "benchmark_version": 1,
        **facts,
    }
    return SimpleNamespace(**given)


def told(**facts):
    return dict(prose.provenance(toy(**facts)))


def test_what_is_not_recorded_is_unknown():
    found = told(measured=("", ""), benchmark_version=None)
    names = ["benchmark version", "measured", "environment", "commit", "profile", "command", "machine", "packages"]
    assert found == dict.fromkeys(names, "unknown")


def test_what_is_recorded_is_told():
    machine = {"python": "3.11", "system": "Linux"}
    run = {"profile": "full", "arguments": ["pytest", "-n", "2"], "machine": machine, "code": {"commit": "abc"}}
    found = told(provenance={**run, "packages": {"other": "0", "torch": "2", "solidmark": "1"}})
    assert found == {
        "benchmark version": "1", "measured": "2026-11-26T10:00:00Z", "environment": "unknown", "commit": "abc",
        "profile": "full", "command": "pytest -n 2", "machine": "python 3.11, system Linux",
        "packages": "solidmark 1, torch 2",
    }  # fmt: skip
    assert told(measured=("a", "b"))["measured"] == "a to b"


def test_what_a_profile_leaves_out_is_told_with_the_reason():
    found = told(provenance={"left_out": {"controls": ["ema", "dedup"], "at home on x": ["dp-sgd"]}})["left out"]
    assert found == "ema, dedup (controls); dp-sgd (at home on x); `--mitigation NAME` measures one"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (None, "unknown"),
        ({"commit": None}, "unknown"),
        ({"commit": None, "reason": "no git"}, "no git"),
        ({"commit": "abc", "dirty": False}, "abc"),
        ({"commit": "abc", "dirty": True}, "abc, with changes that were not committed"),
    ],
)
def test_a_commit_is_told_with_what_was_not_committed(code, words):
    assert prose._commit(code) == words


@pytest.mark.parametrize(
    ("environments", "words"),
    [
        ([], "unknown"),
        (["cpu", "cpu"], "cpu"),
        (["gpu", "cpu"], "cpu, gpu (do not compare rows of different environments pair by pair)"),
    ],
)
def test_several_environments_come_with_a_warning(environments, words):
    assert prose.environments(toy(rows=[SimpleNamespace(environments=[one]) for one in environments])) == words


@pytest.mark.parametrize(
    ("statuses", "words"),
    [
        (["ok"], "1 row, all controls passed"),
        (["ok", "ok"], "2 rows, all controls passed"),
        (["failed_check", "ok", "error", "failed_check"], "4 rows, 3 of them without numbers (2 failed check, 1 error)"),
    ],
)
def test_rows_are_counted_with_those_without_numbers(statuses, words):
    assert prose.counts(toy(rows=[SimpleNamespace(status=one, ok=one == "ok") for one in statuses])) == words


@pytest.mark.parametrize(
    ("days", "when"),
    [
        (("2026-01-01T1", "2026-01-01T2"), ", measured 2026-01-01"),
        (("2026-01-01T1", "2026-01-03T2"), ", measured 2026-01-01 to 2026-01-03"),
        (("", ""), ""),
    ],
)
def test_the_lede_has_the_days(days, when):
    assert prose.lede(toy(measured=days, testbeds=(), findings=())).endswith(f"it has memorized. {when}.")


def test_the_lede_has_rows_and_testbeds():
    beds = [SimpleNamespace(title=name) for name in ("digits", "faces")]
    row = SimpleNamespace(status="ok", ok=True)
    many = prose.lede(toy(rows=[row] * 2, testbeds=beds, findings=(), measured=("", "")))
    assert many.endswith("it has memorized. 2 rows, all controls passed, on testbeds digits and faces.")
    assert prose.lede(toy(rows=[row], testbeds=beds[:1], findings=(), measured=("", ""))).endswith(
        "passed, on testbed digits."
    )


@pytest.mark.parametrize(("text", "shown"), [("", ""), ("a Bc", "A Bc"), ("éA", "ÉA")])
def test_a_sentence_begins_with_a_capital(text, shown):
    assert prose.sentence(text) == shown


def board(*more, **baseline):
    made = build_leaderboard([case(**baseline), *more])
    return made, made.testbeds[0]


TWO = {"outpaint": scored(0.88), "average": scored(0.5)}


def test_the_baseline_is_told_in_a_sentence():
    lead = "baseline: M 0.88 [0.86, 0.90] where chance gives 0, 56 of 64 images certified memorized where chance gives 0, "
    assert prose.headline(*board()).startswith(f"{lead}17.6 [16.6, 18.6] bits of keys leaked an image")
    assert "in the worst case" not in prose.headline(*board())
    assert "; in the worst case over 2 queries M* 0.88 [" in prose.headline(*board(queries=TWO))


def test_the_baseline_is_told_in_figures():
    one, two = (prose.stats(*board(**given)) for given in ({}, {"queries": TWO}))
    assert one == [
        ("memorization M", "0.88", "0.86 to 0.90; chance 0"),
        ("certified memorized", "56 of 64", "images; chance 0"),
        ("leaked an image", "17.6 bits", "16.6 to 18.6; chance 0"),
        ("privacy loss ε̂", "≥ 13.0", "with 95 % probability; chance 0"),
        ("power of the query", "1.00", "M of a perfect memorizer; ideal 1"),
    ]
    assert [name for name, *_ in two if name not in dict.fromkeys(name for name, *_ in one)] == ["M*, worst of 2 queries"]


def test_without_a_baseline_the_reason_is_told_and_there_are_no_figures():
    gone = build_leaderboard([failed("none", reason="no room", stage="none"), case("rna", stage="sampling")])
    assert "the baseline has no numbers (error: seed 0: no room), so" in prose.headline(gone, gone.testbeds[0])
    assert prose.stats(gone, gone.testbeds[0]) == []
    other = build_leaderboard([case("rna", stage="sampling")])
    assert "(it is not among the records)" in prose.headline(other, other.testbeds[0])


def test_rows_that_are_still_certified_are_counted_without_the_baseline():
    assert prose.certified_rows(*board()) == "No mitigation has numbers"
    rows = [case("a", 0.5, stage="sampling"), case("b", 0.0, stage="sampling"), failed("c", reason="x")]
    assert prose.certified_rows(*board(*rows)) == "In 1 of 2 mitigated rows images are still certified"
    starred = [case("a", 0.5, stage="sampling", queries=TWO), case("b", 0.0, stage="sampling")]
    assert prose.certified_rows(*board(*starred)).endswith("; in the worst case over queries, in 1 of 1")


def test_sizes_of_a_testbed_have_images_keys_and_seeds():
    made = build_leaderboard([case(seed=seed) for seed in (0, 1, 2, 5)])
    words = "64 trained and 256 held-out images a seed, 8 keys an image; seeds 0-2, 5"
    assert prose.sizes(made, made.testbeds[0]) == words
    gone = build_leaderboard([failed("none", reason="x", stage="none")])
    assert prose.sizes(gone, gone.testbeds[0]) == "seeds 0"


def test_a_utility_is_told_number_by_number():
    made, _ = board(utility=utility(164))
    found = prose._utility(made.rows[0].utility)
    assert found["Fréchet"] == "2.90 (real 0.60)"
    assert found["diversity"].endswith("(real 0.93)")
    assert found["accuracy"].startswith("0.64 [")
    assert prose._utility(replace(made.rows[0].utility, accuracy=None))["accuracy"] == f"–: {prose.NO_CLASS}"


def test_sources_are_listed_once_a_family_in_order():
    rows = [
        SimpleNamespace(family=name, reference=source) for name, source in (("b", "B"), ("a", "A"), ("b", "B"), ("c", ""))
    ]
    assert prose.references(rows) == [("a", "A"), ("b", "B")]


@pytest.mark.parametrize(("m", "words"), [(None, f"–: {prose.NO_POWER}"), (0.5, "0.50 [0.40, 0.60]")])
def test_power_is_told_query_by_query(m, words):
    estimate = None if m is None else prose.Estimate(m, m - 0.1, m + 0.1)
    assert prose.power(SimpleNamespace(power={"outpaint": estimate})) == [("outpaint", words)]
    assert prose.power(SimpleNamespace(power=None)) == []


def test_rows_without_content_are_said_to_be_judged_by_keys_alone():
    keys, both = SimpleNamespace(content=None), SimpleNamespace(content=1)
    assert prose.principles(toy(rows=[keys, keys]))[-1] == prose.KEYS_ONLY == prose.principles(toy())[-1]
    assert prose.principles(toy(rows=[keys, both]))[len(prose.PRINCIPLES)] == prose.TWO_YARDSTICKS
