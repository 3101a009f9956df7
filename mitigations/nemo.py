"""NeMo: silence the value neurons of cross-attention that make a prompt's first prediction the same for every noise."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from solidmark import Claim, Mitigation, Needs, Sampler
from solidmark.api import Attention, Data, Denoiser, Layer, Model, NotApplicable, SamplingBatch

from ._attention import AttentionSampler
from ._dori_claims import dori_claim
from ._origins import STABLE_DIFFUSION


@dataclass(frozen=True)
class NeuronsAQuery(Mitigation):
    """Find the neurons of each query separately, and set them to zero in both branches of its guidance.

    Neurons are the outputs of to_v in the cross-attention of encoder and middle. For a caption, a_i is the mean over
    tokens of |to_v|_i, and z_i = |a_i - mean_i| / sd_i over the calibration captions. A noise difference is eps - x_T at
    the first step, scaled to [0, 1] a channel. The score of a seed is its largest structural similarity to another seed's
    difference. The score of a caption is the largest of its seeds. τ is the mean plus `deviations` standard deviations of
    the score over calibration captions. A caption that scores τ or less stays as it is. For the others, only the seeds
    above τ count.

    - Initial selection: silence {z_i > θ} and the k largest a_i of each layer, with θ = 5 and k = 0, then θ - 0.25 and
      k + 1 and so on to θ = 1, until at those seeds the difference with silent neurons has a similarity of at most τ to
      the difference without.
    - Refinement: restore each layer, then each neuron, unless that raises the similarity above τ (above its last value,
      where the selection never reached τ).

    Published: 1 deviation, which is τ = 0.428 in Stable Diffusion, 10 seeds. A small model predicts nearly the same from
    any noise, for every caption (scores of 0.95), so that trained captions do not stand out: AUROC 0.4 at the first step
    of digits. The paper takes the first step, its code x_T at the second. Multi-scale similarity with a kernel of 11 needs
    latents of 64 x 64. Here there is one scale, kernel 3, and 4 seeds (fidelity B). In latent space the differences are of
    latents, as in the paper; below 3 cells a side they have no window. Refinement restores those neurons one by one that
    were selected, as the code does, but those of a layer from the last one on. The code gives up at θ = 1 without trying it,
    and its similarities of normal prompts, which τ is a statistic of, are of predictions with guidance 7 whose branches are
    exchanged, while its search has no guidance; here both have none. Where the null prompt has no tokens, as in pixel space,
    silencing its branch changes nothing. Cost: 4 evaluations a calibration caption, once a batch, and up to about 300 a
    query that is searched.
    """

    deviations: float = 1.0
    seeds: int = 4

    needs = Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    reference = "Finding NeMo: Localizing Neurons Responsible For Memorization in Diffusion Models, arXiv 2406.02366"
    stream = "solidmark.mitigations.nemo.NeuronsAQuery"
    claims: ClassVar[tuple[Claim, ...]] = (
        Claim(
            "It lowers copy-detection similarity of verbatim prompts from 0.83 to 0.09.", below=0.2, origin=STABLE_DIFFUSION
        ),
    )

    def __post_init__(self) -> None:
        self.expect(abs(self.deviations) < float("inf"), "deviations", "a finite number")
        self.expect(self.seeds >= 2, "seeds", "at least 2")

    def sampler(self, inner: Sampler) -> Sampler:
        """A sampler that finds neurons before the first step and silences them at every step."""
        return SilencingSampler(self, inner)

    def settings(self) -> "Sequence[NeuronsAQuery]":
        """The sweep, weakest first: more and more captions are searched, down to a lower and lower similarity."""
        return [NeuronsAQuery(deviations) for deviations in (1.0, 0.5, 0.0, -1.0, -4.0)]


class SilencingSampler(AttentionSampler):
    """Guidance without the silent neurons of each query, (B, neurons) booleans."""

    mitigation: NeuronsAQuery

    def prepare(self, batch: SamplingBatch) -> SamplingBatch:
        """The batch as it is, after its neurons are found. Raises NotApplicable without cross-attention."""
        batch = self.inner.prepare(batch)
        noise = torch.randn((self.mitigation.seeds, *self.model.shape), generator=self.rng).to(batch.noise.device)
        if not bool(batch.conditional.any()):
            return batch
        normal = self.model.embed(self.data.calibration.captions)
        search = Search(self.model, normal, noise, batch.times[0], self.mitigation.deviations)
        self.silent = torch.zeros(len(batch.noise), len(search.mean), dtype=torch.bool, device=batch.noise.device)
        captioned = batch.conditional.nonzero().flatten()
        self.silent[captioned] = search.find(batch.embeddings[captioned])
        self.data.dose("acted_on", self.silent[captioned].any(dim=1))
        self.data.dose("neurons_a_caption", self.silent[captioned].sum(dim=1))
        self.layers = search.layers
        return batch

    def attention(self, batch: SamplingBatch) -> Attention:
        """Attention without each query's own neurons."""
        return SilentNeurons(self.layers, self.silent)

    def null_attention(self, batch: SamplingBatch) -> Attention:
        """The same: neurons are silenced in the network, whatever it is asked."""
        return self.attention(batch)


@dataclass(frozen=True)
class NeuronsForGood(Mitigation):
    """The same search for the captions of the forget list. All neurons found are silenced in the weights, for every caption.

    Their rows of to_v are set to zero. Published: silencing up to 750 neurons of all memorized prompts, of 7 layers with up
    to 1,280 each, does not change the Fréchet distance. A small testbed has one layer of 64, so that a row there says little
    of the published method: what is memorized may lie where it cannot reach.
    """

    deviations: float = 1.0
    seeds: int = 4

    needs = Needs.FORGET | Needs.CAPTIONS | Needs.CALIBRATION
    fidelity = "B"
    reference = NeuronsAQuery.reference
    stream = "solidmark.mitigations.nemo.NeuronsForGood"
    form_of = "nemo"
    claims: ClassVar[tuple[Claim, ...]] = (
        *NeuronsAQuery.claims,
        dori_claim(
            "It only hides: an embedding that is searched for brings 99 % back where the prompt brings 20 %.",
            above=0.3,
            deviations=-1.0,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(abs(self.deviations) < float("inf"), "deviations", "a finite number")
        self.expect(self.seeds >= 2, "seeds", "at least 2")

    @torch.no_grad()
    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model without those neurons. Raises NotApplicable without cross-attention."""
        noise = torch.randn((self.seeds, *model.shape), generator=rng).to(model.device)
        search = Search(model, model.embed(data.calibration.captions), noise, model.schedule.times(50)[0], self.deviations)
        silent = search.find(model.embed(data.forget.captions))
        for name, rows in parts(search.layers, silent.any(dim=0)).items():
            search.layers[name].weight[rows] = 0.0
        data.report("neurons", int(silent.any(dim=0).sum()))
        data.report("neurons_a_caption", float(silent.sum(dim=1).double().mean()))
        data.report("no_op", not bool(silent.any()))
        return model

    def settings(self) -> "Sequence[NeuronsForGood]":
        """The sweep of `NeuronsAQuery`. In the weakest setting some seeds have no caption to search."""
        return [NeuronsForGood(deviations) for deviations in (1.0, 0.5, 0.0, -1.0, -4.0)]


CELLS = 512 * 144
"""Cells of x that go through the model at once: 512 images of 12 x 12, or 18 latents of 64 x 64."""


class Search:
    """The search for the neurons of captions, by embeddings (B, L, D), at one timestep t and S noises, (S, *shape)."""

    LEVELS = tuple(5 - 0.25 * step for step in range(17))
    """θ of the initial selection, 5 to 1. k is the index in this list."""

    def __init__(self, model: Denoiser, normal: Tensor, noise: Tensor, t: int, deviations: float) -> None:
        self.model, self.noise, self.t = model, noise, t
        self.layers = value_layers(model)
        activations = self.activations(normal)
        self.mean, self.std = activations.mean(dim=0), activations.std(dim=0)
        scores = nearest(self.differences(normal, torch.zeros_like(activations, dtype=torch.bool))).amax(dim=1)
        self.threshold = float(scores.mean() + deviations * scores.std())

    @torch.no_grad()
    def find(self, embeddings: Tensor) -> Tensor:
        """The neurons to be silenced, (B, neurons) booleans."""
        silent = torch.zeros(len(embeddings), len(self.mean), dtype=torch.bool, device=embeddings.device)
        plain = self.differences(embeddings, silent)
        counted = nearest(plain) > self.threshold
        memorized = counted.any(dim=1).nonzero().flatten()
        if len(memorized):
            silent[memorized] = self.select_and_refine(embeddings[memorized], plain[memorized], counted[memorized])
        return silent

    def select_and_refine(self, embeddings: Tensor, plain: Tensor, counted: Tensor) -> Tensor:
        """Initial selection and refinement, (B, neurons) booleans. `counted` are the seeds above τ, (B, S) booleans."""

        def largest_similarity(rows: Tensor, silent: Tensor) -> Tensor:
            similarities = similarity(plain[rows], self.differences(embeddings[rows], silent))
            return similarities.masked_fill(~counted[rows], -1.0).amax(dim=1)

        silent = torch.zeros(len(embeddings), len(self.mean), dtype=torch.bool, device=embeddings.device)
        reached = torch.ones(len(embeddings), device=embeddings.device)
        for k, theta in enumerate(self.LEVELS):
            rows = (reached > self.threshold).nonzero().flatten()
            if len(rows):
                silent[rows] = self.select(embeddings[rows], theta, k)
                reached[rows] = largest_similarity(rows, silent[rows])
        limit = reached.clamp(min=self.threshold)
        for group in self.groups():
            rows = (silent & group).any(dim=1).nonzero().flatten()
            if len(rows):
                harmless = rows[largest_similarity(rows, silent[rows] & ~group) <= limit[rows]]
                silent[harmless] &= ~group
        return silent

    def select(self, embeddings: Tensor, theta: float, k: int) -> Tensor:
        """The neurons with z above theta, and the k most active ones of each layer, (B, neurons) booleans."""
        activations = self.activations(embeddings)
        largest = torch.zeros_like(activations, dtype=torch.bool)
        for name, part in parts(self.layers, activations).items():
            indices = part.topk(min(k, part.shape[1]), dim=1).indices
            parts(self.layers, largest)[name].scatter_(1, indices, True)
        return largest | (z_scores(activations, self.mean, self.std) > theta)

    def activations(self, embeddings: Tensor) -> Tensor:
        """The mean over tokens of |to_v|, layer by layer, (B, neurons)."""
        return torch.cat([layer(embeddings).abs().mean(dim=1) for layer in self.layers.values()], dim=1)

    def groups(self) -> list[Tensor]:
        """The groups that refinement restores, (neurons,) booleans: each layer, then each neuron, the last one first."""
        single = torch.eye(len(self.mean), dtype=torch.bool, device=self.mean.device)
        whole = [rows.any(dim=0) for rows in parts(self.layers, single, dim=0).values()]
        return [*reversed(whole), *single.flip(0)]

    def differences(self, embeddings: Tensor, silent: Tensor) -> Tensor:
        """The noise differences eps - x_T with these neurons silent, scaled to [0, 1] a channel, (B, S, C, H, W)."""
        seeds, pieces = len(self.noise), []
        for rows in torch.arange(len(embeddings)).split(max(1, min(512, CELLS // self.noise[0, 0].numel()) // seeds)):
            attention = SilentNeurons(self.layers, silent[rows].repeat_interleave(seeds, dim=0))
            x = self.noise.repeat(len(rows), 1, 1, 1)
            repeated = embeddings[rows].repeat_interleave(seeds, dim=0)
            difference = self.model.predict(x, self.t, repeated, attention=attention).noise - x
            low, high = difference.amin(dim=(2, 3), keepdim=True), difference.amax(dim=(2, 3), keepdim=True)
            pieces.append(((difference - low) / (high - low).clamp(min=1e-12)).unflatten(0, (len(rows), seeds)))
        return torch.cat(pieces)


class SilentNeurons(Attention):
    """Multiplies the values of (B, neurons) silent neurons by zero."""

    def __init__(self, layers: Mapping[str, nn.Linear], silent: Tensor) -> None:
        self.active = {name: ~part for name, part in parts(layers, silent).items()}

    def values(self, layer: Layer, values: Tensor) -> Tensor:
        """The values, (B, tokens, heads x width), with zeros for silent neurons."""
        active = self.active.get(layer.name)
        return values if active is None else values * active[:, None]


def value_layers(model: Denoiser) -> dict[str, nn.Linear]:
    """to_v of each cross-attention of encoder and middle, by the attention's name. Raises NotApplicable without any."""
    layers = {name: module.to_v for name, module in model.cross_attention.items() if not name.startswith("up")}
    if not layers:
        found, cure = "no cross-attention in encoder or middle", "Choose a testbed with captions."
        raise NotApplicable("mitigation nemo", found, "value neurons", cure)
    return layers  # type: ignore[return-value]  # diffusers' attention has linear maps


def parts(layers: Mapping[str, nn.Linear], neurons: Tensor, dim: int = -1) -> dict[str, Tensor]:
    """Views of a tensor with one entry a neuron: one view a layer, by name."""
    sizes = [layer.out_features for layer in layers.values()]
    return dict(zip(layers, neurons.split(sizes, dim=dim), strict=True))


def z_scores(activations: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """|a - mean| / sd: how far each activation is from those of normal captions, (B, neurons)."""
    return (activations - mean).abs() / std.clamp(min=1e-12)


def nearest(differences: Tensor) -> Tensor:
    """The largest similarity of each seed's difference to another seed's, (B, S), from (B, S, C, H, W)."""
    count = differences.shape[1]
    pairs = [similarity(differences, differences.roll(shift, dims=1)) for shift in range(1, count)]
    return torch.stack(pairs).amax(dim=0)


def similarity(first: Tensor, second: Tensor, side: int = 3) -> Tensor:
    """Structural similarity (SSIM), (B, S), of two (B, S, C, H, W) in [0, 1], averaged over windows of `side` pixels."""

    def mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x, side, stride=1)

    a, b = first.flatten(0, 1), second.flatten(0, 1)
    ma, mb = mean(a), mean(b)
    va, vb, both = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    ssim = (2 * ma * mb + 0.01**2) * (2 * both + 0.03**2) / ((ma**2 + mb**2 + 0.01**2) * (va + vb + 0.03**2))
    mean_ssim: Tensor = ssim.flatten(1).mean(dim=1).unflatten(0, first.shape[:2])
    return mean_ssim
