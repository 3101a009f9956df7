"""Fine-tuning on the retained images: the reference of all unlearning methods."""

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, follow_direction, mean_gradients


@dataclass(frozen=True)
class FineTune(Mitigation):
    """Continue training on the retained images alone, so that the others fade ("naive deletion").

    Minimises the denoising loss of the retained images for `updates` steps of `batch` with AdamW: timesteps are drawn and
    captions dropped as in the training, so that the branch without a caption is trained on. `rate` is the constant learning
    rate as a share of the training's, of which adapters' counts a tenth. Published (as a baseline of SISS): 60 steps of 64
    images at 5e-6, with betas of 0.95 and 0.999 and a weight decay of 1e-6, on CelebA-HQ, where there are no captions; here
    the first beta is 0.9 and the decay 0.01. The released code draws t = 999 alone and sums its loss over pixels, so that
    its clip makes every gradient one of norm 1 (see `siss`); here none is clipped. A text encoder that the training trained
    is trained here, too; the published edits of Stable Diffusion leave it as it is.
    """

    updates: int = 60
    rate: float = 0.1
    batch: int = 32

    needs = Needs.FORGET
    reference_curve = True
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    stream = "solidmark.mitigations.finetune.FineTune"
    claims = (Claim("Naive deletion hardly unlearns.", above=0.8),)

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after more training."""

        def loss(count: int) -> Tensor:
            return draw_noised_batch(model, data.retain, rng, count, data.recipe).losses(model).mean()

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            return mean_gradients(loss, self.batch, data.recipe, parameters)

        return follow_direction(model, direction, self.updates, self.rate * data.recipe.full_rate)

    def settings(self) -> "list[FineTune]":
        """The sweep, weakest first: more and more updates, in the end larger ones."""
        return [FineTune(60), FineTune(200), FineTune(600), FineTune(600, rate=0.3), FineTune(600, rate=1.0)]
