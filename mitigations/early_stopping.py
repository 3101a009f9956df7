"""Early stopping: the reference curve of all training-side methods."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from torch import Tensor

from solidmark import Mitigation, Trainer


@dataclass(frozen=True)
class EarlyStopping(Mitigation):
    """Stop training after `share` of the steps. The schedule of the learning rate stays as it is.

    A training-side method on this curve is plain under-fitting. Published: there is a window between the time at which
    samples become good and the later time, proportional to the number of images, at which they become copies. The
    default share is where the held-out denoising loss of the digits prototype is least.
    """

    share: float = 0.6

    control = True
    reference_curve = True
    reference = "Why Diffusion Models Don't Memorize: The Role of Implicit Dynamical Regularization, arXiv 2505.17638"
    stream = "solidmark.mitigations.early_stopping.EarlyStopping"
    claims = ("The time to memorize grows in proportion to the number of images.",)

    def __post_init__(self) -> None:
        self.expect(0 < self.share <= 1, "share", "a number in (0, 1]")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer whose batches end early."""
        return EarlyStoppingTrainer(self, inner)

    def settings(self) -> "list[EarlyStopping]":
        """The sweep, weakest first: earlier and earlier ends."""
        return [EarlyStopping(share) for share in (0.8, 0.6, 0.4, 0.2)]


class EarlyStoppingTrainer(Trainer):
    """Ends the batches after a share of the steps."""

    mitigation: EarlyStopping

    def batches(self) -> Iterator[Tensor]:
        """The first of the inner batches."""
        return islice(self.inner.batches(), max(1, round(self.mitigation.share * self.run.recipe.train_steps)))
