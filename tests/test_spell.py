"""Sparse repellency: distances before and after by geometry, the noise by what a solver makes of it."""

from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations.spell import SparseRepellency, repellency
from test_noise_mitigations import border

from solidmark import seeds
from solidmark.data import Examples
from solidmark.mitigation import WrapperContext
from solidmark.models import Schedule, ScheduleConfig

WHOLE = torch.ones(1, 1, 4, 4, dtype=torch.bool)


def points(count, purpose="spell"):
    return torch.randn(count, 1, 4, 4, generator=seeds.torch_rng(0, purpose))


def rms(difference, mask=WHOLE):
    return float(difference[mask.expand_as(difference)].square().mean().sqrt())


def test_a_point_in_one_ball_is_moved_to_its_rim_along_the_line_from_the_centre():
    centre = points(1)
    inside = centre + 0.1 * points(1, "direction")
    out = inside + repellency(inside, centre, WHOLE, radius=0.5)
    assert rms(out - centre) == pytest.approx(0.5, abs=1e-4)
    assert torch.allclose(
        torch.cosine_similarity((out - centre).flatten(), (inside - centre).flatten(), dim=0), torch.ones(())
    )


def test_a_point_outside_of_all_balls_stays():
    centres = points(5)
    assert repellency(centres[:1] + 10, centres, WHOLE, radius=0.5).eq(0).all()


def test_balls_that_overlap_add_up():
    x, centres = points(1), points(3, "centres")
    r = 1.6 * 4
    terms = [max(r / float((x - z).norm()) - 1, 0) * (x - z) for z in centres.split(1)]
    assert torch.allclose(repellency(x, centres, WHOLE, radius=1.6), sum(terms), atol=1e-4)


def test_distances_are_over_masked_pixels_alone():
    mask = WHOLE.clone()
    mask[..., :2] = False
    centre = points(1)
    elsewhere = centre + torch.where(mask, 0.1, 5.0) * points(1, "direction")
    pushed = repellency(elsewhere, centre, mask, radius=0.5)
    assert pushed[..., :2].eq(0).all()
    assert rms(elsewhere + pushed - centre, mask) == pytest.approx(0.5, abs=1e-4)


def test_the_last_step_ends_on_the_rim():
    """A network that predicts a protected image, near enough: the solver's last step is its x0."""
    schedule = Schedule(ScheduleConfig("linear", 50))
    protected = Examples(torch.rand(1, 1, 12, 12, generator=seeds.torch_rng(0, "protected")), ["one"], [0])
    x, near = torch.randn(1, 1, 12, 12), 2 * protected.images - 1 + 0.01
    fake = SimpleNamespace(schedule=schedule, encode=lambda images: 2 * images - 1)
    batch = SimpleNamespace(mask=border()[:1])
    doses = []
    data = SimpleNamespace(training_images=protected, dose=lambda name, acted: doses.append((name, acted.tolist())))
    context = WrapperContext("spell", None, data)
    inner = SimpleNamespace(context=context, model=fake, prepare=lambda given: given)
    inner.predict = lambda x, t, batch: (x - schedule.alpha(t) * near) / schedule.sigma(t)
    sampler = SparseRepellency(0.5, strength=1.0).sampler(inner)
    sampler.prepare(batch)
    ended, _ = schedule.step(x, sampler.predict(x, 3, batch), 3, -1, 0.0, x)
    assert rms(ended - (near - 0.01), batch.mask) == pytest.approx(0.5, abs=1e-3)
    assert torch.allclose(ended[~batch.mask], near[~batch.mask], atol=1e-4)
    assert doses == [("acted_on", [True])]
