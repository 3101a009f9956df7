"""Claims of papers: each with the rule that its `Claim` states, an interval over seeds, and a verdict on these testbeds."""

from collections.abc import Callable

import pytest

from solidmark.experiments import Lab
from solidmark.findings import Finding, Verdict

from .claims import Stated, stated


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a claim, of strangers' methods too."""
    if "one" in metafunc.fixturenames:
        metafunc.parametrize("one", [pytest.param(one, id=one.name) for one in stated()])


@pytest.mark.experiment
def test_claim(one: Stated, found: Callable[[str, Callable[[Lab], Finding]], Finding]) -> None:
    """The claim ends in a verdict."""
    finding = found(f"claims-{one.name}", one.test)
    assert finding.verdict in Verdict
