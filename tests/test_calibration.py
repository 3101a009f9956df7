"""Calibration: the unit of doses that a source states as absolute numbers is what normal captions have."""

import pytest
import torch
from solidmark.mitigations._calibration import LEVEL_COUNT, normal_level
from worlds import model

from solidmark.api import Examples
from solidmark.mitigation.composition import Composition
from solidmark.models import SamplingBatch
from solidmark.sampling import Service, SolverConfig


@pytest.fixture(scope="module")
def batch():
    """Three queries, of which two have a caption."""
    denoiser, blank = model(), torch.full((3, 1, 12, 12), 0.5)
    service = Service(denoiser, Composition(), 0)
    mask = torch.ones(3, 1, 12, 12, dtype=torch.bool)
    return service._batch(["one w1", "", "two w2"], blank, mask, torch.randn(3, 1, 12, 12), SolverConfig(steps=4), None)


def numbered(seen):
    """A measure that gives each query its number, 0 and on, and notes the captions that it was asked about."""

    def measure(normal: SamplingBatch) -> torch.Tensor:
        first = sum(len(captions) for captions in seen)
        seen.append(normal.captions)
        return torch.arange(first, first + len(normal.captions)).float()

    return measure


def test_the_level_is_the_median_over_normal_queries_that_have_a_caption(batch):
    calibration, seen = Examples(torch.zeros(2, 1, 8, 8), ["one w7", "two w8"], [0, 1]), []
    level = normal_level(batch, calibration, torch.Generator().manual_seed(0), numbered(seen))
    assert len(seen) == LEVEL_COUNT / 2
    assert {captions[1] for captions in seen} == {""}
    assert {caption for captions in seen for caption in captions[::2]} == {"one w7", "two w8"}
    assert level == torch.tensor([float(n) for n in range(3 * len(seen)) if n % 3 != 1]).median()
