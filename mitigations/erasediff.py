"""EraseDiff: train a wrong target for the forget list, as far as the retained images allow and slightly further."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, follow_direction, mean_gradients

from ._relabelling import draw_other_captions


@dataclass(frozen=True)
class EraseDiff(Mitigation):
    """Minimise L_R(θ) subject to L_E(θ) <= min L_E, where L_E = ‖eps_θ(x_t, t, c) - u‖² on the forget list, u ~ U[0, 1).

    The update is the vector nearest to ∇L_R that lowers L_E at least at the rate η ‖∇L_E‖²:
    ∇L_R + λ ∇L_E with λ = max(0, η - <∇L_R, ∇L_E> / ‖∇L_E‖²). The minimum of L_E is a constant in θ. So the inner steps
    with which the published code estimates it change no gradient, and are left out. They do leave Adam's moments, which the
    code does not put back with the weights, so that its next few steps go on erasing. `push` is η, published 0.1.

    Code and paper differ. The code's default is a fixed λ of 0.1 (`weight`); its other λ, which was never its default, is
    max(0, η - cos(∇L_R, ∇L_E)). Of its versions some take u for the noise of x_t as well, and one aims at the model's own
    prediction under a random other class in place of u (for Stable Diffusion under the next class or a fixed prompt), which
    is `target` "class", here the caption of a retained image. `erasediff(target='class', weight=0.1)` is that code. Here x_t
    has the noise of the training, as in SISS's re-implementation. Published: Adam at 1e-4, four epochs, gradients clipped to
    norm 1, an average of the weights, no caption dropped, uniform timesteps. Here the rate is a tenth
    of the training's (`rate`), timesteps and dropped captions are those of the training in L_R, and in L_E no caption is
    dropped. A text encoder that the training trained is trained here, too. The median of λ is reported. Errors are of the
    predicted noise, whatever the network predicts. Cost: two batches an update, a third one forward for "class".
    """

    push: float = 0.1
    updates: int = 60
    rate: float = 0.1
    batch: int = 32
    target: str = "uniform"
    weight: float | None = None

    needs = Needs.FORGET
    reference = "Erasing Undesirable Influence in Diffusion Models, arXiv 2401.05779"
    stream = "solidmark.mitigations.erasediff.EraseDiff"
    fidelity = "B"
    claims = (Claim("It takes away the influence of what is to be forgotten.", below=0.2),)

    def __post_init__(self) -> None:
        self.expect(0 <= self.push < float("inf"), "push", "a finite number of at least 0")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")
        self.expect(self.target in ("uniform", "class"), "target", '"uniform" or "class"')
        fixed = self.weight is None or 0 <= self.weight < float("inf")
        self.expect(fixed, "weight", "None or a finite number of at least 0")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the constrained descent. Raises NotApplicable where all captions are equal, for "class"."""
        weights = list[float]()

        def retained(count: int) -> Tensor:
            return draw_noised_batch(model, data.retain, rng, count, data.recipe).losses(model).mean()

        def erased(count: int) -> Tensor:
            return self._erasing_loss(model, data, rng, count)

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            keeping, erasing = (mean_gradients(loss, self.batch, data.recipe, parameters) for loss in (retained, erased))
            weight = constrained(keeping, erasing, self.push) if self.weight is None else self.weight
            weights.append(float(weight))
            return [k + weight * e for k, e in zip(keeping, erasing, strict=True)]

        follow_direction(model, direction, self.updates, self.rate * data.recipe.full_rate)
        data.report("weight", statistics.median(weights))
        return model

    def _erasing_loss(self, model: Model, data: Data, rng: Generator, count: int) -> Tensor:
        """Mean squared distance of the predicted noise of forgotten images from the wrong target, on `count` of them."""
        batch = draw_noised_batch(model, data.forget, rng, count)
        if self.target == "uniform":
            wrong = torch.rand(batch.noise.shape, generator=rng).to(batch.noise.device)
        else:
            others = draw_other_captions("erasediff", batch.captions, data.retain.captions, rng)
            with torch.no_grad():
                wrong = replace(batch, captions=others).predict(model).noise
        return (batch.predict(model).noise - wrong).square().mean()

    def settings(self) -> "list[EraseDiff]":
        """The sweep, weakest first: the released default, then a larger and larger push, and more updates."""
        released = EraseDiff(target="class", weight=0.1)
        return [released, EraseDiff(0.01, updates=15), EraseDiff(), EraseDiff(1.0), EraseDiff(1.0, updates=300)]


def constrained(keeping: Sequence[Tensor], erasing: Sequence[Tensor], push: float) -> Tensor:
    """λ for which keeping + λ erasing is the nearest vector whose product with `erasing` is at least push ‖erasing‖²."""
    along = torch.stack([(k * e).sum() for k, e in zip(keeping, erasing, strict=True)]).sum()
    square = torch.stack([e.square().sum() for e in erasing]).sum()
    return (push - along / square).clamp(min=0) if square > 0 else square
