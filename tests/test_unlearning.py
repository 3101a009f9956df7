"""Unlearning: each method against its closed form, on models of a few thousand weights."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from scipy import optimize, stats
from solidmark.mitigations import siss as siss_module
from solidmark.mitigations.erasediff import constrained
from solidmark.mitigations.salun import largest

from solidmark import plugins, seeds
from solidmark.data import Examples
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation import Needs, WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.mitigation.run import TrainingSet
from solidmark.models import build
from solidmark.models.denoising import draw_noised_batch, global_norm, gradients, minimize_loss
from solidmark.training import train


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def handed_out(forget=3, retain=5):
    examples = worlds.examples(forget + retain)
    parts = {"forget": examples.take(range(forget)), "retain": examples.take(range(forget, forget + retain))}
    return Data(Needs.FORGET, "test", **parts, recipe=worlds.tiny().recipe)


def rng(purpose="unlearning"):
    return seeds.torch_rng(0, purpose)


def edited(name, model=None, **values):
    return make(name, **values).edit((model or worlds.model()).copy(), handed_out(), rng())


def of_kind(kind):
    return build(replace(worlds.NETWORK, kind=kind), rng("weights")).frozen()


def gradient(loss, model):
    return gradients(loss, model.parameters())


POST_HOC = ("neggrad", "neggrad-plus", "erasediff", "siss", "esd", "salun", "adversarial-finetune")
FEW = {"adversarial-finetune": {"rounds": 1, "updates": 1, "search": 2, "batch": 4}}


@pytest.mark.parametrize("kind", ["label", "none"])
@pytest.mark.parametrize("name", POST_HOC)
def test_other_kinds_of_model_are_edited_or_refused_as_not_applicable(name, kind):
    refused = {"esd": ("label", "none"), "adversarial-finetune": ("none",)}
    values = FEW.get(name, {"updates": 1, "batch": 4})
    if kind in refused.get(name, ()):
        with pytest.raises(NotApplicable, match=f"mitigation {name}"):
            edited(name, of_kind(kind), **values)
    else:
        assert all(bool(weight.isfinite().all()) for weight in edited(name, of_kind(kind), **values).parameters())


def test_descent_is_following_the_gradient_of_the_loss():
    edited_model, trained = worlds.model().copy(), worlds.model().copy()
    given, stream = handed_out(), rng()
    make("neggrad", updates=2, batch=8).edit(edited_model, handed_out(), rng())

    def loss():
        return -draw_noised_batch(trained, given.forget, stream, 8, given.recipe).losses(trained).mean()

    minimize_loss(trained, loss, 2, 0.01 * given.recipe.learning_rate)
    pairs = zip(edited_model.parameters(), trained.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_neggrad_raises_the_loss_of_what_is_to_be_forgotten():
    batch = draw_noised_batch(worlds.model(), handed_out().forget, rng("test"), size=256)
    after = edited("neggrad", updates=20, rate=0.5)
    assert batch.losses(after).mean() > batch.losses(worlds.model()).mean()


def test_neggrad_plus_descends_the_weighted_difference():
    model, data = worlds.model().copy(), handed_out()
    stream, recipe = rng(), data.recipe
    retained = gradient(draw_noised_batch(model, data.retain, stream, 8, recipe).losses(model).mean(), model)
    forgotten = gradient(draw_noised_batch(model, data.forget, stream, 8, recipe).losses(model).mean(), model)
    both = make("neggrad-plus", keep=0.8, batch=8)._gradients(model, data, rng(), model.parameters())
    for total, keep, leave in zip(both, retained, forgotten, strict=True):
        torch.testing.assert_close(total, 0.8 * keep - 0.2 * leave)


@pytest.mark.parametrize("push", [0.0, 0.1, 2.0])
def test_erasediff_is_the_nearest_vector_that_erases_fast_enough(push):
    """Against a numerical solution: least ‖d - keep‖² subject to <d, erase> >= push ‖erase‖²."""
    keep, erase = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([-1.0, 1.0, 2.0])
    combination = (keep + constrained([keep[:2], keep[2:]], [erase[:2], erase[2:]], push) * erase).numpy()
    k, e = keep.double().numpy(), erase.double().numpy()
    enough = {"type": "ineq", "fun": lambda d: d @ e - push * (e @ e)}
    solved = optimize.minimize(lambda d: ((d - k) ** 2).sum(), k, constraints=[enough], tol=1e-12)
    assert combination == pytest.approx(solved.x, abs=1e-4)


def test_erasediff_leaves_a_gradient_that_erases_already_and_bears_one_that_is_zero():
    keep, erase = [torch.tensor([3.0, 0.0])], [torch.tensor([1.0, 1.0])]
    assert constrained(keep, erase, 0.5) == constrained(keep, [torch.zeros(2)], 0.5) == 0


def test_erasediff_draws_predictions_to_uniform_noise():
    """With no retained gradient to speak of, the mean predicted noise of forgotten images tends to 1/2, that of U[0, 1)."""
    after = edited("erasediff", push=100.0, updates=60, rate=6.0, batch=8)
    batch = draw_noised_batch(after, handed_out().forget, rng("test"), size=256)
    assert float(batch.predict(after).noise.mean().detach()) == pytest.approx(0.5, abs=0.2)


def gaussians(mixture, count=4):
    """m, both means, sigma, and the two densities by scipy."""
    generator = torch.Generator().manual_seed(3)
    m, x, a = torch.randn(3, count, 1, 2, 2, generator=generator)
    sigma = torch.tensor([0.3, 0.7, 1.0, 2.0]).reshape(-1, 1, 1, 1)
    q = [np.exp(stats.norm.logpdf(m.numpy(), mean.numpy(), sigma.numpy()).reshape(count, -1).sum(axis=1)) for mean in (x, a)]
    return siss_module.importance(m, x, a, sigma, mixture), q


@pytest.mark.parametrize("mixture", [0.1, 0.5, 0.9])
def test_siss_weights_are_density_ratios_whose_mixture_is_one(mixture):
    (w_x, w_a), (q_x, q_a) = gaussians(mixture)
    mixed = (1 - mixture) * q_x + mixture * q_a
    assert w_x.numpy() == pytest.approx(q_x / mixed, rel=1e-3)
    assert w_a.numpy() == pytest.approx(q_a / mixed, rel=1e-3)
    assert ((1 - mixture) * w_x + mixture * w_a).numpy() == pytest.approx(np.ones(4), rel=1e-5)


def test_siss_weights_stay_finite_where_the_noise_vanishes():
    m, a = torch.ones(1, 1, 4, 4), -torch.ones(1, 1, 4, 4)
    w_x, w_a = siss_module.importance(m, m, a, torch.full((1, 1, 1, 1), 1e-3), 0.25)
    assert (w_x.item(), w_a.item()) == pytest.approx((1 / 0.75, 0.0))


def brute_force(model, data, mixture, size):
    """Both terms of SISS from the paper's formulas, with densities by scipy, in the order in which numbers are drawn."""
    stream, total = rng(), np.zeros(2)
    x, a = draw_noised_batch(model, data.retain, stream, size), draw_noised_batch(model, data.forget, stream, size)
    taken, dropped = torch.rand(size, generator=stream) < mixture, torch.rand(size, generator=stream) < 0.1
    for i in range(size):
        alpha, sigma = model.schedule.alpha(x.t[i]), model.schedule.sigma(x.t[i])
        clean, caption = (a.clean[i], a.captions[i]) if taken[i] else (x.clean[i], x.captions[i])
        m = alpha * clean[None] + sigma * x.noise[i][None]
        logs = [stats.norm.logpdf(m.numpy(), (alpha * c).numpy(), sigma.item()).sum() for c in (x.clean[i], a.clean[i])]
        q = np.exp(np.array(logs) - max(logs))
        prediction = model.predict(m, x.t[i], model.embed(["" if dropped[i] else caption]))
        errors = [prediction.losses(c[None], (m - alpha * c) / sigma).mean().item() for c in (x.clean[i], a.clean[i])]
        total += q / ((1 - mixture) * q[0] + mixture * q[1]) * errors
    return total / size


@pytest.mark.parametrize("mixture", [0.25, 0.5])
def test_siss_terms_equal_a_computation_image_by_image(mixture):
    model, data = worlds.model(), handed_out()
    terms = make("siss", mixture=mixture)._terms(model, data, rng(), 12)
    assert [term.item() for term in terms] == pytest.approx(brute_force(model, data, mixture, 12), rel=1e-3)


def test_siss_without_captions_estimates_the_two_plain_losses():
    """Importance sampling is unbiased: L_X is the denoising loss of retained images, L_A that of forgotten ones."""
    model, data = of_kind("none"), handed_out()
    with torch.no_grad():
        terms = torch.stack([torch.stack(make("siss")._terms(model, data, rng(n), 1500)) for n in range(4)]).mean(0)
        plain = [
            draw_noised_batch(model, part, rng("plain"), 6000).losses(model).mean() for part in (data.retain, data.forget)
        ]
    assert terms.tolist() == pytest.approx([loss.item() for loss in plain], rel=0.05)


def test_siss_subtracts_a_gradient_of_its_share_or_of_its_superfactor():
    keep, leave = [torch.tensor([3.0, 4.0])], [torch.tensor([0.0, 0.1])]
    assert float(make("siss", share=0.1)._scale(keep, leave, 0.25) * 0.1) == pytest.approx(0.5)
    assert make("siss", superfactor=2.0)._scale(keep, leave, 0.25) == 0.5


def test_siss_clips_the_whole_gradient():
    assert torch.cat(siss_module.clip([torch.tensor([3.0]), torch.tensor([4.0])])).tolist() == pytest.approx([0.6, 0.8])
    assert siss_module.clip([torch.tensor([0.5])])[0].tolist() == [0.5]


def test_esd_changes_the_cross_attention_alone_or_all_but_it():
    start = worlds.model()
    attention = [id(w) for module in start.cross_attention.values() for w in module.parameters()]
    is_attention = [id(w) in attention for w in start.parameters()]
    for weights, inside in (("x", True), ("u", False)):
        pairs = zip(edited("esd", updates=1, weights=weights).parameters(), start.parameters(), is_attention, strict=True)
        changed = {within for after, before, within in pairs if not torch.equal(after, before)}
        assert changed == {inside}


def test_esd_aims_opposite_to_the_caption():
    model, x, captions = worlds.model(), torch.randn(2, 1, 12, 12), ["one w1", "zero w2"]
    conditional, null = (model.predict(x, 30, model.embed(words)).noise for words in (captions, ["", ""]))
    target = make("esd", away=0.5)._target(model, x, 30, captions)
    torch.testing.assert_close(target, 1.5 * null - 0.5 * conditional)


def test_salun_moves_none_but_the_most_salient_weights():
    start = worlds.model()
    mask = make("salun", density=0.1)._mask(start.copy(), handed_out(), rng())
    after = edited("salun", updates=2, density=0.1)
    fixed = [~m for m in mask]
    assert sum(int(m.sum()) for m in mask) == round(0.1 * sum(m.numel() for m in mask))
    assert all(torch.equal(a[f], b[f]) for a, b, f in zip(after.parameters(), start.parameters(), fixed, strict=True))


def test_the_most_salient_weights_are_largest_over_all_tensors():
    masks = largest([torch.tensor([[1.0, -9.0]]), torch.tensor([3.0, 0.0])], 0.5)
    assert [mask.tolist() for mask in masks] == [[[False, True]], [True, False]]


def test_salun_relabels_with_another_caption_or_not_at_all():
    data, alike = handed_out(), Examples(torch.rand(3, 1, 12, 12), ["one"] * 3, [0, 1, 2])
    same = Data(Needs.FORGET, "test", forget=alike, retain=alike, recipe=worlds.tiny().recipe)
    with pytest.raises(NotApplicable, match="no caption but 'one'"):
        make("salun")._relabelling_loss(worlds.model(), same, rng(), 8)
    assert make("salun")._relabelling_loss(worlds.model(), data, rng(), 8) > 0


def test_salun_s_mask_is_made_from_gradients_of_norm_one():
    """However large the errors of the guided prediction are, each of the ten batches counts alike."""
    data, model = handed_out(), worlds.model().copy()
    found = make("salun", batch=4)._saliency(model, data.forget, rng(), data)
    assert float(global_norm(found)) == pytest.approx(1.0, rel=1e-4)


def test_erasediff_as_released_draws_predictions_to_those_under_other_captions():
    """Its loss is the distance of two predictions of one model, so that it is 0 where the captions say the same."""
    data = handed_out()
    blank = Data(Needs.FORGET, "test", forget=data.forget, retain=data.retain, recipe=data.recipe)
    released = make("erasediff", target="class", weight=0.1)
    model = of_kind("none")
    assert released._erasing_loss(model, blank, rng(), 4).item() == 0
    assert released._erasing_loss(worlds.model(), data, rng(), 4).item() > 0
    assert edited("erasediff", target="class", weight=0.1, updates=1).evaluations.forward == 3 * 32


def test_siss_from_a_late_start_draws_late_timesteps_alone(monkeypatch):
    model, drawn = worlds.model(), []
    monkeypatch.setattr(siss_module, "importance", lambda m, x, a, sigma, mixture: drawn.append(sigma) or (sigma, sigma))
    make("siss", start=49)._terms(model, handed_out(), rng(), 6)
    assert torch.equal(drawn[0], model.schedule.sigma(torch.full((6,), 49)))
    with pytest.raises(NotApplicable, match="start=50"):
        edited("siss", start=50)


def test_an_adversarial_search_lowers_the_loss_of_the_forgotten_images_and_leaves_the_model():
    model, forget = worlds.model().copy(), handed_out().forget
    before = [weight.detach().clone() for weight in model.parameters()]
    embeddings = make("adversarial-finetune", search=20)._search(model, forget, rng(), worlds.tiny().recipe)
    batches = [draw_noised_batch(model, forget, rng(n)) for n in range(20)]
    plain, searched = (sum(b.losses(model, e).mean().item() for b in batches) for e in (None, embeddings))
    assert searched < plain
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))


def batches_without(share, count=8, size=4, epochs=6):
    """The batches that a retraining draws from shuffled epochs of `count` images, of which 0, 1, 2 are to be forgotten."""
    stream = torch.Generator().manual_seed(0)
    endless = torch.cat([torch.randperm(count, generator=stream) for _ in range(epochs)]).split(size)
    run = SimpleNamespace(examples=SimpleNamespace(ids=list(range(count))))
    inner = SimpleNamespace(context=WrapperContext("retrain", rng(), handed_out()), model=None, run=run)
    inner.prepare, inner.batches = (lambda: None), lambda: iter(endless)
    wrapper = make("retrain", share=share).trainer(inner)
    wrapper.prepare()
    return list(wrapper.batches())


def test_retraining_never_sees_a_forgotten_image_and_all_others_once_an_epoch():
    batches = batches_without(1.0)
    assert {len(batch) for batch in batches} == {4}
    seen = torch.bincount(torch.cat(batches), minlength=8)
    assert seen[:3].tolist() == [0, 0, 0]
    assert seen[3:].min() >= 5


@pytest.mark.parametrize(("share", "left_out"), [(0.01, 1), (0.5, 2), (1.0, 3)])
def test_retraining_leaves_out_a_share_of_the_list(share, left_out):
    seen = torch.bincount(torch.cat(batches_without(share)), minlength=8)
    assert int((seen == 0).sum()) == left_out


def test_retraining_takes_as_many_steps_as_the_baseline():
    testbed = worlds.tiny()
    laid = testbed.split(0)
    composition = worlds.composed(make("retrain"))
    given = (TrainingSet(laid.training, laid.training_keys, laid.mark), composition, 0)
    assert train(testbed.recipe, *given, data=laid.handed_out()).evaluations.forward == 3 * 8


@pytest.mark.parametrize(
    ("forget", "found"),
    [
        ((0, 1, 16), "unknown indices 16"),
        ((0, 1, 2.0), "unknown indices 2.0"),
        ((0, 1, -1), "unknown indices -1"),
        ((0, 1, 1, 2), "1 more than once"),
        ((0, 1), "2 of 16 indices"),
        (tuple(range(16)), "16 of 16 indices"),
        (5, "5; expected a tuple"),
    ],
)
def test_a_forget_list_of_unknown_repeated_or_all_images_is_refused(forget, found):
    with pytest.raises(InvalidValue, match=rf"Digits\.forget: found {found}"):
        worlds.digits(trained=16, forget=forget)


@pytest.mark.parametrize("share", [0, 1, -0.5, float("nan")])
def test_a_share_that_forgets_nothing_or_all_is_refused(share):
    with pytest.raises(InvalidValue, match=r"Digits\.forget_share"):
        worlds.digits(trained=16, forget_share=share)


def test_a_forget_list_may_be_given():
    drawn, given = worlds.digits(trained=16).split(0), worlds.digits(trained=16, forget=(5, 2, 9)).split(0)
    assert given.forget == [2, 5, 9]
    assert given.handed_out()["forget"].ids == [drawn.trained.ids[index] for index in (2, 5, 9)]
    assert len(given.handed_out()["retain"]) == 13
