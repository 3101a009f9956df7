"""SalUn, saliency unlearning: random relabelling of the forget list, in the weights that matter most to it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from solidmark import Mitigation, Needs
from solidmark.api import Data, Model, NoisedBatch, NotApplicable, draw_noised_batch, follow_direction, gradients


@dataclass(frozen=True)
class SaliencyUnlearning(Mitigation):
    """Descend ‖eps_θ(x_t, t, c) - sg eps_θ(x_t, t, c')‖² + α L_R(θ) in the weights of the mask alone.

    x and c are of the forget list. c' is the caption of a retained image, drawn each time, different from c (for classes:
    another class, as published). The mask has the `density` of weights whose gradient of the denoising loss, summed over
    the forget list, is largest. `keep` is α. Published: density 0.5, α 1, Adam at 1e-4, 1,000 iterations of 128. Here 60
    of 32 at a tenth of the recipe's rate. Cost: ten batches for the mask, and three forward and two backward an update.
    """

    updates: int = 60
    density: float = 0.5
    learning_rate: float = 3e-4
    batch: int = 32
    keep: float = 1.0

    needs = Needs.FORGET | Needs.CAPTIONS
    reference = "SalUn: Empowering Machine Unlearning via Gradient-based Weight Saliency, arXiv 2310.12508"
    stream = "solidmark.mitigations.salun.SaliencyUnlearning"
    claims = ("Masked relabelling comes nearest to retraining.",)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.density <= 1, "density", "a number in (0, 1]")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")
        self.expect(0 <= self.keep < float("inf"), "keep", "a finite number of at least 0")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the relabelling. Raises NotApplicable where all captions are equal."""
        mask = self._mask(model, data, rng)

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            retained = draw_noised_batch(model, data.retain, rng, self.batch).losses(model).mean()
            loss = self._relabelling_loss(model, data, rng) + self.keep * retained
            return [g * m for g, m in zip(gradients(loss, parameters), mask, strict=True)]

        return follow_direction(model, direction, self.updates, self.learning_rate, weight_decay=0.0)

    def _mask(self, model: Model, data: Data, rng: Generator) -> list[Tensor]:
        """Whether each weight is among the most salient, one boolean a weight."""
        batches = (draw_noised_batch(model, data.forget, rng, self.batch) for _ in range(10))
        with torch.enable_grad():
            every = [gradients(batch.losses(model).mean(), model.parameters()) for batch in batches]
        return largest([torch.stack(column).sum(dim=0) for column in zip(*every, strict=True)], self.density)

    def _relabelling_loss(self, model: Model, data: Data, rng: Generator) -> Tensor:
        """Mean squared distance of the noise predicted for forgotten images from that under other captions, on a batch."""
        batch = draw_noised_batch(model, data.forget, rng, self.batch)
        with torch.no_grad():
            target = replace(batch, captions=draw_other_captions(batch, data.retain.captions, rng)).predict(model).noise
        return (batch.predict(model).noise - target).square().mean()

    def settings(self) -> "list[SaliencyUnlearning]":
        """The sweep, weakest first: more and more updates."""
        return [SaliencyUnlearning(15, learning_rate=3e-5), *(SaliencyUnlearning(updates) for updates in (15, 60, 200))]


def draw_other_captions(batch: NoisedBatch, captions: Sequence[str], rng: Generator) -> list[str]:
    """For each caption of the batch a different one of `captions`. Raises NotApplicable where there is none."""
    drawn = []
    for caption in batch.captions:
        different = [other for other in captions if other != caption]
        if not different:
            cure = "Choose a testbed with captions or classes."
            raise NotApplicable("mitigation salun", f"no caption but {caption!r}", "another one to relabel with", cure)
        drawn.append(different[int(torch.randint(len(different), (), generator=rng))])
    return drawn


def largest(saliency: Sequence[Tensor], density: float) -> list[Tensor]:
    """Whether each entry is among the `density` of all whose absolute value is largest, booleans shaped as the tensors."""
    sizes = torch.cat([tensor.abs().flatten() for tensor in saliency])
    count = max(1, round(density * len(sizes)))
    chosen = torch.zeros(len(sizes), dtype=torch.bool, device=sizes.device)
    chosen[sizes.topk(count).indices] = True
    parts = chosen.split([tensor.numel() for tensor in saliency])
    return [part.reshape(tensor.shape) for part, tensor in zip(parts, saliency, strict=True)]
