"""Methods that move the initial noise, the embedding or the anchor of a query, against closed forms."""

from types import SimpleNamespace

import pytest
import torch
import worlds
from solidmark.mitigations._embedding_search import searched
from solidmark.mitigations._guidance_vector import guidance_vector, norms, quieter, stepped
from worlds import memorizer, sampled

from solidmark import plugins
from solidmark.errors import NotApplicable
from solidmark.mitigation import Handover
from solidmark.models import Query, Schedule
from solidmark.sampling import Protocol, Service, noises

CAPTIONS = ["one w1", "", "zero w3 w4"]
SLOPE, LENGTH = 0.3, 12.0  # of the linear model's guidance vector; sqrt of the 144 numbers of x


class Linear:
    """eps(x, caption) = x + 0.3 x where there is a caption, so that its guidance vector is 0.3 x."""

    schedule = Schedule("linear", 50)
    embed = worlds.model().embed

    def predict(self, x, t, embeddings):
        told = embeddings.flatten(1).abs().sum(dim=1) > 0
        return SimpleNamespace(noise=x * (1 + SLOPE * told[:, None, None, None]))


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def asked(model, captions=CAPTIONS, free=None):
    """A query as a link sees it, its known pixels black."""
    noise = torch.randn(len(captions), 1, 12, 12, generator=torch.Generator().manual_seed(3))
    free = torch.ones(len(captions), 1, 12, 12, dtype=torch.bool) if free is None else free
    refused, null = torch.zeros(len(captions), dtype=torch.bool), model.embed([""] * len(captions))
    embeddings, times = model.embed(captions), [37, 25, 12, 0]
    return Query(captions, embeddings, null, noise, free, refused, times, 3.0, 1.0, model, -torch.ones_like(noise))


def border():
    free = torch.ones(len(CAPTIONS), 1, 12, 12, dtype=torch.bool)
    free[..., 2:10, 2:10] = False
    return free


def prepared(mitigation, query, **data):
    """The query that the mitigation's link makes of it."""
    handed = SimpleNamespace(**data)
    inner = SimpleNamespace(handover=Handover("own", torch.Generator().manual_seed(0), handed), model=query.model)
    inner.prepare = lambda given: given
    return mitigation.sampler(inner).prepare(query)


def test_the_guidance_vector_is_the_difference_of_both_branches_and_zero_without_a_caption():
    query = asked(Linear())
    expected = SLOPE * query.noise * query.conditional[:, None, None, None]
    assert torch.allclose(guidance_vector(query, query.noise, 37), expected, atol=1e-6)


def test_a_step_has_the_same_length_a_number_in_any_dimension():
    for side in (4, 12):
        x, direction = torch.randn(2, 2, 1, side, side).unbind()
        moved = stepped(x, direction, 0.5) - x
        assert torch.allclose(moved.square().mean(dim=(1, 2, 3)).sqrt(), torch.full((2,), 0.5), atol=1e-5)
    assert torch.equal(stepped(x, torch.zeros_like(x), 0.5), x)


def quieted(query, target=0.5, iterations=60):
    return quieter(query, norms, lambda moved: torch.optim.Adam(moved, lr=0.05), target, iterations)


def test_a_noise_search_ends_below_its_target_and_leaves_queries_without_a_caption():
    query = asked(Linear())
    found = quieted(query).noise
    share = norms(found) / norms(query.noise)
    assert (share[[0, 2]] < 0.53).all()
    assert (share[[0, 2]] > 0.4).all()  # it stops there
    assert torch.equal(found[1], query.noise[1])


def test_a_noise_search_moves_free_pixels_alone():
    query = asked(Linear(), free=border())
    apart = quieted(query, iterations=5).noise != query.noise
    assert apart[0][query.free[0]].all()
    assert not apart[~query.free].any()


def test_a_target_that_is_met_moves_nothing():
    query = asked(Linear())
    assert torch.equal(quieted(query, target=1.0).noise, query.noise)


def test_the_sharpness_of_the_paper_is_the_squared_change_of_the_score():
    """‖s(x + δ s) - s(x)‖² of s = -0.3 x / sigma, with a step of length reach sqrt(144): the same everywhere."""
    query = asked(Linear())
    found = make("sail", reach=0.1)._sharpness(query, query.noise)
    expected = (SLOPE * 0.1 * LENGTH / Linear.schedule.sigma(37).item()) ** 2
    assert found[[0, 2]].tolist() == pytest.approx([expected] * 2, rel=1e-3)
    assert found[1] == 0


def test_the_sharpness_of_the_released_code_is_a_norm_one_step_aside():
    query = asked(Linear())
    found = make("sail-code", reach=0.1)._sharpness(query, query.noise)
    expected = SLOPE * (norms(query.noise) + 0.1 * LENGTH)
    assert torch.allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-4)


@pytest.mark.parametrize(("name", "branches"), [("sail", 4), ("sail-code", 4), ("initial-noise-sample", 2)])
def test_optimised_noise_counts_its_gradients(name, branches):
    model = worlds.model()
    prepared(make(name, target=0.0, iterations=3), asked(model, ["one w1", "zero w2"]))
    assert (model.evaluations.forward, model.evaluations.backward) == (2 * 3 * branches, 2 * 3 * branches)


def test_a_sample_s_noise_is_moved_until_its_guidance_vector_is_short():
    query = asked(worlds.model(), ["one w1", "zero w2"])
    found = prepared(make("initial-noise-sample", target=0.9, learning_rate=0.05), query).noise
    before, after = (norms(guidance_vector(query, x, 37)) for x in (query.noise, found))
    assert (after < 0.92 * before).all()
    assert (after > 0.8 * before).all()  # it stops there


def test_sail_finds_a_smoother_place():
    query, mitigation = asked(worlds.model(), ["one w1", "zero w2"]), make("sail", target=0.5, iterations=40, prior=0.0)
    found = prepared(mitigation, query)
    assert (mitigation._sharpness(query, found.noise) < 0.8 * mitigation._sharpness(query, query.noise)).all()


def test_a_strong_prior_shortens_the_noise():
    query = asked(worlds.model(), ["one w1", "zero w2"])
    short = prepared(make("sail", target=0.0, iterations=10, prior=1e6), query).noise
    assert (norms(short) < 0.8 * norms(query.noise)).all()


def test_batch_adjustment_takes_the_stated_step():
    """x - γ (0.3 (x + δ) - 0.3 x) = x - 0.3 γ δ, with δ along x and of length ρ."""
    query = asked(Linear())
    found = prepared(make("initial-noise-batch", rounds=1, gamma=0.5, reach=0.1), query).noise
    expected = query.noise[0] * (1 - 0.5 * SLOPE * 0.1 * LENGTH / norms(query.noise)[0])
    assert torch.allclose(found[0], expected, atol=1e-5)
    assert torch.equal(found[1], query.noise[1])


def test_batch_adjustment_does_not_depend_on_who_is_asked_beside():
    mitigation, model = make("initial-noise-batch"), worlds.model()
    together, alone = asked(model, ["one w1", "zero w2"]), asked(model, ["one w1"])
    assert torch.allclose(prepared(mitigation, together).noise[:1], prepared(mitigation, alone).noise, atol=1e-5)


def test_batch_adjustment_guides_after_its_share_of_the_steps():
    mitigation = make("initial-noise-batch", share=0.1)
    assert [mitigation.guidance(3.0, progress) for progress in (0.0, 0.09, 0.1, 0.9)] == [0, 0, 3, 3]


def test_an_embedding_search_keeps_the_start_token_and_queries_without_a_caption():
    query = asked(worlds.model())
    found = searched(query, lambda e: e.flatten(1).norm(dim=1), lambda first: 0.5 * first, 0.05, 100)
    assert torch.equal(found[:, 0], query.embeddings[:, 0])
    assert torch.equal(found[1], query.embeddings[1])
    assert (norms(found[:, 1:])[[0, 2]] < norms(query.embeddings[:, 1:])[[0, 2]]).all()


def test_an_embedding_search_works_on_labels():
    query = SimpleNamespace(embeddings=torch.ones(2, 4), conditional=torch.tensor([True, False]))
    found = searched(query, lambda e: e.norm(dim=1), lambda first: 0 * first, 0.05, 5)
    assert (found[0] < 1).all()
    assert torch.equal(found[1], torch.ones(4))


def test_the_measure_of_anisotropy_falls_by_what_was_asked():
    query = asked(worlds.model(), ["one w1", "zero w2"])
    found = prepared(make("anisotropy-embedding", fall=0.5, iterations=60, alignment=0.0), query)
    size = norms(guidance_vector(found, query.noise, 37)) / norms(guidance_vector(query, query.noise, 37))
    assert (size < 0.55).all()
    assert (size > 0.3).all()


def test_alignment_turns_the_guidance_vector_from_the_unconditional_prediction():
    query = asked(worlds.model(), ["one w1", "zero w2"])
    found = prepared(make("anisotropy-embedding", fall=10.0, iterations=20, size=0.0), query)
    null = query.model.predict(query.noise, 2, query.unconditional).noise.flatten(1)
    before, after = (torch.cosine_similarity(null, guidance_vector(q, query.noise, 2).flatten(1)) for q in (query, found))
    assert (after < before - 0.05).all()


CALIBRATION = worlds.examples(40)


def test_every_caption_is_anchored_where_all_count_as_memorized():
    query = asked(worlds.model())
    found = prepared(make("prss", share=1.0, candidates=3), query, calibration=CALIBRATION)
    assert torch.equal(found.unconditional[[0, 2]], query.embeddings[[0, 2]])
    assert torch.equal(found.unconditional[1], query.unconditional[1])
    assert torch.allclose(found.embeddings, query.model.embed(found.captions), atol=1e-6)


def test_a_paraphrase_keeps_the_first_word_and_the_length_and_no_other_word():
    query = asked(worlds.model())
    found = prepared(make("prss", share=1.0), query, calibration=CALIBRATION).captions
    assert found[1] == ""
    for own, other in zip(query.captions, found, strict=True):
        assert [word in own.split() for word in other.split()] == [place == 0 for place in range(len(own.split()))]


def test_no_caption_is_anchored_where_none_counts_as_memorized():
    query = asked(Linear())
    query.noise[:] = 0.01  # the guidance vector of normal queries, 0.3 of their noise, is far longer
    assert prepared(make("prss", share=0.0), query, calibration=CALIBRATION) is query


def test_more_candidates_find_a_paraphrase_that_is_remembered_less():
    query = asked(worlds.model(), ["one w1 w2", "zero w3 w4"] * 8)

    def size(candidates):
        found = prepared(make("prss", share=1.0, candidates=candidates), query, calibration=CALIBRATION)
        apart = query.model.predict(query.noise, 37, found.embeddings).noise
        return norms(apart - query.model.predict(query.noise, 37, query.unconditional).noise).mean()

    assert size(20) < size(1)


def test_labels_cannot_be_paraphrased():
    query = SimpleNamespace(embeddings=torch.ones(2, 4), model=None)
    with pytest.raises(NotApplicable, match="without words"):
        prepared(make("prss"), query, calibration=CALIBRATION)


def test_an_anchored_memorizer_no_longer_generates_what_it_memorized():
    laid = worlds.board()
    data, model = dict(laid.handed_out()), memorizer(laid)
    protocol, count = Protocol(steps=10, guidance=1.0), len(laid.trained)
    plain = sampled(model, captions=laid.trained.captions, protocol=protocol)
    noise, free = noises(range(count), model.shape, protocol.draws, 0, "test"), torch.ones(count, 1, 12, 12) > 0
    service = Service(model, worlds.composed(make("prss", share=1.0)), 0, data=data)
    anchored = service.sample(laid.trained.captions, torch.zeros(count, 1, 12, 12), free, noise, protocol)
    truth = laid.marked_trained.images
    assert (plain - truth).abs().mean() < 0.01 < 0.1 < (anchored - truth).abs().mean()
