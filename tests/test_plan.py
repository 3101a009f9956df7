"""The plan: which rows and seeds the options mean, in which order, under which ids."""

from dataclasses import replace

import pytest
import worlds

from solidmark import plugins
from solidmark.errors import InvalidValue, UnknownName
from solidmark.measurement.case import Workspace
from solidmark.measurement.measure import measure
from solidmark.runner import plan
from solidmark.runner.options import PROFILES, Options, parse_seeds, with_long_names
from solidmark.store import Store


def slugs(**options):
    return [case.slug for case in plan.cases(Options(**options))]


def test_the_quick_profile_has_a_row_of_each_family_but_those_left_out_and_draws_the_reference_curves():
    every, families = plan.every(Options()), [case.family for case in plan.cases(Options())]
    assert {case.family for case in every} == {plugin.name for plugin in plugins.discover(plugins.GROUPS["mitigation"])}
    assert {case.family for case in every if case.left_out} == {case.family for case in every} - set(families)
    assert families[0] == "none"
    assert (families.count("guidance-scale"), families.count("early-stopping"), families.count("rna")) == (4, 2, 1)
    assert {"digits-quick-early-stopping-0.6-s0", "digits-quick-early-stopping-0.2-s0"} < set(slugs())


CONTROLS = set(
    "attention-temperature coarse-caption dedup early-guidance ema fresh-noise magnitude-pruning network-dropout "
    "network-width random-pruning retrain weight-decay weight-noise".split()
)
FORMS = set(
    "amg-features cwr-training dynamic-transition gni-training guard-attention iet-plus lora-everywhere "
    "nemo-permanent neggrad-plus opposite-guidance-dynamic random-token-training rna-training sail-code "
    "selective-dampening-denoiser".split()
)
COSTLY = {"near-access", "tweedie-consistency"}


@pytest.mark.parametrize(
    ("options", "missing"),
    [
        ({}, {"dp-sgd"} | CONTROLS | FORMS | COSTLY),
        ({"testbeds": ("digits-private",)}, CONTROLS | FORMS | COSTLY),
        ({"mitigations": ("dp-sgd", "ema")}, set()),
        ({"profile": "standard", "seeds": "0"}, set()),
    ],
)
def test_quick_leaves_out_what_a_first_look_can_do_without_unless_it_is_named(options, missing):
    assert {case.family for case in plan.every(Options(**options)) if case.left_out} == missing


def test_the_standard_profile_has_every_setting_at_three_seeds():
    cases = plan.cases(Options(profile="standard"))
    assert {planned.case.seed for planned in cases} == {0, 1, 2}
    assert sum(planned.family == "rna" for planned in cases) == 15
    assert cases[0].case.queries[0][0] == "outpaint"


def test_the_testbed_is_the_profile_s_unless_one_is_named():
    chosen = [Options(), Options(testbeds=("digits",)), Options(profile="standard", seeds="0")]
    assert [plan.cases(options)[0].testbed for options in chosen] == ["digits-quick", "digits", "digits"]


def test_a_named_mitigation_comes_with_the_baseline_and_the_reference_of_its_stage():
    named = ["digits-quick-none-s0", "digits-quick-rna+delayed-guidance-8-0.5-s0"]
    planned = slugs(mitigations=("rna(count=8)+delayed-guidance",))
    assert planned[:2] == named
    assert len(planned) > 4
    assert all("guidance-scale" in slug for slug in planned[2:])
    assert slugs(mitigations=("rna(count=8)+delayed-guidance",), references=False) == named


@pytest.mark.parametrize(
    ("named", "others"),
    [
        ("agc", {"early-stopping"}),
        ("neggrad", {"finetune"}),
        ("rna+agc", {"early-stopping", "guidance-scale"}),
        ("guidance-scale(scale=0.0)", set()),
        ("none", set()),
    ],
)
def test_references_are_those_of_the_stages_that_are_named_and_controls_bring_none(named, others):
    families = {planned.family for planned in plan.cases(Options(mitigations=(named,)))}
    assert families - {"none", named.partition("(")[0]} == others


def test_a_reference_of_which_a_setting_is_named_brings_no_others():
    planned = plan.cases(Options(mitigations=("rna", "guidance-scale(scale=1.0)")))
    assert [one.case.composition.label for one in planned if one.family == "guidance-scale"] == ["guidance-scale(scale=1.0)"]


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_ids_are_distinct_plain_ascii(profile):
    ids = slugs(profile=profile, seeds="0,9")
    assert len(set(ids)) == len(ids)
    assert all(name.isascii() and not set(name) & set("[]@: /") for name in ids)


def test_identities_depend_on_all_that_decides_the_outcome():
    different = [
        Options(),
        Options(seeds="1"),
        Options(queries="outpaint,average"),
        Options(solver="paper"),
        Options(solver="ddim"),
    ]
    assert len({plan.cases(options)[0].case_id for options in different}) == 5
    assert plan.cases(Options())[0].case_id == plan.cases(Options(profile="quick"))[0].case_id


@pytest.mark.parametrize(
    ("name", "steps", "eta"),
    [("fast", 25, 1.0), ("short", 12, 1.0), ("paper", 250, 1.0), ("ddim", 25, 0.0), ("published", 50, 0.0)],
)
def test_all_cases_have_the_solver_that_is_named(name, steps, eta):
    solvers = {planned.case.solver for planned in plan.cases(Options(solver=name))}
    assert {(solver.steps, solver.eta) for solver in solvers} == {(steps, eta)}


@pytest.mark.parametrize("name", sorted(plugin.name for plugin in plugins.discover(plugins.GROUPS["testbed"])))
def test_the_short_solver_differs_from_the_fast_one_by_its_steps_alone(name):
    fast, short = (plugins.testbed(name)[1].solvers[solver] for solver in ("fast", "short"))
    assert short.evaluations <= 0.6 * fast.evaluations
    assert replace(short, name=fast.name, steps=fast.steps, reencode=fast.reencode) == fast
    assert (short.reencode > 0) == (fast.reencode > 0)


def test_a_setting_that_equals_the_default_has_the_same_identity():
    row = next(planned for planned in plan.cases(Options()) if planned.family == "rna")
    assert plan.cases(Options(mitigations=("rna(count=4)",)))[1].case_id == row.case_id


def test_every_testbed_and_seed_has_a_case_of_its_own():
    assert [case.slug for case in plan.testbed_cases(Options(seeds="0-2"))] == [f"digits-quick-s{seed}" for seed in range(3)]


@pytest.mark.parametrize(("text", "seeds"), [("0", (0,)), ("3,1", (3, 1)), ("0-2,7", (0, 1, 2, 7))])
def test_seeds_are_lists_and_ranges(text, seeds):
    assert parse_seeds(text) == seeds


@pytest.mark.parametrize(
    "text", ["", "a", "1,1", "-3", "2-1", "0,2-1", "1;2", "0-9999999999999", "0-9998,20000,30000", "0-" + "9" * 30]
)
def test_seeds_that_are_none_are_refused(text):
    with pytest.raises(InvalidValue, match="--seeds"):
        parse_seeds(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"profile": "x"}, "--profile"),
        ({"testbeds": ("x",)}, "testbed"),
        ({"queries": "x"}, "query"),
        ({"solver": "x"}, "fast"),
    ],
)
def test_names_that_nothing_has_are_refused_with_those_there_are(options, message):
    with pytest.raises(UnknownName, match=message):
        plan.cases(Options(**options))


ENOUGH = [
    ("digits(trained=3)", "outpaint", "rna"),
    ("digits(trained=6)", "outpaint,average", "rna"),
    ("digits(trained=11)", "outpaint", "finetune"),
    ("digits(trained=22)", "outpaint,average", "finetune"),
    ("digits(trained=12, forget=(0, 1, 2, 3, 4, 5))", "outpaint,average", "finetune"),
    ("digits(trained=12, forget_share=0.75)", "outpaint", "finetune"),
]
TOO_FEW = [
    ("digits(trained=5)", "outpaint,average", "rna", "5 queried images and 2 queries"),
    ("digits(trained=10)", "outpaint", "finetune", "a forget list of 2 of 10 images and 1 query"),
    ("digits(trained=21)", "outpaint,average", "finetune", "a forget list of 5 of 21"),
    ("digits(trained=12, forget=(0, 1, 2, 3, 4))", "outpaint,average", "finetune", "a forget list of 5 of 12"),
    ("digits(trained=12, forget_share=0.8)", "outpaint", "finetune", "a forget list of 10 of 12"),
]


def of_few_images(testbed, queries, mitigation):
    return plan.cases(Options(testbeds=(testbed,), queries=queries, mitigations=(mitigation,)))


@pytest.mark.parametrize(("testbed", "queries", "mitigation"), ENOUGH)
def test_just_enough_images_for_every_row_are_planned(testbed, queries, mitigation):
    assert [case.family for case in of_few_images(testbed, queries, mitigation)][:2] == ["none", mitigation]


@pytest.mark.parametrize(("testbed", "queries", "mitigation", "found"), TOO_FEW)
def test_one_image_less_is_refused_before_anything_is_trained(testbed, queries, mitigation, found):
    with pytest.raises(InvalidValue, match=rf"Digits: found {found}.*; expected at least .*\. (Train|Correct)"):
        of_few_images(testbed, queries, mitigation)


def test_where_no_family_was_named_a_short_forget_list_costs_its_own_row_alone_and_no_training(tmp_path):
    cases = {planned.family: planned.case for planned in plan.cases(Options(testbeds=("digits(trained=10)",)))}
    store = Store(tmp_path / "store")
    with pytest.raises(InvalidValue, match="a forget list of 2 of 10 images"):
        measure(cases["finetune"], Workspace(store), tmp_path)
    assert list(store.entries()) == []


@pytest.mark.parametrize("option", ["--solver", "--protocol"])
def test_the_solver_is_named_by_either_option(pytestconfig, option):
    written = with_long_names([option, "paper"])
    assert pytestconfig._parser.parse_known_args(written).solidmark_solver == "paper"


def test_two_testbeds_of_one_label_are_refused(monkeypatch):
    made = iter([worlds.digits(), worlds.digits(trained=16)])
    monkeypatch.setattr(plugins, "testbed", lambda name: ("my", next(made)))
    with pytest.raises(InvalidValue, match="two different testbeds my"):
        plan._testbeds(["a/my.toml", "b/my.toml"])


def test_another_form_is_of_a_family_that_the_quick_profile_measures():
    forms = {part.mitigation.form_of for case in plan.every(Options()) for part in case.case.composition.parts} - {""}
    assert forms < {case.family for case in plan.cases(Options())}
