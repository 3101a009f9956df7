"""Who is who in a split: every image of a small testbed is traced back to its place in the data."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from solidmark import plugins, seeds
from solidmark.errors import InvalidValue
from solidmark.marks import Border
from solidmark.measurement.case import Case
from solidmark.mitigation.composition import Composition
from solidmark.models import build
from solidmark.testbed import JUDGED, Labelled, Testbed, _balanced, _distinct, _few

COUNT = 400
DATA = torch.rand((COUNT, 1, 6, 6), generator=torch.Generator().manual_seed(1))


@dataclass(frozen=True)
class Traced(Testbed):
    """400 images of three classes, captioned by class and a number that is never drawn twice."""

    trained: int = 30
    queried: int = 24
    held_out: int = 40
    generated: int = 20
    mark: Border = Border(1, 4)
    captioned: bool = False

    def load(self):
        captions = tuple(f"given {index}" for index in range(COUNT)) if self.captioned else None
        return Labelled(DATA, np.arange(COUNT) % 3, 0, captions)

    def captions(self, labels, rng):
        return [f"{label} {number}" for label, number in zip(labels, rng.permutation(10**6)[: len(labels)])]


class Judgeless(Traced):
    has_judge = False


PLACE = {tuple(image.flatten().tolist()): index for index, image in enumerate(DATA)}


def places(images):
    """Where images stand in the data."""
    return [PLACE[tuple(image.flatten().tolist())] for image in images]


ORDER = places(_distinct(Traced()).images)
"""The data in the order of all seeds, the judge's first."""


def test_the_parts_have_their_sizes_and_no_image_in_common():
    laid = Traced().split(0)
    parts = [laid.training.images, laid.held_out.images, laid.calibration.images, laid.other_reference]
    # 330 are left: a quarter, but no more than are held out, twice; the judge has the rest
    assert [len(part) for part in parts] == [30, 40, 40, 40]
    judged = ORDER[: 400 - 70 - 80]
    assert len(set(judged).union(*map(places, parts))) == COUNT
    assert places(laid.trained.images) == places(laid.training.images)[:24]
    assert (len(laid.forget), laid.seed, laid.left_out) == (6, 0, 0)
    assert laid.forget == sorted(set(laid.forget))
    assert max(laid.forget) < 24


def test_each_image_has_the_caption_and_label_of_its_class():
    laid = Traced().split(3)
    for part in (laid.training, laid.held_out, laid.calibration):
        assert [int(caption.split()[0]) for caption in part.captions] == [place % 3 for place in places(part.images)]
    assert laid.held_out_labels.tolist() == [place % 3 for place in places(laid.held_out.images)]
    assert laid.fresh_labels.tolist() == [0, 1, 2] * 6 + [0, 1]
    assert [int(caption.split()[0]) for caption in laid.fresh_captions] == laid.fresh_labels.tolist()
    assert [sum(place % 3 == label for place in places(laid.training.images)) for label in range(3)] == [10, 10, 10]


def test_identities_are_distinct_and_calibration_images_count_from_below():
    laid = Traced().split(0)
    ids = [*laid.training.ids, *laid.held_out.ids]
    assert len(set(ids)) == 70
    assert min(ids) >= 0
    assert max(ids) < 700
    assert laid.calibration.ids == list(range(-40, 0))


def test_given_captions_go_with_their_images():
    laid = Traced(captioned=True).split(0)
    for part in (laid.training, laid.held_out, laid.calibration):
        assert part.captions == [f"given {place}" for place in places(part.images)]
    asked = [int(caption.split()[1]) for caption in laid.fresh_captions]
    assert laid.fresh_labels.tolist() == [place % 3 for place in asked]
    spare = {*places(laid.calibration.images), *places(laid.other_reference)}
    assert set(asked) <= spare
    assert Traced(captioned=True).base_examples().captions[:2] == [f"given {place}" for place in ORDER[:2]]


def test_keys_are_drawn_from_a_stream_of_their_own_each():
    laid = Traced().split(2)
    for found, count, purpose in (
        (laid.training_keys, 30, "keys"),
        (laid.held_out_keys, 40, "held-out keys"),
        (laid.other_keys, 24, "other keys"),
    ):
        assert found.shape == (count, 4)
        again = Traced()._keys(count, 2, purpose)
        assert torch.equal(found, again)
        assert not torch.equal(found, Traced()._keys(count, 3, purpose))
    assert torch.equal(laid.trained_keys, laid.training_keys[:24])
    assert Traced().base_keys(3, 0) is None


def test_a_base_is_trained_on_the_images_of_the_judge():
    made = Traced().base_examples()
    assert places(made.images) == ORDER[:250]
    assert made.ids == list(range(250))
    assert [int(caption.split()[0]) for caption in made.captions] == [place % 3 for place in ORDER[:250]]


def test_a_judge_learns_from_its_own_images_and_there_is_none_where_none_is_wanted():
    judge = Traced().judge()
    assert judge is not None
    assert judge is Traced().judge()
    assert Judgeless().judge() is None
    assert [len(part.images) for part in (Judgeless().split(0).calibration, Judgeless().base_examples())] == [40, 0]


@pytest.mark.parametrize(
    ("kind", "total", "sizes"),
    [
        (Traced, 70 + 164, (40, 84)),
        (Traced, 70 + 164 - 1, None),
        (Traced, 70 + 180, (40, 100)),
        (Traced, 70 + 132, (33, 66)),
        (Judgeless, 70 + 80, (40, 0)),
        (Judgeless, 70 + 50, (25, 0)),
    ],
)
def test_what_is_left_is_shared_between_calibration_reference_and_judge(kind, total, sizes):
    labelled = Labelled(DATA[:1].expand(total, -1, -1, -1), np.zeros(total, dtype=np.int64))
    if sizes is None or (sizes[1] and sizes[1] < 100):
        with pytest.raises(InvalidValue, match="30 trained, 40 held out and 132 others"):
            kind()._sizes(labelled)
    else:
        assert kind()._sizes(labelled) == sizes


def test_the_judge_takes_no_more_than_it_needs():
    many = Labelled(DATA[:1].expand(5000, -1, -1, -1), np.zeros(5000, dtype=np.int64))
    assert Traced()._sizes(many) == (40, JUDGED)


@pytest.mark.parametrize(
    ("numbers", "queries", "forgetting", "found"),
    [
        ({"trained": 6}, 2, False, None),
        ({"trained": 5}, 2, False, "5 queried images and 2 queries; expected at least 6 images"),
        ({"trained": 3}, 1, False, None),
        ({"queried": 5}, 3, False, "5 queried images and 3 queries"),
        ({"forget_share": 0.25}, 2, True, None),
        (
            {"forget_share": 0.2},
            2,
            True,
            "a forget list of 5 of 24 images and 2 queries; expected at least 6 images on the list",
        ),
        ({"forget_share": 0.2}, 2, False, None),
        ({"forget_share": 0.125}, 1, True, None),
        ({"forget_share": 0.1}, 1, True, "a forget list of 2 of 24 images and 1 query; expected at least 3 images"),
        ({"forget_share": 0.875}, 1, True, None),
        ({"forget_share": 0.9}, 1, True, "a forget list of 22 of 24 images and 1 query"),
        ({"forget": (0, 1, 2)}, 1, True, None),
        ({"forget": (0, 1, 2)}, 2, True, "a forget list of 3 of 24 images and 2 queries"),
    ],
)
def test_rows_have_enough_images_for_their_queries(numbers, queries, forgetting, found):
    made = Traced(**numbers)
    if found is None:
        made.check_rows(queries, forgetting=forgetting)
        return
    with pytest.raises(InvalidValue, match=found):
        made.check_rows(queries, forgetting=forgetting)


@pytest.mark.parametrize(("share", "count"), [(0.01, 1), (0.25, 6), (0.5, 12), (0.99, 23)])
def test_a_forget_list_has_its_share_of_the_queried_images_at_least_one_and_not_all(share, count):
    assert len(Traced(forget_share=share).split(0).forget) == count
    assert Traced(forget=(3, 1, 2)).split(0).forget == [1, 2, 3]


@pytest.mark.parametrize(
    ("indices", "words"), [([1], "1"), ([1, 2, 3, 4, 5], "1, 2, 3, 4, 5"), ([*range(6)], "0, 1, 2, 3, 4, ...")]
)
def test_five_indices_are_named(indices, words):
    assert _few(indices) == words


def test_classes_come_in_turn():
    labels = np.array([0, 0, 0, 1, 2, 2])
    assert _balanced(labels, 4, np.arange(6) + 10).tolist() == [10, 13, 14, 11]


def test_a_subclass_may_repeat_images_in_training_alone():
    class Twice(Traced):
        def arrange(self, trained, keys, seed):
            return trained.take([*range(30), *range(5)]), torch.cat([keys, keys[:5]])

    laid, plain = Twice().split(0), Traced().split(0)
    assert (len(laid.training.images), len(laid.trained.images)) == (35, 24)
    assert torch.equal(laid.training_keys[30:], plain.training_keys[:5])
    assert torch.equal(laid.trained_keys, plain.trained_keys)


def test_a_testbed_takes_the_weights_of_its_network_unless_it_says_otherwise():
    made = replace(Traced(), trained=10)
    assert made.outlook(1, 1, 1.0, made.solvers["fast"], "cpu") == []
    weights = build(made.recipe.network, torch.Generator()).state().values()
    assert made.stored_bytes() == sum(tensor.nbytes for tensor in weights)
    assert seeds.numpy_rng(0, "a").random() != seeds.numpy_rng(0, "b").random()


def test_the_first_split_of_the_digits_is_that_of_the_published_records():
    laid = plugins.testbed("digits")[1].split(0)
    for keys, drawn in (
        (laid.trained_keys, [0.8849, 0.9809, 0.8773]),
        (laid.held_out_keys, [0.4467, 0.4986, 0.0824]),
        (laid.other_keys, [0.7123, 0.5849, 0.9749]),
    ):
        assert keys[0, :3].tolist() == pytest.approx(drawn, abs=1e-4)
    assert (laid.trained.ids[:3], laid.held_out.ids[:3], laid.forget[:4]) == (
        [941, 444, 2223],
        [2958, 3056, 3173],
        [0, 3, 5, 8],
    )
    assert laid.trained.captions[:2] == ["four w240 w222", "two w318 w324"]
    assert (laid.held_out.captions[0], laid.calibration.captions[0]) == ("two w162 w170", "six w9 w134")
    assert laid.fresh_captions[:2] == ["zero w169 w102", "one w440 w236"]
    sums = [float(part.sum()) for part in (laid.trained.images, laid.calibration.images, laid.other_reference)]
    assert sums == pytest.approx([1252.25, 5032.8125, 4956.0])


def test_the_identity_of_the_baseline_is_that_of_earlier_versions():
    bed, outpaint = plugins.testbed("digits")[1], plugins.instance("solidmark.queries", "query", "outpaint")
    asked = Case("digits", bed, Composition(), 0, (("outpaint", outpaint),), bed.solvers["fast"])
    assert asked.case_id == "31a7d28a8c97ac05"
    others = [replace(asked, seed=1), replace(asked, testbed_name="other"), replace(asked, solver=bed.solvers["ddim"])]
    others += [replace(asked, testbed=replace(bed, held_out=64)), replace(asked, queries=(("other", outpaint),))]
    others += [replace(asked, composition=plugins.compose("rna"))]
    assert len({one.case_id for one in (asked, *others)}) == 7
