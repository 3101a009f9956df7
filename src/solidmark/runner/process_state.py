"""The state of a process that all its rows share: it is put back after each case, whatever a plugin did to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

import torch
from torch.backends import cuda, cudnn, mkldnn

PRECISIONS = tuple(
    attrgetter(name)
    for name in ("cuda.matmul", "cudnn", "cudnn.conv", "cudnn.rnn", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
)
"""Parts of `torch.backends` that have an `fp32_precision`, as `torch.backends` itself has, since torch 2.9."""


@dataclass(frozen=True)
class Settings:
    """Settings of torch, and the current folder, as a run begins with them. The defaults are those of a new process."""

    default_dtype: torch.dtype = torch.float32
    default_device: str = "cpu"
    threads: int = 1
    gradients: bool = True
    deterministic: bool = False
    deterministic_warn_only: bool = False
    float32_matmul_precision: str = "highest"
    cuda_matmul_tf32: str = "False"
    cudnn_tf32: str = "True"
    float32_precision_of_backends: tuple[str | None, ...] | None = None
    """None: whatever it is; torch's own defaults differ from version to version."""
    cudnn_enabled: bool = True
    cudnn_benchmark: bool = False
    cudnn_deterministic: bool = False
    mkldnn_enabled: bool = True
    attention_kernels: tuple[bool, ...] = (True, True, True)
    autocast: tuple[bool, ...] = (False, False)
    flush_denormal: bool = False
    anomaly_mode: bool = False
    folder: str = "."

    @classmethod
    def now(cls) -> Settings:
        """The present settings."""
        return cls(**{f.name: GETTERS[f.name]() for f in fields(cls)})

    def put_back(self) -> list[str]:
        """Restore these settings; the names of those that had changed. A setting that is as it was is not touched."""
        now, wanted = Settings.now(), {f.name: getattr(self, f.name) for f in fields(self)}
        changed = [name for name, value in wanted.items() if value is not None and value != getattr(now, name)]
        for name in changed:
            SETTERS[name](wanted[name])
        return [name.replace("_", " ") for name in changed]


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


def _set_attention(kernels: tuple[bool, ...]) -> None:
    for switch, enabled in zip((cuda.enable_flash_sdp, cuda.enable_mem_efficient_sdp, cuda.enable_math_sdp), kernels):
        switch(enabled)


def _set_autocast(enabled: tuple[bool, ...]) -> None:
    for device, wanted in zip(("cpu", "cuda"), enabled):
        torch.set_autocast_enabled(device, wanted)


def _set_anomaly(enabled: bool) -> None:
    torch.autograd.set_detect_anomaly(enabled)


def _flushes_denormal() -> bool:
    """Torch tells only by computing: the smallest numbers are lost where they are flushed to zero."""
    return float(torch.tensor(1e-310, dtype=torch.float64, device="cpu") * 1) == 0


GETTERS: Mapping[str, Callable[[], Any]] = {
    "default_dtype": torch.get_default_dtype,
    "default_device": lambda: str(torch.get_default_device()),
    "threads": torch.get_num_threads,
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
    "attention_kernels": lambda: (cuda.flash_sdp_enabled(), cuda.mem_efficient_sdp_enabled(), cuda.math_sdp_enabled()),
    "autocast": lambda: tuple(torch.is_autocast_enabled(device) for device in ("cpu", "cuda")),
    "flush_denormal": _flushes_denormal,
    "anomaly_mode": torch.is_anomaly_enabled,
    "folder": os.getcwd,
}

SETTERS: Mapping[str, Callable[[Any], object]] = {
    "default_dtype": torch.set_default_dtype,
    "default_device": _set_default_device,
    "threads": torch.set_num_threads,
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
    "attention_kernels": _set_attention,
    "autocast": _set_autocast,
    "flush_denormal": torch.set_flush_denormal,
    "anomaly_mode": _set_anomaly,
    "folder": os.chdir,
}
