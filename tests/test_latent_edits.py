"""Edits and trainings in latent space and behind a given encoder: in parts, in half precision, whatever is predicted."""

from dataclasses import replace

import pytest
import torch
from worlds import composed

from solidmark import plugins, seeds
from solidmark.mitigation import Needs
from solidmark.mitigation.hooks import Hooks
from solidmark.models import LatentNetwork, build
from solidmark.models.denoising import draw_noised_batch, gradients
from solidmark.testing.toys import ToySetup, count_network_samples, toy

ALL = Needs.FORGET | Needs.CALIBRATION
FEW = {
    "adversarial-finetune": "(rounds=1, updates=1, search=1, batch=5)",
    "esd": "(updates=1, batch=5)",
    "concept-ablation": "(updates=1, batch=5)",
    "nemo-permanent": "",
    "selective-amnesia": "(updates=1, batch=5, samples=1)",
    "selective-dampening": "(samples=2)",
    "vdu": "(updates=1, batch=5, samples=1)",
    "wanda": "(timesteps=1)",
}


@pytest.fixture(scope="module")
def setup():
    return ToySetup("latent", ALL)


def model_like(setup, **numbers):
    """A model of random weights in the toy's space."""
    built = build(replace(setup.testbed.recipe.network, **numbers), seeds.torch_rng(0, "latent edits"))
    built.space = setup.model.space
    return built.frozen()


def edited(setup, expression, model, **numbers):
    """The edit of a copy, by a recipe with these numbers."""
    data = {**setup.blind.handed_out, "recipe": replace(setup.testbed.recipe, **numbers)}
    parts = [part.mitigation for part in plugins.compose(expression).parts]
    with seeds.forked(0, "test"):
        return Hooks(composed(*parts), 0, "editing", data=data).edit(model.copy())


WHOLE = (
    "adversarial-finetune erasediff esd finetune neggrad neggrad-plus retrack salun siss time-frequency vdu wanda".split()
)


@pytest.mark.parametrize("family", WHOLE)
def test_an_edit_has_no_more_in_memory_than_the_training_had(setup, family):
    """A batch of 8 in two parts is four images at once, with gradients or without."""
    with count_network_samples(setup.model) as sizes:
        edited(setup, family + FEW.get(family, "(updates=1, batch=5)"), setup.model, accumulate=2)
    assert 0 < max(sizes) <= 4


@pytest.mark.parametrize("family", ["concept-ablation", "selective-amnesia"])
def test_who_generates_first_has_four_times_as_many_without_gradients_and_no_more_with_them(setup, family):
    sizes = {True: [], False: []}

    def note(module, given, output):
        if type(module) is type(setup.model.network):
            sizes[torch.is_grad_enabled()].append(len(output[0]))

    with torch.nn.modules.module.register_module_forward_hook(note):
        edited(setup, family + FEW[family], setup.model, accumulate=2)
    assert max(sizes[True]) <= 4 < max(sizes[False]) <= 16


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_ascent_raises_and_descent_lowers_the_loss_whatever_the_network_predicts(setup, prediction):
    model, data = model_like(setup, prediction=prediction), setup.blind.handed_out
    worse = edited(setup, "neggrad(updates=5, rate=2.0, batch=8)", model)
    better = edited(setup, "finetune(updates=5, rate=2.0, batch=8)", model)
    forgotten, retained = (
        draw_noised_batch(model, data[part], seeds.torch_rng(0, "t"), 48) for part in ("forget", "retain")
    )
    assert forgotten.losses(worse).mean() > forgotten.losses(model).mean()
    assert retained.losses(better).mean() < retained.losses(model).mean()


@pytest.fixture
def in_half(monkeypatch):
    """Latent networks compute in half precision, as those of a given pipeline may."""
    monkeypatch.setattr(LatentNetwork, "precision", "bfloat16")


@pytest.mark.parametrize("family", ["finetune", "siss", "salun", "erasediff"])
def test_an_edit_in_half_precision_leaves_weights_of_full_precision(setup, in_half, family):
    model = model_like(setup)
    after = edited(setup, f"{family}(updates=2, batch=4)", model)
    assert {weight.dtype for weight in after.parameters()} == {torch.float32}
    assert all(bool(weight.isfinite().all()) for weight in after.parameters())
    assert any(not torch.equal(a, b) for a, b in zip(after.parameters(), model.parameters(), strict=True))


def test_gradients_of_half_precision_point_where_those_of_full_precision_do(setup, monkeypatch):
    model = model_like(setup).copy()
    batch, flat = draw_noised_batch(model, setup.blind.handed_out["retain"], seeds.torch_rng(0, "t"), 16), []
    for precision in ("float32", "bfloat16"):
        monkeypatch.setattr(LatentNetwork, "precision", precision)
        flat.append(torch.cat([g.flatten() for g in gradients(batch.losses(model).mean(), model.parameters())]))
    assert not torch.equal(*flat)
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.98


def test_noise_on_embeddings_of_clip_trains_the_denoiser_alone(setup):
    start = build(toy("latent").recipe.network, seeds.torch_rng(0, "initialisation"))
    trained = setup.train(composed(plugins.compose("fpan").parts[0].mitigation)).tensors
    after = dict(zip(setup.model.state(), trained, strict=True))
    text = {name: tensor for name, tensor in after.items() if name.startswith("text.")}
    assert all(torch.equal(tensor, start.state()[name]) for name, tensor in text.items())
    assert any(not torch.equal(after[name], start.state()[name]) for name in after if name.startswith("network."))
