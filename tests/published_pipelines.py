"""Pipelines in the style of published files of 2023: what the recipes of design/pipelines.md call.

Classes, methods, arguments and the fields of `args` are named as in the files that the recipes are for, and no other
argument is taken; what they compute is our own. The file is loaded by its path, and knows nothing of the suite.
"""

import math

import torch
from diffusers import StableDiffusionPipeline
from diffusers.utils import randn_tensor  # where it was then


class Old(StableDiffusionPipeline):
    """A class without `image_encoder`, with a loop of its own that reads one prompt."""

    def __init__(
        self,
        vae,
        text_encoder,
        tokenizer,
        unet,
        scheduler,
        safety_checker,
        feature_extractor,
        requires_safety_checker: bool = True,
    ):
        parts = (vae, text_encoder, tokenizer, unet, scheduler, safety_checker, feature_extractor)
        super().__init__(*parts, requires_safety_checker=requires_safety_checker)

    def pairs(self, prompt, embeds=None):
        """The embeddings of no prompt, then of one."""
        return self._encode_prompt(prompt, self._execution_device, 1, True, None, prompt_embeds=embeds)

    def noise(self, height, width, generator=None):
        shape = (1, self.unet.config.in_channels, height // self.vae_scale_factor, width // self.vae_scale_factor)
        return randn_tensor(shape, generator=generator)

    def gap(self, x, t, pairs):
        """What the prompt adds to the prediction."""
        without, with_prompt = self.unet(torch.cat([x] * 2), t, encoder_hidden_states=pairs).sample.chunk(2)
        return with_prompt - without

    def loop(self, x, pairs, scale):
        for t in self.scheduler.timesteps:
            without, with_prompt = self.unet(torch.cat([x] * 2), t, encoder_hidden_states=pairs).sample.chunk(2)
            x = self.scheduler.step(without + scale * (with_prompt - without), t, x, return_dict=False)[0]
        picture = self.vae.decode(x / self.vae.config.scaling_factor, return_dict=False)[0]
        return self.image_processor.postprocess(picture, output_type="np")


class Wen(Old):
    """Two calls: a search for embeddings, then a run with them."""

    def aug_prompt(self, prompt, height, width, num_inference_steps, guidance_scale, lr, optim_iters, target_loss):
        self.scheduler.set_timesteps(num_inference_steps)
        x, pairs = self.noise(height, width), self.pairs(prompt)
        words = pairs[-1:].clone().detach().requires_grad_()
        optimizer = torch.optim.AdamW([words], lr=lr)
        for _ in range(optim_iters):
            (words.grad,) = torch.autograd.grad(
                self.gap(x, self.scheduler.timesteps[0], torch.cat([pairs[:1], words])).norm(), words
            )
            optimizer.step()
        return words.detach()

    @torch.no_grad()
    def __call__(self, prompt_embeds, height, width, num_inference_steps, guidance_scale, generator, output_type):
        self.scheduler.set_timesteps(num_inference_steps)
        return self.loop(self.noise(height, width, generator), self.pairs(None, prompt_embeds), guidance_scale)


class Han(Old):
    """One call, which adjusts x_T by settings in `args`."""

    @torch.no_grad()
    def __call__(
        self, prompt, height, width, num_inference_steps, guidance_scale, generator, output_type, method=None, args=None
    ):
        self.scheduler.set_timesteps(num_inference_steps)
        x, pairs = self.noise(height, width, generator), self.pairs(prompt)
        if method == "adj_init_noise" and args.per_sample:
            x = self.adjusted(x, pairs, args)
        if method == "adj_init_noise" and args.batch_wise:
            raise AssertionError
        return self.loop(x, pairs, guidance_scale)

    @torch.enable_grad()
    def adjusted(self, x, pairs, args):
        x = x.clone().requires_grad_()
        optimizer = torch.optim.AdamW([x], lr=args.lr)
        for _ in range(args.optim_iters):
            loss = self.gap(x, self.scheduler.timesteps[0], pairs).norm()
            if loss.item() <= args.target_loss:
                break
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return x.detach()


class Sail(StableDiffusionPipeline):
    """A class of today, whose call reads `args` and starts from the best of several x_T under one seed."""

    @torch.no_grad()
    def __call__(self, prompt, height, width, num_inference_steps, guidance_scale, generator, output_type, args=None):
        self.scheduler.set_timesteps(num_inference_steps)
        words, empty = self.encode_prompt(prompt, self._execution_device, 1, True)
        pairs = torch.cat([empty, words])
        side, t = height // self.vae_scale_factor, self.scheduler.timesteps[0]
        torch.manual_seed(args.gen_seed)
        tried = torch.randn(args.miti_budget, 1, self.unet.config.in_channels, side, width // self.vae_scale_factor)
        losses = torch.stack([Old.gap(self, x, t, pairs).norm() for x in tried])
        assert (args.sd_ver, args.exp_type) == (2, "miti")
        assert args.miti_lr > 0 < args.miti_max_steps
        below = torch.where(losses <= args.miti_thres)[0]
        return Old.loop(self, tried[below[0] if len(below) else losses.argmin()], pairs, guidance_scale)


class Prss(Old):
    """Two calls: a search among other prompts, then a run that is anchored at the first one."""

    def aug_prompt_ss(
        self, prompt, ss_prompt, height, width, num_inference_steps, guidance_scale, target_loss=None, generator=None
    ):
        self.scheduler.set_timesteps(num_inference_steps)
        x, t, every = (
            self.noise(height, width),
            self.scheduler.timesteps[0],
            [self.pairs(one) for one in [prompt, *ss_prompt]],
        )
        with torch.no_grad():
            gaps = torch.stack([self.gap(x, t, pairs).norm() for pairs in every])
        return every[int(gaps.argmin())][-1:], every[0][-1:], bool(gaps[0] > target_loss)

    @torch.no_grad()
    def __call__(
        self,
        prompt_embeds,
        original_prompt_embeds,
        m_trigger,
        l_target_ss,
        l_target_pr,
        mag_thres_pr,
        height,
        width,
        num_inference_steps,
        guidance_scale,
        generator,
        output_type,
    ):
        assert l_target_ss < l_target_pr < mag_thres_pr
        self.scheduler.set_timesteps(num_inference_steps)
        anchor = original_prompt_embeds if m_trigger is None else (prompt_embeds + original_prompt_embeds) / 2
        return self.loop(self.noise(height, width, generator), self.pairs(None, anchor), guidance_scale)


class Guard(StableDiffusionPipeline):
    """A call of another name, of one image, guided to a prompt under other attention and away from the same one as it is."""

    @torch.no_grad()
    def dual_guidance_call(
        self,
        prompt_positive,
        prompt_negative_repulsive,
        guidance_scale_positive,
        guidance_scale_negative,
        negative_guidance_decay_schedule,
        positive_guidance_schedule,
        neighbor_gating_mode,
        height,
        width,
        num_inference_steps,
        generator,
        output_type,
        xattn_log,
        trace_per_block,
        log_stats,
        intervention_blocks,
        spike_threshold,
        spike_scale,
    ):
        assert (negative_guidance_decay_schedule, positive_guidance_schedule, neighbor_gating_mode) == (
            "cosine",
            "none",
            "none",
        )
        assert xattn_log > (trace_per_block or log_stats)
        assert set(intervention_blocks) < {name for name, _ in self.unet.named_modules() if "up_" not in name}
        assert 0 < spike_threshold < spike_scale < 1
        self.scheduler.set_timesteps(num_inference_steps)
        towards, empty = self.encode_prompt(prompt_positive, self._execution_device, 1, True)
        away, _ = self.encode_prompt([prompt_negative_repulsive], self._execution_device, 1, True)
        x, every = Old.noise(self, height, width, generator), torch.cat([empty, towards, away])
        for place, t in enumerate(self.scheduler.timesteps):
            plain, near, far = self.unet(torch.cat([x] * 3), t, encoder_hidden_states=every).sample.chunk(3)
            weight = guidance_scale_negative * math.cos(math.pi / 2 * place / num_inference_steps)
            guided = plain + guidance_scale_positive * (near - plain) - weight * (far - plain)
            x = self.scheduler.step(guided, t, x, return_dict=False)[0]
        picture = self.vae.decode(x / self.vae.config.scaling_factor, return_dict=False)[0]
        return self.image_processor.postprocess(picture, output_type=output_type)


class Anisotropy(Sail):
    """The same call, which also writes into `args`."""

    def __call__(self, prompt, height, width, num_inference_steps, guidance_scale, generator, output_type, args=None):
        args.prompt_length = len(self.tokenizer(prompt).input_ids[0])
        return super().__call__(prompt, height, width, num_inference_steps, guidance_scale, generator, output_type, args)
