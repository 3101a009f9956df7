"""The rows that the claims of a testbed are about, as options of pytest; with `strongest` those that show reach as well.

python design/claims_rows.py digits strongest > rows.txt
pytest benchmark/test_memorization.py -n 2 @rows.txt --no-references --testbed digits-quick --solver ddim --seeds 0-2
"""

from __future__ import annotations

import sys
from collections import Counter

from solidmark.benchmark.claims import find_claims

from solidmark.mitigation.composition import Composition


def rows(testbed: str, strongest: bool) -> list[Composition]:
    """The baseline, what claims are about and compared with, and the strongest settings of these families, each once."""
    found = [stated for stated in find_claims() if testbed in stated.claim.origin.testbeds]
    asked = [Composition(), *(one for stated in found for one in (stated.composition, stated.against))]
    asked += [stated.sweep[-1] for stated in found if strongest]
    return list({one.label: one for one in asked}.values())


if __name__ == "__main__":
    every = rows(sys.argv[1], "strongest" in sys.argv)
    print(*(f"--mitigation={one.label}" for one in every), sep="\n")
    stages = Counter(stage.name.lower() for one in every for stage in one.stages)
    print(f"{len(every)} rows: {dict(stages)}", file=sys.stderr)
