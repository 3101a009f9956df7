"""A session: what one run measures and where it writes, the same on the controller and on every worker."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import plugins, records
from ..errors import InvalidValue, UnknownName
from ..mitigation.elsewhere import check_seeds
from .options import Options
from .resume import Earlier, Selection
from .shards import Shard

if TYPE_CHECKING:
    import pytest

    from ..schema.run import PlanEntry
    from .plan import Planned

SELECTS = (
    "solidmark: left out, unless `--mitigation` names them: controls, other forms of a family, and families at home on "
    "another testbed; the table names them"
)
"""What the header says where a profile does not measure every setting."""

CASE_TIMEOUT = 7200.0
"""Seconds that a case may take by default: what takes longer on a small testbed hangs."""


@dataclass(frozen=True)
class Session:
    """The options, the folder of the run, and the identities of cases that an earlier part of the run has done."""

    options: Options
    run: Path
    done: frozenset[str] = frozenset()
    progress: str = "auto"
    case_timeout: float = CASE_TIMEOUT
    selection: Selection = Selection()

    @classmethod
    def from_options(cls, config: pytest.Config) -> Session:
        """From pytest's options. Raises InvalidValue or UnknownName where they are wrong."""
        option, here = config.option, Path(config.invocation_params.dir)
        limit = option.solidmark_case_timeout
        if not 0 <= limit < float("inf"):
            raise InvalidValue("--case-timeout", f"{limit}", "seconds, or 0 for no limit", "Choose such a limit.")
        given, chosen = _given(option), Selection(option.keyword, option.markexpr)
        if option.solidmark_resume is None:
            options = Options(**given)
            _check(options)
            stamp = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{uuid.uuid4().hex[:6]}"
            run = here / (option.solidmark_run_dir or Path("runs") / stamp)
            return cls(options, run, frozenset(), option.solidmark_progress, limit, chosen)
        earlier = Earlier.read(here / "runs", option.solidmark_resume)
        named = option.solidmark_run_dir
        if named and (here / named).resolve() != earlier.run.resolve():
            cure = "Leave --run-dir out: a run goes on in its folder."
            raise InvalidValue("--resume", f"--run-dir {named}", f"{earlier.run}", cure)
        options = earlier.go_on(given)
        _check(options)
        chosen = Selection(chosen.keyword or earlier.selection.keyword, chosen.markers or earlier.selection.markers)
        return cls(options, earlier.run, earlier.done, option.solidmark_progress, limit, chosen)

    def to_json(self) -> str:
        """The session as one string, for a worker."""
        return json.dumps(
            {
                "options": asdict(self.options),
                "run": str(self.run),
                "done": sorted(self.done),
                "progress": self.progress,
                "case_timeout": self.case_timeout,
                "selection": asdict(self.selection),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Session:
        """The session that `to_json` wrote."""
        value = json.loads(text)
        options: dict[str, Any] = {
            name: tuple(part) if isinstance(part, list) else part for name, part in value["options"].items()
        }
        done = frozenset(value["done"])
        chosen = Selection(**value["selection"])
        return cls(Options(**options), Path(value["run"]), done, value["progress"], value["case_timeout"], chosen)

    @cached_property
    def _every(self) -> list[Planned]:
        from . import plan

        return plan.every(self.options, self.run if "PYTEST_XDIST_WORKER" in os.environ else None)

    @cached_property
    def planned(self) -> list[Planned]:
        """The cases of the run. The first use imports torch and the plugins; a controller never uses it."""
        from . import plan

        return plan.measured(self._every)

    @cached_property
    def planned_testbeds(self) -> list[Planned]:
        """One case a testbed and seed."""
        from . import plan

        return plan.testbed_cases(self.options)

    def write_plan(self, slugs: Sequence[str]) -> None:
        """Write `<run>/plan.json`, what is left to do: for the controller's progress and its notes on killed workers.

        What the profile leaves out is written beside it, for the page.
        """
        from . import left_out

        left_out.write(self.run, [(one.left_out, one.family) for one in self._every if one.left_out])
        every = (*self.planned, *self.planned_testbeds)
        chosen = {planned.slug: planned for planned in every if planned.slug in set(slugs)}
        records.write_text(
            self.run / "plan.json",
            json.dumps({slug: one.entry() for slug, one in chosen.items()}),
        )

    def read_plan(self) -> dict[str, PlanEntry]:
        """The plan that `write_plan` wrote; empty before that."""
        try:
            return dict(json.loads((self.run / "plan.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def read_earlier_plans(self) -> dict[str, PlanEntry]:
        """All that earlier parts of the run have planned, of which each could end before it had a plan."""
        try:
            before = dict(json.loads((self.run / "planned.json").read_text(encoding="utf-8")))
        except (OSError, ValueError):
            before = {}
        return before | self.read_plan()

    def found_all_done(self) -> bool:
        """Whether the plan that `write_plan` wrote has nothing to do: an earlier part of the run did it, or other shards."""
        return bool(self.done or self.options.shard) and (self.run / "plan.json").exists() and not self.read_plan()

    def forget_plan(self) -> None:
        """Remove what an earlier part of the run planned, gave up, and said of its progress: all are made anew.

        What it planned stays in `planned.json`, by which a case is known that a process of an earlier part has not ended.
        """
        if self.read_plan():
            records.write_text(self.run / "planned.json", json.dumps(self.read_earlier_plans()))
        for path in (self.run / "plan.json", self.run / "given_up.json", *(self.run / "progress").glob("*.*")):
            with suppress(OSError):
                path.unlink()

    def write_given_up(self, slugs: Sequence[str]) -> None:
        """Write `<run>/given_up.json`, cases that no worker shall begin again: some schedulers put back what kills it."""
        records.write_text(self.run / "given_up.json", json.dumps(list(slugs)))

    def is_given_up(self, slug: str) -> bool:
        """Whether `write_given_up` has named a case."""
        try:
            return slug in json.loads((self.run / "given_up.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False

    def write_replaced(self, worker: str, reason: str) -> None:
        """Write why a worker ends by itself, so that its next case is not blamed for that."""
        records.write_text(self.run / "progress" / f"{worker}.replaced", reason)

    def was_replaced(self, worker: str) -> str | None:
        """What `write_replaced` wrote of a worker; None where it wrote nothing."""
        try:
            return (self.run / "progress" / f"{worker}.replaced").read_text(encoding="utf-8")
        except OSError:
            return None

    def markers(self) -> list[str]:
        """A line for each marker that selects: testbeds, families, stages."""
        families = [plugin.name.rpartition(":")[2] for plugin in plugins.discover(plugins.GROUPS["mitigation"])]
        written = (*self.options.mitigations, *self.options.foreign())
        composed = [name for expression in written for name in _families(expression)]
        testbeds = [plugins.testbed_name(expression) for expression in self.options.testbed_list()]
        lines = {name: f"{name}: cases of the testbed {name}" for name in testbeds}
        lines |= {name: f"{name}: cases of the mitigation {name}" for name in (*families, *composed)}
        return [
            *lines.values(),
            *(f"{stage}: cases that act at {stage}" for stage in ("training", "sampling", "post-hoc")),
            "experiment: findings over several seeds",
        ]

    def header(self) -> list[str]:
        """Two lines for pytest's header."""
        options = self.options
        part = f", shard {options.shard}" if options.shard else ""
        resumed = f", {len(self.done)} cases already done" if self.done else ""
        ground = f"testbeds {', '.join(options.testbed_list())}, solver {options.solver}"
        selects = not (options.chosen_profile().every_setting or options.mitigations)
        return [
            f"solidmark: profile {options.profile}, {ground}{part}",
            f"solidmark: run folder {self.run}{resumed}",
            *([SELECTS] if selects else []),
        ]


def _families(expression: str) -> list[str]:
    """The families that an expression names, as the markers call them."""
    if "pipeline(" in expression or "trained-elsewhere(" in expression:
        return [part.family for part in plugins.compose(expression).parts]
    heads = [part.partition("(")[0].strip() for part in expression.split("+")]
    return [f"{Path(h.rpartition(':')[0]).stem}.{h.rpartition(':')[2]}" if ".py:" in h else h for h in heads]


def _given(option: Any) -> dict[str, Any]:
    """What the user wrote, without defaults."""
    written = {
        "profile": option.solidmark_profile,
        "testbeds": tuple(option.solidmark_testbed or ()) or None,
        "mitigations": tuple(option.solidmark_mitigation or ()) or None,
        "seeds": option.solidmark_seeds,
        "queries": option.solidmark_queries,
        "solver": option.solidmark_solver,
        "pipeline": option.solidmark_pipeline,
        "pipeline_class": option.solidmark_pipeline_class,
        "pipeline_call": option.solidmark_pipeline_call,
        "shard": option.solidmark_shard,
        "references": False if option.solidmark_no_references else None,
    }
    return {name: value for name, value in written.items() if value is not None}


def _check(options: Options) -> None:
    """Raise for mistakes of the user before any worker starts; no plugin is loaded that the user did not name."""
    options.seed_list()
    if options.shard is not None:
        Shard.parse(options.shard)
    testbeds = {plugin.name for plugin in plugins.discover(plugins.GROUPS["testbed"])}
    for expression in options.testbed_list():
        if expression not in testbeds or options.solver != "fast":
            _, testbed = plugins.testbed(expression)
            if options.solver not in testbed.solvers:
                raise UnknownName.among("--solver", options.solver, testbed.solvers)
    for name in options.queries.split(",") if options.queries else ():
        plugins.named(plugins.GROUPS["query"], "--queries", name.strip())
    families = {plugin.name for plugin in plugins.discover(plugins.GROUPS["mitigation"])}
    for expression in (*options.mitigations, *options.foreign()):
        if expression not in families:
            check_seeds(plugins.compose(expression), options.seed_list())
