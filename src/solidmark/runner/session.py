"""A session: what one run asks and where it writes, the same on the controller and on every worker."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import plugins, records
from ..errors import DamagedFile, InvalidValue, UnknownName
from .options import Wish

if TYPE_CHECKING:
    import pytest

    from .plan import Planned

CASE_TIMEOUT = 7200.0
"""Seconds that a case may take where nothing else is said: what takes longer on a small testbed hangs."""
DONE = ("ok", "failed_check", "unsupported")
"""Statuses that --resume does not measure again; errors and crashes are."""


@dataclass(frozen=True)
class Session:
    """The wish, the run's folder, and the identities of cases that an earlier part of the run has done."""

    wish: Wish
    run: Path
    done: frozenset[str] = frozenset()
    progress: str = "auto"
    case_timeout: float = CASE_TIMEOUT

    @classmethod
    def from_options(cls, config: pytest.Config) -> Session:
        """From pytest's options. Raises InvalidValue or UnknownName for what is wrong with them."""
        option = config.option
        wish = Wish(
            profile=option.profile,
            testbeds=tuple(option.testbed or ()),
            mitigations=tuple(option.mitigation or ()),
            seeds=option.seeds,
            queries=option.queries,
            protocol=option.protocol,
        )
        _check(wish)
        if not 0 <= option.case_timeout < float("inf"):
            raise InvalidValue("--case-timeout", f"{option.case_timeout}", "seconds, or 0 for no limit", "Write them so.")
        base = Path(config.invocation_params.dir) / "runs"
        if option.resume is not None:
            return cls(wish, *_resumed(base, option.resume), option.progress, option.case_timeout)
        stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"
        run = (Path(config.invocation_params.dir) / option.run_dir) if option.run_dir else base / stamp
        return cls(wish, run, frozenset(), option.progress, option.case_timeout)

    def handover(self) -> str:
        """Everything as one JSON string."""
        limits = {"progress": self.progress, "case_timeout": self.case_timeout}
        return json.dumps({"wish": asdict(self.wish), "run": str(self.run), "done": sorted(self.done), **limits})

    @classmethod
    def handed_over(cls, text: str) -> Session:
        """The session that `handover` wrote."""
        value = json.loads(text)
        wish: dict[str, Any] = {
            name: tuple(part) if isinstance(part, list) else part for name, part in value["wish"].items()
        }
        done = frozenset(value["done"])
        return cls(Wish(**wish), Path(value["run"]), done, value["progress"], value["case_timeout"])

    @cached_property
    def planned(self) -> list[Planned]:
        """The cases of the run. The first to ask imports torch and the plugins, which a controller never does."""
        from . import plan

        return plan.cases(self.wish)

    @cached_property
    def planned_testbeds(self) -> list[Planned]:
        """One a testbed and seed."""
        from . import plan

        return plan.testbed_cases(self.wish)

    def write_plan(self, slugs: Sequence[str]) -> None:
        """`<run>/plan.json`: what is left to do, for the controller's progress and its notes on killed workers."""
        planned = {one.slug: one for one in (*self.planned, *self.planned_testbeds) if one.slug in set(slugs)}
        records.write_text(
            self.run / "plan.json",
            json.dumps({slug: {**one.identity(), "weight": one.weight} for slug, one in planned.items()}),
        )

    def read_plan(self) -> dict[str, dict[str, Any]]:
        """What `write_plan` wrote; empty before that."""
        try:
            return dict(json.loads((self.run / "plan.json").read_text()))
        except (OSError, ValueError):
            return {}

    def markers(self) -> list[str]:
        """A line for each marker that selects: testbeds, families, stages."""
        families = [plugin.name.rpartition(":")[2] for plugin in plugins.discover(plugins.GROUPS["mitigation"])]
        composed = [name for wished in self.wish.mitigations for name in _families(wished)]
        testbeds = [name.partition("(")[0] for name in self.wish.testbed_list()]
        lines = {name: f"{name}: cases of the testbed {name}" for name in testbeds}
        lines |= {name: f"{name}: cases of the mitigation {name}" for name in (*families, *composed)}
        return [
            *lines.values(),
            *(f"{stage}: cases that act at {stage}" for stage in ("training", "sampling", "post-hoc")),
            "experiment: findings over several seeds",
        ]

    def header(self) -> list[str]:
        """For pytest's header."""
        wish = self.wish
        resumed = f", {len(self.done)} cases already done" if self.done else ""
        return [
            f"solidmark: profile {wish.profile}, testbeds {', '.join(wish.testbed_list())}, protocol {wish.protocol}",
            f"solidmark: run folder {self.run}{resumed}",
        ]


def _families(expression: str) -> list[str]:
    """The families that an expression names, as the markers call them."""
    heads = [part.partition("(")[0].strip() for part in expression.split("+")]
    return [f"{Path(h.rpartition(':')[0]).stem}.{h.rpartition(':')[2]}" if ".py:" in h else h for h in heads]


def _check(wish: Wish) -> None:
    """Raise for what the user wrote wrongly, before any worker starts; only what was written is loaded."""
    wish.seed_list()
    known = {plugin.name for plugin in plugins.discover(plugins.GROUPS["testbed"])}
    for expression in wish.testbed_list():
        if expression not in known or wish.protocol != "fast":
            _, testbed = plugins.testbed(expression)
            if wish.protocol not in testbed.protocols:
                raise UnknownName.among("--protocol", wish.protocol, testbed.protocols)
    for name in wish.queries.split(",") if wish.queries else ():
        plugins.named(plugins.GROUPS["query"], "--queries", name.strip())
    families = {plugin.name for plugin in plugins.discover(plugins.GROUPS["mitigation"])}
    for expression in wish.mitigations:
        if expression not in families:
            plugins.compose(expression)


def _resumed(base: Path, wanted: str) -> tuple[Path, frozenset[str]]:
    """The folder to go on with, and what is done there."""
    run = (base / "latest").resolve() if wanted == "last" else (base.parent / wanted)
    if not (run / "run.json").is_file():
        raise InvalidValue("--resume", str(run), "the folder of a run, with run.json", "Name one, or start a new run.")
    try:
        version = json.loads((run / "run.json").read_text())["benchmark_version"]
    except (ValueError, KeyError) as cause:
        raise DamagedFile(str(run / "run.json"), f"{cause}", "a run's provenance", "Start a new run.") from cause
    if version != records.BENCHMARK_VERSION:
        cure = "Start a new run: numbers of different versions are not mixed."
        raise InvalidValue("--resume", f"benchmark version {version}", f"version {records.BENCHMARK_VERSION}", cure)
    found = records.read(run)[0] if (run / "records").is_dir() else []
    done = {record["case_id"] for record in records.latest(found) if record["status"] in DONE}
    return run, frozenset(done)
