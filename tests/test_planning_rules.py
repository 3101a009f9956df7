"""A plan part by part: what a case says of itself, which cases there are, what processes agree on, and shards."""

import json
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest

from solidmark import plugins
from solidmark.errors import InvalidValue, PluginFault
from solidmark.mitigation import Needs, Stage
from solidmark.mitigation.composition import Composition, Part
from solidmark.plugins import Broken
from solidmark.runner import left_out, outlook, plan, shards, timings
from solidmark.runner.options import Options, Profile
from solidmark.runner.plan import Planned, Row

SOME = Profile("some", (3,), False, ("a", "outpaint"))
EVERY = Profile("every", (3,), True, ("a", "outpaint"))


def row(family, *stages, needs=Needs.NOTHING, **more):
    made = SimpleNamespace(needs=needs, label=f"{family}()", parts=[], control=False, reference_curve=False, **more)
    return Row(f"{family} as asked", made, family, f"of-{family}", stages)


BAD = Row("bad", Broken("bad", "theirs 1.0", "no module"), "bad")
QUERY = Row("query-q", Broken("query-q", "theirs 1.0", "no module"), "query-q")


@dataclass
class Bed:
    """A testbed that notes what it is checked for."""

    name: str
    gains_from_gpu: bool = False

    def __post_init__(self):
        self.checked = []

    def check_rows(self, queries, *, forgetting):
        self.checked.append((queries, forgetting))


@pytest.fixture
def parts(monkeypatch):
    """A plan of words: two testbeds, rows and queries that the test sets; what is left out has a reason."""
    made = SimpleNamespace(rows=[row("none"), row("x", "training"), BAD, row("y", "sampling")], checked=[], agreed=[])
    made.beds = {name: Bed(name) for name in ("one", "two")}
    monkeypatch.setattr(Options, "chosen_profile", lambda self: {"some": SOME, "every": EVERY}[self.profile])
    monkeypatch.setattr(plan, "_broken_queries", lambda options, profile: [QUERY.made])
    monkeypatch.setattr(plan, "_rows", lambda options, profile: made.rows)
    monkeypatch.setattr(plan, "_agreed", lambda rows, options, run: made.agreed.append(("rows", run)) or rows)
    monkeypatch.setattr(plan, "_testbeds", lambda names: made.beds)
    monkeypatch.setattr(plan, "agreed_objects", lambda kind, one, options, run: made.agreed.append((kind, run)) or one)
    monkeypatch.setattr(plan, "_queries", lambda options, profile, bed: ["outpaint", bed.name, "q"])
    monkeypatch.setattr(plan, "_query", lambda name: f"query {name}")
    monkeypatch.setattr(plan, "check_seeds", lambda composition, seeds: made.checked.append((composition.label, seeds)))
    monkeypatch.setattr(plan, "_solver", lambda bed, name: f"{name} solver of {bed.name}")
    monkeypatch.setattr(
        plan.left_out, "reason", lambda composition, bed: "elsewhere" if composition.label == "x()" else None
    )
    return made


@pytest.mark.parametrize(
    ("profile", "mitigations", "left"), [("some", (), True), ("some", ("a",), False), ("every", (), False)]
)
def test_every_testbed_and_seed_has_each_row_in_order_with_its_queries_and_solver(parts, profile, mitigations, left):
    made = plan.every(Options(profile=profile, seeds="3,5", mitigations=mitigations, solver="slow"), "the run")
    families = ["none", "x", "bad", "y", "query-q"]
    places = [(name, seed, family) for name in ("one", "two") for seed in (3, 5) for family in families]
    settings = {"none": "-of-none", "x": "-of-x", "y": "-of-y"}
    assert [one.slug for one in made] == [f"{name}-{f}{settings.get(f, '')}-s{seed}" for name, seed, f in places]
    assert [(one.testbed, one.family) for one in made] == [(name, family) for name, _, family in places]
    assert [one.broken for one in made] == [{"bad": BAD.made, "query-q": QUERY.made}.get(family) for *_, family in places]
    assert [one.left_out for one in made] == ["elsewhere" if left and family == "x" else "" for *_, family in places]
    assert [one.stages for one in made][:5] == [(), ("training",), (), ("sampling",), ()]
    for one, (name, seed, family) in zip(made, places, strict=True):
        if family in settings:
            case = one.case
            assert (case.testbed_name, case.testbed, case.composition.label) == (name, parts.beds[name], f"{family}()")
            assert (case.seed, case.solver) == (seed, f"slow solver of {name}")
            assert case.queries == (("outpaint", "query outpaint"), (name, f"query {name}"))  # q is broken
    assert parts.agreed == [(kind, "the run") for kind in ("rows", "testbed", "query")]
    assert parts.checked == [(f"{family}()", (3, 5)) for _ in range(4) for family in "none x y".split()]


@pytest.mark.parametrize(
    ("named", "needs", "forgetting"),
    [
        (("x as asked",), Needs.FORGET, True),
        (("x as asked",), Needs.NOTHING, False),
        (("none as asked",), Needs.FORGET, False),
        ((), Needs.FORGET, False),
    ],
)
def test_images_are_counted_for_forgetting_where_a_named_row_forgets(parts, named, needs, forgetting):
    parts.rows = [row("none"), row("x", needs=needs), BAD]
    plan.every(Options(profile="some", mitigations=(*named, "bad")))
    assert parts.beds["one"].checked == parts.beds["two"].checked == [(2, forgetting)]


def test_the_baseline_is_never_left_out(parts, monkeypatch):
    monkeypatch.setattr(plan.left_out, "reason", lambda composition, bed: f"not on {bed}")
    made = plan.every(Options(profile="some"))
    assert [one.left_out for one in made][:5] == ["", "not on one", "", "not on one", ""]
    assert [one.family for one in plan.measured(made)] == ["none", "bad", "query-q"] * 2
    assert [one.order for one in plan.measured(made)] == [*range(6)]


def test_cases_are_those_of_a_plan_that_are_measured(monkeypatch):
    monkeypatch.setattr(plan, "every", lambda options, run: [options, run])
    monkeypatch.setattr(plan, "measured", lambda planned: ("measured", *planned))
    assert plan.cases("options", "run") == ("measured", "options", "run")
    assert plan.cases("options") == ("measured", "options", None)


def test_testbeds_have_the_cases_of_the_baseline_alone_but_for_broken_rows(monkeypatch):
    asked = []
    made = [Planned("a", "one(x=1)", "none", (), case=SimpleNamespace(seed=7), order=4), Planned("b", "two", "bad", ())]
    monkeypatch.setattr(plan, "cases", lambda options: asked.append(options) or made)
    options = Options(seeds="7", mitigations=("rna",))
    assert plan.testbed_cases(options) == [replace(made[0], slug="one-x-1-s7", event="testbed")]
    assert asked == [replace(options, mitigations=("none",))]


# What a case says of itself


@pytest.mark.parametrize("case", [True, False])
@pytest.mark.parametrize("gains", [True, False])
def test_an_entry_of_a_plan_says_what_the_controller_needs(case, gains):
    made = SimpleNamespace(
        case_id="the id", composition=SimpleNamespace(label="x(a=1)"), testbed=SimpleNamespace(gains_from_gpu=gains)
    )
    one = Planned("slug", "digits", "x", ("sampling",), case=made if case else None, order=4)
    assert one.entry() == {
        "event": "case",
        "case_id": "the id" if case else "slug",
        "slug": "slug",
        "order": 4,
        "testbed": "digits",
        "mitigation": "x(a=1)" if case else "x",
        "family": "x",
        "weight": 1.0,
        "gpu": case and gains,
    }
    weights = [replace(one, family=family, stages=stages).weight for family, stages in (("none", ()), ("x", ("training",)))]
    assert (weights, replace(one, family="none").leads, one.leads) == ([5.0, 5.0], True, False)


def test_a_row_is_written_and_made_again_of_what_was_written(monkeypatch):
    asked = []
    monkeypatch.setattr(plugins, "remade", lambda expression, values: asked.append((expression, values)) or "made")
    part = SimpleNamespace(described=["family", "class", "more"], parameters={"a": (1, 2)})
    made = Row("x(a=1)", SimpleNamespace(parts=[part, part]), "x", "1", ("training", "sampling"))
    entry = made.as_json()
    described = ["family", "class", {"a": [1, 2]}]
    whole = {"expression": "x(a=1)", "family": "x", "setting": "1", "stages": ["training", "sampling"]}
    assert entry == {**whole, "parts": [described, described]}
    assert Row.restored(entry) == Row("x(a=1)", "made", "x", "1", ("training", "sampling"))
    assert asked == [("x(a=1)", [{"a": [1, 2]}] * 2)]
    broken = {"expression": "bad", "family": "bad", "broken": ["bad", "theirs 1.0", "no module"]}
    assert (BAD.as_json(), Row.restored(broken)) == (broken, BAD)
    stated = SimpleNamespace(stages=[Stage.TRAINING], family="x", parts=[])
    monkeypatch.setattr(plan, "setting_slug", lambda composition: "its setting")
    assert Row.of("y", stated) == Row("y", stated, "x", "its setting", ("training",))
    assert Row.of("y", BAD.made) == Row("y", BAD.made, "bad")


# What processes agree on


def test_a_row_that_is_written_already_is_taken_and_another_one_is_made_again(monkeypatch, tmp_path):
    rows, given = [row("a"), row("b")], []
    monkeypatch.setattr(Row, "as_json", lambda self: {"family": self.family})
    monkeypatch.setattr(Row, "restored", classmethod(lambda cls, entry: ("restored", entry["family"])))
    monkeypatch.setattr(plan, "_first", lambda *words: given.append(words) or [{"family": name} for name in "bca"])
    assert plan._agreed(rows, "options", tmp_path) == [rows[1], ("restored", "c"), rows[0]]
    assert given == [("rows", [{"family": "a"}, {"family": "b"}], "options", tmp_path)]
    assert plan._agreed(rows, "options", None) is rows


def test_objects_are_compared_by_name_with_those_of_the_first_process(monkeypatch, tmp_path):
    monkeypatch.setattr(plan.provenance, "describe", lambda one: f"my {one}")
    monkeypatch.setattr(plan, "_as_planned", lambda where, one, mine, planned: (where, one, mine, planned))
    monkeypatch.setattr(plan, "_first", lambda kind, mine, options, run: {"a": (kind, mine, options, run), "z": 1})
    mine = {"a": "my A", "b": "my B"}
    assert plan.agreed_objects("query", {"a": "A", "b": "B"}, "options", tmp_path) == {
        "a": ("query a", "A", "my A", ("query", mine, "options", tmp_path)),
        "b": ("query b", "B", "my B", "my B"),
    }


@dataclass(frozen=True)
class Fields:
    a: int = 1
    b: tuple = ()


def test_an_object_takes_the_fields_of_the_first_process_unless_it_makes_others_of_them(monkeypatch):
    describe = lambda one: {"class": "Fields", "a": one.a, "b": list(one.b)}  # noqa: E731
    monkeypatch.setattr(plan.provenance, "describe", describe)
    one = Fields()
    assert plan._as_planned("x", one, describe(one), describe(one)) is one
    assert plan._as_planned("x", one, describe(one), describe(Fields(3, (4, 5)))) == Fields(3, (4, 5))
    with pytest.raises(PluginFault, match=r"query x: found TypeError.*; expected .*as another process has them"):
        plan._as_planned("query x", one, describe(one), {"class": "Fields", "c": 1})
    with pytest.raises(PluginFault, match=r"query x: found fields \{'class': 'Fields', 'a': 2"):
        plan._as_planned("query x", one, describe(one), {"class": "Other", "a": 2, "b": []})


def test_what_is_agreed_on_is_kept_by_name_run_of_workers_and_options(monkeypatch, tmp_path):
    written = []
    monkeypatch.setattr(plan.records, "write_first", lambda path, text: written.append((path, text)) or '["theirs"]')
    monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", "u1")
    assert plan._first("rows", [1], Options(), tmp_path) == ["theirs"]
    for name, uid, options in (("rows", "u1", Options()), ("x", "u1", Options()), ("rows", "u2", Options()),
                               ("rows", "u1", Options(seeds="1"))):  # fmt: skip
        monkeypatch.setenv("PYTEST_XDIST_TESTRUNUID", uid)
        plan._first(name, [1], options, tmp_path)
    paths = [path for path, _ in written]
    assert (paths[0] == paths[1], len(set(paths[1:])), {text for _, text in written}) == (True, 4, {"[1]"})
    assert [(path.parent, len(path.stem), path.suffix) for path in paths] == [(tmp_path / "plans", 16, ".json")] * 5


# Which rows there are


def reference(name, stage, *, curve=True, own=True):
    """An installed family whose published form is a part of this stage."""
    made = SimpleNamespace(reference_curve=curve, family=name, stages=[stage])
    return SimpleNamespace(name=name, own=own, made=made)


def test_references_are_our_curves_of_the_stages_in_which_rows_act(monkeypatch):
    installed = [
        reference("sampling curve", Stage.SAMPLING),
        reference("no curve", Stage.SAMPLING, curve=False),
        reference("theirs", Stage.SAMPLING, own=False),
        reference("training curve", Stage.TRAINING),
        reference("edit curve", Stage.POST_HOC),
        SimpleNamespace(name="broken", own=True, made=None),
    ]

    class Published:
        def __init__(self, made):
            self.made = made

    known = {plugin.name: Published(plugin.made) if plugin.made else "broken" for plugin in installed}
    monkeypatch.setattr(plan, "Part", Published)
    monkeypatch.setattr(plan, "Composition", lambda parts: parts[0].made)
    monkeypatch.setattr(plugins, "discover", lambda group: installed)
    monkeypatch.setattr(plugins, "published", known.__getitem__)

    def acting(*stages, family="x", control=False):
        return Row(family, SimpleNamespace(control=control, stages=stages), family)

    assert plan._references([acting(Stage.SAMPLING), BAD]) == ["sampling curve"]
    assert plan._references([acting(Stage.SAMPLING, Stage.TRAINING)]) == ["sampling curve", "training curve"]
    assert plan._references([acting(Stage.SAMPLING, control=True), acting(Stage.POST_HOC)]) == ["edit curve"]
    there = [acting(Stage.SAMPLING, Stage.POST_HOC), acting(family="edit curve", control=True)]
    assert plan._references(there) == ["sampling curve"]
    assert plan._references([acting(), BAD]) == plan._references([]) == []


@pytest.mark.parametrize(
    ("options", "families"),
    [
        (Options(), ["none", "a", "b"]),
        (Options(mitigations=("b", "c+a")), ["none", "b", "c+a", "curve"]),
        (Options(mitigations=("b",), references=False), ["none", "b"]),
        (Options(pipeline_class="x.py:Y"), ["none", "a", "b", "pipeline", "pipeline(pipeline_class='x.py:Y')"]),
    ],
)
def test_rows_are_the_baseline_those_named_else_all_installed_and_a_strangers(monkeypatch, options, families):
    asked = []
    stages = SimpleNamespace(stage="none")
    monkeypatch.setattr(plugins, "discover", lambda group: [SimpleNamespace(name=name) for name in ("none", "a", "b")])
    monkeypatch.setattr(plugins, "compose", lambda name: stages)
    monkeypatch.setattr(plan, "_family", lambda name, profile, named: asked.append((name, profile, named)) or [stages])
    monkeypatch.setattr(plan, "_references", lambda rows: [] if not rows else ["curve"])
    monkeypatch.setattr(Row, "of", classmethod(lambda cls, name, made: Row(name, made, name)))
    assert [one.family for one in plan._rows(options, SOME)] == families
    named = bool(options.mitigations)
    expected = [(name, SOME, named) for name in families if name in ("none", "a", "b")]
    assert asked == expected + ([("curve", SOME, True)] if "curve" in families else [])


def test_a_name_stands_for_one_testbed_and_no_other_kind_of_object(monkeypatch):
    class Kind:
        def __init__(self, number):
            self.number = number

        def __eq__(self, other):
            return self.number == other.number

        __hash__ = None

    made = {"a": ("one", Kind(1)), "b": ("two", Kind(2)), "c": ("one", Kind(1)), "d": ("one", Kind(3)), "e": ("x", 3)}
    monkeypatch.setattr(plan, "Testbed", Kind)
    monkeypatch.setattr(plugins, "testbed", made.__getitem__)
    found = plan._testbeds("abc")
    assert ({label: bed.number for label, bed in found.items()}, found["one"] is made["a"][1]) == (
        {"one": 1, "two": 2},
        True,
    )
    with pytest.raises(InvalidValue, match="two different testbeds one"):
        plan._testbeds("ad")
    with pytest.raises(PluginFault, match="testbed e: found int; expected a Testbed"):
        plan._testbeds("e")
    monkeypatch.setattr(plugins, "instance", lambda *given: given)
    with pytest.raises(PluginFault, match="query q: found tuple; expected an Attack"):
        plan._query("q")
    monkeypatch.setattr(plan, "Attack", tuple)
    assert plan._query("q") == (plugins.GROUPS["query"], "query", "q")


# Left out, shards, outlook


def mitigated(*suited, control=False, curve=False, form=""):
    parts = [SimpleNamespace(mitigation=SimpleNamespace(suited=names, form_of="", costly=False)) for names in suited]
    parts.append(SimpleNamespace(mitigation=SimpleNamespace(suited=(), form_of=form, costly=False)))
    return SimpleNamespace(parts=parts, control=control, reference_curve=curve)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (mitigated(), None),
        (mitigated(("digits", "a")), None),
        (mitigated(("a", "b"), ("b", "c"), control=True, form="x"), "at home on a, b, c"),
        (mitigated(("digits",), ("b",)), "at home on b"),
        (mitigated(control=True, form="x"), left_out.CONTROL),
        (mitigated(control=True, curve=True), None),
        (mitigated(("digits",), form="x"), left_out.FORM),
    ],
)
def test_a_row_is_left_out_that_is_at_home_elsewhere_a_control_or_another_form(made, reason):
    assert left_out.reason(made, "digits(trained=8)") == reason


def test_what_is_left_out_is_written_once_by_reason(tmp_path):
    left_out.write(tmp_path, [])
    assert list(tmp_path.iterdir()) == []
    left_out.write(tmp_path, iter([("b", "x"), ("a", "y"), ("b", "x"), ("b", "w")]))
    (path,) = tmp_path.iterdir()
    assert path.read_text() == json.dumps({"b": ["x", "w"], "a": ["y"]})


def test_the_heaviest_group_goes_to_the_shard_with_the_least_ties_by_name_and_the_first_shard():
    assert shards.parts({"b": 2.0, "a": 2.0, "d": 5.0, "c": 1.0}, 2) == {"d": 1, "a": 2, "b": 2, "c": 2}
    assert shards.parts({"b": 2.0, "a": 2.0, "d": 5.0, "c": 1.5}, 3) == {"d": 1, "a": 2, "b": 3, "c": 2}
    second = shards.Shard.parse("2/3")
    assert second.takes(["x", "y", "x", "z"], [1.0, 1.5, 1.0, 1.0]) == [False, True, False, False]
    assert shards.Shard.parse("1/1") == shards.Shard(1, 1)


def test_an_outlook_is_the_testbeds_own_else_of_earlier_runs(monkeypatch):
    asked = []
    monkeypatch.setattr(outlook, "torch_device", lambda: "a device")
    monkeypatch.setattr(outlook, "foretell", lambda planned, store, stored: [f"foretold of {len(planned)} in {store}"])

    def bed(lines):
        return SimpleNamespace(outlook=lambda *given: asked.append(given) or lines)

    def case(testbed, *stages, costs=(7.0, 2.0)):
        queries = [(str(cost), SimpleNamespace(cost=lambda solver, cost=cost: cost * solver.steps)) for cost in costs]
        solver = SimpleNamespace(evaluations=10, steps=2)
        return SimpleNamespace(testbed=testbed, composition=SimpleNamespace(stages=stages), queries=queries, solver=solver)

    told, silent = bed(["first", "second"]), bed([])
    planned = [
        Planned("1", "a", "none", (), case=case(told)),
        Planned("2", "b", "none", (), case=case(silent)),
        Planned("3", "a", "x", ("training",), case=case(told, Stage.TRAINING, Stage.POST_HOC)),
        Planned("4", "a", "y", ("sampling",), case=case(told, Stage.SAMPLING)),
        Planned("5", "a", "bad", ("training",)),
        Planned("6", "c", "bad", ()),
    ]
    assert outlook.outlook(planned, "store") == ["a: first", "a: second", "foretold of 1 in store"]
    evaluations = 2 * (7.0 + 2.0) + 3 * 10
    solver = planned[0].case.solver
    assert asked[0] == (3, 1, 3 * evaluations, solver, "a device")
    assert asked[1][:3] == (1, 0, evaluations)


def test_what_a_plan_takes_is_told_testbed_by_testbed(monkeypatch):
    known = timings.Timings({"x": 100.0, "y": 300.0}, {"x": 1000.0, "none": 3000.0}, 2e9)
    monkeypatch.setattr(
        timings, "read", lambda root: {"a": known, "c": timings.Timings({"x": 4.0})} if root == "root" else {}
    )
    more = {"case": None, "leads": False}  # as of broken plugins, which need no baseline
    of = lambda testbed, family, weight: SimpleNamespace(testbed=testbed, family=family, weight=weight, **more)  # noqa: E731
    planned = [
        of("a", "x", 5.0),
        of("b", "x", 5.0),
        of("a", "y", 1.0),
        of("a", "z", 1.0),
        of("a", "z", 5.0),
        of("c", "x", 1.0),
    ]
    seconds = 100 + 300 + 200 + 200 + 1000 + 2000
    assert timings.foretell(planned, "root", lambda mine: 7_000_000 * len(mine)) == [
        f"a: about {seconds / 60:.0f} min of one worker with an empty store, 50 min of it trainings, 28 MB of trained "
        "models, up to 2.0 GB of memory a worker",
        "b: about 7 MB of trained models in the store, estimated from their weights; no case was timed here yet: a first "
        "run tells the next plan what it takes",
        "c: about 4 s of one worker with an empty store, 0 s of it trainings, 7 MB of trained models",
    ]


def test_compositions_of_a_family_are_of_one_part_each():
    default = Part("rna", plugins.compose("rna").parts[0].mitigation)
    made = list(plan._family("rna", SOME, named=False))
    assert [one.label for one in made] == [Composition((default,)).label]
    assert len(list(plan._family("rna", EVERY, named=False))) == len(plugins.family("rna"))
