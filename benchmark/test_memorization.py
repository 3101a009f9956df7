"""One case a testbed, mitigation, strength and seed: is its measurement sound?

A case never fails because a mitigation is weak: that is what its record says. It fails when the number
cannot be believed: a control off chance, a query without power, a mark that is none, a row that changed
nothing, a plugin that broke.
"""

from solidmark.records import Record


def test_measurement_is_sound(record: Record) -> None:
    """No control of the record has a fault."""
    assert record["controls"]["faults"] == []
