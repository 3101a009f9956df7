"""What every metric reads from one model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from solidmark import plugins, seeds
from solidmark.data import join
from solidmark.experiments import Lab
from solidmark.measurement import whitebox
from solidmark.metrics import comparison, scores
from solidmark.metrics.comparison import Generations, Reading
from solidmark.metrics.features import judge_features
from solidmark.mitigation import Stage
from solidmark.mitigation.composition import Composition
from solidmark.models import Model
from solidmark.queries import Audit
from solidmark.sampling import Protocol, Service
from solidmark.testbed import Board, Testbed

DRAWS = 4
SOLVER = Protocol(name="ten steps", steps=10)
TILE = 4
OUTPUT_ONLY = ("l2", "calibrated_l2", "calibrated_l2_tiles", "feature_cosine", "perceptual_hash")
"""Metrics that look at generated images and nothing else; `closest_record` asks another question, of novelty."""


def readings(
    lab: Lab, testbed: Testbed, seed: int, model: Model, mitigation: str | None = None
) -> tuple[dict[str, Reading], Reading, float]:
    """(each metric's reading, that of the keys, M) of a model, asked through a sampling-side mitigation if there is one."""
    board = testbed.board(seed)
    composition = Composition() if mitigation is None else plugins.compose(mitigation)
    service = Service(model, composition.at(Stage.SAMPLING), seed, "concordance", data=dict(board.handed_out()))
    audit = Audit(board.asked, board.mark, SOLVER, service, seed, "concordance", progress=lab.desk.progress)
    predicted, count = audit.read(audit.outpaint()).double().numpy(), len(board.trained)
    keys, held_out_keys = (part.double().numpy() for part in (board.trained_keys, board.held_out_keys))
    solidmark = Reading(
        scores.distances(predicted[:count], keys).mean(axis=1),
        scores.distances(predicted[count:], held_out_keys).mean(axis=1),
    )
    found = {**_published(audit, testbed, board), **_white_box(model, board)}
    return found, solidmark, scores.memorization(predicted[:count], keys).value


def _published(audit: Audit, testbed: Testbed, board: Board) -> dict[str, Reading]:
    generated = np.stack([_content(board, audit.generate(draw=draw)) for draw in range(1, DRAWS + 1)])
    real, count = _content(board, audit.examples.images), len(board.trained)
    trained = Generations(generated[:, :count], real[:count])
    held_out = Generations(generated[:, count:], real[count:])
    training = _content(board, board.mark.canvas(board.training.images))
    return comparison.readings(trained, held_out, training, comparison.metrics(judge_features(testbed.judge()), TILE))


def _white_box(model: Model, board: Board) -> dict[str, Reading]:
    """Denoising losses on the marked images: they need the weights, and a threshold from held-out images."""
    marked = join([board.marked_trained, board.marked(board.held_out, board.held_out_keys)])
    losses = whitebox.denoising_loss(model, marked, board.mark, seeds.torch_rng(board.seed, "white box"))
    count = len(board.trained)
    return {
        "denoising loss": Reading(losses.whole[:count], losses.whole[count:]),
        "denoising loss, centre": Reading(losses.centre[:count], losses.centre[count:]),
    }


def _content(board: Board, painted: Tensor) -> NDArray[np.float64]:
    return np.asarray(board.mark.content(painted).double().clamp(0, 1).numpy())


def auroc(reading: Reading) -> float:
    """Probability that a trained image has the smaller distance."""
    return scores.auroc(reading.trained, reading.held_out).value


def at_low_rate(reading: Reading) -> float:
    """Share of trained images found at 1 % false positives."""
    return scores.true_positive_rate(reading.trained, reading.held_out).share
