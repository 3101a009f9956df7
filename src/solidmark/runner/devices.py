"""Devices: which GPUs are visible, found without waking CUDA, and which one a worker gets.

The controller pins each worker through its environment before the worker's interpreter starts, so that
CUDA sees one device and a replacement for a killed worker gets the same one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import InvalidValue


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Identifiers for CUDA_VISIBLE_DEVICES, one a GPU: what that variable already names, else all, else none.

    CUDA itself stops reading at the first negative number, and so does this.
    """
    stated = environment.get("CUDA_VISIBLE_DEVICES")
    if stated is None:
        return _all_gpus()
    named: list[str] = []
    for part in (part.strip() for part in stated.split(",")):
        if not part or part.startswith("-"):
            break
        named.append(part)
    return named


def _all_gpus() -> list[str]:
    """UUIDs by NVML, which creates no CUDA context; none where there is no driver.

    Raises InvalidValue for a driver that does not answer: its GPUs would stand idle without a word.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):  # a machine without a GPU
        return []
    except pynvml.NVMLError as cause:
        cure = "Mend the driver, or compute without GPUs: CUDA_VISIBLE_DEVICES=-1."
        raise InvalidValue("GPUs, by NVML", f"{cause}", "a driver that answers, or none", cure) from cause
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(place) for place in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def workers(gpus: list[str], each: int, cores: int | None = None) -> int:
    """How many workers `-n auto` means: `each` a GPU, or one a core where there is none."""
    return len(gpus) * each if gpus else (cores or usable_cores())


def usable_cores() -> int:
    """Cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def worker_environment(
    place: int, gpus: list[str], count: int, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """What worker number `place` of `count` gets: its GPU, and its share of the cores where the caller says nothing."""
    threads = str(max(1, usable_cores() // max(count, 1)))
    defaults = {"OMP_NUM_THREADS": threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    chosen = {name: value for name, value in defaults.items() if name not in environment}
    if gpus:
        chosen["CUDA_VISIBLE_DEVICES"] = gpus[place % len(gpus)]
    return chosen


def torch_device() -> str:
    """`cuda` where a worker has a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
