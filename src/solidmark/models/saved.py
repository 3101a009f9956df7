"""What saved models take on disk, from their configurations alone: no weight is drawn, loaded or trained."""

from __future__ import annotations

from functools import lru_cache

import torch

from .network import Network
from .parts import Parts, build_parts


@lru_cache(maxsize=16)
def model_bytes(config: Network) -> int:
    """Bytes of the weights that `Model.save` writes of a model with this configuration, all of them trained."""
    parts = _form(config)
    kept = {"network": parts.network.state_dict(), "text": parts.text.state_dict(), "space": parts.space.state()}
    return sum(tensor.nbytes for part, state in kept.items() if part not in config.shared for tensor in state.values())


@lru_cache(maxsize=16)
def space_bytes(config: Network) -> int:
    """Bytes of the weights of its autoencoder; 0 in pixel space."""
    return sum(tensor.nbytes for tensor in _form(config).space.state().values())


def _form(config: Network) -> Parts:
    """The parts of a model without weights: `nbytes` of a tensor that lies nowhere is what it would take."""
    with torch.device("meta"):
        return build_parts(config)
