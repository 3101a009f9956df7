"""Methods that move the initial noise, the embedding or the anchor of a batch, against closed forms."""

from types import SimpleNamespace

import pytest
import torch
import worlds
from solidmark.mitigations._embedding_search import optimize_embedding
from solidmark.mitigations._guidance_vector import guidance_vector, move_along, norms, optimize_noise
from worlds import generate, memorizer

from solidmark import plugins
from solidmark.errors import NotApplicable
from solidmark.mitigation import WrapperContext
from solidmark.models import SamplingBatch, Schedule, ScheduleConfig
from solidmark.sampling import Service, SolverConfig, noises

CAPTIONS = ["one w1", "", "zero w3 w4"]
SLOPE, LENGTH = 0.3, 12.0  # of the linear model's guidance vector; sqrt of the 144 numbers of x


class Linear:
    """eps(x, caption) = x + 0.3 x where there is a caption, so that its guidance vector is 0.3 x."""

    schedule = Schedule(ScheduleConfig("linear", 50))
    embed = worlds.model().embed

    def predict(self, x, t, embeddings):
        captioned = embeddings.flatten(1).abs().sum(dim=1) > 0
        return SimpleNamespace(noise=x * (1 + SLOPE * captioned[:, None, None, None]))


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def batch_of(model, captions=CAPTIONS, mask=None):
    """A batch as a wrapper sees it, its observed pixels black."""
    noise = torch.randn(len(captions), 1, 12, 12, generator=torch.Generator().manual_seed(3))
    mask = torch.ones(len(captions), 1, 12, 12, dtype=torch.bool) if mask is None else mask
    refused, null = torch.zeros(len(captions), dtype=torch.bool), model.embed([""] * len(captions))
    embeddings, times = model.embed(captions), [37, 25, 12, 0]
    return SamplingBatch(captions, embeddings, null, noise, mask, refused, times, 3.0, 1.0, model, -torch.ones_like(noise))


def border():
    mask = torch.ones(len(CAPTIONS), 1, 12, 12, dtype=torch.bool)
    mask[..., 2:10, 2:10] = False
    return mask


def prepare(mitigation, batch, **data):
    """The batch that the mitigation's wrapper makes of it."""
    handed = SimpleNamespace(**data)
    inner = SimpleNamespace(context=WrapperContext("own", torch.Generator().manual_seed(0), handed), model=batch.model)
    inner.prepare = lambda given: given
    return mitigation.sampler(inner).prepare(batch)


def test_the_guidance_vector_is_the_difference_of_both_branches_and_zero_without_a_caption():
    batch = batch_of(Linear())
    expected = SLOPE * batch.noise * batch.conditional[:, None, None, None]
    assert torch.allclose(guidance_vector(batch, batch.noise, 37), expected, atol=1e-6)


def test_a_step_has_the_same_length_a_number_in_any_dimension():
    for side in (4, 12):
        x, direction = torch.randn(2, 2, 1, side, side).unbind()
        moved = move_along(x, direction, 0.5) - x
        assert torch.allclose(moved.square().mean(dim=(1, 2, 3)).sqrt(), torch.full((2,), 0.5), atol=1e-5)
    assert torch.equal(move_along(x, torch.zeros_like(x), 0.5), x)


def search(batch, target=0.5, iterations=60):
    return optimize_noise(batch, norms, lambda noises: torch.optim.Adam(noises, lr=0.05), target, iterations)


def test_a_noise_search_ends_below_its_target_and_leaves_queries_without_a_caption():
    batch = batch_of(Linear())
    noise = search(batch).noise
    share = norms(noise) / norms(batch.noise)
    assert (share[[0, 2]] < 0.53).all()
    assert (share[[0, 2]] > 0.4).all()  # it stops there
    assert torch.equal(noise[1], batch.noise[1])


def test_a_noise_search_moves_masked_pixels_alone():
    batch = batch_of(Linear(), mask=border())
    apart = search(batch, iterations=5).noise != batch.noise
    assert apart[0][batch.mask[0]].all()
    assert not apart[~batch.mask].any()


def test_a_target_that_is_met_moves_nothing():
    batch = batch_of(Linear())
    assert torch.equal(search(batch, target=1.0).noise, batch.noise)


def test_the_sharpness_of_the_paper_is_the_squared_change_of_the_score():
    """‖s(x + δ s) - s(x)‖² of s = -0.3 x / sigma, with a step of length reach sqrt(144): the same everywhere."""
    batch = batch_of(Linear())
    sharpness = make("sail", reach=0.1)._sharpness(batch, batch.noise)
    expected = (SLOPE * 0.1 * LENGTH / Linear.schedule.sigma(37).item()) ** 2
    assert sharpness[[0, 2]].tolist() == pytest.approx([expected] * 2, rel=1e-3)
    assert sharpness[1] == 0


def test_the_sharpness_of_the_released_code_is_a_norm_one_step_aside():
    batch = batch_of(Linear())
    sharpness = make("sail-code", reach=0.1)._sharpness(batch, batch.noise)
    expected = SLOPE * (norms(batch.noise) + 0.1 * LENGTH)
    assert torch.allclose(sharpness[[0, 2]], expected[[0, 2]], rtol=1e-4)


@pytest.mark.parametrize(("name", "branches"), [("sail", 4), ("sail-code", 4), ("initial-noise-sample", 2)])
def test_optimised_noise_counts_its_gradients(name, branches):
    model = worlds.model()
    prepare(make(name, target=0.0, iterations=3), batch_of(model, ["one w1", "zero w2"]))
    assert (model.evaluations.forward, model.evaluations.backward) == (2 * 3 * branches, 2 * 3 * branches)


def test_a_sample_s_noise_is_moved_until_its_guidance_vector_is_short():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    noise = prepare(make("initial-noise-sample", target=0.9, learning_rate=0.05), batch).noise
    before, after = (norms(guidance_vector(batch, x, 37)) for x in (batch.noise, noise))
    assert (after < 0.92 * before).all()
    assert (after > 0.8 * before).all()  # it stops there


def test_sail_finds_a_smoother_place():
    batch, mitigation = batch_of(worlds.model(), ["one w1", "zero w2"]), make("sail", target=0.5, iterations=40, prior=0.0)
    moved = prepare(mitigation, batch)
    assert (mitigation._sharpness(batch, moved.noise) < 0.8 * mitigation._sharpness(batch, batch.noise)).all()


def test_a_strong_prior_shortens_the_noise():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    short = prepare(make("sail", target=0.0, iterations=10, prior=1e6), batch).noise
    assert (norms(short) < 0.8 * norms(batch.noise)).all()


def test_batch_adjustment_takes_the_stated_step():
    """x - γ (0.3 (x + δ) - 0.3 x) = x - 0.3 γ δ, with δ along x and of length ρ."""
    batch = batch_of(Linear())
    noise = prepare(make("initial-noise-batch", rounds=1, gamma=0.5, reach=0.1), batch).noise
    expected = batch.noise[0] * (1 - 0.5 * SLOPE * 0.1 * LENGTH / norms(batch.noise)[0])
    assert torch.allclose(noise[0], expected, atol=1e-5)
    assert torch.equal(noise[1], batch.noise[1])


def test_batch_adjustment_does_not_depend_on_the_other_queries():
    mitigation, model = make("initial-noise-batch"), worlds.model()
    together, alone = batch_of(model, ["one w1", "zero w2"]), batch_of(model, ["one w1"])
    assert torch.allclose(prepare(mitigation, together).noise[:1], prepare(mitigation, alone).noise, atol=1e-5)


def test_batch_adjustment_guides_after_its_share_of_the_steps():
    mitigation = make("initial-noise-batch", share=0.1)
    assert [mitigation.guidance(3.0, fraction) for fraction in (0.0, 0.09, 0.1, 0.9)] == [0, 0, 3, 3]


def test_an_embedding_search_keeps_the_start_token_and_queries_without_a_caption():
    batch = batch_of(worlds.model())
    embeddings = optimize_embedding(batch, lambda e: e.flatten(1).norm(dim=1), lambda first: 0.5 * first, 0.05, 100)
    assert torch.equal(embeddings[:, 0], batch.embeddings[:, 0])
    assert torch.equal(embeddings[1], batch.embeddings[1])
    assert (norms(embeddings[:, 1:])[[0, 2]] < norms(batch.embeddings[:, 1:])[[0, 2]]).all()


def test_an_embedding_search_works_on_labels():
    batch = SimpleNamespace(embeddings=torch.ones(2, 4), conditional=torch.tensor([True, False]))
    embeddings = optimize_embedding(batch, lambda e: e.norm(dim=1), lambda first: 0 * first, 0.05, 5)
    assert (embeddings[0] < 1).all()
    assert torch.equal(embeddings[1], torch.ones(4))


def test_the_measure_of_anisotropy_falls_by_its_parameter():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    changed = prepare(make("anisotropy-embedding", fall=0.5, iterations=60, alignment=0.0), batch)
    size = norms(guidance_vector(changed, batch.noise, 37)) / norms(guidance_vector(batch, batch.noise, 37))
    assert (size < 0.55).all()
    assert (size > 0.3).all()


def test_alignment_turns_the_guidance_vector_from_the_unconditional_prediction():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    changed = prepare(make("anisotropy-embedding", fall=10.0, iterations=20, size=0.0), batch)
    null = batch.model.predict(batch.noise, 2, batch.unconditional).noise.flatten(1)
    before, after = (torch.cosine_similarity(null, guidance_vector(q, batch.noise, 2).flatten(1)) for q in (batch, changed))
    assert (after < before - 0.05).all()


CALIBRATION = worlds.examples(40)


def test_every_caption_is_anchored_where_all_count_as_memorized():
    batch = batch_of(worlds.model())
    anchored = prepare(make("prss", share=1.0, candidates=3), batch, calibration=CALIBRATION)
    assert torch.equal(anchored.unconditional[[0, 2]], batch.embeddings[[0, 2]])
    assert torch.equal(anchored.unconditional[1], batch.unconditional[1])
    assert torch.allclose(anchored.embeddings, batch.model.embed(anchored.captions), atol=1e-6)


def test_a_paraphrase_keeps_the_first_word_and_the_length_and_no_other_word():
    batch = batch_of(worlds.model())
    paraphrases = prepare(make("prss", share=1.0), batch, calibration=CALIBRATION).captions
    assert paraphrases[1] == ""
    for own, new in zip(batch.captions, paraphrases, strict=True):
        assert [word in own.split() for word in new.split()] == [index == 0 for index in range(len(own.split()))]


def test_no_caption_is_anchored_where_none_counts_as_memorized():
    batch = batch_of(Linear())
    batch.noise[:] = 0.01  # the guidance vector of normal queries, 0.3 of their noise, is far longer
    assert prepare(make("prss", share=0.0), batch, calibration=CALIBRATION) is batch


def test_more_candidates_find_a_paraphrase_that_is_memorized_less():
    batch = batch_of(worlds.model(), ["one w1 w2", "zero w3 w4"] * 8)

    def size(candidates):
        anchored = prepare(make("prss", share=1.0, candidates=candidates), batch, calibration=CALIBRATION)
        apart = batch.model.predict(batch.noise, 37, anchored.embeddings).noise
        return norms(apart - batch.model.predict(batch.noise, 37, batch.unconditional).noise).mean()

    assert size(20) < size(1)


def test_labels_cannot_be_paraphrased():
    batch = SimpleNamespace(embeddings=torch.ones(2, 4), model=None)
    with pytest.raises(NotApplicable, match="without words"):
        prepare(make("prss"), batch, calibration=CALIBRATION)


def test_an_anchored_memorizer_no_longer_generates_what_it_memorized():
    laid = worlds.split()
    data, model = dict(laid.handed_out()), memorizer(laid)
    solver, count = SolverConfig(steps=10, guidance=1.0), len(laid.trained)
    plain = generate(model, captions=laid.trained.captions, solver=solver)
    noise, mask = noises(range(count), model.shape, solver.draws, 0, "test"), torch.ones(count, 1, 12, 12) > 0
    service = Service(model, worlds.composed(make("prss", share=1.0)), 0, data=data)
    anchored = service.sample(laid.trained.captions, torch.zeros(count, 1, 12, 12), mask, noise, solver)
    truth = laid.marked_trained.images
    assert (plain - truth).abs().mean() < 0.01 < 0.1 < (anchored - truth).abs().mean()
