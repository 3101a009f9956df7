"""Pictures: what is done to each kind of image file, one test for each line of the table in `collection/pictures.py`."""

import io
import struct
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from collections_toys import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from solidmark.collection import pictures
from solidmark.collection.pictures import decode, encode, weight
from solidmark.errors import InvalidValue


def test_the_design_note_has_the_table_of_the_module():
    table = [line for line in pictures.__doc__.splitlines() if line.startswith("|")]
    note = (Path(__file__).parents[1] / "design" / "collection.md").read_text()
    assert len(table) > 10
    assert "\n".join(table) in note


def saved(image, kind="PNG", **options):
    """The bytes of a file."""
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(image, kind="PNG", **options):
    return decode(saved(image, kind, **options), "it")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("WEBP", {"lossless": True})])
def test_gray_and_colour_come_out_pixel_by_pixel(channels, kind, options):
    given_pixels = picture(1, channels=channels)
    found, done = decoded(given_pixels, kind, **options)
    assert done == ""
    assert np.array_equal(found if found.ndim == given_pixels.ndim else found[..., 0], given_pixels)


def test_a_jpeg_is_what_pillow_decodes():
    data = saved(picture(2), "JPEG")
    assert np.array_equal(decode(data, "it")[0], np.asarray(Image.open(io.BytesIO(data))))


def test_what_is_written_is_read_again():
    assert np.array_equal(decode(encode(picture(3)), "it")[0], picture(3))


def test_transparency_is_laid_on_white():
    image = np.dstack([picture(4), np.full((16, 16), 255, dtype=np.uint8)])
    image[0, 0, 3] = 0
    found, done = decoded(image)
    assert (found[0, 0].tolist(), done) == ([255, 255, 255], "laid on white")
    assert np.array_equal(found[1:], image[1:, :, :3])


def test_an_opaque_fourth_channel_is_dropped_without_a_word():
    image = np.dstack([picture(4), np.full((16, 16), 255, dtype=np.uint8)])
    assert decoded(image)[1] == ""


def test_gray_with_transparency_stays_gray():
    image = Image.merge("LA", [Image.fromarray(picture(5, channels=1)), Image.new("L", (16, 16), 0)])
    found, done = decoded(image)
    assert (found.shape, found.min(), done) == ((16, 16), 255, "laid on white")


def test_sixteen_bits_are_scaled_to_eight():
    wide = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    found, done = decoded(wide)
    assert np.array_equal(found.ravel(), np.arange(256))
    assert done == "16 bits scaled to 8"


def test_a_palette_gives_its_colours_and_its_transparent_colour_white():
    image = Image.fromarray(picture(6) // 128 * 255).convert("P", palette=Image.Palette.ADAPTIVE)
    plain, _ = decoded(image)
    clear, done = decoded(image, transparency=image.getpixel((0, 0)))
    assert plain[0, 0].tolist() == [*image.convert("RGB").getpixel((0, 0))]
    assert (clear[0, 0].tolist(), done) == ([255, 255, 255], "laid on white")


def test_black_and_white_is_gray():
    assert set(decoded(Image.fromarray(picture(7, channels=1)).convert("1"))[0].ravel().tolist()) == {0, 255}


def test_cmyk_is_rgb_by_pillows_formula():
    data = saved(Image.fromarray(picture(8)).convert("CMYK"), "JPEG")
    found, done = decode(data, "it")
    assert done == "from CMYK"
    assert np.array_equal(found, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_rotation_in_the_exif_data_is_applied():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the picture is on the right
    found, done = decoded(picture(9, height=16, width=24), exif=exif)
    assert np.array_equal(found, np.rot90(picture(9, height=16, width=24), -1))
    assert done == "turned upright"


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_of_an_animation_the_first_frame_is_taken(kind):
    frames = [Image.fromarray(picture(seed)) for seed in (10, 11)]
    lossless = {"lossless": True} if kind == "WEBP" else {}
    found, done = decoded(frames[0], kind, save_all=True, append_images=frames[1:], **lossless)
    assert np.array_equal(found, picture(10))
    assert done == "first of 2 frames"


def test_a_size_scales_the_shorter_side_and_keeps_the_middle():
    wide = np.zeros((16, 64, 3), dtype=np.uint8)
    wide[:, 24:40] = 200
    found, _ = decode(saved(wide), "it", size=16)
    assert found.shape == (16, 16, 3)
    assert (found == 200).all()


def claimed(width, height):
    """A small PNG that says it has so many pixels."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + head + struct.pack(">I", zlib.crc32(head))
    return saved(picture(12))[:8] + chunk + saved(picture(12))[33:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "an empty file"),
        (b"not an image", "no image of a known format"),
        (saved(picture(13))[:200], "a whole image"),
        (saved(picture(13, 64, 64), "JPEG")[:900], "a whole image"),
        (saved(picture(13), "GIF"), "Convert it to PNG"),
        (claimed(9000, 9000), "at most 64,000,000 pixels"),
        (claimed(60000, 60000), "at most 64,000,000 pixels"),
        (saved(picture(13, height=7)), "sides of at least 8"),
    ],
)
def test_what_will_not_do_is_refused_with_a_cure(data, message):
    with pytest.raises(InvalidValue, match=message):
        decode(data, "it")


@given(st.binary(max_size=60), st.integers(0, 400))
def test_no_damage_is_more_than_a_refusal(noise, place):
    data = bytearray(saved(picture(14)))
    data[place : place + len(noise)] = noise
    with suppress(InvalidValue):
        found, _ = decode(bytes(data), "it")
        assert found.dtype == np.uint8


def deep(wide, kind, key=()):
    """A PNG of 16 bits a channel, (H, W, C), written by hand: odd rows are stored as differences to the pixel before."""
    rows = wide.astype(">u2").reshape(len(wide), -1).view(np.uint8)
    pixel = 2 * wide.shape[2]
    stored = [row if y % 2 == 0 else row - np.r_[np.zeros(pixel, np.uint8), row[:-pixel]] for y, row in enumerate(rows)]
    parts = {b"IHDR": struct.pack(">IIBBBBB", wide.shape[1], len(wide), 16, kind, 0, 0, 0)}
    parts |= {b"tRNS": struct.pack(f">{len(key)}H", *key)} if key else {}
    parts |= {b"IDAT": zlib.compress(b"".join(bytes([y % 2]) + row.tobytes() for y, row in enumerate(stored))), b"IEND": b""}
    checked = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join(checked)


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bits_of_any_channels_are_scaled_to_the_nearest_of_eight(kind, channels):
    wide = np.random.default_rng(kind).integers(0, 65536, (9, 11, channels))
    colours = channels - (channels % 2 == 0)
    wide[..., colours:] = 65535
    found, done = decode(deep(wide, kind), "it")
    assert done == "16 bits scaled to 8"
    assert np.array_equal(found.reshape(9, 11, colours), np.round(wide[..., :colours] / 257))


@pytest.mark.parametrize(("kind", "channels"), [(0, 1), (2, 3)])
def test_a_colour_key_of_sixteen_bits_is_one_colour_alone(kind, channels):
    wide = np.full((8, 8, channels), 1000)
    wide[0, 0], wide[0, 1], wide[0, 3, 0] = 2000, 2001, 2000
    found, done = decode(deep(wide, kind, (2000,) * channels), "it")
    assert done == "16 bits scaled to 8, laid on white"
    assert found.reshape(8, 8, -1)[0, :4, 0].tolist() == [255, 8, 4, 255 if channels == 1 else 8]


def test_what_is_half_clear_in_sixteen_bits_is_laid_on_white_and_its_orientation_kept():
    wide = np.zeros((8, 9, 4), dtype=int)
    wide[..., 3] = 32896  # half
    found, done = decode(deep(wide, 6), "it", 8)
    assert (found.shape, found.max(), done) == (
        (8, 8, 3), 127, "16 bits scaled to 8, laid on white, scaled and cropped to 8 x 8",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "size", "bytes_"),
    [
        (Image.new("L", (20, 10)), None, 200),
        (Image.new("RGB", (20, 10)), None, 600),
        (Image.new("RGB", (20, 10)), 8, 192),
        (Image.new("I;16", (20, 10)), None, 200),
    ],
)
def test_an_image_weighs_its_pixels(tmp_path, image, size, bytes_):
    image.save(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    assert (weight(tmp_path / "a.png", size), weight(tmp_path / "b.png", size)) == (bytes_, 0)
