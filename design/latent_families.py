"""Does every mitigation and query keep the rules on a latent model? A line each; ends with 1 where one breaks them.

    python design/latent_families.py              # all, about two minutes of a core
    python design/latent_families.py rna grid     # some

It is `solidmark.testing.examine` on the toy of kind `latent`, whose published default settings are cut to a few rounds
where they take minutes. `refused` is NotApplicable, with its reason; `nothing changed` is said of a toy that learns nothing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import fields, replace
from typing import Any

import torch

from solidmark import plugins
from solidmark.plugins import GROUPS
from solidmark.testing import examine

SHORT = {"updates": 2, "iterations": 2, "rounds": 2, "search": 2, "samples": 16, "timesteps": 2, "candidates": 2}
"""Parameters that say how long a method works, and what they are here at most."""


def shortened(plugin: plugins.Plugin, kind: str) -> Any:
    """The mitigation or query at its default, a mitigation with few rounds."""
    made = plugins.instance(GROUPS[kind], kind, plugin.name)
    given = {f.name: getattr(made, f.name) for f in fields(made)} if kind == "mitigation" else {}
    return replace(made, **{name: least for name, least in SHORT.items() if given.get(name, 0) > least})


def main(names: list[str]) -> int:
    """Examine these mitigations and queries, or all."""
    torch.set_num_threads(1)
    every = [(plugin, kind) for kind in ("mitigation", "query") for plugin in plugins.discover(GROUPS[kind])]
    broken = 0
    for plugin, kind in [one for one in every if not names or one[0].name in names]:
        clock = time.process_time()
        found = examine(shortened(plugin, kind), ("latent",))
        faults = [fault for fault in found.faults if not (found.refused and "works on no kind" in fault)]
        told = "; ".join([*faults, *found.refused.values(), *found.notes]) or "ok"
        print(f"{plugin.name:28s} {time.process_time() - clock:5.1f} s  {told}", flush=True)
        broken += bool(faults)
    return broken > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
