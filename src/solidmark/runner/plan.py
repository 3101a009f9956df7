"""The plan of a run: which testbeds, mitigations, strengths, seeds and queries become cases, in which order."""

from __future__ import annotations

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
from ..testbed import Testbed
from .options import Profile, Wish

BASELINE = "none"


@dataclass(frozen=True)
class Planned:
    """One case of the plan, or the broken plugin that stands where its cases would."""

    slug: str
    testbed: str
    family: str
    stages: tuple[str, ...]
    case: Case | None = None
    broken: Broken | None = None
    event: str = "case"
    place: int = 0

    @property
    def case_id(self) -> str:
        """As in the record: the case's identity; that of a broken plugin is its slug."""
        if self.case is None:
            return self.slug
        return self.case.case_id if self.event == "case" else f"{self.event}-{self.case.case_id}"

    def identity(self) -> dict[str, Any]:
        """What a record says of its case whatever became of it. `place` orders rows as they were planned."""
        return {
            "event": self.event,
            "case_id": self.case_id,
            "slug": self.slug,
            "place": self.place,
            "testbed": self.testbed,
            "mitigation": self.case.composition.label if self.case is not None else self.family,
            "family": self.family,
        }

    @property
    def weight(self) -> float:
        """About how long it takes with an empty store, in units of a query: a training is worth four."""
        trains = self.case is not None and (Stage.TRAINING.value in self.stages or not self.stages)
        return 5.0 if trains else 1.0


def cases(wish: Wish) -> list[Planned]:
    """All cases, the baseline first, rows that share weights beside each other, cases of one seed together.

    Raises UnknownName, InvalidValue or PluginFault for what the user wrote wrongly; a broken plugin that
    nobody named is a Planned of its own.
    """
    profile = wish.chosen()
    seeds = wish.seed_list()
    rows = list(_rows(wish, profile))
    planned = []
    for name, seed in product(wish.testbed_list(), seeds):
        name, testbed = _testbed(name)
        queries = _queries(wish, profile, testbed)
        protocol = _protocol(testbed, wish.protocol)
        for row in rows:
            if isinstance(row, Broken):
                slug = f"{plain(name)}-{plain(row.name)}-s{seed}"
                planned.append(Planned(slug, name, row.name, (), broken=row))
                continue
            case = Case(name, testbed, row, seed, queries, protocol)
            stages = tuple(stage.value for stage in row.stages)
            planned.append(Planned(case.slug, name, row.family, stages, case=case))
    return _distinct(planned)


def arranged(weights: Sequence[float], workers: int) -> list[int]:
    """An order of tests in which `worksteal`, which gives each worker a run of equal length, wastes the least.

    Each run begins with trainings (weight above 1), dealt in turn, so that no worker waits for another's; rows
    that share a stored model follow, and are what idle workers steal.
    """
    heavy = [place for place, weight in enumerate(weights) if weight > 1]
    light = [place for place, weight in enumerate(weights) if weight <= 1]
    hands: list[list[int]] = [heavy[worker::workers] for worker in range(workers)]
    left = len(weights)
    for worker, hand in enumerate(hands):
        room = left // (workers - worker)
        while len(hand) < room and light:
            hand.append(light.pop(0))
        left -= len(hand)
    return [place for hand in hands for place in hand] + light


def testbed_cases(wish: Wish) -> list[Planned]:
    """One case a testbed and seed, without any mitigation: power and the cost of marking."""
    bare = [one for one in cases(replace(wish, mitigations=(BASELINE,))) if one.case is not None]
    return [
        replace(one, slug=f"{plain(one.testbed)}-s{one.case.seed}", event="testbed") for one in bare if one.case is not None
    ]


def _rows(wish: Wish, profile: Profile) -> Iterator[Composition | Broken]:
    """The compositions of the table; the baseline is always one of them."""
    names = wish.mitigations or tuple(plugin.name for plugin in plugins.discover(GROUPS["mitigation"]))
    known = {plugin.name for plugin in plugins.discover(GROUPS["mitigation"])}
    found: list[Composition | Broken] = []
    for name in dict.fromkeys((BASELINE, *names)):
        if name in known:
            found += _family(name, profile, asked=bool(wish.mitigations))
        else:
            found.append(plugins.compose(name))
    order = {stage: place for place, stage in enumerate(("none", "sampling", "post-hoc", "training"))}
    yield from sorted(found, key=lambda row: 9 if isinstance(row, Broken) else order.get(row.stage, 5))


def _family(name: str, profile: Profile, *, asked: bool) -> Iterable[Composition | Broken]:
    default = plugins.published(name)
    if isinstance(default, Part) and not (profile.every_strength or default.mitigation.reference_curve):
        return [Composition((default,))]
    strengths = plugins.family(name)
    if isinstance(strengths, Broken):
        if asked:
            cure = f"Mend or uninstall {strengths.origin}."
            raise PluginFault(f"mitigation {name}", strengths.reason, "a plugin that loads", cure)
        return [strengths]
    sparse = not profile.every_strength and strengths[0].mitigation.stage is not Stage.SAMPLING
    chosen = strengths[::-2][::-1] if sparse else strengths
    return [Composition((part,)) for part in chosen]


def _testbed(name: str) -> tuple[str, Testbed]:
    label, testbed = plugins.testbed(name)
    if not isinstance(testbed, Testbed):
        cure = "Subclass solidmark.testbed.Testbed."
        raise PluginFault(f"testbed {name}", type(testbed).__name__, "a Testbed", cure)
    return label, testbed


def _queries(wish: Wish, profile: Profile, testbed: Testbed) -> tuple[tuple[str, Any], ...]:
    """The queries by name, those that the testbed needs among them; `outpaint` leads where it is asked."""
    found = [plugin.name for plugin in plugins.discover(GROUPS["query"])]
    chosen = [*(profile.queries or found), *testbed.queries]
    names = [name.strip() for name in wish.queries.split(",")] if wish.queries else chosen
    names = sorted(dict.fromkeys(names), key=lambda name: name != "outpaint")
    return tuple((name, plugins.instance(GROUPS["query"], "query", name)) for name in names)


def _protocol(testbed: Testbed, name: str) -> Any:
    if name not in testbed.protocols:
        raise UnknownName.among("--protocol", name, testbed.protocols)
    return testbed.protocols[name]


def _distinct(planned: Sequence[Planned]) -> list[Planned]:
    """Ids are distinct: a second case of the same slug gets a number."""
    seen: dict[str, int] = {}
    out: list[Planned] = []
    for one in planned:
        seen[one.slug] = seen.get(one.slug, 0) + 1
        slug = one.slug if seen[one.slug] == 1 else f"{one.slug}-{seen[one.slug]}"
        out.append(replace(one, slug=slug, place=len(out)))
    return out
