"""M by `outpaint` of single rows on digits, one seed, and what their parts report: the numbers of `faithful.md`.

Of an edit it is M of the forgotten images (target). `zone` is no row: up to which share of the schedule a noised training
image points to one image.

python design/faithful.py none agc 'agc(threshold=0.8)' fpan
python design/faithful.py none random-token 'prss(search=1.0, gate=1.0, ramp=0.67)'
python design/faithful.py zone guard-attention
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from solidmark import plugins, seeds
from solidmark.measurement import answers, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores
from solidmark.mitigation.composition import Composition
from solidmark.models import build
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


def zone(least: float = 0.8, draws: int = 8) -> str:
    """The last share of the schedule of digits at which the mean largest posterior weight of a training image is `least`."""
    testbed = plugins.instance("solidmark.testbeds", "testbed", "digits")
    x = testbed.split(0).marked_training.images * 2 - 1
    schedule = build(testbed.recipe.network, seeds.torch_rng(0, "zone")).schedule
    noise, shares = torch.randn(draws * len(x), *x.shape[1:], generator=seeds.torch_rng(0, "zone", "noise")), []
    for t in range(schedule.steps):
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        noised = alpha * x.repeat(draws, 1, 1, 1) + sigma * noise
        squares = torch.cdist(noised.flatten(1), alpha * x.flatten(1)).square()
        shares.append(float((-squares / (2 * sigma**2)).softmax(dim=1).amax(dim=1).mean()))
    last = max(t for t, share in enumerate(shares) if share >= least) / schedule.steps
    return f"zone: the largest posterior weight is {least} or more up to {last:.2f} of the schedule"


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        for asked in sys.argv[1:]:
            print(zone() if asked == "zone" else row(asked, Path(place)), flush=True)
