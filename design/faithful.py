"""M by `outpaint` of single rows on digits, one seed, and what their parts report: the numbers of `faithful.md`.

Of an edit it is M of the forgotten images (target) and of the others (retained).

python design/faithful.py none agc 'agc(threshold=0.8)' fpan
python design/faithful.py none random-token 'prss(search=1.0, gate=1.0, ramp=0.67)'
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from solidmark import plugins
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store


def row(expression: str, folder: Path, seed: int = 0) -> str:
    """The line of a row."""
    testbed = plugins.instance("solidmark.testbeds", "testbed", "digits")
    composition = Composition() if expression == "none" else plugins.compose(expression)
    solver = testbed.solvers["fast"]
    case = Case("digits", testbed, composition, seed, (("outpaint", Outpaint()),), solver)
    workspace = Workspace(Store(folder), "cpu")
    model, builds = weights.edit_or_load(case, workspace)
    responses = answers.ask_query(case, case.leading, model, workspace, case.blind)
    rows = case.groups["target"]  # the forget list, or all
    m = scores.memorization(np.asarray(responses.trained)[rows], case.truth.trained_keys.double().numpy()[rows])
    told = {**builds["training"].reported, **builds["editing"].reported, **responses.doses}
    return f"{expression}: M {m.value:.2f} [{m.low:.2f}, {m.high:.2f}] {told or ''}"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        for asked in sys.argv[1:]:
            print(row(asked, Path(place)), flush=True)
