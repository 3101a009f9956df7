"""The plan of a run: which testbeds, mitigations, settings, seeds and queries become cases, in which order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

from .. import plugins
from ..errors import PluginFault, UnknownName
from ..measurement.case import Case, plain
from ..mitigation import Stage
from ..mitigation.composition import Composition, Part
from ..plugins import GROUPS, Broken
from ..schema.record import Identity
from ..testbed import Testbed
from .options import Options, Profile

BASELINE = "none"


@dataclass(frozen=True)
class Planned:
    """One case of the plan, or a broken plugin in the place of its cases."""

    slug: str
    testbed: str
    family: str
    stages: tuple[str, ...]
    case: Case | None = None
    broken: Broken | None = None
    event: str = "case"
    order: int = 0

    @property
    def case_id(self) -> str:
        """The identity of the case, as in its record; that of a broken plugin is its slug."""
        if self.case is None:
            return self.slug
        return self.case.case_id if self.event == "case" else f"{self.event}-{self.case.case_id}"

    def identity(self) -> Identity:
        """What the record of the case says of it whether or not it could be measured. `order` is that of the plan."""
        return {
            "event": self.event,
            "case_id": self.case_id,
            "slug": self.slug,
            "order": self.order,
            "testbed": self.testbed,
            "mitigation": self.case.composition.label if self.case is not None else self.family,
            "family": self.family,
        }

    @property
    def weight(self) -> float:
        """About how long the case takes with an empty store, in units of a query: a training takes as long as four."""
        trains = self.case is not None and (Stage.TRAINING.value in self.stages or not self.stages)
        return 5.0 if trains else 1.0


def cases(options: Options) -> list[Planned]:
    """All cases, the baseline first, rows that share weights next to each other, cases of one seed together.

    Raises UnknownName, InvalidValue or PluginFault for a mistake of the user; a broken plugin that the user did not
    name is a Planned of its own.
    """
    profile = options.chosen_profile()
    seeds = options.seed_list()
    rows = list(_rows(options, profile))
    planned = []
    for name, seed in product(options.testbed_list(), seeds):
        name, testbed = _testbed(name)
        queries = _queries(options, profile, testbed)
        solver = _solver(testbed, options.solver)
        for row in rows:
            if isinstance(row, Broken):
                slug = f"{plain(name)}-{plain(row.name)}-s{seed}"
                planned.append(Planned(slug, name, row.name, (), broken=row))
                continue
            case = Case(name, testbed, row, seed, queries, solver)
            stages = tuple(stage.value for stage in row.stages)
            planned.append(Planned(case.slug, name, row.family, stages, case=case))
    return _with_distinct_slugs(planned)


def worksteal_order(weights: Sequence[float], workers: int) -> list[int]:
    """The order of tests in which `worksteal`, which gives each worker a run of equal length, wastes the least time.

    Each run begins with trainings (weight above 1), dealt in turn, so that no worker waits for the training of another.
    Rows that share a stored model follow; workers without work steal these.
    """
    heavy = [index for index, weight in enumerate(weights) if weight > 1]
    light = [index for index, weight in enumerate(weights) if weight <= 1]
    runs: list[list[int]] = [heavy[worker::workers] for worker in range(workers)]
    left = len(weights)
    for worker, run in enumerate(runs):
        room = left // (workers - worker)
        while len(run) < room and light:
            run.append(light.pop(0))
        left -= len(run)
    return [index for run in runs for index in run] + light


def testbed_cases(options: Options) -> list[Planned]:
    """One case a testbed and seed, without any mitigation: power and the cost of marking."""
    bare = cases(replace(options, mitigations=(BASELINE,)))
    return [
        replace(planned, slug=f"{plain(planned.testbed)}-s{planned.case.seed}", event="testbed")
        for planned in bare
        if planned.case is not None
    ]


def _rows(options: Options, profile: Profile) -> Iterator[Composition | Broken]:
    """The compositions of the table; the baseline is always one of them."""
    families = [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]
    names = options.mitigations or tuple(families)
    rows: list[Composition | Broken] = []
    for name in dict.fromkeys((BASELINE, *names)):
        if name in families:
            rows += _family(name, profile, named=bool(options.mitigations))
        else:
            rows.append(plugins.compose(name))
    order = {stage: index for index, stage in enumerate(("none", "sampling", "post-hoc", "training"))}
    yield from sorted(rows, key=lambda row: 9 if isinstance(row, Broken) else order.get(row.stage, 5))


def _family(name: str, profile: Profile, *, named: bool) -> Iterable[Composition | Broken]:
    """The rows of a family that a profile has. Raises PluginFault where it is broken and the user `named` it."""
    default = plugins.published(name)
    if isinstance(default, Part) and not (profile.every_setting or default.mitigation.reference_curve):
        return [Composition((default,))]
    settings = plugins.family(name)
    if isinstance(settings, Broken):
        if named:
            cure = f"Repair or uninstall {settings.origin}."
            raise PluginFault(f"mitigation {name}", settings.reason, "a plugin that loads", cure)
        return [settings]
    sparse = not profile.every_setting and settings[0].mitigation.stage is not Stage.SAMPLING
    chosen = settings[::-2][::-1] if sparse else settings
    return [Composition((part,)) for part in chosen]


def _testbed(name: str) -> tuple[str, Testbed]:
    label, testbed = plugins.testbed(name)
    if not isinstance(testbed, Testbed):
        cure = "Subclass solidmark.testbed.Testbed."
        raise PluginFault(f"testbed {name}", type(testbed).__name__, "a Testbed", cure)
    return label, testbed


def _queries(options: Options, profile: Profile, testbed: Testbed) -> tuple[tuple[str, Any], ...]:
    """The queries by name, with those that the testbed needs; `outpaint` leads where it is among them."""
    installed = [plugin.name for plugin in plugins.discover(GROUPS["query"])]
    chosen = [*(profile.queries or installed), *testbed.queries]
    names = [name.strip() for name in options.queries.split(",")] if options.queries else chosen
    names = sorted(dict.fromkeys(names), key=lambda name: name != "outpaint")
    return tuple((name, plugins.instance(GROUPS["query"], "query", name)) for name in names)


def _solver(testbed: Testbed, name: str) -> Any:
    if name not in testbed.solvers:
        raise UnknownName.among("--solver", name, testbed.solvers)
    return testbed.solvers[name]


def _with_distinct_slugs(planned: Sequence[Planned]) -> list[Planned]:
    """The same in their order, where the second case of a slug gets a number."""
    seen: Counter[str] = Counter()
    distinct: list[Planned] = []
    for case in planned:
        seen[case.slug] += 1
        slug = case.slug if seen[case.slug] == 1 else f"{case.slug}-{seen[case.slug]}"
        distinct.append(replace(case, slug=slug, order=len(distinct)))
    return distinct
