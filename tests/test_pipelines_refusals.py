"""Pipelines and schedulers that cannot be asked are refused by name, with a cure, and faults by the stranger's own line."""

import json
import logging
import sys

import pytest
import torch
from tiny_pipelines import CAPTIONS, MARK, autoencoder, ddim, images, stable_diffusion, text_encoder, tokenizer, unet

from solidmark.errors import NotApplicable, PluginFault, cure_of
from solidmark.pipelines import ask, load
from solidmark.pipelines.quiet import quiet

with quiet():
    import diffusers

FEW = {"images": images(1), "mask": MARK, "captions": CAPTIONS[:1], "steps": 2, "every": 1}
TEXT = "Ask the text-to-image pipeline of the same parts, or give a `call` that hands out text alone."


def upscaler():
    parts = {"vae": autoencoder(), "text_encoder": text_encoder(), "tokenizer": tokenizer(), "unet": unet(in_channels=7)}
    return diffusers.StableDiffusionUpscalePipeline(**parts, low_res_scheduler=diffusers.DDPMScheduler(), scheduler=ddim())


@pytest.mark.parametrize(
    ("make", "lacks"),
    [
        (lambda: stable_diffusion(diffusers.StableDiffusionInpaintPipeline), "no image and no mask_image"),
        (lambda: stable_diffusion(diffusers.StableDiffusionImg2ImgPipeline), "no image"),
        (upscaler, "no image"),
    ],
)
def test_a_pipeline_that_wants_an_image_is_refused_with_the_cure(make, lacks):
    with quiet():
        pipe = make()
    with pytest.raises(NotApplicable) as raised:
        ask(pipe, **FEW)
    assert raised.value.found.startswith(f"a pipeline that is given {lacks} (ValueError")
    assert (raised.value.where, raised.value.cure) == (f"{type(pipe).__name__}.__call__", TEXT)


class Wants(diffusers.StableDiffusionPipeline):
    def __call__(self, prompt, image=None, **named):
        return image.size


def test_a_fault_in_the_strangers_own_lines_stays_his_though_he_takes_an_image():
    with pytest.raises(PluginFault, match=r"NoneType.*of test_pipelines_refusals.py"):
        ask(stable_diffusion(Wants), **FEW)


def test_two_images_a_prompt_are_refused_with_the_cure():
    def call(pipe, captions, **options):
        return pipe(captions, num_images_per_prompt=2, **options)

    with pytest.raises(NotApplicable, match=r"^call: found 1 prompts for 2 images.*Set num_images_per_prompt=1"):
        ask(stable_diffusion(), **FEW, call=call)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("LTXEulerAncestralRFScheduler", "no init_noise_sigma; .* made for this pipeline"),
        ("FlowMatchEulerDiscreteScheduler", "no init_noise_sigma"),
        ("ScoreSdeVeScheduler", "no method `step`"),
        ("RePaintScheduler", "original_image, mask"),
        ("KarrasVeScheduler", r"\(model_output, sigma_hat"),
        ("CogVideoXDPMScheduler", "old_pred_original_sample"),
        ("IPNDMScheduler", "neither add_noise nor scale_noise"),
        ("DDIMInverseScheduler", "neither add_noise nor scale_noise"),
        ("DPMSolverMultistepInverseScheduler", "noise that grows from step to step"),
        ("DDPMWuerstchenScheduler", "no order; "),
    ],
)
def test_a_scheduler_that_does_not_serve_is_refused_by_its_name(name, found):
    pipe = stable_diffusion()
    with quiet():
        pipe.scheduler = getattr(diffusers, name)()
    with pytest.raises(NotApplicable, match=f"^{name}.*{found}"):
        ask(pipe, **FEW)


class Several:
    components = ()


def test_a_pipeline_without_a_scheduler_is_refused():
    pipe = stable_diffusion()
    pipe.scheduler = None
    for one in (pipe, Several()):
        with pytest.raises(NotApplicable, match=r"no scheduler; .*Ask the part that makes the image"):
            ask(one, **FEW)


def test_a_folder_without_text_encoder_is_loaded_and_says_what_it_lacks(tmp_path):
    with quiet():
        stable_diffusion(text_encoder=None, tokenizer=None).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())["text_encoder"] == [None, None]
    with pytest.raises(NotApplicable, match="whose text encoder is None; expected a text encoder"):
        ask(load(tmp_path), **FEW)


class Inherits(diffusers.StableDiffusionPipeline):
    def encode_prompt(self, *given, **named):
        raise ValueError("his own")


def test_a_fault_behind_an_inherited_call_is_named_by_the_strangers_line():
    line = Inherits.encode_prompt.__code__.co_firstlineno + 1
    with pytest.raises(PluginFault, match=f"his own.*See line {line} of test_pipelines_refusals.py"):
        ask(stable_diffusion(Inherits), **FEW)


def test_of_packages_that_are_installed_the_innermost_line_of_the_plugins_own_is_named(tmp_path, monkeypatch):
    """A plugin's file, a library, the plugin again, and a package that it uses."""
    site = tmp_path / "site-packages"
    files = {
        "mine/__init__.py": "",
        "mine/a.py": "import numpy\n\ndef go(after):\n    numpy.vectorize(after)(1)\n",
        "mine/b.py": "import other\n\n\ndef back(_):\n    other.fail()\n",
        "other.py": "def fail():\n    return 1 / 0\n",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    monkeypatch.syspath_prepend(site)
    from mine import a, b

    monkeypatch.delitem(sys.modules, "other")
    with pytest.raises(ZeroDivisionError) as raised:
        a.go(b.back)
    raised.value.__traceback__ = raised.value.__traceback__.tb_next  # the line of this test
    assert cure_of(raised.value) == "See line 5 of b.py."


def test_half_precision_is_cast_back_and_forth_without_a_word():
    half = stable_diffusion(vae=autoencoder(force_upcast=True))
    told = []
    handler = logging.Handler()
    handler.emit = told.append
    log = logging.getLogger("diffusers.models.modeling_utils")
    log.addHandler(handler)
    try:
        half.vae.to(torch.float16)
        assert len(told) == 1  # what diffusers says to anybody else
        with pytest.raises((PluginFault, NotApplicable)):  # its own networks do not fit together
            ask(half, **FEW)
        half.vae.to(torch.float32)
        assert len(told) == 2
    finally:
        log.removeHandler(handler)
        half.vae.to(torch.float32)
