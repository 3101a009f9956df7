"""NegGrad and NegGrad+: gradient ascent on the forget list, alone or with descent on the retained images."""

from dataclasses import dataclass

from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Examples, Model, draw_noised_batch, follow_direction, mean_gradients


@dataclass(frozen=True)
class NegGrad(Mitigation):
    """Raise the denoising loss of the forget list F: minimise -L_F(θ) for `updates` steps of AdamW.

    Published (as a baseline of SISS): -c L_F with a "superfactor" c, which has no effect under AdamW, and no limit but
    the number of steps: 60 of 64 images at 5e-6 on CelebA-HQ, where there are no captions. Here the rate is a hundredth
    of the training's (`rate`), so that the settings lie between no effect and a ruined model (fidelity B). The source
    has one rate for all of its losses, which in `siss` and `finetune` is a tenth of the training's: at that the model no
    longer draws marks on one of three seeds of digits, and no claim can be tested. Timesteps and dropped captions are
    those of the training, and a text encoder that it trained is trained here, too. The released code draws t = 999 alone
    and sums its loss over pixels, so that its clip makes every gradient one of norm 1 (see `siss`); here none is
    clipped.
    Cost: `updates` batches forward and backward.
    """

    updates: int = 60
    rate: float = 0.01
    batch: int = 32

    needs = Needs.FORGET
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    stream = "solidmark.mitigations.neggrad.NegGrad"
    claims = ("It ruins what is generated.", Claim("It unlearns.", below=0.2))
    fidelity = "B"

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the ascent."""

        def loss(count: int) -> Tensor:
            return -draw_noised_batch(model, data.forget, rng, count, data.recipe).losses(model).mean()

        def direction(parameters: list[nn.Parameter]) -> list[Tensor]:
            return mean_gradients(loss, self.batch, data.recipe, parameters)

        return follow_direction(model, direction, self.updates, self.rate * data.recipe.full_rate)

    def settings(self) -> "list[NegGrad]":
        """The sweep, weakest first: more and more updates."""
        return [NegGrad(updates) for updates in (15, 60, 120, 240)]


@dataclass(frozen=True)
class NegGradPlus(Mitigation):
    """Minimise β L_R(θ) - (1 - β) L_F(θ): descent on the retained images R, ascent on the forget list F.

    `keep` is β: 0.95 is that of the small experiments of SCRUB's code, 0.9999 that of its large ones.

    Fidelity B: it was published for classifiers, and the denoising loss stands here for their cross-entropy. Each term has
    a batch of its own, as there, where R is passed through in whole and F again and again; here both are drawn at random,
    with timesteps and dropped captions as in the training, and AdamW takes 200 updates at a tenth of its rate (`rate`).
    Cost: two batches forward and backward an update.
    """

    keep: float = 0.95
    updates: int = 200
    rate: float = 0.1
    batch: int = 32

    needs = Needs.FORGET
    fidelity = "B"
    reference = "Towards Unbounded Machine Unlearning, arXiv 2302.09880"
    stream = "solidmark.mitigations.neggrad.NegGradPlus"
    form_of = "neggrad"
    claims = (
        "It costs the retained less than ascent alone.",
        Claim("It forgets more than fine-tuning.", "difference", below=0.0, against="finetune"),
    )

    def __post_init__(self) -> None:
        self.expect(0 < self.keep < 1, "keep", "a number in (0, 1)")
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after descent and ascent."""
        return follow_direction(
            model, lambda every: self._gradients(model, data, rng, every), self.updates, self.rate * data.recipe.full_rate
        )

    def _gradients(self, model: Model, data: Data, rng: Generator, parameters: list[nn.Parameter]) -> list[Tensor]:
        """Those of the weighted difference of the losses of one batch each. The retained images are drawn first."""

        def of(examples: Examples) -> list[Tensor]:
            def loss(count: int) -> Tensor:
                return draw_noised_batch(model, examples, rng, count, data.recipe).losses(model).mean()

            return mean_gradients(loss, self.batch, data.recipe, parameters)

        retained, forgotten = of(data.retain), of(data.forget)
        return [self.keep * r - (1 - self.keep) * f for r, f in zip(retained, forgotten, strict=True)]

    def settings(self) -> "list[NegGradPlus]":
        """The sweep, weakest first: a larger and larger share of ascent."""
        return [NegGradPlus(keep) for keep in (0.99, 0.95, 0.9, 0.8)]
