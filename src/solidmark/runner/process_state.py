"""The state of a process that all its rows share: it is put back after each case, whatever a plugin did to it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import torch


@dataclass(frozen=True)
class Settings:
    """Settings of torch, and the current folder, as a run begins with them."""

    default_dtype: torch.dtype = torch.float32
    default_device: str = "cpu"
    threads: int = 1
    gradients: bool = True
    deterministic: bool = False
    folder: str = "."

    @classmethod
    def now(cls) -> Settings:
        """The present settings."""
        return cls(
            torch.get_default_dtype(),
            str(torch.get_default_device()),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            os.getcwd(),
        )

    def put_back(self) -> list[str]:
        """Restore these settings; the names of those that had changed. A setting that is as it was is not touched."""
        now = Settings.now()
        changed = [f.name for f in fields(self) if getattr(self, f.name) != getattr(now, f.name)]
        for name in changed:
            SETTERS[name](getattr(self, name))
        return [name.replace("_", " ") for name in changed]


def _set_default_device(device: str) -> None:
    """None is the CPU without the mode that a stated device switches on, under which kernels differ in the last bit."""
    torch.set_default_device(None if device == "cpu" else device)


def _set_gradients(enabled: bool) -> None:
    torch.set_grad_enabled(enabled)


SETTERS: Mapping[str, Callable[[Any], None]] = {
    "default_dtype": torch.set_default_dtype,
    "default_device": _set_default_device,
    "threads": torch.set_num_threads,
    "gradients": _set_gradients,
    "deterministic": torch.use_deterministic_algorithms,
    "folder": os.chdir,
}
