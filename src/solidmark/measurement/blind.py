"""A blind split: what is in reach while strangers' code runs, with planted numbers where keys would be looked for.

A plugin shares its process with the suite, and can walk from its own frame into those of its callers. There it finds
a split whose keys are planted: answers that follow them fail a control, and name the row. The true split is drawn
again when nobody is asked any more. This stops a casual look, not an attack: code that draws the split itself, from
the testbed and the seed, has the keys, and so has training-side code, which sees marked images as any trainer does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from .. import keys
from ..data import Examples
from ..mitigation import Needs
from ..split import Split
from ..testbed import Testbed

PARTS = {
    "forget": Needs.FORGET,
    "retain": Needs.FORGET,
    "training_images": Needs.TRAINING_IMAGES,
    "calibration": Needs.CALIBRATION,
}
"""Which need each part of a split goes with."""


@dataclass(frozen=True)
class BlindSplit:
    """A `split` whose keys are planted numbers, with the digests of the true one.

    `handed_out` are the parts that the mitigations of a case declared a need for, with their true marks.
    """

    split: Split
    handed_out: Mapping[str, Examples]
    fingerprint: str
    training_digest: str


def blind(testbed: Testbed, seed: int, needs: Needs) -> BlindSplit:
    """The split of one seed with planted numbers for keys, the same as `Audit.keys`."""
    true = testbed.split(seed)
    count, segments = len(true.trained), true.mark.segments
    planted = torch.from_numpy(keys.planted(count + len(true.held_out), segments, seed)).float()
    rows = {number: planted[index] for index, number in enumerate(true.trained.ids)}
    split = replace(
        true,
        trained_keys=planted[:count],
        held_out_keys=planted[count:],
        training_keys=torch.stack([rows.get(number, planted[-1]) for number in true.training.ids]),
    )
    handed = {name: part for name, part in true.handed_out().items() if PARTS[name] in needs} if needs else {}
    return BlindSplit(split, handed, true.fingerprint, true.training_digest)


def with_keys(split: Split) -> BlindSplit:
    """A split that is no secret, with all its parts handed out: for experiments, which run no plugin but ours."""
    return BlindSplit(split, split.handed_out(), split.fingerprint, split.training_digest)
