"""EraseDiff: train a wrong target for the forget list, as far as the retained images allow and slightly further."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, follow_direction, gradients


@dataclass(frozen=True)
class EraseDiff(Mitigation):
    """Minimise L_R(θ) subject to L_E(θ) <= min L_E, where L_E = ‖eps_θ(x_t, t, c) - u‖² on the forget list, u ~ U[0, 1).

    The update is the vector nearest to ∇L_R that lowers L_E at least at the rate η ‖∇L_E‖²:
    ∇L_R + λ ∇L_E with λ = max(0, η - <∇L_R, ∇L_E> / ‖∇L_E‖²). The minimum of L_E is a constant in θ. So the inner steps
    with which the published code estimates it change no gradient, and are left out. Code and paper differ: the code's λ
    is max(0, η - cos(∇L_R, ∇L_E)), and it makes x_t with u. Here x_t has the noise of the training, as in SISS's
    re-implementation. Published: η 0.1, Adam at 1e-4, a few epochs. Here the rate is a tenth of the recipe's. `push` is
    η. Cost: two batches an update.
    """

    push: float = 0.1
    updates: int = 60
    learning_rate: float = 3e-4
    batch: int = 32

    needs = Needs.FORGET
    reference = "Erasing Undesirable Influence in Diffusion Models, arXiv 2401.05779"
    stream = "solidmark.mitigations.erasediff.EraseDiff"
    fidelity = "B"
    claims = (Claim("It takes away the influence of what is to be forgotten.", below=0.2),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.push < float("inf"), "push", "a finite number of at least 0")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the constrained descent."""

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            retained = draw_noised_batch(model, data.retain, rng, self.batch).losses(model).mean()
            erased = self._erasing_loss(model, data, rng)
            return combine(gradients(retained, parameters), gradients(erased, parameters), self.push)

        return follow_direction(model, direction, self.updates, self.learning_rate)

    def _erasing_loss(self, model: Model, data: Data, rng: Generator) -> Tensor:
        """Mean squared distance of the predicted noise from uniform noise, on one batch."""
        batch = draw_noised_batch(model, data.forget, rng, self.batch)
        wrong = torch.rand(batch.noise.shape, generator=rng).to(batch.noise.device)
        return (batch.predict(model).noise - wrong).square().mean()

    def settings(self) -> "list[EraseDiff]":
        """The sweep, weakest first: a larger and larger push, and more updates."""
        return [EraseDiff(0.01, updates=15), EraseDiff(), EraseDiff(1.0), EraseDiff(1.0, updates=300)]


def combine(keeping: Sequence[Tensor], erasing: Sequence[Tensor], push: float) -> list[Tensor]:
    """The vector nearest to `keeping` whose product with `erasing` is at least push ‖erasing‖²."""
    along = torch.stack([(k * e).sum() for k, e in zip(keeping, erasing, strict=True)]).sum()
    square = torch.stack([e.square().sum() for e in erasing]).sum()
    weight = (push - along / square).clamp(min=0) if square > 0 else square
    return [k + weight * e for k, e in zip(keeping, erasing, strict=True)]
