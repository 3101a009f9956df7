"""A collection from mark to certificate: 48 digits are marked, 24 are trained on, and asked after every 500 steps.

`python design/collection.py FOLDER` prints the curve of design/collection.md. The pipeline is diffusers' own DDPMPipeline,
which knows no captions: a model of pixels with 24 images, trained far too long.
"""

import sys
from pathlib import Path

import torch
from diffusers import DDIMScheduler, DDPMPipeline, UNet2DModel
from PIL import Image
from sklearn.datasets import load_digits

from solidmark.__main__ import main
from solidmark.collection.pictures import decode

STEPS, EVERY, BATCH = 1500, 500, 24


def run(folder: Path) -> None:
    """Everything, into a new folder."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    (folder / "originals").mkdir(parents=True)
    for number, digit in enumerate(load_digits().images[:48]):
        Image.fromarray((digit * 255 / 16).astype("uint8")).save(folder / "originals" / f"{number}.png")
    command("mark", folder / "originals", folder / "photos", "--thickness", 2)
    train(folder / "photos", folder / "training")
    asked = ["--ledger", folder / "photos.ledger", "--marked", folder / "photos", "--steps", 50, "--batch", 48]
    command("measure", "--checkpoints", folder / "training", "--into", folder / "measured", *asked)
    last = folder / "measured" / f"checkpoint-{STEPS}"
    command("certify", last, "--ledger", folder / "photos.ledger")
    command("verify", last / "certificate", "--ledger", folder / "photos.ledger", "--marked", folder / "photos")


def command(*words: object) -> None:
    """A command of the console script."""
    main([str(word) for word in words])


def train(photos: Path, out: Path) -> None:
    """A denoiser of the marked images, as a pipeline at each checkpoint."""
    pictures = [decode(path.read_bytes(), path.name)[0] for path in sorted(photos.glob("*.png"))]
    images = torch.stack([torch.from_numpy(picture.copy()).float() / 127.5 - 1 for picture in pictures])
    images = images[:, None].expand(-1, 3, -1, -1)
    network = UNet2DModel(
        sample_size=12,
        block_out_channels=(32, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        norm_num_groups=8,
        layers_per_block=1,
    )
    scheduler, optimizer = DDIMScheduler(), torch.optim.AdamW(network.parameters(), lr=1e-3)
    for step in range(1, STEPS + 1):
        batch = images[torch.randint(len(images), (BATCH,))]
        noise, t = torch.randn_like(batch), torch.randint(1000, (BATCH,))
        loss = (network(scheduler.add_noise(batch, noise, t), t).sample - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % EVERY == 0:
            DDPMPipeline(network, scheduler).save_pretrained(out / f"checkpoint-{step}")


if __name__ == "__main__":
    run(Path(sys.argv[1]))
