"""Likelihood: propose answers, and keep the one to which the model assigns the lowest denoising loss."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import seeds
from ..errors import InvalidValue
from ..sampling import SolverConfig
from . import Access, Answer, Attack, Audit

LEVELS = (0.1, 0.3, 0.5)
"""Shares of the schedule at which the denoising loss of an answer is taken. Higher levels make the query worse."""


@dataclass(frozen=True)
class Likelihood(Attack):
    """Propose `proposals` outpaintings and keep, for each image, the keys of lowest denoising loss.

    L(c) = sum over t of ‖eps(alpha y(c) + sigma n_t, t) - n_t‖² over all pixels, where y(c) is the image with keys c
    painted flat, the guidance is 1, and the noise of a level is the same for all c. This closes the blind spot of
    outpainting by replacement: a proposal that is right by luck is recognised. Cost: `proposals` runs of `steps` steps
    and as many losses.
    """

    proposals: int = 32
    steps: int = 10

    access = Access.WHITE_BOX
    reference = "this project; the published query is arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.proposals < 1 or self.steps < 1:
            found = f"proposals={self.proposals}, steps={self.steps}"
            raise InvalidValue("Likelihood", found, "at least 1 of each", "Take one or more.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of the proposals and of their losses."""
        return self.proposals * (short_solver(solver, self.steps).evaluations + len(LEVELS))

    def ask(self, audit: Audit) -> Answer:
        """The likeliest proposal of each image."""
        keys, _ = likeliest(audit, propose(audit, self.proposals, self.steps))
        return Answer(keys, audit.painted(keys))


def short_solver(solver: SolverConfig, steps: int) -> SolverConfig:
    """The solver of proposals: so many steps, guidance 1."""
    return replace(solver, steps=steps, guidance=1.0)


def propose(audit: Audit, count: int, steps: int) -> list[Tensor]:
    """The keys of `count` outpaintings in `steps` steps at guidance 1, (N, S) each."""
    solver = short_solver(audit.solver, steps)
    return [audit.read(audit.outpaint(draw=draw, solver=solver)) for draw in range(count)]


def likeliest(audit: Audit, proposals: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of several proposals, (N, S) each, the keys of lowest loss for each image, (N, S), and that loss, (N,)."""
    losses = torch.stack([denoising_loss(audit, keys) for keys in proposals])
    lowest, chosen = losses.min(dim=0)
    return torch.stack(list(proposals))[chosen, torch.arange(len(chosen))], lowest


@torch.no_grad()
def denoising_loss(audit: Audit, keys: Tensor) -> Tensor:
    """L(c) of each image with these keys, (N,). The noise of an image does not depend on the keys."""
    model, painted, loss = audit.model, audit.painted(keys), torch.zeros(len(keys))
    audit.spend(len(LEVELS))
    for indices in audit.batches():
        clean = model.encode(painted[indices])
        embeddings = model.embed([audit.examples.captions[row] for row in indices.tolist()])
        noise = _noises(audit, indices).to(clean.device)
        for level, share in enumerate(LEVELS):
            t = round(share * (model.schedule.steps - 1))
            error = model.predict(model.schedule.add_noise(clean, noise[:, level], t), t, embeddings).noise - noise[:, level]
            loss[indices] += error.square().flatten(1).sum(dim=1).cpu()
    return loss


def _noises(audit: Audit, indices: Tensor) -> Tensor:
    """Normal noise for each level, (B, len(LEVELS), C, H, W), from one stream an image."""
    shape = (len(LEVELS), *audit.model.shape)
    ids = [audit.examples.ids[row] for row in indices.tolist()]
    return torch.stack([torch.randn(shape, generator=seeds.torch_rng(audit.seed, "likelihood", number)) for number in ids])
