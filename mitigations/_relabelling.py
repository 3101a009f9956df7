"""Relabelling: for each caption another one, of an image that is retained."""

from collections.abc import Sequence

import torch
from torch import Generator

from solidmark.api import NotApplicable


def draw_other_captions(family: str, captions: Sequence[str], others: Sequence[str], rng: Generator) -> list[str]:
    """For each of these captions a different one of `others`. Raises NotApplicable where there is none."""
    drawn = []
    for caption in captions:
        different = [other for other in others if other != caption]
        if not different:
            cure = "Choose a testbed with captions or classes."
            raise NotApplicable(f"mitigation {family}", f"no caption but {caption!r}", "another one to relabel with", cure)
        drawn.append(different[int(torch.randint(len(different), (), generator=rng))])
    return drawn
