"""Detectors of memorized prompts: their AUROC where the truth is planted, their signals against those of the mitigations."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from record_samples import case as row
from record_samples import of_testbed
from solidmark.mitigations import detectors as own
from solidmark.mitigations._guidance_vector import guidance_vector
from solidmark.reports import detectors_csv, markdown, prose
from test_attention_mitigations import caption_batch
from worlds import composed, tiny

from solidmark import plugins, seeds
from solidmark.api import Detector, NotApplicable
from solidmark.leaderboard import build_leaderboard
from solidmark.measurement import detectors
from solidmark.measurement.case import Case
from solidmark.models import build
from solidmark.sampling import SolverConfig

TESTBED = tiny()
CASE = Case("tiny", TESTBED, composed(), 0, (), SolverConfig(steps=2, batch=12))
SPLIT = TESTBED.split(0)
OWN = {plugin.name: plugins.instance(plugins.GROUPS["detector"], "detector", plugin.name)
       for plugin in plugins.discover(plugins.GROUPS["detector"])}  # fmt: skip


@dataclass(frozen=True)
class Planted(Detector):
    """Finds what is planted: `tell` makes a number of whether a caption was trained on."""

    tell: object = float

    def score(self, batch, rng):
        batch.model.predict(batch.noise, 3, batch.embeddings)
        return torch.tensor([self.tell(caption in SPLIT.trained.captions) for caption in batch.captions])


class Broken(Planted):
    def score(self, batch, rng):
        raise ValueError("no signal")


class Single(Planted):
    def score(self, batch, rng):
        return torch.zeros(())


class Refuses(Planted):
    def score(self, batch, rng):
        raise NotApplicable("detector refuses", "no attention", "some", "Choose another testbed.")


def found(monkeypatch, detector, case=CASE):
    installed = SimpleNamespace(name="planted")
    fake = SimpleNamespace(discover=lambda _: (installed,), instance=lambda *_: detector)
    monkeypatch.setattr(detectors, "plugins", fake)
    return detectors.measure_detectors(case, build_model())["planted"]


def build_model():
    return build(TESTBED.recipe.network, seeds.torch_rng(0, "test")).frozen()


@pytest.mark.parametrize(("tell", "area"), [(float, 1.0), (lambda told: -float(told), 0.0), (lambda told: 0.5, 0.5)])
def test_a_detector_that_knows_separates_one_that_errs_inverts_and_a_constant_is_chance(monkeypatch, tell, area):
    block = found(monkeypatch, Planted(tell))
    assert block["auroc"]["value"] == area
    assert block["auroc"]["low"] <= area <= block["auroc"]["high"]
    assert (block["captions"], block["evaluations"]) == (16, 1.0)


@pytest.mark.parametrize(
    ("detector", "reason"),
    [(Broken(), "no signal"), (Single(), "finite numbers"), (Refuses(), "no attention"), ("text", "a Detector"),
     (Planted(lambda told: float("nan")), "NaN")],
)  # fmt: skip
def test_a_detector_that_fails_has_its_reason_and_no_number(monkeypatch, detector, reason):
    block = found(monkeypatch, detector)
    assert block["auroc"] is None
    assert reason in block["reason"]


def test_shared_captions_tell_nothing():
    shared = SPLIT.held_out.captions[:1] + SPLIT.trained.captions[1:]
    split = SimpleNamespace(trained=SimpleNamespace(captions=shared), held_out=SPLIT.held_out, captioned=True)
    assert "share captions" in detectors._nothing_to_tell(split)
    assert "without captions" in detectors._nothing_to_tell(SimpleNamespace(captioned=False))


@pytest.mark.parametrize("name", OWN)
def test_our_own_detectors_give_a_finite_number_for_each_prompt_and_repeat_it(name):
    batch, rng = caption_batch(["one w1", "zero w2 w3"]), torch.Generator()
    first, second = (OWN[name].score(batch, rng.manual_seed(0)) for _ in range(2))
    assert first.shape == (2,)
    assert first.isfinite().all()
    assert torch.equal(first, second)


def test_the_guidance_norm_is_that_of_the_vector_and_an_even_map_leaves_it(monkeypatch):
    batch = caption_batch(["one w1", "zero w2 w3"])
    expected = guidance_vector(batch, batch.start(batch.noise), batch.times[0]).flatten(1).norm(dim=1)
    assert torch.allclose(own.GuidanceNorm().score(batch, torch.Generator()), expected)
    monkeypatch.setattr(own, "ending_map", lambda *_: torch.full((2, 1, 12, 12), 0.3))
    assert torch.allclose(own.LocalNorm().score(batch, torch.Generator()), expected, rtol=1e-4)


def test_anisotropy_is_the_released_measure_of_raw_outputs_over_channels():
    """By hand: 0.6 norms over their median, and twice the mean over cells of the cosine of v over its two channels."""
    two = build(replace(TESTBED.recipe.network, channels=2), seeds.torch_rng(0, "test")).frozen()
    batch = caption_batch(["one w1", "zero w2 w3", "one w5"], two)
    x, t = batch.start(batch.noise), round(0.04 * batch.model.schedule.steps)
    null, given = (batch.model.predict(x, t, e).output.numpy() for e in (batch.unconditional, batch.embeddings))
    vector = guidance_vector(batch, x, batch.times[0]).numpy().reshape(3, -1)
    sizes = np.sqrt((vector**2).sum(axis=1))
    dots = (null * (given - null)).sum(axis=1) / np.sqrt((null**2).sum(axis=1) * ((given - null) ** 2).sum(axis=1))
    expected = 0.6 * sizes / np.median(sizes) + 2 * dots.mean(axis=(1, 2))
    assert own.Anisotropy().score(batch, torch.Generator()).tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_one_prediction_for_every_noise_is_as_alike_as_can_be():
    batch = caption_batch(["one w1", "zero w2 w3"])
    alike = own.AlikeNoise()
    fixed = torch.randn(2, 1, 12, 12, generator=torch.Generator().manual_seed(4))
    fake = SimpleNamespace(shape=(1, 12, 12), predict=lambda x, t, e: SimpleNamespace(noise=x + fixed))
    stand_in = SimpleNamespace(model=fake, noise=batch.noise, times=batch.times, embeddings=batch.embeddings)
    assert alike.score(stand_in, torch.Generator().manual_seed(0)).tolist() == pytest.approx([1, 1], abs=1e-3)


def asked(area, **changed):
    return {"auroc": {"value": area, "low": area - 0.1, "high": area + 0.05}, "evaluations": 2.0, "captions": 64, **changed}


def board(*blocks):
    return build_leaderboard([row(), *(of_testbed(seed, detectors=found) for seed, found in enumerate(blocks))])


def test_detectors_over_seeds_are_pooled_and_the_best_comes_first():
    facts = board({"low": asked(0.6), "high": asked(0.9)}, {"high": asked(0.8), "low": asked(0.5)}).testbeds[0]
    assert list(facts.detectors) == ["high", "low"]
    assert facts.detectors["high"].auroc.value == pytest.approx(0.85)
    low, high = facts.detectors["high"].auroc.limits
    assert low <= 0.75
    assert high >= 0.9


def test_a_detector_that_fails_in_one_seed_has_that_reason():
    facts = board({"one": asked(0.6)}, {"one": {"auroc": None, "reason": "it broke"}}).testbeds[0]
    assert facts.detectors["one"].auroc is None
    assert facts.to_json()["reasons"]["detectors.one"] == "it broke"


def test_reports_have_each_detector_with_its_number_or_its_reason():
    made = board({"norm": asked(0.9), "other": {"auroc": None, "reason": "no attention"}})
    assert prose.detectors(made.testbeds[0]) == [("norm", "0.90 [0.80, 0.95]", "2.0"), ("other", "–: no attention", "–")]
    assert "| norm" in markdown.render(made, [])
    lines = [line.split(",") for line in detectors_csv.render(made, []).splitlines()]
    assert lines[1][1:3] == ["norm", "0.9"]
    assert lines[2][1:] == ["other", "", "", "", "", "", "", "no attention"]


def test_a_record_without_detectors_has_no_table():
    old = build_leaderboard([row(), of_testbed()])
    assert old.testbeds[0].detectors == {}
    assert prose.DETECTORS not in markdown.render(old, [])
    assert detectors_csv.render(old, []).splitlines() == [",".join(detectors_csv.HEADER)]
