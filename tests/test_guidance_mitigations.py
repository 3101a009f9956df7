"""Methods of guidance, solver and norms, and refusal: schedules by hand, noise by its variance, rates by counting."""

from types import SimpleNamespace

import pytest
import torch
import worlds
from solidmark.mitigations.delayed_guidance import DelayedGuidance
from solidmark.mitigations.dynamic_transition import DynamicTransition
from solidmark.mitigations.early_guidance import EarlyGuidance
from solidmark.mitigations.fresh_noise import FreshNoise
from solidmark.mitigations.norm_clamp import NormClamp, Region, Step
from solidmark.mitigations.opposite_guidance import DynamicOppositeGuidance, OppositeGuidance
from solidmark.mitigations.refusal import Refusal
from worlds import composed, model, sampled

from solidmark.data import Examples
from solidmark.measurement import responses
from solidmark.metrics.controls import Marks
from solidmark.mitigation import Handover
from solidmark.mitigation.hooks import Doors
from solidmark.models import Evaluations
from solidmark.queries import Access, Audit
from solidmark.sampling import Protocol, Service, noises

CAPTIONS = ["one w1", "zero w2", ""]


def schedule(mitigation, at=(0.0, 0.2, 0.34, 0.36, 0.49, 0.51, 0.9)):
    doors = Doors(composed(mitigation), 0, "test")
    return [doors.guidance(3.0, progress) for progress in at]


def test_early_guidance_is_the_usual_scale_first_and_none_later():
    assert schedule(EarlyGuidance(0.5)) == [3, 3, 3, 3, 3, 0, 0]


def test_early_guidance_is_delayed_guidance_backwards():
    steps = [place / 25 for place in range(25)]
    early, delayed = schedule(EarlyGuidance(0.2), steps), schedule(DelayedGuidance(0.2), steps)
    assert early == delayed[::-1]


def test_opposite_guidance_is_negative_before_the_transition_point():
    expected = pytest.approx([-0.801, -0.801, -0.801, 3, 3, 3, 3])
    assert schedule(OppositeGuidance()) == expected


def scales(mitigation, *norms):
    """The scales of queries whose ‖eps_c - eps_u‖ take these values, step by step: (queries, steps)."""
    inner = SimpleNamespace(handover=Handover("test", None, None), model=None, scale=lambda *_: 3.0)
    link, count = mitigation.sampler(inner), len(norms[0])
    asked = SimpleNamespace(progress=lambda t: t / count)
    columns = torch.tensor(norms, dtype=torch.float32).T
    steps = [
        link.scale(torch.zeros(len(norms), 1, 1, 1), column[:, None, None, None], t, asked)
        for t, column in enumerate(columns)
    ]
    return torch.stack(steps, dim=1).tolist()


def test_the_dynamic_transition_is_each_query_s_first_local_minimum():
    found = scales(DynamicTransition(), [3, 2, 1, 2, 1, 3], [1, 2, 3, 4, 5, 6], [5, 5, 4, 4, 3, 4])
    assert found == [[0, 0, 0, 3, 3, 3], [0] * 6, [0, 0, 0, 0, 0, 3]]


def test_the_dynamic_transition_comes_at_the_latest_point():
    assert scales(DynamicTransition(0.5, before=-1.0), [1, 2, 3, 4]) == [[-3, -3, 3, 3]]


def test_the_dynamic_opposite_is_negative_until_the_transition():
    assert scales(DynamicOppositeGuidance(), [2, 1, 2])[0] == pytest.approx([-0.801, -0.801, 3])


def test_no_fresh_noise_is_the_deterministic_solver():
    deterministic = sampled(model(), captions=CAPTIONS, protocol=Protocol(steps=4, eta=0.0))
    assert torch.allclose(sampled(model(), FreshNoise(0.0), captions=CAPTIONS), deterministic, atol=1e-5)


def churned(eta, side=300):
    """(old noise, noise after the link, variances of the old, the ancestral and the whole spread) at one step, x0 = 0."""
    asked, t, to = model(), 25, 12
    inner = SimpleNamespace(handover=Handover("t", torch.Generator().manual_seed(0), None), model=asked)
    inner.after = lambda x, x0, t, query: x
    old, zero = torch.randn(1, 1, side, side, generator=torch.Generator().manual_seed(1)), torch.zeros(1, 1, side, side)
    x = FreshNoise(eta).sampler(inner).after(asked.schedule.sigma(to) * old, zero, t, SimpleNamespace(times=[37, 25, 12, 0]))
    ancestral = asked.schedule.step(zero, zero, t, to, 1.0, torch.ones_like(zero))[0].mean()
    return old, x, float(ancestral), float(asked.schedule.sigma(to))


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


def served(mitigation, captions, steps=4, free=None):
    """(images, which were refused) of a service whose calibration captions are those of the tiny model."""
    asked, protocol = model(), Protocol(steps=steps)
    calibration = Examples(torch.rand(20, 1, 8, 8), [f"one w{place}" for place in range(20)], list(range(20)))
    service = Service(asked, composed(mitigation), 0, data={"calibration": calibration})
    noise = noises(range(len(captions)), asked.shape, protocol.draws, 0, "test")
    known = torch.full((len(captions), *asked.shape), 0.25)
    free = torch.ones(len(captions), 1, *asked.shape[1:], dtype=torch.bool) if free is None else free
    return service.sample(captions, known, free, noise, protocol), service.refused[0]


def test_a_wide_clamp_leaves_every_bit():
    assert torch.equal(served(NormClamp(1e6), CAPTIONS)[0], served(worlds.Nothing(), CAPTIONS)[0])


def clamped(width, x, before, x0):
    """One last step of the link where samples have norm 2 ± 0.1, updates 1 ± 0.1 and clean images 3 ± 0.1."""
    inner = SimpleNamespace(handover=Handover("t", None, None), model=model(), after=lambda x, x0, t, query: x)
    link = NormClamp(width).sampler(inner)
    link.steps, link.before = {0: Step(*(Region(torch.tensor(mean), torch.tensor(0.1)) for mean in (2.0, 1.0, 3.0)))}, before
    return link.after(x, x0, 0, SimpleNamespace(times=[12, 0]))


def test_a_clamp_of_no_width_gives_every_sample_the_mean_norm():
    x, before, x0 = torch.randn(3, 5, 1, 6, 6, generator=torch.Generator().manual_seed(0)).unbind()
    norms = clamped(0.0, x, before, x0).flatten(1).square().mean(dim=1).sqrt()
    assert torch.allclose(norms, torch.full((5,), 2.0))


def test_an_unsteady_step_s_clean_image_is_resized_and_its_update_and_sample_clamped():
    """x0 = 5 to 3 takes x from 5 to 3; the update of 3 - 0 shrinks to 1.1, and the sample of 1.1 grows to 1.9."""
    five = torch.full((1, 1, 2, 2), 5.0)
    assert clamped(1.0, five, torch.zeros_like(five), five).flatten().tolist() == pytest.approx([1.9] * 4)


def test_a_clamp_keeps_known_pixels():
    free = torch.zeros(3, 1, 12, 12, dtype=torch.bool)
    free[..., :2, :] = True
    images, _ = served(NormClamp(0.0), CAPTIONS, free=free)
    assert torch.allclose(images[~free], torch.tensor(0.25), atol=1e-6)


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_refusal_strikes_normal_queries_at_its_share(share):
    _, refused = served(Refusal(share), [f"one w{place % 20}" for place in range(400)], steps=1)
    assert refused.float().mean().item() == pytest.approx(share, abs=0.1)


def test_refusal_spares_queries_without_words_and_blanks_what_it_refuses():
    images, refused = served(Refusal(1.0), ["one w1", "zero w2"] * 10 + [""])
    assert refused[:-1].sum() >= 18
    assert not refused[-1]
    assert images[refused].eq(0.5).all()


def test_the_record_tells_how_many_queries_were_refused():
    outpaint, weights = SimpleNamespace(access=Access.API), SimpleNamespace(access=Access.WEIGHTS)
    refused = torch.tensor([[True, False, True, False, False], [True, True, False, False, False]]).numpy()
    asked = responses.Asked(None, 2, Marks(0, 0, None), Evaluations(), 0.0, None, None, refused)
    case = SimpleNamespace(composition=composed(Refusal()), queries=(("outpaint", outpaint), ("bare", weights)))
    made = responses.Generated(torch.zeros(4, 1), torch.tensor([True, False, False, False]).numpy(), {})
    told = responses.told(case, {"outpaint": asked, "bare": asked}, made)["refused"]
    assert told["generated"] == {"value": 0.25, "count": 1, "of": 4}
    assert {group: one["count"] for group, one in told["queries"]["outpaint"].items()} == {"trained": 3, "held_out": 1}
    assert list(told["queries"]) == ["outpaint"]


def test_a_row_without_a_sampling_stage_tells_nothing_of_it():
    assert responses.told(SimpleNamespace(composition=composed(worlds.Nothing())), {}, None) == {}


def test_a_query_s_refused_images_stand_at_their_places():
    laid = worlds.board()
    asked = laid.asked.take(range(20))
    service = Service(model(), composed(Refusal(0.5)), 0, data=dict(laid.handed_out()))
    audit = Audit(asked, laid.mark, Protocol(steps=2, batch=8), service, 0, "test")
    images = audit.outpaint()
    assert torch.equal(audit.refused[0], images.eq(0.5).flatten(1).all(dim=1))
    assert 0 < audit.refused[0].sum() < 20
