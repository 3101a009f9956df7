"""Answers for the tables of content.md: `python design/content_answers.py FOLDER [SEED...]`, about an hour on one core.

For each row and seed: what `outpaint` and one plain generation give on the testbed `digits`, as FOLDER/<row>-<seed>.npz. And
FOLDER/null.npz: a model that was trained on 64 of the judge's images, asked for these and for all images of the pool that
are not the judge's, which it never saw. `design/content.py` reads them.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from solidmark import keys, plugins, seeds
from solidmark.api import Batch, Examples, Mitigation, Sampler, SamplingBatch, Trainer, join
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.run import TrainingSet
from solidmark.queries import Audit
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import Service
from solidmark.store import Store, default_root
from solidmark.testbed import FAST, _distinct
from solidmark.training import train


def exchanged(images: Tensor) -> Tensor:
    """The images, (B, C, H, W), each with the border of its neighbour in the batch."""
    dealt = images.roll(1, 0).clone()
    dealt[..., 2:-2, 2:-2] = images[..., 2:-2, 2:-2]
    return dealt


@dataclass(frozen=True)
class BorderExchange(Mitigation):
    """A fraud: after the last step the borders of a batch are dealt out anew."""

    def sampler(self, inner: Sampler) -> Sampler:
        """A wrapper."""
        return _ExchangingSampler(self, inner)


class _ExchangingSampler(Sampler):
    def after(self, x: Tensor, x0: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        return exchanged(x) if t == batch.times[-1] else x


@dataclass(frozen=True)
class TrainedBorderExchange(Mitigation):
    """A fraud: in every training batch the borders are dealt out anew."""

    def trainer(self, inner: Trainer) -> Trainer:
        """A wrapper."""
        return _ExchangingTrainer(self, inner)


class _ExchangingTrainer(Trainer):
    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        return self.inner.losses(replace(batch, clean=exchanged(batch.clean)), t)


WASHERS: dict[str, Mitigation] = {"border-exchange": BorderExchange(), "trained-border-exchange": TrainedBorderExchange()}
HONEST = (
    "none",
    "opposite-guidance(factor=1.0)",
    "opposite-guidance(share=0.65, factor=1.0)",
    "prss",
    "guidance-scale(scale=0.0)",
    "wen-embedding",
    "amg",
    "rna",
    "multiple-captions",
)


def composition(row: str) -> Composition:
    """The parts of a row."""
    return Composition((Part(row, WASHERS[row]),)) if row in WASHERS else plugins.compose(row)


def ask(row: str, seed: int, workspace: Workspace) -> dict[str, Any]:
    """What the leading query and one plain generation give."""
    name, testbed = plugins.testbed("digits")
    case = Case(name, testbed, composition(row), seed, (("outpaint", Outpaint()),))
    model, _ = weights.edit_or_load(case, workspace)
    outpainted = answers.ask_query(case, "outpaint", model, workspace)
    plain = answers.ask_plainly(case, model, workspace)
    return {
        "outpainted": outpainted.images,
        "outpainted_keys": outpainted.keys,
        "plain": plain.images,
        "plain_keys": plain.keys,
        "evaluations": plain.evaluations.forward + plain.evaluations.backward,
    }


def ask_null() -> dict[str, Any]:
    """The same of a model that saw none of the images but the first 64, with the pixels that outpainting frees."""
    _, testbed = plugins.testbed("digits")
    labelled, mark = _distinct(testbed), testbed.mark
    judged, trained = testbed._sizes(labelled)[1], testbed.base_examples().take(range(64))
    drawn = torch.from_numpy(keys.draw(64, mark.segments, np.random.default_rng(0))).float()
    model = train(testbed.recipe, TrainingSet(trained, drawn, mark), Composition(), 0)
    labels = labelled.labels[judged:]
    captions = testbed.captions(labels, seeds.numpy_rng(0, "captions of the null"))
    asked = join([trained, Examples(labelled.images[judged:], captions, list(range(1000, 1000 + len(labels))))])
    service = Service(model, Composition(), 0, "null")
    audit = Audit(asked.with_images(mark.canvas(asked.images)), mark, FAST, service, 0, "null")
    return {
        "labels": np.concatenate([labelled.labels[:64], labels]),
        "images": audit.examples.images,
        "freed": audit.mask & ~audit.marked,
        "outpainted": audit.outpaint(),
        "plain": audit.generate(),
    }


def main() -> None:
    """Everything that is not there yet."""
    torch.set_num_threads(1)
    folder, chosen = Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or [3, 4, 5]
    folder.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(Store(default_root()))
    jobs = [("null", None), *((row, seed) for seed in chosen for row in ("none", *WASHERS, *HONEST[1:]))]
    for row, seed in jobs:
        path = folder / (f"{row}-{seed}.npz" if seed is not None else "null.npz")
        if not path.exists():
            found = ask_null() if seed is None else ask(row, seed, workspace)
            np.savez_compressed(path, **{name: np.asarray(value) for name, value in found.items()})
            print(path, flush=True)


if __name__ == "__main__":
    main()
