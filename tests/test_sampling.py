"""Sampling: guidance, known pixels, links and their counting."""

from dataclasses import dataclass, replace

import pytest
import torch
import worlds
from worlds import Nothing, memorizer, model, sampled

from solidmark import Mitigation, Sampler
from solidmark.errors import InvalidValue, PluginFault
from solidmark.models import Query, Schedule
from solidmark.sampling import Protocol, Service, guide, noises

CAPTIONS = ["one w1", "zero w2", "one w3"]


def linked(**methods):
    """A mitigation whose sampler link has these methods."""
    link = type("Link", (Sampler,), methods)
    return dataclass(frozen=True)(type("Linked", (Mitigation,), {"sampler": lambda self, inner: link(self, inner)}))()


def cooled(scale):
    return dataclass(frozen=True)(type("Cooled", (Mitigation,), {"guidance": lambda self, before, progress: scale}))()


def test_guidance_is_the_stated_combination():
    u, c = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    assert torch.allclose(guide(u, c, 3.0), u + 3 * (c - u))
    assert torch.allclose(guide(u, c, torch.tensor([0.5, 2.0]))[1], u[1] + 2 * (c[1] - u[1]))
    assert torch.equal(guide(u, c, 0.0), u)
    assert torch.equal(guide(u, c, 1), c)


def test_known_pixels_come_out_as_they_went_in():
    asked, known = model(), torch.rand(2, 1, 12, 12)
    free = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    free[..., :3] = True
    noise = noises([0, 1], asked.shape, 9, 0, "test")
    out = Service(asked, worlds.composed(), 0).sample(["one", "zero"], known, free, noise, Protocol(steps=4))
    assert torch.allclose(out[~free], known[~free], atol=1e-6)
    assert not torch.allclose(out[free], known[free], atol=1e-2)


def test_answers_do_not_depend_on_the_batch():
    together = sampled(model(), captions=CAPTIONS)
    noise = noises([2], (1, 12, 12), 9, 0, "test")
    service, free = Service(model(), worlds.composed(), 0), torch.ones(1, 1, 12, 12, dtype=torch.bool)
    alone = service.sample(CAPTIONS[2:], torch.zeros(1, 1, 12, 12), free, noise, Protocol(steps=4))
    assert torch.allclose(together[2:], alone, atol=1e-5)


def test_evaluations_are_counted_a_sample_a_branch_a_step():
    asked = model()
    sampled(asked, captions=CAPTIONS)
    assert (asked.evaluations.forward, asked.evaluations.backward) == (3 * 2 * 4, 0)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_branch_of_weight_zero_is_not_evaluated(scale):
    asked = model()
    sampled(asked, cooled(scale), captions=CAPTIONS)
    assert asked.evaluations.forward == 3 * 4


def test_neutral_links_leave_every_bit_in_either_order():
    passing, plain = linked(after=lambda self, x, x0, t, query: self.inner.after(x, x0, t, query)), cooled(2.0)
    expected = sampled(model(), plain, captions=CAPTIONS)
    assert torch.equal(expected, sampled(model(), plain, passing, captions=CAPTIONS))
    assert torch.equal(expected, sampled(model(), passing, Nothing(), plain, captions=CAPTIONS))


def test_links_wrap_each_other_so_that_both_take_part():
    def scaled(self, u, c, t, query):
        return 2 * self.inner.scale(u, c, t, query)

    twice = sampled(model(), linked(scale=scaled), linked(scale=scaled), captions=CAPTIONS)
    assert torch.allclose(twice, sampled(model(), cooled(12.0), captions=CAPTIONS), atol=1e-5)


def test_an_overridden_method_that_is_never_asked_names_both_mitigations():
    swallows = linked(predict=lambda self, x, t, query: self.model.predict(x, t, query.embeddings).noise)
    silenced = linked(scale=lambda self, u, c, t, query: 0.0)
    with pytest.raises(PluginFault, match=r"scale: found it was never asked; outside it stand Linked \(predict\)"):
        sampled(model(), silenced, swallows, captions=CAPTIONS)


@pytest.mark.parametrize("wrong", [lambda x: x[:1], lambda x: x * float("nan")])
def test_a_link_that_returns_a_wrong_shape_or_nan_is_named(wrong):
    bad = linked(predict=lambda self, x, t, query: wrong(self.inner.predict(x, t, query)))
    with pytest.raises(PluginFault, match="Linked, sampler, step from 37"):
        sampled(model(), bad, captions=CAPTIONS)


def test_a_refused_query_is_answered_by_a_blank_image():
    def refuse(self, query: Query) -> Query:
        return replace(query, refused=torch.tensor([False, True, False]))

    answers = sampled(model(), linked(prepare=refuse), captions=CAPTIONS)
    assert answers[1].eq(0.5).all()
    assert answers[0].std() > 0


def test_the_solver_with_all_steps_is_ddpm():
    """Against the posterior mean and variance of Denoising Diffusion Probabilistic Models, equations 6 and 7."""
    schedule, t = Schedule("linear", 100), 60
    x, eps, noise = torch.randn(3, 2, 1, 3, 3).unbind()
    signal, before = schedule.alpha(t) ** 2, schedule.alpha(t - 1) ** 2
    beta = 1 - signal / before
    x0 = (x - schedule.sigma(t) * eps) / schedule.alpha(t)
    mean = (before.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - before) * x) / (1 - signal)
    expected = mean + (beta * (1 - before) / (1 - signal)).sqrt() * noise
    assert torch.allclose(schedule.step(x, eps, t, t - 1, 1.0, noise)[0], expected, atol=1e-5)


def test_the_last_step_gives_the_predicted_clean_image():
    schedule, clean, noise = Schedule("linear", 100), torch.rand(1, 1, 2, 2), torch.randn(1, 1, 2, 2)
    x = schedule.add_noise(clean, noise, 40)
    assert torch.allclose(schedule.step(x, noise, 40, -1, 1.0, noise)[0], clean, atol=1e-5)


def test_times_are_even_and_end_at_zero():
    assert Schedule("linear", 1000).times(4) == [750, 500, 250, 0]


@pytest.mark.parametrize("steps", [0, 1001])
def test_more_steps_than_the_schedule_has_are_refused(steps):
    with pytest.raises(InvalidValue, match="1 to 1000"):
        Schedule("linear", 1000).times(steps)


def test_a_protocol_out_of_range_is_refused():
    with pytest.raises(InvalidValue, match="eta in"):
        Protocol(eta=2.0)


def test_the_perfect_memorizer_generates_what_it_memorized():
    laid = worlds.board()
    answers = sampled(memorizer(laid), captions=laid.trained.captions, protocol=Protocol(steps=25))
    assert torch.allclose(answers, laid.marked_trained.images, atol=1e-3)
