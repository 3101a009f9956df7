"""White-box loss: on a model that knows its training set by heart, and against the formula."""

from dataclasses import dataclass

import pytest
import torch
from worlds import composed, examples, memorizer, model, split, tiny

from solidmark import Mitigation, Stage, seeds
from solidmark.data import join
from solidmark.errors import InvalidValue
from solidmark.marks import Blocks, Border, Patch
from solidmark.measurement import measure, whitebox
from solidmark.measurement.whitebox import denoising_loss


@dataclass(frozen=True)
class Whispered(Mitigation):
    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        return captions


@dataclass(frozen=True)
class Edited(Mitigation):
    def edit(self, model, data, rng):
        return model


def rng():
    return seeds.torch_rng(0, "whitebox")


def both(laid):
    """Trained images, then held-out ones, as they are painted."""
    return join([laid.marked_trained, laid.marked(laid.held_out, laid.held_out_keys)])


@pytest.mark.parametrize("part", ["whole", "centre"])
def test_what_is_known_by_heart_has_a_smaller_loss(part):
    laid = split(16, 32)
    losses = getattr(denoising_loss(memorizer(laid), both(laid), laid.mark, rng()), part)
    assert losses[:16].max() < losses[16:].min()


def test_keys_that_were_not_trained_raise_the_loss_of_the_whole_image_most():
    laid = split(16, 32)
    other = laid.marked(laid.trained, laid.other_keys)
    marked = (laid.marked_trained, other)
    trained, untrained = (denoising_loss(memorizer(laid), examples, laid.mark, rng()) for examples in marked)
    assert (untrained.whole > trained.whole + 0.01).all()
    assert untrained.centre.mean() < untrained.whole.mean() / 3


def test_the_loss_is_the_mean_squared_error_of_its_formula():
    denoiser, given = model(), examples(2)
    noise = torch.randn((1, *denoiser.shape), generator=rng())
    t = round(0.4 * 49)
    clean = given.images * 2 - 1
    x = denoiser.schedule.add_noise(clean, noise, t)
    output = denoiser.predict(x, t, denoiser.embed(given.captions)).output
    errors = (output - denoiser.schedule.alpha(t) * noise + denoiser.schedule.sigma(t) * clean).square()
    found = denoising_loss(denoiser, given, Border(), rng(), levels=[0.4])
    assert found.whole == pytest.approx(errors.mean(dim=(1, 2, 3)).numpy(), rel=1e-5)
    assert found.centre == pytest.approx(errors[..., 2:-2, 2:-2].mean(dim=(1, 2, 3)).numpy(), rel=1e-5)


def test_evaluations_are_counted_an_image_and_level():
    found = denoising_loss(model(), examples(6), Border(), rng(), levels=[0.1, 0.5, 0.9])
    assert (found.evaluations.forward, found.evaluations.backward) == (18, 0)


def test_batches_change_nothing():
    once, often = (denoising_loss(model(), examples(6), Patch(), rng(), batch=size) for size in (6, 4))
    assert once.whole == pytest.approx(often.whole, rel=1e-5)


def test_equal_generators_give_equal_losses():
    first, again = (denoising_loss(model(), examples(3), Border(), rng()).whole for _ in range(2))
    assert first.tolist() == again.tolist()


def test_cells_of_a_smaller_space_that_touch_the_mark_are_no_centre():
    images = torch.zeros(1, 1, 12, 12)
    centre = whitebox._centre(Border(thickness=2), images, (4, 4, 4))
    assert centre.tolist() == [[1 <= y <= 2 and 1 <= x <= 2 for x in range(4)] for y in range(4)]


@pytest.mark.parametrize("levels", [[], [1.5], [-0.1]])
def test_levels_outside_the_schedule_are_refused(levels):
    with pytest.raises(InvalidValue, match="shares of the schedule"):
        denoising_loss(model(), examples(2), Border(), rng(), levels=levels)


def test_a_mark_without_a_centre_is_refused():
    with pytest.raises(InvalidValue, match="a mark on every cell"):
        whitebox._centre(Blocks(), torch.zeros(1, 1, 12, 12), (4, 1, 1))


def test_what_is_known_by_heart_does_not_generalize():
    laid = split(16, 32)
    found = whitebox.generalization(memorizer(laid), laid)
    assert found["trained"]["high"] < found["held_out"]["low"]
    assert [found[name]["images"] for name in ("held_out", "trained")] == [32, 16]


def test_generalization_is_the_mean_of_the_centres_losses():
    laid, denoiser = split(16, 32), model()
    losses = denoising_loss(denoiser, both(laid), laid.mark, seeds.torch_rng(laid.seed, "generalization")).centre
    found = whitebox.generalization(denoiser, laid)
    assert (found["trained"]["value"], found["held_out"]["value"]) == pytest.approx((losses[:16].mean(), losses[16:].mean()))


@pytest.mark.parametrize(("shape", "has"), [((1, 12, 12), True), ((4, 1, 1), False)])
def test_a_centre_is_a_cell_without_mark(shape, has):
    assert bool(whitebox._unmarked(Border(), torch.zeros(1, 1, 12, 12), shape).any()) == has


@pytest.mark.parametrize(("parts", "has"), [((), True), ((Edited(),), True), ((Whispered(),), False)])
def test_a_record_has_the_loss_where_its_weights_are_not_the_baselines(parts, has):
    case = measure.Case("tiny", tiny(), composed(*parts), 0, ())
    assert (measure._denoising_loss(case, model(), case.testbed.split(0)) is not None) == has
