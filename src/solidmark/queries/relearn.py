"""Relearning: fine-tune a little on other images, and see whether the unlearned images come back."""

from dataclasses import dataclass

from torch import Tensor

from .. import seeds
from ..errors import InvalidValue, NotApplicable
from ..mitigation.composition import Composition
from ..models import Denoiser
from ..models.denoising import draw_noised_batch, minimize_loss
from ..sampling import Service, SolverConfig
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Relearn(Attack):
    """Fine-tune a copy of the weights for `updates` steps on images that the query does not ask about, then outpaint.

    Where there is a forget list the images are the retained ones, and else images of the same kind with marks of their
    own. What unlearning only hides comes back with those. Cost: `updates` batches forward and backward, shared by the
    images of the audit, and one sampling run.
    """

    updates: int = 50
    rate: float = 1e-4
    batch: int = 32

    access = Access.WHITE_BOX
    learns = True
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"

    def __post_init__(self) -> None:
        if self.updates < 1 or self.batch < 1 or self.rate <= 0:
            found = f"updates={self.updates}, rate={self.rate}, batch={self.batch}"
            raise InvalidValue("Relearn", found, "at least 1 update and image, a positive rate", "Correct the numbers.")

    def cost(self, solver: SolverConfig) -> float:
        """The cost of the run, and of the training as if the audit had a single image."""
        return 2 * self.updates * self.batch + solver.evaluations

    def ask(self, audit: Audit) -> Answer:
        """One draw from the tuned copy. Raises NotApplicable without weights or without other images."""
        if audit.others is None or not audit.model.parameters():
            found, cure = "no other images, or no weights", "Query a trained model on a testbed that has some."
            raise NotApplicable(f"query {audit.name}", found, "weights, and images to learn from", cure)
        audit.spend(2 * self.updates * self.batch / len(audit.examples))
        tuned = self._tune(audit)
        images = audit.outpaint(service=Service(tuned, Composition(), audit.seed, "relearn"))
        audit.model.evaluations.forward += tuned.evaluations.forward
        audit.model.evaluations.backward += tuned.evaluations.backward
        return Answer(audit.read(images), images)

    def _tune(self, audit: Audit) -> Denoiser:
        """A copy of the model, fine-tuned on the other images."""
        model, others, rng = audit.model.copy(), audit.others, seeds.torch_rng(audit.seed, "relearn")
        assert others is not None

        def loss() -> Tensor:
            return draw_noised_batch(model, others, rng, self.batch).losses(model).mean()

        return minimize_loss(model, loss, self.updates, self.rate).frozen()
