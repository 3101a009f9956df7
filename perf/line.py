"""A line of the table, and the median of five."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

TURNS = 5


@dataclass(frozen=True)
class Line:
    """A measured number beside its goal: `least` or `most`, or neither."""

    what: str
    value: float
    unit: str = ""
    least: float | None = None
    most: float | None = None
    remark: str = ""

    @property
    def is_met(self) -> bool:
        """Whether the number is within its goal."""
        return (self.least is None or self.value >= self.least) and (self.most is None or self.value <= self.most)

    @property
    def shown(self) -> str:
        """The number in three digits, with its unit."""
        return f"{self.value:.3g}{self.unit}"

    @property
    def goal_shown(self) -> str:
        """The goal, and whether it is missed."""
        if self.least is None and self.most is None:
            return ""
        goal = f"at least {self.least:g}{self.unit}" if self.least is not None else f"at most {self.most:g}{self.unit}"
        return goal if self.is_met else f"{goal}: MISSED"


def seconds(action: Callable[[], object]) -> float:
    """How long an action takes, once."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def median_ratio(slow: Callable[[], object], fast: Callable[[], object], turns: int = TURNS) -> float:
    """The median over turns of how many times longer one action takes than another, both in each turn."""
    return statistics.median(seconds(slow) / seconds(fast) for _ in range(turns))
