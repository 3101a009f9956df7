"""SalUn, saliency unlearning: random relabelling of the forget list, in the weights that matter most to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from solidmark import Mitigation, Needs
from solidmark.api import (
    Data,
    Examples,
    Model,
    draw_noised_batch,
    follow_direction,
    global_norm,
    guide,
    mean_gradients,
)

from ._relabelling import draw_other_captions

SCALE = 3.0
"""Guidance of the predictions that the mask is made from: published as 2, where 0 is the plain conditional prediction."""


@dataclass(frozen=True)
class SaliencyUnlearning(Mitigation):
    """Descend ‖eps_θ(x_t, t, c) - sg eps_θ(x_t, t, c')‖² + α L_R(θ) in the weights of the mask alone.

    x and c are of the forget list. c' is the caption of a retained image, drawn each time, different from c. In the
    released code all forgotten images are of one class and c' is the next class. Here c' has an image with a key of its own,
    which is a stronger lure (fidelity B). Both terms are means; captions are dropped as in the training. The mask has the
    `density` of weights whose gradients are largest: absolute values, summed over batches of the forget list, each gradient
    clipped to norm 1, of the squared error of the guided prediction (scale 3).

    `keep` is α. Published: density 0.5, Adam at 1e-4, 1,000 iterations of 128, and 1e-3 times a *sum* of squares over the
    3,072 numbers of an image, which is 3.07 times their mean. Here 60 of 32 at a tenth of the training's rate (`rate`), with
    its timesteps. A text encoder that the training trained is in the mask and trained, too. Errors of the first term are of
    the predicted noise, whatever the network predicts. Cost: ten batches for the mask, two predictions each, and three
    forward and two backward an update.
    """

    updates: int = 60
    density: float = 0.5
    rate: float = 0.1
    batch: int = 32
    keep: float = 3.07

    needs = Needs.FORGET | Needs.CAPTIONS
    reference = "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency, arXiv 2310.12508"
    stream = "solidmark.mitigations.salun.SaliencyUnlearning"
    claims = ("Masked relabelling comes nearest to retraining.",)
    fidelity = "B"

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.density <= 1, "density", "a number in (0, 1]")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")
        self.expect(0 <= self.keep < float("inf"), "keep", "a finite number of at least 0")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the relabelling. Raises NotApplicable where all captions are equal."""
        mask = self._mask(model, data, rng)

        def loss(count: int) -> Tensor:
            retained = draw_noised_batch(model, data.retain, rng, count, data.recipe).losses(model).mean()
            return self._relabelling_loss(model, data, rng, count) + self.keep * retained

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            found = mean_gradients(loss, self.batch, data.recipe, parameters)
            return [g * m for g, m in zip(found, mask, strict=True)]

        return follow_direction(model, direction, self.updates, self.rate * data.recipe.full_rate, weight_decay=0.0)

    def _mask(self, model: Model, data: Data, rng: Generator) -> list[Tensor]:
        """Whether each weight is among the most salient, one boolean a weight."""
        total = [torch.zeros_like(weight) for weight in model.parameters()]
        with torch.enable_grad():
            for _ in range(10):
                found = self._saliency(model, data.forget, rng, data)
                torch._foreach_add_(total, [gradient.abs() for gradient in found])
        return largest(total, self.density)

    def _saliency(self, model: Model, forget: Examples, rng: Generator, data: Data) -> list[Tensor]:
        """The gradient of the guided prediction's summed error on one batch, clipped to norm 1."""

        def loss(count: int) -> Tensor:
            batch = draw_noised_batch(model, forget, rng, count)
            null = batch.predict(model, model.embed([""] * count)).noise
            guided = guide(null, batch.predict(model).noise, SCALE)
            return (guided - batch.noise).square().flatten(1).sum(dim=1).mean()

        found = mean_gradients(loss, self.batch, data.recipe, model.parameters())
        factor = (1 / global_norm(found).clamp(min=1e-12)).clamp(max=1.0)
        return [gradient * factor for gradient in found]

    def _relabelling_loss(self, model: Model, data: Data, rng: Generator, count: int) -> Tensor:
        """Mean squared distance of the noise predicted for forgotten images from that under other captions."""
        batch = draw_noised_batch(model, data.forget, rng, count, data.recipe)
        others = draw_other_captions("salun", batch.captions, data.retain.captions, rng)
        with torch.no_grad():
            target = replace(batch, captions=others).predict(model).noise
        return (batch.predict(model).noise - target).square().mean()

    def settings(self) -> "list[SaliencyUnlearning]":
        """The sweep, weakest first: more and more updates."""
        return [SaliencyUnlearning(15, rate=0.01), *(SaliencyUnlearning(updates) for updates in (15, 60, 200))]


def largest(saliency: Sequence[Tensor], density: float) -> list[Tensor]:
    """Whether each entry is among the `density` of all whose absolute value is largest, booleans shaped as the tensors."""
    sizes = torch.cat([tensor.abs().flatten() for tensor in saliency])
    count = max(1, round(density * len(sizes)))
    chosen = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    chosen[sizes.topk(count).indices] = True
    parts = chosen.split([tensor.numel() for tensor in saliency])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, saliency, strict=True)]
