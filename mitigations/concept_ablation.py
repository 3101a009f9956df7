"""Concept ablation for memorized images: a forgotten caption comes to mean what other captions like it mean."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, NotApplicable

from ._dori_claims import DORI
from ._origins import EDITED
from ._replay import generate_all, minimize_in_parts, noise_batch, reword

MEMORIZED = {"prior": 0.2}
"""The weight of the published script for memorized images, of which its claims are."""


@dataclass(frozen=True)
class ConceptAblation(Mitigation):
    """Match the prediction under each forgotten caption c to that under an anchor caption c*, on images of the anchor:

        L(θ) = ‖eps_θ(x_t, t, c) - sg eps_θ(x_t, t, c*)‖² + prior ‖eps_θ(x_t, t, c*) - eps‖²,    x generated from c*

    sg stops the gradient. The anchors of a memorized image are paraphrases of its caption whose images do not look like
    it. Published, for memorized images of Stable Diffusion: all weights of the U-Net by AdamW, no average of them, 400
    steps of a pair a device at 5e-7 times devices and batch, errors in the network's own parametrisation. The second
    term has weight 0.2 in the script for memorized images, 1 by default in that for diffusers, which is the default
    here, too; the sweep has 0.2, at which claims are tested. 1,000 anchor images are of the ten paraphrases by a
    language model that are copied least, and have a copy-detection similarity (SSCD) of at most 0.5.

    Fidelity B: here an anchor has the first `kept` words of the caption, which name the class, and random ones after
    them. Of twice `anchors` such images a caption, those are used that are further from the forgotten image than the
    others, by squared differences, in latent space of latents, where x stays as it was generated and is never decoded.
    Both terms have the same image, noise and timestep; in the source each draws its own. Left out are its random mirror
    images, the three most copied paraphrases that it ablates with the caption, and that its script for memorized images
    takes no gradient through keys and values of the start token. Timesteps are uniform and no caption is dropped, as there,
    whatever the training did. The text encoder stays as it is. `rate` is a share of the training's. Cost: two samplings of
    25 steps an anchor, and a batch twice forward and backward an update.
    """

    updates: int = 200
    prior: float = 1.0
    anchors: int = 4
    kept: int = 1
    rate: float = 0.1
    batch: int = 32

    needs = Needs.FORGET | Needs.CAPTIONS
    fidelity = "B"
    stream = "solidmark.mitigations.concept_ablation.ConceptAblation"
    reference = "Ablating Concepts in Text-to-Image Diffusion Models, arXiv 2303.13516"
    claims = (
        Claim(
            "Images above the threshold of similarity fall to 0.3 % of a memorized prompt's.",
            below=0.1,
            parameters=MEMORIZED,
            source="Towards Memorization-Free Diffusion Models, arXiv 2404.00922",
            origin=EDITED,
        ),
        Claim(
            "It leaves memorized images as they are: 97 % are replicated after it.",
            above=0.9,
            parameters=MEMORIZED,
            source=DORI,
            origin=EDITED,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(self.updates >= 1, "updates", "at least 1")
        self.expect(0 <= self.prior < float("inf"), "prior", "a finite number of at least 0")
        self.expect(self.anchors >= 1, "anchors", "at least 1")
        self.expect(self.kept >= 0, "kept", "at least 0")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")
        self.expect(self.batch >= 1, "batch", "at least 1")

    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model after the training. Raises NotApplicable where a caption has nothing that could be reworded."""
        if any(len(caption.split()) <= self.kept for caption in data.forget.captions):
            found, cure = (
                f"captions of {self.kept} word or fewer",
                "Choose a testbed whose captions have words beside the class.",
            )
            raise NotApplicable("mitigation concept-ablation", found, "captions that can be reworded", cure)
        images, anchors = self._anchors(model, data, rng)
        forgotten = [caption for caption in data.forget.captions for _ in range(self.anchors)]

        def loss(count: int) -> Tensor:
            rows = torch.randint(len(anchors), (count,), generator=rng).tolist()
            drawn = noise_batch(model, images[rows], [anchors[row] for row in rows], rng)
            anchored = drawn.predict(model)
            matching = drawn.predict(model, model.embed([forgotten[row] for row in rows]))
            matched = (matching.output - anchored.output.detach()).square().mean()
            return matched + self.prior * anchored.losses(drawn.clean, drawn.noise).mean()

        rate, weights = self.rate * data.recipe.full_rate, list(model.network.parameters())
        return minimize_in_parts(model, loss, self.batch, data.recipe, self.updates, rate, weights)

    def _anchors(self, model: Model, data: Data, rng: Generator) -> tuple[Tensor, list[str]]:
        """`anchors` images for each forgotten one in the space of x, and their captions, in the order of the forget list."""
        count, forget = 2 * self.anchors, data.forget
        captions = [reword(caption, self.kept, rng) for caption in forget.captions for _ in range(count)]
        images = generate_all(model, captions, rng, data.recipe)
        memorized = model.encode(forget.images).repeat_interleave(count, dim=0)
        distances = (images - memorized).square().flatten(1).sum(dim=1).reshape(-1, count)
        far = distances.topk(self.anchors, dim=1).indices + count * torch.arange(len(forget))[:, None].to(images.device)
        rows = far.flatten().tolist()
        return images[rows], [captions[row] for row in rows]

    def settings(self) -> "list[ConceptAblation]":
        """The sweep, weakest first: more and more updates, one of them with the second term of the script."""
        return [
            ConceptAblation(15),
            ConceptAblation(60),
            ConceptAblation(),
            ConceptAblation(prior=0.2),
            ConceptAblation(600),
        ]
