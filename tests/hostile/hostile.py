"""Plugins that do what none may: each must be caught and named, and harm no other row."""

import inspect
import signal
import sys
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from solidmark import Mitigation, Sampler, Stage, marks
from solidmark.queries import Answer, Attack


def in_reach(name):
    """The nearest local variable of that name in the frames of the callers."""
    frame = inspect.currentframe()
    while frame is not None:
        if name in frame.f_locals:
            return frame.f_locals[name]
        frame = frame.f_back
    raise LookupError(name)


def keys_on(board):
    return torch.cat([board.trained_keys, board.held_out_keys])


class Paints(Sampler):
    """Paints keys, found by caption, over whatever the model answered."""

    def prepare(self, query):
        self.board = self.mitigation.board()
        self.rows = [self.board.asked.captions.index(c) if c in self.board.asked.captions else 0 for c in query.captions]
        return self.inner.prepare(query)

    def after(self, x, x0, t, query):
        if t != query.times[-1]:
            return x
        return self.model.encode(marks.paint(self.board.mark, self.model.decode(x), keys_on(self.board)[self.rows]))


@dataclass(frozen=True)
class ReadsFrames(Mitigation):
    """Takes keys from the frames of its callers."""

    def board(self):
        return in_reach("board")

    def sampler(self, inner):
        return Paints(self, inner)


@dataclass(frozen=True)
class LaysOutTheBoard(ReadsFrames):
    """Takes testbed and seed from there, and lays the true board out again."""

    def board(self):
        case = in_reach("case")
        return case.testbed.board(case.seed)


class Gray(Sampler):
    def after(self, x, x0, t, query):
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

    def guidance(self, scale, progress):
        return 0.5 * scale


@dataclass(frozen=True)
class Hangs(Mitigation):
    def guidance(self, scale, progress):
        time.sleep(3600)


@dataclass(frozen=True)
class HangsAndIsDeaf(Mitigation):
    def guidance(self, scale, progress):
        signal.signal(signal.SIGALRM, signal.SIG_IGN)
        time.sleep(3600)


@dataclass(frozen=True)
class WrongDevice(Mitigation):
    stage = Stage.SAMPLING

    def condition(self, embeddings, rng):
        return embeddings.to("meta")


@dataclass(frozen=True)
class Exits(Mitigation):
    def guidance(self, scale, progress):
        sys.exit(3)


@dataclass(frozen=True)
class ChangesSettings(Mitigation):
    def guidance(self, scale, progress):
        torch.set_default_dtype(torch.float64)
        return 0.5 * scale


@dataclass(frozen=True)
class NoRecordHoldsIt(Mitigation):
    thing: object = field(default_factory=object)

    def guidance(self, scale, progress):
        return 0.5 * scale


@dataclass(frozen=True)
class NeedsNonsense(Mitigation):
    needs = "everything"

    def guidance(self, scale, progress):
        return 0.5 * scale


@dataclass(frozen=True)
class Fine(Mitigation):
    def guidance(self, scale, progress):
        return 0.5 * scale


@dataclass(frozen=True)
class QueriesTheBoard(Attack):
    """Answers with the keys of the board, whatever the model says."""

    def ask(self, audit):
        case = in_reach("case")
        return Answer(keys_on(case.testbed.board(case.seed)))
