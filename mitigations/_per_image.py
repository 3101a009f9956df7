"""Per-image gradients of a training's losses, exact, many images at a time."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from solidmark.errors import PluginFault
from solidmark.mitigation.run import Run
from solidmark.models import Batch

from ._extras import extra


def per_image(run: Run, indices: Tensor, draws: int = 1) -> list[Tensor]:
    """Gradients of the outermost link's losses, (B, *shape) a parameter, mean of `draws` timesteps and noises an image.

    What `run.gradients` gives by a loop, here at three to four times the cost of a plain step: the network's by the hooks
    of Opacus, one outer product a layer; the text encoder's, whose attention those hooks do not see, from the gradients
    of the embeddings, which are known for each image, by one vectorised backward pass. Their sum over images is held
    against the gradient of the whole batch. Raises PluginFault where they differ: a weight acts past its module.
    """
    batch = run.batch(indices.repeat_interleave(draws))
    cut = replace(batch, embeddings=batch.embeddings.detach().requires_grad_())
    inside = {id(parameter) for parameter in run.model.network.parameters()}
    network = [parameter for parameter in run.parameters() if id(parameter) in inside]
    encoder = [parameter for parameter in run.parameters() if id(parameter) not in inside]
    rows, whole, spread = _hooked(run, cut, network, encoder)
    _check(rows, whole)
    rows += _encoded(batch.embeddings, spread, encoder)
    return [row.unflatten(0, (len(indices), draws)).mean(dim=1) for row in rows]


def _hooked(
    run: Run, batch: Batch, network: list[nn.Parameter], encoder: list[nn.Parameter]
) -> tuple[list[Tensor], list[Tensor | None], Tensor]:
    """Rows of the network's parameters, the whole batch's gradients of all, and those of the embeddings, row by row."""
    convolutions = [module for module in run.model.network.modules() if isinstance(module, nn.Conv2d)]
    hooks = extra("opacus", "dp").GradSampleModule(run.model.network, loss_reduction="sum")
    ordered = [module.register_forward_pre_hook(_contiguous) for module in convolutions]
    try:
        losses = run.outer.losses(batch, run.outer.times(batch))
        with warnings.catch_warnings():
            # the first layers have inputs that need no gradient; their outputs' gradients are what is wanted
            warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
            every = torch.autograd.grad(losses.sum(), [batch.embeddings, *network, *encoder], allow_unused=True)
        rows = _rows([getattr(parameter, "grad_sample", None) for parameter in network], network, len(losses))
    finally:
        hooks.to_standard_module()
        for hook in ordered:
            hook.remove()
    spread: Tensor | None = every[0]
    return rows, list(every[1:]), torch.zeros_like(batch.embeddings) if spread is None else spread


def _rows(found: Sequence[Tensor | None], parameters: list[nn.Parameter], count: int) -> list[Tensor]:
    """(count, *shape) a parameter: what was found, zeros where it took no part."""
    return [
        parameter.new_zeros(count, *parameter.shape) if row is None else row
        for row, parameter in zip(found, parameters, strict=True)
    ]


def _contiguous(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Opacus 1.6 reads an input of a convolution by strides that only contiguous ones have, and is silently wrong else."""
    return tuple(tensor.contiguous() for tensor in inputs)


def _encoded(embeddings: Tensor, spread: Tensor, encoder: list[nn.Parameter]) -> list[Tensor]:
    """Rows of the text encoder's parameters: each image's gradient of its own embeddings alone, sent back."""
    if not encoder or not embeddings.requires_grad:
        return _rows([None] * len(encoder), encoder, len(embeddings))
    places = torch.arange(len(embeddings), device=embeddings.device)
    apart = spread.new_zeros(len(embeddings), *spread.shape)
    apart[places, places] = spread
    rows = torch.autograd.grad(embeddings, encoder, apart, is_grads_batched=True, allow_unused=True)
    return _rows(rows, encoder, len(embeddings))


def _check(rows: list[Tensor], whole: list[Tensor | None]) -> None:
    for place, gradient in enumerate(whole):
        summed = rows[place].sum(dim=0) if place < len(rows) else torch.zeros(())
        given = torch.zeros_like(summed) if gradient is None else gradient
        apart = float((summed - given).norm())
        if apart > 1e-3 * float(given.norm()) + 1e-6:
            expected = "per-image gradients that sum to the batch's"
            cure = "Leave out the link that calls the text encoder or weights of the network by itself."
            raise PluginFault("per-image gradients", f"parameter {place} apart by {apart:.1e}", expected, cure)
