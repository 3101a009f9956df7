"""IET-AGC+: iterative ensemble training whose often skipped images move to another shard."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Trainer
from solidmark.api import Batch

from .agc import AntiGradientControl
from .iet import EnsembleTrainer, IterativeEnsembleTraining, Shard


@dataclass(frozen=True)
class RedistributedEnsemble(IterativeEnsembleTraining):
    """`iet` with its control, and after each round the share `moved` of each shard goes to the next one.

    Those images move that were skipped most often in the round, since what is skipped is what is easily memorized;
    shards keep their sizes. `moved_for_a_skip` in the record says of which share of them that is true: where the control
    hardly drops anything, as on digits, the others are the first of their shard. The abstract and summaries name this
    (memory samples redistribution) and a second part (threshold-aware augmentation: samples whose loss is near the
    threshold are augmented), which is left out: images may be augmented before their mark is painted alone, and whose
    loss is near is known afterwards. How many images move, when, and where to is ours, as the paper's text was not read.
    Published: a memorization score that is 46.7 % lower in fine-tuning Stable Diffusion; on CIFAR-10 the count of
    memorized images falls from 117 to 81 with augmentation on top.
    """

    moved: float = 0.25

    fidelity = "unverified"
    form_of = "iet"
    stream = "solidmark.mitigations.iet_plus.RedistributedEnsemble"
    reference = "Redistribute Ensemble Training for Mitigating Memorization in Diffusion Models, arXiv 2502.09434"
    claims = (Claim("Redistribution takes away more than the ensemble alone.", "difference", below=0.0, against="iet"),)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(0 <= self.moved <= 1, "moved", "a number in [0, 1]")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer with a loop of its own."""
        return RedistributingTrainer(self, inner)

    def settings(self) -> "list[AntiGradientControl]":
        """The sweep, weakest first: smaller and smaller shards."""
        return [RedistributedEnsemble(shards=shards) for shards in (2, 4, 8, 16)]


class RedistributingTrainer(EnsembleTrainer):
    """Counts how often each image was skipped, (N,) each, and moves images after each round."""

    mitigation: RedistributedEnsemble

    def prepare(self) -> None:
        """Start to count."""
        super().prepare()
        self.dropped, self.accesses = (torch.zeros(len(self.run.examples)) for _ in range(2))

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The losses, after those that are zero are counted."""
        losses = super().losses(batch, t)
        rows = batch.indices.cpu()
        self.accesses.index_add_(0, rows, torch.ones(len(rows)))
        self.dropped.index_add_(0, rows, (losses.detach() == 0).float().cpu())
        return losses

    def _round(self, shards: list[Shard], steps: list[int]) -> None:
        super()._round(shards, steps)
        rates = self.dropped / self.accesses.clamp(min=1)
        before = [shard.indices for shard in shards]
        for shard, old, new in zip(shards, before, redistribute(before, rates, self.mitigation.moved), strict=True):
            self.data.dose("moved_for_a_skip", rates[new[~torch.isin(new, old)]] > 0)
            shard.indices = new
        self.dropped.zero_()
        self.accesses.zero_()


def redistribute(parts: list[Tensor], rates: Tensor, moved: float) -> list[Tensor]:
    """The shards after the rows of the highest `rates` moved on to the next shard, sorted.

    As many rows of each move as `moved` of the smallest shard has, so that sizes stay.
    """
    count = round(moved * min(len(part) for part in parts))
    orders = [part[rates[part].argsort(descending=True, stable=True)] for part in parts]
    leaving = [order[:count] for order in orders]
    arriving = [leaving[-1], *leaving[:-1]]
    return [torch.cat([order[count:], new]).sort().values for order, new in zip(orders, arriving)]
