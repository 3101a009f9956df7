"""Whether a model is as it was: a checksum of its weights where they are, without moving gigabytes off a GPU.

Words of 32 bits are multiplied by random 64-bit numbers that this process keeps to itself, and added up modulo 2^64. Two
different states have the same sum with a probability below 2^-32, whatever was changed, since the numbers are not known to
whoever changes it.
"""

from __future__ import annotations

import random
import secrets
from collections.abc import Iterator, Mapping
from functools import cache

import torch
from torch import Tensor

CHUNK = 2**20
"""Words at a time: the multipliers take 8 MB, and the products as much."""

SECRET = secrets.randbits(64)


def checksum(state: Mapping[str, Tensor]) -> dict[str, int]:
    """One 64-bit number for each tensor, by name; other numbers in another process."""
    factors = _numbers(SECRET)
    return {name: _sum(tensor.detach(), factors) for name, tensor in sorted(state.items())}


def _sum(tensor: Tensor, factors: Iterator[int]) -> int:
    """The sum of a tensor's words; chunks have a factor each, so that exchanged chunks do not look the same."""
    words, total = _words(tensor), 0
    for start in range(0, len(words), CHUNK):
        chunk = words[start : start + CHUNK].long()
        total += int((chunk * _multipliers(str(tensor.device))[: len(chunk)]).sum()) * next(factors)
    return (total + tensor.ndim + hash((tensor.dtype, tuple(tensor.shape)))) % 2**64


def _words(tensor: Tensor) -> Tensor:
    """The bytes of a tensor as 32-bit words, filled up with zeros."""
    data = tensor.contiguous().view(-1).view(torch.uint8)
    rest = -len(data) % 4
    return (torch.cat([data, data.new_zeros(rest)]) if rest else data).view(torch.int32)


@cache
def _multipliers(device: str) -> Tensor:
    drawn = torch.Generator().manual_seed(SECRET)
    return torch.randint(-(2**63), 2**63 - 1, (CHUNK,), dtype=torch.int64, generator=drawn).to(device)


def _numbers(seed: int) -> Iterator[int]:
    """Signed 64-bit numbers."""
    drawn = random.Random(seed)
    while True:
        yield drawn.getrandbits(64) - 2**63
