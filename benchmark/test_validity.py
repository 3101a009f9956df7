"""The validity suite: does the score rise when, and only when, a model memorizes?

An experiment passes whatever its verdict is; it fails where it cannot reach a verdict. With `--strict-findings` it
also fails where the verdict is `fails`.
"""

from collections.abc import Callable

import pytest

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Verdict

from .validity import (
    bands,
    bandwidth,
    blind_spot,
    channels,
    conditioning,
    dose,
    identity,
    nearest_key,
    negative,
    regularisers,
    solvers,
    time,
)

EXPERIMENTS = {
    "dose": dose.run,
    "nearest-key": nearest_key.run,
    "time": time.run,
    "capacity": regularisers.capacity,
    "dropout": regularisers.dropout,
    "weight-decay": regularisers.weight_decay,
    "conditioning": conditioning.run,
    "solvers": solvers.run,
    "identity-image": identity.image,
    "identity-caption": identity.caption,
    "channels": channels.run,
    "bandwidth": bandwidth.run,
    "bands": bands.run,
    "negative": negative.run,
    "blind-spot": blind_spot.run,
}


@pytest.mark.experiment
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_validity(name: str, solidmark_finding: Callable[[str, str, Callable[[Experiments], Finding]], Finding]) -> None:
    """The experiment ends in a verdict."""
    finding = solidmark_finding("validity", name, EXPERIMENTS[name])
    assert finding.verdict in Verdict
