"""Attention temperature: the control of methods that attenuate chosen tokens."""

from dataclasses import dataclass

from torch import Tensor

from solidmark import Mitigation, Needs, Sampler
from solidmark.api import START, Attention, Layer, SamplingBatch

from ._attention import AttentionSampler, CaptionedLogits


@dataclass(frozen=True)
class AttentionTemperature(Mitigation):
    """Multiply the cross-attention logits of every token but the start token by `factor`, on the conditional branch.

    Where `guard-attention` chooses tokens, this takes all of them, in the same blocks (down and middle). A choice of tokens
    that is no better than this at equal utility has no effect of its own. The default is GUARD's factor. Not a published
    method. Cost: none.
    """

    factor: float = 0.3

    control = True
    needs = Needs.CAPTIONS
    reference = "Control of GUARD, arXiv 2603.00133"
    stream = "solidmark.mitigations.attention_temperature.AttentionTemperature"

    def __post_init__(self) -> None:
        self.expect(0 <= self.factor < float("inf"), "factor", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler with this attention in the conditional branch."""
        return TemperatureSampler(self, inner)

    def settings(self) -> "list[AttentionTemperature]":
        """The sweep, weakest first: from a small change to even attention."""
        return [AttentionTemperature(factor) for factor in (0.9, 0.7, 0.3, 0.0)]


class TemperatureSampler(AttentionSampler):
    """Guidance with scaled attention logits."""

    mitigation: AttentionTemperature

    def attention(self, batch: SamplingBatch) -> Attention:
        """Attention with all logits scaled but the start token's."""
        return ScaledLogits(self.mitigation, batch)


class ScaledLogits(CaptionedLogits):
    """Multiplies the logits of all tokens but the start token by the factor, outside the decoder."""

    mitigation: AttentionTemperature

    def change(self, layer: Layer, logits: Tensor) -> Tensor:
        """factor x logit."""
        return logits if layer.block == "up" else logits.where(self.roles == START, self.mitigation.factor * logits)
