"""Attention temperature: the control of methods that attenuate chosen tokens."""

from dataclasses import dataclass

from torch import Tensor

from solidmark import Mitigation, Needs, Sampler
from solidmark.models import START, Attention, Layer, Query

from ._attended import Attended, Heard


@dataclass(frozen=True)
class AttentionTemperature(Mitigation):
    """Multiply the cross-attention logits of every token but the start token by `factor`, on the conditional branch.

    Where `guard-attention` chooses tokens, this takes all, in the same blocks (down and middle): a choice that does not
    beat it at equal utility has chosen nothing. The default is GUARD's factor. No published method. Cost: none.
    """

    factor: float = 0.3

    control = True
    needs = Needs.CAPTIONS
    reference = "Control of GUARD, arXiv 2603.00133"
    stream = "solidmark.mitigations.attention_temperature.AttentionTemperature"

    def __post_init__(self) -> None:
        self.expect(0 <= self.factor < float("inf"), "factor", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link whose conditional branch attends so."""
        return Cooling(self, inner)

    def strengths(self) -> "list[AttentionTemperature]":
        """From nearly none to even attention."""
        return [AttentionTemperature(factor) for factor in (0.9, 0.7, 0.3, 0.0)]


class Cooling(Attended):
    """The link: its attention is the cooled one."""

    mitigation: AttentionTemperature

    def attention(self, query: Query) -> Attention:
        """All logits but the start token's scaled."""
        return Cooled(self.mitigation, query)


class Cooled(Heard):
    """Logits of all tokens but the start token multiplied by the factor, outside the decoder."""

    mitigation: AttentionTemperature

    def changed(self, layer: Layer, logits: Tensor) -> Tensor:
        """factor x logit."""
        return logits if layer.place == "up" else logits.where(self.roles == START, self.mitigation.factor * logits)
