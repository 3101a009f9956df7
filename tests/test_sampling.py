"""Sampling: guidance, observed pixels, named noise, wrappers, and the count of evaluations."""

from dataclasses import dataclass, replace

import pytest
import torch
import worlds
from worlds import NoHooks, generate, memorizer, model

from solidmark import Mitigation, Sampler, sampling
from solidmark.errors import InvalidValue, PluginFault
from solidmark.models import SamplingBatch, Schedule, ScheduleConfig
from solidmark.sampling import Noises, Service, SolverConfig, guide, noises

CAPTIONS = ["one w1", "zero w2", "one w3"]


def wrapping(**methods):
    """A mitigation whose sampler has these methods."""
    wrapper = type("Wrapper", (Sampler,), methods)
    return dataclass(frozen=True)(type("Wrapping", (Mitigation,), {"sampler": lambda self, inner: wrapper(self, inner)}))()


def cooled(scale):
    return dataclass(frozen=True)(type("Cooled", (Mitigation,), {"guidance": lambda self, before, step_fraction: scale}))()


def test_guidance_is_the_stated_combination():
    u, c = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    assert torch.allclose(guide(u, c, 3.0), u + 3 * (c - u))
    assert torch.allclose(guide(u, c, torch.tensor([0.5, 2.0]))[1], u[1] + 2 * (c[1] - u[1]))
    assert torch.equal(guide(u, c, 0.0), u)
    assert torch.equal(guide(u, c, 1), c)


def test_observed_pixels_come_out_as_they_went_in():
    denoiser, observed = model(), torch.rand(2, 1, 12, 12)
    mask = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    mask[..., :3] = True
    noise = noises([0, 1], denoiser.shape, 9, 0, "test")
    out = Service(denoiser, worlds.composed(), 0).sample(["one", "zero"], observed, mask, noise, SolverConfig(steps=4))
    assert torch.allclose(out[~mask], observed[~mask], atol=1e-6)
    assert not torch.allclose(out[mask], observed[mask], atol=1e-2)


def counted(solver):
    """The names of the draws in the order in which a run without names would count them: (name, step, round)."""
    yield "initial", 0, 0
    for step in range(solver.visited):
        last = step == solver.visited - 1
        for round_ in range(1 if last else solver.rounds):
            yield "solver", step, round_
            yield "observed", step, round_
            if not last and round_ < solver.rounds - 1:
                yield "renoise", step, round_


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_each_draw_has_one_name_in_the_order_of_the_run(rounds):
    """The last step is not repeated, so that only the draws of its further rounds stay without use."""
    solver = SolverConfig(steps=3, rounds=rounds)
    named = Noises(torch.arange(solver.draws)[None], solver)
    order = [getattr(named, name) if name == "initial" else getattr(named, name)(*at) for name, *at in counted(solver)]
    assert [int(draw) for draw in order] == list(range(solver.draws - 3 * (rounds - 1)))


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_the_names_cover_all_draws_once(rounds):
    solver = SolverConfig(steps=3, rounds=rounds)
    named, indices = Noises(torch.arange(solver.draws)[None], solver), [(k, r) for k in range(3) for r in range(rounds)]
    drawn = [named.initial, *(draw(*index) for index in indices for draw in (named.solver, named.observed))]
    drawn += [named.renoise(step, round_) for step, round_ in indices if round_ < rounds - 1]
    assert sorted(int(draw) for draw in drawn) == list(range(solver.draws))


class Recorder:
    """Noise that records which draws are taken."""

    def __init__(self, noise):
        self.noise, self.order = noise, []

    def __getitem__(self, index):
        self.order.append(index[1])
        return self.noise[index]


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_a_run_takes_each_draw_once_and_in_order(rounds):
    """As an iterator over the draws would: initial, then in each step and round solver, observed, renoise."""
    solver, denoiser = SolverConfig(steps=3, rounds=rounds), model()
    recorder = Recorder(noises([0], denoiser.shape, solver.draws, 0, "test"))
    mask = torch.ones(1, 1, 12, 12, dtype=torch.bool)
    Service(denoiser, worlds.composed(), 0).sample(["one"], torch.zeros(1, 1, 12, 12), mask, recorder, solver)
    assert recorder.order == list(range(solver.draws - 3 * (rounds - 1)))


def test_answers_do_not_depend_on_the_batch():
    together = generate(model(), captions=CAPTIONS)
    noise = noises([2], (1, 12, 12), 9, 0, "test")
    service, mask = Service(model(), worlds.composed(), 0), torch.ones(1, 1, 12, 12, dtype=torch.bool)
    alone = service.sample(CAPTIONS[2:], torch.zeros(1, 1, 12, 12), mask, noise, SolverConfig(steps=4))
    assert torch.allclose(together[2:], alone, atol=1e-5)


def test_evaluations_are_counted_a_sample_a_branch_a_step():
    denoiser = model()
    generate(denoiser, captions=CAPTIONS)
    assert (denoiser.evaluations.forward, denoiser.evaluations.backward) == (3 * 2 * 4, 0)


@pytest.mark.parametrize("scale", [0.0, 1.0])
def test_a_branch_of_weight_zero_is_not_evaluated(scale):
    denoiser = model()
    generate(denoiser, cooled(scale), captions=CAPTIONS)
    assert denoiser.evaluations.forward == 3 * 4


def test_both_branches_give_the_same_in_one_call_as_in_two_and_count_as_many_evaluations(monkeypatch):
    denoiser, found = model(), []
    for together in (2**18, 0):
        monkeypatch.setattr(sampling, "TOGETHER", together)
        before = denoiser.evaluations.forward
        found.append((generate(denoiser, captions=CAPTIONS), denoiser.evaluations.forward - before))
    assert torch.allclose(found[0][0], found[1][0], atol=1e-5)
    assert found[0][1] == found[1][1]


def test_neutral_wrappers_leave_every_bit_in_either_order():
    passing, plain = wrapping(after=lambda self, x, x0, t, batch: self.inner.after(x, x0, t, batch)), cooled(2.0)
    expected = generate(model(), plain, captions=CAPTIONS)
    assert torch.equal(expected, generate(model(), plain, passing, captions=CAPTIONS))
    assert torch.equal(expected, generate(model(), passing, NoHooks(), plain, captions=CAPTIONS))


def test_wrappers_wrap_each_other_so_that_both_take_part():
    def scaled(self, u, c, t, batch):
        return 2 * self.inner.scale(u, c, t, batch)

    twice = generate(model(), wrapping(scale=scaled), wrapping(scale=scaled), captions=CAPTIONS)
    assert torch.allclose(twice, generate(model(), cooled(12.0), captions=CAPTIONS), atol=1e-5)


def test_an_overridden_method_that_is_never_called_names_both_mitigations():
    swallows = wrapping(predict=lambda self, x, t, batch: self.model.predict(x, t, batch.embeddings).noise)
    overridden = wrapping(scale=lambda self, u, c, t, batch: 0.0)
    with pytest.raises(PluginFault, match=r"scale: found it was never called; outside it: Wrapping \(predict\)"):
        generate(model(), overridden, swallows, captions=CAPTIONS)


@pytest.mark.parametrize("wrong", [lambda x: x[:1], lambda x: x * float("nan")])
def test_a_wrapper_that_returns_a_wrong_shape_or_nan_is_named(wrong):
    bad = wrapping(predict=lambda self, x, t, batch: wrong(self.inner.predict(x, t, batch)))
    with pytest.raises(PluginFault, match="Wrapping, sampler, step from 37"):
        generate(model(), bad, captions=CAPTIONS)


def test_a_refused_query_is_answered_by_a_blank_image():
    def refuse(self, batch: SamplingBatch) -> SamplingBatch:
        return replace(batch, refused=torch.tensor([False, True, False]))

    answers = generate(model(), wrapping(prepare=refuse), captions=CAPTIONS)
    assert answers[1].eq(0.5).all()
    assert answers[0].std() > 0


def test_the_solver_with_all_steps_is_ddpm():
    """Against the posterior mean and variance of Denoising Diffusion Probabilistic Models, equations 6 and 7."""
    schedule, t = Schedule(ScheduleConfig("linear", 100)), 60
    x, eps, noise = torch.randn(3, 2, 1, 3, 3).unbind()
    signal, before = schedule.alpha(t) ** 2, schedule.alpha(t - 1) ** 2
    beta = 1 - signal / before
    x0 = (x - schedule.sigma(t) * eps) / schedule.alpha(t)
    mean = (before.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - before) * x) / (1 - signal)
    expected = mean + (beta * (1 - before) / (1 - signal)).sqrt() * noise
    assert torch.allclose(schedule.step(x, eps, t, t - 1, 1.0, noise)[0], expected, atol=1e-5)


def test_the_last_step_gives_the_predicted_clean_image():
    schedule, clean, noise = Schedule(ScheduleConfig("linear", 100)), torch.rand(1, 1, 2, 2), torch.randn(1, 1, 2, 2)
    x = schedule.add_noise(clean, noise, 40)
    assert torch.allclose(schedule.step(x, noise, 40, -1, 1.0, noise)[0], clean, atol=1e-5)


def test_times_are_even_and_end_at_zero():
    assert Schedule(ScheduleConfig("linear", 1000)).times(4) == [750, 500, 250, 0]


@pytest.mark.parametrize("steps", [0, 1001])
def test_more_steps_than_the_schedule_has_are_refused(steps):
    with pytest.raises(InvalidValue, match="1 to 1000"):
        Schedule(ScheduleConfig("linear", 1000)).times(steps)


def test_a_solver_out_of_range_is_refused():
    with pytest.raises(InvalidValue, match="eta in"):
        SolverConfig(eta=2.0)


def test_the_perfect_memorizer_generates_what_it_memorized():
    laid = worlds.split()
    answers = generate(memorizer(laid), captions=laid.trained.captions, solver=SolverConfig(steps=25))
    assert torch.allclose(answers, laid.marked_trained.images, atol=1e-3)


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"prepare": lambda self, batch: None}, "sampler, prepare: found NoneType"),
        ({"prepare": lambda self, batch: replace(batch, noise=batch.noise[:1])}, r"sampler, prepare: found noise \(1, "),
        ({"prepare": lambda self, batch: replace(batch, captions=[])}, "sampler, prepare: found 0 captions; expected 3"),
        ({"scale": lambda self, u, c, t, batch: torch.ones(2)}, r"sampler, scale: found \(2,\)"),
        ({"scale": lambda self, u, c, t, batch: "3"}, "sampler, scale: found '3'"),
        ({"scale": lambda self, u, c, t, batch: float("nan")}, "sampler, scale: found nan"),
        ({"predict": lambda self, x, t, batch: None}, "sampler, step from .*: found NoneType"),
        ({"after": lambda self, x, x0, t, batch: x[:, :, :1]}, "sampler, step from .*: found "),
    ],
)
def test_what_a_wrapper_may_not_return_is_blamed_on_the_mitigation(methods, message):
    with pytest.raises(PluginFault, match=f"mitigation Wrapping, {message}"):
        generate(model(), wrapping(**methods), captions=CAPTIONS)


@pytest.mark.parametrize("scale", [torch.tensor(float("inf")), torch.ones(3, 1), float("nan"), None])
def test_what_is_no_guidance_scale_is_blamed_on_the_hook(scale):
    with pytest.raises(PluginFault, match="mitigation Cooled, guidance: found"):
        generate(model(), cooled(scale), captions=CAPTIONS)


@pytest.mark.parametrize("shape", [(4, 36, 36), (1, 12, 12), (2, 4, 4)])
def test_noise_that_is_drawn_step_by_step_is_that_which_is_drawn_at_once(shape):
    drawing = sampling.Drawing([sampling.of_image(number, 0, "test") for number in (3, 5)], shape, torch.device("cpu"))
    whole = noises([3, 5], shape, 9, 0, "test")
    assert all(torch.equal(drawing[:, index], whole[:, index]) for index in (0, 1, 2, 5, 8))
    with pytest.raises(IndexError, match="draw 4 after draw 8"):
        drawing[:, 4]


@pytest.mark.parametrize(("shape", "held"), [((1, 12, 12), 0), ((1, 12, 12), 10**9), ((1, 10, 10), 0)])
def test_much_noise_is_drawn_as_it_is_needed_where_its_numbers_stay_the_same(shape, held, monkeypatch):
    monkeypatch.setattr(sampling, "HELD", held)
    streams = [sampling.of_image(number, 0, "test") for number in (3, 5)]
    drawn = sampling.draw(streams, shape, 4, torch.device("cpu"))
    assert isinstance(drawn, sampling.Drawing) is (shape == (1, 12, 12) and held == 0)
    assert torch.equal(torch.stack([drawn[:, index] for index in range(4)], dim=1), noises([3, 5], shape, 4, 0, "test"))
