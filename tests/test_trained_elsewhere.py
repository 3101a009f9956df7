"""Weights that somebody else has trained on a testbed's marked images are a row: taken as they are, or refused by part."""

import copy
import json
from dataclasses import replace

import pytest
import torch
from huggingface_hub import constants
from sd_world import World, photos, pipeline

from solidmark import models, plugins
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation import Needs
from solidmark.mitigation.elsewhere import check_seeds, take
from solidmark.pipelines import load
from solidmark.pipelines.quiet import quiet
from solidmark.runner import plan
from solidmark.runner.options import Options
from solidmark.seeds import torch_rng
from solidmark.testing.toys import ToySetup


@pytest.fixture(scope="module")
def toy():
    return ToySetup("latent", Needs.NOTHING)


@pytest.fixture(scope="module")
def folder(toy, tmp_path_factory):
    """What another trainer leaves: the same parts with weights of his own."""
    place = tmp_path_factory.mktemp("elsewhere") / "seed-0"
    with quiet():
        pipe = toy.model.copy().frozen().pipeline()
        for weight in [*pipe.unet.parameters(), *pipe.text_encoder.parameters()]:
            weight.data.mul_(1.25)
        pipe.save_pretrained(place)
    return place


def test_the_weights_of_the_folder_take_the_place_of_a_training(toy, folder):
    (*trained,) = toy.train(plugins.compose(f"trained-elsewhere(folder='{folder}')")).tensors
    pipe, expected = load(folder).pipe, toy.model.state()
    found = dict(zip(expected, trained, strict=True))
    assert all(found[f"network.{name}"].equal(one) for name, one in pipe.unet.state_dict().items())
    assert not found["network.conv_in.weight"].equal(expected["network.conv_in.weight"])


def test_a_seed_has_its_own_folder(toy, folder):
    composition = plugins.compose(f"trained-elsewhere(folder='{folder.parent}/seed-{{seed}}')")
    assert "seed-0 " in composition.parts[0].source
    check_seeds(composition, (0, 1))
    assert toy.train(composition).counted == 0


def test_one_folder_for_several_seeds_is_refused(folder):
    with pytest.raises(InvalidValue, match=r"one folder for the seeds 0, 1.*Write \{seed\}"):
        check_seeds(plugins.compose(f"trained-elsewhere(folder='{folder}')"), (0, 1))


def test_other_weights_in_the_folder_are_another_case(toy, folder, tmp_path):
    with quiet():
        toy.model.copy().frozen().pipeline().save_pretrained(tmp_path / "seed-0")
    ours, theirs = (plugins.compose(f"trained-elsewhere(folder='{one}')") for one in (tmp_path / "seed-0", folder))
    assert ours.parts[0].source != theirs.parts[0].source


def other(pipe, part):
    """A pipeline that differs in one part."""
    changed = copy.copy(pipe)
    if part == "scheduler":
        changed.scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config, prediction_type="epsilon")
    elif part == "tokenizer":
        changed.tokenizer = copy.deepcopy(pipe.tokenizer)
        changed.tokenizer.add_tokens(["new"])
    elif part == "vae":
        changed.vae = copy.deepcopy(pipe.vae)
        next(changed.vae.parameters()).data.add_(1)
    elif part == "unet":
        changed.unet = type(pipe.unet).from_config({**pipe.unet.config, "layers_per_block": 2})
    else:
        changed.text_encoder = None
    return changed


@pytest.mark.parametrize(
    ("part", "found"),
    [
        ("scheduler", "prediction_type='epsilon'"),
        ("tokenizer", "a tokenizer of"),
        ("vae", "an autoencoder of other weights"),
        ("unet", "unet: down_blocks.0.resnets.1"),
        ("text_encoder", "no text_encoder"),
    ],
)
def test_another_form_is_refused_by_its_part(toy, part, found):
    model = toy.model.copy()
    before = {name: one.clone() for name, one in model.state().items()}
    with pytest.raises(NotApplicable, match=f"{found}.*solidmark store export"):
        take(model, other(toy.model.copy().frozen().pipeline(), part), "theirs")
    assert all(torch.equal(before[name], one) for name, one in model.state().items())


def test_the_option_gives_his_weights_by_our_sampler_the_stock_pipeline_and_his(folder, tmp_path):
    (tmp_path / "calls.py").write_text("def theirs(pipe, captions, **options):\n    return pipe(captions, **options)\n")
    options = Options(mitigations=("none",), testbeds=("latent-digits",), pipeline=str(folder), references=False)
    asked = replace(options, pipeline_call=f"{tmp_path}/calls.py:theirs")
    weights = ["none", "trained-elsewhere", "trained-elsewhere+pipeline"]
    assert [case.family for case in plan.cases(options)] == weights
    assert [case.family for case in plan.cases(asked)] == [*weights, "trained-elsewhere+calls.theirs"]
    assert plan.cases(asked)[-1].stages == ("training", "sampling")


def test_a_pipeline_that_was_downloaded_is_known_by_its_name(folder, tmp_path, monkeypatch):
    kept = tmp_path / "models--owner--name"
    (kept / "snapshots").mkdir(parents=True)
    (kept / "snapshots" / "abc").symlink_to(folder)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("abc")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    assert load("owner/name").revision == load(folder).revision
    with pytest.raises(InvalidValue, match=r"no folder 'owner/other'.*Nothing is downloaded"):
        load("owner/other")
    assert json.loads((folder / "model_index.json").read_text())["_class_name"] == "StableDiffusionPipeline"


def test_a_text_encoder_that_all_models_share_is_compared_and_never_overwritten(tmp_path):
    pipeline(tmp_path / "pipe"), photos(tmp_path / "photos")
    network = World(tmp_path).testbed().recipe.network
    model = models.build(network, torch_rng(0, "test")).frozen()
    with quiet():
        pipe = model.copy().frozen().pipeline()
        pipe.register_modules(text_encoder=copy.deepcopy(pipe.text_encoder))
    next(pipe.unet.parameters()).data.add_(1)
    take(model, pipe, "theirs")
    assert next(model.network.parameters()).equal(next(pipe.unet.parameters()))
    before = model.embed(["a red house"])
    next(pipe.text_encoder.parameters()).data.add_(1)
    with pytest.raises(NotApplicable, match="a text encoder of other weights"):
        take(model, pipe, "theirs")
    assert model.embed(["a red house"]).equal(before)
