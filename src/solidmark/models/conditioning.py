"""Conditioning: captions as token embeddings, labels as vectors, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

import torch
from torch import Tensor, nn

from ..data import says_something
from .network import Network

START, WORD, END, PADDING = range(4)
"""The roles of tokens, as `Denoiser.roles` gives them."""


class TextEncoder(nn.Module):
    """A small text encoder that is trained with the denoiser: tokens, positions, pre-norm Transformer layers.

    Words are whole tokens. Class names and `w0` … `w499` have tokens of their own. Any other word hashes into the
    latter, so that every caption has an embedding.
    """

    FIRST = 3  # 0 padding, 1 start, 2 end

    def __init__(self, config: Network) -> None:
        super().__init__()
        names = [*config.classes, *(f"w{number}" for number in range(config.words))]
        self._tokens = {name: self.FIRST + index for index, name in enumerate(names)}
        self._hashed = (self.FIRST + len(config.classes), config.words)
        self.context = config.context
        self.words = nn.Embedding(self.FIRST + len(names), config.text_width)
        self.positions = nn.Parameter(0.02 * torch.randn(config.context, config.text_width))
        layer = nn.TransformerEncoderLayer(
            config.text_width, 4, 2 * config.text_width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.text_layers, enable_nested_tensor=False)

    def exchange_classes(self, order: Sequence[int]) -> None:
        """Give each class name the embedding of another: the i-th that of the `order[i]`-th."""
        exchange(self.words, range(self.FIRST, self.FIRST + len(order)), order)

    def token(self, word: str) -> int:
        """The token of a word."""
        first, count = self._hashed
        return self._tokens.get(word, first + crc32(word.encode()) % max(count, 1))

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """The tokens, (B, L): start, the words that fit, end, padding."""
        rows = [[1, *(self.token(word) for word in caption.split()[: self.context - 2]), 2] for caption in captions]
        return torch.tensor([row + [0] * (self.context - len(row)) for row in rows]).reshape(-1, self.context)

    def fits(self, caption: str) -> bool:
        """Whether a caption has no more words than the context has room for."""
        return len(caption.split()) <= self.context - 2

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, L): START, WORD, END or PADDING for each token."""
        tokens = self.tokens(captions)
        return torch.full_like(tokens, WORD).where(tokens > 2, torch.tensor([PADDING, START, END])[tokens.clamp(max=2)])

    def forward(self, captions: Sequence[str], padding: str | None = None) -> Tensor:
        """The embeddings, (B, L, D). The empty caption is the null condition, all zeros. `padding` is a word to pad with."""
        tokens = self.tokens(captions)
        tokens = tokens if padding is None else tokens.masked_fill(tokens == 0, self.token(padding))
        embeddings: Tensor = self.layers(self.words(tokens.to(self.positions.device)) + self.positions)
        present = torch.tensor([says_something(caption) for caption in captions], device=embeddings.device)
        return embeddings * present[:, None, None]


class LabelEmbedding(nn.Module):
    """One vector for each class name, of the width of the time embedding. An unknown name hashes to one of them."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self._indices = {name: index for index, name in enumerate(config.classes)}
        self.vectors = nn.Embedding(len(config.classes), 4 * config.widths[0])

    def exchange_classes(self, order: Sequence[int]) -> None:
        """Give each class name the vector of another: the i-th that of the `order[i]`-th."""
        exchange(self.vectors, range(len(order)), order)

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """The index of the first word that is a class name, by hash where there is none, (B, 1)."""
        return torch.tensor([[self._index(caption)] for caption in captions]).reshape(-1, 1)

    def _index(self, caption: str) -> int:
        named = (self._indices[word] for word in caption.split() if word in self._indices)
        return next(named, crc32(caption.encode()) % len(self._indices))

    def fits(self, caption: str) -> bool:
        """Always: a label is one of a caption's words."""
        return True

    def roles(self, captions: Sequence[str]) -> Tensor:
        """WORD for each caption, (B, 1): a label is one word."""
        return torch.full((len(captions), 1), WORD)

    def forward(self, captions: Sequence[str], padding: str | None = None) -> Tensor:
        """The vectors, (B, D). The empty caption is the null condition, all zeros. A label has no padding."""
        vectors: Tensor = self.vectors(self.tokens(captions).to(self.vectors.weight.device))[:, 0]
        present = torch.tensor([says_something(caption) for caption in captions], device=vectors.device)
        return vectors * present[:, None]


class Unconditional(nn.Module):
    """The conditioning of an unconditional model: no tokens, whatever the captions are."""

    def __init__(self, config: Network) -> None:
        super().__init__()

    def fits(self, caption: str) -> bool:
        """Always: no word is taken of any."""
        return True

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, 0), since there are no tokens."""
        return torch.zeros(len(captions), 0, dtype=torch.long)

    def forward(self, captions: Sequence[str], padding: str | None = None) -> Tensor:
        """(B, 0), whatever the captions are."""
        return torch.zeros(len(captions), 0)


@torch.no_grad()
def exchange(table: nn.Embedding, rows: Sequence[int], order: Sequence[int]) -> None:
    """Give each of these rows of a table the value of another: the i-th that of the `order[i]`-th."""
    table.weight[list(rows)] = table.weight[[rows[index] for index in order]]


CONDITIONINGS: Mapping[str, type[nn.Module]] = {"text": TextEncoder, "label": LabelEmbedding, "none": Unconditional}
"""What a network is conditioned on, by `Network.kind`."""
