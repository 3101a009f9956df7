"""Copy metrics: SolidMark and other metrics on the same models."""

from collections.abc import Callable

import pytest

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Verdict

from .copy_metrics import degrees, instrument, noise

EXPERIMENTS = {
    "degrees-64": degrees.small,
    "degrees-256": degrees.large,
    "noise": noise.run,
    "instrument": instrument.run,
}


@pytest.mark.experiment
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_copy_metrics(name: str, solidmark_finding: Callable[[str, str, Callable[[Experiments], Finding]], Finding]) -> None:
    """The experiment ends in a verdict."""
    finding = solidmark_finding("copy-metrics", name, EXPERIMENTS[name])
    assert finding.verdict in Verdict
