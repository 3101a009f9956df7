"""GUARD: spikes of cross-attention attenuated, and guidance pushed away from what the spikes would give."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.models import START, Attention, Layer, Query
from solidmark.sampling import guide

from ._attended import Attended, Heard


@dataclass(frozen=True)
class GuardAttention(Mitigation):
    """Multiply by `factor` the cross-attention logits of tokens that draw an unusually large one (its attention part alone).

    For each query and head M_j is the largest logit of token j over all places, z_j = (M_j - mean) / sd over the tokens
    but the start token; tokens with z_j > `threshold` are spikes. It acts in the blocks before the decoder (down and
    middle), on the conditional branch. Published: factor 0.3, threshold 0.01 alone and 0.1 within GUARD. The paper finds
    spikes by attention mass, the published code by logits, as here; a negative logit is raised by the factor. So low
    a threshold takes about half of all tokens, which is close to a temperature: see `attention-temperature`. Small
    testbeds have cross-attention in the middle block alone, and a text encoder trained with the denoiser: fidelity B.
    Cost: none.
    """

    factor: float = 0.3
    threshold: float = 0.01

    needs = Needs.CAPTIONS
    fidelity = "B"
    reference = "You Don't Need All That Attention: Surgical Memorization Mitigation in Diffusion Models, arXiv 2603.00133"
    stream = "solidmark.mitigations.guard.GuardAttention"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim("Attention attenuation alone lowers verbatim copy-detection similarity from 0.875 to 0.109.", below=0.2),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.factor < float("inf"), "factor", "a number of at least 0")
        self.expect(abs(self.threshold) < float("inf"), "threshold", "a finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link whose conditional branch attends so."""
        return Attenuating(self, inner)

    def strengths(self) -> "Sequence[GuardAttention]":
        """Smaller and smaller factors, in the end of more tokens."""
        settings = ((0.7, 0.01), (0.3, 0.01), (0.15, 0.01), (0.0, 0.01), (0.0, -1.0))
        return [GuardAttention(factor, threshold) for factor, threshold in settings]


@dataclass(frozen=True)
class Guard(GuardAttention):
    """The attenuated branch attracts and the plain one repels.

    eps_u + s (eps_c' - eps_u) - r_k (eps_c - eps_u), with eps_c' under attenuated attention and
    r_k = r cos(pi k / 2K) at step k of K; r is `repulsion` times the usual guidance scale. Published: r = 2 with s = 7.5,
    a share of 0.267; 50 steps. The paper has a constant r; the decay is that of the published code, whose gate ("in
    the basin") is open at its default. Cost: three evaluations a step instead of two.
    """

    threshold: float = 0.1
    repulsion: float = 0.267

    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim("It lowers verbatim copy-detection similarity from 0.875 to 0.079.", below=0.2),
        Claim("It leaves less than attenuation alone.", "difference", below=0.0, against="guard-attention"),
        "Prompts that are not memorized are not affected.",
    )
    stream = "solidmark.mitigations.guard.Guard"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(0 <= self.repulsion < float("inf"), "repulsion", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A link with three branches."""
        return Repelling(self, inner)

    def strengths(self) -> "Sequence[GuardAttention]":
        """More and more repulsion from a branch that is attenuated more and more."""
        return [Guard(0.7, repulsion=0.1), Guard(), Guard(0.0), Guard(0.0, repulsion=0.5), Guard(0.0, repulsion=1.0)]


class Attenuating(Attended):
    """The link: its attention is the attenuated one."""

    mitigation: GuardAttention

    def attention(self, query: Query) -> Attention:
        """Spikes attenuated."""
        return Attenuated(self.mitigation, query)


class Repelling(Attenuating):
    """The link of GUARD: what attenuated attention predicts, less a share of what the plain one does."""

    mitigation: Guard

    def predict(self, x: Tensor, t: int, query: Query) -> Tensor:
        """eps_u + s (eps_c' - eps_u) - r_k (eps_c - eps_u)."""
        if not bool(query.conditional.any()):
            return self.inner.predict(x, t, query)
        plain = self.model.predict(x, t, query.embeddings).noise
        attenuated = self.model.predict(x, t, query.embeddings, attention=self.attention(query)).noise
        unconditional = self.model.predict(x, t, query.unconditional).noise
        attracted = guide(unconditional, attenuated, self.outer.scale(unconditional, attenuated, t, query))
        decay = math.cos(math.pi / 2 * query.progress(t))
        return attracted - self.mitigation.repulsion * query.guidance * decay * (plain - unconditional)


class Attenuated(Heard):
    """Logits of spiking tokens multiplied by the factor, outside the decoder."""

    mitigation: GuardAttention

    def changed(self, layer: Layer, logits: Tensor) -> Tensor:
        """factor x logit at the spikes."""
        return logits if layer.place == "up" else (self.mitigation.factor * logits).where(self.spikes(logits), logits)

    def spikes(self, logits: Tensor) -> Tensor:
        """(B, heads, 1, tokens) booleans, from logits (B, heads, places, tokens)."""
        largest, others = logits.amax(dim=2, keepdim=True), self.roles != START
        count = others.sum(dim=-1, keepdim=True)
        mean = (largest * others).sum(dim=-1, keepdim=True) / count
        spread = (((largest - mean) * others).square().sum(dim=-1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
        return others & (largest - mean > self.mitigation.threshold * spread)
