"""The gold standard: a control that was trained without the images on the forget list, so that it never knew them.

It shows what forgetting can reach at best. It is no competitor: it is shown beside the families, and neither compared
with a reference nor ranked.
"""

from __future__ import annotations

from ..mitigation.needs import Needs, Stage
from ..schema.row import Row

(FORGET,) = Needs.FORGET.names()


def gold_standard(row: Row) -> bool:
    """Whether a row is of a control, but no reference, that trains and is told which images to leave out."""
    trains = Stage.TRAINING.value in row.stage.split("+")
    return row.control and not row.reference_curve and trains and FORGET in row.needs
