"""Methods of guidance, solver and norms, and refusal: schedules by hand, noise by its variance, rates by counting."""

from types import SimpleNamespace

import pytest
import torch
import worlds
from solidmark.mitigations.delayed_guidance import DelayedGuidance
from solidmark.mitigations.dynamic_transition import DynamicTransition
from solidmark.mitigations.early_guidance import EarlyGuidance
from solidmark.mitigations.fresh_noise import FreshNoise
from solidmark.mitigations.norm_clamp import NormClamp, Region, StepRegions
from solidmark.mitigations.opposite_guidance import DynamicOppositeGuidance, OppositeGuidance
from solidmark.mitigations.refusal import Refusal
from worlds import composed, generate, model

from solidmark.data import Examples
from solidmark.measurement import answers
from solidmark.measurement.case import Case
from solidmark.measurement.responses import Generated, Responses
from solidmark.metrics.controls import Marks
from solidmark.mitigation import WrapperContext
from solidmark.mitigation.hooks import Hooks
from solidmark.models import Evaluations
from solidmark.queries import Audit
from solidmark.queries.outpaint import Outpaint
from solidmark.queries.outpaint_weights import OutpaintWeights
from solidmark.sampling import Service, SolverConfig, noises

CAPTIONS = ["one w1", "zero w2", ""]


def schedule(mitigation, at=(0.0, 0.2, 0.34, 0.36, 0.49, 0.51, 0.9)):
    hooks = Hooks(composed(mitigation), 0, "test")
    return [hooks.guidance(3.0, step_fraction) for step_fraction in at]


def test_early_guidance_is_the_usual_scale_first_and_none_later():
    assert schedule(EarlyGuidance(0.5)) == [3, 3, 3, 3, 3, 0, 0]


def test_early_guidance_is_delayed_guidance_backwards():
    steps = [index / 25 for index in range(25)]
    early, delayed = schedule(EarlyGuidance(0.2), steps), schedule(DelayedGuidance(0.2), steps)
    assert early == delayed[::-1]


def test_opposite_guidance_is_negative_before_the_transition_point():
    expected = pytest.approx([-0.801, -0.801, -0.801, 3, 3, 3, 3])
    assert schedule(OppositeGuidance()) == expected


UNTOLD = SimpleNamespace(dose=lambda name, values: None)
"""Data that hears of no dose."""


def scales(mitigation, *norms):
    """The scales of queries whose ‖eps_c - eps_u‖ take these values, step by step: (queries, steps)."""
    inner = SimpleNamespace(context=WrapperContext("test", None, UNTOLD), model=None, scale=lambda *_: 3.0)
    wrapper, count = mitigation.sampler(inner), len(norms[0])
    batch = SimpleNamespace(step_fraction=lambda t: t / count)
    columns = torch.tensor(norms, dtype=torch.float32).T
    steps = [
        wrapper.scale(torch.zeros(len(norms), 1, 1, 1), column[:, None, None, None], t, batch)
        for t, column in enumerate(columns)
    ]
    return torch.stack(steps, dim=1).tolist()


def test_the_dynamic_transition_is_each_query_s_first_local_minimum():
    steps = scales(DynamicTransition(), [3, 2, 1, 2, 1, 3], [1, 2, 3, 4, 5, 6], [5, 5, 4, 4, 3, 4])
    assert steps == [[0, 0, 0, 3, 3, 3], [0] * 6, [0, 0, 0, 0, 0, 3]]


def test_the_dynamic_transition_comes_at_the_latest_point():
    assert scales(DynamicTransition(0.5, before=-1.0), [1, 2, 3, 4]) == [[-3, -3, 3, 3]]


def test_the_dynamic_opposite_is_negative_until_the_transition():
    assert scales(DynamicOppositeGuidance(), [2, 1, 2])[0] == pytest.approx([-0.801, -0.801, 3])


def test_no_fresh_noise_is_the_deterministic_solver():
    deterministic = generate(model(), captions=CAPTIONS, solver=SolverConfig(steps=4, eta=0.0))
    assert torch.allclose(generate(model(), FreshNoise(0.0), captions=CAPTIONS), deterministic, atol=1e-5)


def steps_at(*times):
    """What a wrapper reads of a batch: its times, and to which time each step goes, -1 for the clean image."""
    targets = dict(zip(times, [*times[1:], -1], strict=True))
    return SimpleNamespace(times=list(times), target=targets.__getitem__)


def churned(eta, side=300):
    """At one step, x0 = 0: the old noise, the noise after the wrapper, the ancestral deviation, and sigma."""
    schedule, t, to = model().schedule, 25, 12
    inner = SimpleNamespace(
        context=WrapperContext("t", torch.Generator().manual_seed(0), None), model=SimpleNamespace(schedule=schedule)
    )
    inner.after = lambda x, x0, t, batch: x
    old, zero = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 1, side, side)
    x = FreshNoise(eta).sampler(inner).after(schedule.sigma(to) * old, zero, t, steps_at(37, 25, 12, 0))
    ancestral = schedule.step(zero, zero, t, to, 1.0, torch.ones_like(zero))[0].mean()
    return old, x, float(ancestral), float(schedule.sigma(to))


@pytest.mark.parametrize("eta", [0.5, 1.0])
def test_fresh_noise_has_the_share_that_the_solver_would_give_it(eta):
    old, x, ancestral, sigma = churned(eta)
    assert x.std().item() == pytest.approx(sigma, rel=0.02)
    fresh = x - old * (x * old).mean() / old.square().mean()
    assert fresh.std().item() == pytest.approx(eta * ancestral, rel=0.02)


def test_churn_beyond_the_whole_spread_leaves_nothing_of_the_old_noise():
    old, x, _, sigma = churned(100.0)
    assert abs(float((x * old).mean())) < 0.02 * sigma
    assert x.std().item() == pytest.approx(sigma, rel=0.02)


def served(mitigation, captions, steps=4, mask=None):
    """Images, and which were refused, of a service whose calibration captions are those of the tiny model."""
    denoiser, solver = model(), SolverConfig(steps=steps)
    calibration = Examples(torch.rand(20, 1, 8, 8), [f"one w{index}" for index in range(20)], list(range(20)))
    service = Service(denoiser, composed(mitigation), 0, data={"calibration": calibration})
    noise = noises(range(len(captions)), denoiser.shape, solver.draws, 0, "test")
    observed = torch.full((len(captions), *denoiser.shape), 0.25)
    mask = torch.ones(len(captions), 1, *denoiser.shape[1:], dtype=torch.bool) if mask is None else mask
    return service.sample(captions, observed, mask, noise, solver), service.refused[0]


def test_a_wide_clamp_leaves_every_bit():
    assert torch.equal(served(NormClamp(1e6), CAPTIONS)[0], served(worlds.NoHooks(), CAPTIONS)[0])


def clamped(width, x, before, x0):
    """One last step of the wrapper where samples have norm 2 ± 0.1, updates 1 ± 0.1 and clean images 3 ± 0.1."""
    inner = SimpleNamespace(context=WrapperContext("t", None, UNTOLD), model=model(), after=lambda x, x0, t, batch: x)
    wrapper = NormClamp(width).sampler(inner)
    regions = StepRegions(*(Region(torch.tensor(mean), torch.tensor(0.1)) for mean in (2.0, 1.0, 3.0)))
    wrapper.steps, wrapper.before = {0: regions}, before
    return wrapper.after(x, x0, 0, steps_at(12, 0))


def test_a_clamp_of_no_width_gives_every_sample_the_mean_norm():
    x, before, x0 = torch.randn(3, 5, 1, 6, 6, generator=torch.Generator().manual_seed(0)).unbind()
    norms = clamped(0.0, x, before, x0).flatten(1).square().mean(dim=1).sqrt()
    assert torch.allclose(norms, torch.full((5,), 2.0))


def test_an_unstable_step_s_clean_image_is_resized_and_its_update_and_sample_clamped():
    """x0 = 5 to 3 takes x from 5 to 3; the update of 3 - 0 shrinks to 1.1, and the sample of 1.1 grows to 1.9."""
    five = torch.full((1, 1, 2, 2), 5.0)
    assert clamped(1.0, five, torch.zeros_like(five), five).flatten().tolist() == pytest.approx([1.9] * 4)


def test_a_clamp_keeps_observed_pixels():
    mask = torch.zeros(3, 1, 12, 12, dtype=torch.bool)
    mask[..., :2, :] = True
    images, _ = served(NormClamp(0.0), CAPTIONS, mask=mask)
    assert torch.allclose(images[~mask], torch.tensor(0.25), atol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_refusal_refuses_normal_queries_at_its_share(share):
    _, refused = served(Refusal(share), [f"one w{index % 20}" for index in range(400)], steps=1)
    assert refused.float().mean().item() == pytest.approx(share, abs=0.1)


def test_refusal_spares_queries_without_words_and_blanks_what_it_refuses():
    images, refused = served(Refusal(1.0), ["one w1", "zero w2"] * 10 + [""])
    assert refused[:-1].sum() >= 18
    assert not refused[-1]
    assert images[refused].eq(0.5).all()


def test_the_record_has_how_many_queries_were_refused():
    queries = (("outpaint", Outpaint()), ("outpaint-weights", OutpaintWeights()))
    case = Case("tiny", worlds.tiny(), composed(Refusal()), 0, queries, SolverConfig())
    refused = torch.tensor([[True, False, True, False, False], [True, True, False, False, False]]).numpy()
    responses = Responses(None, 2, Marks(0, 0, None), Evaluations(), 0.0, None, None, refused)
    generated = Generated(torch.zeros(4, 1), torch.tensor([True, False, False, False]).numpy(), {})
    block = answers.sampling_report(case, {name: responses for name, _ in queries}, generated)["refused"]
    assert block["generated"] == {"value": 0.25, "count": 1, "of": 4}
    assert {group: share["count"] for group, share in block["queries"]["outpaint"].items()} == {"trained": 3, "held_out": 1}
    assert list(block["queries"]) == ["outpaint"]


def test_a_row_without_a_sampling_stage_reports_nothing_of_it():
    assert answers.sampling_report(SimpleNamespace(composition=composed(worlds.NoHooks())), {}, None) == {}


def test_a_query_s_refused_images_are_at_their_indices():
    laid = worlds.split()
    examples = laid.queried.take(range(20))
    service = Service(model(), composed(Refusal(0.5)), 0, data=dict(laid.handed_out()))
    audit = Audit(examples, laid.mark, SolverConfig(steps=2, batch=8), service, 0, "test")
    images = audit.outpaint()
    assert torch.equal(audit.refused[0], images.eq(0.5).flatten(1).all(dim=1))
    assert 0 < audit.refused[0].sum() < 20
