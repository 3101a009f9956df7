"""A case: testbed x mitigation x seed, and the workspace in which it is measured."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from torch import Tensor

from .. import provenance, records
from ..errors import shortened
from ..mitigation import Needs
from ..mitigation.composition import Composition
from ..mitigation.crew import Crew
from ..progress import Progress, silent
from ..queries import Attack
from ..sampling import SolverConfig
from ..split import Split
from ..store import Store, digest
from ..testbed import FAST, Testbed
from .blind import BlindSplit, blind


@dataclass(frozen=True)
class Case:
    """One row and seed: what is trained, how it is asked. `queries` are (name, attack); the first one leads.

    `marked` off trains on blank marks, to tell what marks cost. With a `half` of 0 or 1 the training has every second row
    alone, from that one on.
    """

    testbed_name: str
    testbed: Testbed
    composition: Composition
    seed: int
    queries: tuple[tuple[str, Attack], ...]
    solver: SolverConfig = FAST
    marked: bool = True
    half: int | None = None

    @property
    def slug(self) -> str:
        """Plain ASCII for pytest ids: `digits-rna-0.5-s0`."""
        return slug_of(self.testbed_name, self.composition.family, setting_slug(self.composition), self.seed)

    @cached_property
    def case_id(self) -> str:
        """Identity of the experiment: all that decides its outcome but machine and package versions."""
        return digest(
            {
                "benchmark": records.BENCHMARK_VERSION,
                "testbed": [self.testbed_name, self.testbed.version, provenance.describe(self.testbed)],
                "mitigation": self.composition.described(),
                "queries": [[name, provenance.describe(attack)] for name, attack in self.queries],
                "solver": provenance.describe(self.solver),
                "seed": self.seed,
            }
        )[:16]

    @cached_property
    def blind(self) -> BlindSplit:
        """The split of this seed without its keys: what may be in reach while plugins run."""
        return blind(self.testbed, self.seed, self.composition.needs)

    @property
    def truth(self) -> Split:
        """The split with its keys, drawn anew at each call, so that it lies nowhere while plugins run."""
        return self.testbed.split(self.seed)

    @property
    def training_keys(self) -> Tensor | None:
        """The keys to train with, (N, S); None on blank marks."""
        return self.truth.training_keys if self.marked else None

    @property
    def leading(self) -> str:
        """The name of the leading query."""
        return self.queries[0][0]

    def attack(self, name: str) -> Attack:
        """The query of that name."""
        return dict(self.queries)[name]

    @property
    def groups(self) -> dict[str, list[int]]:
        """Which trained images the row answers for, as indices: the forget list where one was handed out, else all."""
        split = self.blind.split
        every = list(range(len(split.trained)))
        if Needs.FORGET not in self.composition.needs:
            return {"target": every}
        return {"target": split.forget, "retained": [index for index in every if index not in set(split.forget)]}


def slug_of(testbed: str, family: str, setting: str, seed: int) -> str:
    """A slug of its parts. `setting` may be empty."""
    return "-".join(part for part in (plain(testbed), plain(family), setting, f"s{seed}") if part)


def setting_slug(composition: Composition) -> str:
    """The parameters that tell a setting from others, in a slug, of at most 80 letters."""
    return shortened("-".join(plain(value) for part in composition.parts for value in part.distinguishing.values()))


def plain(value: object) -> str:
    """Letters, digits and `._+-` only, for pytest ids: `digits(trained=256)` becomes `digits-trained-256`."""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-") or "-"


@dataclass(frozen=True)
class Workspace:
    """Where a case is worked on: the store of trained models, the device, and whoever watches."""

    store: Store
    device: str = "cpu"
    progress: Progress = field(default=silent, repr=False)
    crew: Crew | None = None
    """The processes that share each training; None where this one trains alone."""

    def suited(self, testbed: Testbed) -> Workspace:
        """The same, on the CPU for a testbed that gains nothing from a GPU."""
        return self if testbed.gains_from_gpu else replace(self, device="cpu")

    def stored(
        self,
        kind: str,
        key: Mapping[str, object],
        modules: tuple[str, ...],
        build: Callable[[Path], None],
        label: str = "",
    ) -> Path:
        """The folder of a store entry, which `build(folder)` fills where it is missing; `label` says what it is of.

        `key` is what tells entries of a kind apart; what all of them follow from is added: the code of these `modules`
        of the core, the libraries, and the kind of device.
        """
        return self.store.get(kind, {**key, **self._common(modules)}, build, self.progress, label)

    def has(self, kind: str, key: Mapping[str, object], modules: tuple[str, ...]) -> bool:
        """Whether the store has such an entry."""
        return self.store.has(kind, {**key, **self._common(modules)})

    def unfinished(self, kind: str, key: Mapping[str, object], modules: tuple[str, ...]) -> Path:
        """A folder for what the building of such an entry has done so far."""
        return self.store.unfinished(kind, {**key, **self._common(modules)})

    def _common(self, modules: tuple[str, ...]) -> dict[str, object]:
        return {
            "core": provenance.core_digest(modules),
            "libraries": provenance.libraries(),
            "environment": provenance.environment_key(self.device),
        }
