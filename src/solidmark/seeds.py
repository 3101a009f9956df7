"""Independent random streams, one for each purpose, from one integer seed."""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import InvalidValue

if TYPE_CHECKING:
    import torch


def sequence(seed: int, *purpose: object) -> np.random.SeedSequence:
    """The `SeedSequence` of a purpose: streams of different purposes are independent, never `seed + i`.

    Raises InvalidValue for a seed that is no whole number of at least 0; None would give another stream each time.
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


class Globals:
    """The global generators of Python, NumPy and torch as they are now, to be compared and restored later."""

    def __init__(self) -> None:
        import torch

        self._python, self._torch = random.getstate(), torch.get_rng_state()
        self._numpy: Any = np.random.get_state(legacy=True)

    def touched(self) -> list[str]:
        """The names of those that were drawn from or seeded since."""
        now = Globals()
        same = {
            "Python": self._python == now._python,
            "NumPy": all(np.array_equal(before, after) for before, after in zip(self._numpy, now._numpy, strict=True)),
            "torch": self._torch.equal(now._torch),
        }
        return [name for name, equal in same.items() if not equal]

    def restore(self) -> list[str]:
        """Put them back as they were; the names of those that were touched."""
        import torch

        touched = self.touched()
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        torch.set_rng_state(self._torch)
        return touched


@contextmanager
def forked(seed: int, *purpose: object) -> Iterator[None]:
    """Inside, the global generators are seeded for one purpose; afterwards they are as they were."""
    import torch

    before, chosen = Globals(), torch_seed(seed, *purpose)
    try:
        random.seed(chosen)
        np.random.seed(chosen % 2**32)
        torch.manual_seed(chosen)
        yield
    finally:
        before.restore()
