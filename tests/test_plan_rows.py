"""Which rows and queries a plan has, in which order, and what is told of plugins that cannot be used; nothing is made."""

from types import SimpleNamespace

import pytest

from solidmark import plugins
from solidmark.errors import PluginFault, UnknownName
from solidmark.mitigation import Stage
from solidmark.plugins import Broken
from solidmark.runner import plan
from solidmark.runner.options import Options, Profile

EVERY = Profile("every", (0,), True, None)
QUICK = Profile("quick", (0,), False, None)


@pytest.mark.parametrize(
    ("asked", "profile", "needed", "names"),
    [
        ("average,outpaint", ("median",), (), ["outpaint", "average"]),
        (" average , median,average", ("outpaint",), ("grid",), ["average", "median"]),
        (None, ("median", "outpaint"), ("grid", "median"), ["outpaint", "median", "grid"]),
    ],
)
def test_queries_are_those_named_else_those_of_profile_and_testbed_and_outpaint_leads(asked, profile, needed, names):
    chosen = Profile("mine", (0,), False, profile)
    assert plan._queries(Options(queries=asked), chosen, SimpleNamespace(queries=needed)) == names


def test_a_profile_without_queries_asks_all_that_are_installed():
    every = [plugin.name for plugin in plugins.discover(plugins.GROUPS["query"])]
    found = plan._queries(Options(), QUICK, SimpleNamespace(queries=()))
    assert (found[0], sorted(found)) == ("outpaint", sorted(every))


def broken(monkeypatch, own, options, profile):
    """What is told where the query `bad` cannot be used."""

    def load(name):
        if name == "bad":
            raise PluginFault("query bad", "no module", "an Attack", "Repair it.")

    listed = [SimpleNamespace(name=name, own=own, origin="theirs 1.0") for name in ("good", "bad")]
    monkeypatch.setattr(plugins, "discover", lambda group: listed)
    monkeypatch.setattr(plan, "_query", load)
    return plan._broken_queries(options, profile)


def test_a_query_of_others_that_nobody_named_is_told_and_one_of_ours_is_a_fault(monkeypatch):
    assert broken(monkeypatch, False, Options(), QUICK) == [Broken("query-bad", "theirs 1.0", "no module")]
    assert broken(monkeypatch, False, Options(queries="good"), QUICK) == []
    assert broken(monkeypatch, False, Options(), Profile("mine", (0,), False, ("good",))) == []
    with pytest.raises(PluginFault, match="query bad"):
        broken(monkeypatch, True, Options(), QUICK)


def settings(count, stage=Stage.TRAINING):
    return [SimpleNamespace(mitigation=SimpleNamespace(stage=stage), number=number) for number in range(count)]


def family(monkeypatch, parts, profile, *, reference=False, named=False):
    """The numbers of the settings that a profile has of a family."""
    part = type("Part", (), {})()
    monkeypatch.setattr(plan, "Part", type(part))
    monkeypatch.setattr(plan, "Composition", lambda parts: SimpleNamespace(parts=parts, reference_curve=reference))
    monkeypatch.setattr(plugins, "published", lambda name: part)
    monkeypatch.setattr(plugins, "family", lambda name: parts)
    made = list(plan._family("x", profile, named=named))
    return [getattr(one.parts[0], "number", "published") if hasattr(one, "parts") else one for one in made]


@pytest.mark.parametrize(
    ("profile", "reference", "stage", "chosen"),
    [
        (QUICK, False, Stage.TRAINING, ["published"]),
        (EVERY, False, Stage.TRAINING, [0, 1, 2, 3]),
        (QUICK, True, Stage.TRAINING, [1, 3]),
        (QUICK, True, Stage.POST_HOC, [1, 3]),
        (QUICK, True, Stage.SAMPLING, [0, 1, 2, 3]),
        (EVERY, True, Stage.TRAINING, [0, 1, 2, 3]),
    ],
)
def test_a_family_has_its_default_all_settings_or_every_second_of_a_reference(
    monkeypatch, profile, reference, stage, chosen
):
    assert family(monkeypatch, settings(4, stage), profile, reference=reference) == chosen


def test_the_last_two_of_every_second_setting_draw_a_reference_curve_with_the_baseline(monkeypatch):
    assert family(monkeypatch, settings(5), QUICK, reference=True) == [2, 4]
    assert family(monkeypatch, settings(1), QUICK, reference=True) == [0]


def test_a_broken_family_is_a_row_and_where_it_was_named_a_fault(monkeypatch):
    bad = Broken("x", "theirs 1.0", "no module")
    assert family(monkeypatch, bad, EVERY) == [bad]
    with pytest.raises(PluginFault, match=r"mitigation x: found no module.*uninstall theirs 1\.0"):
        family(monkeypatch, bad, EVERY, named=True)


def test_rows_come_by_stage_with_broken_ones_last_and_the_baseline_first(monkeypatch):
    stages = {"none": "none", "t": "training", "s": "sampling", "p": "post-hoc", "both": "sampling+training"}
    monkeypatch.setattr(plugins, "discover", lambda group: [SimpleNamespace(name=name) for name in ("t", "bad", "p", "s")])
    monkeypatch.setattr(plugins, "compose", lambda name: SimpleNamespace(stage=stages[name]))
    bad = Broken("bad", "theirs 1.0", "no module")
    monkeypatch.setattr(
        plan, "_family", lambda name, profile, named: [bad if name == "bad" else SimpleNamespace(stage=stages[name])]
    )
    monkeypatch.setattr(plan.Row, "of", classmethod(lambda cls, name, made: plan.Row(name, made, name)))
    assert [row.family for row in plan._rows(Options(), QUICK)] == ["none", "s", "p", "t", "bad"]
    asked = Options(mitigations=("both", "s", "s"), references=False)
    assert [row.family for row in plan._rows(asked, QUICK)] == ["none", "s", "both"]


def test_a_solver_that_a_testbed_has_not_is_told_with_those_it_has():
    bed = SimpleNamespace(solvers={"fast": "its solver"})
    assert plan._solver(bed, "fast") == "its solver"
    with pytest.raises(UnknownName, match=r"--solver.*fast"):
        plan._solver(bed, "slow")
