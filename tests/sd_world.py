"""A tiny Stable Diffusion in a folder, with an autoencoder that loses nothing of a mark, and captioned images.

Images are 8 x 8 with a border of 4 pixels in two arcs, latents 4 x 4.
"""

import copy
import itertools
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import tiny_pipelines as tiny
import torch
from PIL import Image

from solidmark import plugins
from solidmark.pipelines.quiet import quiet

with quiet():
    from diffusers import AutoencoderKL
    from diffusers.models.downsampling import Downsample2D
    from diffusers.models.resnet import ResnetBlock2D
    from diffusers.models.upsampling import Upsample2D

WORDS = ("a", "red", "house", "two", "dogs", "one", "tree")
CAPTIONS = [" ".join(words) for words in itertools.product(WORDS, repeat=3)]
SETTINGS = {
    "base": {"pipeline": "pipe"},
    "images": {"source": "photos", "size": 8, "trained": 12, "queried": 12, "held_out": 16, "generated": 16},
    "border": {"thickness": 4, "segments": 2},
    "training": {"epochs": 2.0, "batch": 4, "precision": "float32"},
}


def photos(folder: Path, count: int = 40, side: int = 8) -> Path:
    """Images of 2 x 2 random colours, each with a caption of its own in metadata.csv."""
    folder.mkdir()
    colours = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 3), dtype=np.uint8)
    pixels = colours.repeat(side // 2, axis=1).repeat(side // 2, axis=2)
    for number, one in enumerate(pixels):
        Image.fromarray(one).save(folder / f"{number:02}.png")
    lines = [f"{number:02}.png,{caption}" for number, caption in enumerate(CAPTIONS[:count])]
    (folder / "metadata.csv").write_text("\n".join(["file_name,text", *lines]))
    return folder


def pipeline(folder: Path, **parts: object) -> Path:
    """A pipeline of random weights behind an autoencoder that keeps the mean of each cell of 4 x 4 pixels."""
    tiny.stable_diffusion(**{"vae": autoencoder(), "text_encoder": text_encoder(), **parts}).save_pretrained(folder)
    return folder


@cache
def text_encoder() -> torch.nn.Module:
    """Of random weights, with words that differ clearly."""
    encoder = copy.deepcopy(tiny.text_encoder())
    with torch.random.fork_rng():
        torch.manual_seed(1)
        torch.nn.init.normal_(encoder.get_input_embeddings().weight)
    return encoder


LARGE = 100.0


@cache
@torch.no_grad()
def autoencoder() -> AutoencoderKL:
    """Of the usual form, with weights set by hand: the mean colour of a cell, in the first three of four latent channels.

    Six channels hold the colour and its negative, two a large constant, so that normalization scales by a constant; a
    shift to where SiLU is the identity does the rest.
    """
    blocks = {"down_block_types": ["DownEncoderBlock2D"] * 3, "up_block_types": ["UpDecoderBlock2D"] * 3}
    made = AutoencoderKL(
        **blocks, block_out_channels=[8] * 3, norm_num_groups=1, mid_block_add_attention=False, scaling_factor=1.0
    )
    for part in made.modules():
        if isinstance(part, ResnetBlock2D):
            part.conv2.weight.zero_(), part.conv2.bias.zero_()
        if isinstance(part, Downsample2D):
            _spread(part.conv, torch.eye(8), 4)
        if isinstance(part, Upsample2D):
            _spread(part.conv, torch.eye(8), 1)
    for part in (made.encoder, made.decoder):
        _spread(part.conv_in, torch.cat([EYE, -EYE, torch.zeros(2, 3)]), 1)
        part.conv_in.bias[6], part.conv_in.bias[7] = LARGE, -LARGE
        part.conv_norm_out.weight.fill_(LARGE / 2), part.conv_norm_out.bias.fill_(20.0)
        _spread(part.conv_out, torch.cat([EYE, torch.zeros(3, 5)], dim=1), 1)
        part.conv_out.bias[:3] = -20.0
    for conv in (made.quant_conv, made.post_quant_conv):
        _spread(conv, torch.eye(len(conv.weight)), 1)
    return made


EYE = torch.eye(3)


def _spread(conv: torch.nn.Conv2d, matrix: torch.Tensor, pixels: int) -> None:
    """Make a convolution apply a matrix to the mean of 4 pixels, or to one; what the matrix lacks is 0."""
    conv.weight.zero_(), conv.bias.zero_()
    middle = conv.kernel_size[0] // 2
    where = (slice(0, 2), slice(0, 2)) if pixels == 4 else (slice(middle, middle + 1),) * 2
    rows, columns = matrix.shape
    conv.weight[(slice(rows), slice(columns), *where)] = matrix[:, :, None, None] / pixels


@dataclass(frozen=True)
class World:
    """A folder with `pipe`, `photos`, and settings that are written when a testbed is asked for."""

    root: Path

    def write(self, name: str = "sd", **sections: dict[str, object]) -> Path:
        """The settings above with other values in some sections."""
        whole = {key: {**SETTINGS.get(key, {}), **sections.get(key, {})} for key in {**SETTINGS, **sections}}
        text = [f"[{key}]\n" + "\n".join(f"{k} = {_toml(v)}" for k, v in part.items()) for key, part in whole.items()]
        path = self.root / f"{name}.toml"
        path.write_text("\n".join(['testbed = "stable-diffusion"', *text]))
        return path

    def testbed(self, **sections: dict[str, object]) -> object:
        """The testbed of such settings."""
        return plugins.testbed(str(self.write(**sections)))[1]


def _toml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value).replace("'", '"')
