"""Relearning: fine-tune a little on other images, and see whether what was unlearned comes back."""

from dataclasses import dataclass

from torch import Tensor

from .. import seeds
from ..errors import InvalidValue, NotApplicable
from ..mitigation.composition import Composition
from ..models import Denoiser
from ..models.denoising import descend, noised
from ..sampling import Protocol, Service
from . import Access, Answer, Attack, Audit


@dataclass(frozen=True)
class Relearn(Attack):
    """Fine-tune a copy of the weights for `updates` steps on images that are not asked for, then outpaint.

    The images are those that a mitigation was told to keep, where there is a forget list, and else images of the
    same kind with marks of their own. Unlearning that only hides comes back with the others. Cost: `updates`
    batches forward and backward, spread over the images asked, and one sampling run.
    """

    updates: int = 50
    rate: float = 1e-4
    batch: int = 32

    access = Access.WEIGHTS
    learns = True
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"

    def __post_init__(self) -> None:
        if self.updates < 1 or self.batch < 1 or self.rate <= 0:
            found = f"updates={self.updates}, rate={self.rate}, batch={self.batch}"
            raise InvalidValue("Relearn", found, "at least 1 update and image, a positive rate", "Mend the numbers.")

    def cost(self, protocol: Protocol) -> float:
        """The run, and the training as if a single image were asked for."""
        return 2 * self.updates * self.batch + protocol.evaluations

    def ask(self, audit: Audit) -> Answer:
        """One draw from the tuned copy."""
        if audit.others is None or not audit.model.parameters():
            found, cure = "no other images, or no weights", "Ask a trained model on a testbed that has some."
            raise NotApplicable(f"query {audit.name}", found, "weights, and images to learn from", cure)
        audit.spend(2 * self.updates * self.batch / len(audit.examples))
        tuned = self._tuned(audit)
        images = audit.outpaint(service=Service(tuned, Composition(), audit.seed, "relearn"))
        audit.model.evaluations.forward += tuned.evaluations.forward
        audit.model.evaluations.backward += tuned.evaluations.backward
        return Answer(audit.read(images), images)

    def _tuned(self, audit: Audit) -> Denoiser:
        model, others, rng = audit.model.copy(), audit.others, seeds.torch_rng(audit.seed, "relearn")
        assert others is not None

        def loss() -> Tensor:
            return noised(model, others, rng, self.batch).losses(model).mean()

        return descend(model, loss, self.updates, self.rate).frozen()
