"""One case a testbed, mitigation, setting and seed: is its measurement sound?

A case never fails because a mitigation is weak: its record says so. It fails where its numbers cannot be
believed: a control off chance, a query without power, a mark that is not valid, a row that changed
nothing, a plugin that broke.
"""

from collections.abc import Callable

from solidmark.schema.record import CaseRecord


def test_measurement_is_sound(measured: Callable[[], CaseRecord]) -> None:
    """No control of the record has a fault."""
    controls = measured()["controls"]
    assert controls is not None
    assert not controls["faults"], "\n".join(controls["faults"])
