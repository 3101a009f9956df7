"""Per-image gradients of a training's losses, exact, many images at a time."""

import warnings
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from solidmark.api import Batch, PluginFault, Run

from ._extras import import_extra


def per_image_gradients(run: Run, indices: Tensor, draws: int = 1) -> list[Tensor]:
    """Gradients of the outermost trainer's losses, (B, *shape) a parameter, means of `draws` timesteps and noises an image.

    They equal those of `run.gradients`, which loops, at three to four times the cost of a plain step. The network's
    gradients come from the hooks of Opacus, one outer product a layer. Those hooks do not see the attention of the text
    encoder. Its gradients follow from those of the embeddings, which are known for each image, by one vectorised backward
    pass. Their sum over images is compared with the gradient of the whole batch. Raises PluginFault where they differ: a
    weight then acts outside its module.
    """
    batch = run.batch(indices.repeat_interleave(draws))
    cut = replace(batch, embeddings=batch.embeddings.detach().requires_grad_())
    inside = {id(parameter) for parameter in run.model.network.parameters()}
    network = [parameter for parameter in run.parameters() if id(parameter) in inside]
    encoder = [parameter for parameter in run.parameters() if id(parameter) not in inside]
    rows, whole, at_embeddings = _network_rows(run, cut, network, encoder)
    _check(rows, whole)
    rows += _encoder_rows(batch.embeddings, at_embeddings, encoder)
    return [row.unflatten(0, (len(indices), draws)).mean(dim=1) for row in rows]


def _network_rows(
    run: Run, batch: Batch, network: list[nn.Parameter], encoder: list[nn.Parameter]
) -> tuple[list[Tensor], list[Tensor | None], Tensor]:
    """Rows of the network's parameters, the whole batch's gradients of all parameters, and those of the embeddings."""
    convolutions = [module for module in run.model.network.modules() if isinstance(module, nn.Conv2d)]
    hooks = import_extra("opacus", "dp").GradSampleModule(run.model.network, loss_reduction="sum")
    ordered = [module.register_forward_pre_hook(_contiguous) for module in convolutions]
    try:
        losses = run.outer.losses(batch, run.outer.times(batch))
        with warnings.catch_warnings():
            # the inputs of the first layers need no gradient; the gradients of their outputs are needed
            warnings.filterwarnings("ignore", "Full backward hook is firing", UserWarning)
            every = torch.autograd.grad(losses.sum(), [batch.embeddings, *network, *encoder], allow_unused=True)
        rows = _rows([getattr(parameter, "grad_sample", None) for parameter in network], network, len(losses))
    finally:
        hooks.to_standard_module()
        for hook in ordered:
            hook.remove()
    at_embeddings: Tensor | None = every[0]
    return rows, list(every[1:]), torch.zeros_like(batch.embeddings) if at_embeddings is None else at_embeddings


def _rows(gradients: Sequence[Tensor | None], parameters: list[nn.Parameter], count: int) -> list[Tensor]:
    """The gradients, (count, *shape) a parameter, zeros for a parameter that took no part."""
    return [
        parameter.new_zeros(count, *parameter.shape) if row is None else row
        for row, parameter in zip(gradients, parameters, strict=True)
    ]


def _contiguous(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Contiguous inputs. For a convolution of other inputs Opacus 1.6 is silently wrong."""
    return tuple(tensor.contiguous() for tensor in inputs)


def _encoder_rows(embeddings: Tensor, at_embeddings: Tensor, encoder: list[nn.Parameter]) -> list[Tensor]:
    """Rows of the text encoder's parameters, by a backward pass from the embeddings of each image alone."""
    if not encoder or not embeddings.requires_grad:
        return _rows([None] * len(encoder), encoder, len(embeddings))
    indices = torch.arange(len(embeddings), device=embeddings.device)
    separate = at_embeddings.new_zeros(len(embeddings), *at_embeddings.shape)
    separate[indices, indices] = at_embeddings
    rows = torch.autograd.grad(embeddings, encoder, separate, is_grads_batched=True, allow_unused=True)
    return _rows(rows, encoder, len(embeddings))


def _check(rows: list[Tensor], whole: list[Tensor | None]) -> None:
    """Raise PluginFault where the rows of a parameter do not sum to the gradient of the whole batch."""
    for index, gradient in enumerate(whole):
        summed = rows[index].sum(dim=0) if index < len(rows) else torch.zeros(())
        expected_sum = torch.zeros_like(summed) if gradient is None else gradient
        distance = float((summed - expected_sum).norm())
        if distance > 1e-3 * float(expected_sum.norm()) + 1e-6:
            expected = "per-image gradients that sum to the batch's"
            cure = "Leave out the trainer that calls the text encoder or weights of the network by itself."
            raise PluginFault("per-image gradients", f"parameter {index} apart by {distance:.1e}", expected, cure)
