"""Retraining without the forget list: the gold standard of unlearning."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Trainer


@dataclass(frozen=True)
class Retrain(Mitigation):
    """Train from scratch, for as many steps, on batches without any forgotten image.

    With a `share` below 1 only this share of the forget list, drawn at random, is left out. M of the list is then
    (1 - share) times the baseline's, a known value that shows how M measures a partly forgotten list. At a share of 1
    forgotten images must be at chance, and retained ones at the baseline. Cost: a whole training.
    """

    share: float = 1.0

    control = True
    needs = Needs.FORGET
    reference = "Data Unlearning in Diffusion Models, arXiv 2503.01034"
    stream = "solidmark.mitigations.retrain.Retrain"
    claims = (Claim("It forgets exactly.", "memorization", above=-0.1, below=0.1),)

    def __post_init__(self) -> None:
        self.expect(0 < self.share <= 1, "share", "a number in (0, 1]")

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that draws retained images only."""
        return RetainedTrainer(self, inner)

    def settings(self) -> "list[Retrain]":
        """The sweep, weakest first: more and more of the list."""
        return [Retrain(share) for share in (0.25, 0.5, 0.75, 1.0)]


class RetainedTrainer(Trainer):
    """Leaves forgotten images out of the inner batches, and fills these up with the images that follow."""

    mitigation: Retrain

    def prepare(self) -> None:
        """Draw the images that are left out."""
        self.inner.prepare()
        listed = sorted(self.data.forget.ids)
        count = max(1, round(self.mitigation.share * len(listed)))
        chosen = torch.randperm(len(listed), generator=self.rng)[:count].tolist()
        forgotten = {listed[index] for index in chosen}
        self.retained = torch.tensor([number not in forgotten for number in self.run.examples.ids])

    def batches(self) -> Iterator[Tensor]:
        """Batches of retained images, in the order of the inner epochs."""
        waiting = torch.empty(0, dtype=torch.long)
        for batch in self.inner.batches():
            waiting = torch.cat([waiting, batch[self.retained[batch]]])
            if len(waiting) >= len(batch):
                yield waiting[: len(batch)]
                waiting = waiting[len(batch) :]
