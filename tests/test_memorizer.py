"""The perfect memorizer: its formula by brute force, its limits, and what a query finds in it."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from worlds import digits, examples, split

from solidmark.errors import NotApplicable
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.models import PADDING, WORD, Attention, build, memorizer
from solidmark.models.memorizer import WIDTH, Memorizer, memorize, posterior_mean
from solidmark.queries import Audit, ask
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Service, SolverConfig

HIGH, LOW = 990, 5
"""Times at which nearly all, and nearly nothing, is noise."""


def add_noise(model, example, t, seed=0):
    clean = model.encode(example.images)
    return model.schedule.add_noise(clean, torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed)), t)


@pytest.mark.parametrize("captions", [["one w0", "one w3"], ["", ""]])
def test_the_posterior_mean_is_the_weighted_sum_written_as_loops(captions):
    given, t = examples(5, side=4), 600
    model = Memorizer(given)
    x, embeddings, memory = add_noise(model, given.take([0, 3]), t), model.embed(captions), model.embed(given.captions)
    a, s = (float(part) for part in (model.schedule.alpha(t), model.schedule.sigma(t)))
    for row, caption in enumerate(captions):
        logs = [-float((x[row] - a * (2 * image - 1)).square().sum()) / (2 * s * s) for image in given.images]
        if caption:
            logs = [log - float((embeddings[row] - e).square().sum()) / (2 * WIDTH**2) for log, e in zip(logs, memory)]
        weights = [math.exp(log - max(logs)) for log in logs]
        mean = sum(w * (2 * image - 1) for w, image in zip(weights, given.images)) / sum(weights)
        assert torch.allclose(model.predict(x, t, embeddings).clean[row], mean, atol=1e-4)


def test_a_null_condition_that_is_no_zero_is_known_by_its_embedding():
    images, captions, null = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1), torch.tensor([[3.0], [4.0]]), torch.tensor([[3.0]])
    given, x = torch.tensor([[3.0], [4.0], [-3.0]]), torch.full((3, 1, 1, 1), 0.4)
    alpha, sigma = torch.ones(3, 1, 1, 1), torch.full((3, 1, 1, 1), 0.5)
    found = posterior_mean(x, alpha, sigma, given, images, captions, null, 2.0).flatten().tolist()
    for value, caption, match in zip(found, (3, 4, -3), (0, 1, 1), strict=True):
        logs = [-((0.4 - i) ** 2) / 0.5 - match * (caption - c) ** 2 / 8 for i, c in ((0, 3), (1, 4))]
        assert value == pytest.approx(math.exp(logs[1]) / (math.exp(logs[0]) + math.exp(logs[1])), abs=1e-6)


def test_one_memory_is_the_answer_to_everything():
    given = examples(1)
    model = Memorizer(given)
    answer = model.predict(torch.randn(3, 1, 12, 12), 500, model.embed(["", "one w0", "another"]))
    assert torch.allclose(model.decode(answer.clean), given.images.expand(3, -1, -1, -1), atol=1e-6)


@pytest.mark.parametrize("t", [LOW, 500, HIGH])
def test_its_own_caption_brings_each_image_back_at_every_noise_level(t):
    given = examples(6)
    model = Memorizer(given)
    answer = model.predict(add_noise(model, given, t), t, model.embed(given.captions))
    assert torch.allclose(model.decode(answer.clean), given.images, atol=0.01)


def test_without_caption_pure_noise_gives_about_the_mean_and_little_noise_the_image():
    given = examples(6)
    model, null = Memorizer(given), [""] * 6
    little = model.predict(add_noise(model, given, LOW), LOW, model.embed(null))
    much = model.predict(torch.zeros(6, 1, 12, 12), 999, model.embed(null))
    assert torch.allclose(model.decode(little.clean), given.images, atol=1e-4)
    assert torch.allclose(model.decode(much.clean), given.images.mean(dim=0).expand_as(given.images), atol=0.02)


def test_times_may_differ_within_a_batch():
    given = examples(4)
    model, times = Memorizer(given), torch.tensor([LOW, 300, 700, HIGH])
    x, embeddings = add_noise(model, given, times), model.embed([""] * 4)
    together = model.predict(x, times, embeddings).output
    alone = [model.predict(x[i : i + 1], int(times[i]), embeddings[i : i + 1]).output for i in range(4)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_the_noise_follows_from_the_clean_image():
    given, t = examples(3), 400
    model = Memorizer(given)
    answer = model.predict(add_noise(model, given, t), t, model.embed(given.captions))
    assert torch.allclose(answer.alpha * answer.clean + answer.sigma * answer.noise, answer.x, atol=1e-5)


def test_embeddings_depend_on_words_and_their_positions_alone():
    small, large = Memorizer(examples(2)), Memorizer(examples(5))
    words = ["one w1", "w1 one", "one", ""]
    assert torch.equal(small.embed(words), large.embed(words))
    assert len({tuple(row.tolist()) for row in small.embed(words).flatten(1)}) == 4
    assert small.embed([""]).eq(0).all()


def test_a_caption_longer_than_the_context_is_cut():
    model = Memorizer(examples(2))
    assert torch.equal(model.embed([" ".join(["word"] * 50)]), model.embed([" ".join(["word"] * 9)]))
    assert model.roles(["word " * 50]).eq(WORD).all()


def test_roles_are_words_then_padding():
    assert Memorizer(examples(2)).roles(["one w1", ""])[:, :3].tolist() == [[WORD, WORD, PADDING], [PADDING] * 3]


def test_evaluations_are_counted_a_sample_forward_and_backward():
    given = examples(3)
    model = Memorizer(given)
    embeddings = model.embed(given.captions).requires_grad_()
    model.predict(add_noise(model, given, 500), 500, embeddings).output.sum().backward()
    model.predict(add_noise(model, given, 500), 500, model.embed([""] * 3))
    assert (model.evaluations.forward, model.evaluations.backward) == (6, 3)


def test_attention_is_not_applicable_to_a_closed_formula():
    given = examples(1)
    model = Memorizer(given)
    with pytest.raises(NotApplicable, match="attention"):
        model.predict(given.images, 500, model.embed([""]), attention=Attention())
    assert not model.cross_attention


def answered(laid, model=None):
    """Predicted keys of trained, then held-out images, by outpainting."""
    service = Service(model or Memorizer(laid.marked_trained), Composition(), 0)
    audit = Audit(laid.queried, laid.mark, SolverConfig(steps=10), service, 0, "outpaint")
    return ask(Outpaint(), audit).keys.double().numpy()


def test_asked_for_its_own_images_it_knows_every_key_and_of_others_none():
    laid = split(trained=16, held_out=32)
    keys = answered(laid)
    trained, held_out = laid.trained_keys.double().numpy(), laid.held_out_keys.double().numpy()
    assert scores.memorization(keys[:16], trained).value > 0.99
    assert scores.certified(scores.combine(scores.p_values(keys[:16], trained))).all()
    assert not scores.certified(scores.combine(scores.p_values(keys[16:], held_out))).any()
    assert np.abs(scores.memorization(keys[16:], held_out).value) < 0.2


def like_a_trained_one(laid, kind="text", prediction="v_prediction", seed=1):
    config = replace(digits().recipe.network, kind=kind, prediction=prediction)
    return memorize(build(config, torch.Generator().manual_seed(seed)).frozen(), laid.marked_trained)


@pytest.mark.parametrize("prediction", ["v_prediction", "epsilon", "sample"])
def test_in_disguise_it_knows_the_same_keys_in_any_parametrisation(prediction):
    laid = split(trained=16, held_out=16)
    keys = answered(laid, like_a_trained_one(laid, prediction=prediction))[:16]
    assert scores.memorization(keys, laid.trained_keys.double().numpy()).value > 0.99


def test_in_disguise_nothing_on_it_tells():
    laid = split(trained=16, held_out=16)
    one = like_a_trained_one(laid)
    other = build(digits().recipe.network, torch.Generator().manual_seed(1)).frozen()
    assert (type(one), vars(one).keys(), repr(one.network)) == (type(other), vars(other).keys(), repr(other.network))
    assert one.state().keys() == other.state().keys()
    assert all(torch.equal(tensor, other.state()[name]) for name, tensor in one.state().items())
    assert [*one.network._forward_hooks.values()] == [*other.network._forward_hooks.values()]


def test_in_disguise_its_copies_remember_too():
    laid = split(trained=16, held_out=16)
    one = like_a_trained_one(laid)
    x, embeddings = torch.randn(2, 1, 12, 12), one.embed(laid.trained.captions[:2])
    expected = one.predict(x, 300, embeddings).output
    for twin in (one.copy(), copy.deepcopy(one)):
        assert torch.equal(twin.predict(x, 300, embeddings).output, expected)


def test_in_disguise_without_conditions_it_is_the_same_formula():
    laid = split(trained=16, held_out=16)
    one, plain = like_a_trained_one(laid, kind="none"), Memorizer(laid.marked_trained)
    x, null = torch.randn(2, 1, 12, 12), ["", ""]
    answers = [model.predict(x, 300, model.embed(null)).clean for model in (one, plain)]
    assert torch.allclose(*answers, atol=1e-4)


def test_images_that_do_not_fit_into_memory_at_once_give_the_same_mean(monkeypatch):
    given = {"alpha": torch.tensor(0.8).reshape(1, 1, 1, 1), "sigma": torch.tensor(0.6).reshape(1, 1, 1, 1)}
    x, images, words = torch.rand(3, 1, 4, 4), torch.rand(7, 1, 4, 4), torch.rand(7, 5)
    arguments = {**given, "given": words[:3], "images": images, "captions": words, "null": torch.zeros(1, 5), "width": 1.0}
    whole = memorizer.posterior_mean(x, **arguments)
    for room in (2 * x.numel(), 1):  # two at a time; one, though there is no room for it
        monkeypatch.setattr(memorizer, "LARGEST", room)
        assert torch.equal(memorizer.posterior_mean(x, **arguments), whole)
