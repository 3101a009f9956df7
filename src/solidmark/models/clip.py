"""Conditioning by a tokenizer and a text encoder of transformers, as in Stable Diffusion."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from .conditioning import END, PADDING, START, WORD, exchange

REMEMBERED = 8192
"""Captions whose tokens are remembered."""


class Clip(nn.Module):
    """A tokenizer and its text encoder. The null condition is the encoded empty caption.

    `classes` are names that are a token each, in the order of their labels.
    """

    def __init__(self, tokenizer: Any, encoder: nn.Module, classes: Sequence[str] = ()) -> None:
        super().__init__()
        self.tokenizer, self.encoder, self.classes = tokenizer, encoder, tuple(classes)
        self._known: dict[str, Tensor] = {}  # a training asks for the same captions again and again

    def __deepcopy__(self, memo: dict[int, Any]) -> Clip:
        """With the same tokenizer, which has no weights."""
        return Clip(self.tokenizer, copy.deepcopy(self.encoder, memo), self.classes)

    def exchange_classes(self, order: Sequence[int]) -> None:
        """Give each class name the embedding of another: the i-th that of the `order[i]`-th."""
        encoder: Any = self.encoder
        exchange(encoder.get_input_embeddings(), self.tokenizer.convert_tokens_to_ids(list(self.classes)), order)

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, L): start, the tokens that fit, end, padding."""
        new = [caption for caption in dict.fromkeys(captions) if caption not in self._known]
        if new:
            length = self.tokenizer.model_max_length
            given = self.tokenizer(new, padding="max_length", max_length=length, truncation=True, return_tensors="pt")
            self._known.update(zip(new, given.input_ids, strict=True))
        rows = [self._known[caption] for caption in captions]
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return torch.stack(rows) if rows else torch.zeros(0, self.tokenizer.model_max_length, dtype=torch.long)

    def fits(self, caption: str) -> bool:
        """Whether a caption is no longer than the encoder's context, in tokens."""
        tokens = self.tokenizer(caption, truncation=False, verbose=False).input_ids
        return len(tokens) <= int(self.tokenizer.model_max_length)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """START, WORD, END or PADDING for each token, (B, L): padding is whatever follows the first end."""
        ends = self.tokens(captions) == self.tokenizer.eos_token_id
        behind = ends.cumsum(dim=1) - ends.long() > 0
        roles = torch.full(ends.shape, WORD)
        roles[ends], roles[behind], roles[:, 0] = END, PADDING, START
        return roles

    def forward(self, captions: Sequence[str], padding: str | None = None) -> Tensor:
        """The embeddings, (B, L, D): the last hidden states. `padding` is a word to pad with."""
        device, tokens = next(self.encoder.parameters()).device, self.tokens(captions)
        if padding is not None:
            word = self.tokenizer.convert_tokens_to_ids(padding)
            tokens = tokens.masked_fill(self.roles(captions) == PADDING, word)
        embeddings: Tensor = self.encoder(tokens.to(device))[0]
        return embeddings
