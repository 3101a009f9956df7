"""When a mitigation acts, and what it must be given. Free of torch."""

from __future__ import annotations

from enum import Enum, Flag, auto
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Scale = float | Tensor


class Stage(Enum):
    """When a mitigation acts. Sampling rows share the baseline's weights, post-hoc rows edit a copy of them."""

    TRAINING = "training"
    SAMPLING = "sampling"
    POST_HOC = "post-hoc"


class Needs(Flag):
    """What a mitigation must be given besides the training itself; shown in the leaderboard."""

    NOTHING = 0
    FORGET = auto()
    """The list of images to forget (`data.forget`) and the others (`data.retain`), as trained on."""
    TRAINING_IMAGES = auto()
    """Marked training images at sampling or editing (`data.training_images`), decoys mixed in."""
    CALIBRATION = auto()
    """Unmarked images that nobody trains on or asks for (`data.calibration`)."""
    BASE_MODEL = auto()
    """The model before fine-tuning (`data.base_model`)."""
    CAPTIONS = auto()
    """Captions, for a link that acts on them; the doors of captions, conditions and guidance imply it."""

    def names(self) -> list[str]:
        """The declared needs in words: `forget list`, `training images`, ..."""
        words = {"FORGET": "forget list", "BASE_MODEL": "base model", "CALIBRATION": "calibration set"}
        return [words.get(str(need.name), str(need.name).lower().replace("_", " ")) for need in self]
