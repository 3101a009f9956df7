"""Plugins that break a rule each. Each must be caught and named, and must harm no other row."""

import inspect
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass, field

import greenlet
import numpy as np
import torch

from solidmark import Mitigation, Sampler, Stage
from solidmark.api import Answer, Attack, paint_keys
from solidmark.metrics import scores
from solidmark.schema.numbers import Estimate


def in_reach(name):
    """The nearest local variable of that name in the frames of the callers, which are on other stacks."""
    stack = greenlet.getcurrent()
    while stack is not None:
        frame = stack.gr_frame or inspect.currentframe()
        while frame is not None:
            if name in frame.f_locals:
                return frame.f_locals[name]
            frame = frame.f_back
        stack = stack.parent
    raise LookupError(name)


def keys_on(split):
    return torch.cat([split.trained_keys, split.held_out_keys])


class Paints(Sampler):
    """Paints keys, looked up by caption, over the answers of the model."""

    def prepare(self, batch):
        self.split = self.mitigation.split()
        self.rows = [self.split.queried.captions.index(c) if c in self.split.queried.captions else 0 for c in batch.captions]
        return self.inner.prepare(batch)

    def after(self, x, x0, t, batch):
        if t != batch.times[-1]:
            return x
        return self.model.encode(paint_keys(self.split.mark, self.model.decode(x), keys_on(self.split)[self.rows]))


@dataclass(frozen=True)
class ReadsFrames(Mitigation):
    """Takes keys from the frames of its callers."""

    def split(self):
        return in_reach("split")

    def sampler(self, inner):
        return Paints(self, inner)


@dataclass(frozen=True)
class MakesTheSplit(ReadsFrames):
    """Takes testbed and seed from there, and makes the true split again."""

    def split(self):
        case = in_reach("case")
        return case.testbed.split(case.seed)


class Gray(Sampler):
    def after(self, x, x0, t, batch):
        return x * 0


@dataclass(frozen=True)
class ConstantMark(Mitigation):
    def sampler(self, inner):
        return Gray(self, inner)


@dataclass(frozen=True)
class ResetsSeeds(Mitigation):
    stage = Stage.SAMPLING

    def condition(self, embeddings, rng):
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002  # the mischief that is to be caught
        return embeddings + torch.randn(embeddings.shape)


@dataclass(frozen=True)
class RaisesInInit(Mitigation):
    def __init__(self):
        raise RuntimeError("no instance today")

    def guidance(self, scale, step_fraction):
        return 0.5 * scale


@dataclass(frozen=True)
class Hangs(Mitigation):
    def guidance(self, scale, step_fraction):
        time.sleep(3600)


@dataclass(frozen=True)
class HangsAndIsDeaf(Mitigation):
    def guidance(self, scale, step_fraction):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(3600)


@dataclass(frozen=True)
class WrongDevice(Mitigation):
    stage = Stage.SAMPLING

    def condition(self, embeddings, rng):
        return embeddings.to("meta")


@dataclass(frozen=True)
class Exits(Mitigation):
    def guidance(self, scale, step_fraction):
        sys.exit(3)


@dataclass(frozen=True)
class ChangesSettings(Mitigation):
    def guidance(self, scale, step_fraction):
        torch.set_default_dtype(torch.float64)
        return 0.5 * scale


@dataclass(frozen=True)
class NoRecordHoldsIt(Mitigation):
    thing: object = field(default_factory=object)

    def guidance(self, scale, step_fraction):
        return 0.5 * scale


@dataclass(frozen=True)
class NeedsNonsense(Mitigation):
    needs = "everything"

    def guidance(self, scale, step_fraction):
        return 0.5 * scale


@dataclass(frozen=True)
class Fine(Mitigation):
    def guidance(self, scale, step_fraction):
        return 0.5 * scale


@dataclass(frozen=True)
class DefaultIsNan(Fine):
    factor: float = float("nan")


@dataclass(frozen=True)
class DefaultIsRandom(Mitigation):
    """Another default in each process."""

    factor: float = 0.25 + (os.getpid() % 100) / 400

    def guidance(self, scale, step_fraction):
        return self.factor * scale


@dataclass(frozen=True)
class Interrupts(Mitigation):
    reference = "escapes \x1b[31m and a lone \udc80 surrogate"

    def guidance(self, scale, step_fraction):
        raise KeyboardInterrupt("\x1b[31mred \udc80")


@dataclass(frozen=True)
class Forks(Mitigation):
    def guidance(self, scale, step_fraction):
        if not os.fork():
            return 0.1 * scale
        return 0.5 * scale


def draws_for_ever():
    while True:
        torch.rand(3)


@dataclass(frozen=True)
class LeavesThread(Mitigation):
    """A thread of it draws from torch's generator as long as the process lives."""

    def guidance(self, scale, step_fraction):
        threading.Thread(target=draws_for_ever, daemon=True).start()
        return 0.5 * scale


@dataclass(frozen=True)
class ReplacesScore(Mitigation):
    """Every row has no memory from here on."""

    def guidance(self, scale, step_fraction):
        scores.memorization = lambda *_: Estimate(0.0, 0.0, 0.0, 0.1)
        return 0.5 * scale


class Resets(Sampler):
    def after(self, x, x0, t, batch):
        self.model.evaluations.forward = 0
        return self.inner.after(x, x0, t, batch)


@dataclass(frozen=True)
class HidesItsCost(Mitigation):
    def sampler(self, inner):
        return Resets(self, inner)


@dataclass(frozen=True)
class LooksUpKeys(Attack):
    """Answers with the keys of the split, without the model."""

    def ask(self, audit):
        case = in_reach("case")
        return Answer(keys_on(case.testbed.split(case.seed)))
