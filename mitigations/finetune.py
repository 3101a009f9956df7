"""Fine-tuning on the retained images: the reference of all unlearning methods."""

from dataclasses import dataclass

from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, minimize_loss


@dataclass(frozen=True)
class FineTune(Mitigation):
    """Continue training on the retained images alone, so that the others fade ("naive deletion").

    Minimises the denoising loss of the retained images for `updates` steps of `batch` with AdamW. Published (as a baseline
    of SISS): 60 steps at 5e-6 on CelebA-HQ with a model trained at a far lower rate. Here the rate is a tenth of the
    recipe's.
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
        """The model after more training."""

        def loss() -> Tensor:
            return draw_noised_batch(model, data.retain, rng, self.batch).losses(model).mean()

        return minimize_loss(model, loss, self.updates, self.learning_rate)

    def settings(self) -> "list[FineTune]":
        """The sweep, weakest first: more and more updates, in the end larger ones."""
        return [FineTune(60), FineTune(200), FineTune(600), FineTune(600, learning_rate=1e-3)]
