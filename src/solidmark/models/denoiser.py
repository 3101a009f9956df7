"""The abstract base of all denoisers: a network or a formula, with conditioning and schedule, each evaluation counted.

Images enter by `encode` and leave by `decode`, both in [0, 1]; in between they are in the denoiser's `space`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, ClassVar, Self
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import NotApplicable
from .attention import Attention
from .network import Network
from .parts import Parts
from .prediction import Evaluations, Prediction, meter, meter_work
from .schedule import Schedule

ReportedValue = float | int | str | bool | None
"""A value that a mitigation may report for the record; None where it is unknown."""


Recall = Callable[[Tensor, int | Tensor, Tensor], Tensor]
"""The output for x, (B, C, H, W), at time t, under embeddings."""

RECALLS: WeakKeyDictionary[Denoiser, Recall] = WeakKeyDictionary()
"""Models whose output is a closed formula (`memorizer.memorize`). It is noted here, so that nothing on a model tells."""


class Denoiser(ABC):
    """The abstract base of `Model`, which is trained, and of `Memorizer`, which is a closed formula.

    Queries, samplers and mitigations use this interface alone.
    A kind of denoiser implements `cross_attention`, `embed`, `roles` and `_output`. `predict` adds what is common: the
    checks, the count of evaluations, and the parametrisation.

    `shape` is that of x without the batch, in the `space` that the denoiser works in. `evaluations` counts every call.
    After a training, `reported` is what the mitigations reported, by family.
    """

    network_counts: ClassVar[bool] = False
    """Whether the network counts its own passes for `metered`, whoever calls it; else each `predict` does."""

    def __init__(self, config: Network, parts: Parts) -> None:
        self.config, self.network, self.text, self.space = config, parts.network, parts.text, parts.space
        self.schedule = Schedule(parts.schedule)
        side = config.size // self.space.factor
        self.shape: tuple[int, ...] = (config.x_channels, side, side)
        self.evaluations = Evaluations()
        self.reported: dict[str, dict[str, ReportedValue]] = {}

    @property
    @abstractmethod
    def cross_attention(self) -> Mapping[str, nn.Module]:
        """The modules in which the image attends to the caption, by name. Empty where there are none."""

    @abstractmethod
    def embed(self, captions: Sequence[str], *, padding: str | None = None) -> Tensor:
        """The embeddings of captions: (B, L, D), (B, D) for labels, (B, 0) without conditions. "" is the null condition.

        `padding` is a word whose token fills a caption up, in place of the usual padding.
        """

    @abstractmethod
    def roles(self, captions: Sequence[str]) -> Tensor:
        """START, WORD, END or PADDING for each token: (B, L), (B, 1) for labels, (B, 0) without conditions."""

    @abstractmethod
    def fits(self, caption: str) -> bool:
        """Whether the conditioning takes all words of a caption; of a longer one it takes the first."""

    @abstractmethod
    def _output(
        self, x: Tensor, t: int | Tensor, embeddings: Tensor, attention: Attention | None, extra: Tensor | None
    ) -> Tensor:
        """The output for x, (B, C, H, W), in the parametrisation `config.prediction`."""

    def predict(
        self,
        x: Tensor,
        t: int | Tensor,
        embeddings: Tensor,
        *,
        attention: Attention | None = None,
        extra: Tensor | None = None,
    ) -> Prediction:
        """The prediction for x, (B, C, H, W), at time t, one number or (B,). It counts one evaluation a sample.

        `extra` is (B, E, H, W) for a network with extra channels, zeros where it is left out. Raises NotApplicable for
        `attention` on a network without cross-attention, and under `torch.func.vmap`, where a whole batch would be
        counted as one.
        """
        if torch._C._functorch.is_batchedtensor(x):
            found, cure = "a call under torch.func.vmap", "Use `run.gradients` for per-image gradients."
            raise NotApplicable("Denoiser.predict", found, "a plain batch", cure)
        if attention is not None and not self.cross_attention:
            found, cure = "a network without cross-attention", "Choose a testbed whose model attends to captions."
            raise NotApplicable("Denoiser.predict", found, "one that has it", cure)
        recall = RECALLS.get(self)
        output = self._output(x, t, embeddings, attention, extra) if recall is None else recall(x, t, embeddings)
        if recall is not None or not self.network_counts:
            meter(output)
        self.evaluations.forward += len(x)
        if output.requires_grad:
            output.register_hook(self._count_backward)
        return Prediction(output, x, self.schedule.alpha(t), self.schedule.sigma(t), self.config.prediction)

    def _count_backward(self, gradient: Tensor) -> None:
        self.evaluations.backward += len(gradient)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return next(chain(self.network.parameters(), self.network.buffers())).device

    def to(self, device: torch.device | str) -> Self:
        """The same denoiser, its weights moved."""
        self.network.to(device)
        self.text.to(device)
        self.space.to(device)
        self.schedule.to(torch.device(device))
        return self

    def parameters(self) -> list[nn.Parameter]:
        """All weights that can be trained: those of the network, then those of the text encoder."""
        return [*self.network.parameters(), *([] if "text" in self.config.shared else self.text.parameters())]

    def frozen(self) -> Self:
        """The same denoiser, in evaluation mode and with `requires_grad` off."""
        for parameter in self.parameters():
            parameter.requires_grad_(False)
        self.network.eval()
        self.text.eval()
        return self

    def copy(self) -> Self:
        """An independent copy that can be trained. Its evaluations start at zero, and it has reported nothing."""
        never_trained = [self.space, *([self.text] if "text" in self.config.shared else [])]
        twin = copy.deepcopy(self, {id(part): part for part in never_trained})
        twin.evaluations, twin.reported = Evaluations(), {}
        for parameter in twin.parameters():
            parameter.requires_grad_(True)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = object.__new__(type(self))
        vars(twin).update(copy.deepcopy(vars(self), memo))
        if self in RECALLS:
            RECALLS[twin] = RECALLS[self]
        return twin

    def trajectory(
        self, embeddings: Tensor, noise: Tensor, times: Sequence[int], guidance: float = 1.0
    ) -> Iterator[tuple[Tensor, int, Prediction]]:
        """Plain deterministic sampling (eta 0), step by step: (x_t, t, prediction). It may be stopped at any step."""
        x, null = noise, self.embed([""] * len(noise))
        for t, to in zip(times, self.schedule.targets(list(times), len(times)), strict=True):
            prediction = self.predict(x, t, embeddings)
            yield x, t, prediction
            guided = prediction.noise
            if guidance != 1:
                unconditional = self.predict(x, t, null).noise
                guided = unconditional + guidance * (guided - unconditional)
            x, _ = self.schedule.step(x, guided, t, to, 0.0, noise)

    def encode(self, images: Tensor) -> Tensor:
        """Images in [0, 1], moved to the device and into the space of x."""
        before, x = self.space.encoded, self.space.encode(images.to(self.device))
        self.evaluations.encoded += self.space.encoded - before
        meter_work(encoded=self.space.encoded - before)
        return x

    def decode(self, x: Tensor) -> Tensor:
        """Images in [0, 1] from the space of x, clamped."""
        before, images = self.space.decoded, self.space.decode(x)
        self.evaluations.decoded += self.space.decoded - before
        meter_work(decoded=self.space.decoded - before)
        return images

    def cells(self, pixels: Tensor) -> Tensor:
        """(B, 1, h, w) booleans: the cells of x with one or more of these pixels, (B, 1, H, W) booleans."""
        return self.space.cells(pixels)

    def state(self) -> dict[str, Tensor]:
        """All weights by name, ready for safetensors; without those of parts that all models share."""
        parts = {"network": self.network.state_dict(), "text": self.text.state_dict(), "space": self.space.state()}
        return {
            f"{part}.{name}": tensor.detach().cpu().contiguous()
            for part, tensors in parts.items()
            if part not in self.config.shared
            for name, tensor in tensors.items()
        }

    def load_state(self, state: Mapping[str, Tensor]) -> Self:
        """The same denoiser with these weights. Raises RuntimeError for a name too many or too few."""
        for part, module in (("network", self.network), ("text", self.text)):
            if part not in self.config.shared:
                module.load_state_dict(_of(part, state))
        if space := _of("space", state):
            self.space.load_state(space)
        return self


def _of(part: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of one part, by the names that it gives them."""
    return {name.removeprefix(f"{part}."): tensor for name, tensor in state.items() if name.startswith(f"{part}.")}
