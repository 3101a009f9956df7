"""Pruning without a target: set weights to zero at random, or the smallest ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from solidmark import Mitigation
from solidmark.api import Data, Model


@dataclass(frozen=True)
class RandomPruning(Mitigation):
    """Set a random `share` of the weights to zero: round(share x size) in each matrix and kernel.

    A control for methods that prune chosen weights: once, without training between or after, where the cited work prunes,
    trains again and repeats. Denoiser and text encoder are pruned, a given encoder not. Biases and norms, which are vectors,
    stay as they are. Cost: none.
    """

    share: float = 0.05

    control = True
    reference = "What is the State of Neural Network Pruning?, arXiv 2003.03033"
    stream = "solidmark.mitigations.pruning.RandomPruning"

    def __post_init__(self) -> None:
        self.expect(0 <= self.share <= 1, "share", "a number in [0, 1]")

    @torch.no_grad()
    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model without those weights."""
        count = total = 0
        for weight in model.parameters():
            total += weight.numel()
            if weight.ndim > 1:
                removed = self._rank(weight, rng).flatten().argsort()[: round(self.share * weight.numel())]
                weight.view(-1)[removed] = 0.0
                count += len(removed)
        data.report("removed_share", count / total)
        return model

    def _rank(self, weight: Tensor, rng: Generator) -> Tensor:
        """The order of pruning, shaped as the weight: the lowest values are pruned first."""
        return torch.rand(weight.shape, generator=rng).to(weight.device)

    def settings(self) -> "Sequence[RandomPruning]":
        """The sweep, weakest first: more and more weights."""
        return [type(self)(share) for share in (0.01, 0.05, 0.1, 0.2, 0.4)]


@dataclass(frozen=True)
class MagnitudePruning(RandomPruning):
    """The same with the smallest weights of each matrix and kernel, which matter least to a network."""

    share: float = 0.2

    reference = "Learning both Weights and Connections for Efficient Neural Networks, arXiv 1506.02626"
    stream = "solidmark.mitigations.pruning.MagnitudePruning"

    def _rank(self, weight: Tensor, rng: Generator) -> Tensor:
        """Absolute values."""
        return weight.abs()

    def settings(self) -> "Sequence[RandomPruning]":
        """The sweep, weakest first: more and more weights."""
        return [type(self)(share) for share in (0.05, 0.2, 0.4, 0.6, 0.8)]
