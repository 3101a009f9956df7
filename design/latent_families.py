"""Does every mitigation keep the rules on a latent model? A line each; ends with 1 where one breaks them.

    python design/latent_families.py              # all, about four minutes of a core
    python design/latent_families.py rna sail     # some

It is `solidmark.testing.examine` on the toy of kind `latent`, whose published default settings are cut to a few rounds
where they take minutes. `refused` is NotApplicable, with its reason; `nothing changed` is said of a toy that learns nothing.
"""

from __future__ import annotations

import sys
import time
from dataclasses import fields, replace

import torch

from solidmark import Mitigation, plugins
from solidmark.plugins import GROUPS
from solidmark.testing import examine

SHORT = {"updates": 2, "iterations": 2, "rounds": 2, "search": 2, "samples": 16, "timesteps": 2, "candidates": 2}
"""Parameters that say how long a method works, and what they are here at most."""


def shortened(mitigation: Mitigation) -> Mitigation:
    """The same with few rounds."""
    given = {f.name: getattr(mitigation, f.name) for f in fields(mitigation)}
    return replace(mitigation, **{name: least for name, least in SHORT.items() if given.get(name, 0) > least})


def main(names: list[str]) -> int:
    """Examine these families, or all."""
    torch.set_num_threads(1)
    broken = 0
    for name in names or [plugin.name for plugin in plugins.discover(GROUPS["mitigation"])]:
        clock = time.process_time()
        found = examine(shortened(plugins.instance(GROUPS["mitigation"], "mitigation", name)), ("latent",))
        faults = [fault for fault in found.faults if not (found.refused and "works on no kind" in fault)]
        told = "; ".join([*faults, *found.refused.values(), *found.notes]) or "ok"
        print(f"{name:28s} {time.process_time() - clock:5.1f} s  {told}", flush=True)
        broken += bool(faults)
    return broken > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
