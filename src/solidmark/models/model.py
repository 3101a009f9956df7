"""The trained model: a network with its conditioning and schedule, saved to and loaded from a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import DamagedFile, NotApplicable
from .attention import Attention, OpenedAttention
from .denoiser import Denoiser
from .given import GivenNetwork, given_state
from .latent import LatentNetwork, build_pipeline
from .network import Network, save_config
from .parts import build_parts
from .prediction import meter
from .space import LatentSpace


class Model(Denoiser):
    """A trained denoiser in pixels or latents, conditioned on text, on labels or on nothing (see `Denoiser`).

    Raises UnknownName for a kind of conditioning that does not exist.
    """

    network_counts = True

    def __init__(self, config: Network) -> None:
        super().__init__(config, build_parts(config))
        self.network.register_forward_hook(_count)

    @property
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """The modules in which the image attends to the caption, by name."""
        return {name: module for name, module in self.network.named_modules() if name.endswith("attn2")}

    def embed(self, captions: Sequence[str], *, padding: str | None = None) -> Tensor:
        """The embeddings of captions: (B, L, D), (B, D) for labels, (B, 0) without conditions. "" is the null condition."""
        embeddings: Tensor = self.text(captions) if padding is None else self.text(captions, padding)
        return embeddings

    def roles(self, captions: Sequence[str]) -> Tensor:
        """START, WORD, END or PADDING for each token: (B, L), (B, 1) for labels, (B, 0) without conditions."""
        conditioning: Any = self.text
        roles: Tensor = conditioning.roles(captions)
        return roles

    def fits(self, caption: str) -> bool:
        """Whether the conditioning takes all words of a caption; of a longer one it takes the first."""
        conditioning: Any = self.text
        return bool(conditioning.fits(caption))

    def _output(
        self, x: Tensor, t: int | Tensor, embeddings: Tensor, attention: Attention | None, extra: Tensor | None
    ) -> Tensor:
        with self._opened(attention):
            return self._denoise(self._with_extra(x, extra), t, embeddings)

    def _with_extra(self, x: Tensor, extra: Tensor | None) -> Tensor:
        if not self.config.extra_channels and extra is None:
            return x
        if extra is None:
            extra = x.new_zeros(len(x), self.config.extra_channels, *x.shape[2:])
        return torch.cat([x, extra], dim=1)

    def _denoise(self, x: Tensor, t: int | Tensor, embeddings: Tensor) -> Tensor:
        cells = F.pixel_unshuffle(x, self.config.patch)
        conditions = {"text": {"encoder_hidden_states": embeddings}, "label": {"class_labels": embeddings}}
        with self._precision(x.device.type):
            output = self.network(cells, t, **conditions.get(self.config.kind, {}), return_dict=False)[0]
        output = output.to(x.dtype)
        return F.pixel_shuffle(output, self.config.patch)

    def _precision(self, device: str) -> AbstractContextManager[object]:
        """Inside, the network computes in the precision of its configuration; weights and output stay as they are."""
        if self.config.precision == "float32":
            return nullcontext()
        return torch.autocast(device, getattr(torch, self.config.precision))

    @contextmanager
    def _opened(self, attention: Attention | None) -> Iterator[None]:
        """Inside, `attention` acts in every cross-attention."""
        if attention is None:
            yield
            return
        modules: Mapping[str, Any] = self.cross_attention
        before = {name: module.processor for name, module in modules.items()}
        network: Any = self.network
        recomputes = network.is_gradient_checkpointing  # a backward pass would compute again without `attention`
        try:
            if recomputes:
                network.disable_gradient_checkpointing()
            for name, module in modules.items():
                module.processor = OpenedAttention(name, attention)
            yield
        finally:
            for name, module in modules.items():
                module.processor = before[name]
            if recomputes:
                network.enable_gradient_checkpointing()

    def pipeline(self) -> Any:
        """The same model as a diffusers pipeline. Raises NotApplicable in pixel space."""
        if not isinstance(self.config, LatentNetwork) or not isinstance(self.space, LatentSpace):
            found, cure = "a model in pixel space", "Choose a latent testbed."
            raise NotApplicable("Model.pipeline", found, "a latent model", cure)
        return build_pipeline(self.config, self.network, self.space.autoencoder, self.space.scale, self.text)

    def save(self, folder: Path) -> None:
        """Write `model.safetensors`, `config.json`, and diffusers' own configuration of the network.

        Weights that are those of a given pipeline, as most are after a training of adapters, are left out.
        """
        folder.mkdir(parents=True, exist_ok=True)
        given = given_state(self.config)
        changed = {n: t for n, t in self.state().items() if n not in given or not torch.equal(t, given[n].cpu())}
        save_file(changed, folder / "model.safetensors")
        stored = {"class": type(self.config).__name__, **asdict(self.config)}
        (folder / "config.json").write_text(json.dumps(stored, indent=1, sort_keys=True))
        save_config(self.network, folder / "network")


def _count(_network: nn.Module, _arguments: Any, output: tuple[Tensor, ...]) -> None:
    """After each pass of a network, whoever calls it."""
    meter(output[0])


CONFIGURATIONS: Mapping[str, type[Network]] = {kind.__name__: kind for kind in (Network, LatentNetwork, GivenNetwork)}
"""The classes of configurations by the name that a saved model has."""


def load(folder: Path) -> Model:
    """The frozen model in a folder that `Model.save` wrote. Raises DamagedFile where it cannot be read."""
    try:
        stored = json.loads((folder / "config.json").read_text())
        kind = CONFIGURATIONS[stored.pop("class", "Network")]
        fields: Any = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
        config = kind(**fields)
        return Model(config).load_state({**given_state(config), **load_file(folder / "model.safetensors")}).frozen()
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as cause:
        cure = "Remove it with `solidmark store verify`; it is then trained anew."
        raise DamagedFile(str(folder), f"{type(cause).__name__}: {cause}", "a saved model", cure) from cause


def build(config: Network, rng: torch.Generator) -> Model:
    """A new model with weights drawn from `rng` alone. The global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        return Model(config)
