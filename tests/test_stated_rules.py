"""What authors state, at its ends: claims and their weaker direction, reports and doses, the width of a memorizer."""

import math
from types import SimpleNamespace

import pytest
import torch

from solidmark.data import Examples
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation.claims import Claim, Origin
from solidmark.mitigation.handout import Data
from solidmark.mitigation.needs import Needs
from solidmark.models import memorizer

DIRECTIONS = [
    ("ratio", None, 0.4, ("ratio", None, 1.0)),  # it falls
    ("ratio", 0.9, None, ("ratio", 0.9, None)),  # it stays, or rises: as stated
    ("ratio", 0.9, 1.1, ("ratio", 0.9, 1.1)),
    ("memorization", None, 0.2, ("ratio", None, 1.0)),
    ("memorization", 0.1, 0.2, ("ratio", None, 1.0)),
    ("memorization", 0.5, None, ("memorization", 0.5, None)),
    ("difference", 0.2, None, ("difference", 0.0, None)),
    ("difference", None, -0.1, ("difference", None, 0.0)),
]


@pytest.mark.parametrize(("measure", "above", "below", "weaker"), DIRECTIONS)
def test_the_direction_of_a_claim_is_its_weaker_form(measure, above, below, weaker):
    claim = Claim("Stated.", measure, above=above, below=below, against="", premise=0.3, query="grid")
    found = claim.direction
    assert (found.measure, found.above, found.below) == weaker
    assert (found.text, found.against, found.premise, found.query) == ("Stated.", "", 0.3, "grid")


@pytest.mark.parametrize(
    ("claim", "rule"),
    [
        (Claim("x", below=0.4), "The ratio lies below 0.4."),
        (Claim("x", "memorization", above=0.1, below=0.25), "The M lies above 0.1 and below 0.25."),
        (
            Claim("x", "difference", above=0.0, premise=0.5),
            "The difference lies above 0. It speaks where M is below 0.5 before.",
        ),
    ],
)
def test_the_rule_of_a_claim_is_told_with_every_bound(claim, rule):
    assert claim.rule == rule


@pytest.mark.parametrize(
    ("against_query", "copies", "shown"), [("", ("ratio",), True), ("", (), False), ("outpaint", ("ratio",), False)]
)
def test_pictures_can_show_a_claim_of_one_query_with_a_measure_of_them(against_query, copies, shown):
    assert Claim("x", below=1.0, against_query=against_query, origin=Origin(copies=copies)).by_pictures is shown


@pytest.mark.parametrize("bounds", [{}, {"below": math.inf}, {"above": math.nan}, {"above": 0.1, "below": -math.inf}])
def test_a_claim_has_finite_bounds_a_known_measure_and_a_testbed(bounds):
    with pytest.raises(InvalidValue, match="a finite bound"):
        Claim("x", **bounds)
    with pytest.raises(InvalidValue, match="one of ratio, difference, memorization"):
        Claim("x", "median", below=1.0)
    with pytest.raises(InvalidValue, match="at least one testbed"):
        Origin(testbeds=())


FINE = [("words", "a word"), ("none", None), ("truth", True), ("large", math.nextafter(1e300, 0)), ("epsilon", None)]
WRONG = [("large", 1e300), ("low", -1e300), ("nan", math.nan), ("epsilon", "low"), ("delta", True), ("many", [1.0])]


@pytest.mark.parametrize(("name", "value"), FINE)
def test_a_report_is_plain_and_finite_and_made_once(name, value):
    data = Data(Needs.NOTHING, "mine")
    data.report(name, value)
    assert data.reported == {name: value}
    with pytest.raises(InvalidValue, match="one report a name"):
        data.report(name, value)


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_other_reports_are_refused_and_nothing_is_kept(name, value):
    data = Data(Needs.NOTHING, "mine")
    with pytest.raises(InvalidValue, match=f"mitigation mine, report of {name}"):
        data.report(name, value)
    assert data.reported == {}
    with pytest.raises(InvalidValue, match="a report while sampling"):
        Data(Needs.NOTHING, "mine", sampled=True).report("a", 1)


def test_a_dose_is_the_mean_of_all_numbers_not_of_the_calls():
    data = Data(Needs.NOTHING, "mine")
    data.dose("norm", torch.tensor([[1.0, 2.0], [3.0, 6.0]]))
    data.dose("norm", 8.0)
    data.dose("nothing", torch.zeros(0))
    assert data.doses == {"norm": 4.0}


def test_what_is_handed_out_is_declared_and_there():
    forget, retain = object(), object()
    data = Data(Needs.FORGET, "mine", forget=forget, retain=retain, calibration=object(), first_half=object())
    assert (data.forget, data.retain) == (forget, retain)
    for name in ("calibration", "halves", "base_model", "training_images"):
        with pytest.raises(InvalidValue, match=r"needs \['forget list'\].*declared"):
            getattr(data, name)
    with pytest.raises(NotApplicable, match="none on this testbed"):
        _ = Data(Needs.FORGET, "mine", forget=forget).retain
    with pytest.raises(InvalidValue, match="none outside an edit"):
        _ = data.recipe
    assert Data(Needs.NOTHING, "mine", recipe=forget).recipe is forget


@pytest.mark.parametrize(
    ("captions", "width"),
    [
        ([0.0, 3.0, 3.0, 5.0], 2 / 32**0.5),
        ([1.0, 1.0, 1.0], memorizer.WIDTH),
        ([], memorizer.WIDTH),
        ([4.0], memorizer.WIDTH),
    ],
)
def test_the_width_of_a_memorizer_is_set_by_the_two_nearest_captions_that_differ(monkeypatch, captions, width):
    asked = []
    monkeypatch.setattr(memorizer, "posterior_mean", lambda *given: asked.append(given[-1]) or torch.zeros(1, 1, 1, 1))
    monkeypatch.setattr(memorizer, "RECALLS", {})
    rows = torch.tensor(captions or [0.0] * 3).view(-1, 1)[:, : bool(captions)]
    model = type(
        "Model", (), {"encode": lambda _, x: x, "embed": lambda _, texts: rows if len(texts) > 1 or texts[0] else rows[:1]}
    )
    one = model()
    one.schedule = SimpleNamespace(alpha=lambda t: torch.ones(1, 1, 1, 1), sigma=lambda t: torch.ones(1, 1, 1, 1))
    one.config = SimpleNamespace(prediction="sample")
    memorizer.memorize(one, Examples(torch.zeros(len(rows), 1, 1, 1), ["a"] * len(rows), [*range(len(rows))]))
    memorizer.RECALLS[one](torch.zeros(1, 1, 1, 1), 0, rows[:1])
    assert asked == [pytest.approx(width)]
