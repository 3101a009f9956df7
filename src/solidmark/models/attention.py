"""Cross-attention that a method can read and change during one call of the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layer:
    """A cross-attention layer: its name, its block (`down`, `mid` or `up`), its heads, and `size`, the image positions."""

    name: str
    block: str
    heads: int
    size: int


class Attention:
    """Given to `Model.predict`: reads and changes every cross-attention of that one call. By default it changes nothing."""

    def logits(self, layer: Layer, logits: Tensor) -> Tensor:
        """The logits before the softmax, (B, heads, positions, tokens), changed."""
        return logits

    def probabilities(self, layer: Layer, probabilities: Tensor) -> Tensor:
        """The probabilities after the softmax, (B, heads, positions, tokens), changed."""
        return probabilities

    def values(self, layer: Layer, values: Tensor) -> Tensor:
        """The output of to_v, (B, tokens, heads x width), changed."""
        return values


class OpenedAttention:
    """A processor of diffusers' attention that computes the softmax itself, so that an `Attention` can act inside it.

    A module that computes its logits or its softmax in full precision, as Stable Diffusion 2.1 does, does so here, too: in
    half precision its logits would be infinite.
    """

    def __init__(self, name: str, attention: Attention) -> None:
        self.name, self.attention = name, attention

    def __call__(
        self,
        module: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        *_: Any,
        **__: Any,
    ) -> Tensor:
        """The output of the attention, (B, positions, width), as diffusers computes it, under the `Attention`.

        `attention_mask`, (B, 1, tokens), is added to the logits before they are read or changed.
        """
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, positions, _width = hidden_states.shape
        layer = Layer(self.name, self.name.split("_")[0], module.heads, positions)
        query, key = module.to_q(hidden_states), module.to_k(text)
        value = self.attention.values(layer, module.to_v(text))
        query, key, value = (part.unflatten(-1, (module.heads, -1)).transpose(1, 2) for part in (query, key, value))
        logits = _scores(query, key, full=module.upcast_attention) * module.scale
        if attention_mask is not None:
            logits = logits + attention_mask[:, None]
        logits = self.attention.logits(layer, logits.float() if module.upcast_softmax else logits)
        mixed = self.attention.probabilities(layer, logits.softmax(dim=-1)).to(value) @ value
        out = module.to_out[1](module.to_out[0](mixed.transpose(1, 2).reshape(batch, positions, -1)))
        scaled: Tensor = out / module.rescale_output_factor
        return scaled


def _scores(query: Tensor, key: Tensor, *, full: bool) -> Tensor:
    """query x key, (B, heads, positions, tokens); in full precision even where a caller casts to half of it."""
    if not full:
        return query @ key.transpose(-1, -2)
    with torch.autocast(query.device.type, enabled=False):
        return query.float() @ key.float().transpose(-1, -2)
