"""A blind board: what is in reach while strangers' code runs, with planted numbers where keys would be looked for.

A plugin shares its process with the suite, and can walk from its own frame into those of its callers. There it finds
a board whose keys are planted: answers that follow them fail a control, and name the row. The true board is laid out
again when nobody is asked any more. This holds off a glance, not an attack: code that lays the board out itself, from
the testbed and the seed, has the keys, and so has training-side code, which sees marked images as any trainer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property

import torch

from .. import keys
from ..data import Examples
from ..mitigation import Needs
from ..testbed import Board, Testbed

PARTS = {
    "forget": Needs.FORGET,
    "retain": Needs.FORGET,
    "training_images": Needs.TRAINING_IMAGES,
    "calibration": Needs.CALIBRATION,
}
"""Which need each part of a board goes with."""


@dataclass(frozen=True)
class Blind(Board):
    """A board without its keys. `handed` are the parts that the mitigations of the case declared a need for."""

    testbed: Testbed = field(default=Testbed(), repr=False)
    handed: Mapping[str, Examples] = field(default_factory=dict, repr=False)
    identity: str = ""
    taught: str = ""

    @cached_property
    def fingerprint(self) -> str:
        """That of the true board."""
        return self.identity

    @cached_property
    def lesson(self) -> str:
        """That of the true board."""
        return self.taught

    def truth(self) -> Board:
        """The board with its keys, laid out again."""
        return self.testbed.board(self.seed)

    def handed_out(self) -> dict[str, Examples]:
        """The declared parts alone, as the true board hands them out."""
        return dict(self.handed)


def blind(testbed: Testbed, seed: int, needs: Needs) -> Blind:
    """The board of one seed with planted numbers for keys, the same as `Audit.keys`."""
    board = testbed.board(seed)
    count, segments = len(board.trained), board.mark.segments
    planted = torch.from_numpy(keys.planted(count + len(board.held_out), segments, seed)).float()
    rows = {number: planted[place] for place, number in enumerate(board.trained.ids)}
    chosen = {
        "trained_keys": planted[:count],
        "held_out_keys": planted[count:],
        "training_keys": torch.stack([rows.get(number, planted[-1]) for number in board.training.ids]),
    }
    handed = {name: part for name, part in board.handed_out().items() if PARTS[name] in needs} if needs else {}
    kept = {f.name: getattr(board, f.name) for f in fields(Board)}
    return Blind(**{**kept, **chosen}, testbed=testbed, handed=handed, identity=board.fingerprint, taught=board.lesson)
