"""The parts of a model, from its configuration: network, conditioning, space and schedule."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import singledispatch

from torch import nn

from ..errors import UnknownName
from .clip import Clip
from .conditioning import CONDITIONINGS
from .given import GivenNetwork, begin_network, parts_of
from .latent import LatentNetwork, build_autoencoder, build_text, build_unet
from .network import Network, build_network
from .schedule import ScheduleConfig
from .space import LatentSpace, Space


@dataclass(frozen=True)
class Parts:
    """What a denoiser is made of: the network, `text`, which embeds captions, the space of x, and the schedule."""

    network: nn.Module
    text: nn.Module
    space: Space
    schedule: ScheduleConfig


@singledispatch
def build_parts(config: Network) -> Parts:
    """The parts of a configuration, with random weights. Raises UnknownName for another kind of conditioning."""
    if config.kind not in CONDITIONINGS:
        raise UnknownName.among("Network.kind", config.kind, CONDITIONINGS)
    return Parts(build_network(config), CONDITIONINGS[config.kind](config), Space(), schedule_of(config))


@build_parts.register
def _latent_parts(config: LatentNetwork) -> Parts:
    network, text = build_unet(config), Clip(*build_text(config), config.classes)
    return Parts(network, text, LatentSpace(build_autoencoder(config), config.factor), schedule_of(config))


@build_parts.register
def _given_parts(config: GivenNetwork) -> Parts:
    given = parts_of(config)
    encoder = given.text_encoder if "text" in config.shared else copy.deepcopy(given.text_encoder)
    text = Clip(given.tokenizer, encoder.requires_grad_("text" not in config.shared))
    return Parts(begin_network(config, given.unet), text, given.space, schedule_of(config))


def shared_space(config: Network) -> Space | None:
    """The space that all models of a configuration share; None where each has its own, or works in pixels."""
    return parts_of(config).space if isinstance(config, GivenNetwork) else None


@singledispatch
def schedule_of(config: Network) -> ScheduleConfig:
    """The schedule of a configuration."""
    return ScheduleConfig(config.betas, config.schedule_steps)


@schedule_of.register
def _latent_schedule(config: LatentNetwork) -> ScheduleConfig:
    return ScheduleConfig(
        config.betas,
        config.schedule_steps,
        config.beta_start,
        config.beta_end,
        config.spacing,
        config.offset,
        config.last_is_clean,
        config.zero_terminal_snr,
    )
