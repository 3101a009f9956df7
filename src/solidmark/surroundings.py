"""Surroundings: what all rows of a process share, put back after each case whatever a plugin did to it."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields

import torch


@dataclass(frozen=True)
class Settings:
    """Settings of torch, and the current folder."""

    default_dtype: torch.dtype
    default_device: torch.device
    threads: int
    gradients: bool
    deterministic: bool
    folder: str

    @classmethod
    def now(cls) -> Settings:
        """As they are."""
        return cls(
            torch.get_default_dtype(),
            torch.get_default_device(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            os.getcwd(),
        )

    def put_back(self) -> list[str]:
        """Make them so again, and tell which had been changed."""
        now = Settings.now()
        changed = [f.name.replace("_", " ") for f in fields(self) if getattr(self, f.name) != getattr(now, f.name)]
        if changed:
            self._make()
        return changed

    def _make(self) -> None:
        torch.set_default_dtype(self.default_dtype)
        torch.set_default_device(self.default_device)
        torch.set_num_threads(self.threads)
        torch.set_grad_enabled(self.gradients)
        torch.use_deterministic_algorithms(self.deterministic)
        os.chdir(self.folder)
