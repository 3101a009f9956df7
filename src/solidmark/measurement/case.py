"""A case: testbed x mitigation x seed, and the workspace in which it is measured."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property

from .. import provenance, records
from ..mitigation.composition import Composition
from ..progress import Progress, silent
from ..queries import Attack
from ..sampling import Protocol
from ..store import Store, digest
from ..testbed import FAST, Testbed


@dataclass(frozen=True)
class Case:
    """One row and seed: what is trained, how it is asked. `queries` are (name, attack); the first one leads."""

    testbed_name: str
    testbed: Testbed
    composition: Composition
    seed: int
    queries: tuple[tuple[str, Attack], ...]
    protocol: Protocol = FAST

    @property
    def slug(self) -> str:
        """Plain ASCII for pytest ids: `digits-rna-0.5-s0`."""
        values = "-".join(plain(value) for part in self.composition.parts for value in part.telling.values())
        parts = (plain(self.testbed_name), plain(self.composition.family), values, f"s{self.seed}")
        return "-".join(part for part in parts if part)

    @cached_property
    def case_id(self) -> str:
        """Identity of the experiment: all that decides its outcome but machine and package versions."""
        return digest(
            {
                "benchmark": records.BENCHMARK_VERSION,
                "testbed": [self.testbed_name, self.testbed.version, provenance.describe(self.testbed)],
                "mitigation": self.composition.described(),
                "queries": [[name, provenance.describe(attack)] for name, attack in self.queries],
                "protocol": provenance.describe(self.protocol),
                "seed": self.seed,
            }
        )[:16]


def plain(value: object) -> str:
    """Letters, digits and `._+-` only, for pytest ids: `digits(trained=256)` becomes `digits-trained-256`."""
    text = f"{value:.3g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-") or "-"


@dataclass(frozen=True)
class Desk:
    """Where a case is worked on: the store of trained models, the device, and whoever watches."""

    store: Store
    device: str = "cpu"
    progress: Progress = field(default=silent, repr=False)
