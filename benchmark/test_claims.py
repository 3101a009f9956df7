"""Claims of papers: each with the rule that its `Claim` states, an interval over seeds, and a verdict on these testbeds."""

from collections.abc import Callable

import pytest

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Verdict

from .claims import StatedClaim, find_claims


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One case a claim, of methods from other packages too."""
    if "claim" in metafunc.fixturenames:
        metafunc.parametrize("claim", [pytest.param(claim, id=claim.name) for claim in find_claims()])


@pytest.mark.experiment
def test_claim(
    claim: StatedClaim, solidmark_finding: Callable[[str, str, Callable[[Experiments], Finding]], Finding]
) -> None:
    """The claim ends in a verdict."""
    finding = solidmark_finding("claims", claim.name, claim.test)
    assert finding.verdict in Verdict
