"""A denoiser that begins with the parts of a pipeline that somebody gives: its configuration, and where the parts are.

A pipeline is known by its `revision`, a digest of its files; where it lies is no part of a model. Whoever reads it says by
`provide` how its parts are loaded, once for all models of a process. What is never trained is shared by all of them.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import InvalidValue, NotApplicable
from .latent import LatentNetwork
from .network import Network
from .schedule import ScheduleConfig
from .space import LatentSpace

PRECISIONS = ("float32", "bfloat16")
WEIGHTS, RANDOM = "weights", "random"
"""How the network begins: with the pipeline's weights, or with random ones."""


@dataclass(frozen=True)
class GivenNetwork(LatentNetwork):
    """The configuration of a denoiser whose parts are those of the pipeline `revision`.

    With `initialise="random"` the network has its form and random weights. The autoencoder stays as it is, and so does
    the text encoder unless `train_text`. `precision` is that of the network; all else is in float32. All other fields say
    what the pipeline is. Raises InvalidValue for another start or precision.
    """

    revision: str = ""
    initialise: str = WEIGHTS
    train_text: bool = False
    precision: str = "float32"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, known in (("initialise", (WEIGHTS, RANDOM)), ("precision", PRECISIONS)):
            if (value := getattr(self, name)) not in known:
                raise InvalidValue(f"GivenNetwork.{name}", repr(value), " or ".join(known), "Choose one of them.")

    @property
    def shared(self) -> tuple[str, ...]:
        """The parts that are never trained, and so are the pipeline's own in every model."""
        return ("space",) if self.train_text else ("space", "text")


@dataclass(frozen=True)
class GivenParts:
    """The parts of a pipeline: diffusers' and transformers' own objects, and the `space` of its autoencoder."""

    unet: Any
    text_encoder: Any
    tokenizer: Any
    schedule: ScheduleConfig
    prediction: str
    space: LatentSpace

    def configuration(self, revision: str, size: int) -> GivenNetwork:
        """The configuration of a denoiser of these parts for images of `size` pixels a side, mark included."""
        unet, autoencoder, schedule = self.unet.config, self.space.autoencoder.config, self.schedule
        return GivenNetwork(
            size=size,
            channels=autoencoder.in_channels,
            widths=tuple(unet.block_out_channels),
            layers=unet.layers_per_block,
            heads=0,
            words=0,
            context=self.tokenizer.model_max_length,
            text_width=unet.cross_attention_dim,
            text_layers=self.text_encoder.config.num_hidden_layers,
            prediction=self.prediction,
            betas=schedule.betas,
            schedule_steps=schedule.steps,
            beta_start=schedule.beta_start,
            beta_end=schedule.beta_end,
            spacing=schedule.spacing,
            offset=schedule.offset,
            last_is_clean=schedule.last_is_clean,
            zero_terminal_snr=schedule.zero_terminal_snr,
            latent_channels=autoencoder.latent_channels,
            autoencoder_widths=tuple(autoencoder.block_out_channels),
            revision=revision,
        )


_LOADERS: dict[str, Callable[[], GivenParts]] = {}


def provide(revision: str, load: Callable[[], GivenParts]) -> None:
    """Say how the parts of a pipeline are loaded."""
    _LOADERS[revision] = load


def parts_of(config: GivenNetwork) -> GivenParts:
    """The parts of a configuration's pipeline, loaded once; of several pipelines the last one is kept.

    Raises NotApplicable for a configuration that says something else than the pipeline is, as where a mitigation changed
    it, and for a pipeline that nobody has provided.
    """
    parts = _loaded(config.revision)
    _check_unchanged(config, parts)
    return parts


@lru_cache(maxsize=1)
def _loaded(revision: str) -> GivenParts:
    if revision not in _LOADERS:
        cure = "Name the testbed whose settings say where that pipeline is."
        raise NotApplicable("model", f"pipeline {revision[:12]!r}", "one that was read before", cure)
    return _LOADERS[revision]()


def given_state(config: Network) -> dict[str, Tensor]:
    """The weights that models of a configuration begin with, by their names in a model; none where they are random."""
    if not isinstance(config, GivenNetwork) or config.initialise == RANDOM:
        return {}
    parts = parts_of(config)
    trained = {"network": parts.unet, **({} if "text" in config.shared else {"text": parts.text_encoder})}
    prefix = {"network": "network.", "text": "text.encoder."}
    return {prefix[part] + n: t for part, module in trained.items() for n, t in module.state_dict().items()}


def shared_state(config: GivenNetwork) -> dict[str, Tensor]:
    """The weights that all models of a configuration share, by name: nobody may change them."""
    parts = parts_of(config)
    modules = {"space": parts.space.autoencoder, "text": parts.text_encoder}
    return {
        f"{part}.{name}": tensor
        for part in config.shared
        for name, tensor in {**modules[part].state_dict(), **_scale(part, parts)}.items()
    }


def _scale(part: str, parts: GivenParts) -> dict[str, Tensor]:
    return {"scale": torch.tensor(parts.space.scale)} if part == "space" else {}


def forget() -> None:
    """Load the parts of the pipeline anew when they are asked for again."""
    _loaded.cache_clear()


def _check_unchanged(config: GivenNetwork, parts: GivenParts) -> None:
    plain = parts.configuration(config.revision, config.size)
    plain = replace(plain, initialise=config.initialise, train_text=config.train_text, precision=config.precision)
    changed = [one.name for one in fields(config) if getattr(config, one.name) != getattr(plain, one.name)]
    if changed:
        found, cure = ", ".join(f"{name}={getattr(config, name)!r}" for name in changed), "Choose another testbed."
        raise NotApplicable("network of a given pipeline", found, "the form that its weights have", cure)


def begin_network(config: GivenNetwork, unet: Any) -> nn.Module:
    """A network of a model's own: a copy of the pipeline's, or one of its form with random weights."""
    if config.initialise == WEIGHTS:
        twin: nn.Module = copy.deepcopy(unet)
        return twin.train()
    fresh: nn.Module = type(unet).from_config(unet.config)
    return fresh.train()
