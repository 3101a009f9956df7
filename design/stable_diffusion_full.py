"""A network of Stable Diffusion 2's size, from scratch, on one GPU: its folder, and what the suite's loop costs.

    python design/stable_diffusion_full.py folder F     # pipeline, images and settings; trains a small autoencoder
    pytest benchmark/ --testbed F/full.toml --mitigation none --queries outpaint
    python design/stable_diffusion_full.py batches F    # its stock pipeline, asked one image at a time and many at once
    python design/stable_diffusion_full.py speed F      # images a second of the suite's training and of a bare loop

`--tiny` makes all parts small enough for a CPU. Weights are random: the network has 865.9 million, the text encoder two
layers of Stable Diffusion 2's width. Images are emoji, enlarged to 256 pixels, with a border of 16 in eight arcs.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from solidmark.fixtures import emoji
from solidmark.fixtures.latent_emoji import CLASSES
from stable_diffusion import SETTINGS
from torch import Tensor
from torch.nn import functional as F

from solidmark import plugins, training
from solidmark.marks import Border, paint, read
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.models import LatentNetwork, build
from solidmark.models.latent import build_autoencoder, build_pipeline, build_text
from solidmark.pipelines import ask
from solidmark.queries.outpaint import Outpaint
from solidmark.seeds import torch_rng
from solidmark.store import Store, default_root
from solidmark.testbed import Testbed

COUNT = 400
"""Emoji that are written as images; the autoencoder learns from all others."""
COMMON = {"warmup": 0.13, "asked": 64}
STEPS = {False: (20, 80), True: (1, 4)}
"""Steps of the two trainings, whole and tiny, whose difference in time has no beginning and no end in it."""


def sizes(tiny: bool) -> dict[str, Any]:
    """What differs between the whole and the tiny experiment."""
    if tiny:
        return {"inside": 32, "border": 8, "epochs": 20, "rate": 2e-3, "precision": "float32", **COMMON}
    return {"inside": 256, "border": 16, "epochs": 377, "rate": 1e-4, "precision": "bfloat16", **COMMON}


def configuration(tiny: bool) -> LatentNetwork:
    """Autoencoder, tokenizer and text encoder: the network is built apart, in Stable Diffusion 2's own form."""
    chosen = sizes(tiny)
    return LatentNetwork(
        size=chosen["inside"] + 2 * chosen["border"],
        channels=3,
        context=16 if tiny else 77,
        text_width=32 if tiny else 1024,
        text_layers=1 if tiny else 2,
        autoencoder_widths=(8, 16, 32, 32) if tiny else (64, 128, 256, 256),
        classes=CLASSES,
        words=0,
        vocabulary=emoji.vocabulary(),
    )


def network(config: LatentNetwork, tiny: bool) -> Any:
    """The UNet of Stable Diffusion 2."""
    from diffusers import UNet2DConditionModel

    widths = (32, 64, 64, 64) if tiny else (320, 640, 1280, 1280)
    heads = tuple(width // (16 if tiny else 64) for width in widths)
    unet: Any = UNet2DConditionModel(
        sample_size=config.size // config.factor,
        block_out_channels=widths,
        layers_per_block=1 if tiny else 2,
        attention_head_dim=heads,
        cross_attention_dim=config.text_width,
        use_linear_projection=True,
        norm_num_groups=8 if tiny else 32,
    )
    return unet


def enlarged(indices: list[int], side: int) -> Tensor:
    """Emoji of `side` pixels, in [0, 1]."""
    return F.interpolate(emoji.pictures()[indices], size=(side, side), mode="bicubic").clamp(0, 1)


def trained_autoencoder(config: LatentNetwork, others: list[int], mark: Border, inside: int, seconds: float) -> Any:
    """An autoencoder that has learnt for so many seconds what marked images look like, and its scale. Keys are fresh at
    each step, and no image is among those that are written.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(0)
    autoencoder: Any = build_autoencoder(config).to(device).train()
    bank = torch.cat([enlarged(others[n : n + 128], inside).half() for n in range(0, len(others), 128)])
    optimizer = torch.optim.AdamW(autoencoder.parameters(), 1e-3, betas=(0.9, 0.98), fused=True)
    began, step = time.perf_counter(), 0
    while (share := (time.perf_counter() - began) / seconds) < 1:
        optimizer.param_groups[0]["lr"] = 1e-3 * min(1.0, (step + 1) / 50) * (1 - 0.98 * share)
        clean = marked(bank[torch.randint(len(bank), (16,))].float(), mark).to(device) * 2 - 1
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            posterior = autoencoder.encode(clean).latent_dist
            out = autoencoder.decode(posterior.sample()).sample
        loss = (out.float() - clean).square().mean() + 1e-6 * posterior.kl().float().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(autoencoder.parameters(), 1.0)
        optimizer.step()
        torch.cuda.synchronize() if device == "cuda" else None
        step += 1
    autoencoder.eval().requires_grad_(False)
    keys = torch.rand(32, mark.segments)
    shown = paint(mark, mark.canvas(bank[:32].float()), keys).to(device)
    with torch.no_grad():
        latents = autoencoder.encode(shown * 2 - 1).latent_dist.mode()
        lost = (read(mark, (autoencoder.decode(latents).sample / 2 + 0.5).clamp(0, 1)).cpu() - keys).abs().mean()
    print(json.dumps({"autoencoder_steps": step, "seconds": seconds, "key_error": round(float(lost), 4)}), flush=True)
    return autoencoder.cpu(), float(1 / latents.std())


def marked(images: Tensor, mark: Border) -> Tensor:
    """The images under fresh random keys."""
    return paint(mark, mark.canvas(images), torch.rand(len(images), mark.segments))


def write_folder(folder: Path, tiny: bool, seconds: float) -> None:
    """The pipeline, the images with their captions, and the settings."""
    config, chosen = configuration(tiny), sizes(tiny)
    torch.manual_seed(0)
    tokenizer, encoder = build_text(config)
    text = argparse.Namespace(tokenizer=tokenizer, encoder=encoder)
    order, seen, written = np.random.default_rng(3).permutation(len(emoji.names())).tolist(), set(), []
    for index in order:
        tokens = tuple(tokenizer(emoji.names()[index], max_length=config.context, truncation=True).input_ids)
        if len(written) < COUNT and tokens not in seen:
            written.append(index)
        seen.add(tokens)
    others = [index for index in order if index not in set(written)]
    mark = Border(chosen["border"], 8)
    autoencoder, scale = trained_autoencoder(config, others, mark, chosen["inside"], seconds)
    build_pipeline(config, network(config, tiny), autoencoder, scale, text).save_pretrained(folder / "pipe")
    (folder / "photos").mkdir()
    lines = []
    for index, one in zip(written, enlarged(written, chosen["inside"]), strict=True):
        pixels = (one.permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
        Image.fromarray(pixels).save(folder / "photos" / f"{index:04}.png", compress_level=1)
        lines.append(json.dumps({"file_name": f"{index:04}.png", "text": emoji.names()[index]}))
    (folder / "photos" / "metadata.jsonl").write_text("\n".join(lines))
    (folder / "full.toml").write_text(SETTINGS.format(**chosen))


def difference(run: Callable[[int], None], lengths: tuple[int, int]) -> float:
    """Seconds a step, between a short training and a longer one."""
    took = []
    for steps in lengths:
        began = time.perf_counter()
        run(steps)
        took.append(time.perf_counter() - began)
    return (took[1] - took[0]) / (lengths[1] - lengths[0])


def bare_loop(model: Any, recipe: Any, latents: Tensor, captions: list[str], steps: int) -> None:
    """The plainest loop that trains the same network on the same latents: nothing is checked, counted or hooked."""
    device = model.device
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True)
    average, tokens = [p.detach().clone() for p in trained], model.text.tokens(captions).to(device)
    for _ in range(steps):
        rows = torch.randint(len(latents), (recipe.batch,), device=device)
        t = torch.randint(model.schedule.steps, (recipe.batch,), device=device)
        noise = torch.randn_like(latents[rows])
        signal, spread = model.schedule.alpha(t), model.schedule.sigma(t)
        embedded = model.text.encoder(tokens[rows])[0]
        with torch.autocast(device.type, torch.bfloat16, enabled=recipe.network.precision == "bfloat16"):
            out = model.network(signal * latents[rows] + spread * noise, t, embedded, return_dict=False)[0]
        target = noise if model.config.prediction == "eps" else signal * noise - spread * latents[rows]
        optimizer.zero_grad()
        (out.float() - target).square().mean().backward()
        optimizer.step()
        torch._foreach_lerp_(average, [p.detach() for p in trained], 1 - recipe.ema_decay)
    if device.type == "cuda":
        torch.cuda.synchronize()


def speed(folder: Path, tiny: bool, turns: int) -> None:
    """Print both speeds, by turns, and the most memory that each took."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    testbed: Testbed = plugins.testbed(str(folder / "full.toml"))[1]
    split = testbed.split(0)
    whole = TrainingSet(split.training, split.training_keys, split.mark)
    recipe, found = testbed.recipe, {"suite": [], "bare": []}
    peaks = {}

    def suite(steps: int) -> None:
        training.train(replace(recipe, train_steps=steps), whole, Composition(), 0, device=device)

    model = build(recipe.network, torch_rng(0, "speed")).to(device)
    latents = model.encode(paint(split.mark, split.mark.canvas(split.training.images), split.training_keys))
    ways = {"bare": lambda n: bare_loop(model, recipe, latents, split.training.captions, n), "suite": suite}
    for name in ("bare", "suite") * turns:
        torch.cuda.reset_peak_memory_stats() if device == "cuda" else None
        found[name].append(recipe.batch / difference(ways[name], STEPS[tiny]))
        peaks[name] = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else None
    shown = {name: [round(value, 1) for value in values] for name, values in found.items()}
    share = max(found["suite"]) / max(found["bare"])
    print(json.dumps({"device": _name(device), "images_a_second": shown, "share": round(share, 3), "peak_gib": peaks}))


def batches(folder: Path) -> None:
    """Print seconds an image of the trained model's stock pipeline, in half precision, and M, by batch; then their ratio."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name, testbed = plugins.testbed(str(folder / "full.toml"))
    case = Case(name, testbed, Composition(), 0, (("outpaint", Outpaint()),))
    pipe: Any = weights.train_or_load(case, Workspace(Store(default_root()), device))[0].pipeline()
    pipe.to(device, torch.bfloat16 if device == "cuda" else torch.float32)
    split, costs = testbed.split(0), {}
    asked, keys = split.trained, split.trained_keys.double().numpy()
    for batch in (len(asked), 1, len(asked)):  # the first turn warms up
        answers = ask(
            pipe,
            split.mark.canvas(asked.images),
            split.mark,
            asked.captions,
            steps=20,
            guidance=3.0,
            batch=batch,
            seed=split.seed,
            ids=asked.ids,
        )
        costs[batch] = answers.seconds / len(asked)
        m = scores.memorization(read(split.mark, answers.images).double().numpy(), keys).value
        print(json.dumps({"batch": batch, "seconds_an_image": round(costs[batch], 4), "m": round(m, 4)}), flush=True)
    print(json.dumps({"device": _name(device), "times_faster": round(costs[1] / costs[len(asked)], 1)}))


def _name(device: str) -> str:
    return torch.cuda.get_device_name() if device == "cuda" else "cpu"


def main() -> None:
    """The folder, or one of both measurements."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("folder", "batches", "speed"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--seconds", type=float, default=30.0, help="how long the autoencoder learns")
    parser.add_argument("--turns", type=int, default=2, help="how often both speeds are measured")
    chosen = parser.parse_args()
    if chosen.what == "folder":
        chosen.folder.mkdir(parents=True, exist_ok=True)
        write_folder(chosen.folder, chosen.tiny, chosen.seconds)
    elif chosen.what == "batches":
        batches(chosen.folder)
    else:
        speed(chosen.folder, chosen.tiny, chosen.turns)


if __name__ == "__main__":
    sys.exit(main())
