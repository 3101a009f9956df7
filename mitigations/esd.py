"""ESD, erased stable diffusion: train the captions of the forget list away from what they mean."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, NotApplicable, follow_direction, mean_gradients

from ._dori_claims import DORI
from ._origins import EDITED

SCALE = 3.0
"""Guidance of the partial samples, as published."""


@dataclass(frozen=True)
class ErasedConcepts(Mitigation):
    """Train eps_θ(c) towards eps*(null) - η (eps*(c) - eps*(null)), all at the same x_t and t, eps* the model as it was.

    x_t is drawn by the model itself: DDIM from noise with guidance 3, stopped at a random step for each update. c is a
    caption of the forget list; its images are not used. `away` is η, published 1, and 2 by default in today's script.
    `weights` "x" trains the cross-attention alone (published for what a prompt names), "u" all but that (for what appears
    without being named; the older code leaves out output and time embedding as well, today's the norms). x_t is of the model
    in training, as in the older code; today's script samples from the model as it was. The older code predicts at a t drawn
    between the step at which x_t stopped and the next, today's at that step, as here. Published: 1,000 iterations of Adam
    at 1e-5, batch 1, one concept and 50 steps; the code for diffusers has 200 at 5e-5. Several concepts of one list are
    drawn one an iteration; here every forgotten caption is one, the batch has `batch` of them, which share t, sampling has
    25 steps, and the rate is a tenth of the training's (`rate`). Errors are of the predicted noise, whatever the network
    predicts. Cost: `updates` partial samplings of up to 25 steps, and a batch forward and backward each.
    """

    updates: int = 60
    away: float = 1.0
    rate: float = 0.1
    batch: int = 16
    weights: str = "x"

    needs = Needs.FORGET | Needs.CAPTIONS
    reference = "Erasing Concepts from Diffusion Models, arXiv 2303.07345"
    stream = "solidmark.mitigations.esd.ErasedConcepts"
    claims = (
        Claim(
            "It leaves memorized images as they are: 98 % are replicated after it.", above=0.9, source=DORI, origin=EDITED
        ),
    )

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 <= self.away < float("inf"), "away", "a finite number of at least 0")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")
        self.expect(self.weights in ("x", "u"), "weights", '"x" or "u"')

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the training. Raises NotApplicable without cross-attention."""
        frozen, captions = model.copy().frozen(), data.forget.captions
        frozen.evaluations = model.evaluations

        def loss(count: int) -> Tensor:
            chosen = [captions[index] for index in torch.randint(len(captions), (count,), generator=rng).tolist()]
            x, t = self._partial(model, chosen, rng)
            return (model.predict(x, t, model.embed(chosen)).noise - self._target(frozen, x, t, chosen)).square().mean()

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            return mean_gradients(loss, self.batch, data.recipe, parameters)

        rate, weights = self.rate * data.recipe.full_rate, self._chosen_weights(model)
        return follow_direction(model, direction, self.updates, rate, weights, weight_decay=0.0)

    def _chosen_weights(self, model: Model) -> list[nn.Parameter]:
        """The weights of the cross-attention, or the network's others."""
        attention = [weight for module in model.cross_attention.values() for weight in module.parameters()]
        if self.weights == "u":
            excluded = {id(weight) for weight in attention}
            return [weight for weight in model.network.parameters() if id(weight) not in excluded]
        if not attention:
            found, cure = "a network without cross-attention", 'Choose a testbed with captions, or weights="u".'
            raise NotApplicable("mitigation esd", found, "one that has it", cure)
        return attention

    @torch.no_grad()
    def _partial(self, model: Model, captions: list[str], rng: Generator) -> tuple[Tensor, int]:
        """x_t and t of a sampling run from these captions that stops at a step drawn at random."""
        noise = torch.randn((len(captions), *model.shape), generator=rng).to(model.device)
        times = model.schedule.times(min(25, model.schedule.steps))
        stop = times[int(torch.randint(len(times), (), generator=rng))]
        steps = model.trajectory(model.embed(captions), noise, times, SCALE)
        return next((x, t) for x, t, _ in steps if t == stop)

    @torch.no_grad()
    def _target(self, frozen: Model, x: Tensor, t: int, captions: list[str]) -> Tensor:
        """The target noise, which points away from the captions, (B, C, H, W)."""
        null = frozen.predict(x, t, frozen.embed([""] * len(captions))).noise
        return null - self.away * (frozen.predict(x, t, frozen.embed(captions)).noise - null)

    def settings(self) -> "list[ErasedConcepts]":
        """The sweep, weakest first: more and more updates."""
        return [ErasedConcepts(updates) for updates in (10, 30, 60, 200)]
