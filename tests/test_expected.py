"""The baseline is gated: below what its testbed expects, no row of it is believed."""

import re
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
import worlds
from record_samples import case as recorded
from solidmark.fixtures.digits import Digits, QuickDigits
from solidmark.fixtures.digits_marks import FourKeys

from solidmark import plugins
from solidmark.leaderboard import build_leaderboard
from solidmark.measurement import expected
from solidmark.measurement.case import Case
from solidmark.mitigation.composition import Composition
from solidmark.queries.outpaint import Outpaint
from solidmark.records import Writer
from solidmark.runner.ending import Ending


def case(testbed, leading="outpaint", solver="fast"):
    return Case("mine", testbed, Composition(), 0, ((leading, Outpaint()),), testbed.solvers[solver])


@dataclass(frozen=True)
class Louder(Digits):
    """The same digits with other captions."""

    def captions(self, labels, rng):
        return super().captions(labels, rng)


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        (case(Digits()), 0.85),
        (case(QuickDigits()), 0.85),
        (case(FourKeys()), 0.8),
        (case(Digits(trained=256)), None),
        (case(Digits(), leading="average"), None),
        (case(Digits(), solver="ddim"), None),
        (case(worlds.tiny()), None),
        (case(Louder()), None),
    ],
)
def test_the_expectation_holds_for_what_trains_as_the_class_that_states_it(asked, least):
    assert expected.least_memorization(asked) == least


SHIPPED = [plugin for plugin in plugins.discover(plugins.GROUPS["testbed"]) if plugin.own]


@pytest.mark.parametrize("name", [plugin.name for plugin in SHIPPED])
def test_a_testbed_whose_expectation_has_a_number_is_gated_a_little_below(name):
    testbed = plugins.testbed(name)[1]
    stated = re.search(r"^M (?:of outpaint |about )?(0\.\d+)", testbed.expected)
    least = expected.least_memorization(case(testbed))
    if stated is not None and "where it is trained" not in testbed.expected:  # a user's own file says how long
        assert float(stated[1]) - 0.15 - 1e-9 <= least <= float(stated[1])


def test_a_row_that_nothing_gates_says_so_once_for_testbed_solver_and_query():
    assert expected.notes(case(Digits())) == []
    [told] = expected.notes(case(Digits(), solver="ddim"))
    assert told.startswith("mine by outpaint, solver ddim: nobody has stated which M the unmitigated model must have")
    assert expected.notes(case(Digits(), leading="average"))[0].startswith("mine by average, solver fast")


@pytest.mark.parametrize("forgotten", [0, 30])
def test_a_baseline_that_does_not_remember_is_a_fault_with_its_m(forgotten):
    asked = case(replace(QuickDigits(), generated=16))
    truth = asked.truth
    answers = truth.trained_keys.double().numpy().copy()
    answers[:forgotten] = 0.5
    found = expected.faults(asked, truth, SimpleNamespace(trained=answers))
    assert len(found) == (forgotten > 0)
    assert not found or "the unmitigated model of mine, seed 0: found M = +0.5" in found[0], found


def test_the_page_and_the_terminal_say_that_no_row_is_believed(tmp_path):
    fault = "the unmitigated model of digits-quick, seed 0: found M = +0.100"
    record = recorded(status="failed_check")
    record["controls"] |= {"faults": [fault], "sound": False}
    assert build_leaderboard([record]).notes == (f"NO ROW IS BELIEVED: {fault}",)
    Writer(tmp_path).write(record)
    assert f"NO ROW IS BELIEVED: {fault}" in Ending.of(tmp_path).table
