"""The plan of a run: which testbeds, mitigations, settings, seeds and queries become cases, in which order."""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from .. import plugins, provenance, records
from ..errors import InvalidValue, PluginFault, UnknownName, said
from ..measurement.case import Case, plain, setting_slug, slug_of
from ..mitigation import Needs, Stage
from ..mitigation.composition import Composition, Part
from ..mitigation.elsewhere import check_seeds
from ..plugins import GROUPS, Broken
from ..queries import Attack
from ..schema.record import Identity
from ..schema.run import PlanEntry
from ..testbed import Testbed
from . import left_out
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
    left_out: str = ""
    """Why the case is not measured; empty where it is."""

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

    def entry(self) -> PlanEntry:
        """What the controller, which loads no plugin, knows of the case."""
        return {**self.identity(), "weight": self.weight, "gpu": self.gpu}

    @property
    def leads(self) -> bool:
        """Whether other cases wait for the model that this one trains."""
        return self.family == BASELINE

    @property
    def gpu(self) -> bool:
        """Whether the case gains from a GPU."""
        return self.case is not None and self.case.testbed.gains_from_gpu

    @property
    def weight(self) -> float:
        """About how long the case takes with an empty store, in units of a query: a training takes as long as four."""
        return 5.0 if Stage.TRAINING.value in self.stages or self.family == BASELINE else 1.0


@dataclass(frozen=True)
class Row:
    """A row of the plan: the expression that it was made from, and what is known of it before any case is made.

    `setting` is its part of a slug. Where `made` is `Broken` in this process, the others are those of the process that
    made the plan.
    """

    expression: str
    made: Composition | Broken
    family: str
    setting: str = ""
    stages: tuple[str, ...] = ()

    @classmethod
    def of(cls, expression: str, made: Composition | Broken) -> Row:
        """The row of a composition, or of a broken plugin."""
        if isinstance(made, Broken):
            return cls(expression, made, made.name)
        stages = tuple(stage.value for stage in made.stages)
        return cls(expression, made, made.family, setting_slug(made), stages)

    def as_json(self) -> dict[str, Any]:
        """The row for other processes, and for this one when it goes on later."""
        entry: dict[str, Any] = {"expression": self.expression, "family": self.family}
        if isinstance(self.made, Broken):
            return {**entry, "broken": [self.made.name, self.made.origin, self.made.reason]}
        described = [[*part.described[:2], dict(part.parameters)] for part in self.made.parts]
        return {**entry, "setting": self.setting, "stages": list(self.stages), "parts": json.loads(json.dumps(described))}

    @classmethod
    def restored(cls, entry: Mapping[str, Any]) -> Row:
        """The row that another process planned, made here of its family and parameters, or `Broken`."""
        if "broken" in entry:
            return cls(entry["expression"], Broken(*entry["broken"]), entry["family"])
        described = cls(entry["expression"], Composition(), entry["family"], entry["setting"], tuple(entry["stages"]))
        return replace(described, made=plugins.remade(entry["expression"], [values for *_, values in entry["parts"]]))


def cases(options: Options, run: Path | None = None) -> list[Planned]:
    """All cases that are measured (see `every`), each with a slug of its own and its place in the plan."""
    return measured(every(options, run))


def measured(planned: Iterable[Planned]) -> list[Planned]:
    """Those of a plan that are not left out, each with a slug of its own and its place."""
    return _with_distinct_slugs([one for one in planned if not one.left_out])


def every(options: Options, run: Path | None = None) -> list[Planned]:
    """All cases, the baseline first, rows that share weights next to each other, cases of one seed together.

    Those that the quick profile leaves out are among them, where the user names no mitigation. The rows are made once for
    a `run`, by whichever process comes first; all others make theirs of what it wrote there.

    Raises UnknownName, InvalidValue or PluginFault for a mistake of the user; a broken plugin that the user did not
    name is a Planned of its own.
    """
    profile = options.chosen_profile()
    seeds = options.seed_list()
    broken = [Row.of(fault.name, fault) for fault in _broken_queries(options, profile)]
    rows = _agreed([*_rows(options, profile), *broken], options, run)
    unusable = {row.family.removeprefix("query-") for row in (*rows, *broken) if row.family.startswith("query-")}
    testbeds = agreed_objects("testbed", _testbeds(options.testbed_list()), options, run)
    asked = dict.fromkeys(name for bed in testbeds.values() for name in _queries(options, profile, bed))
    made = agreed_objects("query", {name: _query(name) for name in asked if name not in unusable}, options, run)
    planned, selects = [], not (profile.every_setting or options.mitigations)
    for (name, testbed), seed in product(testbeds.items(), seeds):
        queries = tuple((query, made[query]) for query in _queries(options, profile, testbed) if query in made)
        for row in rows:
            if not isinstance(row.made, Broken):
                check_seeds(row.made, seeds)
        named = [row.made for row in rows if row.expression in options.mitigations and not isinstance(row.made, Broken)]
        testbed.check_rows(len(queries), forgetting=any(Needs.FORGET in made.needs for made in named))
        solver = _solver(testbed, options.solver)
        for row in rows:
            slug = slug_of(name, row.family, row.setting, seed)
            if isinstance(row.made, Broken):
                planned.append(Planned(slug, name, row.family, row.stages, broken=row.made))
                continue
            case = Case(name, testbed, row.made, seed, queries, solver)
            why = (selects and row.family != BASELINE and left_out.reason(row.made, name)) or ""
            planned.append(Planned(slug, name, row.family, row.stages, case=case, left_out=why))
    return planned


def _agreed(rows: list[Row], options: Options, run: Path | None) -> list[Row]:
    """The rows of the run: these, or those that another process wrote first. A row of equal content is not made anew."""
    if run is None:
        return rows
    entries = [row.as_json() for row in rows]
    written: list[dict[str, Any]] = _first("rows", entries, options, run)
    known = list(zip(entries, rows, strict=True))
    return [next((row for mine, row in known if mine == entry), None) or Row.restored(entry) for entry in written]


def agreed_objects(kind: str, made: dict[str, Any], options: Options, run: Path | None) -> dict[str, Any]:
    """Testbeds or queries by name, with the fields that they have in the process which came first.

    Raises PluginFault for one whose fields differ from process to process and do not follow from what it is given.
    """
    if run is None:
        return made
    mine = {name: provenance.describe(one) for name, one in made.items()}
    planned = {**mine, **_first(kind, mine, options, run)}
    return {name: _as_planned(f"{kind} {name}", one, mine[name], planned[name]) for name, one in made.items()}


def _as_planned(where: str, one: Any, mine: Mapping[str, Any], planned: Mapping[str, Any]) -> Any:
    if mine == planned:
        return one
    values = {name: plugins.tuples(value) for name, value in planned.items() if name != "class"}
    try:
        again = replace(one, **values)
        if provenance.describe(again) == planned:
            return again
        found = f"fields {provenance.describe(again)}"
    except Exception as cause:
        found = said(cause)
    cure = "Let its fields follow from what is given to the class alone."
    raise PluginFault(where, found, f"{dict(planned)}, as another process has them", cure)


def _first(name: str, value: Any, options: Options, run: Path) -> Any:
    """What the process that came first wrote under a name; this one's value, as JSON has it, if it comes first."""
    key = json.dumps([name, os.environ.get("PYTEST_XDIST_TESTRUNUID"), asdict(options)])  # --resume makes a new plan
    path = run / "plans" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    return json.loads(records.write_first(path, json.dumps(value)))


def testbed_cases(options: Options) -> list[Planned]:
    """One case a testbed and seed, without any mitigation: power and the cost of marking."""
    bare = cases(replace(options, mitigations=(BASELINE,)))
    return [
        replace(planned, slug=f"{plain(planned.testbed)}-s{planned.case.seed}", event="testbed")
        for planned in bare
        if planned.case is not None
    ]


def _rows(options: Options, profile: Profile) -> Iterator[Row]:
    """The compositions of the table; the baseline is always one of them."""
    families = [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]
    names = options.mitigations or tuple(families)
    rows: list[Row] = []
    for name in dict.fromkeys((BASELINE, *names, *options.foreign())):
        if name in families:
            rows += (Row.of(name, made) for made in _family(name, profile, named=bool(options.mitigations)))
        else:
            rows.append(Row.of(name, plugins.compose(name)))
    if options.mitigations and options.references:
        rows += (Row.of(name, made) for name in _references(rows) for made in _family(name, profile, named=True))
    order = {stage: index for index, stage in enumerate(("none", "sampling", "post-hoc", "training"))}
    yield from sorted(rows, key=lambda row: 9 if isinstance(row.made, Broken) else order.get(row.made.stage, 5))


def _references(rows: Sequence[Row]) -> list[str]:
    """The families of the reference curves of the stages in which rows act, but for those of which a setting is there.

    Controls have no verdict, so that they bring none.
    """
    made = [row.made for row in rows if not isinstance(row.made, Broken)]
    stages = {stage for each in made if not each.control for stage in each.stages}
    if not stages:
        return []
    own = (plugins.published(plugin.name) for plugin in plugins.discover(GROUPS["mitigation"]) if plugin.own)
    curves = [Composition((part,)) for part in own if isinstance(part, Part)]
    found = [curve.family for curve in curves if curve.reference_curve and stages & {*curve.stages}]
    return [name for name in found if name not in {row.family for row in rows}]


def _family(name: str, profile: Profile, *, named: bool) -> Iterable[Composition | Broken]:
    """The rows of a family that a profile has. Raises PluginFault where it is broken and the user `named` it."""
    default = plugins.published(name)
    if isinstance(default, Part) and not (profile.every_setting or Composition((default,)).reference_curve):
        return [Composition((default,))]
    settings = plugins.family(name)
    if isinstance(settings, Broken):
        if named:
            cure = f"Repair or uninstall {settings.origin}."
            raise PluginFault(f"mitigation {name}", settings.reason, "a plugin that loads", cure)
        return [settings]
    sparse = not profile.every_setting and settings[0].mitigation.stage is not Stage.SAMPLING
    chosen = settings[::-2][1::-1] if sparse else settings  # the baseline is the first point of the curve
    return [Composition((part,)) for part in chosen]


def _testbeds(names: Sequence[str]) -> dict[str, Testbed]:
    """The testbeds by their labels. Raises InvalidValue for two that would have one label."""
    found: dict[str, Testbed] = {}
    for label, testbed in map(_testbed, names):
        if found.setdefault(label, testbed) != testbed:
            cure = "Rename one of the files of settings: its name becomes that of the testbed."
            raise InvalidValue("--testbed", f"two different testbeds {label}", "a name of its own for each", cure)
    return found


def _testbed(name: str) -> tuple[str, Testbed]:
    label, testbed = plugins.testbed(name)
    if not isinstance(testbed, Testbed):
        cure = "Subclass solidmark.testbed.Testbed."
        raise PluginFault(f"testbed {name}", type(testbed).__name__, "a Testbed", cure)
    return label, testbed


def _queries(options: Options, profile: Profile, testbed: Testbed) -> list[str]:
    """The names of the queries, with those that the testbed needs; `outpaint` leads where it is among them."""
    installed = [plugin.name for plugin in plugins.discover(GROUPS["query"])]
    chosen = [*(profile.queries or installed), *testbed.queries]
    names = [name.strip() for name in options.queries.split(",")] if options.queries else chosen
    return sorted(dict.fromkeys(names), key=lambda name: name != "outpaint")


def _broken_queries(options: Options, profile: Profile) -> list[Broken]:
    """The queries of other packages that nobody named and that cannot be used, where all installed ones are asked."""
    if options.queries or profile.queries:
        return []
    broken: list[Broken] = []
    for plugin in plugins.discover(GROUPS["query"]):
        try:
            _query(plugin.name)
        except PluginFault as fault:
            if plugin.own:
                raise
            broken.append(Broken(f"query-{plugin.name}", plugin.origin, str(fault.found)))
    return broken


def _query(name: str) -> Attack:
    """The query of that name. Raises PluginFault."""
    query = plugins.instance(GROUPS["query"], "query", name)
    if not isinstance(query, Attack):
        cure = "Subclass solidmark.api.Attack."
        raise PluginFault(f"query {name}", type(query).__name__, "an Attack", cure)
    return query


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
