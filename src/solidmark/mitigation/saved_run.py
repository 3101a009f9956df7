"""A training that was interrupted goes on where it was saved, and ends in the same weights."""

from __future__ import annotations

import os
import time
import warnings
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ..models.prediction import Evaluations, meter_work
from .run import Run

EVERY = 600.0
"""Seconds after which a training is saved again: most of ours end before."""
FILE = "run.safetensors"


class SavedRun:
    """What a run has done so far, in a folder: weights, average, optimizer, generators, rest of the epoch, evaluations.

    Only a run without mitigations can be saved: theirs keep what they like.
    """

    def __init__(self, folder: Path) -> None:
        self.path, self._last = folder / FILE, time.monotonic()

    def save_when_due(self, run: Run, waiting: Tensor) -> None:
        """Save where it is time to. A disk without room costs nothing but the chance to go on, of which a warning tells."""
        if time.monotonic() - self._last < EVERY:
            return
        new = self.path.with_suffix(".new")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            spent = {name: str(count) for name, count in asdict(run.model.evaluations).items()}
            save_file(_state(run, waiting), new, metadata={"done": str(run.done), **spent})
            os.replace(new, self.path)
        except (OSError, SafetensorError) as cause:
            told = f"a training cannot be saved in {self.path.parent} ({cause}): it goes on, but not after an end"
            warnings.warn(told, stacklevel=2)
            with suppress(OSError):
                new.unlink()
        self._last = time.monotonic()

    def restore(self, run: Run) -> Tensor | None:
        """Put a run where it was saved, and give the rest of its epoch; None where nothing was.

        None, with a warning, where it cannot be read: then it begins anew.
        """
        if not self.path.exists():
            return None
        try:
            with safe_open(self.path, "pt") as file:
                told = file.metadata()
                done, spent = int(told["done"]), {name: int(told[name]) for name in asdict(Evaluations())}
                state: dict[str, Tensor] = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as cause:
            warnings.warn(f"{self.path} cannot be read ({cause}): the training begins anew", stacklevel=2)
            return None
        run.done = done
        for name, count in spent.items():
            setattr(run.model.evaluations, name, getattr(run.model.evaluations, name) + count)
        meter_work(**spent)
        _put_back(run, state)
        return state["waiting"]


def _state(run: Run, waiting: Tensor) -> dict[str, Tensor]:
    parameters = run.parameters()
    state = {"waiting": waiting, "rng": run.rng.get_state(), "global": torch.get_rng_state()}
    if run.model.device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(run.model.device)
    for index, parameter in enumerate(parameters):
        state[f"weights.{index}"] = parameter.detach()
        if run.average is not None:
            state[f"average.{index}"] = run.average[index]
        if run.optimizer is not None:
            state |= {f"optimizer.{index}.{name}": tensor for name, tensor in run.optimizer.state[parameter].items()}
    return {name: tensor.contiguous().to("cpu", copy=True) for name, tensor in state.items()}  # no room on a GPU needed


@torch.no_grad()
def _put_back(run: Run, state: dict[str, Tensor]) -> None:
    parameters = run.parameters()
    run.rng.set_state(state["rng"])
    torch.set_rng_state(state["global"])
    if "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], run.model.device)
    if "average.0" in state:
        run.average = [state[f"average.{index}"].to(one.device) for index, one in enumerate(parameters)]
    optimizer = run.start_optimizer(parameters)
    for index, parameter in enumerate(parameters):
        parameter.copy_(state[f"weights.{index}"])
        prefix = f"optimizer.{index}."
        known = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
        optimizer.state[parameter] = {name: tensor.to(parameter.device) for name, tensor in known.items()}
