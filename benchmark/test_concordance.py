"""Concordance: SolidMark beside other metrics on the same models."""

from collections.abc import Callable

import pytest

from solidmark.experiments import Lab
from solidmark.findings import Finding, Verdict

from .concordance import degrees, instrument, noise

EXPERIMENTS = {
    "degrees-64": degrees.small,
    "degrees-256": degrees.large,
    "noise": noise.run,
    "instrument": instrument.run,
}


@pytest.mark.experiment
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_concordance(name: str, found: Callable[[str, Callable[[Lab], Finding]], Finding]) -> None:
    """The experiment ends in a verdict."""
    finding = found(f"concordance-{name}", EXPERIMENTS[name])
    assert finding.verdict in Verdict
