"""Each column of `leaderboard.csv` against the numbers of the records, by a table that says which number and how over seeds.

Two seeds whose numbers all differ, so that no column can show its neighbour's.
"""

import csv
import io
import random
from functools import reduce
from pathlib import Path

import numpy as np
import pytest
from record_samples import case, content, cost, estimate, scored, share
from solidmark.reports import as_csv

from solidmark.leaderboard import build_leaderboard

COUNTS = """
certified queries.outpaint.certified
worst_certified worst.certified
tpr_at_1_fpr queries.outpaint.tpr_at_1_fpr
avoided queries.outpaint.avoided
within_0.1 queries.outpaint.within.0.1
within_0.05 queries.outpaint.within.0.05
within_0.005 queries.outpaint.within.0.005
content_own_certified content.own.certified
content_any_certified content.any.certified
held_out_certified controls.held_out.certified
accuracy utility.accuracy
accuracy_1 utility.ways.fresh captions.accuracy
diversity utility.diversity
"""
"""Columns of shares: counts are summed over seeds."""
MEANS = """
memorization queries.outpaint.memorization
memorization_average queries.average.memorization
memorization_retained queries.outpaint.retained.memorization
worst_memorization worst.memorization
service_memorization worst_service.memorization
auroc queries.outpaint.auroc
leaked_bits queries.outpaint.leaked_bits
stock_difference pipeline.stock.difference
content_own_auroc content.own.auroc
content_any_auroc content.any.auroc
content_block_auroc content.block.auroc
content_l2_own_auroc content.distances.l2.own.auroc
content_l2_any_auroc content.distances.l2.any.auroc
held_out controls.held_out.memorization
other_keys controls.other_keys.memorization
autoencoder_ceiling space.ceiling
"""
"""Columns of a mean over seeds, with its interval and chance level."""
NUMBERS = """
epsilon_low min queries.outpaint.epsilon.low
worst_epsilon_low min worst.epsilon.low
claimed_epsilon max reported.training.dp.epsilon
content_own_permutation_p max content.own.permutation_p
content_any_permutation_p max content.any.permutation_p
content_block_auroc_permutation_p max content.block.permutation_p
content_l2_own_auroc_permutation_p max content.distances.l2.own.permutation_p
content_l2_any_auroc_permutation_p max content.distances.l2.any.permutation_p
content_block_auroc_certified_count sum content.block.certified.count
content_l2_own_auroc_certified_of sum content.distances.l2.own.certified.of
content_map mean content.map.trained.value
content_map_held_out mean content.map.held_out.value
content_map_tile max content.map.tile
content_own_certified_least max content.own.least
content_any_certified_least max content.any.least
denoising_loss mean denoising_loss.held_out.value
denoising_loss_trained mean denoising_loss.trained.value
frechet mean utility.frechet.value
frechet_real mean utility.frechet.real
kernel mean utility.kernel.value
kernel_real mean utility.kernel.real
diversity_real mean utility.diversity_real
clip mean utility.clip.value
clip_real mean utility.clip.real
power mean controls.power.value
spread mean controls.mark_valid.spread
unevenness mean controls.mark_valid.unevenness
autoencoder_error mean space.key_error
autoencoder_bias mean space.bias
autoencoder_seconds mean space.training.seconds
training_forward mean cost.training.forward
training_backward mean cost.training.backward
training_encoded mean cost.training.encoded
training_decoded mean cost.training.decoded
editing_forward mean cost.editing.forward
editing_backward mean cost.editing.backward
editing_encoded mean cost.editing.encoded
editing_decoded mean cost.editing.decoded
peak_bytes max provenance.peak_bytes
"""
"""Columns of one number, and what it is of both seeds'."""
AN_IMAGE = {"sampling_forward": "forward", "sampling_encoded": "encoded", "sampling_decoded": "decoded"}
AN_IMAGE |= {"sampling_backward": "backward", "sampling_seconds": "seconds"}
MEASURED = "queries worst worst_service controls utility cost content space reported denoising_loss pipeline".split()
DECIDE = {"valid", "active", "sound", "tile", "chance", "keys", "batch", "epsilon_delta", "delta", "confidence", "queries"}


def stirred(value, rng):
    """A block whose numbers are all other ones; those that have to agree between seeds stay."""
    if isinstance(value, dict):
        return {
            name: each if name in DECIDE and not isinstance(each, dict) else stirred(each, rng)
            for name, each in value.items()
        }
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value + rng.randrange(1, 9) if isinstance(value, int) else value * rng.uniform(0.8, 0.99)


def record(seed):
    """A record with every block there is."""
    area = {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8, "chance": 0.5}, "images": 64}
    score = {**area, "permutation_p": 0.001, "certified": share(30, 64), "least": 10}
    tiles, part = {"value": 0.6, "low": 0.5, "high": 0.7}, {"own": score, "any": score}
    mapped = {"tile": 4, "picture": "own", "trained": tiles, "held_out": tiles, "images": 64, "held_out_images": 256}
    mapped["held_out_among"] = "half"
    images = {"forward": 100, "backward": 50, "seconds": 2.5, "images": 64, "encoded": 30, "decoded": 40}
    refused = {"trained": {"count": 40, "of": 64}, "held_out": {"count": 22, "of": 64}}
    sampling = {"refused": {"generated": {"count": 30, "of": 64}, "queries": {"outpaint": refused}}}
    identity = {"pipeline": "Theirs", "stock": "Stock", "call": "wen", "scheduler": "DDIM"}
    both = {"memorization": estimate(0.8), "difference": estimate(-0.3, 0.02)}
    made = case(
        "x(a=1)",
        seed=seed,
        stage="sampling",
        queries={"outpaint": {**scored(0.5), "retained": scored(0.3)}, "average": scored(0.4)},
        content={**content(0.9, 0.8), "map": mapped, "distances": {"l2": part}, "block": score},
        space={
            "factor": 4,
            "key_error": 0.01,
            "bias": 0.001,
            "ceiling": estimate(0.9),
            "training": images,
            "shipped": False,
        },
        reported={"training": {"dp": {"epsilon": 3.0, "delta": 1e-5}}, "sampling": sampling},
        denoising_loss={part: {"value": 0.2, "error": 0.01, "images": 64} for part in ("trained", "held_out")},
        pipeline={"identity": identity, "batch": 1, "warnings": ["one"], "stock": both},
        cost={part: {**work, "encoded": 50, "decoded": 70} for part, work in cost().items()},
        fidelity="B",
    )
    rng = random.Random(seed)
    measured = {name: stirred(made[name], rng) for name in MEASURED}
    measured["utility"]["clip"] = {"value": 24.0 + seed, "real": 27.0 + seed}
    return {**made, **measured, "provenance": {**made["provenance"], "peak_bytes": 10**9 + 7 * seed}}


@pytest.fixture(scope="module")
def records():
    return [record(0), record(1)]


@pytest.fixture(scope="module")
def row(records):
    """The line of the file."""
    (_, line) = csv.DictReader(io.StringIO(as_csv.render(build_leaderboard([case(), case(seed=1), *records]), [])))
    return line


def each(records, path):
    """The number at a path in each record; a part such as `0.1` has a point of its own."""
    parts = path.replace("within.0.", "within.0_").split(".")
    return [reduce(lambda block, name: block[name.replace("0_", "0.")], parts, one) for one in records]


def lines(text):
    return [line.partition(" ")[::2] for line in text.strip().splitlines()]


@pytest.mark.parametrize(("name", "path"), lines(COUNTS))
def test_a_share_is_of_the_counts_of_both_seeds(records, row, name, path):
    count, of = (sum(each(records, f"{path}.{part}")) for part in ("count", "of"))
    assert (row[f"{name}_count"], row[f"{name}_of"]) == (str(count), str(of))
    assert float(row[name]) == pytest.approx(count / of)
    assert float(row[f"{name}_chance"]) == pytest.approx(np.mean(each(records, f"{path}.chance")))
    assert float(row[f"{name}_low"]) <= count / of <= float(row[f"{name}_high"])


@pytest.mark.parametrize(("name", "path"), lines(MEANS))
def test_a_mean_is_that_of_both_seeds_with_an_interval_round_it(records, row, name, path):
    assert float(row[name]) == pytest.approx(np.mean(each(records, f"{path}.value")))
    assert float(row[f"{name}_chance"]) == pytest.approx(each(records, f"{path}.chance")[0])
    assert float(row[f"{name}_low"]) < float(row[name]) < float(row[f"{name}_high"])


@pytest.mark.parametrize(("name", "rule"), lines(NUMBERS))
def test_a_number_is_what_its_rule_makes_of_both_seeds(records, row, name, rule):
    how, _, path = rule.partition(" ")
    assert float(row[name]) == pytest.approx(getattr(np, how)(each(records, path)))


@pytest.mark.parametrize(("name", "part"), AN_IMAGE.items())
def test_work_of_sampling_is_told_for_an_image(records, row, name, part):
    mean, images = (np.mean(each(records, f"cost.sampling.{which}")) for which in (part, "images"))
    assert float(row[name]) == pytest.approx(mean / images)


def test_seconds_of_training_and_editing_are_one_number(records, row):
    parts = [np.mean(each(records, f"cost.{part}.seconds")) for part in ("training", "editing")]
    assert float(row["train_seconds"]) == pytest.approx(sum(parts))


def test_work_is_told_relative_to_the_baselines(records, row):
    whole = {part: np.mean(each(records, f"cost.{part}.forward")) for part in ("training", "editing", "sampling")}
    whole = {part: work + np.mean(each(records, f"cost.{part}.backward")) for part, work in whole.items()}
    assert float(row["training_relative"]) == pytest.approx((whole["training"] + whole["editing"]) / 38400)
    images = np.mean(each(records, "cost.sampling.images"))
    assert float(row["sampling_relative"]) == pytest.approx(whole["sampling"] / images / 50)


def test_refusals_are_shares_of_all_that_were_asked(records, row):
    service = "reported.sampling.refused"
    places = {"": "queries.outpaint.trained", "_held_out": "queries.outpaint.held_out", "_fresh": "generated"}
    for end, place in places.items():
        count, of = (sum(each(records, f"{service}.{place}.{part}")) for part in ("count", "of"))
        assert float(row[f"refused{end}"]) == pytest.approx(count / of)


def test_words_stand_in_their_columns(row):
    told = {"benchmark_version": "1", "family": "x", "testbed": "digits", "mitigation": "x(a=1)", "stage": "sampling"}
    told |= {"fidelity": "B", "needs": "", "seeds": "0, 1", "status": "ok", "control": "no", "reason": ""}
    told |= {"protocol": "fast: steps 25, eta 1.0, guidance 3.0", "pipeline": "Theirs, call wen, DDIM"}
    told |= {"pipeline_warnings": "one", "environment": "cpu-torch2.13.0-float32", "epsilon_confidence": "0.95"}
    assert {name: row[name] for name in told} == told


KEPT = Path(__file__).with_name("row.txt")


def leaves(value, path=""):
    """Path and value of everything in a row of `leaderboard.json`, numbers to six digits."""
    if isinstance(value, dict | list) and value:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return [leaf for name, part in parts for leaf in leaves(part, f"{path}/{name}")]
    return [f"{path} {value:.6g}" if isinstance(value, float) else f"{path} {value!r}"]


def row_in_json(records):
    return leaves(build_leaderboard([case(), case(seed=1), *records]).to_json()["rows"][1])


def test_the_row_in_json_changes_on_purpose_alone(records):
    """`python tests/test_each_column.py` writes `row.txt` anew. What is new in a row is no fault."""
    assert sorted(set(KEPT.read_text().splitlines()) - set(row_in_json(records))) == []


if __name__ == "__main__":
    KEPT.write_text("\n".join(row_in_json([record(0), record(1)])) + "\n")
