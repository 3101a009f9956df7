"""How a pipeline is called for a batch of captions, and how the images that come back are read."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import InvalidValue, NotApplicable, PluginFault, SolidmarkError, cure_of, has_own_lines, said
from ..timeouts import is_fault
from .age import stock_class
from .counting import modules

Call = Callable[..., Any]
"""call(pipe, captions, **options): options are those of `options` that it has parameters for. It gives images."""

ANY = "**"
"""The name of parameters that no signature tells."""

IMAGES = ("image", "images", "mask_image", "control_image", "input_images", "video")
"""Arguments that a pipeline may need although they have the default None."""

MORE_IMAGES = re.compile(r"list of generators of length (\d+), but requested an effective batch size of (\d+)")
"""What diffusers says where each prompt shall give several images: generators are given one an image."""

SLACK = 1e-3
"""How far outside [0, 1] a number of an image may lie, by rounding in half precision, before it is clamped."""


@dataclass(frozen=True)
class Shown:
    """What a call showed: images (B, C, H, W) in [0, 1], and which of them a safety checker withheld, (B,) booleans."""

    images: Tensor
    refused: Tensor


def options(
    images: Tensor, generators: Sequence[torch.Generator], steps: int | None, guidance: float | None
) -> dict[str, Any]:
    """What a call may be given: one generator an image, the size, arrays as output, and steps and guidance where chosen."""
    height, width = images.shape[-2:]
    chosen = {"num_inference_steps": steps, "guidance_scale": guidance}
    return {
        "generator": list(generators),
        "height": height,
        "width": width,
        "output_type": "np",
        **{name: value for name, value in chosen.items() if value is not None},
    }


def plain(pipe: Any, captions: Sequence[str] | None, **options: Any) -> Any:
    """The default call: `pipe(captions, ...)`, or `pipe(batch_size=...)` of a pipeline without captions."""
    parameters = _parameters(type(pipe))
    check_callable(pipe, captions, parameters, {"self", "prompt", "batch_size", *options})
    words: dict[str, Any] = {"prompt": list(captions)} if captions is not None else {}
    if captions is None and "batch_size" in parameters:
        words = {"batch_size": len(options["generator"])}
    return pipe(**words, **{name: value for name, value in options.items() if name in parameters or ANY in parameters})


def takes_prompts(pipe: Any) -> bool:
    """Whether a pipeline is asked by captions; a function is asked by whatever there is."""
    return hasattr(pipe, "scheduler") and "prompt" in _parameters(type(pipe))


def _parameters(kind: type) -> dict[str, inspect.Parameter]:
    """The parameters of a pipeline's call by name; those that it passes on (`**named`) are those of its stock class.

    ANY is among them where nobody knows which they are.
    """
    found = dict(inspect.signature(kind.__call__).parameters)
    passed_on = [name for name, one in found.items() if one.kind is one.VAR_KEYWORD]
    if not passed_on:
        return found
    stock = stock_class(kind)
    if stock in (kind, object):
        return {**found, ANY: found[passed_on[0]]}
    return {**_parameters(stock), **found}


def asked(pipe: Any, call: Call | None, captions: Sequence[str] | None, options: dict[str, Any]) -> Any:
    """What the call gives.

    Raises PluginFault with the stranger's own line where his code fails, NotApplicable where no code of his can be asked.
    """
    where = f"inside {type(pipe).__name__}.__call__" if call is None else f"inside the call {name_of(call)}"
    with strangers_code(where):
        try:
            if call is None:
                return plain(pipe, captions, **options)
            return call(pipe, None if captions is None else list(captions), **_accepted(call, options))
        except Exception as cause:
            refused = _refusal(pipe, call, cause)
            if refused is None:
                raise
            raise refused from cause


def _refusal(pipe: Any, call: Call | None, cause: Exception) -> NotApplicable | None:
    """What a failed call says of a pipeline that cannot be asked so; None where it is a fault of the stranger's own."""
    who = f"{type(pipe).__name__}.__call__" if call is None else name_of(call)
    if more := MORE_IMAGES.search(str(cause)):
        found = f"{more[1]} prompts for {more[2]} images"
        return NotApplicable(who, found, "as many images as prompts", "Set num_images_per_prompt=1.")
    if isinstance(cause, AttributeError) and (lacking := lacks(getattr(pipe, "scheduler", None), cause)) is not None:
        return lacking
    wanted = [
        name
        for name in IMAGES
        if call is None and name in (known := _parameters(type(pipe))) and known[name].default is None
    ]
    if wanted and not has_own_lines(cause):
        cure = "Ask the text-to-image pipeline of the same parts, or give a `call` that hands out text alone."
        found = f"a pipeline that is given no {' and no '.join(wanted)} ({said(cause)})"
        return NotApplicable(who, found, "one that makes an image of a prompt alone", cure)
    return None


def lacks(scheduler: Any, cause: AttributeError) -> NotApplicable | None:
    """What a pipeline reads of its scheduler, where the fault is that there is no such thing; None for another fault."""
    if cause.obj is None or all(cause.obj is not one for one in (scheduler, getattr(scheduler, "config", None))):
        return None
    cure = "Choose a scheduler that is made for this pipeline."
    return NotApplicable(type(scheduler).__name__, f"no {cause.name}", "what the pipeline reads of its scheduler", cure)


@contextmanager
def strangers_code(where: str) -> Iterator[None]:
    """Inside, what a stranger's code raises becomes a PluginFault with its line; errors of ours pass through.

    Warnings of libraries are no errors, whatever the run says of its own, and those of age are not shown.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            for age in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", age)
            yield
    except SolidmarkError:
        raise
    except BaseException as cause:  # published files even call sys.exit
        if not is_fault(cause):
            raise
        raise PluginFault(where, said(cause), "a model that answers", cure_of(cause)) from cause


def check_callable(pipe: Any, captions: Sequence[str] | None, parameters: Any, given: set[str]) -> None:
    """Raise NotApplicable where the default call cannot ask: it needs more than is `given`, or understands no captions."""
    who = f"{type(pipe).__name__}.__call__"
    takes_prompt = "prompt" in parameters
    needed = [
        name
        for name, one in parameters.items()
        if one.default is one.empty and one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD) and name not in given
    ]
    if needed:
        cure = "Give a `call` that passes them; pipelines that repaint or enlarge a given image cannot be asked."
        raise NotApplicable(who, f"required arguments {', '.join(needed)}", "a prompt alone", cure)
    if captions is not None and not takes_prompt:
        cure = "Ask with captions=None, or give a `call` that turns them into what it takes."
        raise NotApplicable(who, "captions for a pipeline that takes no prompt", "no captions", cure)
    if captions is None and takes_prompt:
        cure = "Give one caption an image; an empty one asks without words."
        raise InvalidValue(who, "captions=None for a pipeline that takes prompts", "captions", cure)
    encoders = [name for name in vars(pipe) if name.startswith("text_encoder")]
    if captions is not None and encoders and not any(name.startswith("text_encoder") for name in modules(pipe)):
        cure = "Load it, or give a `call` that passes `prompt_embeds`."
        raise NotApplicable(who, "captions for a pipeline whose text encoder is None", "a text encoder", cure)


def read_shown(result: Any, images: Tensor, where: str) -> Shown:
    """Images and refusals of what a call gave: an output object, a tuple, arrays, tensors or PIL images.

    `images` are those asked for. Raises NotApplicable for another number or size, PluginFault for what is no image.
    """
    flagged = getattr(result, "nsfw_content_detected", None)
    if isinstance(result, tuple) and not hasattr(result, "images"):
        first = result[0]
        if flagged is None:
            flagged = getattr(first, "nsfw_content_detected", None)
        if flagged is None and len(result) > 1 and _are_flags(result[1], len(images)):
            flagged = result[1]
        result = first
    shown = _pixels(getattr(result, "images", result), where)
    if len(shown) != len(images):
        found = f"{len(images)} prompts gave {len(shown)} images"
        raise NotApplicable(where, found, "as many images as prompts", "Set num_images_per_prompt=1.")
    if shown.shape != images.shape:
        found, expected = f"images of {tuple(shown.shape[1:])}", f"{tuple(images.shape[1:])}, as the marked ones"
        raise NotApplicable(where, found, expected, "Pass `height` and `width` on, and ask with as many channels.")
    low, high = float(shown.min()), float(shown.max())
    if not (low >= -SLACK and high <= 1 + SLACK):  # also true for NaN
        found = f"numbers from {low:.3g} to {high:.3g}"
        raise PluginFault(where, found, "finite numbers in [0, 1]", "Return output_type='np', or PIL images.")
    refused = [False] * len(images) if flagged is None else [bool(one) for one in flagged]
    if len(refused) != len(images):
        raise PluginFault(where, f"{len(refused)} flags", f"{len(images)}, one an image", "Flag each image.")
    return Shown(shown.clamp(0, 1), torch.tensor(refused))


def name_of(call: Call) -> str:
    """The name of a function, or its class's."""
    return str(getattr(call, "__name__", type(call).__name__))


def _accepted(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    """Those of the options that a call has parameters for."""
    parameters = inspect.signature(call).parameters.values()
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return given
    names = {one.name for one in parameters}
    return {name: value for name, value in given.items() if name in names}


def _are_flags(value: Any, count: int) -> bool:
    return isinstance(value, list | tuple) and len(value) == count and all(isinstance(one, bool | np.bool_) for one in value)


def _pixels(images: Any, where: str) -> Tensor:
    """(B, C, H, W) in [0, 1] of a tensor, an array (B, H, W, C), or a list of such or of PIL images."""
    if isinstance(images, Tensor):
        return images.detach().float().cpu()
    if isinstance(images, list | tuple) and images:
        if all(isinstance(one, Tensor) for one in images):
            return torch.stack([one.detach().float().cpu() for one in images])
        images = np.stack([_array(one) for one in images])
    if not isinstance(images, np.ndarray) or images.ndim != 4:
        found = f"{type(images).__name__} of shape {getattr(images, 'shape', None)}"
        raise PluginFault(where, found, "images (B, H, W, C)", "Return what the pipeline returns.")
    return torch.from_numpy(np.ascontiguousarray(images)).float().permute(0, 3, 1, 2)


def _array(image: Any) -> np.ndarray[Any, np.dtype[Any]]:
    """(H, W, C) of an array or a PIL image, whose bytes are 0 to 255."""
    array = np.asarray(image)
    array = array / 255 if array.dtype == np.uint8 else array
    return array[:, :, None] if array.ndim == 2 else array
