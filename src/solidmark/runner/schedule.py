"""In which order cases are worked on, and by which worker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from xdist.scheduler import WorkStealingScheduling

from .devices import NO_GPU

if TYPE_CHECKING:
    import pytest

    from ..schema.run import PlanEntry

AHEAD = 2
"""Cases that a worker has at once: it begins one when it knows the next. That one cannot be taken back."""


def longest_first(weights: Sequence[float], leads: Sequence[bool]) -> list[int]:
    """The order of cases in which the longest comes first, after those that lead, whose models others wait for."""
    return sorted(range(len(weights)), key=lambda index: (not leads[index], -weights[index], index))


class CaseScheduling(WorkStealingScheduling):  # type: ignore[misc]  # xdist has no types
    """One queue for all workers, which is in the order of collection: `longest_first`.

    A worker takes the longest case that is left. The case behind a long one is the shortest that is left, so that no long
    one waits while others have nothing to do. Where some workers have a GPU and some have none, each takes the cases of
    its own kind; `plan` says which those are, and how long each takes.
    """

    pending: list[int]

    def __init__(self, config: pytest.Config, log: Any, plan: Callable[[], Mapping[str, PlanEntry]]) -> None:
        super().__init__(config, log)
        self._read = plan
        self._plan: Mapping[str, PlanEntry] | None = None

    def check_schedule(self) -> None:
        """Give each worker that runs short a case, and end those for which none is left."""
        kinds = {_has_gpu(node) for node, _ in self._up()}
        for node, waiting in self._up():
            while len(waiting) < AHEAD and (index := self._next(node, waiting, len(kinds) > 1)) is not None:
                self.pending.remove(index)
                waiting.append(index)
                node.send_runtest_some([index])
            if len(waiting) < AHEAD:
                node.shutdown()  # so that it runs its last case, which has no next

    def _up(self) -> list[tuple[Any, list[int]]]:
        return [(node, waiting) for node, waiting in self.node2pending.items() if not node.shutting_down]

    def _next(self, node: Any, waiting: Sequence[int], is_mixed: bool) -> int | None:
        fitting = [i for i in self.pending if not is_mixed or bool(self._entry(i).get("gpu")) == _has_gpu(node)]
        if not fitting:
            return None
        mean = sum(map(self._weight, fitting)) / len(fitting)
        is_behind_a_long_one = bool(waiting) and self._weight(waiting[-1]) > mean
        return fitting[-1] if is_behind_a_long_one else fitting[0]

    def _weight(self, index: int) -> float:
        return float(self._entry(index).get("weight", 1.0))

    def _entry(self, index: int) -> Mapping[str, Any]:
        """What is known of a case; nothing of a test that is none."""
        if self._plan is None:
            self._plan = self._read()
        assert self.collection is not None
        return self._plan.get(self.collection[index].partition("[")[2].removesuffix("]"), {})


def _has_gpu(node: Any) -> bool:
    return bool(node.gateway.spec.env.get("CUDA_VISIBLE_DEVICES", NO_GPU) != NO_GPU)
