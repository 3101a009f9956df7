"""Fine-tuning on the retained images: what every unlearning method is compared with."""

from dataclasses import dataclass

import torch
from torch import Generator

from solidmark import Mitigation, Needs
from solidmark.data import Data
from solidmark.models import Model


@dataclass(frozen=True)
class FineTune(Mitigation):
    """Go on training on the retained images alone and let the others fade ("naive deletion").

    Minimises the denoising loss on the retained images for `updates` steps of `batch` with AdamW. Published
    (as a baseline of SISS): 60 steps at 5e-6 on CelebA-HQ with a model trained at a far lower rate; here the
    rate is a tenth of the recipe's.
    """

    updates: int = 60
    learning_rate: float = 3e-4
    batch: int = 32

    needs = Needs.FORGET
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    claims = ("Naive deletion hardly unlearns.",)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(self.learning_rate > 0, "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The same model, trained on."""
        optimizer = torch.optim.AdamW(model.parameters(), lr=self.learning_rate)
        for _ in range(self.updates):
            chosen = data.retain.take(torch.randint(len(data.retain), (self.batch,), generator=rng))
            clean = model.encode(chosen.images)
            noise = torch.randn(clean.shape, generator=rng).to(clean.device)
            t = torch.randint(model.schedule.steps, (self.batch,), generator=rng).to(clean.device)
            noised = model.schedule.add_noise(clean, noise, t)
            loss = model.predict(noised, t, model.embed(chosen.captions)).losses(clean, noise).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model

    def strengths(self) -> "list[FineTune]":
        """Longer and longer."""
        return [FineTune(60), FineTune(200), FineTune(600), FineTune(600, learning_rate=1e-3)]
