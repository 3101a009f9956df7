"""Pipelines from folders, classes of strangers' files, and what a record knows them by."""

import functools
import inspect
import json
import shutil
import sys
from pathlib import Path

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
from tiny_pipelines import CAPTIONS, MARK, images, stable_diffusion

from solidmark.errors import DamagedFile, InvalidValue, NotApplicable, PluginFault, UnknownName
from solidmark.pipelines import ask, identity, load, modern, old_imports
from solidmark.pipelines.identities import folder_digest
from solidmark.pipelines.quiet import quiet

ROOT = Path(__file__).parents[1]

OLD_FILE = """
from diffusers import StableDiffusionPipeline
from diffusers.utils import randn_tensor
from transformers import CLIPFeatureExtractor
from neighbour import LOUDER


class Local(StableDiffusionPipeline):
    def __init__(self, vae, text_encoder, tokenizer, unet, scheduler, safety_checker, feature_extractor,
                 requires_safety_checker: bool = True):
        super().__init__(vae, text_encoder, tokenizer, unet, scheduler, safety_checker, feature_extractor,
                         requires_safety_checker=requires_safety_checker)


def louder(pipe, captions, guidance_scale=1.0, **options):
    return pipe(captions, guidance_scale=LOUDER, **options)
"""


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("pipelines") / "tiny"
    with quiet():
        stable_diffusion().save_pretrained(path)
    return path


@pytest.fixture
def changed(folder, tmp_path):
    """A copy of the folder that a test may change."""
    shutil.copytree(folder, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.fixture
def old_file(tmp_path):
    (tmp_path / "neighbour.py").write_text("LOUDER = 3.0\n")
    (tmp_path / "local.py").write_text(OLD_FILE)
    return tmp_path / "local.py"


def test_a_saved_pipeline_answers_as_the_one_in_memory(folder, capfd):
    answers = ask(load(folder).pipe, images(), MARK, CAPTIONS, steps=3)
    assert torch.equal(answers.images, ask(stable_diffusion(), images(), MARK, CAPTIONS, steps=3).images)
    assert capfd.readouterr() == ("", "")


def test_a_class_and_a_call_of_2023_run_today(folder, old_file):
    loaded = load(folder, pipeline_class=f"{old_file}:Local", call=f"{old_file}:louder")
    answers = ask(loaded, images(), MARK, CAPTIONS, steps=3)
    assert torch.equal(answers.images, ask(load(folder).pipe, images(), MARK, CAPTIONS, steps=3, guidance=3.0).images)
    assert type(loaded.pipe).__name__ == "Local"


def test_two_folders_with_neighbours_of_one_name_do_not_mix(folder, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "optim_utils.py").write_text(f"NAME = {name!r}\n")
        (tmp_path / name / "own.py").write_text("from optim_utils import NAME\n\ndef call():\n    return NAME\n")
    found = [load(folder, call=f"{tmp_path / name / 'own.py'}:call").call() for name in ("one", "two")]
    assert found == ["one", "two"]
    assert "optim_utils" not in sys.modules


def test_modern_adds_what_an_old_class_lacks_and_leaves_others_as_they_are(old_file):
    with old_imports():
        source = OLD_FILE.replace("from neighbour import LOUDER", "")
        exec(source, names := {"__name__": "local"})
    assert "image_encoder" in inspect.signature(modern(names["Local"]).__init__).parameters
    assert stable_diffusion(modern(names["Local"])).components["image_encoder"] is None
    assert modern(tiny.Bare) is tiny.Bare


def test_moved_names_are_only_there_inside_old_imports():
    with old_imports():
        assert diffusers.utils.randn_tensor is diffusers.utils.torch_utils.randn_tensor
    assert not hasattr(diffusers.utils, "randn_tensor")


def test_the_revision_follows_weights_and_not_the_schedulers_file(changed, folder):
    (changed / "scheduler" / "scheduler_config.json").write_text((changed / "unet" / "config.json").read_text())
    assert folder_digest(changed) == folder_digest(folder)
    weights = changed / "unet" / "diffusion_pytorch_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert folder_digest(changed) != folder_digest(folder)


def test_an_identity_is_plain_json_and_names_what_is_used(folder):
    loaded = load(folder)
    loaded.pipe.scheduler = tiny.diffusers.EulerDiscreteScheduler.from_config(loaded.pipe.scheduler.config)
    found = json.loads(json.dumps(loaded.identity, allow_nan=False))
    assert found["pipeline"] == found["stock"] == "StableDiffusionPipeline"
    assert (found["scheduler"], found["scheduler_settings"]["beta_end"]) == ("EulerDiscreteScheduler", 0.012)
    assert found["revision"] == loaded.revision
    assert found["call"] is found["call_source"] is None


def test_the_identity_follows_call_class_and_weights():
    first = identity(stable_diffusion(), functools.partial(by_scale, scale=2.0))
    other = identity(stable_diffusion(tiny.Bare), functools.partial(by_scale, scale=3.0))
    third = identity(stable_diffusion(vae=tiny.autoencoder(scaling_factor=0.5)), lambda pipe, captions: None)
    assert first["revision"] == other["revision"] != third["revision"]
    assert len({one["call_source"] for one in (first, other, third)}) == 3
    assert first["source"] != other["source"]


def by_scale(pipe, captions, scale, **options):
    return pipe(captions, guidance_scale=scale, **options)


@pytest.mark.parametrize(
    ("given", "error", "found"),
    [
        ({"folder": "runwayml/stable-diffusion"}, InvalidValue, "Nothing is downloaded"),
        ({"pipeline_class": "local.py"}, InvalidValue, "file.py:Name"),
        ({"pipeline_class": "nowhere.py:Local"}, InvalidValue, "no file 'nowhere.py'"),
        ({"call": "OLD:lauder"}, UnknownName, "Did you mean 'louder'"),
        ({"call": "OLD:Local"}, InvalidValue, "expected a function"),
        ({"pipeline_class": "OLD:louder"}, InvalidValue, "a class of a diffusers pipeline"),
    ],
)
def test_what_cannot_be_loaded_is_named(folder, old_file, given, error, found):
    given = {name: value.replace("OLD", str(old_file)) for name, value in given.items()}
    with pytest.raises(error, match=found):
        load(**{"folder": folder, **given})


def test_a_file_that_fails_is_its_authors_fault_with_the_line(folder, tmp_path):
    (tmp_path / "broken.py").write_text("one = 1\ntwo = one / 0\n")
    with pytest.raises(PluginFault, match=r"ZeroDivisionError.*line 2 of broken.py"):
        load(folder, call=f"{tmp_path / 'broken.py'}:one")


@pytest.mark.parametrize(
    ("index", "error", "found"),
    [
        ({"_class_name": "DreamPipeline"}, UnknownName, "'DreamPipeline'.*pipeline_class="),
        ({"../other": ["diffusers", "AutoencoderKL"]}, DamagedFile, "leads outside"),
        ({"unet": ["subprocess", "Popen"]}, NotApplicable, "unet of 'subprocess'"),
    ],
)
def test_a_folder_that_leads_elsewhere_is_refused(changed, index, error, found):
    file = changed / "model_index.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **index}))
    with pytest.raises(error, match=found):
        load(changed)


def test_a_folder_with_code_or_pickles_is_refused(changed):
    (changed / "unet" / "own.py").write_text("raise SystemExit")
    with pytest.raises(NotApplicable, match=r"code of its own, unet/own.py"):
        load(changed)
    (changed / "unet" / "own.py").unlink()
    weights = changed / "unet" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))
    with pytest.raises(NotApplicable, match="with safetensors"):
        load(changed)


def test_a_folder_without_an_index_is_refused(tmp_path):
    with pytest.raises(DamagedFile, match="model_index"):
        load(tmp_path)
