"""ReTrack: redirect the denoising of forgotten images towards their nearest retained neighbours."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, NoisedBatch, Prediction, draw_noised_batch

from ._origins import EDITED
from ._replay import minimize_in_parts


@dataclass(frozen=True)
class RedirectedTrajectory(Mitigation):
    """From noised forgotten images x_t ~ N(alpha_t a, sigma_t²), train towards the `neighbours` retained images next to a:

        L(θ) = E_a,t sum_k w_k(x_t) ‖x0_θ(x_t) - x_k‖² + keep L_R(θ),    w_k = softmax_k(-‖x_t - alpha_t x_k‖² / 2 sigma_t²)

    The loss of a training on the retained images alone is E_k ‖...‖² over x_t ~ N(alpha_t x_k, sigma_t²). Sampled from the
    forgotten image's noise in place of theirs, each retained image weighs by q(x_t | x_k) / q(x_t | a), and the nearest
    dominate. That much the paper's abstract says: importance sampling, dominant terms, trajectories redirected to the k
    nearest neighbours. The rest is our derivation, as the paper's text was not read: weights that are normalised over the
    neighbours, errors of the clean image (those of the noise grow without bound as sigma falls, since x_k is not where x_t
    came from), neighbours by squared differences of the marked images (in latent space of their latents), the ordinary loss
    of the retained images with weight `keep`, and all numbers. Forgotten images have their own captions, never dropped, and
    uniform timesteps; retained ones have timesteps and dropped captions as in the training. The text encoder stays as it is,
    as in Stable Diffusion. Cost: two batches forward and backward an update.
    """

    updates: int = 60
    neighbours: int = 4
    keep: float = 1.0
    rate: float = 0.1
    batch: int = 32

    needs = Needs.FORGET
    fidelity = "unverified"
    stream = "solidmark.mitigations.retrack.RedirectedTrajectory"
    reference = "ReTrack: Data Unlearning in Diffusion Models through Redirecting the Denoising Trajectory, arXiv 2509.13007"
    claims = (Claim("It unlearns more than subtracted scores do.", "difference", below=0.0, against="siss", origin=EDITED),)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(self.neighbours >= 1, "neighbours", "at least 1")
        self.expect(0 <= self.keep < float("inf"), "keep", "a finite number of at least 0")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the training."""
        retained, forgotten = (model.encode(part.images) for part in (data.retain, data.forget))
        near = min(self.neighbours, len(retained))
        nearest = torch.cdist(forgotten.flatten(1), retained.flatten(1)).topk(near, largest=False).indices

        def loss(count: int) -> Tensor:
            rows = torch.randint(len(forgotten), (count,), generator=rng)
            a = draw_noised_batch(model, data.forget.take(rows), rng)
            redirected = redirection(a, a.predict(model), retained[nearest[rows.to(nearest.device)]], *_levels(model, a))
            kept = draw_noised_batch(model, data.retain, rng, count, data.recipe).losses(model).mean()
            return redirected.mean() + self.keep * kept

        rate, weights = self.rate * data.recipe.full_rate, list(model.network.parameters())
        return minimize_in_parts(model, loss, self.batch, data.recipe, self.updates, rate, weights)

    def settings(self) -> "list[RedirectedTrajectory]":
        """The sweep, weakest first: more and more updates."""
        return [RedirectedTrajectory(updates) for updates in (15, 60, 200, 600)]


def _levels(model: Model, batch: NoisedBatch) -> tuple[Tensor, Tensor]:
    """alpha_t and sigma_t of a batch."""
    return model.schedule.alpha(batch.t), model.schedule.sigma(batch.t)


def redirection(batch: NoisedBatch, prediction: Prediction, neighbours: Tensor, alpha: Tensor, sigma: Tensor) -> Tensor:
    """sum_k w_k mean((x0_θ - x_k)²), (B,), over neighbours (B, K, C, H, W)."""
    misfit = (batch.x[:, None] - alpha[:, None] * neighbours).square().flatten(2).sum(dim=2)
    weights = (-misfit / (2 * sigma.reshape(-1, 1).square())).softmax(dim=1)
    errors = (prediction.clean[:, None] - neighbours).square().flatten(2).mean(dim=2)
    return (weights * errors).sum(dim=1)
