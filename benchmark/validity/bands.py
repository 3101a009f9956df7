"""Bands: where in the noise schedule the key is remembered."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from torch import Tensor, nn

from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, decide, over_seeds
from solidmark.models import Attention, Denoiser
from solidmark.models.parts import Parts

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Swapped(Denoiser):
    """A model that is replaced by another one in a band of timesteps, shares of the schedule. Both are of one recipe."""

    def __init__(self, model: Denoiser, replacement: Denoiser, low: float, high: float) -> None:
        super().__init__(model.config, Parts(model.network, model.text, model.space, model.schedule.config))
        self._model, self._replacement = model, replacement
        self._band = (low * model.schedule.steps, high * model.schedule.steps)

    @property
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """As the model."""
        return self._model.cross_attention

    def embed(self, captions: Sequence[str], *, padding: str | None = None) -> Tensor:
        """As the model."""
        return self._model.embed(captions, padding=padding)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """As the model."""
        return self._model.roles(captions)

    def fits(self, caption: str) -> bool:
        """As the model."""
        return self._model.fits(caption)

    def _output(
        self, x: Tensor, t: int | Tensor, embeddings: Tensor, attention: Attention | None, extra: Tensor | None
    ) -> Tensor:
        low, high = self._band
        active = self._replacement if low <= float(t) < high else self._model
        return active.predict(x, t, embeddings, attention=attention, extra=extra).output


def run(experiments: Experiments) -> Finding:
    """A model that never saw a mark takes over one band at a time: the M that is lost was remembered there."""
    rows = [_row(experiments, seed) for seed in experiments.seeds]
    whole = over_seeds([row[None] for row in rows])
    bands = [band for band in rows[0] if band is not None]
    points = [(f"{low:.1f} to {high:.1f}", over_seeds([row[low, high] for row in rows])) for low, high in bands]
    lost = over_seeds([row[bands[-1]] - row[bands[0]] for row in rows])
    text = ", ".join(f"{name} {m.value:.2f}" for name, m in points)
    return Finding(
        suite="validity",
        name="bands",
        title="Keys are remembered at low noise",
        rule="Taking over the lowest fifth of the schedule costs more M than taking over the highest.",
        verdict=decide(lost, above=0.0),
        reason=f"M {whole.value:.2f} as it is; with a band taken over: {text}",
        statistic="M without the highest band less M without the lowest",
        estimate=lost,
        seeds=experiments.seeds,
        series=(Series.of("M without the band", points),),
        x_title="band of the schedule taken over",
        y_title="M",
        source="Does Generation Require Memorization? Creative Diffusion Models using Ambient Diffusion, arXiv 2502.21278",
    )


def _row(experiments: Experiments, seed: int) -> dict[tuple[float, float] | None, float]:
    testbed = experiments.testbed("digits")
    split, model = testbed.split(seed), experiments.model(testbed, seed)
    blank = experiments.unmarked_model(testbed, seed)
    row: dict[tuple[float, float] | None, float] = {
        None: experiments.recall(experiments.ask(testbed, seed, model), split).value
    }
    for low, high in pairwise(EDGES):
        responses = experiments.ask(testbed, seed, Swapped(model, blank, low, high))
        row[low, high] = experiments.recall(responses, split).value
    return row
