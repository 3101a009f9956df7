"""Stated ranges: each parameter is accepted at the ends that its own error states, and refused just beyond them."""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import replace

import pytest
from worlds import digits

from solidmark import plugins
from solidmark.errors import InvalidValue
from solidmark.marks import Blocks, Border, Patch
from solidmark.mitigation import Mitigation
from solidmark.mitigation.composition import Part
from solidmark.models import Autoencoder, Recipe
from solidmark.models.schedule import Schedule, ScheduleConfig
from solidmark.plugins import GROUPS
from solidmark.queries import Attack
from solidmark.sampling import SolverConfig

BETWEEN = re.compile(r"a number in ([\[(])(-?[\d.]+), (-?[\d.]+)([\])])")
FROM = re.compile(r"(?:a |whole |finite |number |of )*at least (\d+)")
CHOICES = re.compile(r'"(\w)" or "(\w)"')


def beyond(end: float, way: float, whole: bool) -> float:
    """The nearest number on that side of an end; the nearest whole one where whole numbers are meant."""
    return end + way if whole else math.nextafter(end, way * math.inf)


def ends(text: str, default: object) -> tuple[list[object], list[object]]:
    """The values at the ends of a range in words, inside it and just beyond it."""
    plain = text.removesuffix(", or None for the recipe's").removeprefix("None or ")
    inside, outside = ([None], []) if plain != text else ([], [])
    if found := BETWEEN.fullmatch(plain):
        for end, closed, way in ((found[2], found[1] == "[", -1), (found[3], found[4] == "]", 1)):
            near = beyond(float(end), -way, False)
            inside.append(float(end) if closed else near)
            outside.append(beyond(float(end), way, False) if closed else float(end))
        return inside, outside
    if found := FROM.fullmatch(plain):
        whole = isinstance(default, int | None) and "finite" not in plain
        return [*inside, int(found[1])], [*outside, beyond(int(found[1]), -1, whole), *([] if whole else [math.inf])]
    return {
        "a finite number": ([-1e300, 1e300], [-math.inf, math.inf]),
        "a positive number": ([5e-324], [0.0, math.inf]),
        "a positive finite number": ([5e-324], [0.0, math.inf]),
        "a finite positive number": ([5e-324], [0.0, math.inf]),
        "1 to 50": ([1, 50], [0, 51]),
        "True or False": ([True, False], [0, "x"]),
        "the name of a file, or none": ([""], [0]),
        "the digest of the file, or none": ([""], ["0"]),
        '"x" or "u"': (["x", "u"], ["", "xu"]),
        '"uniform" or "class"': (["uniform", "class"], [""]),
        "a number above low and up to 1": ([1.0], [math.nextafter(1, 2)]),
    }[plain]


def stated() -> list[tuple[type[Mitigation], str, str, object]]:
    """Class, parameter, range in words, and default of every parameter of our own mitigations."""
    found = []
    for plugin in plugins.discover(GROUPS["mitigation"]):
        kind = type(plugins.published(plugin.name).mitigation)
        for field in dataclasses.fields(kind):
            with pytest.raises(InvalidValue) as refused:
                kind(**{field.name: math.nan})
            assert refused.value.where == f"{kind.__name__}.{field.name}"
            found.append((kind, field.name, refused.value.expected, field.default))
    return found


STATED = stated()
IDS = [f"{kind.__name__}.{name}" for kind, name, *_ in STATED]
UNBOUNDED = {"EmbeddingOptimisation.learning_rate"}
UNBOUNDED |= {f"{kind}.threshold" for kind in ("AntiGradientControl", "IterativeEnsembleTraining", "RedistributedEnsemble")}
"""Infinity is refused where a part is made of them, as of every class, and not by the class itself."""
DEPENDENT = {"DangerZone.low", "TimeFrequencyAscent.low"}
"""Their upper end cannot be had: another parameter has to lie above it."""


@pytest.mark.parametrize(("kind", "name", "text", "default"), STATED, ids=IDS)
def test_a_parameter_is_accepted_at_the_ends_of_its_stated_range_and_refused_just_beyond(kind, name, text, default):
    inside, outside = ends(text, default)
    for value in inside[:1] if f"{kind.__name__}.{name}" in DEPENDENT else inside:
        assert getattr(kind(**{name: value}), name) == value
    for value in outside:
        late = value == math.inf and f"{kind.__name__}.{name}" in UNBOUNDED
        with pytest.raises(InvalidValue, match=rf"\.{name}: found "):
            Part("family", kind(**{name: value})).checked() if late else kind(**{name: value})


def test_the_dangerous_range_of_steps_has_its_ends_in_order():
    kind = type(plugins.published("danger-zone").mitigation)
    assert kind(low=0.2, high=math.nextafter(0.2, 1)).low == 0.2
    with pytest.raises(InvalidValue, match=r"\.high: found 0\.2"):
        kind(low=0.2, high=0.2)


def query(name: str) -> Attack:
    """A query of ours with its defaults."""
    return plugins.instance(GROUPS["query"], "query", name)


ENDS = [
    (Recipe(), "train_steps", [1], [0]),
    (Recipe(), "batch", [1], [0]),
    (Recipe(), "learning_rate", [5e-324], [0.0, math.inf, math.nan]),
    (Recipe(), "caption_dropout", [0.0, 1.0], [-5e-324, math.nextafter(1, 2), math.nan]),
    (Recipe(), "adapter_rank", [0], [-1]),
    (Recipe(), "accumulate", [1, 32], [0, 33]),
    (SolverConfig(), "steps", [1], [0]),
    (SolverConfig(), "batch", [1], [0]),
    (SolverConfig(), "rounds", [1], [0]),
    (SolverConfig(), "reencode", [0], [-1]),
    (SolverConfig(), "eta", [0.0, 1.0], [-5e-324, math.nextafter(1, 2)]),
    (SolverConfig(), "strength", [5e-324, 1.0], [0.0, math.nextafter(1, 2)]),
    (SolverConfig(), "guidance", [-1e300], [math.inf, math.nan]),
    (Border(), "thickness", [1], [0]),
    (Border(), "segments", [1], [0]),
    (Patch(), "side", [1], [0]),
    (Patch(), "segments", [1], [0]),
    (Blocks(), "size", [1], [0]),
    (digits(held_out=64), "trained", [3, 64], [2, 65]),
    (digits(trained=16), "queried", [3], [2]),
    (digits(trained=16), "held_out", [16], [15]),
    (digits(), "held_out", [64], [63]),
    (digits(), "generated", [16], [15]),
    (digits(), "forget_share", [5e-324, math.nextafter(1, 0)], [0.0, 1.0]),
    (query("cyclic"), "cycles", [1], [0]),
    (query("cyclic"), "strength", [5e-324, 1.0], [0.0, math.nextafter(1, 2)]),
    (query("average"), "draws", [1], [0]),
    (query("median"), "draws", [1], [0]),
    (query("resample"), "rounds", [1], [0]),
    (query("likelihood"), "proposals", [1], [0]),
    (query("likelihood"), "steps", [1], [0]),
    (query("grid"), "proposals", [1], [0]),
    (query("grid"), "grays", [2], [1]),
    (query("grid"), "segments", [1], [0]),
    (query("embedding"), "updates", [1], [0]),
    (query("embedding"), "draws", [1], [0]),
    (query("embedding"), "rate", [5e-324], [0.0]),
    (query("relearn"), "updates", [1], [0]),
    (query("relearn"), "batch", [1], [0]),
    (query("relearn"), "rate", [5e-324], [0.0]),
    (Autoencoder(), "train_steps", [1], [0]),
    (Autoencoder(), "batch", [1], [0]),
    (Autoencoder(), "learning_rate", [5e-324], [0.0]),
    (Autoencoder(), "divergence", [0.0], [-5e-324]),
    (ScheduleConfig(), "steps", [1], [0]),
    (ScheduleConfig(), "offset", [0], [-1]),
    (digits(trained=16), "forget", [(0, 1, 15), tuple(range(13))], [(0, 1), (0, 1, 16), (-1, 0, 1), tuple(range(14))]),
]


@pytest.mark.parametrize(("plain", "name", "inside", "outside"), ENDS, ids=[f"{type(p).__name__}.{n}" for p, n, *_ in ENDS])
def test_numbers_of_the_suite_are_accepted_at_the_ends_of_their_range_and_refused_just_beyond(plain, name, inside, outside):
    for value in inside:
        assert getattr(replace(plain, **{name: value}), name) == value
    for value in outside:
        with pytest.raises(InvalidValue, match=type(plain).__name__):
            replace(plain, **{name: value})


def test_a_schedule_has_one_to_all_of_its_steps():
    schedule = Schedule(ScheduleConfig("linear", 7))
    assert (schedule.times(1), schedule.times(7)) == ([0], [6, 5, 4, 3, 2, 1, 0])
    for steps in (0, 8):
        with pytest.raises(InvalidValue, match="1 to 7"):
            schedule.times(steps)
