"""The device that a command names: looked at before anything else is done."""

from __future__ import annotations

import torch

from ..errors import InvalidValue

NO_NUMBERS = "meta"
"""A device of torch that has shapes and no numbers."""


def checked(name: str, where: str = "--device") -> str:
    """The name, where torch can compute there. Raises InvalidValue where it cannot, with the devices that there are."""
    try:
        torch.zeros(1, device=name)
        usable = torch.device(name).type != NO_NUMBERS
    except Exception:  # each backend has errors of its own
        usable = False
    if not usable:
        cure = "Choose one of those; `solidmark doctor` tells which GPUs are visible."
        raise InvalidValue(where, repr(name), f"a device that torch can use here: {', '.join(present())}", cure)
    return name


def present() -> list[str]:
    """The devices of this machine that torch can compute on."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    count = 0 if accelerator is None else torch.accelerator.device_count()
    return ["cpu", *(f"{accelerator.type}:{index}" for index in range(count) if accelerator is not None)]
