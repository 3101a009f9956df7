"""One case a testbed, mitigation, setting and seed: is its measurement sound?

A case never fails because a mitigation is weak: its record says so. It fails where its numbers cannot be
believed: a control off chance, a query without power, a mark that is not valid, a row that changed
nothing, a plugin that broke.
"""

from collections.abc import Callable

import pytest

from solidmark.schema.record import CaseRecord


def test_measurement_is_sound(solidmark_measured: Callable[[], CaseRecord]) -> None:
    """No control of the record has a fault."""
    controls = solidmark_measured()["controls"]
    faults = controls["faults"] if controls is not None else ["the record has no controls"]
    if faults:
        pytest.fail("\n".join(faults), pytrace=False)  # an assert would be lost under `python -O`
