"""The floor of a latent space: how much of a key its autoencoder loses by itself, before any model is asked."""

from __future__ import annotations

from ..metrics import scores, scoring
from ..models.autoencoder import read_back
from ..schema.record import SpaceBlock
from ..split import Split
from . import weights
from .case import Case, Workspace

LARGEST = 0.02
"""The largest mean error of a key that encoding and decoding may make: beyond, a key that came back is not recognised."""


def measure_floor(case: Case, truth: Split, workspace: Workspace) -> SpaceBlock | None:
    """The errors of keys that are painted on held-out images, encoded, decoded and read; None in pixel space.

    `ceiling` is M of those readings: no query can be above it.
    """
    space = weights.train_space_or_load(case, workspace)
    if space is None:
        return None
    marked = truth.marked(truth.held_out, truth.held_out_keys).images.to(workspace.device)
    found = read_back(space, truth.mark, marked).double().cpu().numpy()
    keys = truth.held_out_keys.double().numpy()
    errors = found - keys
    block: SpaceBlock = {
        "factor": space.factor,
        "key_error": float(abs(errors).mean()),
        "bias": float(errors.mean()),
        "ceiling": scoring.interval(scores.memorization(found, keys)),
        "shipped": case.testbed.autoencoder is None or bool(case.testbed.autoencoder.sha256),
    }
    cost = weights.space_cost(case, workspace)
    return block if cost is None else {**block, "training": cost}


def faults(block: SpaceBlock | None) -> list[str]:
    """The fault of an autoencoder that loses too much of a key."""
    if block is None or block["key_error"] <= LARGEST:
        return []
    found = f"encoding and decoding alone move a key by {block['key_error']:.3f}"
    return [f"autoencoder: {found} in the mean, more than {LARGEST:g}: train it longer, or thicken the mark"]
