"""Likelihood: propose answers, and keep the one that the model itself finds most likely."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .. import seeds
from ..errors import InvalidValue
from ..sampling import Protocol
from . import Access, Answer, Attack, Audit

LEVELS = (0.1, 0.3, 0.5)
"""Shares of the schedule at which an answer's denoising loss is taken; high levels hurt."""


@dataclass(frozen=True)
class Likelihood(Attack):
    """Propose `proposals` outpaintings and keep, for each image, the keys of lowest denoising loss.

    L(c) = sum over t of ‖eps(alpha y(c) + sigma n_t, t) - n_t‖² over all pixels, y(c) the image with keys c
    painted flat, guidance 1, one common noise a level. It closes the blind spot of replacement outpainting: a
    proposal that was drawn by luck is recognised. Cost: `proposals` runs of `steps` steps and as many losses.
    """

    proposals: int = 32
    steps: int = 10

    access = Access.WEIGHTS
    reference = "this project; the published query is arXiv 2503.00592"

    def __post_init__(self) -> None:
        if self.proposals < 1 or self.steps < 1:
            found = f"proposals={self.proposals}, steps={self.steps}"
            raise InvalidValue("Likelihood", found, "at least 1 of each", "Ask for one or more.")

    def _protocol(self, protocol: Protocol) -> Protocol:
        return replace(protocol, steps=self.steps, guidance=1.0)

    def cost(self, protocol: Protocol) -> float:
        """Proposals and their losses."""
        return self.proposals * (self._protocol(protocol).evaluations + len(LEVELS))

    def ask(self, audit: Audit) -> Answer:
        """The likeliest proposal of each image."""
        proposed = [
            audit.read(audit.outpaint(draw=draw, protocol=self._protocol(audit.protocol))) for draw in range(self.proposals)
        ]
        keys, _ = likeliest(audit, proposed)
        return Answer(keys, audit.painted(keys))


def likeliest(audit: Audit, proposed: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of several (N, S) keys, those of lowest loss for each image, and that loss, (N,)."""
    losses = torch.stack([denoising_loss(audit, keys) for keys in proposed])
    lowest, chosen = losses.min(dim=0)
    return torch.stack(list(proposed))[chosen, torch.arange(len(chosen))], lowest


@torch.no_grad()
def denoising_loss(audit: Audit, keys: Tensor) -> Tensor:
    """L(c) of each image with these keys, (N,); the noise of an image is the same for whatever keys it carries."""
    model, painted, loss = audit.model, audit.painted(keys), torch.zeros(len(keys))
    audit.spend(len(LEVELS))
    for places in audit.batches():
        clean = model.encode(painted[places])
        embeddings = model.embed([audit.examples.captions[row] for row in places.tolist()])
        noise = _noises(audit, places).to(clean.device)
        for level, share in enumerate(LEVELS):
            t = round(share * (model.schedule.steps - 1))
            error = model.predict(model.schedule.add_noise(clean, noise[:, level], t), t, embeddings).noise - noise[:, level]
            loss[places] += error.square().flatten(1).sum(dim=1).cpu()
    return loss


def _noises(audit: Audit, places: Tensor) -> Tensor:
    shape = (len(LEVELS), *audit.model.shape)
    ids = [audit.examples.ids[row] for row in places.tolist()]
    return torch.stack([torch.randn(shape, generator=seeds.torch_rng(audit.seed, "likelihood", number)) for number in ids])
