"""The testbed of Stable Diffusion, on a tiny pipeline of random weights and tiny images."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from safetensors.torch import load_file
from sd_world import World, photos, pipeline
from tiny_pipelines import seeded

from solidmark import models, plugins, provenance
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.measure import measure
from solidmark.measurement.weights import train_or_load
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.hooks import Hooks
from solidmark.models import build
from solidmark.models.given import parts_of
from solidmark.pipelines.quiet import quiet
from solidmark.queries.outpaint import Outpaint
from solidmark.runner.leftovers import Data
from solidmark.sampling import Service, SolverConfig, noises
from solidmark.seeds import torch_rng
from solidmark.store import Store


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("sd")
    pipeline(root / "pipe")
    photos(root / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOLIDMARK_STORE", str(root / "store"))
        yield World(root)


@pytest.fixture
def workspace(tmp_path):
    return Workspace(Store(tmp_path / "store"))


def case(testbed, composition=None):
    queries = (("outpaint", Outpaint()),)
    solver = testbed.solvers["fast"]
    return Case("sd", testbed, composition or Composition(), 0, queries, solver)


@pytest.mark.parametrize("chosen", ["all", "lora"])
def test_a_row_is_measured_from_end_to_end(world, workspace, tmp_path, chosen):
    record = measure(case(world.testbed(training={"weights": chosen})), workspace, tmp_path)
    assert record["queries"]["outpaint"]["memorization"]["images"] == 12
    assert record["controls"]["faults"] == []
    assert record["utility"] is None
    assert "no judge" in record["utility_reason"]


def test_a_strangers_call_is_a_row_on_it(world, workspace, tmp_path):
    (tmp_path / "theirs.py").write_text("def half(pipe, captions, **o):\n    return pipe(['a'] * len(captions), **o)\n")
    composition = plugins.compose(f"pipeline(call='{tmp_path}/theirs.py:half', batch=12)")
    record = measure(case(world.testbed(), composition), workspace, tmp_path)
    assert record["controls"]["faults"] == []
    assert record["pipeline"]["identity"]["call"] == "half"
    assert record["pipeline"]["stock"]["difference"]["images"] == 12


def test_our_handle_is_the_stock_pipeline(world):
    model = models.build(world.testbed().recipe.network, torch_rng(0, "model")).frozen()
    with quiet():
        from diffusers import StableDiffusionPipeline

        pipe = StableDiffusionPipeline.from_pretrained(world.root / "pipe")
    pipe.set_progress_bar_config(disable=True)
    solver = SolverConfig(steps=6, eta=0.0, guidance=3.0)
    captions, noise = ["a red house", "two dogs"], noises(range(2), model.shape, solver.draws, 0, "test")
    mask = torch.ones(2, 1, 16, 16, dtype=torch.bool)
    ours = Service(model, worlds.composed(), 0).sample(captions, torch.zeros(2, 3, 16, 16), mask, noise, solver)
    given = {"latents": noise[:, 0], "guidance_scale": 3.0, "num_inference_steps": 6, "output_type": "np"}
    theirs = torch.from_numpy(np.asarray(pipe(captions, height=16, width=16, **given).images)).permute(0, 3, 1, 2)
    assert (ours - theirs).abs().max() < 1e-5


def test_only_the_network_is_trained_and_stored(world, workspace):
    testbed = world.testbed()
    shared = parts_of(testbed.recipe.network)
    before = [part.detach().clone() for part in shared.text_encoder.parameters()]
    model, _ = train_or_load(case(testbed), workspace)
    assert {name.partition(".")[0] for name in model.state()} == {"network"}
    assert all(torch.equal(old, new) for old, new in zip(before, shared.text_encoder.parameters(), strict=True))
    first = next(iter(model.network.parameters()))
    assert not torch.equal(first, next(iter(shared.unet.parameters())))


def test_a_text_encoder_is_trained_where_the_settings_say_so(world, workspace):
    testbed = world.testbed(training={"text_encoder": True})
    model, _ = train_or_load(case(testbed), workspace)
    given = dict(parts_of(testbed.recipe.network).text_encoder.named_parameters())
    trained = dict(model.text.encoder.named_parameters())
    assert any(not torch.equal(trained[name], given[name]) for name in given)


def test_random_weights_begin_from_scratch(world):
    network = world.testbed(base={"initialise": "random"}).recipe.network
    one, again, other = (models.build(network, torch_rng(seed, "model")).state() for seed in (0, 0, 1))
    name = next(name for name in one if one[name].dim() > 1)
    given = dict(parts_of(network).unet.named_parameters())[name.removeprefix("network.")]
    assert torch.equal(one[name], again[name])
    assert not torch.equal(one[name], other[name])
    assert not torch.equal(one[name], given)


def test_a_mitigation_that_changes_the_network_does_not_apply(world, workspace):
    from solidmark.mitigations.network_width import NetworkWidth

    with pytest.raises(NotApplicable, match="network of a given pipeline: found widths"):
        train_or_load(case(world.testbed(), worlds.composed(NetworkWidth())), workspace)


def test_the_place_of_a_pipeline_and_of_images_is_no_part_of_a_testbed(world, tmp_path):
    pipe, images = (tmp_path / name for name in ("elsewhere", "others"))
    pipe.symlink_to(world.root / "pipe")
    images.symlink_to(world.root / "photos")
    moved = World(tmp_path).testbed(base={"pipeline": "elsewhere"}, images={"source": "others"})
    assert moved == world.testbed()
    assert str(Path(tmp_path)) not in repr(moved)


def test_the_network_computes_in_the_precision_of_the_settings(world):
    from tiny_pipelines import unet

    plain, short = (world.testbed(training={"precision": name}).recipe.network for name in ("float32", "bfloat16"))
    x, words = torch.randn(2, 4, 4, 4), ["a red house", "two dogs"]
    outputs = []
    for network in (plain, short):
        model = models.build(network, torch_rng(0, "model")).frozen()
        outputs.append(model.predict(x, 500, model.embed(words)).output)
    exact = seeded(lambda: unet())(x, 500, model.embed(words)).sample
    assert torch.equal(outputs[0], exact)
    assert outputs[1].dtype == torch.float32
    assert 0 < (outputs[1] - exact).abs().max() < 0.1 * exact.abs().max()


def test_a_method_that_wants_a_base_model_gets_the_pipeline(world, workspace):
    from solidmark.mitigations.lora import LowRankAdaptation

    adapted, _ = train_or_load(case(world.testbed(), worlds.composed(LowRankAdaptation())), workspace)
    given = parts_of(adapted.config).unet.state_dict()
    changed = [name for name, tensor in adapted.network.state_dict().items() if not torch.equal(tensor, given[name])]
    assert changed
    assert all(".to_" in name for name in changed)
    lora = world.testbed(training={"weights": "lora"})
    with pytest.raises(NotApplicable, match="a recipe that trains adapters already"):
        train_or_load(case(lora, worlds.composed(LowRankAdaptation())), workspace)


def test_an_image_encoded_once_is_known_to_all_models(world):
    network = world.testbed().recipe.network
    one, other = (models.build(network, torch_rng(seed, "model")).frozen() for seed in (0, 1))
    image = torch.rand(1, 3, 16, 16, generator=torch_rng(5, "image"))
    assert torch.equal(one.encode(image), other.encode(image))
    assert (one.evaluations.encoded, other.evaluations.encoded) == (1, 0)


def test_a_copy_shares_what_is_never_trained(world):
    model = models.build(world.testbed().recipe.network, torch_rng(0, "model"))
    twin = model.copy()
    assert twin.space is model.space
    assert twin.text is model.text
    assert not {id(one) for one in twin.parameters()} & {id(one) for one in model.parameters()}
    assert not any(one.requires_grad for one in twin.text.parameters())


@pytest.mark.parametrize("training", [{"weights": "lora"}, {"text_encoder": True}])
def test_a_stored_model_has_what_was_changed_and_comes_back_whole(world, tmp_path, training):
    testbed = world.testbed(training=training)
    model = models.build(testbed.recipe.network, torch_rng(0, "model")).frozen()
    changed = {"network.conv_in.bias", *(["text.encoder.final_layer_norm.bias"] if "text_encoder" in training else [])}
    state = {name: tensor + (name in changed) for name, tensor in model.state().items()}
    model.load_state(state).save(tmp_path / "model")
    assert set(load_file(tmp_path / "model" / "model.safetensors")) == changed
    again = models.load(tmp_path / "model")
    assert again.state().keys() == state.keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in again.state().items())


def test_a_stored_model_of_an_unknown_pipeline_says_what_is_missing(world, tmp_path):
    model = models.build(world.testbed().recipe.network, torch_rng(0, "model"))
    model.save(tmp_path)
    text = (tmp_path / "config.json").read_text()
    (tmp_path / "config.json").write_text(text.replace(model.config.revision, "0" * 64))
    with pytest.raises(NotApplicable, match=r"found pipeline '000000000000'.*whose settings say where"):
        models.load(tmp_path)


@pytest.mark.parametrize("part", ["autoencoder", "text encoder"])
def test_who_changes_what_all_models_share_is_named_and_it_is_loaded_anew(world, part):
    testbed = world.testbed()
    network = testbed.recipe.network
    seen = Data(testbed)
    assert seen.breaches() == []
    shared = {"autoencoder": parts_of(network).space.autoencoder, "text encoder": parts_of(network).text_encoder}[part]
    with torch.no_grad():
        next(iter(shared.parameters())).add_(1.0)
    (breach,) = seen.breaches()
    assert breach.what == "what all models share of StableDiffusion"
    breach.put_back()
    assert seen.breaches() == []


def test_rows_say_the_precision_of_the_network(world):
    assert provenance.environment_key("cpu", world.testbed().recipe.network.precision).endswith("-float32")
    short = world.testbed(training={"precision": "bfloat16"}).recipe.network
    assert provenance.environment_key("cpu", short.precision).endswith("-bfloat16")


def test_a_disk_without_room_for_a_model_is_told_before_it_is_trained(world, workspace, monkeypatch):
    testbed = world.testbed()
    weights = sum(parameter.numel() for parameter in parts_of(testbed.recipe.network).unet.parameters())
    assert testbed.stored_bytes() == 4 * weights * 4  # the model, and its weights with two moments to go on from
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=testbed.stored_bytes() - 1))
    with pytest.raises(InvalidValue, match=r"MB free; expected .* for the training of a model\. Free some space"):
        train_or_load(case(testbed), workspace)


def test_an_edit_trains_the_denoiser_and_leaves_the_given_text_encoder(world):
    testbed = world.testbed()
    model = build(testbed.recipe.network, torch.Generator()).frozen()
    before, data = model.text.state_dict(), {**testbed.split(0).handed_out(), "recipe": testbed.recipe}
    edits = plugins.compose("finetune(updates=1, batch=2)+selective-dampening(selection=0.1, samples=1)")
    after = Hooks(edits, 0, "editing", data=data).edit(model.copy())
    assert all(torch.equal(tensor, before[name]) for name, tensor in after.text.state_dict().items())
    assert not all(torch.equal(a, b) for a, b in zip(after.parameters(), model.parameters(), strict=True))
