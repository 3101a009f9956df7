"""The ported method of the documentation: twenty lines of diffusers and twenty of ours do the same to a pipeline."""

import importlib.util
from pathlib import Path

import pytest
import tiny_pipelines as tiny
import torch

from solidmark import plugins

FOLDER = Path(__file__).parents[1] / "docs" / "ported"
OURS, THEIRS = FOLDER / "first_guidance.py", FOLDER / "first_guidance_diffusers.py"
STEPS, SCALE = 8, 7.0
START = torch.randn(3, 4, 4, 4, generator=torch.Generator().manual_seed(0))


def original():
    """The function of the file, as a stranger imports it."""
    spec = importlib.util.spec_from_file_location("theirs", THEIRS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.call


@torch.no_grad()
def sampled(pipe, guidance):
    """Plain sampling with the scale that our hook gives at each step: u + scale (c - u)."""
    words, empty = pipe.encode_prompt(tiny.CAPTIONS, "cpu", 1, True)
    pipe.scheduler.set_timesteps(STEPS)
    x = START
    for step, t in enumerate(pipe.scheduler.timesteps):
        u, c = (pipe.unet(x, t, each).sample for each in (empty, words))
        x = pipe.scheduler.step(u + guidance(SCALE, step / STEPS) * (c - u), t, x).prev_sample
    return x


@pytest.mark.parametrize("share", [0.25, 0.5])
def test_the_port_does_what_the_original_does(share):
    pipe = tiny.stable_diffusion()
    pipe.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": STEPS, "guidance_scale": SCALE, "latents": START, "output_type": "latent"}
    theirs = original()(pipe, tiny.CAPTIONS, share, **given).images
    port = plugins.compose(f"{OURS}:FirstGuidance(share={share})").parts[0].mitigation
    assert torch.allclose(theirs, sampled(pipe, port.guidance), atol=1e-4)
    plain = sampled(pipe, lambda scale, _: scale)
    assert (theirs - plain).abs().max() > 100 * (theirs - sampled(pipe, port.guidance)).abs().max()


@pytest.mark.parametrize("path", [OURS, THEIRS])
def test_each_is_about_twenty_lines(path):
    assert len([line for line in path.read_text().splitlines() if line.strip()]) <= 20
