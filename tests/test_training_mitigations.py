"""Our own mitigations of the training stage: each does what its equations say."""

import json
from dataclasses import dataclass, fields, replace
from types import SimpleNamespace

import pytest
import torch
import worlds
from worlds import NETWORK, composed, generate, tiny

from solidmark import Mitigation, Stage, Trainer, plugins, provenance, seeds
from solidmark.api import COMMON_WORDS
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation import WrapperContext
from solidmark.mitigation.composition import Part
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Batch, Prediction, Recipe, build
from solidmark.training import train

FAMILIES = (
    "ambient-mask ambient-noise augment danger-zone dedup ema fpan iet multiple-captions network-dropout network-width "
    "timestep-sampling weight-decay wen-filter"
).split()
REGULARISERS = {"ema": "ema_decay", "weight-decay": "weight_decay", "network-dropout": "network", "network-width": "network"}


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def hooks(mitigation):
    return Hooks(composed(mitigation), 0, "test")


def trained(*mitigations, **numbers):
    testbed = tiny()
    laid = testbed.split(0)
    recipe = replace(testbed.recipe, **numbers)
    return train(recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(*mitigations), 0)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def wrapper_of(mitigation, model=None, outer=None):
    """The mitigation's wrapper on its own, with `outer` in place of the chain."""
    model = model or worlds.model()
    context = WrapperContext("test", torch.Generator().manual_seed(5), Data(mitigation.needs, "test"))
    inner = SimpleNamespace(context=context, model=model, run=None)
    inner.losses = lambda batch, t: torch.ones(len(t))
    wrapper = (mitigation.sampler if mitigation.stage is Stage.SAMPLING else mitigation.trainer)(inner)
    wrapper.outer = outer or wrapper
    return wrapper


def batch(count=6, side=12):
    clean = torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(2)) * 2 - 1
    return Batch(clean, torch.zeros(count, 9, 8), torch.arange(count), tuple(range(count)), seed=3)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_four_different_settings(name):
    assert len({part.label for part in plugins.family(name)}) >= 4


def test_every_image_has_its_own_caption_and_others_that_keep_its_words():
    given = worlds.examples(6)
    prepared = hooks(make("multiple-captions", captions=5)).prepare(given)
    assert prepared.captions[:6] == given.captions
    assert prepared.ids == given.ids * 5
    for own, other in zip(given.captions * 4, prepared.captions[6:], strict=True):
        assert set(own.split()) < set(other.split())
        assert set(other.split()) - set(own.split()) <= set(COMMON_WORDS)
    assert len(set(prepared.captions)) > 20


def caption_file(folder, others):
    lines = [json.dumps({"caption": caption, "captions": others(caption)}) for caption in worlds.examples(3).captions]
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return str(folder / "captions.jsonl")


def test_captions_of_a_file_are_those_of_the_same_image(tmp_path):
    file = caption_file(tmp_path, lambda caption: [f"{caption} {kind}" for kind in ("seen", "told")])
    prepared = hooks(make("multiple-captions", captions=5, file=file)).prepare(worlds.examples(3))
    given = worlds.examples(3).captions
    assert prepared.captions[:3] == given
    assert sorted(prepared.captions[3:]) == sorted(f"{caption} {kind}" for caption in given for kind in ("seen", "told") * 2)


@pytest.mark.parametrize("family", ["multiple-captions", "prss"])
def test_another_content_of_the_caption_file_is_another_configuration_and_its_folders_are_nobody_s(tmp_path, family):
    parts = [Part(family, make(family, file=caption_file(tmp_path, lambda caption, other=other: [other]))) for other in "ab"]
    assert parts[0].label != parts[1].label
    assert [part.distinguishing["file"] for part in parts] == [f"{tmp_path.name}/captions.jsonl"] * 2


@pytest.mark.parametrize("family", ["multiple-captions", "prss"])
@pytest.mark.parametrize(
    "text", ["{", '{"caption": "a"}', '{"caption": "a", "captions": []}', '{"caption": "a", "captions": [""]}']
)
def test_a_caption_file_that_says_something_else_is_refused(tmp_path, family, text):
    (tmp_path / "captions.jsonl").write_text(text)
    with pytest.raises(InvalidValue, match=f"mitigation {family}, file"):
        make(family, file=str(tmp_path / "captions.jsonl"))


def test_a_caption_file_that_lacks_an_image_does_not_apply(tmp_path):
    file = caption_file(tmp_path, lambda caption: ["a"])
    with pytest.raises(NotApplicable, match="no line for"):
        hooks(make("multiple-captions", file=file)).prepare(worlds.examples(4))


def test_captions_of_one_word_have_no_others():
    given = replace(worlds.examples(3), captions=["one", "", "two"])
    with pytest.raises(NotApplicable, match="one word"):
        hooks(make("multiple-captions")).prepare(given)


@pytest.mark.parametrize("shape", [(400, 9, 32), (400, 32)])
def test_fpan_changes_whole_tokens_with_its_probability_and_scale(shape):
    embeddings = 3 * torch.randn(shape, generator=torch.Generator().manual_seed(1))
    noise = hooks(make("fpan", probability=0.25, scale=2.0)).condition(embeddings, torch.ones(400, dtype=bool)) - embeddings
    changed = (noise != 0).all(dim=-1)
    assert torch.equal(changed, (noise != 0).any(dim=-1))
    assert changed.float().mean().item() == pytest.approx(0.25, abs=0.07)
    assert noise[changed].std().item() == pytest.approx(6, rel=0.06)


@pytest.mark.parametrize("name", ["fpan", "gni-training"])
def test_noise_on_embeddings_of_half_precision_is_of_half_precision(name):
    embeddings = torch.randn(4, 9, 32).half()
    noisy = hooks(make(name)).condition(embeddings, torch.ones(4, dtype=bool))
    assert noisy.dtype == torch.float16
    assert not torch.equal(noisy, embeddings)


@pytest.mark.parametrize(("copies", "left"), [(1, 16), (2, 28), (4, 44), (8, 60)])
def test_dedup_keeps_so_many_copies(copies, left):
    """Groups of four images with 1, 2, 4 and 8 copies."""
    laid = plugins.instance("solidmark.testbeds", "testbed", "digits-duplicates", trained=16).split(0)
    prepared = hooks(make("dedup", copies=copies)).prepare(laid.training)
    assert len(laid.training) == 60
    assert len(prepared) == left
    assert set(prepared.ids) == set(laid.trained.ids)


def test_dedup_keeps_the_first_copy_where_each_has_a_key_of_its_own():
    laid = plugins.instance("solidmark.testbeds", "testbed", "digits-duplicates-own", trained=16).split(0)
    assert hooks(make("dedup")).prepare(laid.training).ids == laid.trained.ids


def test_dedup_leaves_distinct_images_until_it_counts_likeness_as_equality():
    laid = worlds.split(trained=64, held_out=64)
    kept = [len(hooks(make("dedup", alike=alike)).prepare(laid.training)) for alike in (0.0, 0.03, 0.25, 2.0)]
    assert kept[:2] == [64, 64]
    assert kept[3] == 1 < kept[2] < 64


def test_augmentation_mirrors_half_of_the_images_and_flips_half_of_those_that_are_chosen():
    """As in EDM: mirrors whatever the probability is, flips with half of it."""
    images = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    views = hooks(make("augment", probability=0.4, zoom=0, turn=0, shift=0)).view(images)
    kinds = [images, images.flip(-1), images.flip(-2), images.flip(-1, -2)]
    shares = [(views - kind).flatten(1).abs().amax(dim=1).lt(1e-5).float().mean().item() for kind in kinds]
    assert shares == pytest.approx([0.4, 0.4, 0.1, 0.1], abs=0.04)


def test_augmentation_turns_about_the_centre_and_keeps_distances():
    mitigation = make("augment", probability=1.0, zoom=0, shift=0)
    chosen = torch.ones(50, 4, dtype=bool)
    maps = mitigation._maps(~chosen[:, 0], chosen, torch.randn(50, 3), torch.rand(50))
    assert torch.allclose(maps[:, :, :2] @ maps[:, :, :2].mT, torch.eye(2).expand(50, 2, 2), atol=1e-6)
    assert torch.allclose(torch.linalg.det(maps[:, :, :2]), torch.tensor(-1.0))
    assert not maps[:, :, 2].any()


def test_augmentation_shows_a_shifted_and_enlarged_part():
    """Pixel (r, c) of the view shows the position scale (r, c) + shift of the image."""
    mitigation, chosen = make("augment", probability=1.0, turn=0), torch.tensor([[False, True, False, True]])
    maps = mitigation._maps(torch.tensor([False]), chosen, torch.tensor([[5.0, 0.4, 0.8]]), torch.zeros(1))
    assert torch.allclose(maps, torch.tensor([[[0.5, 0.0, 0.1], [0.0, 0.5, 0.2]]]))


def test_augmentation_leaves_images_for_which_nothing_is_chosen():
    images = torch.rand(2000, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    views = hooks(make("augment", probability=0.12, mirror=0.0)).view(images)
    changed = (views != images).flatten(1).any(dim=1).float().mean().item()
    assert changed == pytest.approx(1 - 0.94 * 0.88**3, abs=0.04)


def test_the_filter_lets_everything_pass_above_its_threshold():
    """One more evaluation a sample, and not a bit of difference."""
    model = trained(make("wen-filter", threshold=1e9))
    assert same(model, trained())
    assert model.reported["CaptionFilter"] == {"skipped_share": 0.0}
    assert model.evaluations.forward == 2 * 3 * 8


def test_a_model_that_no_caption_may_move_never_learns_captions():
    recipe = tiny().recipe
    model = trained(make("wen-filter", threshold=1e-12), weight_decay=0.0, caption_dropout=0.5)
    fresh = build(recipe.network, seeds.torch_rng(0, "initialisation"))
    assert all(torch.equal(a, b) for a, b in zip(model.text.parameters(), fresh.text.parameters(), strict=True))
    assert not same(model, fresh)


def test_one_shard_and_one_round_are_plain_training():
    assert same(trained(make("iet", shards=1, rounds=1, threshold=0.0), train_steps=6), trained(train_steps=6))


def filling(log):
    """A part whose update sets every weight to 1 on the shard that has example 0, else to 3, and logs its indices."""

    class Fill(Trainer):
        def update(self, indices):
            log.append((self.run.done, set(indices.tolist())))
            self.outer.losses(self.run.batch(indices), torch.zeros(len(indices), dtype=torch.long))
            for parameter in self.run.parameters():
                parameter.data.fill_(1.0 if log[0][1] & log[-1][1] else 3.0)

    return type("Filling", (Mitigation,), {"trainer": lambda self, inner: Fill(self, inner)})()


def test_rounds_average_what_the_shards_made_of_the_same_weights():
    log = []
    model = trained(filling(log), make("iet", shards=2, rounds=3), train_steps=12)
    assert all(torch.allclose(p, torch.tensor(2.0)) for p in model.parameters())
    assert len(log) == 12
    shards = [frozenset().union(*(seen for _, seen in log[k : k + 2])) for k in range(0, 12, 2)]
    assert len(set(shards)) == 2
    assert frozenset().union(*shards) == set(range(16))


def test_a_shard_has_the_learning_rate_of_its_own_steps():
    log = []
    trained(filling(log), make("iet", shards=2, rounds=3), train_steps=12)
    assert [done for done, _ in log] == [0, 2, 0, 2, 4, 6, 4, 6, 8, 10, 8, 10]


def test_shards_take_the_steps_of_one_training():
    assert trained(make("iet", shards=4, rounds=2), train_steps=9).evaluations.forward == 9 * 8


def test_ambient_noise_compares_with_the_noisy_copy_as_its_equation_says():
    """|(s^2 - l^2) / s^2 D + l^2 / s^2 x_t / alpha - y|^2 / sigma^2, the loss of v for the D of x_t."""
    model, given, t, predictions = worlds.model(), batch(), torch.tensor([30, 35, 40, 44, 47, 49]), []
    alpha, sigma = model.schedule.alpha(t), model.schedule.sigma(t)

    def predict(x, t, batch):
        predictions.append(Prediction(torch.sin(7 * x), x, alpha, sigma, "v_prediction"))
        return predictions[0]

    losses = wrapper_of(make("ambient-noise", level=0.3), model, SimpleNamespace(predict=predict)).losses(given, t)
    s, copy = sigma / alpha, given.clean + 0.3 * given.fixed_noise("ambient noise")
    mixed = (s**2 - 0.09) / s**2 * predictions[0].clean + 0.09 / s**2 * predictions[0].x / alpha
    assert (s > 0.3).all()
    assert torch.allclose(losses, ((mixed - copy) / sigma).square().flatten(1).mean(dim=1), rtol=1e-3)


def test_below_its_level_ambient_noise_is_the_usual_loss():
    model, given, t = worlds.model(), batch(), torch.full((6,), 20)
    inputs = []
    outer = SimpleNamespace(predict=lambda x, t, batch: inputs.append(x) or model.predict(x, t, batch.embeddings))
    losses = wrapper_of(make("ambient-noise", level=100.0), model, outer).losses(given, t)
    noise = torch.randn(given.clean.shape, generator=torch.Generator().manual_seed(5))
    x = model.schedule.add_noise(given.clean, noise, t)
    usual = model.predict(x, t, given.embeddings).losses(given.clean, noise).flatten(1).mean(dim=1)
    assert torch.allclose(inputs[0], x)
    assert torch.allclose(losses, usual, rtol=1e-4)


def masked(error, share=0.4, further=0.1):
    """Losses of a network with this error in its output, its x, its hidden pixels, and the image's own mask."""
    given, t, seen = batch(side=24), torch.full((6,), 30), {}
    model = worlds.model()

    def predict(x, t, masked_batch):
        seen.update(x=x, hidden=masked_batch.extra)
        alpha, sigma = model.schedule.alpha(t), model.schedule.sigma(t)
        visible = (alpha * x - given.clean) / sigma
        return Prediction(torch.where(seen["hidden"] > 0, -given.clean, visible) + error, x, alpha, sigma, "v_prediction")

    wrapper = wrapper_of(make("ambient-mask", share=share, further=further), model, SimpleNamespace(predict=predict))
    return wrapper.losses(given, t), seen["x"], seen["hidden"], wrapper.shown(given)


def test_a_network_that_fills_in_what_is_hidden_has_no_loss():
    losses, x, hidden, shown = masked(0.0)
    assert losses.max() < 1e-9
    assert not x[hidden > 0].any()
    assert (hidden[~shown] == 1).all()
    assert hidden.mean().item() == pytest.approx(1 - 0.6 * 0.9, abs=0.02)
    assert shown.float().mean().item() == pytest.approx(0.6, abs=0.02)


def test_the_mask_counts_errors_where_the_image_s_own_mask_shows_and_nowhere_else():
    *_, shown = masked(0.0)
    assert masked(~shown * 5.0)[0].max() < 1e-9
    assert torch.allclose(masked(shown * 0.5)[0], torch.tensor(0.25))


def test_masks_stay_with_their_images_and_differ_between_them():
    first, second = (wrapper_of(make("ambient-mask")).shown(batch()) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_a_masked_model_answers_every_query_as_if_nothing_were_hidden():
    model = trained(make("ambient-mask"))
    assert model.config.extra_channels == 1
    x, embeddings = torch.randn(2, 1, 12, 12), model.embed(["zero w1", ""])
    unmasked = model.predict(x, 3, embeddings, extra=torch.zeros(2, 1, 12, 12)).output
    assert torch.equal(model.predict(x, 3, embeddings).output, unmasked)


def test_hidden_pixels_do_not_change_a_sample():
    """At x and at x with other hidden pixels the predicted clean image is the same."""
    model = build(replace(NETWORK, extra_channels=1), torch.Generator().manual_seed(1)).frozen()
    wrapper = wrapper_of(make("ambient-mask-sampling", share=0.5), model)
    wrapper.visible = torch.rand(3, 1, 12, 12) > 0.5
    x, t = torch.randn(3, 1, 12, 12), 20
    other = torch.where(wrapper.visible, x, torch.randn(3, 1, 12, 12))
    alpha, sigma, embeddings = model.schedule.alpha(t), model.schedule.sigma(t), model.embed(["zero w1"] * 3)
    clean = [(y - sigma * wrapper._noise(y, t, embeddings)) / alpha for y in (x, other)]
    assert torch.allclose(clean[0], clean[1], atol=1e-4)
    seen = model.predict(x * wrapper.visible, t, embeddings, extra=(~wrapper.visible).float())
    assert torch.allclose(clean[0][wrapper.visible], (alpha * x - sigma * seen.output)[wrapper.visible], atol=1e-4)
    assert torch.allclose(clean[0][~wrapper.visible], -seen.output[~wrapper.visible], atol=1e-4)


def test_a_mask_at_sampling_joins_a_masked_training_and_nothing_else():
    mitigation = make("ambient-mask-sampling")
    model = build(replace(NETWORK, extra_channels=1), torch.Generator().manual_seed(1)).frozen()
    assert generate(model, mitigation, captions=["zero w1", ""]).shape == (2, 1, 12, 12)
    with pytest.raises(NotApplicable, match="0 extra channels"):
        generate(worlds.model(), mitigation, captions=["zero w1"])


def test_a_mask_needs_a_network_that_predicts_the_image_somehow():
    recipe = Recipe(network=replace(NETWORK, prediction="epsilon"))
    with pytest.raises(NotApplicable, match="predicts epsilon"):
        hooks(make("ambient-mask")).recipe(recipe)
    with pytest.raises(NotApplicable, match="1 extra channels"):
        hooks(make("ambient-mask")).recipe(Recipe(network=replace(NETWORK, extra_channels=1)))


@pytest.mark.parametrize(("width", "share"), [(0.1, 0.95), (0.5, 0.95), (1.0, 1.0)])
def test_timesteps_lie_within_the_width(width, share):
    wrapper = wrapper_of(make("timestep-sampling", width=width), SimpleNamespace(schedule=SimpleNamespace(steps=1000)))
    t = wrapper.times(batch(20_000, side=1))
    assert (t < 1000 * width).float().mean().item() == pytest.approx(share, abs=0.01)
    assert t.min() >= 0
    assert t.max() < 1000
    assert wrapper.data.doses["mean_timestep"] == pytest.approx(float(t.double().mean()) / 1000)


def test_a_wide_distribution_of_timesteps_is_uniform():
    wrapper = wrapper_of(make("timestep-sampling", width=1e3), SimpleNamespace(schedule=SimpleNamespace(steps=4)))
    assert (wrapper.times(batch(20_000, side=1)).bincount() / 20_000).tolist() == pytest.approx([0.25] * 4, abs=0.02)


def test_the_danger_zone_is_learnt_less():
    wrapper = wrapper_of(make("danger-zone", relief=0.75, low=0.4, high=0.6))
    losses = wrapper.losses(batch(), torch.tensor([0, 19, 20, 29, 30, 49]))
    assert losses.tolist() == [1, 1, 0.25, 0.25, 1, 1]
    assert wrapper.data.doses == {"in_zone": pytest.approx(1 / 3)}


@pytest.mark.parametrize(("name", "field"), REGULARISERS.items())
def test_a_regulariser_changes_its_number_of_the_recipe_alone(name, field):
    recipe = Recipe()
    for part in plugins.family(name):
        changed = hooks(part.mitigation).recipe(recipe)
        assert [f.name for f in fields(recipe) if getattr(recipe, f.name) != getattr(changed, f.name)] == [field]
    assert part.mitigation.control


def test_widths_are_shares_in_multiples_of_eight():
    widths = [hooks(part.mitigation).recipe(Recipe()).network.widths for part in plugins.family("network-width")]
    assert widths == [(24, 48), (16, 32), (8, 16), (8, 8)]


def test_another_network_than_the_base_model_s_does_not_apply():
    testbed = tiny()
    laid = testbed.split(0)
    with pytest.raises(NotApplicable, match="base model"):
        train(
            testbed.recipe,
            TrainingSet(laid.trained, None, laid.mark),
            composed(make("ambient-mask")),
            0,
            initial=worlds.model(),
        )


def test_a_part_s_source_is_that_of_its_neighbours_too(tmp_path, monkeypatch):
    (tmp_path / "pack").mkdir()
    sources = {"__init__": "", "one": "from .two import A", "two": "from . import three\nA = 1", "three": ""}
    for name, text in sources.items():
        (tmp_path / "pack" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    __import__("pack.one")
    before = [provenance.source_digest(f"pack.{name}") for name in ("one", "two", "three")]
    (tmp_path / "pack" / "three.py").write_text("B = 2")
    provenance._code.cache_clear()
    after = [provenance.source_digest(f"pack.{name}") for name in ("one", "two", "three")]
    assert all(a != b for a, b in zip(before, after, strict=True))
    assert after[2] == provenance.code_digest(b"B = 2  # the same")


def test_training_mitigations_act_at_training():
    assert {plugins.published(name).mitigation.stage for name in FAMILIES} == {Stage.TRAINING}


def test_wen_filter_measures_the_root_mean_square_that_a_caption_moves_a_prediction():
    """Predictions of 3 with a caption and of 1 without: each pixel is moved by 2, however many there are."""
    noise = {True: torch.full((2, 1, 4, 4), 3.0), False: torch.ones(2, 1, 4, 4)}
    inner = SimpleNamespace(context=WrapperContext("wen-filter", None, None), run=None)
    inner.model = SimpleNamespace(embed=lambda captions: "null", evaluations=None)
    inner.predict = lambda x, t, batch: SimpleNamespace(noise=noise[batch.embeddings != "null"])
    inner.losses, inner.prepare = lambda batch, t: torch.tensor([5.0, 7.0]), lambda: None
    for threshold, left in ((2.5, [5.0, 7.0]), (2.0, [0.0, 0.0])):
        wrapper = make("wen-filter", threshold=threshold).trainer(inner)
        wrapper.prepare()
        batch = SampleBatch("captions")
        assert wrapper.predict(torch.zeros(2, 1, 4, 4), None, batch).noise is noise[True]
        assert wrapper.distance.tolist() == [2.0, 2.0]
        assert wrapper.losses(batch, None).tolist() == left


@dataclass(frozen=True)
class SampleBatch:
    embeddings: str
