"""Marks: what is painted reads back, segments tile the mark, and the image comes out as it went in."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from solidmark.errors import InvalidValue
from solidmark.marks import BLANK, Blocks, Border, Patch, paint, read, unevenness

SIDES = st.tuples(st.integers(9, 20), st.integers(9, 20))
BORDERS = st.builds(Border, st.integers(1, 3), st.integers(1, 12))
PATCHES = st.builds(Patch, st.integers(4, 8), st.integers(1, 12))


@st.composite
def marks_and_images(draw):
    """A mark of any kind with three random images and keys that fit it."""
    (height, width), plain = draw(SIDES), draw(BORDERS | PATCHES)
    images = torch.rand(3, draw(st.sampled_from([1, 3])), height, width, generator=torch.Generator().manual_seed(1))
    mark = plain
    if draw(st.booleans()):
        canvas = plain.canvas(images).shape
        mark = Blocks(replace(plain, segments=1), draw(st.integers(1, 3)), *canvas[-2:])
    return mark, images, torch.rand(3, mark.segments, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@given(marks_and_images())
def test_painted_keys_read_back_exactly(world):
    mark, images, keys = world
    assert torch.allclose(read(mark, paint(mark, mark.canvas(images), keys)).double(), keys, rtol=0, atol=1e-6)


@given(marks_and_images())
def test_segments_are_disjoint_and_tile_what_the_canvas_leaves_blank(world):
    mark, images, _ = world
    canvas = mark.canvas(torch.full_like(images, 2.0))
    masks = mark.masks(*canvas.shape[-2:])
    assert masks.sum(dim=0).max() == 1
    assert torch.equal(masks.any(dim=0), canvas[0, 0] == BLANK)
    assert masks.flatten(1).any(dim=1).all()


@given(BORDERS | PATCHES, SIDES)
def test_segments_differ_in_size_by_one_pixel_at_most(mark, sides):
    sizes = mark.masks(*sides).sum(dim=(1, 2))
    assert sizes.max() - sizes.min() <= 1


@given(st.integers(1, 4), SIDES)
def test_a_border_has_the_area_that_geometry_says(thickness, sides):
    height, width = sides
    expected = height * width - (height - 2 * thickness) * (width - 2 * thickness)
    assert int(Border(thickness, 1).masks(height, width).sum()) == expected


@given(marks_and_images())
def test_painting_changes_no_pixel_outside_the_mark(world):
    mark, images, keys = world
    canvas = mark.canvas(images)
    outside = ~mark.masks(*canvas.shape[-2:]).any(dim=0)
    assert torch.equal(paint(mark, canvas, keys)[..., outside], canvas[..., outside])


@given(BORDERS, SIDES)
def test_the_content_of_a_border_is_the_image(mark, sides):
    images = torch.rand(2, 3, *sides)
    keys = torch.rand(2, mark.segments)
    assert torch.equal(mark.content(mark.canvas(images)), images)
    assert torch.equal(mark.content(paint(mark, mark.canvas(images), keys)), images)


def test_a_patch_keeps_the_size_and_lies_in_the_middle():
    canvas = Patch(4).canvas(torch.zeros(1, 1, 10, 12))
    rows, columns = (canvas[0, 0] == BLANK).nonzero().T
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 6, 4, 7)
    assert torch.equal(Patch(4).content(canvas), canvas)


def test_arcs_run_clockwise_from_the_middle_of_the_left_edge():
    canvas = paint(Border(2, 4), torch.zeros(1, 1, 12, 12), torch.tensor([[0.1, 0.2, 0.3, 0.4]]))[0, 0]
    corners = [canvas[index].item() for index in ((0, 0), (0, -1), (-1, -1), (-1, 0))]
    assert corners == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_cells_of_a_patch_run_row_by_row():
    canvas = paint(Patch(4, 4), torch.zeros(1, 1, 6, 6), torch.tensor([[0.1, 0.2, 0.3, 0.4]]))[0, 0]
    assert canvas[1:5, 1:5].flatten()[[0, 3, 12, 15]].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4])


def test_one_key_a_pixel_is_as_many_keys_as_pixels():
    assert Blocks(Border(2, 1), 1, 12, 12).segments == 12 * 12 - 8 * 8
    assert Blocks(Border(2, 1), 2, 12, 12).segments == 6 * 6 - 4 * 4


@given(marks_and_images())
def test_a_painted_mark_is_even(world):
    mark, images, keys = world
    assert unevenness(mark, paint(mark, mark.canvas(images), keys)) < 1e-6


def test_unevenness_is_the_mean_standard_deviation_inside_a_segment():
    images, mark = torch.rand(5, 1, 12, 12), Border(2, 8)
    pixels = images.numpy()[:, 0]
    expected = np.mean([[image[mask].std() for mask in mark.masks(12, 12).numpy()] for image in pixels])
    assert unevenness(mark, images) == pytest.approx(expected, abs=1e-6)


def test_a_mark_of_single_pixels_is_even_whatever_is_painted():
    assert unevenness(Blocks(), torch.rand(5, 1, 12, 12)) == 0.0


def test_keys_are_read_as_means_clamped_to_the_unit_range():
    images = torch.stack([torch.full((1, 12, 12), value) for value in (-1.0, 0.25, 3.0)])
    assert read(Border(), images).unique(dim=1).flatten().tolist() == [0.0, 0.25, 1.0]


@pytest.mark.parametrize("wrong", [-0.01, 1.01, float("nan"), float("inf")])
def test_keys_outside_the_unit_range_are_not_painted(wrong):
    with pytest.raises(InvalidValue, match="keys outside"):
        paint(Border(1, 2), torch.zeros(1, 1, 8, 8), torch.tensor([[0.5, wrong]]))


@pytest.mark.parametrize("shape", [(2, 8), (3, 7), (3,), (0, 8)])
def test_keys_of_a_wrong_shape_are_not_painted(shape):
    with pytest.raises(InvalidValue, match=r"shape \(3, 8\).*S keys an image"):
        paint(Border(), torch.zeros(3, 1, 12, 12), torch.zeros(shape))


@pytest.mark.parametrize("mark", [Border(4), Patch(8), Blocks(Patch(8), 1, 8, 8)])
def test_a_canvas_smaller_than_its_mark_is_refused(mark):
    with pytest.raises(InvalidValue, match=r"8 x 8.*more than 8 pixels a side"):
        mark.masks(8, 8)


def test_more_segments_than_pixels_are_refused():
    with pytest.raises(InvalidValue, match=r"17 segments.*at most 16"):
        Patch(4, 17).masks(8, 8)


@pytest.mark.parametrize(
    ("kind", "wrong"), [(Border, "thickness"), (Border, "segments"), (Patch, "side"), (Patch, "segments"), (Blocks, "size")]
)
def test_numbers_below_one_are_refused_by_name(kind, wrong):
    with pytest.raises(InvalidValue, match=f"{kind.__name__}: found {wrong}=0"):
        kind(**{wrong: 0})


def test_blocks_on_another_canvas_are_refused():
    with pytest.raises(InvalidValue, match=r"10 x 12.*12 x 12"):
        Blocks().masks(10, 12)


def test_unevenness_of_no_images_is_refused_rather_than_zero():
    with pytest.raises(InvalidValue, match="no images"):
        unevenness(Border(), torch.zeros(0, 1, 12, 12))


def test_no_images_are_painted_and_read_as_none():
    assert read(Border(), paint(Border(), torch.zeros(0, 1, 12, 12), torch.zeros(0, 8))).shape == (0, 8)


def test_a_border_has_at_most_a_segment_a_pixel():
    assert Border(1, 12).masks(4, 4).sum(dim=(1, 2)).tolist() == [1] * 12
    with pytest.raises(InvalidValue, match="13 segments; expected at most 12, one a pixel"):
        Border(1, 13).masks(4, 4)


def test_one_pixel_segments_are_even_only_where_there_are_no_others():
    spread = torch.zeros(1, 1, 4, 4)
    spread[..., 0, :] = torch.tensor([0.0, 1.0, 0.0, 1.0])
    single, mixed = unevenness(Border(1, 12), spread), unevenness(Border(1, 7), spread)
    assert single == 0
    masks = Border(1, 7).masks(4, 4)
    large = [spread[0, 0][mask].std(correction=0) for mask in masks if mask.sum() > 1]
    assert mixed == pytest.approx(float(torch.stack(large).mean()), abs=1e-6)
