"""Frauds do not pay: each ends with a row that is not ok, or no more useful than its answers are."""

from dataclasses import dataclass

import frauds
import numpy as np
import pytest
import torch
from worlds import composed, digits

from solidmark import Mitigation
from solidmark.measurement import answers, sources
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import controls, scores
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


def asked(network, tmp_path, attack, *mitigations):
    case = Case("digits", TESTBED, composed(*mitigations), 0, (("x", attack),), SolverConfig(steps=2))
    return case, answers.ask_query(case, "x", network, Workspace(Store(tmp_path)))


def test_work_on_a_copy_or_on_the_bare_network_is_counted(network, tmp_path):
    _, found = asked(network, tmp_path, Outpaint(), frauds.HiddenWork())
    images = 64 * 2  # each in two steps: two branches, a copy's, and a bare one
    assert found.evaluations.forward == images * 4


def test_a_query_with_keys_from_elsewhere_cannot_tell_the_perfect_memorizer(network, tmp_path):
    true = torch.cat([TESTBED.split(0).trained_keys, torch.rand(48, 8, generator=torch.Generator().manual_seed(3))])
    case, found = asked(network, tmp_path, frauds.Oracle(tuple(map(tuple, true.tolist()))))
    power = answers.measure_power(case, Workspace(Store(tmp_path)))["x"]
    assert np.abs(found.trained - TESTBED.split(0).trained_keys.numpy()).max() < 1e-6
    assert controls.leaks("keys that the perfect memorizer never saw", power.leak)


def block(m, low, high, certified):
    return {"memorization": {"value": m, "low": low, "high": high}, "certified": {"count": certified, "of": 64}}


def test_many_certified_images_beside_an_m_of_nothing_are_a_fault():
    """Both follow from the same distances: whatever the others answer, half certified means an M above the limit."""
    rng, lowest = np.random.default_rng(0), 1.0
    for noise in np.linspace(0.02, 0.5, 60):
        keys, known = rng.random((64, 8)), rng.random((64, 1)) < rng.uniform(0.5, 1)
        predicted = np.where(known, (keys + noise * rng.normal(size=keys.shape)).clip(0, 1), rng.choice([0.5, rng.random()]))
        found = int(scores.certified(scores.combine(scores.p_values(predicted, keys))).sum())
        m = scores.memorization(predicted, keys)
        if found >= 32:
            lowest = min(lowest, m.limits[1])
            assert controls.contradictions("x", block(m.value, *m.limits, found)) == []
    assert controls.LEAST_M < lowest < 1
    assert "55 of 64 certified beside M = 0.008" in controls.contradictions("x", block(0.008, -0.03, 0.05, 55))[0]
