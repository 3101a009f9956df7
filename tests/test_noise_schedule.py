"""The schedule and the solver equal diffusers' own DDIM, for every spacing, offset, end and prediction type."""

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from solidmark.errors import InvalidValue, NotApplicable, UnknownName
from solidmark.models import Prediction, Schedule, ScheduleConfig

STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "clip_sample": False}
CASES = [
    {"timestep_spacing": spacing, "steps_offset": offset, "set_alpha_to_one": clean, "rescale_betas_zero_snr": zero}
    for spacing, offset in (("leading", 0), ("leading", 1), ("linspace", 0), ("trailing", 0))
    for clean, zero in ((True, False), (False, False), (True, True))
]


def theirs(prediction="epsilon", **settings):
    return DDIMScheduler(**STABLE_DIFFUSION, prediction_type=prediction, **settings)


def network(x, t):
    """Some fixed function in the place of a network."""
    return torch.tanh(x.roll(1, dims=-1) * 1.3 - t / 1000)


def run_theirs(scheduler, x, steps, eta):
    scheduler.set_timesteps(steps)
    for t in scheduler.timesteps:
        x = scheduler.step(network(x, int(t)), t, x, eta=eta, variance_noise=torch.full_like(x, 0.3)).prev_sample
    return x


def run_ours(scheduler, x, steps, eta):
    schedule = Schedule(ScheduleConfig.read(scheduler))
    times = schedule.times(steps)
    for t, to in zip(times, schedule.targets(times, steps), strict=True):
        kind = scheduler.config.prediction_type
        predicted = Prediction(network(x, t), x, schedule.alpha(t), schedule.sigma(t), kind)
        x, _ = schedule.step(x, predicted.noise, t, to, eta, torch.full_like(x, 0.3))
    return x


RUNS = [("v_prediction", case) for case in CASES]
RUNS += [("epsilon", case) for case in CASES if not case["rescale_betas_zero_snr"]]
"""A predicted noise says nothing where there is nothing but noise."""


@pytest.mark.parametrize("steps", [7, 20])
@pytest.mark.parametrize(("prediction", "settings"), RUNS)
def test_a_run_equals_that_of_diffusers(settings, prediction, steps):
    scheduler, x = theirs(prediction, **settings), torch.randn(2, 4, 6, 6, generator=torch.Generator().manual_seed(1))
    for eta in (0.0, 1.0):
        if eta and settings["rescale_betas_zero_snr"]:
            assert run_ours(scheduler, x, steps, eta).isfinite().all()  # diffusers divides 0 by 0 here
            continue
        assert (run_ours(scheduler, x, steps, eta) - run_theirs(scheduler, x, steps, eta)).abs().max() < 1e-5


@pytest.mark.parametrize("settings", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
@pytest.mark.parametrize("steps", [1, 7, 20, 50, 999])
def test_the_timesteps_are_those_of_diffusers(settings, steps):
    scheduler = theirs(**settings)
    scheduler.set_timesteps(steps)
    assert Schedule(ScheduleConfig.read(scheduler)).times(steps) == scheduler.timesteps.tolist()


@pytest.mark.parametrize("settings", CASES, ids=lambda case: "-".join(str(value) for value in case.values()))
def test_noise_is_added_as_diffusers_adds_it(settings):
    scheduler, clean, noise = theirs(**settings), torch.rand(1000, 1, 1, 1), torch.randn(1000, 1, 1, 1)
    ours = Schedule(ScheduleConfig.read(scheduler)).add_noise(clean, noise, torch.arange(1000))
    assert torch.allclose(ours, scheduler.add_noise(clean, noise, torch.arange(1000)), atol=1e-6)
    assert ours.dtype == clean.dtype


def test_a_schedule_is_read_from_other_schedulers_too():
    assert ScheduleConfig.read(EulerDiscreteScheduler(**{k: v for k, v in STABLE_DIFFUSION.items() if "clip" not in k})) == (
        ScheduleConfig("scaled_linear", 1000, 0.00085, 0.012, "linspace")
    )


def test_flow_matching_is_no_variance_preserving_schedule():
    with pytest.raises(NotApplicable, match="FlowMatchEulerDiscreteScheduler without named betas"):
        ScheduleConfig.read(FlowMatchEulerDiscreteScheduler())


def test_a_wrong_configuration_is_named():
    with pytest.raises(UnknownName, match="spacing"):
        ScheduleConfig(spacing="log")
    with pytest.raises(InvalidValue, match="offset=-1"):
        ScheduleConfig(offset=-1)


@pytest.mark.parametrize("clean", [True, False])
def test_a_run_ends_at_the_clean_image_or_at_the_level_of_its_first_timestep(clean):
    schedule = Schedule(ScheduleConfig(last_is_clean=clean))
    ended, _ = schedule.step(torch.ones(1, 1, 1, 1), torch.zeros(1, 1, 1, 1), 0, -1, 0.0, torch.zeros(1, 1, 1, 1))
    assert ended.item() == pytest.approx(float(schedule.signal(-1) / schedule.alpha(0)))
    assert float(schedule.signal(500)) == float(schedule.alpha(500))
    assert (float(schedule.signal(-1)) == 1.0) is clean
