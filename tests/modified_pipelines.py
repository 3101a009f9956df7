"""Five mitigations in the style in which they are published: a pipeline's class with a loop of its own, or a call.

The file is loaded by its path, as a stranger's. It knows nothing of the suite.
"""

import copy

import torch
from diffusers import StableDiffusionPipeline


class PromptNoise(StableDiffusionPipeline):
    """A bare loop that disturbs the prompt's embeddings: no callback, no guidance, no generator given to `step`."""

    def words(self, prompt):
        words = self.encode_prompt(prompt, "cpu", 1, False)[0]
        return words + 0.5 * torch.randn(words[:1].shape, generator=torch.Generator().manual_seed(1))

    def clock(self, steps):
        self.scheduler.set_timesteps(steps)
        return self.scheduler

    def begin(self, x, words):
        return x

    @torch.no_grad()
    def __call__(self, prompt, num_inference_steps=50, generator=None, **_):
        words, clock, side = self.words(prompt), self.clock(num_inference_steps), self.unet.config.sample_size
        shape = (1, self.unet.config.in_channels, side, side)
        x = torch.cat([torch.randn(shape, generator=one) for one in generator]) * clock.init_noise_sigma
        x = self.begin(x, words)
        for t in clock.timesteps:
            output = self.unet(clock.scale_model_input(x, t), t, words).sample
            x = clock.step(output, t, x, return_dict=False)[0]
        picture = self.vae.decode(x / self.vae.config.scaling_factor).sample
        return self.image_processor.postprocess(picture, output_type="np")


class OwnClock(PromptNoise):
    """Steps a deep copy of its scheduler."""

    def clock(self, steps):
        return copy.deepcopy(super().clock(steps))


class BetterStart(PromptNoise):
    """Tries a start, and begins elsewhere."""

    def words(self, prompt):
        return self.encode_prompt(prompt, "cpu", 1, False)[0]

    def begin(self, x, words):
        t = self.scheduler.timesteps[0]
        tried = self.scheduler.step(self.unet(x, t, words).sample, t, x).prev_sample
        return 2 * x - tried


class LateGuidance(StableDiffusionPipeline):
    """Guides from the middle on: the stock call, changed by its callback."""

    def __call__(self, *given, guidance_scale=7.5, num_inference_steps=50, **named):
        def late(pipe, step, t, seen):
            pipe._guidance_scale = 5 * guidance_scale if step >= num_inference_steps // 2 else 1.5
            return seen

        steps = {"num_inference_steps": num_inference_steps, "callback_on_step_end": late}
        return super().__call__(*given, guidance_scale=guidance_scale, **steps, **named)


def optimised(pipe, captions, **options):
    """Two calls: a descent of the prompt's embeddings, then the stock call with what came out."""
    words = pipe.encode_prompt(captions, "cpu", 1, False)[0].detach().requires_grad_()
    side, channels = pipe.unet.config.sample_size, pipe.unet.config.in_channels
    optimizer = torch.optim.AdamW([words], lr=0.3)
    for _ in range(3):
        optimizer.zero_grad()
        pipe.unet(torch.ones(len(words), channels, side, side), 999, words).sample.norm().backward()
        optimizer.step()
    return pipe(prompt_embeds=words.detach(), **options)


class Renamed(StableDiffusionPipeline):
    """Changes nothing."""


class Elsewhere(StableDiffusionPipeline):
    """Overrides what nobody calls any more."""

    def _encode_prompt(self, *given, **named):
        raise AssertionError


class Builds(PromptNoise):
    """Samples by a scheduler that it builds itself."""

    def clock(self, steps):
        clock = type(self.scheduler).from_config(self.scheduler.config)
        clock.set_timesteps(steps)
        return clock
