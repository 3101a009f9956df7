"""A crew: processes that share a training, a GPU each. Each works on some parts of every batch, and all add up.

A part has noise of its own whoever works on it (`Recipe.accumulate`), and all processes draw the same batches. So the
weights do not depend on how many processes there are, but for the order in which numbers are added.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from importlib import import_module
from typing import Any, TypeVar

import torch
from torch import Tensor

from ..errors import InvalidValue, NotApplicable
from ..models import Evaluations

Part = TypeVar("Part")


class Crew:
    """This process among those that `accelerate launch` has started: its `rank` of `size`, and its `device`.

    Raises NotApplicable without the package accelerate.
    """

    def __init__(self, *, cpu: bool = False) -> None:
        try:
            self._accelerate: Any = import_module("accelerate")
        except ImportError as cause:
            cure = "Run pip install 'solidmark[pipelines]'."
            raise NotApplicable("crew", "no package accelerate", "the extra pipelines", cure) from cause
        state = self._accelerate.PartialState(cpu=cpu)
        self._began = False
        self.rank, self.size, self.device = int(state.process_index), int(state.num_processes), torch.device(state.device)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def mine(self, parts: Sequence[Part]) -> list[Part]:
        """The parts that this process works on."""
        return list(parts[self.rank :: self.size])

    def total(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of tensors over all processes."""
        return [self._accelerate.utils.reduce(tensor, "sum") for tensor in tensors]

    def agree(self, answer: bool) -> bool:
        """The answer of the process that leads."""
        mine = torch.tensor(float(answer and self.leads), device=self.device)
        return bool(self.total([mine])[0])

    def begin(self) -> None:
        """The process that leads says that it trains now, which calls the others that `follow`."""
        self._began = True
        self.agree(True)

    def lead(self, train_or_load: Callable[[], object]) -> None:
        """Work in which a training may `begin`. Where none did, because another run had trained the same, all go on."""
        self._began = False
        train_or_load()
        if not self._began:
            self.agree(False)

    def follow(self, help_to_train: Callable[[], object]) -> None:
        """Wait for the process that leads, which may itself wait for another run, and help where it trains."""
        if self.agree(False):
            help_to_train()

    def check_step(self, done: int) -> None:
        """Raise InvalidValue where processes begin at different steps: each would work on other batches."""
        steps = torch.zeros(self.size, device=self.device, dtype=torch.float64)
        steps[self.rank] = done
        found = [round(step) for step in self.total([steps])[0].tolist()]
        if len(set(found)) > 1:
            cure = "Give all processes one store, or remove what the interrupted training has saved (`solidmark store gc`)."
            raise InvalidValue("crew", f"processes at the steps {found}", "one step for all", cure)

    def add_up(self, work: Evaluations) -> None:
        """Put the work of all processes in the place of this one's."""
        names = [field.name for field in fields(work)]
        own = torch.tensor([getattr(work, name) for name in names], dtype=torch.float64, device=self.device)
        for name, count in zip(names, self.total([own])[0].tolist(), strict=True):
            setattr(work, name, round(count))
