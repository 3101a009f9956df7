"""The validity suite: does the score rise when, and only when, a model memorizes?

An experiment is not failed by its verdict, which is reported whatever it is, but by what keeps it from having one.
`--strict-findings` makes a verdict of `fails` a failure.
"""

from collections.abc import Callable

import pytest

from solidmark.experiments import Lab
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
    protocols,
    regularisers,
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
    "protocols": protocols.run,
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
def test_validity(name: str, found: Callable[[str, Callable[[Lab], Finding]], Finding]) -> None:
    """The experiment ends in a verdict."""
    finding = found(f"validity-{name}", EXPERIMENTS[name])
    assert finding.verdict in Verdict
