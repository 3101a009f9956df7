"""What the attention methods share: guidance whose conditional branch runs under a changed cross-attention."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from solidmark import Sampler
from solidmark.api import Attention, Data, Layer, SamplingBatch, guide

if TYPE_CHECKING:
    from solidmark import Mitigation


class AttentionSampler(Sampler):
    """Guidance whose conditional branch runs under the attention `attention`, and the other under `null_attention`.

    It replaces the innermost prediction, and gets the guidance scale from the whole chain.
    """

    def attention(self, batch: SamplingBatch) -> Attention:
        """The attention of the conditional branch at this step."""
        raise TypeError(f"{type(self).__name__} does not define its attention")

    def null_attention(self, batch: SamplingBatch) -> Attention | None:
        """The attention of the unconditional branch; none leaves it as it is."""
        return None

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """eps_u + w (eps_c' - eps_u), eps_c' predicted under the changed attention, and eps_u under its own."""
        if not bool(batch.conditional.any()):
            return self.inner.predict(x, t, batch)
        conditional = self.attend(x, t, batch)
        unconditional = self.model.predict(x, t, batch.unconditional, attention=self.null_attention(batch)).noise
        return guide(unconditional, conditional, self.outer.scale(unconditional, conditional, t, batch))

    def attend(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """eps_c' of one step. How far its attention is from the plain one is reported."""
        attention = self.attention(batch)
        conditional: Tensor = self.model.predict(x, t, batch.embeddings, attention=attention).noise
        if isinstance(attention, CaptionedLogits):
            attention.report(self.data)
        return conditional


WATCHED = 64
"""Image positions of a layer at which it is measured how far attention moves: two more softmaxes of all would take room."""


class CaptionedLogits(Attention):
    """Changes the logits of queries whose caption has a word. `roles` are those of the caption's tokens, (B, 1, 1, L).

    `moved` has a number a layer: which share of the attention of those queries lies on other tokens than without the
    change, half the sum of absolute differences of probabilities.
    """

    def __init__(self, mitigation: "Mitigation", batch: SamplingBatch) -> None:
        self.mitigation, self.moved = mitigation, list[Tensor]()
        self.captioned = batch.conditional[:, None, None, None]
        self.roles = batch.model.roles(batch.captions)[:, None, None].to(batch.noise.device)

    def logits(self, layer: Layer, logits: Tensor) -> Tensor:
        """The logits, (B, heads, positions, tokens), changed for queries that have a caption."""
        changed = self.change(layer, logits).where(self.captioned, logits)
        every = max(1, logits.shape[2] // WATCHED)
        before, after = (
            each.detach()[self.captioned.flatten(), :, ::every].float().softmax(dim=-1) for each in (logits, changed)
        )
        self.moved.append((after - before).abs().sum(dim=-1).mean() / 2)
        return changed

    def report(self, data: Data) -> None:
        """Tell how far attention moved in the call that is over."""
        data.dose("attention_moved", torch.stack(self.moved))

    def change(self, layer: Layer, logits: Tensor) -> Tensor:
        """The logits as the method changes them, (B, heads, positions, tokens)."""
        raise TypeError(f"{type(self).__name__} does not define its change")
