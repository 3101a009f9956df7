"""Data: images, captions and ids stay together, duplicates are found, and only declared parts are handed out."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from worlds import examples

from solidmark import Needs
from solidmark.data import Examples, distinct, join
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation.handout import Data
from solidmark.models import Recipe

PARTS = {
    "calibration": Needs.CALIBRATION,
    "forget": Needs.FORGET,
    "retain": Needs.FORGET,
    "training_images": Needs.TRAINING_IMAGES,
    "base_model": Needs.BASE_MODEL,
}


@pytest.mark.parametrize(
    ("images", "captions", "ids"), [(3, 2, 2), (2, 3, 2), (2, 2, 3), (0, 1, 1)], ids=["images", "captions", "ids", "none"]
)
def test_counts_that_differ_are_all_named(images, captions, ids):
    with pytest.raises(InvalidValue, match=rf"{images} images of shape .*, {captions} captions, {ids} ids"):
        Examples(torch.zeros(images, 1, 4, 4), [""] * captions, list(range(ids)))


@pytest.mark.parametrize("shape", [(2,), (2, 4, 4), (2, 1, 1, 4, 4)])
def test_images_without_channel_height_and_width_are_refused(shape):
    with pytest.raises(InvalidValue, match=r"\(N, C, H, W\)"):
        Examples(torch.zeros(shape), ["", ""], [0, 1])


def test_no_examples_are_examples():
    assert len(examples(3).take([])) == 0


@given(st.lists(st.integers(0, 5), max_size=9), st.booleans())
def test_taking_keeps_image_caption_and_id_together_in_the_order_asked_for(indices, as_tensor):
    from_all = examples(6)
    taken = from_all.take(torch.tensor(indices, dtype=torch.long) if as_tensor else indices)
    assert taken.ids == indices
    assert taken.captions == [f"one w{index}" for index in indices]
    assert all(torch.equal(image, from_all.images[index]) for image, index in zip(taken.images, indices, strict=True))


def test_indices_beyond_the_last_are_an_error():
    with pytest.raises(IndexError):
        examples(3).take([3])


@pytest.mark.parametrize("mask", [torch.tensor([True, False, True]), [True, False, True], np.array([True, False, True])])
def test_a_mask_is_not_taken_for_indices(mask):
    with pytest.raises(InvalidValue, match=r"Examples\.take.*indices"):
        examples(3).take(mask)


def test_other_images_keep_captions_and_ids_and_leave_the_first_as_they_were():
    first = examples(3)
    changed = first.with_images(torch.zeros(3, 1, 16, 16))
    assert (changed.captions, changed.ids) == (first.captions, first.ids)
    assert changed.images.shape[-1] == 16
    assert first.images.shape[-1] == 12


def test_images_of_another_number_are_refused():
    with pytest.raises(InvalidValue, match="2 images"):
        examples(3).with_images(torch.zeros(2, 1, 12, 12))


@given(st.lists(st.integers(0, 6), max_size=4))
def test_what_was_cut_into_parts_is_joined_again(cuts):
    whole = examples(6)
    edges = [0, *sorted(cuts), 6]
    joined = join(whole.take(range(a, b)) for a, b in pairwise(edges))
    assert torch.equal(joined.images, whole.images)
    assert (joined.captions, joined.ids) == (whole.captions, whole.ids)


@given(st.lists(st.integers(0, 4), min_size=1, max_size=12))
def test_of_equal_images_the_first_is_distinct(kinds):
    images = torch.rand(5, 1, 3, 3, generator=torch.Generator().manual_seed(0))[kinds]
    assert distinct(images) == sorted({kind: kinds.index(kind) for kind in kinds}.values())


@pytest.mark.parametrize(("apart", "left"), [(0.0, [0]), (0.02, [0]), (0.05, [0, 1])])
def test_of_images_that_are_nearly_equal_the_first_is_distinct(apart, left):
    image = torch.rand(1, 1, 8, 8)
    assert distinct(torch.cat([image, image + apart])) == left


def test_an_image_near_one_that_was_left_out_stays():
    """A chain: the second is near the first and left out; the third is near the second alone."""
    image = torch.rand(1, 1, 8, 8)
    assert distinct(torch.cat([image, image + 0.02, image + 0.04])) == [0, 2]


def test_of_no_images_none_is_distinct():
    assert distinct(torch.zeros(0, 1, 8, 8)) == []


@pytest.mark.parametrize(("name", "need"), PARTS.items())
def test_a_part_is_handed_out_where_its_need_is_declared(name, need):
    part = examples(2)
    assert getattr(Data(need, "mine", **{name: part}), name) is part


@pytest.mark.parametrize(("name", "need"), PARTS.items())
def test_undeclared_a_part_is_refused_naming_mitigation_part_and_declaration(name, need):
    others = Needs.FORGET | Needs.TRAINING_IMAGES | Needs.CALIBRATION | Needs.BASE_MODEL
    with pytest.raises(InvalidValue, match=rf"mitigation mine, data\.{name}.*`needs = Needs\.{need.name}`"):
        getattr(Data(others & ~need, "mine", **{name: examples(2)}), name)


@pytest.mark.parametrize(("name", "need"), PARTS.items())
def test_a_part_that_the_testbed_lacks_is_reported_as_such(name, need):
    with pytest.raises(NotApplicable, match=rf"data\.{name}: found none on this testbed"):
        getattr(Data(need, "mine"), name)


def test_the_recipe_of_the_training_is_told_to_edits_alone():
    assert Data(Needs.NOTHING, "test", recipe=Recipe(batch=7)).recipe.batch == 7
    with pytest.raises(InvalidValue, match=r"data\.recipe: found none outside an edit"):
        _ = Data(Needs.NOTHING, "test").recipe
