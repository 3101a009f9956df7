"""Layouts: the pixels and numbers of `marks`, in 8 bits and for any size."""

import numpy as np
import pytest
import torch
from collections_toys import picture

from solidmark import marks
from solidmark.collection.layouts import fitting
from solidmark.errors import InvalidValue


def tensor(pixels):
    return torch.from_numpy(np.atleast_3d(pixels).copy()).permute(2, 0, 1)[None].double() / 255


@pytest.mark.parametrize("channels", [1, 3])
def test_a_border_is_that_of_marks(channels):
    image, keys = picture(1, 40, 33, channels), np.random.default_rng(0).uniform(size=8)
    layout, mark = fitting(40, 33, 8, 3), marks.Border(3, 8)
    ours = layout.paint(layout.canvas(image), keys)
    theirs = marks.paint(mark, mark.canvas(tensor(image)), torch.from_numpy(keys)[None])
    assert np.array_equal(tensor(ours) * 255, (theirs * 255).round())
    assert np.allclose(layout.read(ours), marks.read(mark, tensor(ours))[0].numpy(), rtol=0, atol=1e-12)


def test_keys_read_back_to_half_a_step_of_gray():
    layout, keys = fitting(16, 16, 8), np.linspace(0, 1, 8)
    assert np.abs(layout.read(layout.paint(layout.canvas(picture(1)), keys)) - keys).max() <= 0.5 / 255 + 1e-12


def test_round_the_image_every_pixel_stays_and_inside_all_but_the_border():
    for inside in (False, True):
        layout = fitting(48, 32, 8, inside=inside)
        painted = layout.paint(layout.canvas(picture(2, 48, 32)), np.zeros(8))
        kept = picture(2, 48, 32)[layout.content] if inside else picture(2, 48, 32)
        assert np.array_equal(painted[layout.content], kept)
        assert painted.shape[:2] == ((48, 32) if inside else (52, 36))


def test_the_border_is_a_sixteenth_of_the_shorter_side_as_published():
    assert fitting(256, 300, 8).thickness == 16
    assert fitting(8, 8, 8).thickness == 1


@pytest.mark.parametrize(
    ("thickness", "segments", "message"), [(8, 8, "Thin the border"), (1, 61, "Change the number of keys")]
)
def test_a_border_that_does_not_fit_is_refused(thickness, segments, message):
    with pytest.raises(InvalidValue, match=message):
        fitting(16, 16, segments, thickness, inside=True)


def test_a_picture_of_another_size_is_not_read():
    with pytest.raises(InvalidValue, match=r"expected \(18, 18\)"):
        fitting(16, 16, 8).read(picture(1, 17, 18))
