"""Detectors of memorized prompts: plugins of the entry point group `solidmark.detectors`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from ..models import SamplingBatch


@dataclass(frozen=True)
class Detector:
    """A detector as a frozen dataclass. An author writes `reference` and `score`."""

    reference: ClassVar[str] = ""

    def score(self, batch: SamplingBatch, rng: Generator) -> Tensor:
        """A number for each prompt of the batch, (B,), larger where it takes the prompt for memorized.

        The batch is that of plain generation. Raises NotApplicable where the model lacks what it needs.
        """
        raise TypeError(f"{type(self).__name__} does not define its score")
