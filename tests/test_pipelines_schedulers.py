"""Noise levels and clean estimates against each scheduler's own; any scheduler holds what was given."""

import copy
import inspect

import diffusers
import pytest
import torch
from tiny_pipelines import BETAS, CAPTIONS, MARK, Bare, images, stable_diffusion

from solidmark.errors import NotApplicable
from solidmark.pipelines import ask, held
from solidmark.pipelines.levels import clean, find_place, level

pytestmark = [  # what diffusers warns of with this numpy, and of old settings
    pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The configuration file of this scheduler:FutureWarning"),
]

KINDS = [
    name + "Scheduler"
    for name in (
        "DDIM DDIMParallel DDPM DDPMParallel PNDM EulerDiscrete EulerAncestralDiscrete HeunDiscrete LMSDiscrete "
        "KDPM2Discrete KDPM2AncestralDiscrete DPMSolverMultistep DPMSolverSinglestep DEISMultistep UniPCMultistep "
        "SASolver LCM TCD EDMEuler EDMDPMSolverMultistep CMStochasticIterative CogVideoXDDIM FlowMatchEulerDiscrete "
        "FlowMatchHeunDiscrete FlowMatchLCM"
    ).split()
]


def made(name, kind="v_prediction", steps=6):
    """A scheduler of that name for Stable Diffusion's noise, before its first of 6 steps."""
    wanted = {**BETAS, "prediction_type": kind, "clip_sample": False, "steps_offset": 1}
    taken = inspect.signature(getattr(diffusers, name).__init__).parameters
    scheduler = getattr(diffusers, name)(**{key: value for key, value in wanted.items() if key in taken})
    scheduler.set_timesteps(steps)
    return scheduler


def noised(scheduler, place, image, noise):
    """A number of an image with noise before a step, by the scheduler's own public method, on a copy of it."""
    one = copy.deepcopy(scheduler)
    image, noise, t = torch.full((1, 1), image), torch.full((1, 1), noise), one.timesteps[place].reshape(1)
    return float(one.scale_noise(image, t, noise) if hasattr(one, "scale_noise") else one.add_noise(image, noise, t))


@pytest.mark.parametrize("name", KINDS)
def test_levels_are_those_of_the_schedulers_add_noise(name):
    scheduler = made(name)
    for place in range(len(scheduler.timesteps)):
        a, s = level(scheduler, place)
        assert a == pytest.approx(noised(scheduler, place, 1.0, 0.0), rel=1e-6, abs=1e-6)
        assert s == pytest.approx(noised(scheduler, place, 0.0, 1.0), rel=1e-6, abs=1e-6)
    assert level(scheduler, len(scheduler.timesteps)) == (1.0, 0.0)


def test_of_flow_sigmas_a_level_is_an_interpolation():
    scheduler = diffusers.UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0)
    scheduler.set_timesteps(5)
    a, s = level(scheduler, 2)
    assert a + s == pytest.approx(1)
    assert 0 < s == pytest.approx(float(scheduler.sigmas[2]))


@pytest.mark.parametrize("name", ["DDIMScheduler", "DDPMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"])
@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_the_clean_estimate_is_the_schedulers_own(name, kind):
    scheduler = made(name, kind)
    output, x = torch.randn(2, 2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    own = scheduler.step(output, scheduler.timesteps[0], x).pred_original_sample
    assert torch.allclose(
        clean(scheduler, output, x, *level(scheduler, 0)), own, rtol=1e-5, atol=1e-6 * float(own.abs().max())
    )


@pytest.mark.parametrize("name", ["FlowMatchEulerDiscreteScheduler", "FlowMatchHeunDiscreteScheduler"])
def test_a_flow_that_is_predicted_exactly_gives_the_clean_image(name):
    scheduler = made(name)
    image, noise = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    a, s = level(scheduler, 2)
    assert torch.allclose(clean(scheduler, noise - image, a * image + s * noise, a, s), image, atol=1e-6)


def test_predicted_variances_are_no_part_of_the_clean_estimate():
    output, x = torch.ones(1, 8, 2, 2), torch.zeros(1, 4, 2, 2)
    assert clean(made("DDPMScheduler", "sample"), output, x, 0.6, 0.8).shape == x.shape


@pytest.mark.parametrize("name", [name for name in KINDS if not name.startswith(("CM", "Flow", "EDM", "CogVideo"))])
def test_with_any_scheduler_the_known_cells_come_out_as_they_are(name):
    pipe = stable_diffusion(scheduler=made(name))
    with held(pipe, images(1), MARK, every=2) as run:
        pipe(CAPTIONS[:1], height=16, width=16, num_inference_steps=5, generator=run.generators(), output_type="latent")
    assert torch.equal(run.x[~run.filled], run.known[~run.filled])
    assert run.levels[-1] == (1.0, 0.0)
    assert run.renewals >= 2


@pytest.mark.parametrize("kind", [diffusers.StableDiffusionPipeline, Bare], ids=["generators given", "none given"])
@pytest.mark.parametrize("name", ["DDPMScheduler", "EulerAncestralDiscreteScheduler", "LCMScheduler"])
def test_what_a_solver_draws_does_not_depend_on_the_batch(name, kind):
    pipe = stable_diffusion(kind, scheduler=made(name))
    alone, together = (ask(pipe, images(), MARK, CAPTIONS, steps=4, every=2, batch=size).images for size in (1, 3))
    assert torch.allclose(alone, together, atol=1e-4)


@pytest.mark.parametrize("name", ["PNDMScheduler", "LMSDiscreteScheduler"])
def test_solvers_that_need_many_steps_are_told(name):
    answers = ask(stable_diffusion(scheduler=made(name)), images(1), MARK, CAPTIONS[:1], steps=4)
    assert any(name in text and "take 50 or more" in text for text in answers.warnings)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("IPNDMScheduler", "neither add_noise nor scale_noise"),
        ("DDIMInverseScheduler", "neither add_noise nor scale_noise"),
        ("RePaintScheduler", "original_image, mask"),
        ("KarrasVeScheduler", "sigma_hat"),
    ],
)
def test_a_scheduler_that_cannot_be_held_is_refused(name, found):
    with pytest.raises(NotApplicable, match=found):
        ask(stable_diffusion(scheduler=getattr(diffusers, name)()), images(1), MARK, CAPTIONS[:1], steps=4)


def test_a_time_that_was_not_announced_is_refused():
    scheduler = made("DDIMScheduler")
    assert find_place(scheduler, scheduler.timesteps[3], 2) == 3
    with pytest.raises(NotApplicable, match="time 3; expected one of its 6 timesteps"):
        find_place(scheduler, 3, 2)


def test_a_time_that_is_visited_twice_is_two_places():
    scheduler = made("HeunDiscreteScheduler")
    assert [find_place(scheduler, scheduler.timesteps[1], last) for last in (0, 1, 5)] == [1, 2, 1]
