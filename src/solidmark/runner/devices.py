"""Devices: which GPUs are visible, read without starting CUDA, and which of them a worker gets.

The controller pins each worker through its environment before the worker's interpreter starts, so that
CUDA sees one device and a replacement for a killed worker gets the same one.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

from ..errors import InvalidValue

NAMES_GPU = re.compile(r"\d+|(GPU|MIG)-\S+")
"""Spellings of a GPU in CUDA_VISIBLE_DEVICES. Others, as -1, none, void or Slurm's NoDevFiles, mean that there is none."""

NO_GPU = "-1"
"""What CUDA_VISIBLE_DEVICES is for a worker that shall use none."""

ABSENT = ("LibraryNotFound", "DriverNotLoaded", "NotSupported", "FunctionNotFound")
"""Answers of NVML where it is not installed or cannot tell; a GPU may be there (WSL, Jetson, containers, ROCm)."""

MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(2**29), "MALLOC_MMAP_THRESHOLD_": str(2**25)}
"""Tells glibc to keep up to 512 MB of freed memory. Else it gives the memory of each layer's output back to the system, and
fetches it again for the next one, page by page: thousands of page faults in each pass over 128 images."""

COUNT = "import torch; print(torch.cuda.device_count())"


@dataclass(frozen=True)
class Listed:
    """GPUs as NVML lists them: the UUID of each by its index, None where it does not answer; those that CUDA can use
    (a GPU that is divided by MIG counts as its slices); and notes on the others.
    """

    uuids: list[str | None]
    usable: list[str]
    notes: list[str]

    def has(self, name: str) -> bool:
        """Whether an index or the beginning of a UUID names a GPU or slice of this machine."""
        if name.isdecimal():
            return int(name) < len(self.uuids)
        return name.startswith("MIG-GPU-") or any(uuid.startswith(name) for uuid in (*self.usable, *self.uuids) if uuid)

    def answers(self, name: str) -> bool:
        """Whether a GPU that this machine has can be used; one that is lost cannot."""
        return not name.isdecimal() or self.uuids[int(name)] is not None


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Identifiers for CUDA_VISIBLE_DEVICES, one a GPU or MIG slice; none where there is no GPU that torch could use.

    They are those that the variable already names, else all. CUDA stops reading at the first name that no GPU has, and
    so does this. Raises InvalidValue where a driver or every GPU does not answer.
    """
    return _look(environment)[0]


def notes(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What a user should know of GPUs that are left out. Raises as `visible_gpus` does."""
    return _look(environment)[1]


def _look(environment: Mapping[str, str]) -> tuple[list[str], list[str]]:
    stated = environment.get("CUDA_VISIBLE_DEVICES")
    named = None if stated is None else list(takewhile(NAMES_GPU.fullmatch, map(str.strip, stated.split(","))))
    if named == []:
        return [], []
    listed = _listed()
    if listed is None:
        count = _count_by_torch(stated)
        return [str(index) for index in range(count)] if named is None else named[:count], []
    if named is None:
        return listed.usable, listed.notes
    return [name for name in takewhile(listed.has, named) if listed.answers(name)], listed.notes


def _listed() -> Listed | None:
    """GPUs by NVML, which creates no CUDA context; None where it is absent.

    Raises InvalidValue for a driver that does not answer: otherwise its GPUs would be left unused in silence.
    """
    import pynvml

    cure = "Repair the driver, or compute without GPUs: CUDA_VISIBLE_DEVICES=-1."
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as cause:
        if type(cause).__name__.removeprefix("NVMLError_") in ABSENT:
            return None
        raise InvalidValue("GPUs, by NVML", f"{cause}", "a driver that answers, or none", cure) from cause
    listed = Listed([], [], [])
    try:
        for index in range(pynvml.nvmlDeviceGetCount()):
            _add(listed, index)
    except pynvml.NVMLError as cause:
        raise InvalidValue("GPUs, by NVML", f"{cause}", "a driver that answers, or none", cure) from cause
    finally:
        pynvml.nvmlShutdown()
    if listed.uuids and not any(listed.uuids):
        raise InvalidValue("GPUs, by NVML", "; ".join(listed.notes), "a GPU that answers, or none", cure)
    return listed


def _add(listed: Listed, index: int) -> None:
    """Add the GPU of an index, or the note that it does not answer."""
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        uuid = str(pynvml.nvmlDeviceGetUUID(handle))
    except pynvml.NVMLError as cause:  # lost, or not permitted
        listed.uuids.append(None)
        listed.notes.append(f"GPU {index} is left out: {cause}")
        return
    slices = _slices(handle)
    listed.uuids.append(uuid)
    listed.usable.extend([uuid] if slices is None else slices)
    if slices == []:
        listed.notes.append(f"GPU {index} is left out: it is divided by MIG and has no slice")


def _slices(handle: Any) -> list[str] | None:
    """UUIDs of the slices of a GPU, of which CUDA sees one at a time; None where it is not divided."""
    import pynvml

    try:
        if pynvml.nvmlDeviceGetMigMode(handle)[0] != pynvml.NVML_DEVICE_MIG_ENABLE:
            return None
        most = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError:  # a GPU that knows no MIG
        return None
    found = []
    for index in range(most):
        with suppress(pynvml.NVMLError):  # a slice that is not made
            found.append(str(pynvml.nvmlDeviceGetUUID(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))))
    return found


@cache
def _count_by_torch(stated: str | None) -> int:
    """How many GPUs torch finds, asked in a process of its own: the controller must not wake CUDA."""
    if not _torch_knows_gpus():
        return 0
    environment = {**os.environ, **({} if stated is None else {"CUDA_VISIBLE_DEVICES": stated})}
    try:
        done = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, timeout=120, check=True)
        return int(done.stdout.split()[-1])
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return 0  # torch cannot use a GPU either


def _torch_knows_gpus() -> bool:
    """Whether torch was built for GPUs, read without importing it; True where that cannot be read."""
    spec = importlib.util.find_spec("torch")
    try:
        text = (Path(str(spec and spec.origin)).parent / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return re.search(r"^(cuda|hip)\b[^=]*=\s*[^\sN]", text, re.MULTILINE) is not None


def workers(gpus: list[str], each: int, gains: Collection[bool] = (True,), cores: int | None = None) -> int:
    """How many workers `-n auto` means: `each` a GPU for testbeds that gain from one, and one a core for others.

    `gains` says of each testbed of the run whether it does. A worker with a GPU keeps a core busy.
    """
    cores = cores or usable_cores()
    with_gpu = len(gpus) * each if any(gains) else 0
    without = max(cores - with_gpu, 1) if not with_gpu or not all(gains) else 0
    return with_gpu + without


def workers_with_gpu(gpus: list[str], each: int, gains: Collection[bool], count: int) -> int:
    """How many of `count` workers get a GPU: all where every testbed gains, none where none does."""
    if not any(gains) or not gpus:
        return 0
    return count if all(gains) or count == 1 else min(len(gpus) * each, count - 1)


def usable_cores() -> int:
    """The number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def worker_environment(
    index: int, gpus: list[str], count: int, environment: Mapping[str, str] = os.environ, with_gpu: int | None = None
) -> dict[str, str]:
    """The variables of worker number `index` of `count`: its GPU, and its share of the cores where the caller sets none.

    The first `with_gpu` of them get a GPU, by default all.
    """
    threads = str(max(1, usable_cores() // max(count, 1)))
    defaults = {"OMP_NUM_THREADS": threads, "CUBLAS_WORKSPACE_CONFIG": ":4096:8", **MEMORY}
    chosen = {name: value for name, value in defaults.items() if name not in environment}
    if gpus:
        has_one = with_gpu is None or index < with_gpu
        chosen["CUDA_VISIBLE_DEVICES"] = gpus[index % len(gpus)] if has_one else NO_GPU
    return chosen


def torch_device() -> str:
    """`cuda` where a worker has a GPU, else `cpu`."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
