"""Space, layout, masks and noise levels of pipelines, on toys whose numbers are worked out by hand."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from solidmark.errors import InvalidValue, NotApplicable
from solidmark.marks import BLANK, Border
from solidmark.pipelines import holding, levels, space
from solidmark.pipelines.asking import Answers
from solidmark.pipelines.holding import as_mask, check_evaluating
from solidmark.pipelines.space import Layout, Space, channels

IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))


class Halves(nn.Module):
    """An autoencoder whose latents are every other pixel, and whose pictures repeat them."""

    def __init__(self, name="latents", **config):
        super().__init__()
        self.name, self.config, self.weight = name, SimpleNamespace(**config), nn.Parameter(torch.ones(1))

    def encode(self, x):
        z = x[..., ::2, ::2]
        return SimpleNamespace(**{self.name: SimpleNamespace(mode=lambda: z) if self.name == "latent_dist" else z})

    def decode(self, z):
        return SimpleNamespace(sample=z.repeat_interleave(2, 2).repeat_interleave(2, 3))


@pytest.mark.parametrize("name", ["latents", "latent", "latent_dist"])
def test_whatever_an_encoder_calls_its_latents_they_are_read(name):
    assert torch.equal(Space(SimpleNamespace(vae=Halves(name))).encode(IMAGES), IMAGES[..., ::2, ::2] * 2 - 1)


def test_what_an_encoder_does_not_call_latents_is_refused():
    with pytest.raises(NotApplicable, match="encode gives SimpleNamespace without latent_dist, latent or latents"):
        Space(SimpleNamespace(vae=Halves("code"))).encode(IMAGES)


@pytest.mark.parametrize(
    ("config", "moved"),
    [
        ({"scaling_factor": 3.0}, lambda z: z * 3),
        ({"scaling_factor": None, "shift_factor": 0.5}, lambda z: z - 0.5),
        (
            {"scaling_factor": 3.0, "latents_std": [2.0], "latents_mean": [0.25], "shift_factor": 0.5},
            lambda z: (z - 0.75) * 1.5,
        ),
    ],
)
def test_latents_are_shifted_then_scaled_and_pictures_go_the_way_back(config, moved):
    one, z = Space(SimpleNamespace(vae=Halves(**config))), IMAGES[..., ::2, ::2] * 2 - 1
    assert torch.allclose(one.encode(IMAGES), moved(z))
    pictures = (z.repeat_interleave(2, 2).repeat_interleave(2, 3) + 1) / 2
    assert torch.allclose(one.decode(moved(z)), pictures, atol=1e-6)


def test_without_an_autoencoder_pixels_are_scaled_and_clamped_on_the_way_back():
    one = Space(SimpleNamespace())
    assert torch.equal(one.encode(IMAGES), IMAGES * 2 - 1)
    assert one.decode(torch.tensor([-3.0, -1.0, 0.5, 3.0])).tolist() == [0, 0, 0.75, 1]


@pytest.mark.parametrize("name", ["vae", "vqvae", "movq"])
def test_an_autoencoder_is_found_by_any_of_its_names(name):
    assert space.autoencoder(SimpleNamespace(**{"vae": None, name: 3})) == 3
    assert space.autoencoder(SimpleNamespace(vae=None)) is None


def test_a_cell_with_one_masked_pixel_is_filled_in():
    mask = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    mask[..., 3, 2] = True
    assert space.cells(mask, torch.zeros(1, 1, 4, 6), torch.zeros(1, 4, 2, 3)).tolist() == [
        [[[False] * 3, [False, True, False]]]
    ]


@pytest.mark.parametrize(
    ("size", "cells", "multiple"), [((4, 5), (2, 2), 2), ((5, 4), (2, 2), 2), ((4, 8), (2, 2), 2), ((4, 4), (8, 4), 1)]
)
def test_cells_that_are_no_squares_are_refused(size, cells, multiple):
    with pytest.raises(InvalidValue, match=rf"{size[0]} x {size[1]} pixels, {cells[0]} x {cells[1]} cells.*of {multiple}\."):
        space.cells(torch.zeros(1, 1, *size), torch.zeros(1, 1, *size), torch.zeros(1, 4, *cells))


class Packs:
    """Packs latents (B, c, h, w) into tokens (B, h w, c), as Flux does with cells of one."""

    def _pack_latents(self, latents, batch_size, num_channels_latents, height, width):
        assert latents.shape == (batch_size, num_channels_latents, height, width)
        return latents.flatten(2).transpose(1, 2)


Z = torch.arange(24.0).reshape(2, 2, 2, 3)


def test_packed_samples_hold_the_same_numbers_in_the_pipelines_order():
    layout = Layout(Packs(), Z.shape[1:])
    packed = Z.flatten(2).transpose(1, 2)
    assert torch.equal(layout.into(Z, torch.zeros(2, 6, 2)), packed)
    assert torch.equal(layout.into(Z, torch.zeros(4, 6, 2)), torch.cat([packed, packed]))
    assert torch.equal(layout.outof(packed, 2), Z)
    assert torch.equal(layout.outof(torch.cat([packed, -packed]), 1), Z[:1])


def test_samples_of_the_latents_own_shape_are_not_packed():
    layout = Layout(SimpleNamespace(), Z.shape[1:])
    assert torch.equal(layout.into(Z, torch.zeros(4, 2, 2, 3)), torch.cat([Z, Z]))
    assert torch.equal(layout.outof(torch.cat([Z, -Z]), 2), Z)


@pytest.mark.parametrize("shape", [(3, 2, 2, 3), (2, 2, 3, 2), (2, 6, 2)])
def test_samples_of_another_number_or_shape_are_foreign(shape):
    with pytest.raises(
        NotApplicable, match=r"SimpleNamespace, scheduler.step: found samples of \(.*\(2, 2, 2, 3\)|\(2, 2, 3\)"
    ):
        Layout(SimpleNamespace(), Z.shape[1:]).into(Z, torch.zeros(shape))


@pytest.mark.parametrize(
    ("pack", "found"),
    [(lambda latents: latents.flatten(1) * 2, "changes numbers"), (lambda latents: latents.reshape(7), "shape")],
)
def test_a_packing_that_is_no_order_is_foreign(pack, found):
    with pytest.raises(NotApplicable, match=found):
        Layout(SimpleNamespace(_pack_latents=pack), Z.shape[1:]).outof(torch.zeros(2, 12), 2)


def test_a_mask_of_one_or_of_each_image_is_expanded():
    one = torch.tensor([[True, False]] * 2)
    assert as_mask(one, torch.zeros(3, 1, 2, 2)).tolist() == [[one.tolist()]] * 3
    each = torch.stack([one, ~one])[:, None]
    assert torch.equal(as_mask(each, torch.zeros(2, 3, 2, 2)), each)
    assert torch.equal(as_mask(Border(1, 2), torch.zeros(2, 1, 4, 4))[1, 0], Border(1, 2).masks(4, 4).any(dim=0))


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        (torch.ones(2, 2), r"torch.float32 of \(2, 2\); expected booleans of \(2, 2\) or \(3, 1, 2, 2\)"),
        (torch.ones(2, 1, 2, 2) > 0, r"\(2, 1, 2, 2\)"),
        (torch.ones(3, 3, 2, 2) > 0, r"\(3, 3, 2, 2\)"),
        (torch.arange(3).view(3, 1, 1, 1).expand(3, 1, 2, 2) > 0, "no pixel of an image"),
    ],
)
def test_a_mask_that_says_nothing_of_an_image_is_refused(mask, found):
    with pytest.raises(InvalidValue, match=found):
        as_mask(mask, torch.zeros(3, 1, 2, 2))


def test_networks_in_training_mode_are_named():
    pipe = SimpleNamespace(a=nn.Identity(), b=nn.Identity().eval(), c=nn.Identity())
    with pytest.raises(NotApplicable, match="SimpleNamespace: found a, c in training mode; expected evaluation mode"):
        check_evaluating(pipe)


class Scheduler:
    """A scheduler of four times whose sample is cut in halves."""

    def __init__(self, **more):
        self.timesteps, self.config = torch.tensor([7, 5, 5, 1]), SimpleNamespace(prediction_type="epsilon")
        vars(self).update(more)

    def add_noise(self, image, noise, t):
        return image * t / 10 + noise * (10 - t) / 10

    def step(self, model_output, timestep, sample):
        return sample / 2


def run(every=0, ids=None, **more):
    pipe = SimpleNamespace(scheduler=Scheduler(**more))
    mask = torch.zeros(4, 4, dtype=torch.bool)
    mask[0] = True
    return holding.Held(pipe, IMAGES, mask, every=every, seed=0, ids=ids)


@pytest.mark.parametrize(
    ("every", "ids", "found"), [(-1, None, "2 ids for 2 images, every=-1"), (0, [1], "1 ids for 2 images")]
)
def test_numbers_that_cannot_be_held_are_named(every, ids, found):
    with pytest.raises(InvalidValue, match=found):
        run(every, ids)


def test_masked_pixels_are_blank_before_anything_is_encoded():
    one = run()
    assert one.images[:, :, 0].eq(BLANK).all()
    assert torch.equal(one.images[:, :, 1:], IMAGES[:, :, 1:])
    assert torch.equal(one.known, one.images * 2 - 1)
    assert (one.ids, one.steps, one.renewals, one.levels, one.x) == ([0, 1], 0, 0, [], None)


def test_a_step_puts_known_cells_back_at_the_level_of_the_next():
    one, x = run(), torch.full((2, 1, 4, 4), 3.0)
    held = one.stepped(one.pipe.scheduler, x, 7, x, x)
    assert held[:, :, 0].eq(3).all()
    assert torch.allclose(held[:, :, 1:], 0.5 * one.known[:, :, 1:] + 0.5 * one._noise[:, :, 1:])
    assert (one.steps, one.levels) == (1, [(0.5, 0.5)])
    for t in (5, 5, 1):
        last = one.stepped(one.pipe.scheduler, x, t, x, x)
    assert torch.equal(last[:, :, 1:], one.known[:, :, 1:])
    assert one.levels[-2:] == [(pytest.approx(0.1), pytest.approx(0.9)), (1.0, 0.0)]
    one.check_finished(one.pipe.scheduler)


def test_a_run_that_is_not_over_says_at_which_step():
    one, x = run(), torch.zeros(2, 1, 4, 4)
    with pytest.raises(NotApplicable, match=r"never called Scheduler\.step"):
        one.check_finished(one.pipe.scheduler)
    with pytest.raises(InvalidValue, match="no step yet"):
        one.latents()
    one.stepped(one.pipe.scheduler, x, 7, x, x)
    with pytest.raises(NotApplicable, match="left off after step 1 of 4"):
        one.check_finished(one.pipe.scheduler)


def test_generators_belong_to_an_image_and_copies_draw_alike():
    first, other = run(ids=[4, 9]), run(ids=[9, 4])
    draw = [[float(torch.rand((), generator=one)) for one in each.drawn(4)] for each in (first, other)]
    assert draw[0] == draw[1][1::-1] + draw[1][:1:-1]
    assert len({*draw[0]}) == 2
    assert [one.initial_seed() for one in first.generators()] != [one.initial_seed() for one in first.generators("known")]


@pytest.mark.parametrize("sigma", [0.0, 0.25])
def test_a_level_of_a_sigma_is_that_of_its_process(sigma):
    flow = SimpleNamespace(scale_noise=None)
    solver = SimpleNamespace(_sigma_to_alpha_sigma_t=lambda sigma: (sigma / 2, sigma / 3))
    found = [levels._of_sigma(one, torch.tensor(sigma)) for one in (flow, solver, SimpleNamespace())]
    assert found == [(1 - sigma, sigma), (sigma / 2, pytest.approx(sigma / 3)), (1.0, sigma)]


def test_sigmas_are_read_only_where_there_is_one_for_each_time():
    assert levels.level(Scheduler(sigmas=[4.0, 3.0, 2.0, 1.0]), 1) == (1.0, 3.0)
    assert levels.level(Scheduler(sigmas=[4.0, 3.0, 2.0]), 1) == (0.5, 0.5)


def test_a_scheduler_that_fails_to_add_noise_is_named():
    with pytest.raises(NotApplicable, match=r"Scheduler: found TypeError.*expected add_noise\(images, noise, times\)"):
        levels.level(Scheduler(add_noise=lambda: None), 0)


@pytest.mark.parametrize(
    ("kind", "x0"),
    [
        ("epsilon", (1 - 0.8 * 0.5) / 0.6),
        ("v_prediction", 0.6 - 0.8 * 0.5),
        ("sample", 0.5),
        ("flow_prediction", 5 - 4 * 0.5),
    ],
)
def test_the_clean_image_of_a_level_of_norm_five(kind, x0):
    output, x = torch.full((1, 2, 1, 1), 0.5), torch.full((1, 1, 1, 1), 5.0)
    found = levels.clean(SimpleNamespace(config=SimpleNamespace(prediction_type=kind)), output, x, 3.0, 4.0)
    assert found.shape == x.shape
    assert float(found) == pytest.approx(x0)


def test_what_is_predicted_without_a_name_means_nothing_and_no_signal_is_no_division_by_zero():
    nameless, noise = (SimpleNamespace(config=SimpleNamespace(prediction_type=kind)) for kind in ("x", "epsilon"))
    x = torch.full((1, 1, 1, 1), 2.0)
    assert levels.clean(nameless, x, x, 1.0, 1.0) is None
    assert float(levels.clean(noise, x / 4, x, 0.0, 1.0)) == pytest.approx(1500)


@pytest.mark.parametrize(("t", "last", "place"), [(7, -1, 0), (5, 0, 1), (5, 1, 2), (5, 2, 1), (torch.tensor([1, 1]), 0, 3)])
def test_a_time_is_its_first_place_behind_the_last(t, last, place):
    assert levels.find_place(Scheduler(), t, last) == place


@pytest.mark.parametrize(
    "result", [torch.zeros(1), (torch.zeros(1), 5), SimpleNamespace(prev_sample=torch.zeros(1), more=5)]
)
def test_the_sample_of_a_step_is_read_and_replaced_in_any_form(result):
    assert holding._sample(result).tolist() == [0]
    after = holding._with_sample(result, torch.ones(1))
    assert holding._sample(after).tolist() == [1]
    assert type(after) is type(result)
    assert not isinstance(after, tuple) or after[1:] == (5,)


class Wants(Scheduler):
    def step(self, model_output, timestep, sample, sigma_hat, generator=None):
        return sample


class Renamed(Scheduler):
    def step(self, output, timestep, sample):
        return sample


def test_the_parameters_of_step_are_those_of_diffusers():
    assert holding._step_parameters(Scheduler()) == ["model_output", "timestep", "sample"]
    for kind in (Wants, Renamed):
        with pytest.raises(NotApplicable, match=rf"{kind.__name__}.step: found \(.*timestep, sample"):
            holding._step_parameters(kind())


def test_a_warning_is_kept_once():
    answers = Answers(IMAGES, torch.zeros(2, dtype=torch.bool))
    for text in ("a", "b", "a"):
        answers.warn(text)
    assert answers.warnings == ["a", "b"]


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"vae": SimpleNamespace(config=SimpleNamespace(in_channels=1))}, 1),
        ({"vae": SimpleNamespace(config=SimpleNamespace(in_channels=3)), "unet": SimpleNamespace(config=None)}, 3),
        ({"unet": SimpleNamespace(config=SimpleNamespace(in_channels=1))}, 1),
        ({"pipe": SimpleNamespace(unet=SimpleNamespace(config=SimpleNamespace(in_channels=4)))}, 4),
        ({}, 3),
    ],
)
def test_channels_are_those_of_the_pictures_that_a_pipeline_takes(parts, expected):
    assert channels(SimpleNamespace(**parts)) == expected
