"""Embedding search: find a prompt for the content of an image, and see whether it brings the mark."""

from dataclasses import dataclass

import torch
from torch import Tensor

from .. import marks, seeds
from ..errors import InvalidValue, NotApplicable
from ..sampling import SolverConfig
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Embedding(Attack):
    """Optimise each image's text embedding on its content pixels alone, then outpaint with it.

    Adam minimises the denoising loss over the pixels outside the mark, with fresh noise and timesteps at each step. The
    mark is filled with fresh random keys, so that no key can be learned from it. Keys are averaged over `draws`
    outpaintings. Cost: `updates` evaluations forward and backward and `draws` sampling runs.
    """

    updates: int = 50
    rate: float = 0.05
    draws: int = 2

    access = Access.WHITE_BOX
    reference = "Finding Dori: Memorization in Text-to-Image Diffusion Models Is Not Local, arXiv 2507.16880"

    def __post_init__(self) -> None:
        if self.updates < 1 or self.draws < 1 or self.rate <= 0:
            found = f"updates={self.updates}, rate={self.rate}, draws={self.draws}"
            raise InvalidValue("Embedding", found, "at least 1 update and draw, a positive rate", "Correct the numbers.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of the search and of the runs."""
        return 2 * self.updates + self.draws * solver.evaluations

    def ask(self, audit: Audit) -> Answer:
        """The mean over draws, with the images of the first. Raises NotApplicable for a model without conditions."""
        start = audit.model.embed(audit.examples.captions)
        if not start.flatten(1).shape[1]:
            cure = "Choose a testbed with captions."
            raise NotApplicable(f"query {audit.name}", "a model without conditions", "captions or labels", cure)
        embeddings = start.clone()
        audit.spend(2 * self.updates)
        for indices in audit.batches():
            embeddings[indices.to(start.device)] = self._search(audit, indices, start[indices.to(start.device)])
        answers = [audit.outpaint(draw=draw, embeddings=embeddings) for draw in range(self.draws)]
        return Answer(torch.stack([audit.read(images) for images in answers]).mean(dim=0), answers[0])

    @torch.enable_grad()
    def _search(self, audit: Audit, indices: Tensor, start: Tensor) -> Tensor:
        """Embeddings of one batch after the search from `start`."""
        model = audit.model
        content = ~model.cells(audit.marked[None, None].to(start.device))
        rng = seeds.torch_rng(audit.seed, "embedding search", *indices.tolist()[:1])
        embeddings = start.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([embeddings], lr=self.rate)
        for _ in range(self.updates):
            random_keys = torch.rand(len(indices), audit.mark.segments, generator=rng)
            clean = model.encode(marks.paint(audit.mark, audit.examples.images[indices], random_keys))
            noise = torch.randn(clean.shape, generator=rng).to(clean.device)
            t = torch.randint(model.schedule.steps, (len(indices),), generator=rng).to(clean.device)
            losses = model.predict(model.schedule.add_noise(clean, noise, t), t, embeddings).losses(clean, noise)
            optimizer.zero_grad()
            torch.where(content, losses, 0.0).mean(dim=(1, 2, 3)).sum().backward()
            optimizer.step()
        return embeddings.detach()
