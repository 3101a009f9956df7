"""Anti-gradient control (AGC): skip the samples whose loss is suspiciously low."""

from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Trainer
from solidmark.api import Batch

VISITS = 250
"""Accesses that a bin of the table gets in a training, so that an average over the last five is at most 2 % of it."""


@dataclass(frozen=True)
class AntiGradientControl(Mitigation):
    """Drop a sample when its loss is below `threshold` times the running mean loss of its timestep.

    keep_i = l_i >= threshold L[t_i], where L[t] is an exponential mean of all losses at t with `decay` 0.8. It starts at
    0, so that nothing is dropped before a timestep has occurred. Published: threshold 0.5 on CIFAR-10, 0.8 (1 / 1.25) for
    Stable Diffusion.

    L has an entry for each of `bins` equal ranges of t. By default there is a bin for every 250 accesses of a training, and
    at most one for each timestep, as published: there a timestep is visited about 5,000 times, and the mean is over the
    last five. A short training visits one 20 times, so that a mean over five would be from long ago, when losses were
    larger, and would drop most samples late on (fidelity B; on Stable Diffusion the default is the published table). The
    share of samples that were dropped is reported as `skipped_share`.
    """

    threshold: float = 0.5
    decay: float = 0.8
    bins: int | None = None

    fidelity = "B"
    reference = "Iterative Ensemble Training with Anti-Gradient Control, arXiv 2407.15328"
    stream = "solidmark.mitigations.agc.AntiGradientControl"
    claims = (Claim("Skipping samples of low loss cuts memorization by up to 87 %.", below=0.2),)

    def __post_init__(self) -> None:
        self.expect(self.threshold >= 0, "threshold", "a number of at least 0")
        self.expect(0 <= self.decay < 1, "decay", "a number in [0, 1)")
        self.expect(self.bins is None or self.bins >= 1, "bins", "None or at least 1")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer with a table of mean losses."""
        return LossTableTrainer(self, inner)

    def settings(self) -> "list[AntiGradientControl]":
        """The sweep, weakest first: higher and higher thresholds. Above 1 more than half of the samples are dropped."""
        return [AntiGradientControl(threshold) for threshold in (0.5, 0.8, 1.0, 1.25)]


class LossTableTrainer(Trainer):
    """Has a table of L[t], and gives dropped samples a loss of exactly 0, which leaves them out of the mean."""

    mitigation: AntiGradientControl

    def _tables(self) -> int:
        """How many tables share the accesses of the training."""
        return 1

    def prepare(self) -> None:
        """Start with a table of zeros."""
        self.inner.prepare()
        accesses = self.run.recipe.train_steps * self.run.recipe.batch // self._tables()
        steps = self.model.schedule.steps
        self.table = torch.zeros(min(steps, self.mitigation.bins or max(1, accesses // VISITS)))
        self.seen = self.skipped = 0

    def losses(self, batch: Batch, t: Tensor) -> Tensor:
        """The inner losses, with zeros for the low ones."""
        losses = self.inner.losses(batch, t)
        values, decay = losses.detach().cpu(), self.mitigation.decay
        bins = t.cpu() * len(self.table) // self.model.schedule.steps
        keep = values >= self.mitigation.threshold * self.table[bins]
        for index, loss in zip(bins.tolist(), values, strict=True):
            self.table[index] = decay * self.table[index] + (1 - decay) * loss
        self.seen, self.skipped = self.seen + len(keep), self.skipped + int((~keep).sum())
        return losses * keep.to(losses.device)

    def finish(self) -> None:
        """Report the share of samples that were dropped."""
        self.inner.finish()
        self.data.report("skipped_share", self.skipped / max(self.seen, 1))
