"""What acts at sampling, on a miniature Stable Diffusion: where latents, CLIP's null prompt and its padding matter."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations import _chunks
from solidmark.mitigations._guidance_vector import guidance_vector, norms, raw_guidance_vector
from solidmark.mitigations.amg import AntiMemorization
from solidmark.mitigations.attention_rescaling import AttentionRescaling
from solidmark.mitigations.bright_ending import BrightEnding
from solidmark.mitigations.cads import AnnealedCondition
from solidmark.mitigations.clip_padding import MaskedPadding
from solidmark.mitigations.cwr import RepeatedWords, TrainingRepeatedWords
from solidmark.mitigations.flipd import LocalDimension
from solidmark.mitigations.gni import NoisyEmbeddings
from solidmark.mitigations.guard import Guard
from solidmark.mitigations.initial_noise import SampleInitialNoise
from solidmark.mitigations.nemo import NeuronsAQuery, parts, value_layers
from solidmark.mitigations.norm_clamp import NormClamp
from solidmark.mitigations.random_token import RandomTokens, TrainingRandomTokens
from solidmark.mitigations.rna import RandomNumbers, TrainingRandomNumbers
from worlds import composed

from solidmark import Mitigation, Stage, plugins, seeds
from solidmark.data import Captions
from solidmark.mitigation import Needs
from solidmark.mitigation.hooks import Hooks
from solidmark.models import END, PADDING, START, WORD, build
from solidmark.sampling import BaseSampler, Service, SolverConfig, noises
from solidmark.testing.toys import ToySetup

CAPTIONS = ["zero w1 w2", "one w3"]


@dataclass(frozen=True)
class Longer(Mitigation):
    """Adds a word to each caption, whatever the encoder takes."""

    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        return [f"w5 {caption}" for caption in captions]


@dataclass(frozen=True)
class Watching(Mitigation):
    """Changes nothing, and tells `see` the captions that it gets."""

    see: Callable = print

    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        self.see(list(captions))
        return captions


def in_order(few, many):
    rest = iter(many)
    return all(word in rest for word in few)


@pytest.fixture(scope="module")
def setup():
    return ToySetup("latent", Needs.CALIBRATION | Needs.TRAINING_IMAGES)


def service(setup, *mitigations):
    return Service(setup.model, composed(*mitigations), 0, data=dict(setup.blind.handed_out))


def generate(setup, *mitigations, captions=CAPTIONS):
    """Images of the captions, and what the mitigations say that they did."""
    asked, solver = service(setup, *mitigations), SolverConfig(steps=3)
    noise = noises(range(len(captions)), setup.model.shape, solver.draws, 0, "test")
    observed = torch.zeros(len(captions), 1, 16, 16)
    images = asked.sample(list(captions), observed, torch.ones_like(observed, dtype=torch.bool), noise, solver)
    return images, next(iter(asked.doses.values()), {})


def test_padding_is_whatever_follows_the_first_end_token_whatever_its_number_is(setup):
    tokenizer = setup.model.text.tokenizer
    pad = tokenizer.pad_token
    try:
        tokenizer.pad_token = tokenizer.eos_token  # as in Stable Diffusion 1
        setup.model.text._known.clear()
        roles = setup.model.roles(["one w3"])[0].tolist()
    finally:
        tokenizer.pad_token = pad
        setup.model.text._known.clear()
    assert roles == [START, WORD, WORD, END] + [PADDING] * (len(roles) - 4)


def test_masked_summary_tokens_change_the_null_prompt_s_prediction_too(setup):
    asked = service(setup, AttentionRescaling(1.0, kept=0))
    sampler = asked._hooks.sampler(_base(asked))
    batch = _batch(asked)
    x, t = batch.noise, batch.times[0]
    plain, masked = (
        setup.model.predict(x, t, batch.unconditional, attention=a).noise for a in (None, sampler.null_attention(batch))
    )
    assert not torch.allclose(plain, masked, atol=1e-6)


@torch.no_grad()
def test_neurons_are_silent_for_the_null_prompt_as_they_are_in_the_weights(setup):
    asked = service(setup, NeuronsAQuery(-100.0))
    sampler = asked._hooks.sampler(_base(asked))
    batch, edited = sampler.prepare(_batch(asked)), setup.model.copy()
    for name, rows in parts(sampler.layers, sampler.silent[0]).items():
        value_layers(edited)[name].weight[rows] = 0.0
    given = batch.noise, batch.times[0], batch.unconditional
    silent = setup.model.predict(*given, attention=sampler.null_attention(batch)).noise[0]
    torch.testing.assert_close(silent, edited.predict(*given).noise[0], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(silent, setup.model.predict(*given).noise[0], atol=1e-5)


def _base(asked):
    return BaseSampler(asked.model, asked._hooks)


def _batch(asked):
    noise, observed = torch.randn(2, *asked.model.shape), torch.zeros(2, 1, 16, 16)
    return asked._batch(CAPTIONS, observed, torch.ones_like(observed, dtype=torch.bool), noise, SolverConfig(steps=3), None)


def model_that_predicts(setup, prediction):
    """A latent model of random weights in this parametrisation."""
    model = build(replace(setup.testbed.recipe.network, prediction=prediction), seeds.torch_rng(0, prediction)).frozen()
    model.space = setup.model.space
    return SimpleNamespace(model=model, blind=setup.blind)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_what_a_latent_network_puts_out_is_eps_or_v_whose_difference_is_that_of_eps_by_alpha(setup, prediction):
    asked = service(model_that_predicts(setup, prediction))
    batch = _batch(asked)
    raw, eps = (vector(batch, batch.noise, batch.times[0]) for vector in (raw_guidance_vector, guidance_vector))
    alpha = float(asked.model.schedule.alpha(batch.times[0])) if prediction == "v_prediction" else 1.0
    assert torch.allclose(eps, alpha * raw, atol=1e-5)
    assert norms(raw).min() > 1e-3


@pytest.mark.parametrize("expression", ["initial-noise-batch", "sail-code(target=0,iterations=2)",
                                        "anisotropy-embedding(above=-9,iterations=2)"])  # fmt: skip
def test_methods_that_follow_a_network_s_own_output_act_on_latents_of_one_that_predicts_v(setup, expression):
    images, told = generate(model_that_predicts(setup, "v_prediction"), plugins.compose(expression).parts[0].mitigation)
    assert told.get("acted_on", told.get("moved_share")) > 0
    assert bool(images.isfinite().all())


def test_noise_is_on_the_null_prompt_s_tokens(setup):
    asked = service(setup, NoisyEmbeddings(0.5))
    batch = _batch(asked)
    found = asked._hooks.sampler(_base(asked)).prepare(batch)
    moved = (found.unconditional - batch.unconditional).flatten(1).std(dim=1)
    assert moved.tolist() == pytest.approx([0.5 * batch.embeddings.std().item()] * 2, rel=0.3)


@pytest.mark.parametrize(
    ("weak", "strong", "name"),
    [
        (AttentionRescaling(1.0, kept=99), AttentionRescaling(3.0, kept=0), "attention_moved"),
        (Guard(1.0), Guard(0.0), "attention_moved"),
        (MaskedPadding(0.0), MaskedPadding(1.0), "embedding_change"),
        (AnnealedCondition(1.0, 1.0, 1.0), AnnealedCondition(1.0, 0.0, 0.9), "embedding_change"),
        (NeuronsAQuery(100.0), NeuronsAQuery(-100.0), "acted_on"),
        (NeuronsAQuery(100.0), NeuronsAQuery(-100.0), "neurons_a_caption"),
    ],
)
def test_the_dose_on_clip_s_tokens_is_told_and_that_of_a_neutral_setting_is_nothing(setup, weak, strong, name):
    doses = [generate(setup, own)[1][name] for own in (weak, strong)]
    assert doses[0] == pytest.approx(0, abs=1e-6)
    assert doses[1] > 0.01


@pytest.mark.parametrize("count", [1, 2])
def test_a_region_is_that_of_enough_normal_runs_however_few_are_asked_about(setup, count):
    """Of one normal run the standard deviation is 0, so that each query would get the norm of that run."""
    _, told = generate(setup, NormClamp(1e6), captions=CAPTIONS[:count])
    _, narrow = generate(setup, NormClamp(3.0), captions=CAPTIONS[:count])
    assert (told["acted_on"], narrow["acted_on"] < 0.5) == (0, True)


@pytest.mark.parametrize(("count", "runs"), [(1, 16), (2, 8)])
def test_the_local_norm_of_normal_captions_is_one_of_several(setup, count, runs):
    """A run has three steps of two branches; a query that stays has one evaluation more, and one for the null condition."""
    before = setup.model.evaluations.copy()
    generate(setup, BrightEnding(1e9), captions=CAPTIONS[:count])
    each = 6 * (runs + 2) + 2 * runs + 2  # normal runs, the query's own for its map and its answer, and norms at x_T
    assert setup.model.evaluations.since(before).forward == each * count


def test_a_clamp_tells_the_norm_of_the_update_before_and_after(setup):
    _, wide = generate(setup, NormClamp(1e6))
    _, narrow = generate(setup, NormClamp(0.0))
    assert wide["before"] == pytest.approx(wide["after"], rel=1e-5)
    assert narrow["before"] != pytest.approx(narrow["after"], rel=1e-5)


@pytest.mark.parametrize("own", [SampleInitialNoise(0.0, 2), BrightEnding(0.0, 2), LocalDimension(1e6, 2)])
def test_a_search_of_latents_in_chunks_finds_what_the_whole_finds(setup, monkeypatch, own):
    held, predict = [], setup.model.predict
    whole, _ = generate(setup, own)
    monkeypatch.setattr(_chunks, "NUMBERS", setup.model.shape[0] * 16)  # a latent at a time
    watched = lambda x, *rest, **named: held.append(len(x) * torch.is_grad_enabled()) or predict(x, *rest, **named)  # noqa: E731
    monkeypatch.setattr(setup.model, "predict", watched)
    parts, told = generate(setup, own)
    assert torch.allclose(parts, whole, atol=1e-4)
    assert told["acted_on"] == max(held) == 1


def test_the_released_push_away_from_images_needs_no_gradient_of_the_network(setup):
    before = setup.model.evaluations.copy()
    _, told = generate(setup, AntiMemorization(first=-9.0, last=-9.0))
    assert setup.model.evaluations.since(before).backward == 0
    assert told["acted_on"] == 1


@pytest.mark.parametrize("kind", [RandomNumbers, RandomTokens, RepeatedWords])
def test_words_for_which_a_short_encoder_has_no_room_are_left_out_and_the_dose_says_so(setup, kind):
    """The miniature takes 14 tokens: of 20 more words some fit, and none pushes a caption's own off the end."""
    own, given, seen = ["zero", "w1", "w2"], [" ".join(["zero", "w1", "w2"])] * 8, []
    _, told = generate(setup, kind(20), Watching(seen.extend), captions=given)
    read = [setup.model.text.tokenizer.decode(tokens).split() for tokens in setup.model.text.tokens(seen)]
    assert all(in_order(own, words) and "<eos>" in words for words in read)
    assert 0 < told["words_added"] == sum(len(c.split()) - 3 for c in seen) / 8 < 20
    assert told["captions_cut"] == 0


@pytest.mark.parametrize("kind", [TrainingRandomNumbers, TrainingRandomTokens, TrainingRepeatedWords])
def test_nor_does_training_push_them_off(setup, kind):
    hooks = Hooks(composed(kind(20, 1.0)), 0, "training")
    changed = hooks.caption(["zero w1 w2"] * 8, setup.model.fits)
    lengths = [len(setup.model.text.tokenizer(c, truncation=False).input_ids) for c in changed]
    assert max(lengths) == setup.model.config.context
    assert hooks.reported[kind.__name__]["words_added"] < 12


def test_who_pushes_words_off_without_looking_is_told_on(setup):
    """Fourteen words are all that the encoder takes: the first caption loses its end, the other one has room."""
    _, told = generate(setup, Longer(), captions=[" ".join(["zero", *(f"w{n}" for n in range(13))]), "one"])
    assert told["captions_cut"] == 0.5


@pytest.mark.parametrize(("mitigation", "least"), [(RandomTokens(4), 4), (RandomNumbers(4), 8)])
def test_words_are_added_in_tokens(setup, mitigation, least):
    """Four nouns are four tokens; a number below 10^5 is two or three pairs of digits."""
    changed = mitigation.caption(Captions(["one w3"]), torch.Generator().manual_seed(0))
    count = [len(setup.model.text.tokenizer(c, truncation=False).input_ids) for c in ("one w3", changed[0])]
    assert least <= count[1] - count[0] <= 3 * 4
