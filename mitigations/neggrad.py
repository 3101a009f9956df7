"""NegGrad and NegGrad+: gradient ascent on the forget list, alone or with descent on the retained images."""

from dataclasses import dataclass

from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, draw_noised_batch, minimize_loss


@dataclass(frozen=True)
class NegGrad(Mitigation):
    """Raise the denoising loss of the forget list F: minimise -L_F(θ) for `updates` steps of AdamW.

    Published (as a baseline of SISS): -c L_F with a "superfactor" c, which has no effect under AdamW, and no limit but
    the number of steps: 60 at 5e-6 on CelebA-HQ. Here the rate is a hundredth of the recipe's, so that the settings lie
    between no effect and a ruined model. Cost: `updates` batches forward and backward.
    """

    updates: int = 60
    learning_rate: float = 3e-5
    batch: int = 32

    needs = Needs.FORGET
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    stream = "solidmark.mitigations.neggrad.NegGrad"
    claims = ("It ruins what is generated.", Claim("It unlearns.", below=0.2))

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the ascent."""

        def loss() -> Tensor:
            return -draw_noised_batch(model, data.forget, rng, self.batch).losses(model).mean()

        return minimize_loss(model, loss, self.updates, self.learning_rate)

    def settings(self) -> "list[NegGrad]":
        """The sweep, weakest first: more and more updates."""
        return [NegGrad(updates) for updates in (15, 60, 120, 240)]


@dataclass(frozen=True)
class NegGradPlus(Mitigation):
    """Minimise β L_R(θ) - (1 - β) L_F(θ): descent on the retained images R, ascent on the forget list F.

    `keep` is β. It was published for classifiers, near 1 and chosen for each task; 0.95 is our choice. Each term has a
    batch of its own, and the 200 updates have a tenth of the recipe's rate. Cost: two batches forward and backward an
    update.
    """

    keep: float = 0.95
    updates: int = 200
    learning_rate: float = 3e-4
    batch: int = 32

    needs = Needs.FORGET
    reference = "Towards Unbounded Machine Unlearning, arXiv 2302.09880"
    stream = "solidmark.mitigations.neggrad.NegGradPlus"
    claims = (
        "It costs the retained less than ascent alone.",
        Claim("It forgets more than fine-tuning.", "difference", below=0.0, against="finetune"),
    )

    def __post_init__(self) -> None:
        self.expect(0 < self.keep < 1, "keep", "a number in (0, 1)")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.learning_rate < float("inf"), "learning_rate", "a positive number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after descent and ascent."""
        return minimize_loss(model, lambda: self._loss(model, data, rng), self.updates, self.learning_rate)

    def _loss(self, model: Model, data: Data, rng: Generator) -> Tensor:
        """The weighted difference of the losses of one batch each. The retained images are drawn first."""
        retained = draw_noised_batch(model, data.retain, rng, self.batch).losses(model).mean()
        forgotten = draw_noised_batch(model, data.forget, rng, self.batch).losses(model).mean()
        return self.keep * retained - (1 - self.keep) * forgotten

    def settings(self) -> "list[NegGradPlus]":
        """The sweep, weakest first: a larger and larger share of ascent."""
        return [NegGradPlus(keep) for keep in (0.99, 0.95, 0.9, 0.8)]
