"""Adversarial fine-tuning (DoRI): search embeddings that bring a forgotten image back, and train another image on them."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import (
    Data,
    Examples,
    Model,
    NotApplicable,
    Recipe,
    draw_noised_batch,
    follow_direction,
    join,
    mean_gradients,
    minimize_loss,
)

from ._dori_claims import DORI
from ._origins import ATTACKED

SURROGATES, DRAWS, SEARCH_RATE = 4, 2, 0.1
"""Surrogates for each forgotten image, and noise draws a step and learning rate of a search."""


@dataclass(frozen=True)
class AdversarialFineTuning(Mitigation):
    """In each of `rounds` find y* = argmin_y L(θ, x, y) for every forgotten image x, then descend L_R(θ) + L(θ, x', y*).

    L is the denoising loss. y is an embedding of the image. The search starts from that of its caption and takes `search`
    steps of Adam at 0.1 with fresh noise and times. x' is a surrogate for x, drawn by the model before it is changed.

    Published: surrogates from a pruned model with the same prompt, 50 steps on 8 draws, 5 epochs, all weights; no code could
    be read. Here a surrogate is drawn without a caption, four an image, since pruning is a mitigation of its own. So a
    surrogate may be of any class, and class words of forgotten captions are taught other classes, which the published ones
    do not do. A search step has two draws. A round has `updates` steps at a tenth of the training's rate (`rate`), and half
    of the trained pairs carry the caption itself. Retained images have timesteps and dropped captions as in the training. A
    text encoder that the training trained is trained here, too.
    Cost a round: `search` x 2 images for each of the forget list and `updates` x 2 batches, forward and backward.
    """

    rounds: int = 5
    updates: int = 20
    search: int = 50
    rate: float = 0.1
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
    fidelity = "unverified"

    def __post_init__(self) -> None:
        self.expect(self.rounds >= 1, "rounds", "at least 1")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(self.search >= 1, "search", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after all rounds. Raises NotApplicable on a model without conditions."""
        surrogates = draw_surrogates(model, data.forget, rng, data.recipe.part)
        for _ in range(self.rounds):
            found = self._search(model, data.forget, rng, data.recipe)
            self._train(model, data, surrogates, found, rng)
        return model

    def _search(self, model: Model, forget: Examples, rng: Generator, recipe: Recipe) -> Tensor:
        """An embedding for each forgotten image, (N, ...), at which its denoising loss is low, a few images at once."""
        size = max(1, recipe.part // DRAWS)
        parts = [forget.take(rows) for rows in torch.arange(len(forget)).split(size)]
        return torch.cat([self._search_for(model, part, rng) for part in parts])

    def _search_for(self, model: Model, forget: Examples, rng: Generator) -> Tensor:
        """The same for a few images at once."""
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

    def _train(self, model: Model, data: Data, surrogates: Examples, found: Tensor, rng: Generator) -> None:
        """The updates of a round."""

        def loss(count: int) -> Tensor:
            return self._loss(model, data, surrogates, found, rng, count)

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            return mean_gradients(loss, self.batch, data.recipe, parameters)

        follow_direction(model, direction, self.updates, self.rate * data.recipe.full_rate)

    def _loss(self, model: Model, data: Data, surrogates: Examples, found: Tensor, rng: Generator, count: int) -> Tensor:
        """The loss of `count` retained images and as many surrogates, half under `found`, half under their captions."""
        retained = draw_noised_batch(model, data.retain, rng, count, data.recipe).losses(model).mean()
        indices = torch.randint(len(surrogates), (count,), generator=rng)
        batch = draw_noised_batch(model, surrogates.take(indices), rng)
        embeddings = model.embed(batch.captions)
        adversarial = (torch.rand(count, generator=rng) < 0.5).to(embeddings.device)
        chosen = found[(indices % len(data.forget)).to(found.device)]
        mixed = torch.where(adversarial.reshape(-1, *[1] * (embeddings.ndim - 1)), chosen, embeddings)
        return retained + batch.losses(model, mixed).mean()

    def settings(self) -> "list[AdversarialFineTuning]":
        """The sweep, weakest first: more and more rounds and updates."""
        return [AdversarialFineTuning(*budget) for budget in ((1, 5), (5, 5), (5, 20), (5, 60))]


@torch.no_grad()
def draw_surrogates(model: Model, forget: Examples, rng: Generator, part: int) -> Examples:
    """Images that the model draws without a caption, SURROGATES for each of the list, all in turn, with its captions.

    `part` are drawn at once.
    """
    several = join([forget] * SURROGATES)
    noise = torch.randn((len(several), *model.shape), generator=rng)
    times, images = model.schedule.times(min(25, model.schedule.steps)), []
    for some in noise.split(part):
        *_, (_, _, last) = model.trajectory(model.embed([""] * len(some)), some.to(model.device), times)
        images.append(model.decode(last.clean).cpu())
    return several.with_images(torch.cat(images))
