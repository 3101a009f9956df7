"""The network: its configuration, and the diffusers modules that follow from it. No other file imports diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Network:
    """The configuration of a pixel-space denoiser. Everything that is built follows from it.

    `kind` is what the network is conditioned on: `text` (captions through a text encoder and cross-attention), `label`
    (each caption is one of `classes`, added to the time embedding) or `none`. The network works on cells of `patch` x
    `patch` pixels.
    """

    kind: str = "text"
    size: int = 12
    channels: int = 1
    patch: int = 2
    widths: tuple[int, ...] = (32, 64)
    layers: int = 1
    dropout: float = 0.0
    extra_channels: int = 0
    heads: int = 2
    classes: tuple[str, ...] = ()
    words: int = 500
    context: int = 9
    text_width: int = 32
    text_layers: int = 1
    prediction: str = "v_prediction"
    betas: str = "squaredcos_cap_v2"
    schedule_steps: int = 1000

    @property
    def x_channels(self) -> int:
        """Channels of x, the space that the network works in."""
        return self.channels

    @property
    def factor(self) -> int:
        """How many pixels a cell of x is wide."""
        return 1

    @property
    def precision(self) -> str:
        """The precision that the network computes in."""
        return "float32"

    @property
    def shared(self) -> tuple[str, ...]:
        """The parts, of `text` and `space`, that are never trained and belong to all models of this configuration."""
        return ()


def build_network(config: Network) -> nn.Module:
    """The diffusers network of a configuration."""
    from diffusers import UNet2DConditionModel, UNet2DModel

    levels, cells = len(config.widths), config.patch**2
    shared = {
        "sample_size": config.size // config.patch,
        "in_channels": (config.channels + config.extra_channels) * cells,
        "out_channels": config.channels * cells,
        "layers_per_block": config.layers,
        "block_out_channels": config.widths,
        "down_block_types": ("DownBlock2D",) * levels,
        "up_block_types": ("UpBlock2D",) * levels,
        "norm_num_groups": 8,
        "dropout": config.dropout,
    }
    if config.kind == "text":
        return UNet2DConditionModel(
            **shared,
            mid_block_type="UNetMidBlock2DCrossAttn",
            cross_attention_dim=config.text_width,
            attention_head_dim=config.heads,  # diffusers reads this as the number of heads
        )
    return UNet2DModel(**shared, class_embed_type="identity" if config.kind == "label" else None)


def signal_shares(betas: str, steps: int, start: float, end: float, zero_terminal: bool) -> Tensor:
    """The signal's share of the variance, (steps,): cumulative products of 1 - beta of a named schedule of diffusers."""
    from diffusers import DDPMScheduler

    shares: Tensor = DDPMScheduler(
        num_train_timesteps=steps,
        beta_schedule=betas,
        beta_start=start,
        beta_end=end,
        rescale_betas_zero_snr=zero_terminal,
    ).alphas_cumprod
    return shares


def scheduler_config(scheduler: Any) -> Mapping[str, Any]:
    """The configuration of a diffusers scheduler, defaults included."""
    given: Mapping[str, Any] = scheduler.config
    return given


def save_config(network: nn.Module, folder: Path) -> None:
    """Write diffusers' own configuration of a network that `build_network` built."""
    network.save_config(folder)
