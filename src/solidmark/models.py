"""The model handle: any denoiser with its conditioning and schedule, and every evaluation of it counted.

This module alone knows diffusers and the [-1, 1] scale that networks work in. Images enter by `encode`
and leave by `decode`, both in [0, 1].
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from .data import Told, says_something
from .errors import DamagedFile, InvalidValue, NotApplicable, UnknownName

START, WORD, END, PADDING = range(4)
"""What `Model.roles` tells of each token."""


@dataclass(frozen=True)
class Network:
    """The configuration of a pixel-space denoiser; everything that is built follows from it.

    `kind` is what it is conditioned on: `text` (captions through a text encoder and cross-attention), `label` (each
    caption is one of `classes`, added to the time embedding) or `none`.
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


@dataclass
class Evaluations:
    """Denoiser evaluations, counted a sample: one for each image that passes forward or backward."""

    forward: int = 0
    backward: int = 0

    def since(self, earlier: Evaluations) -> Evaluations:
        """What has been added since `earlier`."""
        return Evaluations(self.forward - earlier.forward, self.backward - earlier.backward)

    def copy(self) -> Evaluations:
        """The counts now."""
        return Evaluations(self.forward, self.backward)


class Schedule:
    """A variance-preserving noise schedule: x_t = alpha(t) x + sigma(t) n, t in 0 … steps - 1."""

    def __init__(self, betas: str, steps: int) -> None:
        from diffusers import DDPMScheduler

        self.steps = steps
        self._signal: Tensor = DDPMScheduler(num_train_timesteps=steps, beta_schedule=betas).alphas_cumprod

    def alpha(self, t: int | Tensor) -> Tensor:
        """Share of the signal, (B, 1, 1, 1), or (1, 1, 1, 1) for one t."""
        return self._at(t).sqrt()

    def sigma(self, t: int | Tensor) -> Tensor:
        """Share of the noise, shaped as `alpha`."""
        return (1 - self._at(t)).sqrt()

    def add_noise(self, clean: Tensor, noise: Tensor, t: int | Tensor) -> Tensor:
        """alpha(t) x + sigma(t) n."""
        return self.alpha(t) * clean + self.sigma(t) * noise

    def times(self, steps: int) -> list[int]:
        """`steps` timesteps from high noise to low, evenly spaced, the last one 0."""
        if not 1 <= steps <= self.steps:
            raise InvalidValue("Schedule.times", f"steps={steps}", f"1 to {self.steps}", "Ask for as many or fewer.")
        return [step * self.steps // steps for step in reversed(range(steps))]

    def step(self, x: Tensor, noise_prediction: Tensor, t: int, to: int, eta: float, noise: Tensor) -> tuple[Tensor, Tensor]:
        """One step of DDIM (arXiv 2010.02502) from t to the lower `to`, -1 for the clean image: (x_to, predicted x0).

        eta = 0 is deterministic; eta = 1 over all timesteps is DDPM's ancestral step (arXiv 2006.11239).
        """
        clean = (x - self.sigma(t) * noise_prediction) / self.alpha(t)
        if to < 0:
            return clean, clean
        now, then = self._at(t), self._at(to)
        spread = eta * ((1 - then) / (1 - now) * (1 - now / then)).sqrt()
        direction = (1 - then - spread.square()).clamp(min=0).sqrt()
        return then.sqrt() * clean + direction * noise_prediction + spread * noise, clean

    def back(self, x: Tensor, t: int, to: int, noise: Tensor) -> Tensor:
        """x_t noised further, to the higher level `to`: the way back of RePaint (arXiv 2201.09865)."""
        kept = self._at(to) / self._at(t)
        return kept.sqrt() * x + (1 - kept).sqrt() * noise

    def to(self, device: torch.device) -> None:
        """Move the table, so that no step waits for a copy."""
        self._signal = self._signal.to(device)

    def _at(self, t: int | Tensor) -> Tensor:
        return self._signal[t].reshape(-1, 1, 1, 1)


@dataclass(frozen=True)
class Prediction:
    """What the denoiser says of x_t, in the network's parametrisation and in the two usual ones."""

    output: Tensor
    x: Tensor
    alpha: Tensor
    sigma: Tensor
    kind: str

    @property
    def noise(self) -> Tensor:
        """As the noise epsilon."""
        if self.kind == "v_prediction":
            return self.alpha * self.output + self.sigma * self.x
        return self.output if self.kind == "epsilon" else (self.x - self.alpha * self.output) / self.sigma

    @property
    def clean(self) -> Tensor:
        """As the clean image x0."""
        if self.kind == "v_prediction":
            return self.alpha * self.x - self.sigma * self.output
        return self.output if self.kind == "sample" else (self.x - self.sigma * self.output) / self.alpha

    def losses(self, clean: Tensor, noise: Tensor) -> Tensor:
        """Squared error, (B, C, H, W), in the network's own parametrisation."""
        targets = {"v_prediction": self.alpha * noise - self.sigma * clean, "epsilon": noise, "sample": clean}
        return (self.output - targets[self.kind]).square()


class Text(nn.Module):
    """A small text encoder trained with the denoiser: tokens, positions, one or more pre-norm Transformer layers.

    Words are whole tokens. Class names and `w0` … `w499` have tokens of their own; any other word hashes
    into the latter, so that every caption has an embedding.
    """

    FIRST = 3  # 0 padding, 1 start, 2 end

    def __init__(self, config: Network) -> None:
        super().__init__()
        names = [*config.classes, *(f"w{number}" for number in range(config.words))]
        self._tokens = {name: self.FIRST + place for place, name in enumerate(names)}
        self._hashed = (self.FIRST + len(config.classes), config.words)
        self.context = config.context
        self.words = nn.Embedding(self.FIRST + len(names), config.text_width)
        self.places = nn.Parameter(0.02 * torch.randn(config.context, config.text_width))
        layer = nn.TransformerEncoderLayer(
            config.text_width, 4, 2 * config.text_width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, config.text_layers, enable_nested_tensor=False)

    def token(self, word: str) -> int:
        """The token of a word."""
        first, count = self._hashed
        return self._tokens.get(word, first + crc32(word.encode()) % max(count, 1))

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, L): start, the words that fit, end, padding."""
        rows = [[1, *(self.token(word) for word in caption.split()[: self.context - 2]), 2] for caption in captions]
        return torch.tensor([row + [0] * (self.context - len(row)) for row in rows]).reshape(-1, self.context)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, L): START, WORD, END or PADDING for each token."""
        tokens = self.tokens(captions)
        return torch.full_like(tokens, WORD).where(tokens > 2, torch.tensor([PADDING, START, END])[tokens.clamp(max=2)])

    def forward(self, captions: Sequence[str]) -> Tensor:
        """(B, L, D) embeddings; the empty caption is the null condition, all zeros."""
        embeddings: Tensor = self.layers(self.words(self.tokens(captions).to(self.places.device)) + self.places)
        given = torch.tensor([says_something(caption) for caption in captions], device=embeddings.device)
        return embeddings * given[:, None, None]


@dataclass(frozen=True)
class Layer:
    """A cross-attention layer: its name, place in the network, heads and number of image places."""

    name: str
    place: str
    heads: int
    size: int


class Attention:
    """Given to `Model.predict`: sees and changes every cross-attention of that one call. The identity by default."""

    def logits(self, layer: Layer, logits: Tensor) -> Tensor:
        """(B, heads, places, tokens), before the softmax."""
        return logits

    def probabilities(self, layer: Layer, probabilities: Tensor) -> Tensor:
        """The same, after it."""
        return probabilities

    def values(self, layer: Layer, values: Tensor) -> Tensor:
        """(B, tokens, heads x width): the output of to_v."""
        return values


class _Watched:
    """A diffusers attention processor that writes the softmax out, so that `Attention` can act inside it."""

    def __init__(self, name: str, attention: Attention) -> None:
        self.name, self.attention = name, attention

    def __call__(
        self, module: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any
    ) -> Tensor:
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        batch, places, _width = hidden_states.shape
        layer = Layer(self.name, self.name.split("_")[0], module.heads, places)
        query, key = module.to_q(hidden_states), module.to_k(text)
        value = self.attention.values(layer, module.to_v(text))
        query, key, value = (part.unflatten(-1, (module.heads, -1)).transpose(1, 2) for part in (query, key, value))
        logits = self.attention.logits(layer, query @ key.transpose(-1, -2) * module.scale)
        mixed = self.attention.probabilities(layer, logits.softmax(dim=-1)) @ value
        out: Tensor = module.to_out[1](module.to_out[0](mixed.transpose(1, 2).reshape(batch, places, -1)))
        return out / module.rescale_output_factor


class Labels(nn.Module):
    """One vector for each class name, of the width of the time embedding; an unknown name hashes to one of them."""

    def __init__(self, config: Network) -> None:
        super().__init__()
        self._places = {name: place for place, name in enumerate(config.classes)}
        self.vectors = nn.Embedding(len(config.classes), 4 * config.widths[0])

    def tokens(self, captions: Sequence[str]) -> Tensor:
        """(B, 1) places of the first word that is a class name, by hash where there is none."""
        count = len(self._places)
        rows = []
        for caption in captions:
            known = [self._places[word] for word in caption.split() if word in self._places]
            rows.append([known[0] if known else crc32(caption.encode()) % count])
        return torch.tensor(rows).reshape(-1, 1)

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, 1): a label is one word."""
        return torch.full((len(captions), 1), WORD)

    def forward(self, captions: Sequence[str]) -> Tensor:
        """(B, D) vectors; the empty caption is the null condition, all zeros."""
        vectors: Tensor = self.vectors(self.tokens(captions).to(self.vectors.weight.device))[:, 0]
        given = torch.tensor([says_something(caption) for caption in captions], device=vectors.device)
        return vectors * given[:, None]


class Nothing(nn.Module):
    """The conditioning of an unconditional model: none."""

    def __init__(self, config: Network) -> None:
        super().__init__()

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, 0): no tokens."""
        return torch.zeros(len(captions), 0, dtype=torch.long)

    def forward(self, captions: Sequence[str]) -> Tensor:
        """(B, 0): whatever the captions say."""
        return torch.zeros(len(captions), 0)


CONDITIONINGS: Mapping[str, type[nn.Module]] = {"text": Text, "label": Labels, "none": Nothing}


def _network(config: Network) -> nn.Module:
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


class Model:
    """Handle of a denoiser in pixel space, conditioned on text, labels or nothing; a latent one keeps its methods.

    `shape` is that of x without the batch, in the space the denoiser works in; `cross_attention` is empty
    where the network has none; `vae` is None in pixel space. After a training `told` is what its parts told, by family.
    """

    vae: nn.Module | None = None

    def __init__(self, config: Network) -> None:
        if config.kind not in CONDITIONINGS:
            raise UnknownName.among("Network.kind", config.kind, CONDITIONINGS)
        self.config = config
        self.network = _network(config)
        self.text = CONDITIONINGS[config.kind](config)
        self.schedule = Schedule(config.betas, config.schedule_steps)
        self.shape: tuple[int, ...] = (config.channels, config.size, config.size)
        self.evaluations = Evaluations()
        self.told: dict[str, dict[str, Told]] = {}

    @property
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """The modules in which the image looks at the caption, by name."""
        return {name: module for name, module in self.network.named_modules() if name.endswith("attn2")}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    def to(self, device: torch.device | str) -> Model:
        """The same handle, its weights moved."""
        self.network.to(device)
        self.text.to(device)
        self.schedule.to(torch.device(device))
        return self

    def parameters(self) -> list[nn.Parameter]:
        """All weights: the network's, then the text encoder's."""
        return [*self.network.parameters(), *self.text.parameters()]

    def frozen(self) -> Model:
        """The same handle, in evaluation mode and with `requires_grad` off."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.network.eval()
        self.text.eval()
        return self

    def copy(self) -> Model:
        """An independent copy that can be trained; its evaluations start at zero."""
        twin = copy.deepcopy(self)
        twin.evaluations, twin.told = Evaluations(), {}
        for parameter in twin.parameters():
            parameter.requires_grad_(True)
        return twin

    def embed(self, captions: Sequence[str]) -> Tensor:
        """(B, L, D) caption embeddings; the empty caption is the null condition."""
        embeddings: Tensor = self.text(captions)
        return embeddings

    def roles(self, captions: Sequence[str]) -> Tensor:
        """(B, L): START, WORD, END or PADDING for each token; (B, 1) for labels, (B, 0) without conditions."""
        roles: Tensor = self.text.roles(captions)
        return roles

    def predict(
        self,
        x: Tensor,
        t: int | Tensor,
        embeddings: Tensor,
        *,
        attention: Attention | None = None,
        extra: Tensor | None = None,
    ) -> Prediction:
        """One counted evaluation a sample: x (B, C, H, W) at time t, which is one number or (B,).

        `extra` is (B, E, H, W) for a network with extra channels; left out, it is zeros: nothing is told.
        Raises NotApplicable for `attention` on a network without cross-attention, and under
        `torch.func.vmap`, where a whole batch would be counted as one.
        """
        if torch._C._functorch.is_batchedtensor(x):
            found, cure = "a call under torch.func.vmap", "Use `run.gradients` for per-image gradients."
            raise NotApplicable("Model.predict", found, "a plain batch", cure)
        with self._watched(attention):
            output = self._denoise(self._with_extra(x, extra), t, embeddings)
        self.evaluations.forward += len(x)
        if output.requires_grad:
            output.register_hook(self._count_backward)
        return Prediction(output, x, self.schedule.alpha(t), self.schedule.sigma(t), self.config.prediction)

    def _with_extra(self, x: Tensor, extra: Tensor | None) -> Tensor:
        if not self.config.extra_channels and extra is None:
            return x
        told = x.new_zeros(len(x), self.config.extra_channels, *x.shape[2:]) if extra is None else extra
        return torch.cat([x, told], dim=1)

    def _denoise(self, x: Tensor, t: int | Tensor, embeddings: Tensor) -> Tensor:
        cells = F.pixel_unshuffle(x, self.config.patch)
        conditions = {"text": {"encoder_hidden_states": embeddings}, "label": {"class_labels": embeddings}}
        output = self.network(cells, t, **conditions.get(self.config.kind, {}), return_dict=False)[0]
        return F.pixel_shuffle(output, self.config.patch)

    def _count_backward(self, gradient: Tensor) -> None:
        self.evaluations.backward += len(gradient)

    @contextmanager
    def _watched(self, attention: Attention | None) -> Iterator[None]:
        if attention is None:
            yield
            return
        modules: Mapping[str, Any] = self.cross_attention
        if not modules:
            cure = "Choose a testbed with captions."
            raise NotApplicable("Model.predict", "a network without cross-attention", "one that has it", cure)
        before = {name: module.processor for name, module in modules.items()}
        try:
            for name, module in modules.items():
                module.processor = _Watched(name, attention)
            yield
        finally:
            for name, module in modules.items():
                module.processor = before[name]

    def trajectory(
        self, embeddings: Tensor, noise: Tensor, times: Sequence[int], guidance: float = 1.0
    ) -> Iterator[tuple[Tensor, int, Prediction]]:
        """Plain deterministic sampling (eta 0), step by step: (x_t, t, prediction). Stop when you like."""
        x, null = noise, self.embed([""] * len(noise))
        for t, to in zip(times, [*times[1:], -1], strict=True):
            prediction = self.predict(x, t, embeddings)
            yield x, t, prediction
            guided = prediction.noise
            if guidance != 1:
                unconditional = self.predict(x, t, null).noise
                guided = unconditional + guidance * (guided - unconditional)
            x, _ = self.schedule.step(x, guided, t, to, 0.0, noise)

    def encode(self, images: Tensor) -> Tensor:
        """[0, 1] images to the space of x."""
        return images.to(self.device) * 2 - 1

    def decode(self, x: Tensor) -> Tensor:
        """And back, clamped to [0, 1]."""
        return ((x + 1) / 2).clamp(0, 1)

    def state(self) -> dict[str, Tensor]:
        """All weights by name, ready for safetensors."""
        parts = {"network": self.network, "text": self.text}
        return {
            f"{part}.{name}": tensor.detach().cpu().contiguous()
            for part, module in parts.items()
            for name, tensor in module.state_dict().items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> Model:
        """Load all weights; a name too many or too few raises RuntimeError."""
        for part, module in (("network", self.network), ("text", self.text)):
            module.load_state_dict({k.removeprefix(f"{part}."): v for k, v in state.items() if k.startswith(f"{part}.")})
        return self

    def save(self, folder: Path) -> None:
        """Write `model.safetensors`, `config.json`, and diffusers' own configuration of the network."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.state(), folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(asdict(self.config), indent=1, sort_keys=True))
        self.network.save_config(folder / "network")


def load(folder: Path) -> Model:
    """The model in a folder that `Model.save` wrote, frozen. Raises DamagedFile when it cannot be read."""
    try:
        fields = json.loads((folder / "config.json").read_text())
        config = Network(**{name: tuple(v) if isinstance(v, list) else v for name, v in fields.items()})
        return Model(config).load_state(load_file(folder / "model.safetensors")).frozen()
    except (OSError, ValueError, TypeError, RuntimeError, SafetensorError) as cause:
        cure = "Remove it with `solidmark store verify`; it is trained anew."
        raise DamagedFile(str(folder), f"{type(cause).__name__}: {cause}", "a saved model", cure) from cause


def build(config: Network, rng: torch.Generator) -> Model:
    """A new model with weights drawn from `rng` alone; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**62, (), generator=rng)))
        return Model(config)
