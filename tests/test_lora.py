"""LoRA: adapters alone are trained, from the handed stream, and merged into the base."""

import sys
from dataclasses import dataclass, replace

import pytest
import torch
from solidmark.mitigations.dp_sgd import DPSGD
from solidmark.mitigations.lora import PROJECTIONS, LowRankAdaptation, LowRankEverywhere
from worlds import composed, tiny

from solidmark import Mitigation, Trainer, models, plugins, seeds
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation.run import TrainingSet
from solidmark.training import train


def base(kind="text"):
    network = replace(tiny().recipe.network, kind=kind)
    return models.build(network, seeds.torch_rng(0, "base")).frozen()


def tuned(*mitigations, kind="text", seed=0, **numbers):
    """Fine-tuned from the base of this kind."""
    testbed, start = tiny(), base(kind)
    laid = testbed.split(0)
    recipe = replace(testbed.recipe, network=start.config, **numbers)
    return train(
        recipe,
        TrainingSet(laid.trained, laid.trained_keys, laid.mark),
        composed(*mitigations),
        seed,
        data={"base_model": start},
        initial=start,
    )


def wrapping(**methods):
    wrapper = type("Wrapper", (Trainer,), methods)
    return dataclass(frozen=True)(type("Wrapping", (Mitigation,), {"trainer": lambda self, inner: wrapper(self, inner)}))()


def changes(model, kind="text"):
    """Weights that fine-tuning changed, with what was added."""
    before = base(kind).state()
    return {name: w - before[name] for name, w in model.state().items() if not torch.equal(w, before[name])}


@pytest.mark.parametrize("kind", ["text", "label", "none"])
def test_attention_projections_alone_change_and_by_no_more_than_the_rank(kind):
    added = changes(tuned(LowRankAdaptation(2), kind=kind), kind)
    assert added
    assert all(any(f"{name}.weight" in index for name in PROJECTIONS) for index in added)
    assert max(int(torch.linalg.matrix_rank(matrix, rtol=1e-4)) for matrix in added.values()) <= 2


@pytest.mark.parametrize("kind", ["text", "none"])
def test_adapters_everywhere_change_convolutions_too_and_by_no_more_than_the_rank(kind):
    added = changes(tuned(LowRankEverywhere(2), kind=kind), kind)
    assert "network.conv_in.weight" in added
    assert all(name.startswith("network.") and not name.endswith("bias") and "norm" not in name for name in added)
    assert max(int(torch.linalg.matrix_rank(matrix.flatten(1), rtol=1e-4)) for matrix in added.values()) <= 2


def test_training_starts_at_the_base():
    seen = {}

    def fit(self):
        x, text = torch.ones(1, *self.model.shape), self.model.embed(["one w1"])
        seen["apart"] = (self.model.predict(x, 3, text).output - base().predict(x, 3, text).output).abs().max().item()
        self.inner.fit()

    tuned(LowRankAdaptation(), wrapping(fit=fit))
    assert seen["apart"] == 0


def test_the_merged_model_is_the_one_that_was_trained():
    """Averaged adapters in place, then merged: the same predictions but for rounding."""
    seen = {}

    def finish(self):
        x, text = torch.ones(1, *self.model.shape), self.model.embed(["one w1"])
        seen["before"] = self.model.predict(x, 3, text).output.detach()
        self.inner.finish()
        seen["apart"] = (self.model.predict(x, 3, text).output - seen["before"]).abs().max().item()

    tuned(LowRankAdaptation(), wrapping(finish=finish), train_steps=20)
    assert seen["apart"] < 1e-5


def test_adapters_are_drawn_from_the_handed_out_stream_with_the_stated_spread():
    drawn = {}

    def prepare(self):
        self.inner.prepare()
        drawn[len(drawn)] = [parameter.detach().clone() for parameter in self.run.parameters()]

    for index, seed in enumerate((0, 0, 1)):
        torch.manual_seed(index)
        tuned(LowRankAdaptation(8), wrapping(prepare=prepare), seed=seed)
    assert torch.equal(drawn[0][0], drawn[1][0])
    assert not torch.equal(drawn[0][0], drawn[2][0])
    assert torch.cat([a.flatten() for a in drawn[0][::2]]).std().item() == pytest.approx(1 / 8, rel=0.1)
    assert all(float(b.abs().max()) == 0 for b in drawn[0][1::2])


def test_the_learning_rate_is_that_of_adapters_and_the_share_of_weights_is_reported():
    assert LowRankAdaptation(rate=5.0).recipe(tiny().recipe).learning_rate == pytest.approx(5 * 3e-3)
    report = tuned(LowRankAdaptation(2)).reported["LowRankAdaptation"]
    every = sum(parameter.numel() for parameter in base().parameters())
    assert report["share_of_weights"] == pytest.approx(report["trained_weights"] / every)


@pytest.mark.parametrize("order", [1, -1])
def test_private_updates_of_adapters_keep_their_claim_in_both_orders(order):
    model = tuned(*[LowRankAdaptation(2), DPSGD(2.0)][::order])
    assert model.reported["DPSGD"]["epsilon"] > 0
    assert all("attn" in name or "attentions" in name for name in changes(model))


def test_without_a_base_it_is_not_applicable():
    testbed = tiny()
    laid = testbed.split(0)
    with pytest.raises(NotApplicable, match=r"data\.base_model: found none on this testbed"):
        train(testbed.recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(LowRankAdaptation()), 0)


def test_without_peft_it_is_not_applicable_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(NotApplicable, match=r"pip install 'solidmark\[lora\]'"):
        tuned(LowRankAdaptation())


@pytest.mark.parametrize("name", ["rank", "rate"])
def test_parameters_out_of_range_are_named(name):
    for value in (float("nan"), float("-inf"), 0):
        with pytest.raises(InvalidValue, match=rf"LowRankAdaptation\.{name}"):
            LowRankAdaptation(**{name: value})


def test_the_family_is_found_by_its_name():
    assert plugins.published("lora").mitigation == LowRankAdaptation()
    assert plugins.published("lora-everywhere").mitigation == LowRankEverywhere()
