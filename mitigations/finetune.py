"""Fine-tuning on the retained images: what every unlearning method is compared with."""

from dataclasses import dataclass

from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.mitigation.handout import Data
from solidmark.models import Model
from solidmark.models.denoising import descend, noised


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
    reference_curve = True
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    stream = "solidmark.mitigations.finetune.FineTune"
    claims = (Claim("Naive deletion hardly unlearns.", above=0.8),)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(self.learning_rate > 0, "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The same model, trained on."""

        def loss() -> Tensor:
            return noised(model, data.retain, rng, self.batch).losses(model).mean()

        return descend(model, loss, self.updates, self.learning_rate)

    def strengths(self) -> "list[FineTune]":
        """Longer and longer."""
        return [FineTune(60), FineTune(200), FineTune(600), FineTune(600, learning_rate=1e-3)]
