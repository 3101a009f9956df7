"""NegGrad and NegGrad+: gradient ascent on what is to be forgotten, alone or beside descent on the rest."""

from dataclasses import dataclass

from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.mitigation.handout import Data
from solidmark.models import Model
from solidmark.models.denoising import descend, noised


@dataclass(frozen=True)
class NegGrad(Mitigation):
    """Climb the denoising loss of the forget list F: minimise -L_F(θ) for `updates` steps of AdamW.

    Published (as a baseline of SISS): -c L_F with a "superfactor" c, which AdamW does not feel, and no limit but the
    number of steps: 60 at 5e-6 on CelebA-HQ. Here the rate is a hundredth of the recipe's, so that strengths
    lie between no effect and ruin. Cost: `updates` batches forward and backward.
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
        """The model after the climb."""

        def loss() -> Tensor:
            return -noised(model, data.forget, rng, self.batch).losses(model).mean()

        return descend(model, loss, self.updates, self.learning_rate)

    def strengths(self) -> "list[NegGrad]":
        """Longer and longer."""
        return [NegGrad(updates) for updates in (15, 60, 120, 240)]


@dataclass(frozen=True)
class NegGradPlus(Mitigation):
    """Minimise β L_R(θ) - (1 - β) L_F(θ): descent on the retained images R, ascent on the forget list F.

    `keep` is β, near 1 and chosen for each task where it was published, for classifiers; 0.95 is our choice. Each term
    has a batch of its own, and 200 updates go at a tenth of the recipe's rate. Cost: two batches forward and backward
    an update.
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
        """The model after the tug of war."""
        return descend(model, lambda: self._loss(model, data, rng), self.updates, self.learning_rate)

    def _loss(self, model: Model, data: Data, rng: Generator) -> Tensor:
        """The weighted difference of the losses of one batch each, retained images first."""
        retained = noised(model, data.retain, rng, self.batch).losses(model).mean()
        forgotten = noised(model, data.forget, rng, self.batch).losses(model).mean()
        return self.keep * retained - (1 - self.keep) * forgotten

    def strengths(self) -> "list[NegGradPlus]":
        """More and more ascent."""
        return [NegGradPlus(keep) for keep in (0.99, 0.95, 0.9, 0.8)]
