"""Cross-attention, opened: what a method sees and changes of it during one call of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """A cross-attention layer: its name, place in the network, heads and number of image places."""

    name: str
    place: str
    heads: int
    size: int


class Attention:
    """Given to `Model.predict`: sees and changes every cross-attention of that one call. The identity by default."""

    def logits(self, layer: Layer, logits: Tensor) -> Tensor:
        """(B, heads, places, tokens), before the softmax."""
        return logits

    def probabilities(self, layer: Layer, probabilities: Tensor) -> Tensor:
        """The same, after it."""
        return probabilities

    def values(self, layer: Layer, values: Tensor) -> Tensor:
        """(B, tokens, heads x width): the output of to_v."""
        return values


class _Watched:
    """A diffusers attention processor that writes the softmax out, so that `Attention` can act inside it."""

    def __init__(self, name: str, attention: Attention) -> None:
        self.name, self.attention = name, attention

    def __call__(
        self, module: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, places, _width = hidden_states.shape
        layer = Layer(self.name, self.name.split("_")[0], module.heads, places)
        query, key = module.to_q(hidden_states), module.to_k(text)
        value = self.attention.values(layer, module.to_v(text))
        query, key, value = (part.unflatten(-1, (module.heads, -1)).transpose(1, 2) for part in (query, key, value))
        logits = self.attention.logits(layer, query @ key.transpose(-1, -2) * module.scale)
        mixed = self.attention.probabilities(layer, logits.softmax(dim=-1)) @ value
        out = module.to_out[1](module.to_out[0](mixed.transpose(1, 2).reshape(batch, places, -1)))
        scaled: Tensor = out / module.rescale_output_factor
        return scaled
