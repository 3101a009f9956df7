"""What an export hands out beside the weights: the marked images of a testbed, and the ledger of their keys."""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

import numpy as np
from torch import Tensor

from ..collection import ledger, pictures
from ..collection.layouts import Layout, Pixels
from ..collection.ledger import HELD_OUT, Head, Ledger, Part, Row
from ..data import Examples
from ..errors import InvalidValue, NotApplicable
from ..marks import Border
from ..testbed import Testbed

PUBLIC = "00" * 32
"""In the place of the secret: the keys of a testbed follow from its seed, which everybody knows."""

MADE = "1970-01-01T00:00:00Z"
"""In the place of the time of marking, which means nothing here: one seed always gives the same files."""


@contextmanager
def whole(into: Path) -> Iterator[Path]:
    """A new folder beside `into`, which takes its name at the end, or is removed where something raises.

    Raises InvalidValue where the disk refuses.
    """
    work = into.with_name(f".{into.name}.{uuid.uuid4().hex}")
    try:
        work.mkdir(parents=True)
        yield work
        work.rename(into)  # also over an empty folder
    except OSError as cause:
        cure = "Free some space, or choose another folder."
        raise InvalidValue(str(into), f"{cause}", "room and permission to write", cure) from cause
    finally:
        shutil.rmtree(work, ignore_errors=True)


def write(testbed: Testbed, seed: int, images: Path, folder: Path) -> Ledger:
    """Write the marked images of a seed, each once, and their ledger, as `solidmark mark` would: it can be measured.

    Raises NotApplicable for a mark that is no border, which no ledger describes.
    """
    if not isinstance(testbed.mark, Border):
        found = type(testbed.mark).__name__
        raise NotApplicable("an export", f"the mark {found}", "a border", "Choose a testbed with a border.")
    truth, rows = testbed.split(seed), Rows(testbed.mark, {"trained": images, "held-out": folder / HELD_OUT})
    rows.add("trained", truth.training, truth.training_keys)
    rows.add("held-out", truth.held_out, truth.held_out_keys)
    share = len(truth.held_out) / (len(truth.held_out) + len(truth.trained))
    head = Head(PUBLIC, PUBLIC, share, testbed.mark.segments, False, None, MADE, metadata.version("solidmark"))
    made = Ledger(head, tuple(rows.rows))
    ledger.save(folder, made)
    return made


class Rows:
    """The rows of a ledger, and the marked files and tables of both splits, as they are written."""

    def __init__(self, mark: Border, folders: dict[Part, Path]) -> None:
        self.mark, self.folders, self.rows = mark, folders, list[Row]()
        self._first: dict[str, int] = {}

    def add(self, part: Part, examples: Examples, keys: Tensor) -> None:
        """Write the images of a split with their keys, (N, S), and a table of captions beside them."""
        self.folders[part].mkdir(parents=True)
        with (self.folders[part] / "metadata.jsonl").open("w", encoding="utf-8") as table:
            for image, caption, drawn in zip(examples.images, examples.captions, keys.tolist(), strict=True):
                row = self._row(part, _pixels(image), caption, tuple(drawn))
                if row.copy_of is None:
                    table.write(json.dumps({"file_name": row.marked, "text": caption}) + "\n")
                self.rows.append(row)

    def _row(self, part: Part, image: Pixels, caption: str, keys: tuple[float, ...]) -> Row:
        thickness, source = self.mark.thickness, hashlib.sha256(image.tobytes()).hexdigest()
        height, width = (side + 2 * thickness for side in image.shape[:2])
        layout = Layout(height, width, thickness, self.mark.segments)
        content, name = pictures.encode(layout.paint(layout.canvas(image), np.array(keys))), f"{source[:16]}.png"
        number = len(self.rows)
        first = self._first.setdefault(source, number)
        if first == number:
            (self.folders[part] / name).write_bytes(content)
        return Row(
            number=number,
            source=name,
            source_sha256=source,
            marked=name,
            marked_sha256=hashlib.sha256(content).hexdigest(),
            split=part,
            caption=caption,
            keys=keys,
            height=height,
            width=width,
            thickness=thickness,
            colour=image.ndim == 3,
            copy_of=None if first == number else first,
            done="",
        )


def _pixels(image: Tensor) -> Pixels:
    """An image, (C, H, W) in [0, 1], as 8-bit gray or colour."""
    rounded = (image * 255).round().byte().numpy()
    return np.ascontiguousarray(rounded[0] if len(rounded) == 1 else rounded.transpose(1, 2, 0))
