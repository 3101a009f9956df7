"""Every kind of pipeline, tiny and random: latents, pixels, packed tokens, doubled steps, captions or none."""

import copy
from types import SimpleNamespace

import diffusers
import pytest
import torch
from tiny_pipelines import MARK, WIDTH, Bare, autoencoder, ddim, images, seeded, stable_diffusion, unet

from solidmark.errors import InvalidValue, NotApplicable
from solidmark.pipelines import ask, held
from solidmark.pipelines.space import Space

pytestmark = pytest.mark.filterwarnings("ignore:__array_:DeprecationWarning")


def drawn(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def stable_diffusion_xl():
    facts = {"addition_embed_type": "text_time", "addition_time_embed_dim": 2, "projection_class_embeddings_input_dim": 20}
    pipe = diffusers.StableDiffusionXLPipeline(
        vae=autoencoder(), text_encoder=None, text_encoder_2=None, tokenizer=None, tokenizer_2=None,
        unet=unet(**facts), scheduler=diffusers.EulerDiscreteScheduler(prediction_type="v_prediction"),
        add_watermarker=False,
    )  # fmt: skip
    words = ("prompt_embeds", "negative_prompt_embeds")
    pools = ("pooled_prompt_embeds", "negative_pooled_prompt_embeds")
    return pipe, _embedded(words, (6, WIDTH), pools, WIDTH)


def stable_diffusion_3():
    transformer = seeded(
        lambda: diffusers.SD3Transformer2DModel(
            sample_size=4, patch_size=1, in_channels=4, num_layers=1, attention_head_dim=8, num_attention_heads=1,
            joint_attention_dim=WIDTH, caption_projection_dim=8, pooled_projection_dim=8, out_channels=4,
            pos_embed_max_size=8,
        )
    )  # fmt: skip
    pipe = diffusers.StableDiffusion3Pipeline(
        transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=autoencoder(shift_factor=0.1, scaling_factor=1.5),
        **dict.fromkeys(f"{part}{number}" for part in ("text_encoder", "tokenizer") for number in ("", "_2", "_3")),
    )  # fmt: skip
    words = ("prompt_embeds", "negative_prompt_embeds")
    return pipe, _embedded(words, (6, WIDTH), ("pooled_prompt_embeds", "negative_pooled_prompt_embeds"), 8)


def flux():
    transformer = seeded(
        lambda: diffusers.FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16, num_attention_heads=1,
            joint_attention_dim=WIDTH, pooled_projection_dim=8, axes_dims_rope=(4, 4, 8),
        )
    )  # fmt: skip
    pipe = diffusers.FluxPipeline(
        transformer=transformer, scheduler=diffusers.FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
        vae=autoencoder(shift_factor=0.1, scaling_factor=1.5), text_encoder=None, tokenizer=None, text_encoder_2=None,
        tokenizer_2=None,
    )  # fmt: skip
    return pipe, _embedded(("prompt_embeds",), (6, WIDTH), ("pooled_prompt_embeds",), 8)


def pixart_sigma():
    transformer = seeded(
        lambda: diffusers.PixArtTransformer2DModel(
            sample_size=4, num_layers=1, patch_size=1, attention_head_dim=8, num_attention_heads=1, in_channels=4,
            cross_attention_dim=8, caption_channels=WIDTH, out_channels=8, norm_type="ada_norm_single", norm_num_groups=1,
        )
    )  # fmt: skip
    pipe = diffusers.PixArtSigmaPipeline(
        tokenizer=None, text_encoder=None, vae=autoencoder(), transformer=transformer,
        scheduler=diffusers.DPMSolverMultistepScheduler(prediction_type="v_prediction"),
    )  # fmt: skip

    def call(pipe, captions, **options):
        words, mask = drawn(1, 6, WIDTH).repeat(len(captions), 1, 1), torch.ones(len(captions), 6)
        given = {"prompt_embeds": words, "negative_prompt_embeds": -words}
        masks = {"prompt_attention_mask": mask, "negative_prompt_attention_mask": mask}
        return pipe(negative_prompt=None, use_resolution_binning=False, **given, **masks, **options)

    return pipe, call


def dit():
    transformer = seeded(
        lambda: diffusers.DiTTransformer2DModel(
            sample_size=4, num_layers=1, patch_size=2, attention_head_dim=8, num_attention_heads=1, in_channels=4,
            out_channels=8, num_embeds_ada_norm=1000, activation_fn="gelu-approximate", norm_num_groups=1,
        )
    )  # fmt: skip
    pipe = diffusers.DiTPipeline(
        transformer=transformer, vae=autoencoder(), scheduler=diffusers.DDPMScheduler(prediction_type="v_prediction")
    )

    def call(pipe, captions, generator, num_inference_steps, output_type):
        given = {"generator": generator, "num_inference_steps": num_inference_steps, "output_type": output_type}
        return pipe(class_labels=[0] * len(captions), **given)

    return pipe, call


def pixels(kind=diffusers.DDPMPipeline, scheduler=diffusers.DDPMScheduler):
    return kind(unet=_unconditional(3, 16), scheduler=scheduler(prediction_type="v_prediction")), None


def pixels_ddim():
    return pixels(diffusers.DDIMPipeline, diffusers.DDIMScheduler)


def latent_diffusion():
    quantized = seeded(
        lambda: diffusers.VQModel(
            down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
            block_out_channels=[2] * 3, latent_channels=4, norm_num_groups=1, num_vq_embeddings=16,
        )
    )  # fmt: skip
    return diffusers.LDMPipeline(vqvae=quantized, unet=_unconditional(4, 4), scheduler=ddim()), None


def _unconditional(channels, size):
    return seeded(
        lambda: diffusers.UNet2DModel(
            sample_size=size, in_channels=channels, out_channels=channels, block_out_channels=[2],
            down_block_types=["DownBlock2D"], up_block_types=["UpBlock2D"], norm_num_groups=1, layers_per_block=1,
            attention_head_dim=1,
        )
    )  # fmt: skip


def _embedded(words, shape, pools, width):
    """A call that passes embeddings, the same for each caption, in place of the captions."""

    def call(pipe, captions, **options):
        count = len(captions)
        given = {name: drawn(1, *shape).repeat(count, 1, 1) * (-1) ** i for i, name in enumerate(words)}
        return pipe(**given, **{name: drawn(1, width).repeat(count, 1) for name in pools}, **options)

    return call


LATENT = [stable_diffusion_xl, stable_diffusion_3, flux, pixart_sigma, dit, latent_diffusion]
KINDS = [*LATENT, pixels, pixels_ddim]


def captions_for(call):
    return None if call is None else ["a", "b", "c"]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_given_cells_are_exact_and_a_batch_and_a_repetition_answer_alike(kind):
    pipe, call = kind()
    given = {"captions": captions_for(call), "call": call, "steps": 4, "every": 2}
    alone, again, together = (ask(pipe, images(), MARK, **given, batch=size).images for size in (1, 1, 3))
    assert torch.equal(alone, again)
    assert torch.allclose(alone, together, atol=1e-4)
    assert alone[:, :, 0].std() > 1e-3


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_last_sample_has_the_known_cells_and_its_picture_is_the_pipelines(kind):
    pipe, call = kind()
    with held(pipe, images(1), MARK, every=2) as run:
        named = {"generator": run.generators(), "num_inference_steps": 4, "output_type": "np"}
        size = {} if kind in (dit, latent_diffusion, pixels, pixels_ddim) else {"height": 16, "width": 16}
        shown = pipe(**named) if call is None else call(pipe, ["a"], **named, **size)
    last = run.latents()
    assert torch.equal(last[~run.filled], run.known[~run.filled])
    assert torch.allclose(run.decoded(), torch.from_numpy(shown.images).permute(0, 3, 1, 2), atol=1e-5)
    assert run.renewals == (1 if kind in LATENT else 0)


def test_pixels_that_were_given_to_a_pipeline_of_pixels_come_back():
    answers = ask(pixels()[0], images(), MARK, steps=3)
    assert answers.given_error < 1e-6
    assert answers.counts.encoded == answers.counts.decoded == 0


def test_a_step_of_both_branches_holds_both():
    pipe, call = dit()
    with held(pipe, images(2), MARK) as run:
        call(pipe, ["a", "b"], run.generators(), 3, "np")
    assert len(run.x) == 4
    assert torch.equal(run.x[:2][~run.filled], run.x[2:][~run.filled])


@pytest.mark.parametrize("kind", [stable_diffusion_3, flux], ids=lambda kind: kind.__name__)
def test_images_may_be_wider_than_high(kind):
    pipe, call = kind()
    wide = torch.cat([images(1), images(1)], dim=3)
    with held(pipe, wide, MARK) as run:
        call(pipe, ["a"], generator=run.generators(), height=16, width=32, num_inference_steps=3, output_type="np")
    assert torch.equal(run.latents()[~run.filled], run.known[~run.filled])
    assert run.filled[0, 0].int().tolist() == [[1] * 8, *[[1, *[0] * 6, 1]] * 2, [1] * 8]


def test_a_side_of_half_a_cell_is_refused():
    with pytest.raises(InvalidValue, match="multiples of 4"), held(stable_diffusion(), images(1)[..., :14], MARK):
        pass


@pytest.mark.parametrize(
    ("kind", "captions", "error", "found"),
    [
        (pixels, ["a", "b", "c"], NotApplicable, "takes no prompt"),
        (stable_diffusion_xl, ["a", "b", "c"], NotApplicable, "text encoder is None"),
        (dit, None, NotApplicable, "required arguments class_labels"),
        (lambda: (stable_diffusion(), None), None, InvalidValue, "captions=None"),
        (
            lambda: (diffusers.StableDiffusionUpscalePipeline, None),
            None,
            InvalidValue,
            "a diffusers pipeline, or a function",
        ),
    ],
)
def test_a_plain_call_that_cannot_be_made_is_refused(kind, captions, error, found):
    with pytest.raises(error, match=found):
        ask(kind()[0], images(), MARK, captions)


def test_a_network_that_inpaints_a_given_image_is_refused_by_its_channels():
    with pytest.raises(NotApplicable, match=r"samples of \(1, 9, 4, 4\).*inpainting.*cannot be asked"):
        ask(stable_diffusion(unet=unet(in_channels=9)), images(1), MARK, ["a"], steps=3)


class Negative(Bare):
    """Shows another picture than its autoencoder decodes."""

    def finish(self, x):
        return 1 - super().finish(x)


def test_a_picture_that_is_not_what_the_autoencoder_decodes_is_refused():
    with pytest.raises(NotApplicable, match="differ by"):
        ask(stable_diffusion(Negative), images(1), MARK, ["a"], steps=3)


def test_an_autoencoder_that_half_precision_is_too_little_for_works_in_float32():
    whole, half = (Space(SimpleNamespace(vae=copy.deepcopy(autoencoder(force_upcast=True)))) for _ in range(2))
    half.autoencoder.to(torch.float16)
    whole.autoencoder.load_state_dict({name: tensor.float() for name, tensor in half.autoencoder.state_dict().items()})
    assert torch.equal(half.encode(images(1)), whole.encode(images(1)))
    assert next(half.autoencoder.parameters()).dtype is torch.float16


def test_latents_are_shifted_and_scaled_as_their_configuration_says_and_back():
    plain = Space(SimpleNamespace(vae=autoencoder(scaling_factor=1.0)))
    moved = Space(SimpleNamespace(vae=autoencoder(scaling_factor=0.5, latents_mean=(1, 2, 3, 4), latents_std=(2, 2, 2, 4))))
    z, mean, spread = plain.encode(images(1)), torch.tensor([1.0, 2, 3, 4]), torch.tensor([2.0, 2, 2, 4])
    expected = (z - mean.view(-1, 1, 1)) * 0.5 / spread.view(-1, 1, 1)
    assert torch.allclose(moved.encode(images(1)), expected, atol=1e-6)
    assert torch.allclose(moved.decode(expected), plain.decode(z), atol=1e-6)


def test_latents_that_are_not_finite_are_refused():
    broken = copy.deepcopy(autoencoder())
    broken.quant_conv.bias.data[0] = float("inf")
    with pytest.raises(NotApplicable, match="not finite"):
        ask(stable_diffusion(vae=broken), images(1), MARK, ["a"])


def test_images_of_other_channels_than_the_autoencoders_are_refused():
    with pytest.raises(NotApplicable, match=r"an encoder of images \(1, 1, 16, 16\)"):
        ask(stable_diffusion(), images(1, channels=1), MARK, ["a"])
