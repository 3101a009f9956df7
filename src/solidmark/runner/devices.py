"""Devices: which GPUs are visible, read without starting CUDA, and which of them a worker gets.

The controller pins each worker through its environment before the worker's interpreter starts, so that
CUDA sees one device and a replacement for a killed worker gets the same one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from ..errors import InvalidValue


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Identifiers for CUDA_VISIBLE_DEVICES, one a GPU: those that the variable already names, else all GPUs, else none.

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

    Raises InvalidValue for a driver that does not answer: otherwise its GPUs would be left unused in silence.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
    except (pynvml.NVMLError_LibraryNotFound, pynvml.NVMLError_DriverNotLoaded):  # a machine without a GPU
        return []
    except pynvml.NVMLError as cause:
        cure = "Repair the driver, or compute without GPUs: CUDA_VISIBLE_DEVICES=-1."
        raise InvalidValue("GPUs, by NVML", f"{cause}", "a driver that answers, or none", cure) from cause
    try:
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


def workers(gpus: list[str], each: int, cores: int | None = None) -> int:
    """How many workers `-n auto` means: `each` a GPU, or one a core where there is none."""
    return len(gpus) * each if gpus else (cores or usable_cores())


def usable_cores() -> int:
    """The number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def worker_environment(
    index: int, gpus: list[str], count: int, environment: Mapping[str, str] = os.environ
) -> dict[str, str]:
    """The variables of worker number `index` of `count`: its GPU, and its share of the cores where the caller sets none."""
    threads = str(max(1, usable_cores() // max(count, 1)))
    defaults = {"OMP_NUM_THREADS": threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}
    chosen = {name: value for name, value in defaults.items() if name not in environment}
    if gpus:
        chosen["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)]
    return chosen


def torch_device() -> str:
    """`cuda` where a worker has a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
