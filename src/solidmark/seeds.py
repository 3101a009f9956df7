"""Independent random streams, one for each purpose, from one integer seed."""

import hashlib
from typing import TYPE_CHECKING

import numpy as np

from .errors import InvalidValue

if TYPE_CHECKING:
    import torch


def sequence(seed: int, *purpose: object) -> np.random.SeedSequence:
    """The `SeedSequence` of a purpose: streams of different purposes are independent, never `seed + i`.

    Raises InvalidValue for a seed that is no whole number of at least 0; None would draw another one each time.
    """
    if not isinstance(seed, int | np.integer) or seed < 0:
        raise InvalidValue(
            "seeds", f"seed {seed!r}", "a non-negative whole number", "State it, so that a run can be repeated."
        )
    digest = hashlib.sha256("\0".join(str(part) for part in purpose).encode()).digest()
    return np.random.SeedSequence(entropy=seed, spawn_key=tuple(np.frombuffer(digest, dtype="<u4").tolist()))


def numpy_rng(seed: int, *purpose: object) -> np.random.Generator:
    """A NumPy generator for one purpose."""
    return np.random.default_rng(sequence(seed, *purpose))


def torch_seed(seed: int, *purpose: object) -> int:
    """A 63-bit integer for `torch.manual_seed`, which refuses larger ones."""
    return int(sequence(seed, *purpose).generate_state(1, np.uint64)[0] >> 1)


def torch_rng(seed: int, *purpose: object) -> "torch.Generator":
    """A CPU generator for one purpose; draws are moved to the device afterwards, so devices agree."""
    import torch

    return torch.Generator().manual_seed(torch_seed(seed, *purpose))
