"""Embedding search: find a prompt for the content, and see whether the mark comes with it."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import marks, seeds
from ..errors import InvalidValue, NotApplicable
from ..sampling import Protocol
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Embedding(Attack):
    """Optimise each image's text embedding on its content pixels alone, then outpaint with it.

    Adam minimises the denoising loss over the pixels outside the mark, with fresh noise and timestep at each
    step and the mark filled with fresh random keys, so that no key can be learned from it. Keys are averaged
    over `draws` outpaintings. Cost: `updates` evaluations forward and backward and `draws` sampling runs.
    """

    updates: int = 50
    rate: float = 0.05
    draws: int = 2

    access = Access.WEIGHTS
    reference = "Finding Dori: Memorization in Text-to-Image Diffusion Models Is Not Local, arXiv 2507.16880"

    def __post_init__(self) -> None:
        if self.updates < 1 or self.draws < 1 or self.rate <= 0:
            found = f"updates={self.updates}, rate={self.rate}, draws={self.draws}"
            raise InvalidValue("Embedding", found, "at least 1 update and draw, a positive rate", "Mend the numbers.")

    def cost(self, protocol: Protocol) -> float:
        """The search and the runs."""
        return 2 * self.updates + self.draws * protocol.evaluations

    def ask(self, audit: Audit) -> Answer:
        """Mean over draws; the picture shown is the first. Raises NotApplicable on a model without captions."""
        start = audit.model.embed(audit.examples.captions)
        if not start.flatten(1).shape[1]:
            cure = "Choose a testbed with captions."
            raise NotApplicable(f"query {audit.name}", "a model without conditions", "captions or labels", cure)
        found = start.clone()
        audit.spend(2 * self.updates)
        for places in audit.batches():
            found[places.to(start.device)] = self._search(audit, places, start[places.to(start.device)])
        pictures = [audit.outpaint(draw=draw, embeddings=found) for draw in range(self.draws)]
        return Answer(torch.stack([audit.read(images) for images in pictures]).mean(dim=0), pictures[0])

    @torch.enable_grad()
    def _search(self, audit: Audit, places: Tensor, start: Tensor) -> Tensor:
        model, content = audit.model, (~audit.marked).to(start.device)
        rng = seeds.torch_rng(audit.seed, "embedding search", *places.tolist()[:1])
        embeddings = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([embeddings], lr=self.rate)
        for _ in range(self.updates):
            filled = torch.rand(len(places), audit.mark.segments, generator=rng)
            clean = model.encode(marks.paint(audit.mark, audit.examples.images[places], filled))
            noise = torch.randn(clean.shape, generator=rng).to(clean.device)
            t = torch.randint(model.schedule.steps, (len(places),), generator=rng).to(clean.device)
            losses = model.predict(model.schedule.add_noise(clean, noise, t), t, embeddings).losses(clean, noise)
            optimizer.zero_grad()
            torch.where(content, losses, 0.0).mean(dim=(1, 2, 3)).sum().backward()
            optimizer.step()
        return embeddings.detach()
