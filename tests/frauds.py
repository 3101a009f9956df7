"""Frauds: plugins that look like mitigations and are none. Each is a few lines; none may pay.

They read nothing of the suite but what a wrapper or a query is given. `python -m pytest benchmark/ --mitigation
tests/frauds.py:AskedSwitch` measures one on a trained model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from solidmark import Mitigation, Sampler


def callers(depth: int = 2) -> list[str]:
    """The functions above the one that asks, as `file:function`, the nearest first."""
    found, frame = [], sys._getframe(depth - 1).f_back
    while frame is not None:
        found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


class Unguided(Sampler):
    """Answers without a caption whenever `suspects` says that it is asked."""

    def predict(self, x, t, batch):
        if self.mitigation.suspects(batch):
            return self.model.predict(x, t, batch.unconditional).noise
        return self.inner.predict(x, t, batch)


@dataclass(frozen=True)
class AskedSwitch(Mitigation):
    """Known pixels are a query."""

    def suspects(self, batch):
        return not bool(batch.mask.all())

    def sampler(self, inner):
        return Unguided(self, inner)


@dataclass(frozen=True)
class BatchSwitch(AskedSwitch):
    """Queries come in other numbers than generation does."""

    honest: int = 60

    def suspects(self, batch):
        return len(batch.captions) != self.honest


@dataclass(frozen=True)
class FramesSwitch(AskedSwitch):
    """Whoever generates is among the callers."""

    def suspects(self, batch):
        return not any(name.endswith("answers.py:generate") for name in callers())
