"""What a method does exactly at its limit: at the step where guidance begins, at a norm that equals a threshold, at a draw
that equals a probability. The parts of each method are called with stand-ins for what they do not use."""

import math
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations import _chunks, adversarial_finetune, erasediff, refusal, wanda
from solidmark.mitigations._embedding_search import optimize_embedding
from solidmark.mitigations._guidance_vector import move_along, optimize_noise
from solidmark.mitigations._insertion import change_at_random
from solidmark.mitigations.agc import LossTableTrainer
from solidmark.mitigations.ambient_mask import FixedMaskSampler, MaskedTrainer
from solidmark.mitigations.ambient_noise import NoisyCopyTrainer
from solidmark.mitigations.amg import AntiMemorization, RepellingSampler
from solidmark.mitigations.attention_rescaling import MaskedLogits
from solidmark.mitigations.augment import Augmentation
from solidmark.mitigations.cads import AnnealedCondition
from solidmark.mitigations.clip_padding import MaskedPadding
from solidmark.mitigations.coarse_caption import CoarseCaption
from solidmark.mitigations.danger_zone import WeightedTrainer
from solidmark.mitigations.dedup import Deduplication
from solidmark.mitigations.delayed_guidance import DelayedGuidance
from solidmark.mitigations.dp_sgd import PrivateTrainer
from solidmark.mitigations.dynamic_transition import TransitionSampler
from solidmark.mitigations.early_guidance import EarlyGuidance
from solidmark.mitigations.fpan import ProbabilisticNoise
from solidmark.mitigations.fresh_noise import ChurnSampler
from solidmark.mitigations.guard import AttenuatedLogits
from solidmark.mitigations.initial_noise import BatchInitialNoise
from solidmark.mitigations.norm_clamp import Region
from solidmark.mitigations.opposite_guidance import OppositeGuidance
from solidmark.mitigations.prss import AnchoringSampler
from solidmark.mitigations.retrain import RetainedTrainer
from solidmark.mitigations.selective_dampening import dampening_factor
from solidmark.mitigations.siss import FAINT, SISS, clip, importance
from solidmark.mitigations.time_frequency import low_frequencies
from solidmark.mitigations.tweedie_consistency import ConsistentTrainer
from solidmark.mitigations.wen_filter import FilterTrainer

from solidmark.data import Examples
from solidmark.models import Layer, Schedule, ScheduleConfig

RNG = torch.Generator()
SCHEDULE = Schedule(ScheduleConfig("linear", 100))
MODEL = SimpleNamespace(schedule=SCHEDULE)


class Doses(SimpleNamespace):
    """Takes the doses of a wrapper."""

    def dose(self, name, value):
        setattr(self, name, value)


@pytest.fixture
def half(monkeypatch):
    """Every uniform draw is exactly a half."""
    monkeypatch.setattr(torch, "rand", lambda *shape, generator=None, **how: torch.full(_size(shape), 0.5))


def _size(shape):
    return shape[0] if isinstance(shape[0], tuple | torch.Size) else shape


@pytest.mark.parametrize(
    ("method", "before", "at"),
    [
        (DelayedGuidance(0.5), 0.0, 3.0),
        (BatchInitialNoise(share=0.5), 0.0, 3.0),
        (OppositeGuidance(0.5, factor=0.25), -0.75, 3.0),
        (EarlyGuidance(0.5), 3.0, 0.0),
    ],
)
def test_guidance_changes_with_the_step_that_begins_at_the_stated_share(method, before, at):
    assert [method.guidance(3.0, share) for share in (math.nextafter(0.5, 0), 0.5, 1.0)] == [before, at, at]


def test_a_draw_that_equals_the_probability_changes_no_caption(half):
    captions = ["one two three"]
    assert change_at_random(captions, 0.5, str.upper, RNG) == captions
    assert change_at_random(captions, 0.51, str.upper, RNG) == ["ONE TWO THREE"]
    assert [CoarseCaption(1, share).caption(captions, RNG) for share in (0.5, 0.51)] == [captions, ["one"]]
    given = torch.arange(8.0).reshape(1, 2, 4)
    changed = [not torch.equal(ProbabilisticNoise(share, 1.0).condition(given, RNG), given) for share in (0.5, 0.51)]
    assert changed == [False, True]
    recipes = [SimpleNamespace(caption_dropout=share) for share in (0.5, 0.51)]
    assert [SISS()._captions(["a", "b"], ["x", "y"], [True, False], one, RNG) for one in recipes] == [["a", "y"], ["", ""]]


@pytest.mark.parametrize(
    ("probability", "mirror", "mirrored", "chosen"),
    [
        (0.5, 0.5, False, [False] * 4),
        (0.51, 0.5, False, [False, True, True, True]),  # a flip has half the probability of the others
        (0.5, 0.51, True, [False] * 4),
    ],
)
def test_a_draw_that_equals_the_probability_changes_no_view(half, monkeypatch, probability, mirror, mirrored, chosen):
    told, maps = [], Augmentation._maps
    monkeypatch.setattr(Augmentation, "_maps", lambda self, *given: told.append(given[:2]) or maps(self, *given))
    images = torch.arange(16.0).reshape(1, 1, 4, 4) / 16
    views = Augmentation(probability, mirror=mirror).view(images, RNG)
    assert [part.tolist() for part in told[0]] == [[mirrored], [chosen]]
    assert torch.equal(views, images) == (not mirrored and not any(chosen))


@pytest.mark.parametrize(("share", "visible"), [(0.5, True), (0.51, False)])
def test_a_draw_that_equals_the_share_hides_no_pixel(half, share, visible):
    batch = SimpleNamespace(mask=torch.ones(1, 1, 2, 2, dtype=torch.bool), noise=torch.zeros(1, 1, 2, 2))
    sampler = SimpleNamespace(model=SimpleNamespace(config=SimpleNamespace(extra_channels=1)), rng=RNG)
    sampler.mitigation, sampler.inner = SimpleNamespace(share=share), SimpleNamespace(prepare=lambda batch: batch)
    FixedMaskSampler.prepare(sampler, batch)
    assert bool(sampler.visible.all()) is visible is bool(sampler.visible.any())


@pytest.mark.parametrize(("further", "hidden"), [(0.5, 0.0), (0.51, 1.0)])
def test_a_draw_that_equals_the_further_share_hides_no_pixel_in_training(half, further, hidden):
    told, clean = [], torch.rand(1, 1, 2, 2, generator=torch.Generator())
    trainer = SimpleNamespace(model=MODEL, rng=RNG, mitigation=SimpleNamespace(further=further))
    trainer.shown = lambda batch: torch.ones(1, 1, 2, 2, dtype=torch.bool)
    trainer.outer = SimpleNamespace(predict=lambda x, t, batch: told.append(batch.extra) or 1 / 0)
    from solidmark.models import Batch

    with pytest.raises(ZeroDivisionError):
        MaskedTrainer.losses(trainer, Batch(clean, torch.zeros(1, 2), torch.zeros(1), (0,), 0), torch.tensor([5]))
    assert told[0].unique().tolist() == [hidden]


@pytest.mark.parametrize(("share", "rows"), [(0.5, []), (0.51, [1, 4])])
def test_a_draw_that_equals_the_share_takes_no_image_into_a_private_batch(half, share, rows):
    trainer = SimpleNamespace(copies={7: [0, 1], 9: [3, 4]}, rng=RNG, share=share)
    assert next(PrivateTrainer.batches(trainer)).tolist() == rows  # of two copies a draw of a half takes the second


@pytest.mark.parametrize(("norm", "clipped", "length"), [(1.0, 0, 1.0), (2.0, 1, 1.0), (0.5, 0, 0.5)])
def test_a_gradient_as_long_as_the_limit_is_not_clipped(norm, clipped, length):
    trainer = SimpleNamespace(mitigation=SimpleNamespace(clip=1.0), total=0, clipped=0, run=None)
    summed = [torch.zeros(2)]
    PrivateTrainer._add_clipped(trainer, summed, [torch.tensor([[norm, 0.0]])])
    assert (trainer.total, trainer.clipped, float(summed[0].norm())) == (1, clipped, length)
    assert float(clip([torch.tensor([3.0 * norm, 4.0 * norm])], 5.0)[0].norm()) == 5.0 * length


@pytest.mark.parametrize(("adversarial", "found"), [(0.5, 0.0), (0.25, 1.0)])
def test_half_of_the_surrogates_are_under_the_found_condition(monkeypatch, adversarial, found):
    monkeypatch.setattr(torch, "rand", lambda *shape, generator=None: torch.full(_size(shape), adversarial))
    told = []
    batch = SimpleNamespace(captions=["a", "b"])
    batch.losses = lambda model, mixed=None: told.append(mixed) or torch.zeros(2)
    monkeypatch.setattr(adversarial_finetune, "draw_noised_batch", lambda *given: batch)
    model = SimpleNamespace(embed=lambda captions: torch.zeros(2, 3, 4))
    data, surrogates = (
        SimpleNamespace(retain=None, recipe=None, forget=[1]),
        Examples(torch.zeros(2, 1, 2, 2), ["", ""], [1, 2]),
    )
    made = adversarial_finetune.AdversarialFineTuning()
    made._loss(model, data, surrogates, torch.ones(1, 3, 4), torch.Generator(), 2)
    assert told[0] is None
    assert told[1].unique().tolist() == [found]


def test_a_condition_that_is_annealed_at_once_is_gone_at_its_point():
    at_once, slowly = AnnealedCondition(low=0.5, high=0.5), AnnealedCondition(low=0.25, high=0.75)
    assert [at_once._share(t) for t in (0.4, 0.5, 0.6)] == [1.0, 0.0, 0.0]
    assert [slowly._share(t) for t in (0.2, 0.25, 0.5, 0.75, 0.8)] == [1.0, 1.0, 0.5, 0.0, 0.0]


def test_a_copy_is_taken_above_its_level_and_the_image_at_it():
    told = []
    schedule = SimpleNamespace(alpha=lambda t: torch.full((1, 1, 1, 1), 0.5), sigma=lambda t: torch.full((1, 1, 1, 1), 0.25))
    batch = SimpleNamespace(clean=torch.ones(1, 1, 2, 2), fixed_noise=lambda name: torch.full((1, 1, 2, 2), 8.0))
    prediction = SimpleNamespace(losses=lambda clean, noise: told.append(clean) or torch.ones(1, 1, 2, 2))
    outer = SimpleNamespace(predict=lambda *_: prediction)
    for level in (0.5, 0.25):
        trainer = SimpleNamespace(mitigation=SimpleNamespace(level=level), model=SimpleNamespace(schedule=schedule))
        trainer.rng, trainer.outer, trainer.data = RNG, outer, Doses()
        assert bool(NoisyCopyTrainer.losses(trainer, batch, torch.tensor([5])).isfinite())
        assert trainer.data.on_copies.item() is (level == 0.25)
    assert torch.equal(told[0], batch.clean)
    assert not torch.equal(told[1], batch.clean)


@pytest.mark.parametrize(
    ("share", "left"), [(0.5, [1, 1, 1, 0, 0, 1, 1]), (0.3, [1, 1, 1, 0, 1, 1, 1]), (1.0, [1] * 3 + [0] * 4)]
)
def test_the_first_padding_tokens_are_masked_up_to_their_share(share, left):
    from solidmark.models import PADDING, START

    roles = torch.tensor([[START, START, START, PADDING, PADDING, PADDING, PADDING]])
    assert MaskedPadding(share)._weights(roles).tolist() == [left]


def test_the_step_of_the_copy_is_one_of_consistency_and_those_above_it_are_of_the_copy():
    ratios = (SCHEDULE.sigma(torch.arange(100)) / SCHEDULE.alpha(torch.arange(100))).flatten()
    trainer = SimpleNamespace(model=SimpleNamespace(schedule=SCHEDULE, device="cpu"))
    trainer.inner = SimpleNamespace(prepare=lambda: None)
    for level, boundary in ((float(ratios[40]), 40), (float(ratios[0]) / 2, 0), (float(ratios[-1]), 99)):
        trainer.mitigation = SimpleNamespace(level=level)
        ConsistentTrainer.prepare(trainer)
        assert trainer.boundary == boundary
    trainer.boundary, trainer.data = 40, Doses()
    trainer._of_the_copy, trainer._of_consistency = (
        lambda batch, copy, t, kind=kind: torch.full((len(t),), kind) for kind in (1.0, 2.0)
    )
    from solidmark.models import Batch

    batch = Batch(torch.zeros(3, 1, 2, 2), torch.zeros(3, 2), torch.arange(3), (4, 5, 6), 0)
    assert ConsistentTrainer.losses(trainer, batch, torch.tensor([39, 40, 41])).tolist() == [2.0, 2.0, 1.0]
    assert trainer.data.on_copies.tolist() == [False, False, True]


def test_of_equal_logits_none_spikes():
    from solidmark.models import START

    roles = torch.tensor([START, 5, 5, 5]).reshape(1, 1, 1, 4)
    attention = SimpleNamespace(roles=roles, mitigation=SimpleNamespace(threshold=0.0))
    logits = torch.tensor([9.0, 2.0, 2.0, 2.0]).expand(1, 1, 6, 4)
    assert not AttenuatedLogits.spikes(attention, logits).any()
    higher = logits + torch.tensor([0.0, 1.0, 0.0, 0.0])
    assert AttenuatedLogits.spikes(attention, higher).flatten().tolist() == [False, True, False, False]
    attention.mitigation.threshold = 1.1  # the largest is 2 / sqrt(3) = 1.155 standard deviations above the mean
    assert AttenuatedLogits.spikes(attention, higher).flatten().tolist() == [False, True, False, False]
    attention.mitigation.threshold = 1.16
    assert not AttenuatedLogits.spikes(attention, higher).any()


@pytest.mark.parametrize(("norms", "kept"), [([2.0, 3.0], [False, False]), ([2.1, 3.0], [True, False])])
def test_a_caption_at_the_threshold_is_not_memorized(monkeypatch, norms, kept):
    """Twice the level of 1 is the threshold."""
    from solidmark.mitigations import prss

    batch = SimpleNamespace(embeddings=torch.zeros(2, 3, 4), conditional=torch.tensor([True, False]))
    monkeypatch.setattr(prss, "normal_level", lambda *_: torch.tensor(1.0))
    monkeypatch.setattr(prss, "normal_levels", lambda *_: {})
    monkeypatch.setattr(prss, "guidance_norm", lambda one: torch.tensor(norms))
    sampler = SimpleNamespace(mitigation=SimpleNamespace(search=2.0), rng=RNG, data=Doses(calibration=None), family="x")
    sampler.inner, sampler._paraphrase = SimpleNamespace(prepare=lambda one: one), lambda one, before, limit: (one, before)
    assert AnchoringSampler.prepare(sampler, batch) is batch
    assert sampler.memorized.tolist() == kept
    assert (sampler.data.acted_on.tolist(), sampler.data.before.tolist()) == (kept[:1], pytest.approx(norms[:1]))


@pytest.mark.parametrize(
    ("values", "chosen", "asked", "least"),
    [
        ([2.0], [0], 1, 2.0),  # at the threshold: it is found, and no other is tried
        ([5.0, 5.0, 1.0], [0, 2], 3, 1.0),  # an equal one is no better
        ([4.0, 3.0, 3.5], [0, 1], 3, 3.0),
    ],
)
def test_paraphrases_are_tried_until_one_is_at_the_threshold_and_the_least_is_kept(
    monkeypatch, values, chosen, asked, least
):
    from solidmark.mitigations import prss

    tried, taken = [], []
    monkeypatch.setattr(prss, "guidance_norm", lambda one: tried.append(one) or torch.tensor([values[one], 9.0]))
    monkeypatch.setattr(prss, "_mix", lambda best, one, better: taken.append((one, better.tolist())) or one)
    sampler = SimpleNamespace(memorized=torch.tensor([True, False]), _candidates=lambda batch: range(len(values)))
    before = torch.tensor([8.0, 1.5])
    _, found = AnchoringSampler._paraphrase(sampler, "batch", before, torch.tensor(2.0))
    assert ([one for one, (better, _) in taken if better], len(tried)) == (chosen, asked)
    assert found.tolist() == [least, 1.5]
    sampler.memorized = torch.tensor([False, False])
    assert AnchoringSampler._paraphrase(sampler, "batch", before, torch.tensor(2.0)) == ("batch", before)


def test_the_zone_has_its_lower_end_and_not_its_upper():
    trainer = SimpleNamespace(model=MODEL, mitigation=SimpleNamespace(low=0.25, high=0.5, relief=0.75), data=Doses())
    trainer.inner = SimpleNamespace(losses=lambda batch, t: torch.ones(len(t)))
    assert WeightedTrainer.losses(trainer, None, torch.tensor([24, 25, 49, 50])).tolist() == [1.0, 0.25, 0.25, 1.0]


@pytest.mark.parametrize(
    ("lengths", "scales"),
    [
        ([3.0, 2.0, 2.0, 2.0], [0, 0, 0, 0, 8]),  # a level stretch is no turn, and the latest point is
        ([2.0, 2.0, 3.0, 4.0], [0, 0, 0, 0, 8]),
        ([3.0, 2.0, 3.0, 4.0], [0, 0, 8, 8, 8]),
    ],
)
def test_a_query_is_past_its_transition_where_its_norm_has_turned_or_at_the_latest_point(lengths, scales):
    sampler = SimpleNamespace(norms=[], past=None, data=Doses(), mitigation=SimpleNamespace(latest=0.5, before=0.0))
    sampler.inner = SimpleNamespace(scale=lambda *_: 8.0)
    batch, found = SimpleNamespace(step_fraction=lambda t: t / 10), []
    for t, length in zip((1, 2, 3, 4, 5), [*lengths, 9.0]):
        found.append(float(TransitionSampler.scale(sampler, torch.zeros(1, 1), torch.full((1, 1), length), t, batch)))
    assert found == scales


def test_a_region_has_its_ends():
    region = Region(torch.tensor(2.0), torch.tensor(0.5))
    assert region.contains(torch.tensor([0.9, 1.0, 3.0, 3.1]), 2.0).tolist() == [False, True, True, False]
    assert region.nearest(torch.tensor([0.5, 1.5, 4.0]), 2.0).tolist() == [1.0, 1.5, 3.0]
    assert Region(torch.tensor(1.0), torch.tensor(1.0)).nearest(torch.tensor([-3.0]), 2.0).tolist() == [0.0]


def test_a_loss_as_low_as_the_threshold_is_kept_and_the_table_moves_by_its_share():
    trainer = SimpleNamespace(table=torch.tensor([2.0, 4.0]), seen=0, skipped=0, model=MODEL)
    trainer.mitigation = SimpleNamespace(threshold=0.5, decay=0.75)
    trainer.inner = SimpleNamespace(losses=lambda batch, t: torch.tensor([1.0, 0.9, 2.0, 1.9]))
    kept = LossTableTrainer.losses(trainer, None, torch.tensor([0, 49, 50, 99]))
    assert kept.tolist() == pytest.approx([1.0, 0.0, 2.0, 0.0])
    assert (trainer.seen, trainer.skipped) == (4, 2)
    assert trainer.table.tolist() == pytest.approx([0.75 * (0.75 * 2 + 0.25) + 0.225, 0.75 * (0.75 * 4 + 0.5) + 0.475])


def test_a_sample_that_is_moved_as_far_as_the_threshold_is_dropped():
    trainer = SimpleNamespace(seen=0, skipped=0, mitigation=SimpleNamespace(threshold=0.5))
    trainer.distance, trainer.inner = torch.tensor([0.4, 0.5, 0.6]), SimpleNamespace(losses=lambda batch, t: torch.ones(3))
    assert FilterTrainer.losses(trainer, None, None).tolist() == [1.0, 0.0, 0.0]
    assert (trainer.seen, trainer.skipped) == (3, 2)


@pytest.mark.parametrize(
    ("copies", "alike", "kept"), [(1, 0.25, [0, 2]), (2, 0.25, [0, 1, 2]), (1, 0.2, [0, 1, 2]), (1, 0.0, [0, 1, 2])]
)
def test_an_image_as_far_away_as_the_limit_is_a_copy(copies, alike, kept):
    images = torch.tensor([0.0, 0.25, 0.75, 0.0]).reshape(4, 1, 1, 1).expand(4, 1, 2, 2)
    found = Deduplication(copies, alike=alike).prepare(Examples(images, list("abcd"), [0, 1, 2, 3]), RNG)
    assert found.ids == ([*kept, 3] if copies == 2 and alike == 0.2 else kept)


def test_a_query_at_the_threshold_is_answered(monkeypatch):
    monkeypatch.setattr(refusal, "calibrate_guidance_norm", lambda *_: torch.tensor(2.0))
    monkeypatch.setattr(refusal, "guidance_norm", lambda batch: torch.tensor([2.0, 2.1, 9.0]))
    monkeypatch.setattr(refusal, "replace", lambda batch, refused: refused)
    sampler = SimpleNamespace(data=Doses(calibration=None), rng=RNG, mitigation=SimpleNamespace(share=0.1))
    sampler.inner = SimpleNamespace(prepare=lambda one: one)
    batch = SimpleNamespace(conditional=torch.tensor([True, True, False]), refused=torch.tensor([False, False, False]))
    assert refusal.RefusingSampler.prepare(sampler, batch).tolist() == [False, True, False]
    batch.refused = torch.tensor([True, False, False])
    assert refusal.RefusingSampler.prepare(sampler, batch).tolist() == [True, True, False]


@pytest.mark.parametrize(("goal", "moves"), [(2.0, False), (1.9, True)])
def test_a_query_that_is_at_its_goal_is_not_moved(goal, moves):
    noise = torch.full((1, 1, 1, 2), 1.0)
    batch = SimpleNamespace(noise=noise, mask=torch.ones(1, 1, 1, 2, dtype=torch.bool), conditional=torch.tensor([True]))
    batch.start, batch.embeddings = (lambda noise: noise), torch.ones(1, 1, 2)
    found = optimize_noise(batch, lambda x: x.flatten(1).sum(dim=1), lambda x: torch.optim.SGD(x, lr=0.1), goal, 1)
    assert (bool(found.moved), torch.equal(found.found, noise)) == (moves, not moves)
    batch.embeddings = torch.ones(1, 2)
    found = optimize_embedding(batch, lambda x: x.flatten(1).sum(dim=1), goal, 0.1, 1)
    assert (bool(found.moved), torch.equal(found.found, batch.embeddings)) == (moves, not moves)


def test_a_move_has_its_reach_a_number():
    moved = move_along(torch.zeros(2, 1, 1, 4), torch.tensor([[3.0, 0, 0, 4.0], [0, 0, 0, 0]]).reshape(2, 1, 1, 4), 0.5)
    assert moved.flatten(1).tolist() == [pytest.approx([0.6, 0, 0, 0.8]), [0, 0, 0, 0]]


REPELLING = AntiMemorization(first=-2.0, last=-0.5)
LIMIT = -2.0 + 1.5 * math.exp(-AntiMemorization.BEND / 2)
"""Its threshold half way."""


def test_guidance_against_memory_may_begin_above_its_last_threshold():
    assert REPELLING._triggered(torch.tensor([-0.5, -0.4])).tolist() == [False, True]
    assert (REPELLING._threshold(0, 100), REPELLING._threshold(50, 100)) == (-0.5, pytest.approx(LIMIT))


def test_guidance_against_memory_pushes_once_begun_above_the_threshold_of_the_step():
    sampler = SimpleNamespace(started=None, data=SimpleNamespace(training_images=SimpleNamespace(images=None)))
    sampler.model = SimpleNamespace(schedule=SCHEDULE, encode=lambda images: images)
    x, found = torch.zeros(3, 1, 1, 1), []
    limit = REPELLING._threshold(50, 100)
    for values in ([limit, limit + 0.01, -0.4], [-0.4, limit, limit + 0.01]):
        similar = torch.tensor(values, dtype=torch.float64)
        sampler.mitigation = SimpleNamespace(_similarity=lambda *_, s=similar: (s, None), _triggered=REPELLING._triggered)
        sampler.mitigation._threshold = REPELLING._threshold
        near = RepellingSampler._compare(sampler, x, x, 50, SimpleNamespace(mask=None))[2]
        found.append((sampler.started.tolist(), near.tolist()))
    assert found == [([False, False, True],) * 2, ([True, False, True],) * 2]


def test_a_weight_that_scores_as_without_the_image_is_none_of_its_neurons():
    target = torch.tensor([[3.0, 2.0, 1.0, 0.5]])
    assert wanda.choose(target, torch.tensor([[3.0, 1.0, 0.0, 0.0]]), 0.5).tolist() == [[False, True, False, False]]
    assert wanda.choose(target, torch.zeros(1, 4), 0.1).tolist() == [[True, False, False, False]]


def test_a_weight_is_dampened_above_its_limit_alone():
    forgotten, retained = torch.tensor([10.0, 10.1, 1.0, 0.0]), torch.tensor([1.0, 1.0, 1.0, 0.0])
    assert dampening_factor(forgotten, retained, 10.0, 2.0).tolist() == pytest.approx([1.0, 2 / 10.1, 1.0, 1.0])


def test_without_a_gradient_to_push_there_is_no_push():
    none, one = [torch.zeros(2)], [torch.tensor([1.0, 0.0])]
    assert float(erasediff.constrained(one, none, 0.5)) == 0.0
    assert [float(erasediff.constrained([k * one[0]], one, 0.5)) for k in (-1.0, 0.25, 0.5, 2.0)] == [1.5, 0.25, 0.0, 0.0]


def test_the_stated_number_of_summary_tokens_is_kept():
    from solidmark.models import END, PADDING, START

    roles = torch.tensor([START, 9, END, PADDING, PADDING]).reshape(1, 1, 1, 5)
    attention = SimpleNamespace(roles=roles, mitigation=SimpleNamespace(kept=2))
    found = MaskedLogits.change(attention, Layer("x", "down", 1, 1), torch.zeros(1, 1, 1, 5))
    assert found.flatten().tolist() == [0.0, 0.0, 0.0, 0.0, -math.inf]


def test_a_frequency_at_the_cutoff_passes():
    across = torch.arange(8.0)[None, None, None, :].expand(1, 1, 8, 8)
    quarter, half = torch.cos(2 * math.pi * across / 4), torch.cos(math.pi * across)
    both = low_frequencies(1 + quarter + half, 0.5)  # a quarter of the samples is half of the highest frequency
    assert torch.allclose(both, 1 + quarter, atol=1e-5)
    assert torch.allclose(low_frequencies(1 + quarter + half, 0.49), torch.ones_like(both), atol=1e-5)


@pytest.mark.parametrize(("to", "fresh"), [(0, True), (-1, False)])
def test_the_step_to_the_last_level_has_fresh_noise_and_the_one_behind_it_none(to, fresh):
    sampler = SimpleNamespace(model=MODEL, rng=RNG, mitigation=SimpleNamespace(eta=1.0))
    sampler.inner = SimpleNamespace(after=lambda x, x0, t, batch: x)
    x, batch = torch.ones(1, 1, 2, 2), SimpleNamespace(target=lambda t: to)
    assert torch.equal(ChurnSampler.after(sampler, x, 0.5 * x, 5, batch), x) is not fresh


def test_retained_images_fill_batches_as_soon_as_there_are_enough():
    inner = [torch.tensor([0, 1]), torch.tensor([2, 3]), torch.tensor([4, 5]), torch.tensor([6, 7])]
    trainer = SimpleNamespace(inner=SimpleNamespace(batches=lambda: inner))
    trainer.retained = torch.tensor([True, True, True, False, True, False, False, True])
    assert [batch.tolist() for batch in RetainedTrainer.batches(trainer)] == [[0, 1], [2, 4]]


@pytest.mark.parametrize(("numbers", "sizes"), [(12, [3]), (11, [2, 1]), (1, [1, 1, 1])])
def test_a_batch_that_fits_is_changed_whole(monkeypatch, numbers, sizes):
    batch, told = SimpleNamespace(captions=["a", "b", "c"], noise=torch.zeros(3, 1, 2, 2)), []
    monkeypatch.setattr(_chunks, "NUMBERS", numbers)
    monkeypatch.setattr(
        _chunks, "_chunks", lambda batch, size: [SimpleNamespace(captions=["x"] * n) for n in _parts(3, size)]
    )
    monkeypatch.setattr(_chunks, "replace", lambda batch, **changed: changed)

    def change(part):
        told.append(len(part.captions))
        return SimpleNamespace(noise=torch.zeros(len(part.captions)), embeddings=torch.zeros(len(part.captions)))

    _chunks.by_chunks(batch, change)
    assert told == sizes


def _parts(count, size):
    return [min(size, count - first) for first in range(0, count, size)]


def test_a_density_below_the_faintest_has_no_weight():
    at, away = torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1)
    even = importance(at, at, at, torch.ones(1), 0.5)
    assert [float(one) for one in even] == [1.0, 1.0]
    sure = importance(at, at, 100 * away, torch.ones(1), 0.5)
    assert [float(one) for one in sure] == [2.0, 0.0]
    distance = math.sqrt(-2 * math.log(2 * FAINT))
    faint = importance(at, at, distance * away, torch.ones(1), 0.5)
    assert float(faint[1]) == pytest.approx(4 * FAINT, rel=0.01)
    fainter = importance(at, at, math.sqrt(-2 * math.log(FAINT / 2)) * away, torch.ones(1), 0.5)
    assert float(fainter[1]) == 0.0
