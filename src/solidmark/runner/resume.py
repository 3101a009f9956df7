"""Resume: a run that was interrupted goes on by the options it began with, and measures what it has not measured."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from .. import records
from ..errors import DamagedFile, InvalidValue
from .options import Options

DONE = ("ok", "failed_check", "unsupported")
"""Statuses that --resume does not measure again; errors and crashes are."""


@dataclass(frozen=True)
class Selection:
    """pytest's own choice among the cases: its options -k and -m."""

    keyword: str = ""
    markers: str = ""


@dataclass(frozen=True)
class Earlier:
    """An earlier part of a run: its folder, its options (None of a run that wrote none), and what is done there."""

    run: Path
    options: Options | None
    selection: Selection
    done: frozenset[str]

    @classmethod
    def read(cls, base: Path, wanted: str) -> Earlier:
        """The run of that name, or the last one of the folder `base`. Raises InvalidValue or DamagedFile."""
        run = (base / "latest").resolve() if wanted == "last" else (base.parent / wanted)
        if not (run / "run.json").is_file():
            cure = "Name one, or start a new run."
            raise InvalidValue("--resume", str(run), "the folder of a run, with run.json", cure)
        try:
            facts = json.loads((run / "run.json").read_text(encoding="utf-8"))
            version, options = facts["benchmark_version"], _options(facts)
            selection = Selection(**facts.get("selection", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as cause:
            raise DamagedFile(str(run / "run.json"), f"{cause}", "a run's provenance", "Start a new run.") from cause
        if version != records.BENCHMARK_VERSION:
            cure = "Start a new run: numbers of different versions are not mixed."
            raise InvalidValue("--resume", f"benchmark version {version}", f"version {records.BENCHMARK_VERSION}", cure)
        written = records.read(run).records if (run / "records").is_dir() else []
        done = frozenset(record["case_id"] for record in records.latest(written) if record["status"] in DONE)
        return cls(run, options, selection, done)

    def go_on(self, given: Mapping[str, Any]) -> Options:
        """The options of the run. Raises InvalidValue where options `given` beside --resume contradict them."""
        if self.options is None:
            return Options(**given)
        asked = replace(self.options, **given)
        for name, found in _meaning(asked).items():
            before = _meaning(self.options)[name]
            if found != before:
                cure = "Leave the option out, or start a new run."
                raise InvalidValue(
                    "--resume", f"--{name} {_words(found)}", f"{_words(before)}, as {self.run} began with", cure
                )
        return self.options


def _options(facts: Mapping[str, Any]) -> Options | None:
    """The options in a `run.json`; None in one of schema 1."""
    stated = facts.get("options")
    if stated is None:
        return None
    known = {one.name for one in fields(Options)}
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in stated.items() if n in known}
    return Options(**{"references": False, **values})  # a run that is older than they are began without them


def _meaning(options: Options) -> dict[str, Any]:
    """What options ask for, by the name of the option, however it is written."""
    return {
        "profile": options.profile,
        "testbed": list(options.testbed_list()),
        "mitigation": sorted(options.mitigations),
        "seeds": list(options.seed_list()),
        "queries": [name.strip() for name in options.queries.split(",")] if options.queries else None,
        "solver": options.solver,
        "pipeline": options.pipeline,
        "pipeline-class": options.pipeline_class,
        "pipeline-call": options.pipeline_call,
        "shard": options.shard,
        "no-references": not options.references,
    }


def _words(value: Any) -> str:
    return ",".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def command(arguments: Sequence[str], run: Path, here: Path) -> str:
    """The command that goes on with a run, from the arguments of pytest that began it or went on with it."""
    kept: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        name, equals, _ = argument.partition("=")
        if name.removeprefix("--solidmark-").removeprefix("--") not in ("run-dir", "resume") or not name.startswith("--"):
            kept.append(argument)
        elif not equals and left and not left[0].startswith("-"):
            left.pop(0)
    folder = run.relative_to(here) if run.is_relative_to(here) else run
    return shlex.join(["pytest", *kept, f"--resume={folder}"])
