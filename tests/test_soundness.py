"""What the benchmark's own tests call sound, on records made by hand: they fail where they must."""

import pytest
from record_samples import utility
from solidmark.benchmark.test_memorization import test_measurement_is_sound as sound_case
from solidmark.benchmark.test_testbeds import test_the_leading_query_finds_what_is_memorized as sound_testbed

BY_CLASS = utility(200)
NONE_JUDGED = {**BY_CLASS, "accuracy": {**BY_CLASS["accuracy"], "count": 0, "of": 0}}
GIVEN = {**BY_CLASS, "accuracy": None, "judge_accuracy": None}


def record(power, unmarked):
    return lambda: {"power": {"outpaint": None if power is None else {"value": power}}, "unmarked": unmarked}


@pytest.mark.parametrize(
    "unmarked", [{"utility": BY_CLASS}, {"utility": GIVEN}, {"utility": None, "utility_reason": "no judge"}]
)
def test_a_sound_testbed_whose_pictures_are_judged_or_which_has_no_judge(unmarked):
    assert sound_testbed(record(0.95, unmarked)) is None  # it raises where it fails


@pytest.mark.parametrize(
    ("power", "unmarked", "message"),
    [
        (0.949, {"utility": BY_CLASS}, "power 0.949"),
        (None, {"utility": BY_CLASS}, "power None"),
        (1.0, {"utility": NONE_JUDGED}, "no image"),
        (1.0, {"utility": {**BY_CLASS, "accuracy": None}}, "no image"),
        (1.0, {"utility": None}, "no image"),
        (1.0, {"utility": None, "utility_reason": ""}, "no image"),
    ],
)
def test_a_testbed_without_power_or_judgement_fails(power, unmarked, message):
    with pytest.raises(pytest.fail.Exception, match=message):
        sound_testbed(record(power, unmarked))


@pytest.mark.parametrize(
    ("controls", "message"), [(None, "no controls"), ({"faults": ["held-out images: M = 0.5"]}, "held-out images: M = 0.5")]
)
def test_a_case_with_a_fault_or_without_controls_fails(controls, message):
    sound_case(lambda: {"controls": {"faults": []}})
    with pytest.raises(pytest.fail.Exception, match=message):
        sound_case(lambda: {"controls": controls})
