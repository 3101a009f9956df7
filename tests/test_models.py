"""The trained model, and the interface of all denoisers: parametrisations, captions, attention, counting, saving."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from worlds import NETWORK, examples, model

from solidmark import seeds
from solidmark.errors import DamagedFile, NotApplicable
from solidmark.models import (
    END,
    PADDING,
    START,
    WORD,
    Attention,
    Denoiser,
    Evaluations,
    Layer,
    Prediction,
    Schedule,
    ScheduleConfig,
    build,
    load,
)
from solidmark.models.attention import OpenedAttention
from solidmark.models.memorizer import Memorizer


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction", "sample"])
def test_a_perfect_output_gives_back_noise_and_clean_image(kind):
    schedule, clean, noise = (
        Schedule(ScheduleConfig("squaredcos_cap_v2", 1000)),
        torch.rand(2, 1, 4, 4),
        torch.randn(2, 1, 4, 4),
    )
    t = torch.tensor([100, 700])
    a, s = schedule.alpha(t), schedule.sigma(t)
    output = {"epsilon": noise, "sample": clean, "v_prediction": a * noise - s * clean}[kind]
    prediction = Prediction(output, schedule.add_noise(clean, noise, t), a, s, kind)
    assert torch.allclose(prediction.noise, noise, atol=1e-4)
    assert torch.allclose(prediction.clean, clean, atol=1e-4)
    assert prediction.losses(clean, noise).abs().max() < 1e-9


def test_signal_and_noise_share_the_variance():
    schedule, t = Schedule(ScheduleConfig("squaredcos_cap_v2", 1000)), torch.arange(1000)
    assert torch.allclose(schedule.alpha(t) ** 2 + schedule.sigma(t) ** 2, torch.ones(1000, 1, 1, 1))


def test_the_empty_caption_is_the_null_condition_and_unknown_words_have_embeddings():
    embeddings = model().embed(["", "one w1", "one aardvark"])
    assert embeddings[0].eq(0).all()
    assert not torch.equal(embeddings[1], embeddings[2])


def test_roles_are_start_words_end_and_padding():
    assert model().roles(["one w1", ""])[0].tolist()[:5] == [START, WORD, WORD, END, PADDING]


def test_long_captions_are_cut_to_the_context():
    assert model().embed([" ".join(["one"] * 50)]).shape == (1, NETWORK.context, NETWORK.text_width)


def test_opened_attention_equals_the_fused_path():
    denoiser, x = model(), torch.randn(2, 1, 12, 12)
    embeddings = denoiser.embed(["one w1", "zero"])
    plain = denoiser.predict(x, 7, embeddings).output
    assert torch.allclose(plain, denoiser.predict(x, 7, embeddings, attention=Attention()).output, atol=1e-6)


def layers(**changed):
    """An attention of diffusers, its processor of reference, and what both are asked."""
    pytest.importorskip("diffusers")
    from diffusers.models.attention_processor import Attention as Layers
    from diffusers.models.attention_processor import AttnProcessor

    made = Layers(8, cross_attention_dim=8, heads=2, dim_head=4, **changed).requires_grad_(False)
    return made, AttnProcessor(), (torch.randn(2, 5, 8), torch.randn(2, 3, 8))


@pytest.mark.parametrize("casting", [False, True])
def test_logits_that_half_precision_cannot_hold_are_computed_in_full_where_the_network_says_so(casting):
    made, reference, asked = layers(upcast_attention=True)
    made.half().to_q.weight *= 3000
    made.to_k.weight *= 100
    asked = [part.half() for part in asked]
    expected = reference(made, *asked)
    with torch.autocast("cpu", torch.float16, enabled=casting):
        opened = OpenedAttention("mid_0", Attention())(made, *asked)
    assert expected.isfinite().all()
    assert torch.allclose(opened, expected, rtol=1e-2, atol=1e-2)


def test_opened_attention_keeps_a_mask_of_the_caption():
    made, reference, asked = layers(upcast_softmax=True)
    mask = torch.tensor([[[0.0, -10000.0, 0.0]], [[0.0, 0.0, 0.0]]])
    opened = OpenedAttention("mid_0", Attention())
    assert torch.allclose(opened(made, *asked, mask), reference(made, *asked, mask), atol=1e-5)
    assert not torch.allclose(opened(made, *asked, mask)[0], opened(made, *asked)[0], atol=1e-3)


def test_attention_is_read_and_changed_inside_one_call_only():
    seen: list[Layer] = []

    class ZeroAttention(Attention):
        def probabilities(self, layer: Layer, probabilities: Tensor) -> Tensor:
            seen.append(layer)
            assert torch.allclose(probabilities.sum(dim=-1), torch.ones(()), atol=1e-5)
            return probabilities * 0

    denoiser, x = model(), torch.randn(2, 1, 12, 12)
    embeddings = denoiser.embed(["one w1", "zero"])
    plain = denoiser.predict(x, 7, embeddings).output
    assert not torch.equal(plain, denoiser.predict(x, 7, embeddings, attention=ZeroAttention()).output)
    assert (seen[0].block, seen[0].heads) == ("mid", 2)
    assert torch.equal(plain, denoiser.predict(x, 7, embeddings).output)


def test_gradients_pass_through_opened_attention_and_are_counted():
    denoiser, x = model(), torch.randn(3, 1, 12, 12)
    embeddings = denoiser.embed(["one", "zero", "one w1"]).requires_grad_()
    denoiser.predict(x, 7, embeddings, attention=Attention()).output.sum().backward()
    assert embeddings.grad is not None
    assert (denoiser.evaluations.forward, denoiser.evaluations.backward) == (3, 3)


def test_a_call_under_vmap_is_refused_because_it_would_count_as_one():
    denoiser = model()
    with pytest.raises(NotApplicable, match=r"run\.gradients"):
        torch.func.vmap(lambda x: denoiser.predict(x[None], 7, denoiser.embed(["one"])).output)(torch.randn(3, 1, 12, 12))


def test_a_saved_model_comes_back_bit_for_bit_and_frozen(tmp_path):
    denoiser = model()
    denoiser.save(tmp_path)
    back = load(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(denoiser.parameters(), back.parameters(), strict=True))
    assert back.config == denoiser.config
    assert not any(parameter.requires_grad for parameter in back.parameters())


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_model_says_where_it_is_and_how_to_correct_it(tmp_path, name):
    model().save(tmp_path)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:40])
    with pytest.raises(DamagedFile, match="store verify"):
        load(tmp_path)


def test_initialisation_depends_on_its_own_stream_alone():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second = model(0), model(0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert torch.equal(first.parameters()[0], second.parameters()[0])
    assert not torch.equal(first.parameters()[0], build(NETWORK, seeds.torch_rng(1, "test")).parameters()[0])


def test_a_copy_can_be_trained_without_touching_the_original():
    denoiser = model()
    twin = denoiser.copy()
    with torch.no_grad():
        twin.parameters()[0].add_(1)
    assert twin.parameters()[0].requires_grad
    assert not torch.equal(twin.parameters()[0], denoiser.parameters()[0])


def test_a_trajectory_ends_near_what_sampling_without_noise_gives():
    denoiser, noise = model(), torch.randn(2, 1, 12, 12)
    steps = list(denoiser.trajectory(denoiser.embed(["one", "zero"]), noise, denoiser.schedule.times(5), guidance=2.0))
    assert [t for _, t, _ in steps] == denoiser.schedule.times(5)
    assert torch.equal(steps[0][0], noise)


def test_images_pass_through_the_space_of_the_network():
    images = torch.rand(2, 1, 12, 12)
    assert torch.allclose(model().decode(model().encode(images)), images, atol=1e-6)


ABSTRACT = ("cross_attention", "embed", "fits", "roles", "_output")


def test_a_denoiser_without_its_abstract_methods_cannot_be_made():
    assert set(ABSTRACT) == Denoiser.__abstractmethods__
    for missing in ABSTRACT:
        methods = {name: lambda self, *_: None for name in ABSTRACT if name != missing}
        with pytest.raises(TypeError, match=missing):
            type("Incomplete", (Denoiser,), methods)(NETWORK, nn.Module(), nn.Module())


KINDS = {
    "text": model,
    "label": lambda: build(replace(NETWORK, kind="label"), seeds.torch_rng(0, "test")).frozen(),
    "none": lambda: build(replace(NETWORK, kind="none"), seeds.torch_rng(0, "test")).frozen(),
    "memorizer": lambda: Memorizer(examples(4)),
}
"""Every kind of denoiser: trained models of each conditioning, and the closed formula."""


@pytest.fixture(params=KINDS)
def denoiser(request):
    return KINDS[request.param]()


def test_every_denoiser_predicts_in_the_shape_of_x(denoiser):
    embeddings, x = denoiser.embed(["one w1", ""]), torch.randn(2, *denoiser.shape)
    prediction = denoiser.predict(x, torch.tensor([3, 40]), embeddings)
    assert {part.shape for part in (prediction.output, prediction.noise, prediction.clean)} == {x.shape}
    assert len(embeddings) == 2
    assert denoiser.roles(["one w1", ""]).shape[:1] == (2,)


def test_a_caption_fits_as_long_as_its_last_word_is_read(denoiser):
    captions = [" ".join(["one", *["w1"] * count]) for count in range(20)]
    longest = [caption for caption in captions if denoiser.fits(caption)][-1]
    beyond = denoiser.embed([f"{longest} w2", f"{longest} w3"])
    assert torch.equal(*beyond)
    read = not torch.equal(*denoiser.embed([longest, f"{longest[:-1]}2"]))
    assert read is (denoiser.config.kind == "text")


def test_every_denoiser_has_zeros_for_the_null_condition(denoiser):
    assert denoiser.embed([""]).eq(0).all()


def test_every_denoiser_counts_a_sample_forward_and_backward(denoiser):
    x = torch.randn(3, *denoiser.shape, requires_grad=True)
    denoiser.predict(x, 7, denoiser.embed(["one", "zero", ""])).output.sum().backward()
    assert (denoiser.evaluations.forward, denoiser.evaluations.backward) == (3, 3)


def test_every_denoiser_has_copies_that_count_for_themselves(denoiser):
    x, embeddings = torch.randn(2, *denoiser.shape), denoiser.embed(["one w1", ""])
    expected, twin = denoiser.predict(x, 7, embeddings).output, denoiser.copy()
    assert twin.evaluations == Evaluations()
    found = twin.predict(x, 7, embeddings).output  # weights that may have gradients are multiplied by another kernel
    assert torch.allclose(found, expected, rtol=0, atol=1e-5)
    assert (denoiser.evaluations.forward, twin.evaluations.forward) == (2, 2)


def test_every_denoiser_refuses_attention_unless_it_has_cross_attention(denoiser):
    x, embeddings = torch.randn(1, *denoiser.shape), denoiser.embed(["one"])
    if denoiser.cross_attention:
        assert denoiser.predict(x, 7, embeddings, attention=Attention()).output.shape == x.shape
    else:
        with pytest.raises(NotApplicable, match="without cross-attention"):
            denoiser.predict(x, 7, embeddings, attention=Attention())


def test_extra_channels_are_zeros_where_none_are_given_and_are_never_left_out():
    wide, x = build(replace(NETWORK, extra_channels=1), seeds.torch_rng(0, "test")).frozen(), torch.randn(2, 1, 12, 12)
    embeddings = wide.embed(["one", "zero"])
    plain, zeros, ones = (
        wide.predict(x, 7, embeddings, extra=extra).output for extra in (None, torch.zeros_like(x), torch.ones_like(x))
    )
    assert torch.equal(plain, zeros)
    assert not torch.equal(plain, ones)
    with pytest.raises(RuntimeError, match="channels"):
        model().predict(x, 7, model().embed(["one", "zero"]), extra=torch.ones_like(x))


def test_initial_weights_come_from_more_seeds_than_anybody_tries(monkeypatch):
    seen = []
    monkeypatch.setattr("solidmark.models.model.Model", lambda config: seen.append(torch.initial_seed()))
    for seed in range(400):
        build(NETWORK, seeds.torch_rng(seed, "initialisation"))
    assert (len(set(seen)), max(seen) > 2**60, max(seen) < 2**62) == (400, True, True)
