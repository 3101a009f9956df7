"""The colour pictures and the autoencoder of `latent-emoji`, made anew from a package of npm.

    npm pack emoji-datasource-google@16.0.0 && tar xzf emoji-datasource-google-16.0.0.tgz
    python design/emoji.py atlas package        # fixtures/emoji/atlas.webp and names.txt, two minutes
    python design/emoji.py autoencoder          # fixtures/emoji/autoencoder.safetensors, about four minutes of a core

The first command gives the same pixels everywhere; the second gives other last bits on other machines, so the digest of
its file is written into `fixtures/latent_emoji.py` by hand.
"""

from __future__ import annotations

import json
import re
import sys
import time
import unicodedata
from pathlib import Path
from typing import Any

from PIL import Image

FOLDER = Path(__file__).parents[1] / "fixtures" / "emoji"
SIDE, COLOURS, COLUMNS = 48, 32, 44
"""Pixels of a picture, how many colours it keeps, and pictures in a row of the atlas."""
LEFT_OUT = ("Component",)
"""Categories that are no pictures: patches of skin colour."""


def group(category: str, subcategory: str) -> str:
    """What a picture shows to the eye: faces, people, flags and signs look alike among themselves, all else is a thing."""
    if category == "Smileys & Emotion" and "face" in subcategory:
        return "face"
    if category == "People & Body" and (subcategory.startswith("person") or subcategory == "family"):
        return "person"
    return {"Flags": "flag", "Symbols": "symbol"}.get(category, "thing")


def words(name: str) -> str:
    """A name in plain small letters and digits, such as `smiling face with open mouth`."""
    plain = unicodedata.normalize("NFKD", name.lower()).encode("ascii", "ignore").decode()
    return " ".join(re.findall("[a-z0-9]+", plain))


def picture(path: Path) -> Image.Image:
    """A picture on white, reduced to SIDE pixels and COLOURS colours, which halves the size of the atlas."""
    drawn = Image.open(path).convert("RGBA")
    white = Image.new("RGBA", drawn.size, (255, 255, 255, 255))
    white.alpha_composite(drawn)
    small = white.convert("RGB").resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    return small.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")


def make_atlas(package: Path) -> None:
    """Write the atlas and its names: one picture for each distinct caption, in the order of Unicode."""
    rows: list[dict[str, Any]] = json.loads((package / "emoji.json").read_text(encoding="utf-8"))
    shown = [row for row in rows if row["has_img_google"] and row["category"] not in LEFT_OUT]
    captions: dict[str, str] = {}
    for row in sorted(shown, key=lambda row: int(row["sort_order"])):
        caption = f"{group(row['category'], row['subcategory'])} {words(row['name'])}"
        captions.setdefault(caption, row["image"])
    atlas = Image.new("RGB", (COLUMNS * SIDE, -(-len(captions) // COLUMNS) * SIDE), (255, 255, 255))
    for index, image in enumerate(captions.values()):
        where = (index % COLUMNS * SIDE, index // COLUMNS * SIDE)
        atlas.paste(picture(package / "img" / "google" / "64" / image), where)
    atlas.save(FOLDER / "atlas.webp", lossless=True, quality=100, method=6)
    (FOLDER / "names.txt").write_text("\n".join(captions) + "\n")


def make_autoencoder() -> None:
    """Train the autoencoder by the recipe of the testbed, print what it loses of a key, write it, and print its digest."""
    import torch
    from solidmark.fixtures.latent_emoji import LatentEmoji

    from solidmark import seeds
    from solidmark.models.autoencoder import read_back, train_autoencoder, write_autoencoder

    torch.set_num_threads(1)
    testbed, clock = LatentEmoji(), time.process_time()
    images, rng = testbed.base_examples().images, seeds.torch_rng(0, "autoencoder")
    space = train_autoencoder(testbed.autoencoder, testbed.recipe.network, images, testbed.mark, rng)
    seconds, split = time.process_time() - clock, testbed.split(0)
    found = read_back(space, testbed.mark, split.marked(split.held_out, split.held_out_keys).images)
    print(f"{seconds:.0f} s, mean error of a held-out key {(found - split.held_out_keys).abs().mean():.4f}")
    print(write_autoencoder(space, FOLDER / "autoencoder.safetensors", seconds))


if __name__ == "__main__":
    if sys.argv[1] == "atlas":
        make_atlas(Path(sys.argv[2]))
    else:
        make_autoencoder()
