"""Adversarial fine-tuning (DoRI): search embeddings that bring a forgotten image back, and train another image on them."""

from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Examples, Model, NotApplicable, draw_noised_batch, join, minimize_loss

from ._dori_claims import DORI
from ._origins import ATTACKED

SURROGATES, DRAWS, SEARCH_RATE = 4, 2, 0.1
"""Surrogates for each forgotten image, and noise draws a step and learning rate of a search."""


@dataclass(frozen=True)
class AdversarialFineTuning(Mitigation):
    """In each of `rounds` find y* = argmin_y L(θ, x, y) for every forgotten image x, then descend L_R(θ) + L(θ, x', y*).

    L is the denoising loss. y is an embedding of the image. The search starts from that of its caption and takes `search`
    steps of Adam at 0.1 with fresh noise and times. x' is a surrogate for x, drawn by the model before it is changed.

    Published: surrogates from a pruned model with the same prompt, 50 steps on 8 draws, 5 epochs, all weights. Here a
    surrogate is drawn without a caption, four an image, since pruning is a mitigation of its own. A search step has two
    draws. A round has `updates` steps at a tenth of the recipe's rate, and half of the trained pairs carry the caption
    itself. Cost a round: `search` x 2 images for each of the forget list and `updates` x 2 batches, forward and backward.
    """

    rounds: int = 5
    updates: int = 20
    search: int = 50
    learning_rate: float = 3e-4
    batch: int = 32

    needs = Needs.FORGET | Needs.CAPTIONS
    reference = DORI
    stream = "solidmark.mitigations.adversarial_finetune.AdversarialFineTuning"
    claims = (
        Claim(
            "No embedding brings the images back: 2 % are replicated under attack.",
            below=0.1,
            query="embedding",
            origin=ATTACKED,
        ),
    )
    fidelity = "B"

    def __post_init__(self) -> None:
        self.expect(self.rounds >= 1, "rounds", "at least 1")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(self.search >= 1, "search", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after all rounds. Raises NotApplicable on a model without conditions."""
        surrogates = draw_surrogates(model, data.forget, rng)
        for _ in range(self.rounds):
            found = self._search(model, data.forget, rng)
            minimize_loss(model, partial(self._loss, model, data, surrogates, found, rng), self.updates, self.learning_rate)
        return model

    def _search(self, model: Model, forget: Examples, rng: Generator) -> Tensor:
        """An embedding for each forgotten image, (N, ...), at which its denoising loss is low."""
        start = model.embed(forget.captions).detach()
        if not start.flatten(1).shape[1]:
            cure = "Choose a testbed with captions."
            raise NotApplicable("mitigation adversarial-finetune", "a model without conditions", "captions or labels", cure)
        embeddings = nn.Parameter(start)
        twice = join([forget] * DRAWS)

        def loss() -> Tensor:
            return draw_noised_batch(model, twice, rng).losses(model, torch.cat([embeddings] * DRAWS)).sum() / DRAWS

        minimize_loss(model, loss, self.search, SEARCH_RATE, [embeddings], weight_decay=0.0)
        return embeddings.detach()

    def _loss(self, model: Model, data: Data, surrogates: Examples, found: Tensor, rng: Generator) -> Tensor:
        """The loss of a batch of retained images and of one of surrogates, half under `found`, half under their captions."""
        retained = draw_noised_batch(model, data.retain, rng, self.batch).losses(model).mean()
        indices = torch.randint(len(surrogates), (self.batch,), generator=rng)
        batch = draw_noised_batch(model, surrogates.take(indices), rng)
        embeddings = model.embed(batch.captions)
        adversarial = torch.arange(self.batch, device=embeddings.device) % 2 == 0
        chosen = found[(indices % len(data.forget)).to(found.device)]
        mixed = torch.where(adversarial.reshape(-1, *[1] * (embeddings.ndim - 1)), chosen, embeddings)
        return retained + batch.losses(model, mixed).mean()

    def settings(self) -> "list[AdversarialFineTuning]":
        """The sweep, weakest first: more and more rounds and updates."""
        return [AdversarialFineTuning(*budget) for budget in ((1, 5), (5, 5), (5, 20), (5, 60))]


@torch.no_grad()
def draw_surrogates(model: Model, forget: Examples, rng: Generator) -> Examples:
    """Images that the model draws without a caption, SURROGATES for each of the list, all in turn, with its captions."""
    several = join([forget] * SURROGATES)
    noise = torch.randn((len(several), *model.shape), generator=rng).to(model.device)
    times = model.schedule.times(min(25, model.schedule.steps))
    *_, (_, _, last) = model.trajectory(model.embed([""] * len(several)), noise, times)
    return several.with_images(model.decode(last.clean).cpu())
