"""One case a testbed and seed: do its queries find what is memorized?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest would take the class for one of tests
    from solidmark.schema.record import TestbedRecord, UtilityOrReason


def test_the_leading_query_finds_what_is_memorized(solidmark_measured_testbed: Callable[[], TestbedRecord]) -> None:
    """The leading query reads the perfect memorizer, and marked training is compared with unmarked."""
    record = solidmark_measured_testbed()
    power, unmarked = next(iter(record["power"].values())), record["unmarked"]
    if power is None or power["value"] < 0.95:  # an assert would be lost under `python -O`
        pytest.fail(f"the leading query reads the perfect memorizer with power {power and power['value']}", pytrace=False)
    if not _judged(unmarked):
        pytest.fail("no image of unmarked training was judged", pytrace=False)


def _judged(unmarked: UtilityOrReason) -> bool:
    """Whether pictures were judged by class, or by a given judge that knows no classes; a testbed without any says so."""
    utility = unmarked["utility"]
    if utility is None:
        return bool(unmarked.get("utility_reason"))
    by_class, accuracy = utility["judge_accuracy"] is not None, utility["accuracy"]
    return not by_class or (accuracy is not None and accuracy["of"] > 0)
