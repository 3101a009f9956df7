"""Numbers of the table against the records: each field of the data file, from records in which no two numbers are equal."""

from __future__ import annotations

import copy
import csv
import io
import random
import statistics

import pytest
from record_samples import case, negative, scored, share
from scipy import stats
from solidmark.reports import as_csv

from solidmark.leaderboard import build_leaderboard

QUERIES = {"outpaint": scored(0.5), "likelihood": {**scored(0.7), "access": "white-box"}}


def separation(auroc):
    area = {"value": auroc, "low": auroc - 0.1, "high": auroc + 0.1, "chance": 0.5}
    return {"auroc": area, "images": 64, "permutation_p": 0.25, "certified": share(9, 64), "least": 10}


def sample(seed):
    """A record with every block, its numbers moved at random so that no two are equal."""
    loss = {"value": 0.2, "low": 0.1, "high": 0.3, "error": 0.01, "images": 256}
    work = {"forward": 900, "backward": 90, "seconds": 4.0, "images": 320}
    content = {"own": separation(0.7), "any": separation(0.6), "evaluations": work, "shared": False}
    reported = {"training": {"x": {"epsilon": 9.0, "delta": 1e-5}}, "editing": {}, "sampling": {}}
    more = {"content": content, "denoising_loss": {"held_out": loss, "trained": {**loss}}, "reported": reported}
    record = case("x(a=1)", 0.5, seed, "training+sampling", queries=copy.deepcopy(QUERIES), **copy.deepcopy(more))
    record["queries"]["outpaint"]["retained"] = scored(0.3)
    record["worst"] = {name: scored(0.6)[name] for name in ("memorization", "certified", "epsilon")} | CHOSEN
    record["worst_service"] = {name: scored(0.4)[name] for name in ("memorization", "certified", "epsilon")} | CHOSEN
    record["controls"]["other_keys"] = negative(0.004, 0.02, 64)
    record = copy.deepcopy(record)  # its solver is that of all samples
    moved({name: block for name, block in record.items() if name != "solver"}, random.Random(seed))
    return record


CHOSEN = {"chosen": {"outpaint": 0.4, "likelihood": 0.6}, "queries": 2}
KEPT = ("seed", "order", "images", "schema", "benchmark_version", "chance", "queries", "keys", "confidence", "delta", "of")


def moved(block, rng):
    """Move each number a little, in place: counts stay below their wholes."""
    for name, value in block.items() if isinstance(block, dict) else enumerate(block):
        if isinstance(value, dict | list):
            moved(value, rng)
        elif type(value) is float and name not in KEPT:
            block[name] = value * rng.uniform(0.9, 1.0)
        elif type(value) is int and name not in KEPT:
            block[name] = rng.randint(1, block["of"] - 1) if name == "count" else value + rng.randint(1, 999)


@pytest.fixture(scope="module")
def records():
    return [sample(seed) for seed in (0, 1)]


@pytest.fixture(scope="module")
def row(records):
    """The fields of the row in the data file."""
    board = build_leaderboard([*(case(m=0.9, seed=seed, queries=copy.deepcopy(QUERIES)) for seed in (0, 1)), *records])
    (found,) = [line for line in csv.DictReader(io.StringIO(as_csv.render(board, []))) if line["family"] == "x"]
    return found


def at(record, path):
    """What lies at `a.b.c` of a record."""
    for name in path.split("/"):
        record = record[name]
    return record


LEAD = "queries/outpaint"
MEANS = {
    "memorization": f"{LEAD}/memorization/value",
    "worst_memorization": "worst/memorization/value",
    "service_memorization": "worst_service/memorization/value",
    "memorization_likelihood": "queries/likelihood/memorization/value",
    "memorization_retained": f"{LEAD}/retained/memorization/value",
    "auroc": f"{LEAD}/auroc/value",
    "leaked_bits": f"{LEAD}/leaked_bits/value",
    "held_out": "controls/held_out/memorization/value",
    "other_keys": "controls/other_keys/memorization/value",
    "power": "controls/power/value",
    "spread": "controls/mark_valid/spread",
    "unevenness": "controls/mark_valid/unevenness",
    "content_own_auroc": "content/own/auroc/value",
    "content_any_auroc": "content/any/auroc/value",
    "frechet": "utility/frechet/value",
    "frechet_real": "utility/frechet/real",
    "kernel": "utility/kernel/value",
    "kernel_real": "utility/kernel/real",
    "diversity_real": "utility/diversity_real",
    "denoising_loss": "denoising_loss/held_out/value",
    "denoising_loss_trained": "denoising_loss/trained/value",
    "training_forward": "cost/training/forward",
    "training_backward": "cost/training/backward",
    "editing_forward": "cost/editing/forward",
    "editing_backward": "cost/editing/backward",
}
COUNTS = {
    "certified": f"{LEAD}/certified",
    "worst_certified": "worst/certified",
    "avoided": f"{LEAD}/avoided",
    "tpr_at_1_fpr": f"{LEAD}/tpr_at_1_fpr",
    "within_0.1": f"{LEAD}/within/0.1",
    "within_0.05": f"{LEAD}/within/0.05",
    "within_0.005": f"{LEAD}/within/0.005",
    "held_out_certified": "controls/held_out/certified",
    "content_own_certified": "content/own/certified",
    "content_any_certified": "content/any/certified",
    "accuracy": "utility/accuracy",
    "diversity": "utility/diversity",
}
ENDS = {
    "epsilon_low": (min, f"{LEAD}/epsilon/low"),
    "worst_epsilon_low": (min, "worst/epsilon/low"),
    "content_own_permutation_p": (max, "content/own/permutation_p"),
    "content_any_permutation_p": (max, "content/any/permutation_p"),
    "peak_bytes": (max, "provenance/peak_bytes"),
}


@pytest.mark.parametrize("field", MEANS)
def test_a_number_is_the_mean_over_seeds_of_its_own_field(row, records, field):
    assert float(row[field]) == pytest.approx(statistics.mean(at(record, MEANS[field]) for record in records))


@pytest.mark.parametrize("field", COUNTS)
def test_a_share_has_the_counts_of_all_seeds_of_its_own_field(row, records, field):
    blocks = [at(record, COUNTS[field]) for record in records]
    count, of = (sum(block[name] for block in blocks) for name in ("count", "of"))
    assert (int(row[f"{field}_count"]), int(row[f"{field}_of"])) == (count, of)
    assert float(row[field]) == pytest.approx(count / of)
    assert float(row[f"{field}_chance"]) == pytest.approx(statistics.mean(block["chance"] for block in blocks))
    limits = stats.binomtest(count, of).proportion_ci(method="exact")  # several seeds make it no narrower
    assert field.startswith("within") or float(row[f"{field}_low"]) <= limits.low < count / of
    assert field.startswith("within") or count / of < limits.high <= float(row[f"{field}_high"])


@pytest.mark.parametrize("field", ENDS)
def test_a_bound_is_that_of_the_seed_that_shows_least(row, records, field):
    end, path = ENDS[field]
    values = [at(record, path) for record in records]
    assert float(row[field]) == pytest.approx(end(values))
    assert min(values) < max(values)


def test_no_two_of_the_compared_numbers_are_equal(row):
    """So a column that read another's field would be noticed."""
    fields = [*MEANS, *ENDS]
    assert [field for field in fields if [row[other] for other in fields].count(row[field]) > 1] == []


def test_costs_are_divided_by_images_and_by_the_baseline(row, records):
    work = [record["cost"]["sampling"] for record in records]
    images = statistics.mean(one["images"] for one in work)
    for name, field in (("sampling_forward", "forward"), ("sampling_backward", "backward"), ("sampling_seconds", "seconds")):
        assert float(row[name]) == pytest.approx(statistics.mean(one[field] for one in work) / images)
    trained = [record["cost"][part] for record in records for part in ("training", "editing")]
    assert float(row["train_seconds"]) == pytest.approx(sum(one["seconds"] for one in trained) / 2)
    evaluations = sum(one["forward"] + one["backward"] for one in trained) / 2
    assert float(row["training_relative"]) == pytest.approx(evaluations / (2 * 19200))
    sampled = statistics.mean(one["forward"] + one["backward"] for one in work) / images
    assert float(row["sampling_relative"]) == pytest.approx(sampled / (12800 / 256))


def test_a_claimed_epsilon_has_its_delta(row, records):
    claims = [record["reported"]["training"]["x"] for record in records]
    assert float(row["claimed_epsilon"]) in [pytest.approx(claim["epsilon"]) for claim in claims]
    assert float(row["claimed_epsilon_delta"]) == 1e-5


def test_chance_stands_beside_what_has_one(row):
    chances = {"memorization": 0.0, "worst_memorization": 0.0, "auroc": 0.5, "content_own_auroc": 0.5, "leaked_bits": 0.0}
    assert {field: float(row[f"{field}_chance"]) for field in chances} == chances
    assert float(row["epsilon_confidence"]) == float(row["worst_epsilon_confidence"]) == 0.95
