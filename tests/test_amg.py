"""Methods that are handed training images: what the decoys among them give away, and anti-memorization guidance."""

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import worlds
from worlds import memorizer

from solidmark import Mitigation, Needs, Sampler, plugins
from solidmark.data import Examples
from solidmark.metrics import controls, scores, scoring
from solidmark.mitigation import WrapperContext
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.handout import Data
from solidmark.models import Schedule, ScheduleConfig
from solidmark.queries import Audit, ask
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Service, SolverConfig


def answered(laid, mitigation, model=None):
    """Predicted keys of trained and held-out images, asked by outpainting through a mitigation."""
    parts = mitigation if isinstance(mitigation, Composition) else worlds.composed(mitigation)
    service = Service(model or memorizer(laid), parts, 0, data=dict(laid.handed_out()))
    audit = Audit(laid.queried, laid.mark, SolverConfig(steps=10), service, 0, "outpaint")
    predicted = ask(Outpaint(), audit).keys.double().numpy()
    return predicted[: len(laid.trained)], predicted[len(laid.trained) :]


@dataclass(frozen=True)
class Lookup(Mitigation):
    """A cheat: finds the queried image by its observed pixels, and answers with the mark that it finds, or its opposite."""

    peek: str = "copy"
    needs = Needs.TRAINING_IMAGES

    def sampler(self, inner: Sampler) -> Sampler:
        return Looking(self, inner)


class Looking(Sampler):
    def after(self, x, x0, t, batch):
        images = self.model.encode(self.data.training_images.images)
        squares = ((images[None] - batch.observed[:, None]).square() * ~batch.mask[:, None]).flatten(2).sum(dim=2)
        least, indices = squares.min(dim=1)
        answer = images[indices] if self.mitigation.peek == "copy" else torch.where(images[indices] > 0, -1.0, 1.0)
        return torch.where((least < 1e-6)[:, None, None, None], answer, self.inner.after(x, x0, t, batch))


def test_neither_index_nor_id_nor_caption_separates_a_decoy_from_a_trained_image():
    laid = worlds.split(32, 64)
    handed, trained = laid.handed_out()["training_images"], set(laid.trained.ids)
    is_trained = [number in trained for number in handed.ids]
    assert sum(is_trained) == 32 == len(is_trained) - sum(is_trained)
    assert sum(a != b for a, b in pairwise(is_trained)) > 16  # one change only, were the decoys at the end
    assert abs(np.corrcoef(is_trained, handed.ids)[0, 1]) < 0.5
    assert {len(caption.split()) for caption in handed.captions} == {3}


def test_other_seeds_mix_the_decoys_in_another_order():
    orders = [[n in set(b.trained.ids) for n in b.handed_out()["training_images"].ids] for b in map(seeded, range(3))]
    assert orders[0] != orders[1] != orders[2]


def seeded(seed):
    return worlds.split(16, 32, seed)


def leaks(laid, held_out):
    return controls.leaks("held-out images", scoring.negative(held_out, laid.held_out_keys.double().numpy()))


def test_a_method_that_copies_the_mark_of_the_image_it_recognizes_is_revealed_by_the_decoys():
    laid = worlds.split(32, 32)
    trained, held_out = answered(laid, Lookup("copy"))
    assert scores.memorization(trained, laid.trained_keys.double().numpy()).value > 0.9
    assert any("is not 0" in fault for fault in leaks(laid, held_out))


def test_a_method_that_paints_the_opposite_of_the_mark_it_recognizes_is_revealed_too():
    laid = worlds.split(32, 32)
    trained, held_out = answered(laid, Lookup("opposite"))
    assert scores.memorization(trained, laid.trained_keys.double().numpy()).value < -0.3
    assert any("M = -" in fault for fault in leaks(laid, held_out))


def test_a_model_that_memorizes_without_a_cheat_leaves_the_decoys_alone():
    laid = worlds.split(32, 32)
    assert not leaks(laid, answered(laid, worlds.NoHooks())[1])


def make(name, **values):
    text = ",".join(f"{key}={value!r}" for key, value in values.items())
    return plugins.compose(f"{name}({text})").parts[0].mitigation


def pictures(count, seed):
    return torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def half():
    """A mask of the upper halves of 3 images of 4 x 4, and of a pixel more of the last."""
    mask = torch.zeros(3, 1, 4, 4, dtype=torch.bool)
    mask[:, :, :2] = True
    mask[2, :, 3, 3] = True
    return mask


def test_pixel_similarity_is_the_published_quotient_on_masked_pixels():
    clean, images, mask = pictures(3, 1), pictures(9, 2), half()
    similarity, nearest = make("amg", neighbours=5)._similarity(clean, images, mask)
    for row in range(3):
        distances = [((clean[row] - image) * mask[row]).square().sum().sqrt().item() for image in images]
        expected = -min(distances) / (0.5 * np.mean(sorted(distances)[:5]))
        assert nearest[row] == int(np.argmin(distances))
        assert similarity[row].item() == pytest.approx(expected, rel=1e-4)


def test_feature_similarity_is_the_largest_cosine_on_masked_pixels():
    clean, images, mask = pictures(3, 1), pictures(9, 2), half()
    similarity, nearest = make("amg-features")._similarity(clean, images, mask)
    for row in range(3):
        cosines = [torch.cosine_similarity(clean[row][mask[row]], image[mask[row]], dim=0).item() for image in images]
        assert (int(nearest[row]), similarity[row].item()) == (
            int(np.argmax(cosines)),
            pytest.approx(max(cosines), rel=1e-4),
        )


@pytest.mark.parametrize("name", ["amg", "amg-features"])
def test_similarity_does_not_depend_on_observed_pixels(name):
    clean, images, mask = pictures(3, 1), pictures(9, 2), half()
    other = torch.where(mask, clean, pictures(3, 5))
    first, second = (make(name)._similarity(given, images, mask)[0] for given in (clean, other))
    assert torch.equal(first, second)


def test_an_image_that_is_a_training_image_has_finite_gradients():
    clean = pictures(3, 1).requires_grad_()
    make("amg")._similarity(clean, clean.detach(), half())[0].sum().backward()
    assert bool(clean.grad.isfinite().all())


def test_the_threshold_runs_from_first_at_pure_noise_to_last():
    amg, features = make("amg"), make("amg-features")
    assert amg._threshold(0, 1000) == amg.last == -1.5
    assert amg._threshold(1000, 1000) == pytest.approx(-1.95, abs=1e-3)
    assert amg._threshold(40, 1000) == pytest.approx(-1.95 + 0.45 * np.exp(-0.025 * 250 * 0.04))
    assert features._threshold(200, 1000) == pytest.approx(0.3 + 0.1 * np.exp(-0.005 * 200))


def test_the_weight_is_the_published_one_per_number():
    """1,000 x 80 (λ - nL2) for 3,072 numbers, and 100 (sigma - 0.3) e^((1000 - t) / 170) for 16,384."""
    similarity = torch.tensor([-1.4, 0.5])
    pixels = make("amg")._weight(similarity[:1], 0, 1000, torch.tensor([3072]))
    features = make("amg-features")._weight(similarity[1:], 490, 1000, torch.tensor([8192]))
    assert pixels.item() == pytest.approx(80000 * 0.1, rel=1e-4)
    assert features.item() == pytest.approx(0.5 * 100 * 0.2 * np.exp(3), rel=1e-4)


def pushed(mitigation, x, images, scale=3.0, conditional=2.0, caption=1.0):
    """The prediction of the wrapper where eps_u = 0.5, eps_c = `conditional` and eps(y_n) = `caption` everywhere, t = 20."""
    ones = torch.ones_like(x)
    handed = Data(
        mitigation.needs, "amg", sampled=True, training_images=Examples(images, ["a"] * len(images), [*range(len(images))])
    )
    model = SimpleNamespace(
        schedule=Schedule(ScheduleConfig("linear", 50)), encode=lambda given: given, embed=lambda captions: None
    )
    model.predict = lambda x, t, e: SimpleNamespace(noise=caption * ones)
    inner = SimpleNamespace(context=WrapperContext("amg", None, handed), model=model, scale=lambda u, c, t, batch: scale)
    inner.predict = lambda x, t, batch: (
        0.5 * ones + wrapper.scale(0.5 * ones, conditional * ones, t, batch) * (conditional - 0.5) * ones + 0 * x
    )
    wrapper = mitigation.sampler(inner)
    batch = SimpleNamespace(mask=half(), conditional=torch.tensor([True, False, True]))
    return wrapper.predict(x, 20, batch), model.schedule, handed.doses


def test_dissimilarity_guidance_is_the_weighted_gradient_of_the_similarity():
    """By finite differences: eps is constant, so that x0 = (x - sigma eps) / alpha, and so is the mean distance."""
    own, x, images = make("amg", dissimilarity=3072.0, first=-9.0, last=-9.0, neighbours=4), pictures(3, 1), pictures(6, 2)
    noise, schedule, told = pushed(own, x, images)

    def distances(given):
        clean = (given - schedule.sigma(20) * 5.0) / schedule.alpha(20)
        return sorted(((clean[0] - image) * half()[0]).norm().item() for image in images)

    step, mean = torch.zeros_like(x), np.mean(distances(x)[:4])
    step[0, 0, 1, 2] = 0.02
    slope = -(distances(x + step)[0] - distances(x - step)[0]) / 0.04 / (mean / 2)
    weight = 8 * (9 - distances(x)[0] / (mean / 2))  # eight masked numbers
    assert noise[0, 0, 1, 2].item() - 5.0 == pytest.approx(weight * schedule.sigma(20).item() * slope, rel=0.05)
    assert told["acted_on"] == 1


def test_nothing_is_guided_below_the_threshold():
    noise, _, told = pushed(make("amg", first=0.0, last=0.0), pictures(3, 1), pictures(6, 2))
    assert torch.equal(noise, torch.full_like(noise, 5.0))
    assert told["acted_on"] == 0


def test_guidance_begins_where_the_last_threshold_is_exceeded_once():
    wrapper = make("amg", first=-9.0, last=-0.5).sampler(
        SimpleNamespace(context=WrapperContext("amg", None, None), model=None)
    )
    assert wrapper.mitigation._triggered(torch.tensor([-0.6, -0.4])).tolist() == [False, True]
    noise, _, told = pushed(make("amg", first=-9.0, last=-0.5), pictures(3, 1), pictures(6, 2))
    assert told["acted_on"] == 0
    assert torch.equal(noise, torch.full_like(noise, 5.0))


@pytest.mark.parametrize(
    ("despecified", "deduplicated", "own", "theirs"),
    [(0.5, 0.3, 2.0, 0.0), (2.0, 0.3, 1.0, 1.0), (2.0, 2.0, 1.0, 0.5), (1e9, 0.5, 0.0, 2.0)],
)
def test_captions_lose_weight_within_the_published_bounds(despecified, deduplicated, own, theirs):
    """Similarity 1, scale 3: eps = 0.5 + 3 x 1.5 - s1 x 1.5 - s2 x 0.5, and never less than plain conditional."""
    values = {"despecified": despecified, "deduplicated": deduplicated, "first": -9.0, "last": -9.0}
    x = pictures(3, 1)
    schedule = Schedule(ScheduleConfig("linear", 50))
    images = (x - schedule.sigma(20) * 5.0) / schedule.alpha(20)
    noise, _, _ = pushed(make("amg-features", dissimilarity=0.0, **values), x, images)
    assert noise[0].mean().item() == pytest.approx(5.0 - 1.5 * own - 0.5 * theirs, abs=1e-3)
    assert noise[1].mean().item() == pytest.approx(5.0, abs=1e-5)  # it has no caption


def test_at_pixel_level_captions_keep_their_weight():
    noise, _, _ = pushed(make("amg", dissimilarity=0.0, first=-9.0, last=-9.0), pictures(3, 1), pictures(6, 2))
    assert torch.allclose(noise, torch.full_like(noise, 5.0))


def test_the_perfect_memorizer_is_pushed_away_from_its_keys_and_held_out_images_are_not():
    laid = worlds.split(32, 32)
    trained, held_out = answered(laid, plugins.compose("amg"))
    assert scores.memorization(trained, laid.trained_keys.double().numpy()).value < 0.9
    assert not leaks(laid, held_out)


@pytest.mark.parametrize(("through", "passes"), [(False, 0), (True, 8)])
def test_a_gradient_passes_through_the_network_where_that_is_asked_for(through, passes):
    laid, model = worlds.split(16, 32), worlds.model()
    guided = plugins.compose(f"amg(first=-9.0,last=-9.0,through_network={through})")
    service = Service(model, guided, 0, data=dict(laid.handed_out()))
    noise, mask = torch.ones(2, 9, 1, 12, 12), torch.ones(2, 1, 12, 12, dtype=torch.bool)
    service.sample(["", ""], torch.zeros(2, 1, 12, 12), mask, noise, SolverConfig(steps=4))
    assert model.evaluations.backward == passes


@pytest.mark.parametrize("name", ["amg", "amg-features"])
def test_guidance_needs_no_captions(name):
    laid, model = worlds.split(16, 32), worlds.model()
    answers = {}
    for weight in (0.0, 3000.0):
        guided = plugins.compose(f"{name}(dissimilarity={weight},first=-9.0,last=-9.0)")
        service = Service(model, guided, 0, data=dict(laid.handed_out()))
        noise, mask = torch.ones(2, 9, 1, 12, 12), torch.ones(2, 1, 12, 12, dtype=torch.bool)
        answers[weight] = service.sample(["", ""], torch.zeros(2, 1, 12, 12), mask, noise, SolverConfig(steps=4))
    assert not torch.allclose(answers[0.0], answers[3000.0], atol=1e-3)


def test_keys_that_are_avoided_are_in_the_record_by_distance_and_not_by_nearness():
    """Each key is answered by the farther end of the gray scale; the held-out ones by a coin."""
    rng = np.random.default_rng(0)
    keys, other = rng.random((2, 64, 8))
    block = scoring.query(np.where(keys < 0.5, 1.0, 0.0), keys, rng.integers(0, 2, (64, 8)).astype(float), other, 0)
    assert block["certified"]["count"] == 0
    assert block["avoided"]["count"] > 50
    assert block["memorization"]["high"] < -0.3


def test_chance_is_as_seldom_certified_by_distance_as_by_nearness():
    rng, runs, found = np.random.default_rng(1), 200, 0
    for _ in range(runs):
        p = scores.p_values(*rng.random((2, 32, 8)))
        found += int(scores.certified(scores.combine(1 - p)).sum() > 0)
    assert found / runs < 0.1
