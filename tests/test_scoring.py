"""Scoring: which numbers the block of a query has, and that they are those of the scores."""

import json

import numpy as np

from solidmark.metrics import scores, scoring
from solidmark.schema.numbers import Estimate


def world(count, recall=0.0, seed=0):
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(count, 8))
    return recall * keys + (1 - recall) * rng.uniform(size=keys.shape), keys


def test_a_query_has_every_score_with_its_chance():
    scored = scoring.query(*world(64, 0.6), *world(128, seed=1), seed=0)
    names = "memorization certified avoided false_discovery_rate leaked_bits epsilon within auroc tpr_at_1_fpr permutation_p"
    assert list(scored) == names.split()
    assert (scored["memorization"]["chance"], scored["leaked_bits"]["chance"], scored["auroc"]["chance"]) == (0, 0, 0.5)
    assert all(share["chance"] > 0 for share in [scored["tpr_at_1_fpr"], *scored["within"].values()])


def test_the_privacy_loss_is_taken_at_the_delta_that_is_claimed():
    (predictions, keys), held_out = world(64, 1.0), world(64, seed=1)
    bound = scoring.query(predictions, keys, *held_out, seed=0, delta=0.01)["epsilon"]
    p = scores.combine(scores.p_values(predictions, keys))
    assert (bound["low"], bound["delta"]) == (scores.epsilon(p, delta=0.01), 0.01)
    assert bound["low"] < scores.epsilon(p)


def test_a_query_s_numbers_are_those_of_the_scores():
    (predictions, keys), held_out = world(64, 0.6), world(128, seed=1)
    scored, each = scoring.query(predictions, keys, *held_out, seed=0), scores.p_values(predictions, keys)
    p, mirrored = scores.combine(each), scores.combine(1 - each)
    assert scored["memorization"]["value"] == scores.memorization(predictions, keys).value
    assert scored["certified"]["count"] == scores.certified(p, 0.025).sum()
    assert scored["avoided"]["count"] == scores.certified(mirrored, 0.025).sum()
    assert scored["epsilon"]["low"] == scores.epsilon(p)
    far = abs(np.subtract(*held_out)).mean(axis=1)
    assert scored["auroc"]["value"] == scores.auroc(abs(predictions - keys).mean(axis=1), far).value


def test_where_nothing_is_known_any_certificate_near_or_far_is_rare():
    """At 5 % each, 8 to 12 % of these runs had one."""
    blocks = [scoring.query(*world(16, seed=run), *world(4, seed=1), seed=0) for run in range(300)]
    found = [block["certified"]["count"] + block["avoided"]["count"] > 0 for block in blocks]
    assert np.mean(found) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 300)


def test_one_seed_gives_one_block():
    first, again = (scoring.query(*world(64, 0.1), *world(64, seed=1), seed=3) for _ in range(2))
    assert first == again


def test_a_block_is_plain_json_without_nan():
    scored = scoring.query(*world(64, 1.0), *world(64, seed=1), seed=0)
    assert json.loads(json.dumps(scored, allow_nan=False)) == scored


def test_estimates_and_shares_become_the_fields_of_a_record():
    assert scoring.interval(Estimate(1.0, 0.5, 1.5, 0.1)) == {"value": 1.0, "low": 0.5, "high": 1.5}
    share = scoring.share(scores.proportion(3, 4, chance=0.25))
    assert list(share) == ["count", "of", "low", "high", "chance"]
    assert (share["count"], share["of"], share["chance"]) == (3, 4, 0.25)
