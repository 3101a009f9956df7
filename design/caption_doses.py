"""Tokens that caption methods add: as published, on CLIP's own tokenizer, and here, on it and on the miniature's.

python design/caption_doses.py bpe_simple_vocab_16e6.txt.gz

The file is CLIP's list of merges (github.com/openai/CLIP, also inside the wheel `open_clip_torch`). Captions are the first
200 names of `latent-emoji`, methods at their defaults. As published is what the code of arXiv 2305.20086 inserts, 4 times.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from solidmark import plugins
from solidmark.models.latent import build_tokenizer

COUNT, TOKENS = 4, 49400


def clip_tokenizer(file: str) -> Any:
    """CLIP's tokenizer from its list of merges, without truncation."""
    from transformers import CLIPTokenizer

    lines = gzip.decompress(Path(file).read_bytes()).decode().split("\n")
    merges = lines[1 : 49152 - 256 - 2 + 1]
    kept = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = [chr(code) for code in kept] + [chr(256 + index) for index in range(256 - len(kept))]
    words = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge.split()) for merge in merges)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, rules = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps({word: index for index, word in enumerate(words)}))
        rules.write_text("\n".join(["#version: 0.2", *merges]))
        return CLIPTokenizer(str(vocabulary), str(rules))


def inserted(caption: str, words: Sequence[str], rng: torch.Generator) -> str:
    """The caption with each word at a random gap, as the released code does it."""
    own = caption.split(" ")
    for word in words:
        own.insert(int(torch.randint(len(own) + 1, (), generator=rng)), word)
    return " ".join(own)


def published(tokenizer: Any) -> dict[str, Callable[[str, torch.Generator], str]]:
    """What the released code makes of a caption, by family."""

    def drawn(end: int, rng: torch.Generator) -> list[int]:
        return torch.randint(end, (COUNT,), generator=rng).tolist()

    return {
        "random-token": lambda c, rng: inserted(c, [tokenizer.decode([n]) for n in drawn(TOKENS, rng)], rng),
        "rna": lambda c, rng: inserted(c, [str(n) for n in drawn(10**5, rng)], rng),
        "cwr": lambda c, rng: inserted(c, [c.split(" ")[n] for n in drawn(len(c.split(" ")), rng)], rng),
    }


def added(tokenizer: Any, before: Sequence[str], after: Sequence[str]) -> float:
    """Tokens that a caption gains, the mean."""
    counts = [len(tokenizer(new).input_ids) - len(tokenizer(old).input_ids) for old, new in zip(before, after, strict=True)]
    return sum(counts) / len(counts)


def main(file: str) -> None:
    """Print a line a family."""
    testbed = plugins.instance("solidmark.testbeds", "testbed", "latent-emoji")
    captions, clip = testbed.split(0).calibration.captions[:200], clip_tokenizer(file)
    miniature = build_tokenizer(testbed.recipe.network)
    print(
        f"{len(captions)} captions of {sum(len(clip(c).input_ids) - 2 for c in captions) / len(captions):.1f} tokens of CLIP"
    )
    for family, change in published(clip).items():
        rng = torch.Generator().manual_seed(0)
        theirs = [change(caption, rng) for caption in captions]
        ours = plugins.published(family).mitigation.caption(list(captions), rng)
        counts = added(clip, captions, theirs), added(clip, captions, ours), added(miniature, captions, ours)
        print(f"{family}: published {counts[0]:.2f}, here {counts[1]:.2f} tokens of CLIP, {counts[2]:.2f} of the miniature")


if __name__ == "__main__":
    main(sys.argv[1])
