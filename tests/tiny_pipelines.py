"""The smallest pipelines of each kind, with random weights, built from configuration; and strangers that sample otherwise.

Images are 16 x 16 with a border of 4 pixels, latents 4 x 4.
"""

import copy
from functools import cache

import numpy as np
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from solidmark.marks import Border
from solidmark.pipelines.quiet import quiet

with quiet():
    import diffusers
    from diffusers import StableDiffusionPipeline
    from diffusers.pipelines.stable_diffusion import StableDiffusionPipelineOutput
    from transformers import CLIPTextConfig, CLIPTextModel, PreTrainedTokenizerFast

MARK = Border(thickness=4, segments=2)
CAPTIONS = ["a red house", "two dogs", "one tree"]
WIDTH = 8


@cache
def tokenizer():
    """Each word is a token, and a prompt is 6 tokens long."""
    words = ["<unk>", "<start>", "<end>", *sorted({word for caption in CAPTIONS for word in caption.split()})]
    fast = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    fast.pre_tokenizer = Whitespace()
    fast.post_processor = TemplateProcessing(single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)])
    marks = {"unk_token": "<unk>", "bos_token": "<start>", "eos_token": "<end>", "pad_token": "<end>"}
    return PreTrainedTokenizerFast(tokenizer_object=fast, model_max_length=6, **marks)


def seeded(build):
    """What `build` makes, in evaluation mode, with weights that are the same in each run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build().eval()


@cache
def autoencoder(channels=4, **settings):
    return seeded(
        lambda: diffusers.AutoencoderKL(
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            block_out_channels=[2, 2, 2],
            latent_channels=channels,
            norm_num_groups=1,
            layers_per_block=1,
            sample_size=16,
            **settings,
        )
    )


@cache
def unet(width=WIDTH, in_channels=4, **settings):
    return seeded(
        lambda: diffusers.UNet2DConditionModel(
            sample_size=4,
            in_channels=in_channels,
            out_channels=4,
            block_out_channels=[2],
            down_block_types=["CrossAttnDownBlock2D"],
            up_block_types=["CrossAttnUpBlock2D"],
            layers_per_block=1,
            norm_num_groups=1,
            cross_attention_dim=width,
            attention_head_dim=1,
            **settings,
        )
    )


@cache
def text_encoder():
    config = CLIPTextConfig(
        vocab_size=32, hidden_size=WIDTH, intermediate_size=WIDTH, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=6, bos_token_id=1, eos_token_id=2, pad_token_id=2,
    )  # fmt: skip
    return seeded(lambda: CLIPTextModel(config))


def stable_diffusion(kind=StableDiffusionPipeline, scheduler=None, **parts):
    """A Stable Diffusion pipeline of random weights whose prediction is a velocity, so that pictures stay tame."""
    given = {"vae": autoencoder(), "text_encoder": text_encoder(), "tokenizer": tokenizer(), "unet": unet(), **parts}
    return kind(
        **given,
        scheduler=scheduler or ddim(),
        safety_checker=given.pop("safety_checker", None),
        feature_extractor=None,
        requires_safety_checker=False,
    )


BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def ddim(**settings):
    return diffusers.DDIMScheduler(
        **BETAS, prediction_type="v_prediction", clip_sample=False, set_alpha_to_one=False, steps_offset=1, **settings
    )


def images(count=3, channels=3):
    """Random images with a blank mark, (count, channels, 16, 16)."""
    inside = torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(1))
    return MARK.canvas(inside)


class Bare(StableDiffusionPipeline):
    """A plain loop: no callback, no generator given to `step`."""

    def schedule(self, steps):
        self.scheduler.set_timesteps(steps)
        return self.scheduler

    def step(self, scheduler, output, t, x):
        return scheduler.step(output, t, x).prev_sample

    def begin(self, scheduler, x, words):
        return x

    @torch.no_grad()
    def __call__(self, prompt, num_inference_steps=4, generator=None, height=None, width=None, **_):
        words = self.encode_prompt(prompt, "cpu", 1, False)[0]
        scheduler = self.schedule(num_inference_steps)
        x = torch.cat([torch.randn(1, 4, 4, 4, generator=one) for one in generator]) * scheduler.init_noise_sigma
        x = self.begin(scheduler, x, words)
        for t in scheduler.timesteps:
            output = self.unet(scheduler.scale_model_input(x, t), t, words).sample
            x = self.step(scheduler, output, t, x)
        return self.finish(x)

    def finish(self, x):
        return self.image_processor.postprocess(self.vae.decode(x / self.vae.config.scaling_factor).sample, output_type="np")


class Tuples(Bare):
    """Takes a tuple from `step`."""

    def step(self, scheduler, output, t, x):
        return scheduler.step(output, t, x, return_dict=False)[0]


class Copies(Bare):
    """Steps a deep copy of its scheduler."""

    def schedule(self, steps):
        scheduler = copy.deepcopy(self.scheduler)
        scheduler.set_timesteps(steps)
        return scheduler


class Searches(Bare):
    """Takes two trial steps from another start before it begins."""

    def begin(self, scheduler, x, words):
        trial = -x
        for t in scheduler.timesteps[:2]:
            trial = self.step(scheduler, self.unet(trial, t, words).sample, t, trial)
        return x


class Builds(Bare):
    """Builds a scheduler of its own inside its call."""

    def schedule(self, steps):
        self.scheduler = diffusers.DDIMScheduler.from_config(self.scheduler.config)
        return super().schedule(steps)


class LeavesOff(Bare):
    """Stops before the last step."""

    def schedule(self, steps):
        return Short(super().schedule(steps))


class Short:
    """A scheduler without its last time."""

    def __init__(self, scheduler):
        self.whole, self.timesteps = scheduler, scheduler.timesteps[:-1]

    def __getattr__(self, name):
        return getattr(self.whole, name)


class Flags(Bare):
    """Withholds its first picture, in black, as a safety checker does."""

    def finish(self, x):
        shown = super().finish(x)
        shown[0] = 0
        return StableDiffusionPipelineOutput(images=shown, nsfw_content_detected=[True, *[False] * (len(shown) - 1)])


class Doubles(Bare):
    """Gives two pictures a prompt."""

    def finish(self, x):
        return np.repeat(super().finish(x), 2, axis=0)


class Crops(Bare):
    """Gives smaller pictures."""

    def finish(self, x):
        return super().finish(x)[:, 2:, 2:]


class Mixes(Bare):
    """Answers one prompt with what it makes of all of a batch."""

    def begin(self, scheduler, x, words):
        return x - 2 * (len(x) > 1) * x


class Old(StableDiffusionPipeline):
    """Overrides what the stock call of today never calls: a mitigation without effect."""

    def _encode_prompt(self, *given, **named):
        raise AssertionError("never called")


class OldWithCall(Bare):
    """Overrides the same, and calls it itself."""

    def _encode_prompt(self, *given, **named):
        return super().encode_prompt(*given, **named)[0]

    def begin(self, scheduler, x, words):
        self._encode_prompt(["a"], "cpu", 1, False)
        return x


class TwoCalls(Bare):
    """Descends a loss of the prompt's embeddings in a call before, as published files do, by the stock `_encode_prompt`."""

    def improved(self, prompt, steps=3):
        words = self._encode_prompt(prompt, "cpu", 1, True).chunk(2)[1].detach().requires_grad_()
        optimizer = torch.optim.AdamW([words], lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            self.unet(torch.zeros(len(words), 4, 4, 4), 999, words).sample.norm().backward()
            optimizer.step()
        return words.detach()
