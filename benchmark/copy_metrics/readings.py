"""The readings of every metric from one model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from solidmark import plugins, seeds
from solidmark.data import join
from solidmark.experiments import Experiments
from solidmark.measurement import whitebox
from solidmark.metrics import comparison, scores
from solidmark.metrics.comparison import Generations, Reading
from solidmark.metrics.features import judge_features
from solidmark.mitigation import Stage
from solidmark.mitigation.composition import Composition
from solidmark.models import Model
from solidmark.queries import Audit
from solidmark.sampling import Service, SolverConfig
from solidmark.split import Split
from solidmark.testbed import Testbed

DRAWS = 4
SOLVER = SolverConfig(name="ten steps", steps=10)
TILE = 4
STREAM = "concordance"
"""The name of the random streams, which decides every draw: it stays as it was."""
OUTPUT_ONLY = ("l2", "calibrated_l2", "calibrated_l2_tiles", "feature_cosine", "perceptual_hash")
"""Metrics that look at generated images and nothing else; `closest_record` measures something else, novelty."""


def readings(
    experiments: Experiments, testbed: Testbed, seed: int, model: Model, mitigation: str | None = None
) -> tuple[dict[str, Reading], Reading, float]:
    """(each metric's reading, that of the keys, M) of a model, asked through a sampling-side mitigation if there is one."""
    split = testbed.split(seed)
    composition = Composition() if mitigation is None else plugins.compose(mitigation)
    service = Service(model, composition.at(Stage.SAMPLING), seed, STREAM, data=dict(split.handed_out()))
    audit = Audit(split.queried, split.mark, SOLVER, service, seed, STREAM, progress=experiments.workspace.progress)
    predicted, count = audit.read(audit.outpaint()).double().numpy(), len(split.trained)
    keys, held_out_keys = (part.double().numpy() for part in (split.trained_keys, split.held_out_keys))
    solidmark = Reading(
        scores.distances(predicted[:count], keys).mean(axis=1),
        scores.distances(predicted[count:], held_out_keys).mean(axis=1),
    )
    others = {**_published(audit, testbed, split), **_white_box(model, split)}
    return others, solidmark, scores.memorization(predicted[:count], keys).value


def _published(audit: Audit, testbed: Testbed, split: Split) -> dict[str, Reading]:
    generated = np.stack([_content(split, audit.generate(draw=draw)) for draw in range(1, DRAWS + 1)])
    real, count = _content(split, audit.examples.images), len(split.trained)
    trained = Generations(generated[:, :count], real[:count])
    held_out = Generations(generated[:, count:], real[count:])
    training = _content(split, split.mark.canvas(split.training.images))
    return comparison.readings(trained, held_out, training, comparison.metrics(judge_features(testbed.judge()), TILE))


def _white_box(model: Model, split: Split) -> dict[str, Reading]:
    """Denoising losses on the marked images: they need the weights, and a threshold from held-out images."""
    marked = join([split.marked_trained, split.marked(split.held_out, split.held_out_keys)])
    losses = whitebox.denoising_loss(model, marked, split.mark, seeds.torch_rng(split.seed, "white box"))
    count = len(split.trained)
    return {
        "denoising loss": Reading(losses.whole[:count], losses.whole[count:]),
        "denoising loss, centre": Reading(losses.centre[:count], losses.centre[count:]),
    }


def _content(split: Split, painted: Tensor) -> NDArray[np.float64]:
    return np.asarray(split.mark.content(painted).double().clamp(0, 1).numpy())


def auroc(reading: Reading) -> float:
    """Probability that a trained image has the smaller distance."""
    return scores.auroc(reading.trained, reading.held_out).value


def at_low_rate(reading: Reading) -> float:
    """Share of trained images found at 1 % false positives."""
    return scores.true_positive_rate(reading.trained, reading.held_out).share
