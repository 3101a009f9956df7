"""Frauds do not pay: each ends with a row that is not ok, or no more useful than its answers are."""

from dataclasses import dataclass

import frauds
import numpy as np
import pytest
import torch
from worlds import composed, digits

from solidmark import Mitigation
from solidmark.measurement import sources
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics.exchange import follows_words
from solidmark.models import build
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=16, held_out=48, generated=40)


@dataclass(frozen=True)
class Halved(Mitigation):
    def guidance(self, scale, step_fraction):
        return scale / 2


@pytest.fixture(scope="module")
def network():
    return build(TESTBED.recipe.network, torch.Generator().manual_seed(0)).frozen()


def source(network, tmp_path, *mitigations):
    case = Case("digits", TESTBED, composed(*mitigations), 0, (("outpaint", Outpaint()),), SolverConfig(steps=2))
    return sources.find(case, network, Workspace(Store(tmp_path)))


def test_who_shows_stored_pictures_is_convicted(network, tmp_path):
    found = source(network, tmp_path, frauds.StoredDigits())
    assert found["count"] > 0.9 * found["of"] == 0.9 * 104
    assert "pictures do not come from the weights" in sources.fault(found)[0]


def test_pictures_from_weights_are_no_fault(network, tmp_path):
    found = source(network, tmp_path, Halved())
    assert found["p"] > 1e-4
    assert sources.fault(found) == []


def test_where_nothing_acts_at_sampling_nothing_is_asked(network, tmp_path):
    found = source(network, tmp_path, frauds.TrainedExchange())
    assert (found["p"], sources.fault(found)) == (None, [])
    assert "nothing acts at sampling" in found["reason"]


def test_class_names_change_their_embeddings_and_no_others_do(network):
    twin = sources.exchanged(network, 0)
    words = [f"{name} w1" for name in TESTBED.recipe.network.classes]
    before, after = network.embed(words), twin.embed(words)
    same = [int((before - row).flatten(1).norm(dim=1).argmin()) for row in after]
    assert sorted(same) == list(range(10)) != same
    assert torch.equal(network.embed(["w3 w4"]), twin.embed(["w3 w4"]))


def test_p_of_pictures_that_follow_the_weights_holds_its_level():
    """The weights know every class by a random name; the judge confuses some. 200 worlds."""
    rng, named = np.random.default_rng(0), np.repeat(np.arange(10), 6)
    worlds = [np.where(rng.random(60) < 0.8, rng.permutation(10)[named], rng.integers(10, size=60)) for _ in range(200)]
    p = np.array([follows_words(shown, named).p for shown in worlds])
    assert (p <= 0.05).mean() <= 0.08
    assert follows_words(named, named).p == pytest.approx(1e-5, rel=2)
