"""Words at random gaps of a caption."""

from collections.abc import Iterable

import torch


def insert(words: list[str], new: Iterable[str], rng: torch.Generator) -> str:
    """The caption with each new word at a gap that is drawn evenly, those round earlier ones among them."""
    words = list(words)
    for word in new:
        words.insert(int(torch.randint(len(words) + 1, (), generator=rng)), word)
    return " ".join(words)
