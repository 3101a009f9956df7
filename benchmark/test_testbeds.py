"""One case a testbed and seed: can its queries find what is there to be found?"""

from collections.abc import Callable

from solidmark.records import Record


def test_the_leading_query_finds_what_is_memorized(measured_testbed: Callable[[], Record]) -> None:
    """The perfect memorizer is read out, and marked training is compared with unmarked."""
    record = measured_testbed()
    assert next(iter(record["power"].values()))["value"] >= 0.95
    assert record["unmarked"]["utility"]["accuracy"]["of"] > 0
