"""One case a testbed and seed: do its queries find what is memorized?"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # pytest would take the class for one of tests
    from solidmark.schema.record import TestbedRecord


def test_the_leading_query_finds_what_is_memorized(solidmark_measured_testbed: Callable[[], TestbedRecord]) -> None:
    """The leading query reads the perfect memorizer, and marked training is compared with unmarked."""
    record = solidmark_measured_testbed()
    power, utility = next(iter(record["power"].values())), record["unmarked"].get("utility")
    if power is None or power["value"] < 0.95:  # an assert would be lost under `python -O`
        pytest.fail(f"the leading query reads the perfect memorizer with power {power and power['value']}", pytrace=False)
    if utility is not None and (utility["accuracy"] is None or utility["accuracy"]["of"] == 0):
        pytest.fail("no image of unmarked training was judged", pytrace=False)
