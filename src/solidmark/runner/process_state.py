"""The state of a process that all its rows share: it is put back after each case, whatever a plugin did to it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

import torch

from . import python_state, torch_state

GETTERS = {**torch_state.GETTERS, **python_state.GETTERS}
SETTERS = {**torch_state.SETTERS, **python_state.SETTERS}


@dataclass(frozen=True)
class Settings:
    """Settings of torch, of Python and of the process, as a run begins with them.

    The defaults are those of a new process; None is whatever it is, where versions and machines differ.
    """

    default_dtype: torch.dtype = torch.float32
    default_device: str = "cpu"
    threads: int = 1
    inference_mode: bool = False
    gradients: bool = True
    deterministic: bool = False
    deterministic_warn_only: bool = False
    float32_matmul_precision: str = "highest"
    cuda_matmul_tf32: str = "False"
    cudnn_tf32: str = "True"
    float32_precision_of_backends: tuple[str | None, ...] | None = None
    cudnn_enabled: bool = True
    cudnn_benchmark: bool = False
    cudnn_deterministic: bool = False
    mkldnn_enabled: bool = True
    mkldnn_deterministic: bool | None = None
    cudnn_benchmark_limit: int | None = None
    reduced_precision: tuple[Any, ...] | None = None
    attention_kernels: tuple[bool, ...] = (True, True, True, True)
    attention_reduction: bool | None = None
    einsum: tuple[Any, ...] | None = None
    fill_uninitialized_memory: bool = True
    autocast: tuple[bool, ...] = (False, False)
    autocast_dtype: tuple[torch.dtype, ...] = (torch.bfloat16, torch.float16)
    autocast_cache: bool = True
    modes: tuple[Any, ...] = ((), ())
    saved_tensor_hooks: tuple[Any, ...] = ()
    flush_denormal: bool = False
    anomaly_mode: bool = False
    folder: str = "."
    umask: int | None = None
    limits: dict[int, int] | None = None
    environment: dict[str, str] | None = None
    numpy_errors: dict[str, str] | None = None
    recursion_limit: int | None = None
    garbage_collection: tuple[Any, ...] | None = None
    warning_filters: python_state.Filters | None = None
    timers: tuple[bool, ...] | None = None
    blocked_signals: frozenset[int] | None = None
    locale: str | None = None

    @classmethod
    def now(cls) -> Settings:
        """The present settings."""
        return cls(**{f.name: GETTERS[f.name]() for f in fields(cls)})

    def put_back(self) -> list[str]:
        """Restore these settings; the names of those that had changed. A setting that is as it was is not touched.

        One that cannot be put back, as a limit that nobody may raise again, is named again by the next call.
        """
        now, wanted = Settings.now(), {f.name: getattr(self, f.name) for f in fields(self)}
        changed = [name for name, value in wanted.items() if value is not None and value != getattr(now, name)]
        for name in changed:
            with suppress(Exception):
                SETTERS[name](wanted[name])
        return [name.replace("_", " ") for name in changed]
