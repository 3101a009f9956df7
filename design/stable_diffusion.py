"""Pipelines, images and settings for stable_diffusion.md: `python design/stable_diffusion.py emoji FOLDER`, or `tiny`.

`emoji` has the parts of latent-emoji, its trained autoencoder and a network of random weights, with 400 emoji as PNG: what
`--testbed FOLDER/emoji.toml` trains is a miniature Stable Diffusion from scratch. `tiny` has the pipeline of the tests.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import sd_world
from solidmark.fixtures.latent_emoji import LatentEmoji

from solidmark.models import build
from solidmark.models.autoencoder import read_autoencoder
from solidmark.seeds import torch_rng

COUNT = 400
SETTINGS = """\
testbed = "stable-diffusion"

[base]
pipeline = "pipe"
initialise = "random"

[images]
source = "photos"
size = {inside}
trained = 64
queried = 64
held_out = 64
generated = 64

[border]
thickness = {border}

[training]
epochs = {epochs}
batch = 32
learning_rate = {rate}
warmup = {warmup}
ema = 0.98
caption_dropout = 0.1
text_encoder = true
precision = "{precision}"

[query]
batch = {asked}
"""
EMOJI = {
    "inside": 48,
    "border": 8,
    "epochs": 450,
    "rate": 2e-3,
    "warmup": 0.1,
    "precision": "float32",
    "asked": 128,
}


def emoji(folder: Path) -> None:
    """A pipeline of the parts of latent-emoji, and emoji whose captions differ as its text encoder sees them."""
    testbed = LatentEmoji()
    model = build(testbed.recipe.network, torch_rng(0, "x"))
    model.space.load_state(read_autoencoder(testbed.autoencoder, testbed.autoencoder_file)[0])
    model.pipeline().save_pretrained(folder / "pipe")
    every, chosen = testbed.load(), {}
    for index in np.random.default_rng(3).permutation(len(every.captions)).tolist():
        tokens = tuple(model.text.tokens([every.captions[index]])[0].tolist())
        chosen.setdefault(tokens, index)
    (folder / "photos").mkdir()
    lines = []
    for index in list(chosen.values())[:COUNT]:
        pixels = (every.images[index].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / "photos" / f"{index:04}.png")
        lines.append(json.dumps({"file_name": f"{index:04}.png", "text": every.captions[index]}))
    (folder / "photos" / "metadata.jsonl").write_text("\n".join(lines))
    (folder / "emoji.toml").write_text(SETTINGS.format(**EMOJI))


def tiny(folder: Path) -> None:
    """The world of the tests, with images enough for rows."""
    sd_world.pipeline(folder / "pipe")
    sd_world.photos(folder / "photos", 80)
    sd_world.World(folder).write("tinysd", images={"trained": 16, "queried": 16, "held_out": 16})


if __name__ == "__main__":
    kind, place = sys.argv[1], Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    {"emoji": emoji, "tiny": tiny}[kind](place)
