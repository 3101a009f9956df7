"""What one more row costs, where its model is in the store."""

from __future__ import annotations

import tempfile
from pathlib import Path

from solidmark import training
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.measure import measure
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.run import TrainingSet
from solidmark.runner.options import Options
from solidmark.runner.plan import cases
from solidmark.store import Store, default_root

from .line import Line, seconds
from .queries import trained

MOST = 1.0
"""A sampling-side row shall cost no more than a training of the unmitigated model."""


def row() -> list[Line]:
    """A sampling-side row of the quick profile, over a training of its baseline."""
    testbed, _ = trained("digits")
    case = _case("gni")
    with tempfile.TemporaryDirectory() as folder:
        workspace = Workspace(Store(default_root()))
        measure(_case("none"), workspace, Path(folder))  # what all rows share: baseline, judge, reference answers
        took = seconds(lambda: measure(case, workspace, Path(folder)))
    split = testbed.split(0)
    whole = TrainingSet(split.training, split.training_keys, split.mark)
    once = seconds(lambda: training.train(testbed.recipe, whole, Composition(), 0))
    asked = sum(query.cost(case.solver) for _, query in case.queries)
    remark = f"{asked:.0f} evaluations an image in its queries; the training {once:.0f} s here"
    return [Line("digits: one more sampling-side row, over a training", took / once, "x", most=MOST, remark=remark)]


def _case(mitigation: str) -> Case:
    planned = cases(Options(testbeds=("digits",), mitigations=(mitigation,), seeds="0"))
    made = [one.case for one in planned if one.case is not None and one.family == mitigation]
    return made[0]
