"""One model, many metrics: how well each tells trained from held-out images, and whether it agrees with the keys.

A model answers the caption of every image K times. Each metric of `concordance` gives an image one distance, that of
the nearest of its K answers, as a copy detector takes it; the white-box losses and the keys' distances are such
numbers too. `block` puts them side by side for a record.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from . import assess, concordance, scores
from .concordance import Correlation
from .errors import InvalidValue
from .features import Features

Array = NDArray[np.float64]
DIRECTION = "smaller means nearer"


@dataclass(frozen=True)
class Generations:
    """K answers to each of N captions, (K, N, C, H, W) in [0, 1], beside the images of those captions, (N, C, H, W)."""

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
        return np.asarray(
            np.min([self.distance(one, generations.content, training) for one in generations.generated], axis=0)
        )


@dataclass(frozen=True)
class Reading:
    """What one metric says of a model: distances of trained, (N,), and of held-out images, (M,), and its `copy`."""

    trained: Array
    held_out: Array
    copy: float | None = None


def metrics(features: Features, tile: int) -> dict[str, Metric]:
    """The published metrics by name; `tile` is the side of the squares of the one that looks at parts."""
    return {
        "l2": Metric(lambda generated, content, _: concordance.l2(generated, content)),
        "calibrated_l2": Metric(concordance.calibrated_l2, copy=1.0),
        "calibrated_l2_tiles": Metric(partial(concordance.calibrated_l2, tile=tile), copy=1.0),
        "feature_cosine": Metric(lambda generated, content, _: 1 - concordance.feature_cosine(generated, content, features)),
        "perceptual_hash": Metric(lambda generated, content, _: concordance.perceptual_hash_distance(generated, content)),
        "closest_record": Metric(lambda generated, _, training: concordance.dcr(generated, training)),
    }


def readings(
    trained: Generations, held_out: Generations, training: Array, measured: Mapping[str, Metric]
) -> dict[str, Reading]:
    """What each metric says of trained and held-out images; both are calibrated on the `training` images."""
    return {
        name: Reading(metric.nearest(trained, training), metric.nearest(held_out, training), metric.copy)
        for name, metric in measured.items()
    }


def block(read: Mapping[str, Reading], solidmark: Reading) -> dict[str, Any]:
    """The table of one model for a record, one entry a metric, the keys' own distances under `solidmark`.

    {direction, trained{value low high images}, held_out{…}, copies{count of low high chance} or null,
    auroc{value low high chance}, tpr_at_1_fpr{…}, spearman_with_solidmark{value low high count chance reason}}.
    `held_out` is what `trained` is without memory; so is the chance of `copies`. The rank correlation is over trained
    images, positive where a metric finds those nearest whose keys are remembered best. Raises InvalidValue where a
    reading is not of the images that `solidmark` is of.
    """
    entries = {"solidmark": _entry(solidmark, Correlation(None, None, None, len(solidmark.trained), "it is itself"))}
    for name, reading in read.items():
        if reading.trained.shape != solidmark.trained.shape:
            found, expected = f"{reading.trained.shape} distances", f"{solidmark.trained.shape}, as the keys have"
            raise InvalidValue(f"concord.block, {name}", found, expected, "Read the same images.")
        entries[name] = _entry(reading, concordance.rank_correlation(reading.trained, solidmark.trained))
    return entries


def _entry(reading: Reading, agreement: Correlation) -> dict[str, Any]:
    told = concordance.discrimination(reading.trained, reading.held_out)
    return {
        "direction": DIRECTION,
        "trained": _level(reading.trained),
        "held_out": _level(reading.held_out),
        "copies": _copies(reading),
        "auroc": {**assess.estimate(told.auroc), "chance": 0.5},
        "tpr_at_1_fpr": assess.share(told.tpr_at_1_fpr),
        "spearman_with_solidmark": {
            "value": agreement.value,
            "low": agreement.low,
            "high": agreement.high,
            "count": agreement.count,
            "chance": 0.0,
            "reason": agreement.reason,
        },
    }


def _level(distances: Array) -> dict[str, Any]:
    """The mean distance with its t interval over images."""
    value, count = float(distances.mean()), len(distances)
    margin = float(stats.t.ppf(0.975, count - 1) * distances.std(ddof=1) / np.sqrt(count))
    return {"value": value, "low": value - margin, "high": value + margin, "images": count}


def _copies(reading: Reading) -> dict[str, Any] | None:
    """How many trained images lie below the metric's threshold, and at chance the share of held-out ones that do."""
    if reading.copy is None:
        return None
    found, by_chance = (int((distances < reading.copy).sum()) for distances in (reading.trained, reading.held_out))
    return assess.share(scores.proportion(found, len(reading.trained), by_chance / len(reading.held_out)))
