"""Bands: where in the noise schedule the key is remembered."""

import copy
from itertools import pairwise
from typing import Any

from torch import Tensor

from solidmark.experiments import Lab
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.models import Model, Prediction

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Swapped(Model):
    """One model, but in a band of timesteps another takes its place."""

    def __init__(self, model: Model, other: Model, low: float, high: float) -> None:
        self.__dict__.update(copy.copy(model).__dict__)
        self._model, self._other = model, other
        self._band = (low * model.schedule.steps, high * model.schedule.steps)

    def predict(self, x: Tensor, t: int | Tensor, embeddings: Tensor, **named: Any) -> Prediction:
        """By whoever has the band of t."""
        low, high = self._band
        return (self._other if low <= float(t) < high else self._model).predict(x, t, embeddings, **named)


def run(lab: Lab) -> Finding:
    """A model that never saw a mark takes over one band at a time: what is lost was remembered there."""
    rows = [_row(lab, seed) for seed in lab.seeds]
    whole = over_seeds([row[None] for row in rows])
    bands = [band for band in rows[0] if band is not None]
    points = [(f"{low:.1f} to {high:.1f}", over_seeds([row[low, high] for row in rows])) for low, high in bands]
    lost = over_seeds([row[bands[-1]] - row[bands[0]] for row in rows])
    told = ", ".join(f"{name} {one.value:.2f}" for name, one in points)
    return Finding(
        suite="validity",
        name="bands",
        title="Keys are remembered at low noise",
        rule="Taking over the lowest fifth of the schedule costs more M than taking over the highest.",
        verdict=decide(lost, above=0.0),
        reason=f"M {whole.value:.2f} as it is; with a band taken over: {told}",
        statistic="M without the highest band less M without the lowest",
        estimate=lost,
        seeds=lab.seeds,
        series=(Series.of("M without the band", points),),
        x_title="band of the schedule taken over",
        y_title="M",
        source="Does Generation Require Memorization? Creative Diffusion Models using Ambient Diffusion, arXiv 2502.21278",
    )


def _row(lab: Lab, seed: int) -> dict[tuple[float, float] | None, float]:
    testbed = lab.testbed("digits")
    board, model, blank = testbed.board(seed), lab.model(testbed, seed), lab.model(testbed, seed, with_keys=False)
    found: dict[tuple[float, float] | None, float] = {None: lab.recall(lab.ask(testbed, seed, model), board).value}
    for low, high in pairwise(EDGES):
        asked = lab.ask(testbed, seed, Swapped(model, blank, low, high))
        found[low, high] = lab.recall(asked, board).value
    return found
