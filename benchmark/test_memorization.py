"""One case a testbed, mitigation, strength and seed: is its measurement sound?

A case never fails because a mitigation is weak: that is what its record says. It fails when the number
cannot be believed: a control off chance, a query without power, a mark that is none, a row that changed
nothing, a plugin that broke.
"""

from collections.abc import Callable

from solidmark.records import Record


def test_measurement_is_sound(measured: Callable[[], Record]) -> None:
    """No control of the record has a fault."""
    faults = measured()["controls"]["faults"]
    assert not faults, "\n".join(faults)
