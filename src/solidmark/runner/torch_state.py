"""The state of torch that all rows of a process share: how each setting is read and set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from types import SimpleNamespace
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn, opt_einsum
from torch.utils import _device, _python_dispatch, deterministic

PRECISIONS = tuple(
    attrgetter(name)
    for name in ("cuda.matmul", "cudnn", "cudnn.conv", "cudnn.rnn", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
)
"""Parts of `torch.backends` that have an `fp32_precision`, as `torch.backends` itself has, since torch 2.9."""

REDUCTIONS = ("allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction", "allow_fp16_accumulation")
"""What `torch.backends.cuda.matmul` may round."""

KERNELS = ("flash", "mem_efficient", "math", "cudnn")
"""Kernels of attention."""

FILL = "fill_uninitialized_memory"

DEVICES = ("cpu", "cuda")

KEPT = SimpleNamespace(guards=[])
"""What must live so long as a setting shall last."""


def _told(get: Callable[[], object]) -> Callable[[], str]:
    """A getter that says `mixed` where torch refuses to answer, since its old and its new names were both used."""

    def ask() -> str:
        try:
            return str(get())
        except RuntimeError:
            return "mixed"

    return ask


def _backends() -> list[Any]:
    """The parts of torch that hold a precision of float32, the whole first; none before torch 2.9."""
    if not hasattr(torch.backends, "fp32_precision"):
        return []
    return [torch.backends, *(part(torch.backends) for part in PRECISIONS)]


def _set_precisions(precisions: tuple[str, ...]) -> None:
    for backend, precision in zip(_backends(), precisions, strict=True):
        backend.fp32_precision = precision


def _set_default_device(device: str) -> None:
    """None is the CPU without the mode that a stated device switches on, under which kernels differ in the last bit."""
    torch.set_default_device(None if device == "cpu" else device)


def _set_gradients(enabled: bool) -> None:
    torch.set_grad_enabled(enabled)


def _set_deterministic(enabled: bool) -> None:
    torch.use_deterministic_algorithms(enabled, warn_only=torch.is_deterministic_algorithms_warn_only_enabled())


def _set_warn_only(warn_only: bool) -> None:
    torch.use_deterministic_algorithms(torch.are_deterministic_algorithms_enabled(), warn_only=warn_only)


def _set_inference_mode(enabled: bool) -> None:
    """Torch has no switch for it, but for a guard, which lasts as long as it lives."""
    guard = torch.inference_mode(enabled)
    guard.__enter__()
    KEPT.guards.append(guard)


def _set_attention(kernels: tuple[bool, ...]) -> None:
    for name, enabled in zip(KERNELS, kernels, strict=True):
        getattr(cuda, f"enable_{name}_sdp")(enabled)


def _reductions() -> tuple[Any, ...]:
    """What each may round, and whether it may split a sum, where this version of torch has that."""
    parts = ((getattr(cuda.matmul, name, None), getattr(cuda.matmul, f"{name}_split_k", None)) for name in REDUCTIONS)
    return tuple(rounds if splits is None else (rounds, splits) for rounds, splits in parts)


def _set_reductions(wanted: tuple[Any, ...]) -> None:
    for name, value in zip(REDUCTIONS, wanted, strict=True):
        if value is not None:
            setattr(cuda.matmul, name, value)


def _einsum() -> tuple[Any, ...]:
    return opt_einsum.enabled, opt_einsum.strategy


def _set_einsum(wanted: tuple[Any, ...]) -> None:
    opt_einsum.enabled, opt_einsum.strategy = wanted


def _modes() -> tuple[Any, ...]:
    """The modes that are entered, of functions and of dispatch, but for that of a default device."""
    functions = torch.overrides._get_current_function_mode_stack()
    dispatched = _python_dispatch._get_current_dispatch_mode_stack()
    return tuple(one for one in functions if not isinstance(one, _device.DeviceContext)), tuple(dispatched)


def _set_modes(wanted: tuple[Any, ...]) -> None:
    functions, dispatched = _modes()
    for _ in functions:
        torch.overrides._pop_mode()
    for mode in wanted[0]:
        torch.overrides._push_mode(mode)
    for _ in dispatched:
        _python_dispatch._pop_mode()
    for mode in wanted[1]:
        _python_dispatch._push_mode(mode)


def _saved_tensor_hooks() -> tuple[Any, ...]:
    """The innermost pair by which a graph keeps tensors; empty where there is none."""
    found: Any = torch._C._autograd._top_saved_tensors_default_hooks(True)
    return found or ()


def _set_saved_tensor_hooks(wanted: tuple[Any, ...]) -> None:
    while _saved_tensor_hooks() not in (wanted, ()):
        torch._C._autograd._pop_saved_tensors_default_hooks()
    if wanted and not _saved_tensor_hooks():
        torch._C._autograd._push_saved_tensors_default_hooks(*wanted)


def _set_autocast(enabled: tuple[bool, ...]) -> None:
    for device, wanted in zip(DEVICES, enabled, strict=True):
        torch.set_autocast_enabled(device, wanted)


def _set_autocast_dtype(types: tuple[torch.dtype, ...]) -> None:
    for device, wanted in zip(DEVICES, types, strict=True):
        torch.set_autocast_dtype(device, wanted)


def _set_anomaly(enabled: bool) -> None:
    torch.autograd.set_detect_anomaly(enabled)


def _flushes_denormal() -> bool:
    """Torch tells only by computing: the smallest numbers are lost where they are flushed to zero."""
    return float(torch.tensor(1e-310, dtype=torch.float64, device="cpu") * 1) == 0


GETTERS: Mapping[str, Callable[[], Any]] = {
    "default_dtype": torch.get_default_dtype,
    "default_device": lambda: str(torch.get_default_device()),
    "threads": torch.get_num_threads,
    "inference_mode": torch.is_inference_mode_enabled,
    "gradients": torch.is_grad_enabled,
    "deterministic": torch.are_deterministic_algorithms_enabled,
    "deterministic_warn_only": torch.is_deterministic_algorithms_warn_only_enabled,
    "float32_matmul_precision": _told(torch.get_float32_matmul_precision),
    "cuda_matmul_tf32": _told(lambda: cuda.matmul.allow_tf32),
    "cudnn_tf32": _told(lambda: cudnn.allow_tf32),
    "float32_precision_of_backends": lambda: tuple(part.fp32_precision for part in _backends()),
    "cudnn_enabled": lambda: cudnn.enabled,
    "cudnn_benchmark": lambda: cudnn.benchmark,
    "cudnn_deterministic": lambda: cudnn.deterministic,
    "mkldnn_enabled": lambda: mkldnn.enabled,
    "mkldnn_deterministic": lambda: getattr(mkldnn, "deterministic", None),
    "cudnn_benchmark_limit": lambda: cudnn.benchmark_limit,
    "reduced_precision": _reductions,
    "attention_kernels": lambda: tuple(bool(getattr(cuda, f"{name}_sdp_enabled")()) for name in KERNELS),
    "attention_reduction": cuda.fp16_bf16_reduction_math_sdp_allowed,
    "einsum": _einsum,
    "fill_uninitialized_memory": lambda: getattr(deterministic, FILL),
    "autocast": lambda: tuple(map(torch.is_autocast_enabled, DEVICES)),
    "autocast_dtype": lambda: tuple(map(torch.get_autocast_dtype, DEVICES)),
    "autocast_cache": torch.is_autocast_cache_enabled,
    "modes": _modes,
    "saved_tensor_hooks": _saved_tensor_hooks,
    "flush_denormal": _flushes_denormal,
    "anomaly_mode": torch.is_anomaly_enabled,
}

SETTERS: Mapping[str, Callable[[Any], object]] = {
    "default_dtype": torch.set_default_dtype,
    "default_device": _set_default_device,
    "threads": torch.set_num_threads,
    "inference_mode": _set_inference_mode,
    "gradients": _set_gradients,
    "deterministic": _set_deterministic,
    "deterministic_warn_only": _set_warn_only,
    "float32_matmul_precision": torch.set_float32_matmul_precision,
    "cuda_matmul_tf32": lambda told: setattr(cuda.matmul, "allow_tf32", told == "True"),
    "cudnn_tf32": lambda told: setattr(cudnn, "allow_tf32", told == "True"),
    "float32_precision_of_backends": _set_precisions,
    "cudnn_enabled": lambda on: setattr(cudnn, "enabled", on),
    "cudnn_benchmark": lambda on: setattr(cudnn, "benchmark", on),
    "cudnn_deterministic": lambda on: setattr(cudnn, "deterministic", on),
    "mkldnn_enabled": lambda on: setattr(mkldnn, "enabled", on),
    "mkldnn_deterministic": lambda on: setattr(mkldnn, "deterministic", on),
    "cudnn_benchmark_limit": lambda limit: setattr(cudnn, "benchmark_limit", limit),
    "reduced_precision": _set_reductions,
    "attention_kernels": _set_attention,
    "attention_reduction": cuda.allow_fp16_bf16_reduction_math_sdp,
    "einsum": _set_einsum,
    "fill_uninitialized_memory": lambda on: setattr(deterministic, FILL, on),
    "autocast": _set_autocast,
    "autocast_dtype": _set_autocast_dtype,
    "autocast_cache": torch.set_autocast_cache_enabled,
    "modes": _set_modes,
    "saved_tensor_hooks": _set_saved_tensor_hooks,
    "flush_denormal": torch.set_flush_denormal,
    "anomaly_mode": _set_anomaly,
}
