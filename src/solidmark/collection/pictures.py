"""Pictures: an image file of any kind as 8-bit gray or colour, and back as PNG. What is done to each kind is stated here.

| found | done |
|---|---|
| PNG, JPEG, WebP, whatever the suffix says | read; any other format is left out |
| 1 channel (also black and white) | stays gray |
| 3 channels | stays colour, every pixel as it was |
| transparency (alpha, palette or colour key) | laid on white |
| 16 bits a channel | scaled to 8 bits |
| palette | its colours |
| CMYK | RGB by Pillow's formula, without colour profiles |
| rotation in the EXIF data | applied |
| EXIF data, colour profile, text | not kept |
| several frames or pictures | the first |
| more than 64 million pixels | left out, before it is decoded |
| a side under 8 pixels | left out |
| truncated, empty, broken | left out |
"""

from __future__ import annotations

import io
import warnings

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InvalidValue, cleaned
from .layouts import Pixels

FORMATS = ("PNG", "JPEG", "WEBP")
LARGEST = 64_000_000
"""Pixels of an image; decoded it takes three bytes each, and a small file can claim billions."""

SMALLEST = 8
"""Pixels of a side: below, a border of one pixel is most of the picture."""


def decode(data: bytes, where: str, size: int | None = None) -> tuple[Pixels, str]:
    """The picture, and what was done to it in words ("" for nothing).

    `size` makes it a square of that many pixels: the shorter side is scaled to it, the middle is kept.
    Raises InvalidValue, with the cure, for what the table above leaves out.
    """
    if not data:
        raise InvalidValue(where, "an empty file", "an image", "Fetch the file again.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the limit below is ours; odd EXIF data is not kept
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _check_size(image.size, where)
                return _plain(image, size)
    except InvalidValue:
        raise
    except Image.DecompressionBombError as cause:
        raise InvalidValue(where, f"{cause}", f"at most {LARGEST:,} pixels", "Scale the image down.") from cause
    except UnidentifiedImageError as cause:
        expected = f"one of {', '.join(FORMATS)}"
        raise InvalidValue(where, "a file that is no image of a known format", expected, "Convert it to PNG.") from cause
    except MemoryError:
        raise
    except Exception as cause:  # a broken file makes a decoder raise whatever it likes
        found = cleaned(f"{type(cause).__name__}: {cause}")
        raise InvalidValue(where, found, "a whole image", "Fetch the file again.") from cause


def encode(picture: Pixels) -> bytes:
    """The picture as PNG, which loses nothing."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def as_colour(picture: Pixels) -> Pixels:
    """(H, W, 3), as a training in RGB sees it."""
    return np.repeat(picture[..., None], 3, axis=2) if picture.ndim == 2 else picture


def as_gray(picture: Pixels) -> Pixels:
    """(H, W), as a training in gray sees it; a gray picture that was made colour is as it was."""
    return np.asarray(Image.fromarray(as_colour(picture)).convert("L"))


def _check_size(size: tuple[int, int], where: str) -> None:
    width, height = size
    if width * height > LARGEST:
        raise InvalidValue(where, f"{width} x {height} pixels", f"at most {LARGEST:,} pixels", "Scale the image down.")
    if min(size) < SMALLEST:
        raise InvalidValue(where, f"{width} x {height} pixels", f"sides of at least {SMALLEST}", "Leave it away.")


def _plain(image: Image.Image, size: int | None) -> tuple[Pixels, str]:
    frames = getattr(image, "n_frames", 1)
    done = [f"first of {frames} frames"] if frames > 1 else []
    upright = ImageOps.exif_transpose(image)
    done += ["turned upright"] if image.getexif().get(0x0112, 1) not in (0, 1) else []
    opaque, words = _opaque(upright)
    done += words
    if size is not None:
        opaque = ImageOps.fit(opaque, (size, size), Image.Resampling.LANCZOS)
        done.append(f"scaled and cropped to {size} x {size}")
    return np.asarray(opaque), ", ".join(done)


def _opaque(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """In mode L or RGB, with what was done."""
    if image.mode.startswith("I"):
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray(((wide * 255 + 32767) // 65535).clip(0, 255).astype(np.uint8)), ["16 bits scaled to 8"]
    gray = image.mode in ("1", "L", "LA")
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        if np.asarray(clear)[..., 3].min() < 255:
            white = Image.new("RGBA", clear.size, "white")
            laid = Image.alpha_composite(white, clear).convert("RGB")
            return (laid.convert("L") if gray else laid), ["laid on white"]
    words = ["from CMYK"] if image.mode == "CMYK" else []
    return image.convert("L" if gray else "RGB"), words
