"""Timings: what cases took is kept beside the store, and tells the next plan what it will take."""

from types import SimpleNamespace

import pytest
from record_samples import case, cost, failed, of_testbed

from solidmark.runner import timings
from solidmark.store import Store

RECORDS = [case(), case("agc(threshold=0.5)", 0.7, stage="training"), case("rna(share=0.5)", 0.6, stage="sampling")]
DURATIONS = {"digits-none-s0": 65.0, "digits-agc(threshold=0.5)-s0": 85.0, "digits-rna(share=0.5)-s0": 20.0}
"""Their trainings took 25 seconds each."""


def planned(family, weight=1.0, testbed="digits"):
    return SimpleNamespace(testbed=testbed, family=family, weight=weight)


def unasked(mine):
    raise AssertionError("what was kept here tells how large models are")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    store.get(
        "trained model", {"seed": 0}, lambda at: (at / "w").write_bytes(bytes(3_000_000)), label="digits, none, seed 0"
    )
    store.get("trained model", {"seed": 1}, lambda at: (at / "w").write_bytes(bytes(1)), label="digits-quick, seed 0")
    timings.learn(store, RECORDS, DURATIONS)
    return store


def test_a_training_stands_apart_from_the_rest_of_its_case(store):
    known = timings.read(store.root)["digits"]
    assert known.training == {"none": 25.0, "agc": 25.0}
    assert known.families == {"none": 40.0, "agc": 60.0, "rna": 20.0}


def test_a_plan_takes_the_sum_of_its_cases_an_unknown_one_as_long_as_the_mean(store):
    plan = [planned("none", 5.0), planned("rna"), planned("rna"), planned("new")]
    (line,) = timings.foretell(plan, store.root, unasked)
    seconds = 65 + 20 + 20 + (40 + 60 + 20) / 3
    assert line.startswith(f"digits: about {seconds / 60:.0f} min of one worker with an empty store, 25 s of it trainings")
    assert line.endswith("3 MB of trained models, up to 1.0 GB of memory a worker")


def test_a_case_whose_model_was_in_the_store_is_no_shorter_for_it(store):
    timings.learn(store, RECORDS, {"digits-none-s0": 12.0})
    known = timings.read(store.root)["digits"]
    assert (known.families["none"], known.training["none"], known.families["rna"]) == (12.0, 25.0, 20.0)


def test_what_failed_has_no_training_that_could_be_told(tmp_path):
    store = Store(tmp_path / "store")
    timings.learn(store, [failed("agc"), case(cost=cost())], {"digits-agc-s0": 3.0})
    assert timings.read(store.root)["digits"].seconds("agc", trains=True) == 3.0


def test_nothing_is_foretold_of_a_testbed_that_was_never_timed(store):
    (store.root / timings.FILE).write_text("torn")
    assert timings.read(store.root) == {}
    (line,) = timings.foretell([planned("none", testbed="mnist")], store.root, lambda mine: 2_000_000 * len(mine))
    assert line == (
        "mnist: about 2 MB of trained models in the store, estimated from their weights; no case was timed here yet: a "
        "first run tells the next plan what it takes"
    )


@pytest.mark.parametrize(("peaks", "most"), [((7e9, 2e9), 7e9), ((2e9, 7e9), 7e9), ((None, 2e8), 2e8), ((None, None), 0.0)])
def test_memory_is_that_of_the_case_that_took_most(tmp_path, peaks, most):
    store = Store(tmp_path / "store")
    taken = [case("agc", seed=n, provenance={"peak_bytes": peak}) for n, peak in enumerate(peaks)]
    timings.learn(store, taken, {record["slug"]: 9.0 for record in taken})
    assert timings.read(store.root)["digits"].peak_bytes == most


def test_memory_of_earlier_runs_stays_and_a_case_that_was_not_run_teaches_nothing(store):
    less = {"provenance": {"peak_bytes": 5}}
    timings.learn(
        store, [case(**less), case("new", stage="sampling"), of_testbed()], {"digits-none-s0": 30.0, "digits-s0": 9.0}
    )
    known = timings.read(store.root)["digits"]
    assert (known.peak_bytes, known.families["none"], "new" in known.families) == (1e9, 5.0, False)


def test_the_size_of_a_model_is_the_mean_of_those_of_its_testbed_and_outlives_them(store):
    label = "digits, agc, seed 0"
    store.get("trained model", {"seed": 2}, lambda at: (at / "w").write_bytes(bytes(1_000_000)), label=label)
    store.get("responses", {"seed": 2}, lambda at: (at / "w").write_bytes(bytes(9_000_000)), label=label)
    timings.learn(store, RECORDS, DURATIONS)
    assert timings.read(store.root)["digits"].bytes == pytest.approx(2_000_000, rel=1e-3)
    store.collect(0, 0)
    timings.learn(store, RECORDS, DURATIONS)
    assert timings.read(store.root)["digits"].bytes == pytest.approx(2_000_000, rel=1e-3)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (89.4, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")]
)
def test_times_are_told_in_seconds_minutes_or_hours(seconds, text):
    assert timings._time(seconds) == text


@pytest.mark.parametrize(("count", "text"), [(2e6, "2 MB"), (9.99e8, "999 MB"), (1e9, "1.0 GB"), (2.56e9, "2.6 GB")])
def test_bytes_are_told_in_mega_or_giga(count, text):
    assert timings._bytes(count) == text


def test_where_no_model_was_kept_their_size_is_estimated(tmp_path):
    timings.learn(Store(tmp_path / "store"), [case(provenance={})], {"digits-none-s0": 65.0})
    (line,) = timings.foretell([planned("none")], tmp_path / "store", lambda mine: 5_000_000)
    assert line == "digits: about 40 s of one worker with an empty store, 0 s of it trainings, 5 MB of trained models"
    (line,) = timings.foretell([planned("none", 5.0)], tmp_path / "store", lambda mine: 0)
    assert line.startswith("digits: about 65 s")
