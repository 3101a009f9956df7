"""DP-SGD: exact per-image gradients, clipping and noise as written, and claims that hold."""

import math
import sys
from dataclasses import dataclass, replace
from itertools import islice
from types import SimpleNamespace

import pytest
import torch
from scipy import optimize, stats
from solidmark.mitigations import _per_image
from solidmark.mitigations._privacy import add_or_remove, replace_one
from solidmark.mitigations.dp_sgd import DPSGD, PrivateTrainer
from worlds import composed, tiny

from solidmark import Mitigation, Trainer, plugins
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.mitigation.run import TrainingSet
from solidmark.training import train


def trained(*mitigations, kind="text", **numbers):
    testbed = tiny()
    laid = testbed.split(0)
    recipe = replace(testbed.recipe, network=replace(testbed.recipe.network, kind=kind), caption_dropout=0.0, **numbers)
    return train(recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(*mitigations), 0)


def wrapping(**methods):
    wrapper = type("Wrapper", (Trainer,), methods)
    return dataclass(frozen=True)(type("Wrapping", (Mitigation,), {"trainer": lambda self, inner: wrapper(self, inner)}))()


def fixed(self, batch, t):
    """Losses without anything drawn: an image has the same loss alone and in a batch."""
    noise = batch.fixed_noise("test")
    x = self.model.schedule.add_noise(batch.clean, noise, t)
    return self.outer.predict(x, t, batch).losses(batch.clean, noise).flatten(1).mean(dim=1)


@pytest.mark.parametrize("kind", ["text", "label", "none"])
def test_gradients_of_each_image_are_those_of_a_loop(kind):
    apart = []

    def update(self, indices):
        rows, loop = _per_image.per_image_gradients(self.run, indices), self.run.gradients(indices)
        apart.extend(float((a - b).abs().max() / b.abs().max().clamp(min=1e-4)) for a, b in zip(rows, loop, strict=True))
        self.inner.update(indices)

    times = wrapping(times=lambda self, batch: batch.indices * 40 + 3, losses=fixed, update=update)
    model = trained(times, kind=kind, train_steps=1)
    assert len(apart) == len(model.parameters())
    assert max(apart) < 1e-3


def test_draws_are_averaged_inside_an_image():
    seen = {}

    def update(self, indices):
        seen["twice"], seen["once"] = (_per_image.per_image_gradients(self.run, indices[:2], draws) for draws in (2, 1))

    trained(wrapping(times=lambda self, batch: batch.indices * 40 + 3, losses=fixed, update=update), train_steps=1)
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(seen["twice"], seen["once"], strict=True))


def test_a_weight_that_acts_past_its_module_is_named():
    def losses(self, batch, t):
        return self.inner.losses(batch, t) + self.model.embed(["one"] * len(batch.clean)).square().sum(dim=(1, 2))

    with pytest.raises(PluginFault, match="per-image gradients"):
        trained(wrapping(losses=losses), DPSGD(0.0))


def test_a_gradient_that_is_not_finite_is_named_with_its_step():
    endless = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t) * float("inf"))
    with pytest.raises(PluginFault, match="step 0: found a gradient that is not finite"):
        trained(endless, DPSGD(0.0))


def applied(*mitigations, **numbers):
    """The gradients that the optimizer was given, one vector a step."""
    steps = []

    def prepare(self):
        self.inner.prepare()
        apply = self.run.apply
        self.run.apply = lambda gradients: (steps.append(torch.cat([g.flatten() for g in gradients])), apply(gradients))

    model = trained(wrapping(prepare=prepare), *mitigations, **numbers)
    return steps, model


def test_no_image_moves_the_sum_by_more_than_the_clip():
    """Noise off, a batch of one expected: a sum of k clipped gradients is at most k C long."""
    batches = []
    seen = wrapping(update=lambda self, indices: (batches.append(len(indices)), self.inner.update(indices)))
    steps, _ = applied(DPSGD(0.0, clip=0.01, batch=1), seen, train_steps=20)
    assert all(float(step.norm()) <= 0.01 * count + 1e-6 for step, count in zip(steps, batches, strict=True))
    assert any(float(step.norm()) > 0.009 for step in steps)


def test_a_clip_that_nothing_reaches_leaves_the_sum_of_gradients():
    plain, _ = applied(wrapping(batches=lambda self: iter([torch.arange(16)])), train_steps=1, batch=16)
    whole, model = applied(DPSGD(0.0, clip=1e6, batch=16), train_steps=1)
    assert whole[0].norm().item() == pytest.approx(plain[0].norm().item(), rel=0.3)
    assert model.reported["DPSGD"]["clipped_share"] == 0


def test_noise_has_the_stated_spread():
    """With a clip of next to nothing in the batch but noise: sd = noise C / (q N)."""
    steps, _ = applied(DPSGD(1000.0, clip=0.5, batch=4), train_steps=1)
    assert steps[0].std().item() == pytest.approx(1000 * 0.5 / 4, rel=0.02)


def test_batches_are_poisson():
    sizes = []

    def fit(self):
        sizes.extend(len(batch) for batch in islice(self.outer.batches(), 400))
        self.outer.update(torch.arange(0))

    trained(DPSGD(1.0, batch=4), wrapping(fit=fit))
    assert sum(sizes) / 400 == pytest.approx(4, abs=4 * math.sqrt(3 / 400))
    assert torch.tensor(sizes).double().var().item() == pytest.approx(3, abs=0.9)


def test_of_copies_one_is_drawn():
    """Three rows of one image are one image: it is in a batch with the probability of any other, and once."""

    def repeated(self, examples, rng):
        return examples.take([0, 0, 0, *range(1, 16)])

    kind = dataclass(frozen=True)(type("Copied", (Mitigation,), {"prepare": repeated}))
    batches = []

    def fit(self):
        batches.extend(islice(self.outer.batches(), 300))
        self.outer.update(batches[0])

    trained(kind(), DPSGD(1.0, batch=8), wrapping(fit=fit))
    counts = torch.stack([torch.bincount(batch, minlength=18) for batch in batches])
    assert int(counts[:, :3].sum(dim=1).max()) == 1
    assert counts[:, :3].sum().item() / 300 == pytest.approx(0.5, abs=0.12)
    assert counts[:, :3].sum(dim=0).min() > 20


@pytest.mark.parametrize("noise", [0.7, 1.0, 3.0])
def test_the_claim_for_replacing_an_image_lies_between_the_exact_one_and_twice_the_usual(noise):
    """One release of everything: two images less than 2 C apart; exact by the Gaussian's own trade-off."""
    delta = 1e-5

    def excess(epsilon):
        far = 2 / noise
        hit = stats.norm.cdf(far / 2 - epsilon / far) - math.exp(epsilon) * stats.norm.cdf(-far / 2 - epsilon / far)
        return hit - delta

    exact = optimize.brentq(excess, 0, 200)
    claimed, usual = replace_one(noise, 1.0, 1, delta), add_or_remove(noise, 1.0, 1, delta)
    assert exact <= claimed <= 1.3 * exact
    assert claimed >= usual


def test_joining_divergences_claims_less_than_joining_claims():
    """2 epsilon at (1 + e^epsilon) delta is true as well, and here no smaller."""
    noise, rate, steps, delta = 1.0, 0.125, 100, 1e-5
    part = optimize.brentq(lambda e: add_or_remove(noise, rate, steps, delta / (1 + math.exp(e))) - e, 0.1, 60)
    assert replace_one(noise, rate, steps, delta) <= 2 * part


def test_without_noise_nothing_is_claimed():
    assert replace_one(0.0, 0.5, 10, 1e-5) == math.inf
    report = trained(DPSGD(0.0)).reported["DPSGD"]
    assert (report["epsilon"], report["guarantee"]) == (None, "none: without noise there is no claim")


def test_the_record_has_the_claim_for_the_updates_that_were_made():
    report = trained(DPSGD(2.0, batch=4)).reported["DPSGD"]
    assert report["epsilon"] == pytest.approx(replace_one(2.0, 0.25, 3, 1e-5))
    assert (report["updates"], report["sampling_rate"], report["guarantee"]) == (3, 0.25, "one image's key replaced")


def test_with_another_trainer_that_sees_images_nothing_is_claimed():
    seen = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t))
    report = trained(seen, DPSGD(2.0)).reported["DPSGD"]
    assert report["epsilon"] is None
    assert "Wrapping sees images" in report["guarantee"]


def test_two_private_trainings_with_one_seed_are_equal_and_noise_is_of_the_handed_out_stream():
    first, second, noisier = (trained(DPSGD(noise)) for noise in (1.0, 1.0, 2.0))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.parameters(), noisier.parameters(), strict=True))


def test_no_trace_of_the_hooks_is_left():
    seen = {}

    def finish(self):
        self.inner.finish()
        hooks = [
            h for m in self.model.network.modules() for h in (*m._forward_hooks.values(), *m._forward_pre_hooks.values())
        ]
        seen["hooks"] = [hook for hook in hooks if not hook.__module__.startswith("solidmark.")]  # ours count evaluations
        seen["rows"] = [p for p in self.model.parameters() if hasattr(p, "grad_sample")]

    trained(DPSGD(0.0), wrapping(finish=finish), train_steps=1)
    assert seen == {"hooks": [], "rows": []}


def test_without_opacus_it_is_not_applicable_and_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(NotApplicable, match=r"pip install 'solidmark\[dp\]'"):
        trained(DPSGD())


def test_steps_and_batch_of_its_own_replace_the_recipes():
    recipe = DPSGD(batch=128, steps=50, rate=0.5).recipe(tiny().recipe)
    assert (recipe.batch, recipe.train_steps, recipe.learning_rate) == (128, 50, 1.5e-3)


@pytest.mark.parametrize("name", ["noise", "clip", "draws", "batch", "steps", "rate", "delta"])
def test_parameters_out_of_range_are_named(name):
    for value in (float("nan"), float("-inf"), -1):
        with pytest.raises(InvalidValue, match=rf"DPSGD\.{name}"):
            DPSGD(**{name: value})


def test_the_family_is_found_by_its_name():
    assert plugins.published("dp-sgd").mitigation == DPSGD()


def test_rows_longer_than_the_clip_are_shortened_to_it_and_counted():
    trainer = object.__new__(PrivateTrainer)
    trainer.mitigation, trainer.total, trainer.clipped, trainer.run = (
        SimpleNamespace(clip=5.0),
        7,
        1,
        SimpleNamespace(done=3),
    )
    rows = [torch.tensor([[3.0], [6.0], [0.3]]), torch.tensor([[4.0], [8.0], [0.4]])]  # norms 5, 10 and 0.5
    summed = [torch.zeros(1), torch.ones(1)]
    trainer._add_clipped(summed, rows)
    assert [float(one) for one in summed] == pytest.approx([3 + 3 + 0.3, 1 + 4 + 4 + 0.4])
    assert (trainer.total, trainer.clipped) == (10, 2)
