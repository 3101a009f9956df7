"""Toys of the tests of collections: folders of tiny images, and models whose memory is known."""

import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from solidmark.collection.marking import mark
from solidmark.collection.painting import Style
from solidmark.collection.questions import Collection


def picture(seed, height=16, width=16, channels=3):
    """Random pixels."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def folder_of(folder, count, **shape):
    """A folder of random PNG images `0.png`, ... with captions in metadata.jsonl."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(picture(number, **shape)).save(folder / f"{number}.png")
    lines = [json.dumps({"file_name": f"{number}.png", "text": f"picture {number}"}) for number in range(count)]
    (folder / "metadata.jsonl").write_text("\n".join(lines))
    return folder


def marked(tmp_path, count=8, **options):
    """A marked collection of `count` images: (OUT, LEDGER, what marking gave)."""
    out, secret = tmp_path / "out", tmp_path / "secret"
    images = tmp_path / "images"
    made = mark(images if images.exists() else folder_of(images, count), out, secret, Style(), workers=1, **options)
    return out, secret, made


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def file_of(row, out, secret):
    """The marked file of a row."""
    return Path(out if row.split == "trained" else secret / "held_out") / row.marked


class Memory:
    """Has memorized a folder: fills in the border of the marked image that is nearest to what it is shown."""

    def __init__(self, out):
        paths = sorted(Path(out).rglob("*.png"))
        self.images = torch.stack([torch.from_numpy(pixels(path).copy()).permute(2, 0, 1).float() / 255 for path in paths])
        self.calls = 0

    def __call__(self, images, masks, captions, seeds):
        self.calls += 1
        shown = (~masks).float()
        apart = ((images[:, None] - self.images[None]).square() * shown[:, None]).flatten(2).sum(dim=2)
        return self.images[apart.argmin(dim=1)]


def guess(images, masks, captions, seeds):
    """Paints gray at random: every image its own, by its seed."""
    rngs = [torch.Generator().manual_seed(seed) for seed in seeds]
    return torch.stack([torch.rand(1, 1, 1, generator=rng).expand(3, *images.shape[-2:]) for rng in rngs])


def collection(tmp_path, count=24, **options):
    """A marked collection, ready to be asked."""
    out, secret, made = marked(tmp_path, count, **options)
    return Collection(made.ledger, out, secret)
