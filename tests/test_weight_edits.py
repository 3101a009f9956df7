"""Edits and prunings of weights: scores, factors and shares against closed forms and hand-made layers."""

from itertools import pairwise

import pytest
import torch
import worlds
from solidmark.mitigations import nemo, selective_dampening, wanda
from torch import nn
from worlds import composed, generate

from solidmark import models, plugins
from solidmark.errors import NotApplicable
from solidmark.mitigation.hooks import Hooks
from solidmark.sampling import Service, SolverConfig, noises


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def edited(name, model=None, **values):
    """The model before and after, and what the edit reported."""
    before = model or worlds.model()
    data = {**worlds.split().handed_out(), "recipe": worlds.tiny().recipe}
    hooks = Hooks(composed(make(name, **values)), 0, "test", data=data)
    return before, hooks.edit(before.copy()), next(iter(hooks.reported.values()), {})


def matrices(model):
    return [weight.detach() for weight in model.parameters() if weight.ndim > 1]


def test_dampening_is_the_ratio_of_importances_where_the_forgotten_one_is_larger_by_the_selection():
    forgotten, retained = torch.tensor([1.0, 4.0, 20.0, 20.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 0.0, 0.0])
    factors = selective_dampening.dampening_factor(forgotten, retained, 3.0, 2.0)
    assert factors.tolist() == pytest.approx([1, 0.5, 0.1, 0, 1])


def test_dampening_never_enlarges_a_weight():
    factors = selective_dampening.dampening_factor(torch.tensor([2.0]), torch.tensor([1.0]), 1.0, 50.0)
    assert factors.item() == 1


def test_each_setting_dampens_more_than_the_one_before():
    forgotten, retained = torch.rand(2, 10_000, generator=torch.Generator().manual_seed(0)).square().add(1e-4)
    steps = [(setting.selection, setting.dampening) for setting in selective_dampening.SelectiveDampening().settings()]
    factors = [float(selective_dampening.dampening_factor(forgotten, retained, *step).mean()) for step in steps]
    assert all(later < earlier for earlier, later in pairwise(factors))


def test_importance_is_the_mean_squared_gradient_of_single_images(monkeypatch):
    """A loss of w x at image x has gradient x, so that the importance of w is the mean of x², not mean(x)²."""
    w, values = nn.Parameter(torch.tensor(3.0)), iter([1.0, -2.0, 3.0, -4.0])
    loss = type("Loss", (), {"losses": lambda self, model: (w * next(values))[None]})
    monkeypatch.setattr(selective_dampening, "draw_noised_batch", lambda *_: loss())
    assert selective_dampening.fisher(None, [w], None, 4, None, None)[0].item() == pytest.approx((1 + 4 + 9 + 16) / 4)


def test_dampening_of_the_denoiser_leaves_the_text_encoder():
    before, after, report = edited("selective-dampening-denoiser", selection=0.1, samples=4)
    assert 0 < report["dampened_share"] < 1
    pairs = zip(before.text.parameters(), after.text.parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in pairs)
    shrunk = zip(before.network.parameters(), after.network.parameters(), strict=True)
    assert all(bool((new.abs() <= old.abs()).all()) for old, new in shrunk)


def test_wanda_scores_a_weight_by_its_size_and_the_norm_of_its_input():
    layer, inputs = nn.Linear(2, 2, bias=False), torch.tensor([[[3.0, 0.0], [4.0, 2.0]]])
    layer.weight.data = torch.tensor([[1.0, -2.0], [0.0, 0.5]])
    with wanda.record_input_norms({"it": layer}) as seen:
        layer(inputs)
    assert seen["it"].tolist() == [5, 2]
    assert wanda.score(layer.weight, seen["it"]).tolist() == [[5, 4], [0, 1]]
    assert not layer._forward_pre_hooks


def test_wanda_chooses_the_highest_of_each_row_that_beat_the_base():
    target = torch.tensor([[4.0, 3.0, 2.0, 1.0], [1.0, 2.0, 3.0, 4.0]])
    base = torch.tensor([[5.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    assert wanda.choose(target, base, 0.5).int().tolist() == [[0, 1, 0, 0], [0, 0, 1, 1]]
    assert wanda.choose(target, base, 0.01).sum() == 1  # one a row at least, and that of the first row lost to the base


def test_wanda_removes_from_feed_forward_layers_alone():
    before, after, report = edited("wanda", share=0.1, timesteps=2)
    changed = [name for name, weight in after.state().items() if not torch.equal(weight, before.state()[name])]
    assert changed == [f"network.{name}.weight" for name in wanda.feed_forward(before)]
    assert report["removed_weights"] == sum(int((after.state()[name] == 0).sum()) for name in changed) > 0


def test_wanda_that_finds_no_weight_says_so(monkeypatch):
    monkeypatch.setattr(wanda, "choose", lambda target, base, share: torch.zeros_like(target, dtype=torch.bool))
    assert edited("wanda", timesteps=1)[2] == {
        "removed_weights": 0,
        "removed_share": 0.0,
        "no_op": True,
        "weights_moved": 0.0,
    }


def test_nemo_measures_how_far_a_neuron_is_from_its_value_under_normal_captions():
    normal = torch.tensor([[1.0, 0.0], [3.0, 2.0]])
    z = nemo.z_scores(torch.tensor([[2.0, 1.0 + 2**0.5 * 5]]), normal.mean(dim=0), normal.std(dim=0))
    assert z[0].tolist() == pytest.approx([0, 5])


def test_structural_similarity_is_one_for_equal_maps_and_follows_its_formula():
    first, second = torch.rand(2, 1, 1, 1, 3, 3, generator=torch.Generator().manual_seed(0))
    assert nemo.similarity(first, first).item() == pytest.approx(1)
    a, b = first.double().flatten(), second.double().flatten()
    both = ((a - a.mean()) * (b - b.mean())).mean()
    luminance = (2 * a.mean() * b.mean() + 1e-4) / (a.mean() ** 2 + b.mean() ** 2 + 1e-4)
    structure = (2 * both + 9e-4) / (a.var(correction=0) + b.var(correction=0) + 9e-4)
    assert nemo.similarity(first, second).item() == pytest.approx((luminance * structure).item(), abs=1e-4)


def search(deviations=-50.0, seeds=3):
    denoiser, rng = worlds.model(), torch.Generator().manual_seed(0)
    normal = denoiser.embed([f"zero w{index}" for index in range(8)])
    noise = torch.randn(seeds, *denoiser.shape, generator=rng)
    return nemo.Search(denoiser, normal, noise, denoiser.schedule.times(10)[0], deviations)


def test_nemo_selects_outliers_and_the_largest_of_each_layer():
    nemo_search = search()
    embeddings = nemo_search.model.embed(["one w1"])
    activations = next(iter(nemo_search.layers.values()))(embeddings).abs().mean(dim=1)
    assert nemo_search.select(embeddings, 1e9, 2)[0].nonzero().flatten().tolist() == sorted(
        activations[0].topk(2).indices.tolist()
    )
    nemo_search.mean[3] += 1e9
    assert nemo_search.select(embeddings, 1e6, 0)[0].nonzero().flatten().tolist() == [3]


def test_nemo_changes_nothing_for_a_caption_that_is_not_above_the_threshold():
    assert not bool(search(deviations=1e6).find(worlds.model().embed(["one w1", "zero w2"])).any())


@pytest.mark.parametrize(
    ("name", "strong", "weak"),
    [
        ("nemo-permanent", {"deviations": -50.0}, {"deviations": 1e6}),
        ("selective-dampening-denoiser", {"selection": 0.1, "samples": 4}, {"selection": 1e30, "samples": 4}),
    ],
)
def test_an_edit_that_finds_nothing_reports_a_no_op(name, strong, weak):
    assert edited(name, **strong)[2]["no_op"] is False
    before, after, report = edited(name, **weak)
    assert report["no_op"] is True
    assert all(torch.equal(old, new) for old, new in zip(matrices(before), matrices(after), strict=True))


def test_refinement_keeps_the_one_neuron_that_matters(monkeypatch):
    """A world in which neuron 5 alone makes every prediction the same."""
    nemo_search = search()
    nemo_search.threshold = 0.5
    alike = torch.full((1, 3, 1, 3, 3), 0.5) + torch.eye(3) / 4
    other = 1 - alike
    monkeypatch.setattr(
        nemo_search, "differences", lambda _, silent: torch.where(silent[:, 5, None, None, None, None], other, alike)
    )
    found = nemo_search.find(nemo_search.model.embed(["one w1"]))
    assert found[0].nonzero().flatten().tolist() == [5]


def test_silent_neurons_are_zero_and_others_unchanged():
    layers = {"mid_attn2": nn.Linear(4, 3), "other": nn.Linear(4, 2)}
    silent = nemo.SilentNeurons(layers, torch.tensor([[True, False, False, False, True]]))
    layer = models.Layer("mid_attn2", "mid", 1, 9)
    assert silent.values(layer, torch.ones(1, 2, 3)).tolist() == [[[0, 1, 1], [0, 1, 1]]]


def test_silencing_in_the_weights_equals_silencing_while_sampling():
    nemo_search = search()
    silent = torch.zeros(2, len(nemo_search.mean), dtype=torch.bool)
    silent[:, [1, 4]] = True
    embeddings = nemo_search.model.embed(["one w1", "zero w2"])
    while_sampling = nemo_search.differences(embeddings, silent)
    layer = next(iter(nemo_search.layers.values()))
    layer.weight.data[[1, 4]] = 0.0
    torch.testing.assert_close(nemo_search.differences(embeddings, torch.zeros_like(silent)), while_sampling)


def test_nemo_for_good_sets_as_many_rows_to_zero_as_it_reports():
    _, after, report = edited("nemo-permanent", deviations=-50.0, seeds=2)
    rows = [layer.weight for layer in nemo.value_layers(after).values()]
    assert report["neurons"] == sum(int((weight == 0).all(dim=1).sum()) for weight in rows) > 0


def test_nemo_silences_queries_with_a_caption_alone():
    denoiser, solver, data = worlds.model(), SolverConfig(steps=4), dict(worlds.split().handed_out())
    noise = noises(range(2), denoiser.shape, solver.draws, 0, "test")
    mask, observed = torch.ones(2, 1, *denoiser.shape[1:], dtype=torch.bool), torch.zeros(2, *denoiser.shape)
    service = Service(denoiser, composed(make("nemo", deviations=-50.0, seeds=2)), 0, data=data)
    silenced = service.sample(["one w1", ""], observed, mask, noise, solver)
    plain = generate(denoiser, captions=["one w1", ""])
    assert not torch.equal(plain[0], silenced[0])
    torch.testing.assert_close(plain[1], silenced[1])


def test_a_network_without_cross_attention_cannot_carry_nemo_or_wanda():
    denoiser = models.build(models.Network(kind="none", widths=(8,)), torch.Generator().manual_seed(0))
    for part in (nemo.value_layers, wanda.feed_forward):
        with pytest.raises(NotApplicable, match="testbed with captions"):
            part(denoiser)


@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_weight_noise_is_in_units_of_each_matrix_spread(scale):
    before, after, _ = edited("weight-noise", scale=scale)
    for old, new in zip(matrices(before), matrices(after), strict=True):
        if old.numel() > 1000:
            assert (new - old).std().item() == pytest.approx(scale * old.std().item(), rel=0.1)
    vectors = zip(before.parameters(), after.parameters(), strict=True)
    assert all(torch.equal(old, new) for old, new in vectors if old.ndim == 1)


@pytest.mark.parametrize("name", ["random-pruning", "magnitude-pruning"])
def test_the_share_of_weights_removed_is_exact(name):
    before, after, _ = edited(name, share=0.3)
    for old, new in zip(matrices(before), matrices(after), strict=True):
        assert int(((new == 0) & (old != 0)).sum()) == round(0.3 * old.numel()) - int((old == 0).sum())


def test_magnitude_pruning_removes_the_smallest():
    before, after, _ = edited("magnitude-pruning", share=0.5)
    for old, new in zip(matrices(before), matrices(after), strict=True):
        assert old[new == 0].abs().max() <= old[new != 0].abs().min()
