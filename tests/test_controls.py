"""Controls: which faults make a row unsound, and what is said of them."""

import json
from dataclasses import replace

import numpy as np
import pytest

from solidmark.metrics import controls, scoring
from solidmark.metrics.controls import Marks
from solidmark.schema.numbers import Estimate

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


def test_a_faint_leak_of_held_out_images_is_reported_with_its_number():
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


def test_a_mark_that_is_not_valid_is_reported_with_the_baseline_s():
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


def test_the_controls_are_plain_json_without_nan():
    checked = judged()
    assert json.loads(json.dumps(checked, allow_nan=False)) == checked
