"""Comparison: how well each metric separates trained from held-out images of one model, and whether it agrees with the keys.

A model answers the caption of every image K times. Each of the copy metrics gives an image one distance, that of the
nearest of its K answers, as a copy detector takes it; the white-box losses and the keys' distances are such numbers
too. `block` puts them side by side for a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np

from ..errors import InvalidValue
from ..schema.record import ShareBlock
from . import copy_metrics, scores, scoring
from .copy_metrics import Correlation
from .features import Features
from .scores import Array

DIRECTION = "smaller means nearer"


@dataclass(frozen=True)
class Generations:
    """K answers to each of N captions, (K, N, C, H, W) in [0, 1], and the images of those captions, (N, C, H, W)."""

    generated: Array
    content: Array

    def __post_init__(self) -> None:
        if self.generated.ndim != 5 or not len(self.generated) or self.generated.shape[1:] != self.content.shape:
            found = f"generated {self.generated.shape}, content {self.content.shape}"
            raise InvalidValue("Generations", found, "(K, N, C, H, W) and (N, C, H, W)", "Stack the K answers in front.")


@dataclass(frozen=True)
class Metric:
    """A distance, (N,), of generated images to their content, given the training images; a copy lies below `copy`."""

    distance: Callable[[Array, Array, Array], Array]
    copy: float | None = None

    def nearest(self, generations: Generations, training: Array) -> Array:
        """That of the nearest of an image's K answers, (N,)."""
        distances = [self.distance(answer, generations.content, training) for answer in generations.generated]
        return np.asarray(np.min(distances, axis=0))


@dataclass(frozen=True)
class Reading:
    """What one metric says of a model: distances of trained, (N,), and of held-out images, (M,), and its `copy`."""

    trained: Array
    held_out: Array
    copy: float | None = None


def metrics(features: Features, tile: int) -> dict[str, Metric]:
    """The published metrics by name; `tile` is the side of the squares of the one that looks at parts."""
    return {
        "l2": Metric(lambda generated, content, _: copy_metrics.l2(generated, content)),
        "calibrated_l2": Metric(copy_metrics.calibrated_l2, copy=1.0),
        "calibrated_l2_tiles": Metric(partial(copy_metrics.calibrated_l2, tile=tile), copy=1.0),
        "feature_cosine": Metric(
            lambda generated, content, _: 1 - copy_metrics.feature_cosine(generated, content, features)
        ),
        "perceptual_hash": Metric(lambda generated, content, _: copy_metrics.perceptual_hash_distance(generated, content)),
        "closest_record": Metric(lambda generated, _, training: copy_metrics.dcr(generated, training)),
    }


def readings(
    trained: Generations, held_out: Generations, training: Array, by_name: Mapping[str, Metric]
) -> dict[str, Reading]:
    """What each metric says of trained and held-out images; both are calibrated on the `training` images."""
    return {
        name: Reading(metric.nearest(trained, training), metric.nearest(held_out, training), metric.copy)
        for name, metric in by_name.items()
    }


def block(by_metric: Mapping[str, Reading], solidmark: Reading) -> dict[str, object]:
    """The table of one model for a record, one entry a metric, the keys' own distances under `solidmark`.

    {direction, trained{value low high images}, held_out{…}, copies{count of low high chance} or null,
    auroc{value low high chance}, tpr_at_1_fpr{…}, spearman_with_solidmark{value low high count chance reason},
    spearman_over_all{…}}. `held_out` is what `trained` is without memory; so is the chance of `copies`. Rank
    correlations are positive where a metric finds those images nearest whose keys are remembered best: among the
    trained ones, which says whether it agrees on how well each is remembered, and over all, which also rises where
    both know which images were trained on. Raises InvalidValue where a reading is not of the images that `solidmark` is of.
    """
    for name, reading in by_metric.items():
        shapes, expected = (f"{r.trained.shape} and {r.held_out.shape} distances" for r in (reading, solidmark))
        if shapes != expected:
            raise InvalidValue(f"comparison.block, {name}", shapes, f"{expected}, as the keys have", "Read the same images.")
    trained = Correlation(None, None, None, len(solidmark.trained), "it is itself")
    every = replace(trained, count=len(solidmark.trained) + len(solidmark.held_out))
    entries = {name: _entry(reading, *_agreement(reading, solidmark)) for name, reading in by_metric.items()}
    return {"solidmark": _entry(solidmark, trained, every), **entries}


def _agreement(reading: Reading, solidmark: Reading) -> tuple[Correlation, Correlation]:
    """Rank correlations among trained images, and over all."""
    every, every_key = (np.concatenate([r.trained, r.held_out]) for r in (reading, solidmark))
    return copy_metrics.rank_correlation(reading.trained, solidmark.trained), copy_metrics.rank_correlation(every, every_key)


def _entry(reading: Reading, among_trained: Correlation, over_all: Correlation) -> dict[str, object]:
    separation = copy_metrics.discrimination(reading.trained, reading.held_out)
    return {
        "direction": DIRECTION,
        "trained": _level(reading.trained),
        "held_out": _level(reading.held_out),
        "copies": _copies(reading),
        "auroc": {**scoring.interval(separation.auroc), "chance": 0.5},
        "tpr_at_1_fpr": scoring.share(separation.tpr_at_1_fpr),
        "spearman_with_solidmark": {**asdict(among_trained), "chance": 0.0},
        "spearman_over_all": {**asdict(over_all), "chance": 0.0},
    }


def _level(distances: Array) -> dict[str, object]:
    """The mean distance with its t interval over images."""
    value, count = float(distances.mean()), len(distances)
    margin = scores.t_interval(0.0, float(distances.std(ddof=1)), count - 1).limits[1] / float(np.sqrt(count))
    return {"value": value, "low": value - margin, "high": value + margin, "images": count}


def _copies(reading: Reading) -> ShareBlock | None:
    """How many trained images lie below the metric's threshold, and at chance the share of held-out ones that do."""
    if reading.copy is None:
        return None
    copies, by_chance = (int((distances < reading.copy).sum()) for distances in (reading.trained, reading.held_out))
    return scoring.share(scores.proportion(copies, len(reading.trained), by_chance / len(reading.held_out)))
