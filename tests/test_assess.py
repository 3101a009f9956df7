"""Assessing: which numbers a record gets, and which faults make its controls unsound."""

import json
from dataclasses import replace

import numpy as np
import pytest

from solidmark.metrics import controls, scores, scoring
from solidmark.metrics.controls import Marks
from solidmark.metrics.scores import Estimate

HONEST = Marks(spread=0.34, unevenness=0.08, decoy_error=0.2)
FULL_POWER = Estimate(1.0, 0.99, 1.0, 0.001)


def world(count, recall=0.0, seed=0):
    rng = np.random.default_rng(seed)
    keys = rng.uniform(size=(count, 8))
    return recall * keys + (1 - recall) * rng.uniform(size=keys.shape), keys


SOUND = scoring.negative(*world(64))


def judged(held_out=None, other_keys=None, power=FULL_POWER, marks=HONEST, active=True):
    """Controls of a sound run but for what is given."""
    return controls.check(held_out or SOUND, other_keys or SOUND, power, marks, HONEST, active=active)


def gray_keys(count=256):
    """The same gray key for every image, and a model that has learned to paint it."""
    noise = 0.02 * np.random.default_rng(0).normal(size=(count, 8))
    return np.clip(0.5 + noise, 0, 1), np.full((count, 8), 0.5)


def test_a_run_whose_controls_hold_is_sound():
    checked = judged()
    assert (checked["sound"], checked["faults"], checked["mark_valid"]["valid"]) == (True, [], True)


def test_held_out_images_that_leak_are_a_fault():
    checked = judged(held_out=scoring.negative(*world(64, recall=0.6)))
    assert not checked["sound"]
    assert [fault.split(":")[0] for fault in checked["faults"]] == ["held-out images"] * 3


def test_a_faint_leak_of_held_out_images_is_told_with_its_number():
    (fault, *_) = judged(held_out=scoring.negative(*world(256, recall=0.15)))["faults"]
    assert fault.startswith("held-out images: M = +0.1")


def test_held_out_answers_that_avoid_their_keys_are_a_fault():
    _, keys = world(64)
    checked = judged(held_out=scoring.negative((keys < 0.5).astype(float), keys))
    assert any("M = -" in fault for fault in checked["faults"])


def test_a_second_set_of_keys_that_comes_back_is_a_fault():
    checked = judged(other_keys=scoring.negative(*world(64, recall=0.6)))
    assert {fault.split(":")[0] for fault in checked["faults"]} == {"other keys"}


@pytest.mark.parametrize(("power", "sound"), [(0.95, True), (0.9499, False)])
def test_a_query_that_does_not_find_a_perfect_memory_is_a_fault(power, sound):
    checked = judged(power=replace(FULL_POWER, value=power))
    assert (checked["sound"], len(checked["faults"])) == (sound, 1 - sound)
    assert sound or "power 0.950 of the perfect memorizer" in checked["faults"][0]


@pytest.mark.parametrize(
    ("spread", "unevenness", "valid"),
    [(0.05, 0.08, True), (0.34, 0.0, True), (0.34, 0.3, True), (0.05, 0.0, False), (0.05, 0.3, False), (0.17, 0.0, True)],
)
def test_a_mark_is_not_valid_only_where_both_spread_and_unevenness_are_off(spread, unevenness, valid):
    checked = judged(marks=Marks(spread, unevenness, None))
    assert (checked["mark_valid"]["valid"], checked["sound"]) == (valid, valid)
    assert [fault.split(":")[0] for fault in checked["faults"]] == ["mark not valid"] * (not valid)


def test_a_mark_that_is_not_valid_is_told_beside_the_baseline_s():
    (fault,) = judged(marks=Marks(0.05, 0.3, None))["faults"]
    assert "spread 0.050 (baseline 0.340) and segments are uneven by 0.300 (baseline 0.080)" in fault


def test_a_mitigation_whose_answers_are_the_baseline_s_is_inactive():
    checked = judged(active=False)
    assert (checked["sound"], checked["active"]) == (False, False)
    assert checked["faults"] == ["inactive: its answers equal the baseline's bit for bit"]


def test_one_gray_key_for_all_images_certifies_the_held_out_ones_and_is_exposed():
    negative = scoring.negative(*gray_keys())
    checked = judged(held_out=negative)
    assert negative["certified"]["count"] == 256
    assert not checked["sound"]
    assert "held-out images: 256 of 256 certified" in checked["faults"]


def test_sound_controls_are_hardly_ever_called_unsound():
    faults = [judged(held_out=scoring.negative(*world(64, seed=seed)))["faults"] for seed in range(200)]
    assert sum(map(bool, faults)) <= 1


def test_a_constant_answer_is_no_leak():
    _, keys = world(64)
    negative = scoring.negative(np.full_like(keys, 0.37), keys)
    assert negative["chance_p"] == 1.0
    assert judged(held_out=negative)["sound"]


def test_a_query_has_every_score_with_its_chance_beside_it():
    scored = scoring.query(*world(64, 0.6), *world(128, seed=1), seed=0)
    names = "memorization certified avoided leaked_bits epsilon within auroc tpr_at_1_fpr permutation_p"
    assert list(scored) == names.split()
    assert (scored["memorization"]["chance"], scored["leaked_bits"]["chance"], scored["auroc"]["chance"]) == (0, 0, 0.5)
    assert all(share["chance"] > 0 for share in [scored["tpr_at_1_fpr"], *scored["within"].values()])


def test_the_privacy_loss_is_taken_at_the_delta_that_is_claimed():
    (predictions, keys), held_out = world(64, 1.0), world(64, seed=1)
    found = scoring.query(predictions, keys, *held_out, seed=0, delta=0.01)["epsilon"]
    p = scores.combine(scores.p_values(predictions, keys))
    assert (found["low"], found["delta"]) == (scores.epsilon(p, delta=0.01), 0.01)
    assert found["low"] < scores.epsilon(p)


def test_a_query_s_numbers_are_those_of_the_scores():
    (predictions, keys), held_out = world(64, 0.6), world(128, seed=1)
    scored, p = scoring.query(predictions, keys, *held_out, seed=0), scores.combine(scores.p_values(predictions, keys))
    assert scored["memorization"]["value"] == scores.memorization(predictions, keys).value
    assert scored["certified"]["count"] == scores.certified(p).sum()
    assert scored["epsilon"]["low"] == scores.epsilon(p)
    far = abs(np.subtract(*held_out)).mean(axis=1)
    assert scored["auroc"]["value"] == scores.auroc(abs(predictions - keys).mean(axis=1), far).value


def test_one_seed_gives_one_assessment():
    one, other = (scoring.query(*world(64, 0.1), *world(64, seed=1), seed=3) for _ in range(2))
    assert one == other


def test_an_assessment_is_plain_json_without_nan():
    scored = {"query": scoring.query(*world(64, 1.0), *world(64, seed=1), seed=0), "controls": judged()}
    assert json.loads(json.dumps(scored, allow_nan=False)) == scored


def test_estimates_and_shares_become_the_fields_of_a_record():
    assert scoring.estimate(Estimate(1.0, 0.5, 1.5, 0.1)) == {"value": 1.0, "low": 0.5, "high": 1.5}
    share = scoring.share(scores.proportion(3, 4, chance=0.25))
    assert list(share) == ["count", "of", "low", "high", "chance"]
    assert (share["count"], share["of"], share["chance"]) == (3, 4, 0.25)
