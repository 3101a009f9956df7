"""Wanda: prune the weights of feed-forward layers that memorized prompts drive and an empty prompt does not."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Generator, Tensor, nn

from solidmark import Claim, Mitigation, Needs
from solidmark.api import Data, Model, NotApplicable

from ._dori_claims import dori_claim
from ._origins import EDITED


@dataclass(frozen=True)
class Wanda(Mitigation):
    """Score each weight of the second linear map of every feed-forward layer by |W_ij| ‖x_j‖, and set the chosen to zero.

    x_j are the inputs of column j at one timestep, over all image positions and prompts. A weight is chosen where its
    score under the captions of the forget list is among the `share` highest of its row (at least one) and higher than
    under the empty caption. The choices of the first `timesteps` of 50 are united. Published: share 0.01 to 0.02, 10
    timesteps, guidance 7.5, scores from both branches, by the pipeline's own scheduler from one noise for all prompts. Here
    the scores are of the conditional branch alone, at guidance 3 and eta 0, from a noise for each prompt, which its empty
    caption shares. The published code scales the inputs of each position to unit norm first, for half precision. The paper
    does not, nor do we. "One at least" is ours. Cost: 3 evaluations a timestep and caption.

    Stable Diffusion has 16 such layers. Small testbeds have a single one in the middle block, of 16,384 of 748,612 weights:
    even a share of 1, which removes every weight that beats the base, leaves M at 0.77 to 0.83. So a row there says nothing
    of the published method: it cannot reach what it would have to remove (fidelity B). The share of the layers' weights
    that was removed is reported.
    """

    share: float = 0.01
    timesteps: int = 10

    needs = Needs.FORGET | Needs.CAPTIONS
    reference = "Memorized Images in Diffusion Models share a Subspace that can be Located and Deleted, arXiv 2406.18566"
    stream = "solidmark.mitigations.wanda.Wanda"
    fidelity = "B"
    claims = (
        Claim("Pruning 1 % of the weights removes the memorized images.", below=0.2, origin=EDITED),
        dori_claim(
            "It only hides: an embedding that is searched for brings 72 % back where the prompt brings none.", above=0.3
        ),
    )

    def __post_init__(self) -> None:
        self.expect(0 < self.share <= 1, "share", "a number in (0, 1]")
        self.expect(1 <= self.timesteps <= STEPS, "timesteps", f"1 to {STEPS}")

    @torch.no_grad()
    def edit(self, model: Model, data: Data, rng: Generator) -> Model:
        """The model without the chosen weights. Raises NotApplicable without feed-forward layers."""
        captions = data.forget.captions
        noise = torch.randn((len(captions), *model.shape), generator=rng).to(model.device)
        target = self._norms(model, captions, noise, data.recipe.part)
        base = self._norms(model, [""] * len(captions), noise, data.recipe.part)
        removed = total = 0
        for name, layer in feed_forward(model).items():
            pairs = zip(target, base, strict=True)
            masks = [choose(score(layer.weight, t[name]), score(layer.weight, b[name]), self.share) for t, b in pairs]
            mask = torch.stack(masks).any(dim=0)
            layer.weight.masked_fill_(mask, 0.0)
            removed, total = removed + int(mask.sum()), total + mask.numel()
        data.report("removed_weights", removed)
        data.report("removed_share", removed / total)
        data.report("no_op", removed == 0)
        return model

    def _norms(self, model: Model, captions: Sequence[str], noise: Tensor, part: int) -> list[dict[str, Tensor]]:
        """For each timestep the norm of every input of every layer, (columns,), by the layer's name.

        `part` captions go through the model at once.
        """
        parts = zip(torch.arange(len(captions)).split(part), noise.split(part), strict=True)
        every = [self._norms_of(model, [captions[row] for row in rows.tolist()], some) for rows, some in parts]
        return [
            {name: torch.stack([norms[name] for norms in at_once]).norm(dim=0) for name in at_once[0]}
            for at_once in zip(*every, strict=True)
        ]

    def _norms_of(self, model: Model, captions: Sequence[str], noise: Tensor) -> list[dict[str, Tensor]]:
        norms = []
        with record_input_norms(feed_forward(model)) as last:
            run = model.trajectory(model.embed(captions), noise, model.schedule.times(STEPS), GUIDANCE)
            for _ in islice(run, self.timesteps):
                norms.append(dict(last))  # at this point the last call was of the conditional branch
        return norms

    def settings(self) -> "Sequence[Wanda]":
        """The sweep, weakest first: more and more weights."""
        return [Wanda(0.01), Wanda(0.05), Wanda(0.2), Wanda(0.5), Wanda(1.0)]


STEPS, GUIDANCE = 50, 3.0
"""Steps and guidance scale of the run in which inputs are recorded."""


def feed_forward(model: Model) -> Mapping[str, nn.Linear]:
    """The second linear map of each feed-forward layer, by name. Raises NotApplicable where there is none."""
    layers = {name: module for name, module in model.network.named_modules() if name.endswith("ff.net.2")}
    if not layers:
        cure = "Choose a testbed with captions."
        raise NotApplicable("mitigation wanda", "a network without feed-forward layers", "one that has them", cure)
    return layers


@contextmanager
def record_input_norms(layers: Mapping[str, nn.Linear]) -> Iterator[dict[str, Tensor]]:
    """While inside: the norm of each column of the last input of each layer, (columns,), by the layer's name."""
    norms: dict[str, Tensor] = {}

    def register(name: str) -> torch.utils.hooks.RemovableHandle:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            norms[name] = inputs[0].flatten(0, -2).norm(dim=0)

        return layers[name].register_forward_pre_hook(record)

    handles = [register(name) for name in layers]
    try:
        yield norms
    finally:
        for handle in handles:
            handle.remove()


def score(weight: Tensor, norms: Tensor) -> Tensor:
    """|W_ij| ‖x_j‖, shaped as the weight."""
    return weight.abs() * norms


def choose(target: Tensor, base: Tensor, share: float) -> Tensor:
    """The weights whose target score is among the `share` highest of their row and above the base score, booleans."""
    count = max(1, int(share * target.shape[1]))
    highest = torch.zeros_like(target, dtype=torch.bool).scatter_(1, target.topk(count, dim=1).indices, True)
    return highest & (target > base)
