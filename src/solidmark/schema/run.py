"""What `run.json` holds: where the results of a run come from, schema `solidmark.run/2`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NotRequired

from typing_extensions import TypedDict

if TYPE_CHECKING:
    from pydantic import JsonValue
else:
    JsonValue = Any  # what was read from JSON is JSON, and pydantic takes a tenth of a second to import

from .record import Identity

SCHEMA = "solidmark.run/2"
LEFT_OUT = "left_out.json"
"""The file of a run's folder that has which families its profile does not measure, by reason."""


class CodeBlock(TypedDict):
    """Commit of the checkout, and whether it was changed; null with a `reason` outside one."""

    commit: str | None
    dirty: bool | None
    diff_sha256: NotRequired[str | None]
    reason: NotRequired[str]


class MachineBlock(TypedDict):
    """Python, system, processor and number of cores."""

    python: str
    system: str
    processor: str
    cores: int | None


class RunProvenance(TypedDict, total=False):
    """Arguments, code, packages, machine, chosen variables of the environment, and plugins of a run."""

    arguments: list[str]
    code: CodeBlock
    packages: dict[str, str]
    machine: MachineBlock
    environment: dict[str, str]
    plugins: list[str]


class RunFile(RunProvenance, total=False):
    """The provenance of a run with its options; runs of schema 1 have `wish` for `options`.

    `selection` is what pytest's own -k and -m chose, where they did. `left_out` are families that the profile does not
    measure, by reason, from a file of its own.
    """

    schema: str
    benchmark_version: int
    started: str
    profile: str
    options: dict[str, JsonValue]
    selection: dict[str, str]
    gpus: int
    left_out: dict[str, list[str]]


class PlanEntry(Identity):
    """A case that is left to do, in `plan.json`: its `weight`, about how long it takes, and whether it gains from a GPU."""

    weight: NotRequired[float]
    gpu: NotRequired[bool]


class WorkerState(TypedDict):
    """How far a worker is, in `progress/<worker>.json`; `t` is seconds since 1970."""

    worker: str
    case: str
    action: str
    done: int
    of: int
    t: float
