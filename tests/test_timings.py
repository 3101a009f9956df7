"""Timings: what cases took is kept beside the store, and tells the next plan what it will take."""

import json
from types import SimpleNamespace

import pytest
from record_samples import case, cost, failed, of_testbed

from solidmark.runner import timings
from solidmark.store import Store

RECORDS = [case(), case("agc(threshold=0.5)", 0.7, stage="training"), case("rna(share=0.5)", 0.6, stage="sampling")]
DURATIONS = {"digits-none-s0": 65.0, "digits-agc(threshold=0.5)-s0": 85.0, "digits-rna(share=0.5)-s0": 20.0}
"""Their trainings took 25 seconds each."""


def planned(family, weight=1.0, testbed="digits", seed=0):
    case = SimpleNamespace(seed=seed)
    return SimpleNamespace(testbed=testbed, family=family, weight=weight, case=case, leads=family == "none")


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    timings.learn(store, RECORDS, DURATIONS)
    return store


def test_a_training_stands_apart_from_the_rest_of_its_case(store):
    known = timings.read(store.root)["digits"]
    assert known.training == {"none": 25.0, "agc": 25.0}
    assert known.families == {"none": 40.0, "agc": 60.0, "rna": 20.0}


def test_a_plan_takes_the_sum_of_its_cases_an_unknown_one_as_long_as_the_mean(store):
    plan = [planned("none", 5.0), planned("rna"), planned("rna"), planned("new")]
    (line,) = timings.foretell(plan, store.root, lambda mine: 1_000_000 * len(mine))
    seconds = 65 + 20 + 20 + (40 + 60 + 20) / 3
    assert line.startswith(f"digits: about {seconds / 60:.0f} min of one worker with an empty store, 25 s of it trainings")
    assert line.endswith("4 MB of trained models, up to 1.0 GB of memory a worker")


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


def test_a_plan_without_the_baseline_trains_it_for_each_seed_all_the_same(store):
    rows = [planned("rna", seed=seed) for seed in (0, 0, 1)]
    (line,) = timings.foretell(rows, store.root, lambda mine: 0)
    assert line.startswith(f"digits: about {(3 * 20 + 2 * 25) / 60:.0f} min of one worker with an empty store, 50 s of it")
    (line,) = timings.foretell([*rows, planned("none", 5.0, seed=1)], store.root, lambda mine: 0)
    assert "50 s of it trainings" in line


def test_what_an_older_version_kept_is_read(store):
    found = json.loads((store.root / timings.FILE).read_text())
    (store.root / timings.FILE).write_text(json.dumps({"digits": {**found["digits"], "bytes": 3e6}}))
    assert timings.read(store.root)["digits"].families["rna"] == 20.0


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
