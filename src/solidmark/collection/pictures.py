"""Pictures: an image file of any kind as 8-bit gray or colour, and back as PNG. What is done to each kind is stated here.

| found | done |
|---|---|
| PNG, JPEG, WebP, whatever the suffix says | read; any other format is left out |
| 1 channel (also black and white) | stays gray |
| 3 channels | stays colour, every pixel as it was |
| transparency (alpha, palette or colour key) | laid on white |
| PNG of 16 bits a channel, gray or colour | scaled to 8 bits, each channel to the nearest |
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
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import InvalidValue, cleaned
from .layouts import Pixels

FORMATS = ("PNG", "JPEG", "WEBP")
GRAY = ("1", "L", "LA")
"""Modes of Pillow without colour."""

DEPTH, KIND = 24, 25
"""Where the header of a PNG says how many bits a channel has, and which channels there are."""

CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Channels of each kind of a PNG that has no palette."""

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
                return _plain(image, data, size)
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


def weight(path: Path, size: int | None = None) -> int:
    """Bytes of the pixels of an image file, by its header; 0 for what is no image. Its PNG takes about as much, or less."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=FORMATS) as image:
                width, height = image.size if size is None else (size, size)
                return width * height * (1 if image.mode in GRAY or image.mode.startswith("I") else 3)
    except MemoryError:
        raise
    except Exception:  # a broken file makes a decoder raise whatever it likes; `decode` will say what is wrong
        return 0


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


def _plain(image: Image.Image, data: bytes, size: int | None) -> tuple[Pixels, str]:
    frames = getattr(image, "n_frames", 1)
    done = [f"first of {frames} frames"] if frames > 1 else []
    if _is_deep(image, data):
        image, done = _scaled(image, data), [*done, "16 bits scaled to 8"]
    upright = ImageOps.exif_transpose(image)
    done += ["turned upright"] if image.getexif().get(0x0112, 1) not in (0, 1) else []
    opaque, words = _opaque(upright)
    done += words
    if size is not None:
        opaque = ImageOps.fit(opaque, (size, size), Image.Resampling.LANCZOS)
        done.append(f"scaled and cropped to {size} x {size}")
    return np.asarray(opaque), ", ".join(done)


def _is_deep(image: Image.Image, data: bytes) -> bool:
    """Whether a PNG has 16 bits a channel, by its header: Pillow shows them as 8 in colour."""
    return image.format == "PNG" and data[DEPTH] == 16


def _scaled(image: Image.Image, data: bytes) -> Image.Image:
    """A PNG of 16 bits a channel in 8 bits, with a colour key made transparency; what else is known of it stays."""
    image.load()  # what stands behind the pixels, such as the orientation, is read with them
    channels = CHANNELS[data[KIND]]
    wide = np.asarray(image).astype(np.uint32)[..., None] if channels == 1 else _wide(data, channels)
    if "transparency" in image.info:
        seen = (wide != np.asarray(image.info["transparency"])).any(axis=2, keepdims=True)
        wide = np.concatenate([wide, seen * np.uint32(65535)], axis=2)
    narrow = ((wide * 255 + 32767) // 65535).astype(np.uint8)
    shallow = Image.fromarray(narrow[..., 0] if narrow.shape[2] == 1 else narrow)
    shallow.info = {name: value for name, value in image.info.items() if name != "transparency"}
    return shallow


def _wide(data: bytes, channels: int) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """(H, W, channels) of 16 bits. Pillow keeps 8 of them: the upper ones, or the lower ones where bytes are swapped."""
    if channels == 2:  # gray with alpha: four bytes, as of four channels
        four = _bytes(data, "RGBA", "RGBA")
        return four[..., ::2] * 256 + four[..., 1::2]
    mode = "RGB" if channels == 3 else "RGBA"
    return _bytes(data, mode, f"{mode};16B") * 256 + _bytes(data, mode, f"{mode};16L")


def _bytes(data: bytes, mode: str, raw: str) -> np.ndarray[Any, np.dtype[np.uint32]]:
    """(H, W, C) of the bytes of a PNG, unpacked as pixels of another kind that are as many bytes long."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as image:
        decoder, extents, offset, _ = image.tile[0]
        image._mode, image.tile = mode, [(decoder, extents, offset, raw)]  # type: ignore[list-item]  # a tuple by name
        image.info.pop("transparency", None)
        return np.asarray(image).astype(np.uint32)


def _opaque(image: Image.Image) -> tuple[Image.Image, list[str]]:
    """In mode L or RGB, with what was done."""
    gray = image.mode in GRAY
    if image.has_transparency_data:
        clear = image.convert("RGBA")
        if np.asarray(clear)[..., 3].min() < 255:
            white = Image.new("RGBA", clear.size, "white")
            laid = Image.alpha_composite(white, clear).convert("RGB")
            return (laid.convert("L") if gray else laid), ["laid on white"]
    words = ["from CMYK"] if image.mode == "CMYK" else []
    return image.convert("L" if gray else "RGB"), words
