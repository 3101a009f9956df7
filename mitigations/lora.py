"""Low-rank adaptation (LoRA): fine-tune adapters of few weights on the attention, and freeze the base."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn

from solidmark import Claim, Mitigation, Needs, Trainer
from solidmark.api import NotApplicable, Recipe

from ._extras import import_extra
from ._origins import FINE_TUNED

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
"""The linear maps of an attention layer, as diffusers names them."""


@dataclass(frozen=True)
class LowRankAdaptation(Mitigation):
    """Train W + B A in place of W on the attention projections alone, A (rank, in) and B (out, rank).

    A starts as N(0, 1 / rank²), B at 0, so that training starts at the base. In the end B A is added to W. All else is
    frozen: convolutions, norms, the text encoder. Published for diffusion models: rank 4 on queries, keys, values and
    outputs, scale 1, at ten times the learning rate of full fine-tuning (1e-4 in place of 1e-5). Here the rate is `rate`
    times the recipe's. The digits network has attention in its middle block alone: rank 4 trains 0.5 % of its weights,
    memorizes little and draws marks badly (M 0.04, and 0.17 at rank 32, where full fine-tuning has 0.85). Cost: that of
    full fine-tuning. Needs a base model and the package peft (`pip install 'solidmark[lora]'`).
    """

    rank: int = 4
    rate: float = 10.0

    needs = Needs.BASE_MODEL
    reference = "LoRA: Low-Rank Adaptation of Large Language Models, arXiv 2106.09685"
    stream = "solidmark.mitigations.lora.LowRankAdaptation"
    claims: ClassVar[tuple[str | Claim, ...]] = (
        Claim(
            "Fine-tuning few parameters in place of all mitigates memorization to some extent.",
            below=0.8,
            source="MemControl: Mitigating Memorization in Diffusion Models via Automated Parameter Selection, "
            "arXiv 2405.19458",
            origin=FINE_TUNED,
        ),
    )

    def __post_init__(self) -> None:
        self.expect(self.rank >= 1, "rank", "at least 1")
        self.expect(0 < self.rate < float("inf"), "rate", "a positive finite number")

    def recipe(self, recipe: Recipe) -> Recipe:
        """The recipe with the learning rate of adapters."""
        return replace(recipe, learning_rate=self.rate * recipe.learning_rate)

    def trainer(self, inner: Trainer) -> Trainer:
        """A trainer that puts the adapters in and merges them."""
        return AdapterTrainer(self, inner)

    def _layers(self, network: nn.Module) -> list[str]:
        """The names of the layers that get adapters."""
        return [name for name, _ in network.named_modules() if name.endswith(PROJECTIONS)]

    def settings(self) -> "list[LowRankAdaptation]":
        """The sweep, weakest first: lower and lower ranks."""
        return [type(self)(rank) for rank in (32, 16, 4, 1)]


@dataclass(frozen=True)
class LowRankEverywhere(LowRankAdaptation):
    """The same on every linear map and convolution of the network: A convolves to `rank` channels, B is 1 x 1.

    In a network with attention in its middle block alone, adapters of the attention hardly learn to draw a mark. These do:
    M is 0.87, 0.80 and 0.51 at ranks 32, 4 and 1 on `digits-finetune`.
    """

    claims: ClassVar[tuple[str | Claim, ...]] = ()
    stream = "solidmark.mitigations.lora.LowRankEverywhere"
    form_of = "lora"

    def _layers(self, network: nn.Module) -> list[str]:
        """The names of the layers that get adapters."""
        return [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]


class AdapterTrainer(Trainer):
    """Freezes the base and trains adapters."""

    mitigation: LowRankAdaptation

    def prepare(self) -> None:
        """Put adapters into the network and freeze the rest. Raises NotApplicable without a base model to adapt."""
        self.inner.prepare()
        _ = self.data.base_model
        if self.run.recipe.adapter_rank:
            cure = "Choose a testbed that trains all weights."
            raise NotApplicable("lora", "a recipe that trains adapters already", "one without", cure)
        rank, every = self.mitigation.rank, self.model.parameters()
        for parameter in every:
            parameter.requires_grad_(False)
        layers = self.mitigation._layers(self.model.network)
        config = import_extra("peft", "lora").LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
        self.tuner = import_extra("peft.tuners.lora", "lora").LoraModel(self.model.network, {"default": config}, "default")
        adapters = self.run.parameters()
        self._draw(adapters)
        self.data.report("trained_weights", sum(parameter.numel() for parameter in adapters))
        self.data.report("share_of_weights", sum(p.numel() for p in adapters) / sum(p.numel() for p in every))

    @torch.no_grad()
    def _draw(self, adapters: list[nn.Parameter]) -> None:
        """Draw A of each layer again, from this trainer's own stream. Each B, which follows its A, is 0."""
        for down in adapters[::2]:
            noise = torch.randn(down.shape, generator=self.rng)
            down.copy_(noise / self.mitigation.rank)

    def finish(self) -> None:
        """Replace W by W + B A."""
        self.inner.finish()
        self.tuner.merge_and_unload()
