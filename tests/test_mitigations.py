"""Our own mitigations: each does what its docstring says, on known input."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import worlds
from worlds import composed, generate, memorizer, tiny

from solidmark import plugins
from solidmark.data import COMMON_WORDS
from solidmark.errors import InvalidValue
from solidmark.mitigation import HOOKS, Mitigation, WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.run import TrainingSet
from solidmark.models import SamplingBatch
from solidmark.plugins import GROUPS
from solidmark.sampling import SolverConfig
from solidmark.testing.rules import stray_methods
from solidmark.training import train

FAMILIES = [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def captions(mitigation, given, seed=0):
    return Hooks(composed(mitigation), seed, "test").caption(list(given))


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_its_published_default_among_its_settings_and_a_source(name):
    settings = plugins.family(name)
    assert plugins.published(name) in settings
    assert name == "none" or (len(settings) >= 4 and "arXiv" in settings[0].mitigation.reference)


@pytest.mark.parametrize("name", FAMILIES)
def test_every_public_method_overrides_a_hook(name):
    kind = type(plugins.published(name).mitigation)
    assert stray_methods(kind, Mitigation, (*HOOKS, "settings")) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_parameters_out_of_range_name_the_parameter(name):
    first = next(iter(plugins.published(name).mitigation.parameters()), None)
    if first is not None:
        with pytest.raises(InvalidValue, match=rf"\.{first}: found -inf|{first}.*-inf"):
            plugins.compose(f"{name}({first}=-1e999)")


@pytest.mark.parametrize("name", ["rna", "cwr", "random-token"])
@pytest.mark.parametrize("given", ["one", "one w1 w2", " ".join(f"w{index}" for index in range(30))])
def test_a_caption_gets_four_words_however_long_it_is_and_loses_none(name, given):
    changed = [caption.split() for caption in captions(make(name), [given] * 50)]
    assert {len(words) - len(given.split()) for words in changed} == {4}
    assert all(in_order(given.split(), words) for words in changed)


def test_inserted_words_are_of_their_kind():
    added = {name: captions(make(name), ["one w1"] * 200) for name in ("rna", "cwr", "random-token")}
    new = {name: [word for c in changed for word in c.split()] for name, changed in added.items()}
    assert set(new["cwr"]) == {"one", "w1"}
    assert set(new["random-token"]) - {"one", "w1"} == set(COMMON_WORDS)
    numbers = [int(word) for word in new["rna"] if word.isdigit()]
    assert len(numbers) == 800
    assert 90_000 < max(numbers) < 100_000


def test_a_repeated_word_is_drawn_from_the_caption_as_it_was():
    """With ten repetitions drawn from the growing caption one word would take over."""
    shares = [c.split().count("a") / 12 for c in captions(make("cwr", count=10), ["a b"] * 3000)]
    assert float(torch.tensor(shares).std()) == pytest.approx((10 * 0.25) ** 0.5 / 12, rel=0.05)


def test_a_replaced_caption_has_four_random_words_and_nothing_of_its_own():
    changed = captions(make("caption-replacement", probability=0.4), ["seven w1 w2"] * 2000)
    replaced = [c.split() for c in changed if c != "seven w1 w2"]
    assert len(replaced) / 2000 == pytest.approx(0.4, abs=0.05)
    assert all(len(words) == 4 and set(words) <= set(COMMON_WORDS) for words in replaced)


@pytest.mark.parametrize("name", ["rna-training", "cwr-training", "random-token-training"])
def test_training_noise_strikes_with_its_probability(name):
    changed = captions(make(name, probability=0.4), ["a b c d"] * 2000)
    assert sum(c != "a b c d" for c in changed) / 2000 == pytest.approx(0.4, abs=0.05)


@pytest.mark.parametrize("name", ["rna-training", "cwr-training", "random-token-training"])
@pytest.mark.parametrize("caption", ["one", "one w1 w2", " ".join(f"w{index}" for index in range(30))])
def test_four_in_ten_captions_get_two_words_however_long_they_are(name, caption):
    """The published dose: 0.8 insertions an access; the image's own words stay, in their order."""
    changed = [c.split() for c in captions(make(name), [caption] * 2000)]
    assert {len(words) - len(caption.split()) for words in changed} == {0, 2}
    assert sum(len(words) - len(caption.split()) for words in changed) / 2000 == pytest.approx(0.8, abs=0.1)
    assert all(in_order(caption.split(), words) for words in changed)


def in_order(few, many):
    rest = iter(many)
    return all(word in rest for word in few)


def test_repeated_words_are_the_caption_s_and_random_numbers_are_numbers():
    given = ["a b c"] * 200
    assert {word for c in captions(make("cwr-training", probability=1.0), given) for word in c.split()} == set("abc")
    assert all(
        len([w for w in c.split() if w.isdigit()]) == 2 for c in captions(make("rna-training", probability=1.0), given)
    )


def test_training_noise_is_in_units_of_the_embeddings_spread():
    embeddings = 7 * torch.randn(50, 9, 32)
    hooks = Hooks(composed(make("gni-training", scale=0.5)), 0, "test")
    noisy = hooks.condition(embeddings, torch.ones(50, dtype=torch.bool))
    assert (noisy - embeddings).std().item() == pytest.approx(3.5, rel=0.03)


def test_noise_at_sampling_is_on_both_branches_of_queries_with_a_caption():
    """In units of the spread of the captions' embeddings, on the null condition too, and on no other query."""
    words, null, rows = 7 * torch.randn(50, 9, 32), torch.zeros(50, 9, 32), torch.arange(50) % 2 == 0
    batch = replace(
        batch_of(worlds.model()), captions=["one" if row else "" for row in rows], embeddings=words, unconditional=null
    )
    found = prepared(make("gni", scale=0.5), batch)
    moved = (found.embeddings - words, found.unconditional - null)
    assert [change[rows].std().item() for change in moved] == pytest.approx([3.5, 3.5], rel=0.03)
    assert not any(change[~rows].any() for change in moved)
    assert not torch.allclose(moved[0], moved[1])


def batch_of(model):
    """A batch of one query, for its other fields."""
    blank = torch.zeros(1, *model.shape)
    mask, refused = torch.ones(1, 1, *model.shape[1:], dtype=torch.bool), torch.zeros(1, dtype=torch.bool)
    return SamplingBatch([""], blank, blank, blank, mask, refused, [3, 0], 3.0, 1.0, model, blank)


def prepared(mitigation, batch):
    handed = Data(mitigation.needs, "own", sampled=True, calibration=worlds.examples())
    context = WrapperContext("own", torch.Generator().manual_seed(0), handed)
    return mitigation.sampler(SimpleNamespace(context=context, model=batch.model, prepare=lambda given: given)).prepare(
        batch
    )


def test_coarse_captions_keep_the_first_words():
    assert captions(make("coarse-caption", words=1), ["seven w1 w2"]) == ["seven"]
    assert captions(make("coarse-caption", words=0), ["seven w1 w2"]) == [""]


def test_coarse_captions_leave_the_others_whole():
    changed = captions(make("coarse-caption", words=1, probability=0.3), ["seven w1 w2"] * 4000)
    assert set(changed) == {"seven", "seven w1 w2"}
    assert changed.count("seven") == pytest.approx(1200, abs=100)


def test_delayed_guidance_is_zero_before_the_transition_point():
    hooks = Hooks(composed(make("delayed-guidance", share=0.5)), 0, "test")
    assert [hooks.guidance(3.0, fraction) for fraction in (0.0, 0.49, 0.5, 0.9)] == [0, 0, 3, 3]


def trained(mitigation, steps=10):
    testbed = tiny()
    laid = testbed.split(0)
    recipe = replace(testbed.recipe, train_steps=steps)
    return train(recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(mitigation), 0)


def test_early_stopping_stops_after_its_share_of_the_steps():
    assert trained(make("early-stopping", share=0.4)).evaluations.forward == 4 * 8


def test_agc_drops_low_losses_only_once_a_timestep_was_seen():
    """With a threshold of 0 nothing is dropped, so that the weights equal the baseline's."""
    plain = trained(make("agc", threshold=0.0))
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), trained(worlds.NoHooks()).parameters(), strict=True))


def loss_table(losses, steps=1000, train_steps=10, **values):
    """The wrapper of AGC after `prepare`, whose inner losses are these, batch after batch of two."""
    given, recipe = iter(losses), SimpleNamespace(train_steps=train_steps, batch=2)
    model = SimpleNamespace(schedule=SimpleNamespace(steps=steps))
    inner = SimpleNamespace(context=WrapperContext("agc", None, None), model=model, run=SimpleNamespace(recipe=recipe))
    inner.losses, inner.prepare = lambda batch, t: torch.tensor(next(given)), lambda: None
    wrapper = make("agc", **values).trainer(inner)
    wrapper.prepare()
    return wrapper


def test_agc_keeps_what_its_table_says():
    """L[t] = 0.8 x 0 + 0.2 x 1 after a first loss of 1: then 0.05 < 0.5 L is dropped, and 0.2 is kept."""
    wrapper = loss_table([[1.0, 1.0], [0.05, 0.2]], threshold=0.5, bins=1000)
    assert wrapper.losses(None, torch.tensor([3, 4])).tolist() == [1, 1]
    assert wrapper.losses(None, torch.tensor([3, 4])).tolist() == pytest.approx([0.0, 0.2])
    assert (wrapper.seen, wrapper.skipped) == (4, 1)


def test_agc_shares_a_bin_among_neighbouring_timesteps_alone():
    """With 20 bins of 50 timesteps, 949 and 900 share one, 950 does not, whose mean is still 0."""
    wrapper = loss_table([[1.0, 1.0], [0.05, 0.05]], threshold=0.5, bins=20)
    wrapper.losses(None, torch.tensor([900, 901]))
    assert wrapper.losses(None, torch.tensor([949, 950])).tolist() == pytest.approx([0.0, 0.05])


@pytest.mark.parametrize(("train_steps", "bins"), [(600, 4), (31_250, 250), (10**6, 1000)])
def test_agc_has_a_bin_for_250_accesses_and_at_most_one_a_timestep(train_steps, bins):
    assert len(loss_table([], train_steps=train_steps).table) == bins


@pytest.mark.parametrize("name", ["gni-training", "fpan"])
def test_noise_on_embeddings_leaves_the_text_encoder_as_it_was(name):
    before, after = trained(make(name), steps=1), trained(make(name), steps=3)
    assert all(torch.equal(a, b) for a, b in zip(before.text.parameters(), after.text.parameters(), strict=True))
    assert any(not torch.equal(a, b) for a, b in zip(before.network.parameters(), after.network.parameters(), strict=True))


def test_wen_embedding_searches_captioned_queries_alone_and_counts_its_gradients():
    denoiser = worlds.model()
    batch = replace(batch_of(denoiser), captions=["one w1"], embeddings=denoiser.embed(["one w1"]))
    batch = replace(batch, unconditional=denoiser.embed([""]), noise=torch.randn(1, *denoiser.shape))
    before = denoiser.evaluations.copy()
    found = prepared(make("wen-embedding", target=0.0, iterations=3), batch)
    assert not torch.equal(found.embeddings, batch.embeddings)
    assert denoiser.evaluations.since(before).backward == 3
    bare = replace(batch, captions=[""])
    assert prepared(make("wen-embedding"), bare) is bare


def test_finetuning_needs_the_forget_list_and_trains_on_the_rest_alone():
    laid = worlds.split()
    denoiser = worlds.model().copy()
    given = {**laid.handed_out(), "recipe": tiny().recipe}
    hooks = Hooks(composed(make("finetune", updates=2, batch=4)), 0, "editing", data=given)
    before = [parameter.clone() for parameter in denoiser.parameters()]
    edited = hooks.edit(denoiser)
    assert denoiser.evaluations.backward == 2 * 4
    assert any(not torch.equal(a, b) for a, b in zip(before, edited.parameters(), strict=True))


@pytest.mark.parametrize(("scale", "memorized"), [(0.0, False), (1.0, True)])
def test_guidance_decides_whether_the_caption_takes_effect(scale, memorized):
    laid = worlds.split()
    images = generate(
        memorizer(laid), make("guidance-scale", scale=scale), captions=laid.trained.captions, solver=SolverConfig(steps=25)
    )
    near = (images - laid.marked_trained.images).abs().mean() < 0.01
    assert bool(near) is memorized
