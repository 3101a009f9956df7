"""GUARD: attenuate spikes of cross-attention, and push guidance away from the prediction with spikes."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import START, Attention, Data, Layer, SamplingBatch, guide

from ._attention import AttentionSampler, CaptionedLogits
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class GuardAttention(Mitigation):
    """Multiply by `factor` the cross-attention logits of tokens with an unusually large one: GUARD's attention part alone.

    For each query and head M_j is the largest logit of token j over all positions, z_j = (M_j - mean) / sd over the tokens
    but the start token. Tokens with z_j > `threshold` are spikes. It acts in the blocks before the decoder (down and
    middle), on the conditional branch. Published: factor 0.3, threshold 0.01 alone and 0.1 within GUARD. The paper finds
    spikes by attention mass, the published code by logits, as here. A negative logit is raised by the factor. At such a
    low threshold a third of all tokens are spikes on digits, and half of them where logits lie evenly round their mean
    (`spiking_tokens` in the record), which is close to a temperature: see `attention-temperature`. Small testbeds have
    cross-attention in the middle block alone, and a text encoder trained with the denoiser: fidelity B. Cost: none.
    """

    factor: float = 0.3
    threshold: float = 0.01

    needs = Needs.CAPTIONS
    fidelity = "B"
    reference = "You Don't Need All That Attention: Surgical Memorization Mitigation in Diffusion Models, arXiv 2603.00133"
    stream = "solidmark.mitigations.guard.GuardAttention"
    form_of = "guard"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Attention attenuation alone lowers verbatim copy-detection similarity from 0.875 to 0.109.",
            below=0.2,
            origin=STABLE_DIFFUSION,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 <= self.factor < float("inf"), "factor", "a number of at least 0")
        self.expect(abs(self.threshold) < float("inf"), "threshold", "a finite number")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler with this attention in the conditional branch."""
        return AttenuatingSampler(self, inner)

    def settings(self) -> "Sequence[GuardAttention]":
        """The sweep, weakest first: smaller and smaller factors, in the end for more tokens."""
        settings = ((0.7, 0.01), (0.3, 0.01), (0.15, 0.01), (0.0, 0.01), (0.0, -1.0))
        return [GuardAttention(factor, threshold) for factor, threshold in settings]


@dataclass(frozen=True)
class Guard(GuardAttention):
    """Guide towards the attenuated branch and away from the plain one.

    eps_u + s (eps_c' - eps_u) - r_k (eps_c - eps_u), with eps_c' under attenuated attention and r_k = r cos(pi k / 2K) at
    step k of K. r is `repulsion` times the usual guidance scale. Published: r = 2 with s = 7.5, a share of 0.267; 50
    steps. The paper has a constant r. The decay is that of the published code, whose gate ("in the basin") is open at its
    default. Cost: three evaluations a step instead of two.
    """

    threshold: float = 0.1
    repulsion: float = 0.267

    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim("It lowers verbatim copy-detection similarity from 0.875 to 0.079.", below=0.2, origin=STABLE_DIFFUSION),
        Claim(
            "It leaves less than attenuation alone.",
            "difference",
            below=0.0,
            against="guard-attention",
            origin=STABLE_DIFFUSION,
        ),
        "Prompts that are not memorized are not affected.",
    )
    stream = "solidmark.mitigations.guard.Guard"
    form_of = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.expect(0 <= self.repulsion < float("inf"), "repulsion", "a number of at least 0")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler with three branches."""
        return GuardSampler(self, inner)

    def settings(self) -> "Sequence[GuardAttention]":
        """The sweep, weakest first: smaller and smaller factors, and more and more repulsion."""
        return [Guard(0.7, repulsion=0.1), Guard(), Guard(0.0), Guard(0.0, repulsion=0.5), Guard(0.0, repulsion=1.0)]


class AttenuatingSampler(AttentionSampler):
    """Guidance with attenuated attention."""

    mitigation: GuardAttention

    def attention(self, batch: SamplingBatch) -> Attention:
        """Attention with attenuated spikes."""
        return AttenuatedLogits(self.mitigation, batch)


class GuardSampler(AttenuatingSampler):
    """Guidance with attenuated attention, less a share of the plain guidance vector."""

    mitigation: Guard

    def predict(self, x: Tensor, t: int, batch: SamplingBatch) -> Tensor:
        """eps_u + s (eps_c' - eps_u) - r_k (eps_c - eps_u)."""
        if not bool(batch.conditional.any()):
            return self.inner.predict(x, t, batch)
        plain = self.model.predict(x, t, batch.embeddings).noise
        attenuated = self.attend(x, t, batch)
        unconditional = self.model.predict(x, t, batch.unconditional).noise
        scale = self.outer.scale(unconditional, attenuated, t, batch)
        weight = self.mitigation.repulsion * scale * math.cos(math.pi / 2 * batch.step_fraction(t))
        if isinstance(weight, Tensor):
            weight = weight.reshape(-1, 1, 1, 1)
        return guide(unconditional, attenuated, scale) - weight * (plain - unconditional)


class AttenuatedLogits(CaptionedLogits):
    """Multiplies the logits of spiking tokens by the factor, outside the decoder."""

    mitigation: GuardAttention

    def __init__(self, mitigation: GuardAttention, batch: SamplingBatch) -> None:
        super().__init__(mitigation, batch)
        self.spiking = list[Tensor]()

    def change(self, layer: Layer, logits: Tensor) -> Tensor:
        """factor x logit at the spikes."""
        if layer.block == "up":
            return logits
        spikes = self.spikes(logits)
        tokens = (self.captioned & (self.roles != START)).expand_as(spikes)
        self.spiking.append((spikes & tokens).sum() / tokens.sum())
        return (self.mitigation.factor * logits).where(spikes, logits)

    def report(self, data: Data) -> None:
        """Tell as well which share of the captions' tokens but the start were spikes."""
        super().report(data)
        if self.spiking:
            data.dose("spiking_tokens", torch.stack(self.spiking))

    def spikes(self, logits: Tensor) -> Tensor:
        """The spiking tokens, (B, heads, 1, tokens) booleans, from logits (B, heads, positions, tokens)."""
        largest, others = logits.amax(dim=2, keepdim=True), self.roles != START
        count = others.sum(dim=-1, keepdim=True)
        mean = (largest * others).sum(dim=-1, keepdim=True) / count
        sd = (((largest - mean) * others).square().sum(dim=-1, keepdim=True) / (count - 1).clamp(min=1)).sqrt()
        return others & (largest - mean > self.mitigation.threshold * sd)
