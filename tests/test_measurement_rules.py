"""Rules of a measurement by small cases: what is passed on, what is refused, what counts, each without a training."""

import io
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from worlds import composed, memorizer, split

from solidmark import Mitigation, Needs, Stage, seeds
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.measurement import (
    action,
    answers,
    content,
    content_block,
    detectors,
    distances,
    expected,
    floor,
    generation,
    measure,
    per_image,
    pipeline,
    responses,
    sources,
    weights,
    whitebox,
)
from solidmark.metrics.controls import Marks
from solidmark.metrics.distances import Distance
from solidmark.models import Evaluations
from solidmark.queries import Access
from solidmark.schema.numbers import Estimate

FREE = SimpleNamespace(name="free")
LAID = split(8, 16)


# Distances beside the headline


class Plain(Distance):
    """Between means: the picture's ten times, and the image's."""

    def between(self, pictures, images, around):
        return 10 * pictures.mean(axis=(1, 2, 3))[:, None] + images.mean(axis=(1, 2, 3))[None]


def views(paired=True, count=2):
    pictures = np.array([0.1, 0.2, 0.3, 0.4])[:, None, None, None] * np.ones((4, 1, 2, 2))
    return distances.Views(pictures, pictures / 2, pictures, count, list(range(count)), paired)


@pytest.mark.parametrize("paired", [True, False])
def test_a_distance_reads_an_images_own_picture_where_there_is_one_and_the_nearest_of_all(monkeypatch, paired):
    monkeypatch.setattr(distances.plugins, "instance", lambda *words: Plain())
    monkeypatch.setattr(distances.content, "judge", lambda near, far: (near.tolist(), far.tolist()))
    found = distances._measure(FREE, views(paired), None, 0)
    assert found.reason == ""
    nearest = [1.05, 1.1, 1.15, 1.2]  # the first picture is the nearest of every image
    assert [*found.any[0], *found.any[1]] == pytest.approx(nearest)
    assert found.own is None if not paired else [*found.own[0], *found.own[1]] == pytest.approx([1.05, 2.1, 3.15, 4.2])


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (object(), "a Distance"),
        (type("Nan", (Plain,), {"between": lambda *words: np.full((4, 4), np.nan)})(), "NaN or infinity"),
        (type("Few", (Plain,), {"between": lambda *words: np.zeros((4, 3))})(), "shape (4, 3)"),
        (type("Wrong", (Plain,), {"between": lambda *words: 1 / 0})(), "ZeroDivisionError"),
    ],
)
def test_a_distance_that_is_none_has_a_reason_and_no_numbers(monkeypatch, instance, reason):
    monkeypatch.setattr(distances.plugins, "instance", lambda *words: instance)
    found = distances._measure(FREE, views(), None, 0)
    assert (found.own, found.any, found.described) == (None, None, None)
    assert reason in found.reason


def test_the_headline_is_ours_and_is_not_measured_again(monkeypatch):
    installed = [SimpleNamespace(own=own, name=name) for own, name in ((True, "ratio"), (False, "ratio"), (True, "l2"))]
    monkeypatch.setattr(distances.plugins, "discover", lambda group: installed)
    monkeypatch.setattr(distances, "_measure", lambda plugin, *words: plugin)
    assert list(distances.measure_distances(None, None, 0).values()) == installed[1:]


def test_pictures_are_lent_in_range_and_cannot_be_written_to():
    lent = distances._lent(np.array([-0.5, 0.25, 1.5]))
    assert lent.tolist() == [0.0, 0.25, 1.0]
    assert not lent.flags.writeable


def test_a_block_of_a_distance_has_its_reason_where_it_has_one():
    told = [content_block._distance(distances.Beside(None, None, reason=why)) for why in ("", "broken")]
    assert told == [{"own": None, "any": None}, {"own": None, "any": None, "reason": "broken"}]
    each = {"a": distances.Beside(None, None, "A()"), "b": distances.Beside(None, None)}
    assert distances.described(each) == {"a": "A()"}


# Answers in the store


WORK = Evaluations(forward=7, backward=3, encoded=2, decoded=1)


def kept(**more):
    keys = np.arange(8.0).reshape(4, 2) / 8
    return responses.Responses(keys, 3, Marks(0.1, 0.2, None), WORK, 1.5, None, **more)


def test_answers_come_back_from_the_store_field_by_field(tmp_path):
    fresh = responses.Generated(
        torch.rand(2, 1, 2, 2), np.array([True, False]), {"forward": 1, "backward": 0, "seconds": 0.5}
    )
    whole = kept(
        planted=np.ones((4, 2)), refused=np.eye(4, dtype=bool)[:1], fresh=fresh, warnings=("odd",), doses={"x": {"a": 1.0}}
    )
    whole = replace(whole, images=torch.rand(4, 1, 2, 2))
    whole.save(tmp_path)
    found = responses.Responses.load(tmp_path)
    for name in ("count", "marks", "evaluations", "seconds", "warnings", "doses"):
        assert getattr(found, name) == getattr(whole, name), name
    for name in ("keys", "images", "planted", "refused"):
        assert np.array_equal(getattr(found, name), getattr(whole, name)), name
    assert (found.fresh.cost, found.fresh.refused.tolist()) == (fresh.cost, [True, False])
    assert torch.equal(found.fresh.images, fresh.images)
    assert (found.trained.shape, found.held_out.shape) == ((3, 2), (1, 2))


def test_what_was_not_answered_comes_back_as_none_and_no_code_is_stored(tmp_path):
    kept().save(tmp_path)
    found = responses.Responses.load(tmp_path)
    assert (found.images, found.planted, found.refused, found.fresh) == (None, None, None, None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers-keys.npy", "answers.json"]
    with pytest.raises(ValueError, match="allow_pickle"):
        replace(kept(), keys=np.array([object()])).save(tmp_path)


@pytest.mark.parametrize(("work", "fails"), [(20, False), (21, True), (0, False)])
def test_a_query_may_spend_exactly_what_it_declares(work, fails):
    if not fails:
        answers._within_budget("mine", work, "denoiser evaluations", 10, 2.0)
        return
    with pytest.raises(
        PluginFault, match=r"query mine: found 2 denoiser evaluations an image; expected at most 2, as declared"
    ):
        answers._within_budget("mine", work, "denoiser evaluations", 10, 2.0)


def test_pictures_may_be_read_where_they_were_generated_in_rounds():
    images, refused = torch.rand(4, 1, 2, 2), np.array([[True, False, False, False], [False] * 4])
    found = answers._pictures(replace(kept(refused=refused), images=images))
    assert torch.equal(found.images, images)
    assert found.refused.tolist() == refused[0].tolist()
    assert answers._pictures(None) is None
    assert answers._pictures(kept(refused=refused)) is None
    assert answers._pictures(replace(kept(), images=images)) is None


@pytest.mark.parametrize(
    ("batch", "numbers"), [(2, [-2, -1, -4, -3, -5]), (5, [-5, -4, -3, -2, -1]), (9, [-5, -4, -3, -2, -1])]
)
def test_fresh_captions_are_numbered_below_zero_batch_by_batch(batch, numbers):
    of = SimpleNamespace(fresh_captions=["a"] * 5, mark=LAID.mark, trained=LAID.trained)
    company = answers.fresh_captions(of, SimpleNamespace(batch=batch))
    assert list(company.numbers) == numbers
    assert company.observed.unique().tolist() == [0.5]
    assert bool(company.mask.all())


def test_what_was_generated_along_takes_its_share_of_the_work():
    answered = SimpleNamespace(answers=torch.rand(5, 1, 4, 4), refused=torch.tensor([True] + [False] * 4))
    company = type("Company", (), {"__len__": lambda self: 5, **vars(answered)})()
    audit = SimpleNamespace(
        company=company, examples=range(15), mark=SimpleNamespace(content=lambda images: images[..., :2])
    )
    found, left, seconds = answers.generated_along(audit, Evaluations(forward=100, backward=40), 8.0)
    assert found.cost == {"forward": 25, "backward": 10, "seconds": 2.0, "images": 5}
    assert (found.images.shape, found.refused.tolist()) == ((5, 1, 4, 2), [True] + [False] * 4)
    assert (left.forward, left.backward, seconds) == (75, 30, 6.0)
    alone = SimpleNamespace(company=None)
    assert answers.generated_along(alone, WORK, 8.0) == (None, WORK, 8.0)


def sampling(needs=Needs.NOTHING, stages=(Stage.SAMPLING,), **more):
    return SimpleNamespace(composition=SimpleNamespace(needs=needs, stages=list(stages), **more))


def test_the_store_keeps_answers_up_to_a_size_where_nothing_acts_at_sampling():
    def case(count, *stages):
        images = SimpleNamespace(numel=lambda: count, element_size=lambda: 4)
        blind = SimpleNamespace(split=SimpleNamespace(queried=SimpleNamespace(images=images)))
        return SimpleNamespace(blind=blind, composition=SimpleNamespace(stages=stages))

    assert answers.is_kept(case(2**24))
    assert not answers.is_kept(case(2**24 + 1))
    assert not answers.is_kept(case(1, Stage.TRAINING, Stage.SAMPLING))
    assert answers.is_kept(case(1, Stage.TRAINING))


def test_refusals_are_counted_as_a_share_of_all_rounds():
    assert answers._share(np.array([[True, False], [True, True]])) == {"value": 0.75, "count": 3, "of": 4}


# Content, sources, generation


@pytest.mark.parametrize(
    ("captions", "captioned", "own"), [(["a", "b"], True, True), (["a", "a"], True, False), (["a", "b"], False, False)]
)
def test_captions_are_an_images_own_where_no_two_share_one(captions, captioned, own):
    assert content.has_own_captions(SimpleNamespace(queried=SimpleNamespace(captions=captions), captioned=captioned)) is own


def test_an_image_counts_as_certified_that_any_score_certifies():
    each = [SimpleNamespace(p=np.array(p)) for p in ([1e-6, 1.0, 1.0], [1.0, 1.0, 1.0], [1.0, 1e-6, 1.0])]
    own, other, block = each
    made = content.Content(own, other, block, None, None, None, {}, None, None)
    assert made.certified.tolist() == [True, True, False]
    assert replace(made, own=None).certified.tolist() == [False, True, False]
    assert replace(made, block=None).certified.tolist() == [True, False, False]


def test_captions_tell_a_detector_nothing_where_both_parts_share_one_or_there_are_none():
    part = lambda *captions: SimpleNamespace(captions=captions)  # noqa: E731 - two words of three cases
    laid = SimpleNamespace(captioned=True, trained=part("a", "b"), held_out=part("c"))
    assert detectors._nothing_to_tell(laid) == ""
    assert "share captions" in detectors._nothing_to_tell(SimpleNamespace(**{**vars(laid), "held_out": part("b", "c")}))
    assert "without captions" in detectors._nothing_to_tell(SimpleNamespace(**{**vars(laid), "captioned": False}))


@pytest.mark.parametrize(
    ("given", "fault"),
    [(np.zeros(3), "shape (3,)"), (np.array([0.0, np.nan]), "NaN or infinity"), (np.zeros((2, 1)), "shape (2, 1)")],
)
def test_a_detector_gives_a_finite_number_a_prompt(given, fault):
    batch = SimpleNamespace(captions=["a", "b"])
    with pytest.raises(PluginFault) as raised:
        detectors._scores(SimpleNamespace(score=lambda batch, rng: given), "mine", batch, 0)
    assert fault in str(raised.value)
    right = torch.tensor([0.5, 1.0], requires_grad=True)
    assert detectors._scores(SimpleNamespace(score=lambda batch, rng: right), "mine", batch, 0).tolist() == [0.5, 1.0]


def test_plain_generation_has_its_ways_and_what_they_cost(monkeypatch):
    monkeypatch.setattr(generation, "round_a_known_mark", lambda case, model, workspace, blind: "known")
    mark = SimpleNamespace(content=lambda images: images)
    laid = SimpleNamespace(held_out=range(2), fresh_captions=range(3), mark=mark)
    images, refused = torch.arange(7.0)[:, None], np.arange(7)[None] % 2 == 0
    plain = SimpleNamespace(fresh="fresh", images=images, refused=refused, count=4)
    ways = generation.in_all_ways(SimpleNamespace(blind=SimpleNamespace(split=laid)), None, None, plain)
    assert [*ways] == ["fresh captions", "held-out captions", "fresh captions, blank mark known"]
    held = ways["held-out captions"]
    assert (held.images.flatten().tolist(), held.refused.tolist()) == ([4.0, 5.0], [True, False])
    assert held.cost == {"forward": 0, "backward": 0, "seconds": 0.0, "images": 2}
    for lacking in ("fresh", "images", "refused"):
        changed = SimpleNamespace(**{**vars(plain), lacking: None})
        with pytest.raises(ValueError, match="with fresh captions"):
            generation.in_all_ways(SimpleNamespace(blind=SimpleNamespace(split=laid)), None, None, changed)


def test_pictures_that_fit_their_captions_are_measured_in_each_way():
    told = lambda images, captions: np.array([len(caption) for caption in captions])[: len(images)]  # noqa: E731
    held = SimpleNamespace(images=torch.zeros(2, 1), captions=["aaaa", "aa"])
    laid = SimpleNamespace(held_out=held, fresh_captions=["a", "aaa", "aaaaa"])
    shown = {way: SimpleNamespace(images=torch.zeros(count, 1)) for way, count in
             ((generation.FRESH, 3), (generation.HELD_OUT, 2), (generation.KNOWN_MARK, 2))}  # fmt: skip
    from solidmark.metrics.utility import Utility

    judged = dict.fromkeys(shown, Utility(None, 0.0, 0.0, 0.0, 0.0, None, 0.0, None))
    found = generation._with_captions(SimpleNamespace(scores=told), laid, shown, judged)
    assert {way: one.clip for way, one in found.items()} == dict(zip(shown, (3.0, 3.0, 2.0), strict=True))
    assert {one.clip_real for one in found.values()} == {3.0}


# Whole cases


def losses(levels=(0.3, 0.5), **more):
    given = memorizer(LAID), LAID.marked_trained, LAID.mark
    return whitebox.denoising_loss(*given, seeds.torch_rng(0, "x"), levels, **more)


@pytest.mark.parametrize("levels", [(0.0,), (1.0,), (0.0, 1.0)])
def test_a_loss_is_taken_from_the_first_level_to_the_last(levels):
    assert losses(levels).evaluations.forward == 8 * len(levels)


@pytest.mark.parametrize("levels", [(), (-1e-9,), (1 + 1e-9,), (0.5, 2.0)])
def test_a_loss_beyond_the_schedule_is_refused(levels):
    with pytest.raises(InvalidValue, match=r"whitebox\.denoising_loss: found levels"):
        losses(levels)


@pytest.mark.parametrize("batch", [1, 3])
def test_a_loss_is_the_same_in_batches_of_any_size(batch):
    whole, found = losses(), losses(batch=batch)
    assert found.whole == pytest.approx(whole.whole)
    assert found.centre == pytest.approx(whole.centre)


@pytest.mark.parametrize(
    ("report", "share"),
    [
        ({}, None),
        ({"no_op": True}, 0.0),
        ({"no_op": True, "acted_on": 0.5}, 0.0),
        ({"no_op": False, "acted_on": 0.5}, 0.5),
        ({"acted_on": 1}, 1.0),
        ({"acted_on": "all"}, None),
    ],
)
def test_a_part_tells_on_which_share_it_acted(report, share):
    assert action.of_part(report) == share


@pytest.mark.parametrize(
    ("stages", "parts", "share"),
    [
        ([{"a": {"acted_on": 0.2}}, {"b": {"acted_on": 0.6}}], "ab", 0.6),
        ([{"a": {"acted_on": 0.2}}, {"b": {}}], "ab", None),
        ([{"a": {"acted_on": 0.2}}], "a", 0.2),
        ([{}], "", None),
        ([{}], "a", None),
    ],
)
def test_a_row_acts_on_the_largest_share_of_its_parts_where_all_tell(stages, parts, share):
    assert action.of_row(stages, [*parts]) == share


def built(**reported):
    return SimpleNamespace(reported=reported)


@pytest.mark.parametrize(
    ("reports", "doses", "parts", "no_op"),
    [
        ({"a": {"no_op": True}}, {}, "a", True),
        ({"a": {"acted_on": 0.0}}, {}, "a", True),
        ({"a": {"no_op": True}}, {}, "ab", False),
        ({"a": {"no_op": True}}, {"b": {"acted_on": 0}}, "ab", True),
        ({"a": {"no_op": True}}, {"b": {"acted_on": 0.1}}, "ab", False),
        ({}, {}, "", False),
        ({"a": {}}, {}, "a", False),
    ],
)
def test_a_row_is_idle_where_every_part_says_that_it_is(reports, doses, parts, no_op):
    case = SimpleNamespace(composition=SimpleNamespace(parts=[SimpleNamespace(label=part) for part in parts]))
    builds = {"training": built(**reports), "editing": built()}
    assert measure._no_op(case, builds, SimpleNamespace(doses=doses)) is no_op


@pytest.mark.parametrize(
    ("reports", "delta"),
    [
        ({}, 0.0),
        ({"a": {"delta": 1e-3}}, 0.0),
        ({"a": {"epsilon": 1.0}}, 0.0),
        ({"a": {"epsilon": 1.0, "delta": 1e-3}, "b": {"epsilon": 2.0, "delta": 1e-4}}, 1e-3),
        ({"a": {"epsilon": 1.0, "delta": 0.5}}, 1 / 16),
        ({"a": {"epsilon": 1.0, "delta": -1.0}}, 0.0),
        ({"a": {"epsilon": 0.0, "delta": 1e-3}}, 1e-3),
        ({"a": {"epsilon": 1.0, "delta": "small"}}, 0.0),
    ],
)
def test_a_claimed_delta_is_the_largest_beside_an_epsilon(reports, delta):
    assert measure._claimed_delta({"training": built(**reports)}, 16) == delta


@pytest.mark.parametrize(("moved", "changed"), [(pipeline.SAME, False), (1.01 * pipeline.SAME, True), (-0.5, True)])
def test_a_row_that_moves_a_key_by_more_than_rounding_changes_something(moved, changed):
    lead, baseline = (SimpleNamespace(keys=np.array([[0.0, 0.0], [0.0, x]])) for x in (moved, 0.0))
    assert measure.changes(lead, baseline) is changed


class Captions(Mitigation):
    """Changes captions."""

    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        return captions


class Told(Mitigation):
    """Needs captions and changes nothing."""

    needs = Needs.CAPTIONS


class Silent(Mitigation):
    """Does nothing."""


@pytest.mark.parametrize(("kind", "refused"), [(Captions, True), (Told, True), (Silent, False)])
def test_a_mitigation_of_captions_does_not_apply_where_there_are_none(kind, refused):
    measure.check_applicable(composed(kind()), SimpleNamespace(captioned=True))
    if refused:
        with pytest.raises(NotApplicable, match="a testbed without captions"):
            measure.check_applicable(composed(kind()), SimpleNamespace(captioned=False))
    else:
        measure.check_applicable(composed(kind()), SimpleNamespace(captioned=False))


def asked(names, faults=()):
    """A case whose queries answer by their name, or raise."""

    def ask(case, name, model, workspace, plain=None):
        if name in dict(faults):
            raise dict(faults)[name]
        return f"{name} after {plain}"

    return SimpleNamespace(leading=names[0], queries=[(name, None) for name in names]), ask


def test_queries_are_put_in_order_and_plain_generation_once(monkeypatch):
    fault, reason = PluginFault("query c", "x", "y", "z"), NotApplicable("query d", "x", "y", "z")
    case, ask = asked(["outpaint", "caption-only", "b", "c", "d"], {"c": fault, "d": reason}.items())
    monkeypatch.setattr(answers, "ask_or_load", ask)
    monkeypatch.setattr(answers, "ask_plainly", lambda case, model, workspace: "pictures")
    found = measure._ask_all(case, None, None)
    assert found.responses == {"outpaint": "outpaint after None", "caption-only": "pictures", "b": "b after pictures"}
    assert (found.broken, found.not_applicable) == ({"c": str(fault)}, {"d": str(reason)})
    led, _ = asked(["caption-only", "b"])
    assert measure._ask_all(led, None, None).responses["b"] == "b after caption-only after None"


def test_the_power_of_a_query_that_cannot_be_asked_is_none():
    power = {"a": answers.Power(Estimate(0.9, 0.8, 1.0)), "b": answers.Power(None)}
    told = measure._power(power)
    assert told["b"] is None
    assert (told["a"]["value"], told["a"]["low"], told["a"]["high"]) == (0.9, 0.8, 1.0)


def test_queries_of_the_service_are_those_without_the_weights():
    access = {"a": Access.BLACK_BOX, "b": Access.WHITE_BOX}
    case = SimpleNamespace(attack=lambda name: SimpleNamespace(access=access[name]))
    assert measure._through_service(case, {"a": 1, "b": 2}) == {"a": 1}


def test_a_case_without_queries_has_no_worst_one():
    assert measure._worst(None, None, {}, 0.0) is None


def test_half_of_a_training_has_every_second_row():
    blind, keys = SimpleNamespace(split=LAID), LAID.training_keys
    for half, ids in ((None, [*range(8)]), (0, [0, 2, 4, 6]), (1, [1, 3, 5, 7])):
        found = weights._training_set(SimpleNamespace(blind=blind, training_keys=keys, half=half))
        assert [LAID.training.ids.index(number) for number in found.examples.ids] == ids
        assert torch.equal(found.keys, keys[ids])
    bare = weights._training_set(SimpleNamespace(blind=blind, training_keys=None, half=1))
    assert bare.keys is None


def test_the_training_of_both_halves_counts(monkeypatch):
    halves = [(None, SimpleNamespace(cost={"forward": n, "backward": 10 * n, "seconds": 0.5})) for n in (1, 2)]
    monkeypatch.setattr(weights, "halves_or_load", lambda case, workspace: halves)
    own = {"forward": 100, "backward": 200, "seconds": 4.0, "encoded": 7}
    assert weights.training_cost(None, None, own) == {"forward": 103, "backward": 230, "seconds": 5.0, "encoded": 7}


@pytest.mark.parametrize(("free", "fits"), [(50_001, True), (49_999, False)])
def test_a_training_needs_the_room_that_its_testbed_states(monkeypatch, tmp_path, free, fits):
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda root: SimpleNamespace(free=free))
    case = SimpleNamespace(testbed=SimpleNamespace(stored_bytes=lambda: 50_001))
    workspace = SimpleNamespace(store=SimpleNamespace(root=tmp_path))
    if fits:
        weights._check_disk(case, workspace)
        return
    with pytest.raises(InvalidValue, match=r"0\.0 MB free; expected 0\.1 MB for the training"):
        weights._check_disk(case, workspace)


@pytest.mark.parametrize(
    ("evaluations", "block"),
    [
        (Evaluations(forward=3, backward=2), {"forward": 3, "backward": 2, "seconds": 1.5}),
        (Evaluations(forward=3, encoded=4), {"forward": 3, "backward": 0, "seconds": 1.5, "encoded": 4, "decoded": 0}),
        (Evaluations(decoded=5), {"forward": 0, "backward": 0, "seconds": 1.5, "encoded": 0, "decoded": 5}),
    ],
)
def test_work_of_an_autoencoder_is_told_where_there_is_some(evaluations, block):
    assert weights.work(evaluations, 1.5) == block


def test_a_label_of_the_store_says_what_it_is_of():
    parts = SimpleNamespace(at=lambda stage: SimpleNamespace(label=f"what acts at {stage.value}"))
    case = SimpleNamespace(testbed_name="digits", seed=3, composition=parts, marked=True, half=None)
    assert weights.label(case) == "digits, seed 3"
    assert weights.label(case, "agc(threshold=0.5)", "grid") == "digits, agc(threshold=0.5), grid, seed 3"
    assert weights._trained_label(case) == "digits, what acts at training, seed 3"
    case.marked, case.half = False, 1
    assert weights._trained_label(case) == "digits, what acts at training, without marks, half 1, seed 3"


class Stating:
    """A testbed that states what it expects."""

    least, trained, queried, mark, recipe, base, autoencoder = 0.5, 64, 64, "mark", "recipe", None, None
    solvers = {"fast": "fast solver"}  # noqa: RUF012 - as a testbed has it

    def load(self): ...
    def captions(self): ...
    def arrange(self): ...
    def base_examples(self): ...
    def base_keys(self): ...


def of(kind=Stating, leading="outpaint", solver="fast solver", **fields):
    testbed = kind()
    vars(testbed).update(fields)
    return SimpleNamespace(testbed=testbed, leading=leading, solver=solver)


@pytest.mark.parametrize(
    ("case", "least"),
    [
        (of(), 0.5),
        (of(leading="average"), None),
        (of(solver="slow"), None),
        (of(trained=32), None),
        (of(autoencoder="one"), None),
        (of(type("Sub", (Stating,), {})), 0.5),
        (of(type("Sub", (Stating,), {"load": lambda self: None})), None),
        (of(type("Sub", (Stating,), {"base_keys": lambda self: None})), None),
        (of(type("Sub", (Stating,), {"least": None})), None),
        (of(type("Sub", (Stating,), {"least": 0.7, "trained": 32})), 0.7),
    ],
)
def test_what_is_expected_of_a_baseline_holds_for_what_trains_alike(case, least):
    assert expected.least_memorization(case) == least


def test_a_lossy_autoencoder_is_told_with_its_limit():
    assert floor.faults({"key_error": 0.02}) == []
    (told,) = floor.faults({"key_error": 0.0251})
    assert told.startswith("autoencoder: encoding and decoding alone move a key by 0.025 in the mean, more than 0.02: ")


def test_a_file_of_images_has_a_row_a_query_and_image_and_a_few_pictures(tmp_path):
    laid, count = LAID, 8
    keys = torch.cat([laid.trained_keys, laid.held_out_keys]).double().numpy()
    found = replace(kept(), keys=np.clip(keys + 0.125, 0, 1), count=count, images=torch.zeros_like(laid.queried.images))
    block = per_image.write("case", laid, {"outpaint": found, "b": replace(found, images=None)}, tmp_path)
    assert block == {"path": "per_image/case.parquet", "rows": 48}
    table = pd.read_parquet(tmp_path / block["path"])
    assert table["query"].value_counts().to_dict() == {"outpaint": 24, "b": 24}
    first = table[table["query"] == "outpaint"]
    assert first["trained"].tolist() == [True] * 8 + [False] * 16
    assert first["forget"].tolist() == [index in set(laid.forget) for index in range(24)]
    assert np.stack(first["key"].to_list()) == pytest.approx(keys)
    assert np.stack(first["distance"].to_list()) == pytest.approx(np.abs(found.keys - keys))
    assert first["as_answered"].notna().tolist() == [True] * 6 + [False] * 2 + [True] * 3 + [False] * 13
    assert table[table["query"] == "b"]["as_answered"].isna().all()


def test_a_picture_is_stored_to_the_nearest_gray():
    levels = torch.tensor([0.0, 0.5, 0.499, 1.0]).reshape(1, 2, 2)
    found = Image.open(io.BytesIO(per_image._png(levels)))
    assert np.asarray(found).tolist() == [[0, 128], [127, 255]]
    assert Image.open(io.BytesIO(per_image._png(levels.expand(3, 2, 2)))).mode == "RGB"


def test_exchanged_names_are_all_that_another_model_differs_in():
    calls = []
    text = SimpleNamespace(exchange_classes=calls.append)
    twin = SimpleNamespace(frozen=lambda: twin, text=text)
    model = SimpleNamespace(copy=lambda: twin, config=SimpleNamespace(classes=tuple("abcdefgh")))
    assert sources.exchanged(model, 0) is twin
    assert sorted(calls[0]) == [*range(8)]
    assert calls[0] != [*range(8)]
