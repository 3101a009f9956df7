"""Variational diffusion unlearning (VDU): ascent on the forgotten images alone, inside the posterior of the weights."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, gradients

from ._origins import EDITED
from ._replay import fisher_information, minimize_in_parts, penalty


@dataclass(frozen=True)
class VariationalUnlearning(Mitigation):
    """Lower the likelihood of the forgotten images F, and stay where the weights were likely:

        L(θ) = -(1 - stability) l_F(θ) + stability sum_j (θ_j - θ*_j)² / (2 s_j²)

    The first term is the plasticity inducer, the second the stability regularizer, and only F is needed, no retained image.
    l_F is the denoising loss, summed over the numbers of an image, in latent space over the fewer ones of its latent, so
    that the same `stability` holds the weights less: the loss grows with that number, the Fisher information with its
    square. The abstract and public summaries name both terms, the balance between them and that mean and variance of the
    weights come from several trainings' checkpoints; the paper's text was not read, so how the balance enters and all
    numbers are ours. There is one model here, so the variance is that of Laplace's approximation, 1 / s_j² = F_j + `floor`
    mean(F) with the Fisher information F of l_F over `samples` draws. Ascent has no end, so `updates` sets the dose.
    Timesteps are uniform and no caption is dropped, whatever the training did. The text encoder stays as it is. Cost:
    `samples` evaluations forward and backward, and a batch forward and backward an update.
    """

    updates: int = 60
    stability: float = 0.5
    samples: int = 256
    floor: float = 0.01
    rate: float = 0.01
    batch: int = 32

    needs = Needs.FORGET
    fidelity = "unverified"
    stream = "solidmark.mitigations.vdu.VariationalUnlearning"
    reference = (
        "Variational Diffusion Unlearning: A Variational Inference Framework for Unlearning in Diffusion Models under "
        "Data Constraints, arXiv 2510.04058"
    )
    claims = (Claim("What was to be forgotten is no longer generated.", below=0.2, origin=EDITED),)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 <= self.stability <= 1, "stability", "a number in [0, 1]")
        self.expect(self.samples >= 1, "samples", "at least 1")
        self.expect(0 <= self.floor < float("inf"), "floor", "a finite number of at least 0")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the ascent."""
        parameters, numbers = list(model.network.parameters()), model.encode(data.forget.images[:1]).numel()
        before = [parameter.detach().clone() for parameter in parameters]

        def likelihood_loss(size: int) -> Tensor:
            return draw_noised_batch(model, data.forget, rng, size).losses(model).mean() * numbers

        fisher = fisher_information(lambda: gradients(likelihood_loss(1), parameters), self.samples)
        precision = self._precision(fisher)

        def loss(count: int) -> Tensor:
            held = penalty(parameters, before, precision) / 2
            return self.stability * held - (1 - self.stability) * likelihood_loss(count)

        rate = self.rate * data.recipe.full_rate
        return minimize_in_parts(model, loss, self.batch, data.recipe, self.updates, rate, parameters, weight_decay=0.0)

    def _precision(self, fisher: list[Tensor]) -> list[Tensor]:
        """1 / s_j², one tensor a parameter: the Fisher information, and a share of its mean."""
        mean = torch.stack([part.sum() for part in fisher]).sum() / sum(part.numel() for part in fisher)
        return [part + self.floor * mean for part in fisher]

    def settings(self) -> "list[VariationalUnlearning]":
        """The sweep, weakest first: more and more updates."""
        return [VariationalUnlearning(updates) for updates in (15, 60, 120, 240)]
