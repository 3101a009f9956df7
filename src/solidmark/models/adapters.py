"""Adapters: a training of few weights beside frozen ones, which are added to them in the end (LoRA, arXiv 2106.09685)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from ..errors import NotApplicable
from .model import Model

PROJECTIONS = ("to_q", "to_k", "to_v", "to_out.0")
"""The linear maps of an attention layer, as diffusers names them: what LoRA adapts in a diffusion model."""


class Adapters:
    """W + B A in place of W on every attention projection of a model's network, A (rank, in) and B (out, rank).

    A starts as N(0, 1 / rank²), drawn from `rng` alone, and B at 0, so that training starts at the model. All other
    weights are frozen. Raises NotApplicable without the package peft, or for a network without attention.
    """

    def __init__(self, model: Model, rank: int, rng: torch.Generator) -> None:
        layers = [name for name, _ in model.network.named_modules() if name.endswith(PROJECTIONS)]
        if not layers:
            cure = "Train all weights."
            raise NotApplicable("Recipe.adapter_rank", "a network without attention", "projections to adapt", cure)
        for parameter in model.parameters():
            parameter.requires_grad_(False)
        config = _peft("peft").LoraConfig(r=rank, lora_alpha=rank, target_modules=layers)
        with torch.random.fork_rng(devices=[]):
            self._tuner = _peft("peft.tuners.lora").LoraModel(model.network, {"default": config}, "default")
        adapters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        with torch.no_grad():
            for down in adapters[::2]:  # each B follows its A
                down.copy_(torch.randn(down.shape, generator=rng) / rank)

    def merge(self) -> None:
        """Replace W by W + B A."""
        self._tuner.merge_and_unload()


def _peft(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as cause:
        cure = "Install it: pip install 'solidmark[lora]'."
        raise NotApplicable("Recipe.adapter_rank", "no package peft", "the extra lora", cure) from cause
