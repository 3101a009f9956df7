"""Methods that move the initial noise, the embedding or the anchor of a batch, against closed forms."""

from types import SimpleNamespace

import pytest
import torch
import worlds
from solidmark.mitigations import _chunks
from solidmark.mitigations._embedding_search import optimize_embedding
from solidmark.mitigations._guidance_vector import guidance_vector, move_along, norms, optimize_noise
from solidmark.mitigations._paraphrases import nearest_captions
from solidmark.mitigations.anisotropy_embedding import cosine
from worlds import generate, memorizer

from solidmark import plugins
from solidmark.errors import NotApplicable
from solidmark.mitigation import WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.models import SamplingBatch, Schedule, ScheduleConfig
from solidmark.sampling import Service, SolverConfig, noises

CAPTIONS = ["one w1", "", "zero w3 w4"]
SLOPE, LENGTH = 0.3, 12.0  # of the linear model's guidance vector; sqrt of the 144 numbers of x


class Linear:
    """eps(x, caption) = x + 0.3 x where there is a caption, so that its guidance vector is 0.3 x.

    What the network itself puts out is eps, or twice that where it predicts v.
    """

    schedule = Schedule(ScheduleConfig("linear", 50))
    embed = worlds.model().embed

    def __init__(self, prediction="epsilon"):
        self.config = SimpleNamespace(prediction=prediction)

    def predict(self, x, t, embeddings):
        captioned = embeddings.flatten(1).abs().sum(dim=1) > 0
        noise = x * (1 + SLOPE * captioned[:, None, None, None])
        return SimpleNamespace(noise=noise, output=noise if self.config.prediction == "epsilon" else 2 * noise)


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


CALIBRATION = worlds.examples(40)


def wrapped(mitigation, model):
    """The mitigation's wrapper, and the data that it was handed."""
    handed = Data(mitigation.needs, "own", sampled=True, calibration=CALIBRATION)
    inner = SimpleNamespace(context=WrapperContext("own", torch.Generator().manual_seed(0), handed), model=model)
    inner.prepare = lambda given: given
    return mitigation.sampler(inner), handed


def prepare(mitigation, batch):
    """The batch that the mitigation's wrapper makes of it."""
    return wrapped(mitigation, batch.model)[0].prepare(batch)


def doses(mitigation, batch):
    """What it says that it did to it."""
    wrapper, handed = wrapped(mitigation, batch.model)
    wrapper.prepare(batch)
    return handed.doses


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
    return optimize_noise(batch, norms, lambda noises: torch.optim.Adam(noises, lr=0.05), target * LENGTH, iterations)


def test_a_noise_search_ends_below_its_target_and_leaves_queries_without_a_caption():
    batch = batch_of(Linear())
    found = search(batch)
    length = norms(found.found) / LENGTH
    assert (length[[0, 2]] < 0.53).all()
    assert (length[[0, 2]] > 0.4).all()  # it stops there
    assert torch.equal(found.found[1], batch.noise[1])
    assert found.moved.tolist() == [True, False, True]
    assert torch.allclose(found.first, norms(batch.noise))
    assert (found.last[[0, 2]] <= 0.5 * LENGTH).all()


def test_a_noise_search_moves_masked_pixels_alone():
    batch = batch_of(Linear(), mask=border())
    apart = search(batch, iterations=5).found != batch.noise
    assert apart[0][batch.mask[0]].all()
    assert not apart[~batch.mask].any()


def test_a_target_that_is_met_moves_nothing():
    batch = batch_of(Linear())
    found = search(batch, target=2.0)
    assert torch.equal(found.found, batch.noise)
    assert not found.moved.any()


def test_the_sharpness_of_the_paper_is_the_squared_change_of_the_score():
    """‖s(x + δ s) - s(x)‖² of s = -0.3 x / sigma, with a step of length reach sqrt(144): the same everywhere."""
    batch = batch_of(Linear())
    sharpness = make("sail", reach=0.1)._sharpness(batch, batch.noise, batch.noise)
    expected = (SLOPE * 0.1 * LENGTH / Linear.schedule.sigma(37).item()) ** 2
    assert sharpness[[0, 2]].tolist() == pytest.approx([expected] * 2, rel=1e-3)
    assert sharpness[1] == 0


@pytest.mark.parametrize(("prediction", "way"), [("epsilon", 1), ("v_prediction", -1)])
def test_the_released_sharpness_is_a_norm_one_step_aside_along_the_first_direction(prediction, way):
    """0.3 ‖x + d‖, where d is along the first x_T; along scores, and of scores, where the network predicts v."""
    batch, begin = batch_of(Linear(prediction)), torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(9))
    sharpness = make("sail-code", reach=0.1)._sharpness(batch, batch.noise, begin)
    aside = batch.noise + way * 0.1 * LENGTH * begin / norms(begin)[:, None, None, None]
    expected = SLOPE * norms(aside) / (1 if way == 1 else Linear.schedule.sigma(37).item())
    assert torch.allclose(sharpness[[0, 2]], expected[[0, 2]], rtol=1e-4)


def test_the_direction_of_the_released_sharpness_stays_and_its_gradient_flows():
    batch, begin = batch_of(worlds.model(), ["one w1", "zero w2"]), torch.randn(2, 1, 12, 12)
    x = batch.noise.clone().requires_grad_()
    own = make("sail-code", reach=0.5)
    flowing = torch.autograd.grad(own._sharpness(batch, x, begin).sum(), x)[0]
    fixed = move_along(x, -guidance_vector(batch, begin, 37).detach(), 0.5)  # it predicts v
    aside = norms(guidance_vector(batch, fixed, 37)) / batch.model.schedule.sigma(37).item()
    stopped = torch.autograd.grad(aside.sum(), x, retain_graph=True)[0]
    assert torch.allclose(own._sharpness(batch, x, begin), aside, rtol=1e-4)
    assert not torch.allclose(flowing, stopped, rtol=1e-2)


@pytest.mark.parametrize(("name", "branches"), [("sail", 4), ("sail-code", 4), ("initial-noise-sample", 2)])
def test_optimised_noise_counts_its_gradients(name, branches):
    """Three iterations on two queries; 64 normal ones for the level, forward alone."""
    model = worlds.model()
    prepare(make(name, target=0.0, iterations=3), batch_of(model, ["one w1", "zero w2"]))
    searched = 2 * 3 * branches
    assert (model.evaluations.forward, model.evaluations.backward) == (searched + 64 * branches, searched)


@pytest.mark.parametrize(
    ("name", "size", "acted"),
    [("wen-embedding", 0.5, 0.0), ("initial-noise-sample", 0.5, 0.0), ("initial-noise-sample", 4.0, 1.0)],
)
def test_a_dose_in_multiples_of_normal_acts_on_what_is_above_it(name, size, acted):
    """The guidance vector of a normal query is 0.3 of its noise, whose norm is 12 or so: queries of other sizes."""
    batch = batch_of(Linear())
    batch.noise.mul_(size)
    told = doses(make(name, target=2.0, iterations=1), batch)
    assert told["acted_on"] == acted
    assert told["before"] == pytest.approx(size, rel=0.05)
    assert told["normal_level"] == pytest.approx(SLOPE * LENGTH, rel=0.02)


@pytest.mark.parametrize("name", ["sail", "sail-code", "anisotropy-embedding"])
def test_a_search_by_a_sum_tells_what_normal_captions_have_of_its_measure(name):
    level = doses(make(name, iterations=1), batch_of(Linear()))["normal_level"]
    squared = (SLOPE * LENGTH / 128 / Linear.schedule.sigma(37).item()) ** 2
    measured = {"sail": squared, "sail-code": SLOPE * LENGTH, "anisotropy-embedding": 0.6 + 2}  # Δ is along eps_u
    assert level == pytest.approx(measured[name], rel=0.05)


def test_a_search_that_asks_no_normal_captions_tells_of_none():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    assert "normal_level" not in doses(make("flipd-embedding", iterations=1), batch)


def test_a_sample_s_noise_is_moved_until_its_guidance_vector_is_short():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    level = doses(make("initial-noise-sample"), batch)["normal_level"]
    noise = prepare(make("initial-noise-sample", target=0.7, learning_rate=0.05), batch).noise
    after = norms(guidance_vector(batch, noise, 37)) / level
    assert (after < 0.72).all()
    assert (after > 0.6).all()  # it stops there


def test_sail_finds_a_smoother_place():
    batch, own = batch_of(worlds.model(), ["one w1", "zero w2"]), make("sail", target=0.5, iterations=40, prior=0.0)
    moved = prepare(own, batch)
    before, after = (own._sharpness(batch, x, x) for x in (batch.noise, moved.noise))
    assert (after < 0.8 * before).all()


def test_a_strong_prior_shortens_the_noise():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    short = prepare(make("sail", target=0.0, iterations=3, prior=1e6), batch).noise
    assert (norms(short) < 0.97 * norms(batch.noise)).all()  # the loss, which is all prior, has begun to fall


@pytest.mark.parametrize(("prediction", "raw"), [("epsilon", 1.0), ("v_prediction", 2.0)])
def test_batch_adjustment_takes_the_stated_step_by_what_the_network_puts_out(prediction, raw):
    """x - γ (0.3 (x + δ) - 0.3 x) = x - 0.3 γ δ, with δ along x and of length ρ; twice that where v is 2 eps."""
    batch = batch_of(Linear(prediction))
    noise = prepare(make("initial-noise-batch", rounds=1, gamma=0.5, reach=0.1), batch).noise
    expected = batch.noise[0] * (1 - raw * 0.5 * SLOPE * 0.1 * LENGTH / norms(batch.noise)[0])
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
    goal = 0.5 * norms(batch.embeddings).max()
    embeddings = optimize_embedding(batch, lambda e: e.flatten(1).norm(dim=1), goal, 0.05, 100).found
    assert torch.equal(embeddings[:, 0], batch.embeddings[:, 0])
    assert torch.equal(embeddings[1], batch.embeddings[1])
    assert (norms(embeddings[:, 1:])[[0, 2]] < norms(batch.embeddings[:, 1:])[[0, 2]]).all()


def test_an_embedding_search_works_on_labels():
    batch = SimpleNamespace(embeddings=torch.ones(2, 4), conditional=torch.tensor([True, False]))
    search = optimize_embedding(batch, lambda e: e.norm(dim=1), 0.0, 0.05, 5)
    assert (search.found[0] < 1).all()
    assert torch.equal(search.found[1], torch.ones(4))
    assert search.moved.tolist() == [True, False]
    assert (search.first[0], search.last[1]) == (2.0, 2.0)


def test_chunks_find_what_the_whole_finds(monkeypatch):
    batch, own = batch_of(worlds.model()), make("wen-embedding", target=0.1, iterations=2)
    whole = prepare(own, batch)
    monkeypatch.setattr(_chunks, "NUMBERS", 150)  # one query at a time
    parts = prepare(own, batch)
    assert torch.allclose(parts.embeddings, whole.embeddings, atol=1e-5)
    assert torch.equal(parts.noise, whole.noise)
    assert not torch.allclose(parts.embeddings, batch.embeddings, atol=1e-3)


def test_the_measure_of_anisotropy_falls_to_that_of_normal_captions_plus_its_parameter():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    own = make("anisotropy-embedding", above=-0.3, iterations=60, alignment=0.0)
    level = doses(make("wen-embedding"), batch)["normal_level"]
    size = norms(guidance_vector(prepare(own, batch), batch.noise, 37)) / level
    assert (size < 0.55).all()  # 0.3 of 0.6
    assert (size > 0.3).all()


def test_alignment_turns_the_guidance_vector_from_the_unconditional_prediction():
    batch = batch_of(worlds.model(), ["one w1", "zero w2"])
    changed = prepare(make("anisotropy-embedding", above=-10.0, iterations=20, size=0.0), batch)
    null = batch.model.predict(batch.noise, 2, batch.unconditional).output
    both = (batch.model.predict(q.noise, 2, q.embeddings).output - null for q in (batch, changed))
    before, after = (cosine(null, delta) for delta in both)
    assert (after < before - 0.05).all()


def test_a_cosine_of_several_channels_is_taken_at_each_cell():
    one, other = torch.randn(2, 2, 4, 3, 3).unbind()
    pairs = zip(one[0].flatten(1).T, other[0].flatten(1).T, strict=True)
    cells = [torch.cosine_similarity(a, b, dim=0) for a, b in pairs]
    assert cosine(one, other)[0].item() == pytest.approx(torch.stack(cells).mean().item(), abs=1e-6)
    assert cosine(one[:, :1], -one[:, :1]).tolist() == pytest.approx([-1, -1])


def anchored(batch, **values):
    """The PRSS wrapper after its search, the batch that it made, and its doses."""
    wrapper, handed = wrapped(make("prss", **values), batch.model)
    return wrapper, wrapper.prepare(batch), handed.doses


def test_captions_above_the_threshold_get_a_paraphrase_and_the_others_stay():
    batch = batch_of(worlds.model())
    _, found, told = anchored(batch, search=0.0, candidates=3)
    assert found.captions[1] == ""
    assert not {found.captions[0], found.captions[2]} & set(batch.captions)
    assert torch.allclose(found.embeddings, batch.model.embed(found.captions), atol=1e-6)
    assert told["acted_on"] == 1
    _, kept, told = anchored(batch, search=1e6)
    assert (kept.captions, told["acted_on"]) == (batch.captions, 0)


def test_a_paraphrase_is_the_nearest_caption_of_the_calibration_set_or_of_a_file(tmp_path):
    captions, others = ["one w1", "zero w3 w4"], [*CALIBRATION.captions, "zero w3"]
    for own, near in zip(captions, nearest_captions(captions, others, worlds.model()), strict=True):
        means = [worlds.model().embed([c])[0, 1 : 1 + len(c.split())].mean(dim=0) for c in (own, near[0], near[-1])]
        assert torch.cosine_similarity(means[0], means[1], dim=0) > torch.cosine_similarity(means[0], means[2], dim=0)
        assert own not in near
    file = tmp_path / "said.jsonl"
    file.write_text('{"caption": "one w1", "captions": ["one w9"]}')
    _, found, _ = anchored(batch_of(worlds.model()), search=0.0, file=str(file))
    assert found.captions == ["one w9", "", "zero w3 w4"]


def test_captions_that_the_file_does_not_have_stay(tmp_path):
    file = tmp_path / "said.jsonl"
    file.write_text('{"caption": "another", "captions": ["one w9"]}')
    batch = batch_of(worlds.model())
    _, found, told = anchored(batch, search=0.0, file=str(file))
    assert (found.captions, told["after"]) == (batch.captions, told["before"])


def test_more_candidates_find_a_paraphrase_that_is_memorized_less():
    batch = batch_of(worlds.model(), ["one w1 w2", "zero w3 w4"] * 8)
    few, many = (anchored(batch, search=1e-6, candidates=count)[2] for count in (1, 20))
    assert many["after"] < few["after"]


class ThreePoint(Linear):
    """eps = 1 under the null condition, 3 under the caption and 2 under any paraphrase, so that ‖Δ‖ of that is 12."""

    def predict(self, x, t, embeddings):
        return SimpleNamespace(noise=torch.full_like(x, 1.0) * embeddings.flatten(1)[:, :1, None, None])


@pytest.mark.parametrize(
    ("gate", "ramp", "noise"),
    [
        (13.0, 0.0, 1 + 5 * 1.0),  # closed: plain guidance by the paraphrase
        (0.0, 0.0, 3 + 5 * (2 - 3)),  # the equation of the paper
        (11.0, 2.0, 3 + 3 * (2 - 3) + 2 * (2 - 1)),  # half of the ramp: s = 3 of 5
    ],
)
def test_an_open_gate_anchors_at_the_caption_and_the_ramp_is_linear(gate, ramp, noise):
    wrapper, _ = wrapped(make("prss", gate=gate, ramp=ramp), ThreePoint())
    wrapper.inner.scale = lambda *_: 5.0
    x, rows = torch.zeros(2, 1, 12, 12), [torch.full((2, 3, 4), value) for value in (1.0, 2.0, 3.0)]
    batch = SimpleNamespace(unconditional=rows[0], embeddings=rows[1])
    wrapper.memorized, wrapper.original, wrapper.levels = torch.tensor([True, False]), rows[2], {37: torch.tensor(1.0)}
    found = wrapper.predict(x, 37, batch)[:, 0, 0, 0].tolist()
    assert found == pytest.approx([noise, 6.0])


def test_labels_cannot_be_paraphrased():
    batch = SimpleNamespace(embeddings=torch.ones(2, 4), model=None)
    with pytest.raises(NotApplicable, match="without words"):
        prepare(make("prss"), batch)


def test_an_anchored_memorizer_no_longer_generates_what_it_memorized():
    laid = worlds.split()
    data, model = dict(laid.handed_out()), memorizer(laid)
    solver, count = SolverConfig(steps=10, guidance=1.0), len(laid.trained)
    plain = generate(model, captions=laid.trained.captions, solver=solver)
    noise, mask = noises(range(count), model.shape, solver.draws, 0, "test"), torch.ones(count, 1, 12, 12) > 0
    service = Service(model, worlds.composed(make("prss", search=0.0, gate=0.0, ramp=0.0)), 0, data=data)
    anchored = service.sample(laid.trained.captions, torch.zeros(count, 1, 12, 12), mask, noise, solver)
    truth = laid.marked_trained.images
    assert (plain - truth).abs().mean() < 0.01 < 0.1 < (anchored - truth).abs().mean()
