"""The worst case over queries: exact where one query is asked, honest where many compete."""

import json

import numpy as np
import pytest

from solidmark import assess, scores, worst


def world(queries=3, count=64, recall=0.0, seed=0):
    """Keys, and predictions of queries that are the key with weight `recall` (one for each) and a guess with the rest."""
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(count, 8))
    weight = np.broadcast_to(np.asarray(recall, dtype=float), queries)[:, None, None]
    return weight * keys + (1 - weight) * rng.uniform(size=(queries, count, 8)), keys


@pytest.mark.parametrize("count", [2, 3, 64, 65])
def test_halves_differ_by_at_most_one_image(count):
    half = worst.halves(count, np.random.default_rng(0))
    assert half.shape == (count,)
    assert abs(int(half.sum()) - int((~half).sum())) <= 1


def test_one_query_is_its_own_worst_case():
    predictions, keys = world(queries=1, recall=0.6)
    found = worst.worst_case({"only": predictions[0]}, keys, seed=0)
    p = scores.combine(scores.p_values(predictions[0], keys))
    assert found.memorization == scores.memorization(predictions[0], keys)
    assert found.certified == scores.certified_share(p)
    assert found.epsilon == scores.epsilon(p)
    assert found.chosen == {"only": 1.0}


def test_the_record_is_plain_json_with_chance_and_interval():
    predictions, keys = world(recall=[0.0, 0.5, 0.0])
    block = worst.as_record(worst.worst_case(dict(zip("abc", predictions, strict=True)), keys, seed=0))
    assert json.loads(json.dumps(block, allow_nan=False)) == block
    assert list(block["memorization"]) == ["value", "low", "high", "error", "chance", "images"]
    assert list(block["certified"]) == list(assess.share(scores.proportion(1, 2, 0.5)))
    assert (block["queries"], block["chosen"]) == (3, {"a": 0.0, "b": 1.0, "c": 0.0})
