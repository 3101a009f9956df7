"""When a mitigation acts, and what it must be given. Free of torch."""

from __future__ import annotations

from enum import Enum, Flag, auto


class Stage(Enum):
    """When a mitigation acts. Sampling rows share the baseline's weights, post-hoc rows edit a copy of them."""

    TRAINING = "training"
    SAMPLING = "sampling"
    POST_HOC = "post-hoc"


class Needs(Flag):
    """What a mitigation must be given besides the training itself; shown in the leaderboard."""

    NOTHING = 0
    FORGET = auto()
    """The images to forget (`data.forget`) and all others (`data.retain`), as they were trained on."""
    TRAINING_IMAGES = auto()
    """Marked training images at sampling or editing (`data.training_images`), mixed with decoys."""
    CALIBRATION = auto()
    """Unmarked images that no model is trained on and no query asks about (`data.calibration`)."""
    BASE_MODEL = auto()
    """The model before fine-tuning (`data.base_model`)."""
    HALVES = auto()
    """At sampling, two models that were trained on one half of the images each (`data.halves`)."""
    CAPTIONS = auto()
    """Captions, for a wrapper that acts on them. The hooks `caption`, `condition` and `guidance` imply it."""

    def names(self) -> list[str]:
        """The declared needs in words: `forget list`, `training images`, ..."""
        words = {"FORGET": "forget list", "BASE_MODEL": "base model", "CALIBRATION": "calibration set"}
        return [words.get(str(need.name), str(need.name).lower().replace("_", " ")) for need in self]
