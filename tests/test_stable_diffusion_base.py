"""Which pipelines Stable Diffusion's testbed takes, and what it says of others."""

import copy
import json
import shutil

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
from sd_world import pipeline
from solidmark.fixtures.stable_diffusion import base

from solidmark.errors import DamagedFile, InvalidValue, NotApplicable
from solidmark.pipelines.quiet import quiet


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return pipeline(tmp_path_factory.mktemp("base") / "pipe")


@pytest.fixture
def folder(plain, tmp_path):
    """A copy, to be spoiled."""
    return shutil.copytree(plain, tmp_path / "pipe")


def edit(path, **changes):
    given = json.loads(path.read_text())
    path.write_text(json.dumps({**given, **changes}))


def test_the_form_of_a_pipeline_is_read_without_weights(plain):
    found = base.read(plain)
    assert {one.device.type for one in found.form.unet.parameters()} == {"meta"}
    loaded = found.load()
    size = {"revision": found.revision, "size": 16}
    assert loaded.configuration(**size) == found.form.configuration(**size)


@pytest.mark.parametrize("missing", ["text_encoder", "tokenizer", "scheduler", "vae", "unet"])
def test_a_pipeline_without_a_part_is_refused(folder, missing):
    edit(folder / "model_index.json", **{missing: [None, None]})
    with pytest.raises(NotApplicable, match=f"pipeline pipe: found no {missing}"):
        base.read(folder)


def test_a_pipeline_of_another_kind_is_refused(folder):
    edit(folder / "model_index.json", _class_name="FluxPipeline")
    with pytest.raises(NotApplicable, match=r"found a FluxPipeline; expected StableDiffusionPipeline\. .*asked as they are"):
        base.read(folder)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(DamagedFile, match=r"model_index\.json"):
        base.read(tmp_path)


def test_a_safety_checker_is_left_out(plain, tmp_path):
    from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
    from transformers import CLIPConfig, CLIPImageProcessor

    sizes = {"hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}
    config = CLIPConfig(text_config=sizes, vision_config={**sizes, "image_size": 8, "patch_size": 8}, projection_dim=4)
    checked = tiny.seeded(lambda: StableDiffusionSafetyChecker(config))
    with quiet():
        pipe = diffusers.StableDiffusionPipeline.from_pretrained(plain)
        parts = {**pipe.components, "safety_checker": checked, "feature_extractor": CLIPImageProcessor()}
        diffusers.StableDiffusionPipeline(**parts).save_pretrained(tmp_path / "checked")
    assert (tmp_path / "checked" / "safety_checker").is_dir()
    loaded, same = base.read(tmp_path / "checked").load(), base.read(plain).load()
    assert all(torch.equal(a, b) for a, b in zip(loaded.unet.parameters(), same.unet.parameters(), strict=True))


@pytest.mark.parametrize(
    ("part", "changes", "message"),
    [
        ("unet/config.json", {"cross_attention_dim": 12}, "a UNet for embeddings of 12"),
        ("unet/config.json", {"in_channels": 9}, "a UNet of 9 input channels"),
        ("vae/config.json", {"shift_factor": 0.1}, "an autoencoder that shifts its latents"),
        ("unet/config.json", {"block_out_channels": "x"}, "TypeError|ValueError"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1]}, "without named betas"),
    ],
)
def test_parts_that_do_not_fit_are_refused(folder, part, changes, message):
    edit(folder / part, **changes)
    with pytest.raises(NotApplicable, match=message):
        base.read(folder)


def test_weights_that_were_cut_off_are_refused_when_they_are_loaded(folder):
    path = folder / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    found = base.read(folder)
    with pytest.raises(NotApplicable, match=r"pipeline pipe: found .*; expected weights that diffusers loads"):
        found.load()


def test_a_name_of_the_hub_is_downloaded(plain, tmp_path, monkeypatch):
    asked = []

    def download(name, **options):
        asked.append((name, options["use_safetensors"]))
        return str(plain)

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", staticmethod(download))
    assert base.find("owner/name", tmp_path) == plain
    assert asked == [("owner/name", True)]


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path, monkeypatch):
    def download(name, **options):
        raise OSError("We couldn't connect to the hub\nand much more")

    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", staticmethod(download))
    message = r"found no folder .owner/name., and the hub does not give it \(OSError: We couldn.t connect to the hub\)"
    with pytest.raises(InvalidValue, match=message):
        base.find("owner/name", tmp_path)


@pytest.mark.parametrize("name", ["../owner/name", "owner/..", "./name", "a/b/c", "/no/such", "owner/.hidden"])
def test_a_name_with_path_parts_is_no_name_of_the_hub(tmp_path, monkeypatch, name):
    monkeypatch.setattr(diffusers.DiffusionPipeline, "download", None)
    with pytest.raises(InvalidValue, match="found no folder"):
        base.find(name, tmp_path)


def test_a_part_of_the_index_that_leads_outside_is_refused(folder):
    edit(folder / "model_index.json", **{"../unet": ["diffusers", "UNet2DConditionModel"]})
    with pytest.raises(DamagedFile, match="its index leads outside"):
        base.read(folder)


def test_another_scheduler_is_read_as_the_same_schedule(plain, folder):
    given = json.loads((folder / "scheduler" / "scheduler_config.json").read_text())
    kept = ("beta_start", "beta_end", "beta_schedule", "prediction_type", "set_alpha_to_one", "steps_offset")
    scheduler = diffusers.PNDMScheduler(**{name: given[name] for name in kept}, skip_prk_steps=True)
    scheduler.save_pretrained(folder / "scheduler")
    edit(folder / "model_index.json", scheduler=["diffusers", "PNDMScheduler"])
    assert base.read(folder).form.schedule == copy.copy(base.read(plain).form.schedule)
