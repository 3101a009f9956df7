"""The parts of models against independent computations: schedules, spaces, tokens, what is built of a configuration."""

from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from solidmark.data import COMMON_WORDS
from solidmark.errors import InvalidValue, NotApplicable, PluginFault, UnknownName
from solidmark.models import (
    Evaluations,
    LatentNetwork,
    Network,
    Recipe,
    Schedule,
    ScheduleConfig,
    clip,
    latent,
    parts,
    prediction,
    space,
)
from solidmark.models.batch import Batch, SamplingBatch
from solidmark.models.conditioning import LabelEmbedding, TextEncoder, Unconditional, exchange
from solidmark.models.denoising import follow_direction, global_norm, gradients
from solidmark.models.schedule import LEAST_SIGNAL

TINY = Network(classes=("one", "two"), words=4, text_width=8, context=6, widths=(8,))
LATENT = LatentNetwork(size=16, widths=(8, 16), text_width=8, words=2, classes=("one",), autoencoder_widths=(8, 16, 16))


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"offset": -1}])
def test_a_schedule_is_accepted_at_the_ends_of_its_ranges(wrong):
    assert ScheduleConfig(steps=1, offset=0).steps == 1
    with pytest.raises(InvalidValue, match="at least one step, an offset of at least 0"):
        ScheduleConfig(**wrong)


@pytest.mark.parametrize(
    ("spacing", "offset", "times"),
    [
        ("even", 0, [75, 50, 25, 0]),
        ("leading", 1, [76, 51, 26, 1]),
        ("linspace", 0, [99, 66, 33, 0]),
        ("trailing", 0, [99, 74, 49, 24]),
    ],
)
def test_four_of_a_hundred_times_in_each_spacing(spacing, offset, times):
    schedule = Schedule(ScheduleConfig(steps=100, spacing=spacing, offset=offset))
    assert schedule.times(4) == times
    assert schedule.targets(times, 4) == ([50, 25, 0, -1] if spacing == "even" else [max(t - 25, -1) for t in times])


@pytest.mark.parametrize("steps", [0, 11])
def test_more_steps_than_times_or_none_are_refused(steps):
    schedule = Schedule(ScheduleConfig(steps=10))
    assert len(schedule.times(1)) == 1
    assert schedule.times(10) == list(range(9, -1, -1))
    with pytest.raises(InvalidValue, match=f"steps={steps}; expected 1 to 10"):
        schedule.times(steps)


def test_times_behind_the_end_are_the_last():
    assert Schedule(ScheduleConfig(steps=10, spacing="leading", offset=5)).times(5) == [9, 9, 9, 7, 5]


def test_signal_and_noise_are_cumulative_products_of_linear_betas():
    schedule = Schedule(ScheduleConfig("linear", 5, 0.1, 0.5))
    shares = np.cumprod(1 - np.linspace(0.1, 0.5, 5))
    t = torch.arange(5)
    assert np.allclose(schedule.alpha(t).flatten().numpy() ** 2, shares, atol=1e-6)
    assert np.allclose(schedule.sigma(t).flatten().numpy() ** 2, 1 - shares, atol=1e-6)
    assert schedule.alpha(2).shape == (1, 1, 1, 1)


def test_a_step_back_gives_the_noise_of_the_higher_level():
    schedule = Schedule(ScheduleConfig("linear", 5, 0.1, 0.5))
    share = float(schedule.alpha(4) / schedule.alpha(1)) ** 2
    x, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), 3.0)
    assert float(schedule.back(x, 1, 4, noise)) == pytest.approx(share**0.5 * 2 + (1 - share) ** 0.5 * 3)


def test_a_step_of_ddim_by_hand():
    schedule = Schedule(ScheduleConfig("linear", 5, 0.1, 0.5))
    x, e, noise = (torch.full((1, 1, 1, 1), value) for value in (2.0, 0.5, 3.0))
    a, b = (float(schedule.alpha(t)) ** 2 for t in (3, 1))
    clean = (2 - (1 - a) ** 0.5 * 0.5) / a**0.5
    sigma = 0.7 * ((1 - b) / (1 - a) * (1 - a / b)) ** 0.5
    to, x0 = schedule.step(x, e, 3, 1, 0.7, noise)
    assert float(x0) == pytest.approx(clean, rel=1e-5)
    assert float(to) == pytest.approx(b**0.5 * clean + (1 - b - sigma**2) ** 0.5 * 0.5 + sigma * 3, rel=1e-5)
    assert [float(one) for one in schedule.step(x, e, 3, -1, 0.7, noise)] == [float(x0)] * 2


def test_a_schedule_that_ends_in_noise_keeps_the_least_signal():
    schedule = Schedule(ScheduleConfig("linear", 5, 0.1, 0.5, zero_terminal_snr=True))
    assert float(schedule.alpha(4)) ** 2 == pytest.approx(LEAST_SIGNAL) == pytest.approx(2**-48)
    assert float(schedule.sigma(4)) == pytest.approx(1)


def test_what_a_scheduler_leaves_out_is_diffusers_default():
    given = {"beta_schedule": "linear", "num_train_timesteps": 7, "beta_start": 0.1, "beta_end": 0.2}
    assert ScheduleConfig.read(SimpleNamespace(config=given)) == ScheduleConfig(
        "linear", 7, 0.1, 0.2, "leading", 0, True, False
    )
    with pytest.raises(NotApplicable, match="SimpleNamespace without named betas"):
        ScheduleConfig.read(SimpleNamespace(config={**given, "trained_betas": [0.1]}))


def test_pixels_are_scaled_to_minus_one_to_one_and_clamped_back():
    pixels = space.Space()
    assert pixels.encode(torch.tensor([0.0, 0.5, 1.0])).tolist() == [-1, 0, 1]
    assert pixels.decode(torch.tensor([-2.0, -1.0, 0.5, 2.0])).tolist() == [0, 0, 0.75, 1]
    assert (pixels.factor, pixels.encoded, pixels.decoded, pixels.state()) == (1, 0, 0, {})
    mask = torch.zeros(1, 1, 2, 2) > 0
    assert pixels.cells(mask) is mask
    pixels.load_state({})
    with pytest.raises(RuntimeError, match="weights of one: a, b"):
        pixels.load_state({"a": mask, "b": mask})


class Halves(nn.Module):
    """An autoencoder whose latents are every other pixel; it notes how many it gets at once."""

    def __init__(self):
        super().__init__()
        self.weight, self.sizes = nn.Parameter(torch.ones(1)), []

    def encode(self, x):
        self.sizes.append(len(x))
        return SimpleNamespace(latent_dist=SimpleNamespace(mode=lambda: x[..., ::2, ::2]))

    def decode(self, z):
        return SimpleNamespace(sample=z.repeat_interleave(2, 2).repeat_interleave(2, 3))


def test_latents_are_scaled_filled_up_to_sixteen_and_remembered():
    halves = space.LatentSpace(Halves(), 2, 3.0)
    images = torch.rand(18, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(halves.encode(images), (images[..., ::2, ::2] * 2 - 1) * 3)
    assert torch.equal(halves.encode(images[[3, 3, 1]]), halves.encode(images)[[3, 3, 1]])
    assert (halves.encoded, halves.autoencoder.sizes) == (18, [16, 16])
    assert not halves.autoencoder.training
    assert not halves.autoencoder.weight.requires_grad


def test_pictures_of_latents_are_unscaled_clamped_and_counted():
    halves = space.LatentSpace(Halves(), 2, 4.0)
    picture = halves.decode(torch.tensor([-8.0, 2.0]).reshape(2, 1, 1, 1))
    assert picture.flatten(1).tolist() == [[0.0] * 4, [0.75] * 4]
    assert (halves.encoded, halves.decoded, halves.factor) == (0, 2, 2)


def test_the_oldest_encodings_are_forgotten(monkeypatch):
    monkeypatch.setattr(space, "REMEMBERED", 2)
    halves, images = space.LatentSpace(Halves(), 2), torch.rand(3, 1, 4, 4)
    for asked, encoded in ((images, 3), (images[1:], 3), (images[:1], 4)):
        halves.encode(asked)
        assert halves.encoded == encoded


@pytest.mark.parametrize(("device", "remembered"), [("cpu", True), ("meta", False)])
def test_encodings_are_forgotten_where_they_were_made_elsewhere(device, remembered):
    halves, images = space.LatentSpace(Halves(), 2), torch.rand(3, 1, 4, 4)
    halves.encode(images)
    halves.to(device)
    halves.encode(images)
    assert (halves.encoded == 3) is remembered


def test_a_latent_space_is_saved_with_its_scale_and_loaded_whole():
    one, other = space.LatentSpace(Halves(), 2, 0.3), space.LatentSpace(Halves(), 2)
    image = torch.rand(1, 1, 4, 4)
    other.encode(image)
    other.load_state({**one.state(), "weight": torch.full((1,), 5.0)})
    assert (other.scale, float(other.autoencoder.weight)) == (pytest.approx(0.3), 5.0)
    assert torch.allclose(other.encode(image), one.encode(image))
    with pytest.raises(RuntimeError, match="other"):
        other.load_state({**one.state(), "other": image})


def test_a_cell_with_a_pixel_of_the_mark_is_mark():
    mask = torch.zeros(1, 1, 4, 4) > 0
    mask[..., 1, 2] = True
    assert space.LatentSpace(Halves(), 2).cells(mask)[0, 0].tolist() == [[False, True], [False, False]]


def test_tokens_are_start_words_end_and_padding():
    text = TextEncoder(TINY)
    assert text.tokens(["two w3", "", "one " * 9]).tolist() == [[1, 4, 8, 2, 0, 0], [1, 2, 0, 0, 0, 0], [1, 3, 3, 3, 3, 2]]
    assert text.roles(["two w3"]).tolist() == [[0, 1, 1, 2, 3, 3]]
    assert (text.words.num_embeddings, text.positions.shape) == (3 + 2 + 4, (6, 8))
    assert text.tokens([]).shape == (0, 6)


def test_unknown_words_hash_into_the_filler_words():
    tokens = Counter(TextEncoder(TINY).token(f"strange{number}") for number in range(200))
    assert sorted(tokens) == [5, 6, 7, 8]
    assert TextEncoder(replace(TINY, words=0, classes=("a", "b"))).token("strange") == 5


def test_labels_are_the_first_word_that_is_a_class_and_hash_else():
    label = LabelEmbedding(TINY)
    assert label.tokens(["two one", "x one two"]).tolist() == [[1], [0]]
    assert set(label.tokens([f"x{n}" for n in range(50)]).flatten().tolist()) == {0, 1}
    assert label.roles(["a", "b"]).tolist() == [[1], [1]]
    assert label.vectors.weight.shape == (2, 32)
    assert label(["", "two"]).tolist() == [[0.0] * 32, label.vectors.weight[1].tolist()]


def test_an_unconditional_model_has_no_tokens():
    none = Unconditional(TINY)
    assert (none.roles(["a", "b"]).shape, none(["a"]).shape, none.roles(["a"]).dtype) == ((2, 0), (1, 0), torch.long)


def test_rows_of_a_table_exchange_their_values():
    table = nn.Embedding(4, 1)
    table.weight.data = torch.arange(4.0)[:, None]
    exchange(table, [1, 2, 3], [2, 0, 1])
    assert table.weight.flatten().tolist() == [0, 3, 1, 2]


class Tokenizer:
    """Each letter is a token, `<` begins and `>` ends and pads; it notes what it is asked."""

    model_max_length, eos_token_id = 5, 62

    def __init__(self):
        self.asked = []

    def __call__(self, captions, padding, max_length, truncation, return_tensors):
        assert (padding, truncation, return_tensors) == ("max_length", True, "pt")
        self.asked += captions
        rows = [("<" + caption[: max_length - 2] + ">").ljust(max_length, ">") for caption in captions]
        return SimpleNamespace(input_ids=torch.tensor([[ord(letter) for letter in row] for row in rows]))


def test_clip_asks_for_each_caption_once_and_pads_behind_the_first_end(monkeypatch):
    monkeypatch.setattr(clip, "REMEMBERED", 2)
    text = clip.Clip(Tokenizer(), nn.Identity())
    rows = text.tokens(["a", "", "a", "bcde"])
    assert ["".join(map(chr, row)) for row in rows.tolist()] == ["<a>>>", "<>>>>", "<a>>>", "<bcd>"]
    assert text.roles(["a", "bcde"]).tolist() == [[0, 1, 2, 3, 3], [0, 1, 1, 1, 2]]
    text.tokens(["a", ""])
    assert text.tokenizer.asked == ["a", "", "bcde", "a", ""]  # the oldest are forgotten
    assert text.tokens([]).shape == (0, 5)


def test_a_tokenizer_has_whole_words_then_letters_and_pairs_of_digits():
    tokenizer = latent.build_tokenizer(LATENT)
    rows = tokenizer(["one w1", "w12", "ab7"], padding="max_length", max_length=6).input_ids
    names = [tokenizer.convert_ids_to_tokens(row) for row in rows]
    assert names[0] == ["<bos>", "one", "w1", "<eos>", "<pad>", "<pad>"]
    assert names[1][1:-2] == ["w1", "##2", "<eos>"]
    assert names[2] == ["<bos>", "a", "##b", "##7", "<eos>", "<pad>"]
    common = len(COMMON_WORDS)
    assert len(tokenizer) == 4 + 3 + common + 26 + 10 + 100 + 136  # special, words, letters, digits, pairs, continuations
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.model_max_length) == (
        1,
        2,
        0,
        16,
    )


def test_a_text_encoder_of_a_latent_model_is_as_configured():
    tokenizer, encoder = latent.build_text(replace(LATENT, text_layers=2))
    told = encoder.config
    assert (told.vocab_size, told.hidden_size, told.intermediate_size, told.num_hidden_layers) == (len(tokenizer), 8, 16, 2)
    assert (told.num_attention_heads, told.max_position_embeddings, told.projection_dim) == (4, 16, 8)
    assert (told.bos_token_id, told.eos_token_id, told.pad_token_id) == (1, 2, 0)
    assert float(encoder.get_input_embeddings().weight.detach().std()) == pytest.approx(1, abs=0.1)


def test_an_autoencoder_halves_once_for_each_width_but_the_first():
    config = replace(LATENT, channels=3, latent_channels=5)
    told = latent.build_autoencoder(config).config
    assert (config.factor, config.x_channels) == (4, 5)
    assert (told.in_channels, told.out_channels, told.latent_channels, told.sample_size) == (3, 3, 5, 16)
    assert (told.down_block_types, told.up_block_types) == (("DownEncoderBlock2D",) * 3, ("UpDecoderBlock2D",) * 3)
    assert (list(told.block_out_channels), told.layers_per_block, told.norm_num_groups) == ([8, 16, 16], 1, 8)
    assert not told.mid_block_add_attention


def test_a_denoiser_of_latents_is_as_configured():
    told = latent.build_unet(replace(LATENT, extra_channels=2, dropout=0.25, heads=4, layers=2)).config
    assert (told.sample_size, told.in_channels, told.out_channels, told.layers_per_block) == (4, 6, 4, 2)
    assert (told.cross_attention_dim, told.attention_head_dim, told.dropout, told.norm_num_groups) == (8, 4, 0.25, 8)
    assert (told.down_block_types, told.up_block_types) == (("DownBlock2D",) * 2, ("UpBlock2D",) * 2)
    assert told.mid_block_type == "UNetMidBlock2DCrossAttn"


@pytest.mark.parametrize(("kind", "embedded"), [("label", "identity"), ("none", None)])
def test_a_denoiser_of_pixels_works_on_cells(kind, embedded):
    told = parts.build_parts(replace(TINY, kind=kind, channels=3, extra_channels=1, size=12, patch=2)).network.config
    assert (told.sample_size, told.in_channels, told.out_channels, told.class_embed_type) == (6, 16, 12, embedded)


def test_a_denoiser_of_captions_attends_to_them():
    told = parts.build_parts(replace(TINY, dropout=0.5, heads=4)).network.config
    assert (told.cross_attention_dim, told.attention_head_dim, told.dropout, told.in_channels) == (8, 4, 0.5, 4)


def test_the_pipeline_of_a_latent_model_has_its_schedule_and_scale():
    from diffusers import UNet2DConditionModel

    tokenizer, encoder = latent.build_text(LATENT)
    unet, autoencoder = latent.build_unet(LATENT), latent.build_autoencoder(LATENT)
    pipe = latent.build_pipeline(LATENT, unet, autoencoder, 0.7, SimpleNamespace(tokenizer=tokenizer, encoder=encoder))
    assert ScheduleConfig.read(pipe.scheduler) == parts.schedule_of(LATENT)
    assert (pipe.scheduler.config.prediction_type, pipe.scheduler.config.clip_sample) == ("v_prediction", False)
    assert pipe.vae.config.scaling_factor == 0.7
    assert (pipe.unet, pipe.text_encoder, pipe.tokenizer, pipe.safety_checker) == (unet, encoder, tokenizer, None)
    assert isinstance(pipe.unet, UNet2DConditionModel)


def test_the_schedule_of_a_configuration_is_its_own():
    assert parts.schedule_of(replace(TINY, betas="linear", schedule_steps=7)) == ScheduleConfig("linear", 7)
    numbers = {
        "beta_start": 0.1,
        "beta_end": 0.2,
        "spacing": "trailing",
        "offset": 3,
        "last_is_clean": True,
        "zero_terminal_snr": True,
    }
    expected = ScheduleConfig("linear", 7, **numbers)
    assert parts.schedule_of(replace(LATENT, betas="linear", schedule_steps=7, **numbers)) == expected


def test_another_kind_of_conditioning_is_named():
    with pytest.raises(UnknownName, match=r"Network\.kind"):
        parts.build_parts(replace(TINY, kind="sound"))


@pytest.mark.parametrize(("size", "fits"), [(16, True), (20, True), (18, False)])
def test_a_size_that_the_autoencoder_halves_is_accepted(size, fits):
    if fits:
        assert replace(LATENT, size=size).size == size
    else:
        with pytest.raises(InvalidValue, match="size=18, kind='text'; expected kind 'text' and a size divisible by 4"):
            replace(LATENT, size=size)


def test_counts_only_grow_and_are_subtracted_name_by_name():
    one, other = Evaluations(5, 6, 7, 8), Evaluations(1, 1, 1, 1)
    assert one.since(other) == Evaluations(4, 5, 6, 7)
    assert one.copy() == one
    one.forward = 5
    with pytest.raises(PluginFault, match="count of evaluations, decoded: found 7 after 8"):
        one.decoded = 7


def test_meters_inside_one_another_count_all_the_same():
    with prediction.metered() as outer:
        with prediction.metered() as inner:
            prediction.meter(torch.ones(3, 2, requires_grad=True) * 2)
            prediction.meter_work(encoded=2)
        prediction.meter_work(decoded=4, forward=1)
    prediction.meter_work(forward=9)
    assert (outer, inner) == (Evaluations(4, 0, 2, 4), Evaluations(3, 0, 2, 0))


@pytest.mark.parametrize(
    "wrong",
    [
        {"train_steps": 0},
        {"batch": 0},
        {"learning_rate": 0.0},
        {"learning_rate": float("inf")},
        {"caption_dropout": -0.1},
        {"caption_dropout": 1.1},
    ],
)
def test_a_recipe_is_accepted_at_the_ends_of_its_ranges(wrong):
    Recipe(train_steps=1, batch=1, learning_rate=1e300, caption_dropout=1.0)
    Recipe(caption_dropout=0.0)
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        Recipe(**wrong)


@pytest.mark.parametrize(("step", "rate"), [(0, 0.1), (4, 0.5), (9, 1.0), (10, 1.0), (55, 1 - 0.99 / 2), (100, 0.01)])
def test_the_rate_of_a_training_rises_over_a_tenth_and_falls_to_a_hundredth(step, rate):
    assert Recipe(train_steps=100, learning_rate=2.0).rate(step) == pytest.approx(2 * rate)


def test_a_training_of_one_step_has_its_full_rate():
    assert Recipe(train_steps=1, learning_rate=2.0).rate(0) == 2.0


def batch(**changes):
    schedule = Schedule(ScheduleConfig(steps=10))
    model = SimpleNamespace(schedule=schedule, encode=lambda images: images * 10, decode=lambda x: x / 10)
    given = {
        "captions": ["a", "", " "], "embeddings": None, "unconditional": None, "noise": torch.ones(3, 1, 1, 2),
        "mask": torch.tensor([True, False]).expand(3, 1, 1, 2), "refused": None, "times": [8, 4], "guidance": 1.0,
        "eta": 0.0, "model": model, "observed": torch.full((3, 1, 1, 2), 5.0), **changes,
    }  # fmt: skip
    return SamplingBatch(**given)


def test_a_batch_knows_its_targets_words_and_progress():
    assert batch().targets == [4, -1]
    assert batch().conditional.tolist() == [True, False, False]
    assert [batch().step_fraction(t) for t in (8, 4)] == [0, 0.5]
    late = SimpleNamespace(schedule=Schedule(ScheduleConfig(steps=10, spacing="leading")))
    assert batch(model=late, steps=5).targets == [6, 2]
    assert batch(model=late).targets == [3, -1]


def test_observed_pixels_are_put_back_at_the_level_and_clean_at_the_end():
    one, x = batch(), torch.zeros(3, 1, 1, 2)
    schedule = one.model.schedule
    level = float(schedule.alpha(4) * 5 + schedule.sigma(4))
    assert one.with_observed(x, one.noise, 4)[0].flatten().tolist() == [0, pytest.approx(level)]
    assert one.with_observed(x, one.noise, -1)[0].flatten().tolist() == [0, 5]
    start = float(schedule.alpha(8) * 5 + schedule.sigma(8))
    assert one.start(one.noise)[0].flatten().tolist() == [1, pytest.approx(start)]


@pytest.mark.parametrize(("step", "to", "renewed"), [(0, 4, False), (1, 4, True), (1, -1, False), (3, 0, True)])
def test_observed_latents_are_encoded_anew_after_every_second_step(step, to, renewed):
    shown = torch.tensor([False, True]).expand(3, 1, 1, 2)
    one = batch(pixels=torch.full((3, 1, 1, 2), 0.25), shown=shown, reencode=2)
    _, after = one.end_step(step, one.noise, torch.full((3, 1, 1, 2), 3.0), one.noise, to)
    assert after.observed[0].flatten().tolist() == ([3.0, 2.5] if renewed else [5.0, 5.0])
    assert (after is one) is not renewed


def test_without_pixels_or_renewals_nothing_is_encoded_anew():
    for one in (batch(reencode=1), batch(pixels=torch.zeros(3, 1, 1, 2), shown=torch.ones(3, 1, 1, 2) > 0)):
        assert one.end_step(0, one.noise, one.noise, one.noise, 4)[1] is one


def test_all_latents_are_replaced_where_that_is_asked():
    shown = torch.tensor([False, True]).expand(3, 1, 1, 2)
    one = batch(pixels=torch.full((3, 1, 1, 2), 0.25), shown=shown, reencode=1, renew_all=True)
    x, after = one.end_step(0, one.noise, torch.full((3, 1, 1, 2), 3.0), one.noise, 4)
    assert torch.allclose(x, one.model.schedule.add_noise(after.observed, one.noise, 4))


def test_fixed_noise_belongs_to_image_seed_and_purpose():
    def drawn(ids, seed=0, name="a"):
        return Batch(torch.zeros(2, 1, 2, 2), None, None, ids, seed).fixed_noise(name)

    assert torch.equal(drawn((1, 2)), drawn((2, 1)).flip(0))
    assert len({float(one.sum()) for one in (drawn((1, 2)), drawn((1, 2), 1), drawn((1, 2), name="b"), drawn((3, 4)))}) == 4


def test_gradients_are_zeros_where_a_parameter_has_no_part():
    used, other = nn.Parameter(torch.full((2,), 3.0)), nn.Parameter(torch.ones(1))
    loss = used.square().sum()
    assert [one.tolist() for one in gradients(loss, [used, other], retain_graph=True)] == [[6, 6], [0]]
    assert gradients(loss, [used])[0].tolist() == [6, 6]
    assert float(global_norm([torch.tensor([3.0, 0.0]), torch.tensor([[4.0]])])) == 5


def test_a_direction_is_followed_for_so_many_updates_of_adamw():
    model = nn.Linear(1, 1, bias=False)
    model.weight.data.fill_(1.0)
    assert follow_direction(model, lambda chosen: [torch.ones(1, 1)], 2, 0.1, weight_decay=0.5) is model
    assert float(model.weight.detach()) == pytest.approx((1 * 0.95 - 0.1) * 0.95 - 0.1, abs=1e-6)
    assert model.weight.grad is None
    follow_direction(model, lambda chosen: [None], 3, 0.1)
    assert float(model.weight.detach()) == pytest.approx((1 * 0.95 - 0.1) * 0.95 - 0.1, abs=1e-6)
