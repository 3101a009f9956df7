"""One case a testbed and seed: can its queries find what is there to be found?"""

from solidmark.records import Record


def test_the_leading_query_finds_what_is_memorized(testbed_record: Record) -> None:
    """The perfect memorizer is read out, and marked training is compared with unmarked."""
    assert next(iter(testbed_record["power"].values()))["value"] >= 0.95
    assert testbed_record["unmarked"]["utility"]["accuracy"]["of"] > 0
