"""Plugins part by part: entry points and their names, trials, guards, parts of files, testbeds, and what is listed."""

import dataclasses
import json
import sys
from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from solidmark import Mitigation, Needs, plugins
from solidmark.errors import DamagedFile, InvalidValue, PluginFault, UnknownName
from solidmark.mitigation import Claim
from solidmark.mitigation.composition import Composition, Part
from solidmark.plugins import GROUPS, OWN, Broken, Plugin


def entry(name, value="module:Class", distribution="theirs", version="1.0"):
    metadata = {"Name": distribution}
    return SimpleNamespace(name=name, value=value, dist=SimpleNamespace(metadata=metadata, version=version))


def plugin(name="thing", value="module:Class", distribution="theirs", made=None):
    return Plugin(name, value, distribution, "1.0", SimpleNamespace(load=lambda: made))


@dataclass(frozen=True)
class Mine(Mitigation):
    """Scales something."""

    scale: float = 2.0
    sizes: tuple = ()

    def settings(self):
        """Two of them."""
        return [Mine(1.0), Mine(3.0)]


def test_entry_points_have_their_names_unless_somebody_else_has_them_too(monkeypatch):
    entries = [
        entry("b", distribution="x"),
        entry("b", distribution="y"),
        entry("a", distribution="x"),
        entry("rna", distribution="x"),
        entry("rna", distribution=OWN),
        entry("pipeline", distribution="x"),
        entry("a", distribution="x"),  # the same again
    ]
    asked = []
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: asked.append(group) or entries)
    found = plugins.discover.__wrapped__("a group")
    assert asked == ["a group"]
    told = [(one.name, one.value, one.distribution, one.version) for one in found]
    names = [("a", "x"), ("rna", OWN), ("x:b", "x"), ("x:pipeline", "x"), ("x:rna", "x"), ("y:b", "y")]
    assert told == [(name, "module:Class", distribution, "1.0") for name, distribution in names]
    assert found[0].entry is entries[6]
    assert [one.own for one in found] == [distribution == OWN for _, distribution in names]
    assert found[0].origin == "x 1.0, entry point a = module:Class"


def test_all_that_a_distribution_has_in_a_module_is_tried_at_once(monkeypatch):
    by_group = {
        GROUPS["mitigation"]: [plugin("a", "m:B"), plugin("b", "m:A"), plugin("c", "n:A")],
        GROUPS["query"]: [plugin("d", "m:C"), plugin("e", "m:D", "others")],
        plugins.REPORTS: [plugin("f", "m:E"), dataclasses.replace(plugin("g", "m:F"), version="2.0")],
    }
    monkeypatch.setattr(plugins, "discover", lambda group: by_group.get(group, []))
    monkeypatch.setattr(plugins, "default_root", lambda: plugins.Path("root"))
    asked = []
    monkeypatch.setattr(plugins.trial, "faults", lambda *given: asked.append(given) or {"m:A": "hangs"})
    plugins._trials.cache_clear()
    assert plugins._trial(plugin("b", "m:A")) == "hangs"
    assert plugins._trial(plugin("a", "m:B")) is None
    whole = (["theirs", "1.0"], ["m:A", "m:B", "m:C", "m:E"], plugins.PATIENCE, plugins.Path("root") / "trials")
    assert asked == [whole]
    assert plugins._trials("nobody", "1.0", "m") == {}
    assert len(asked) == 1
    plugins._trials.cache_clear()


def test_code_of_a_plugin_runs_within_its_time_and_its_copies_are_ended(monkeypatch):
    from contextlib import contextmanager

    told = []

    @contextmanager
    def at_most(seconds):
        told.append(seconds)
        yield

    monkeypatch.setattr(plugins, "at_most", at_most)
    monkeypatch.setattr(plugins, "end_copies", lambda pid: told.append(pid))
    one = plugin()
    assert plugins._run_guarded(one, lambda: "made") == "made"
    assert plugins._run_guarded(one, lambda: 1 / 0) == Broken("thing", one.origin, "ZeroDivisionError: division by zero")
    assert told == [plugins.PATIENCE, plugins.os.getpid()] * 2
    assert plugins.PATIENCE == 120.0


def stranger(monkeypatch, made, name="thing", distribution="theirs"):
    """A plugin that is found under its name and loads this."""
    one = plugin(name, distribution=distribution, made=made)
    monkeypatch.setattr(plugins, "discover", lambda group: (one,))
    monkeypatch.setattr(plugins, "load", lambda found: made)
    monkeypatch.setattr(plugins.provenance, "source_digest", lambda module: f"digest of {module}")
    return one


@pytest.mark.parametrize("distribution", ["theirs", OWN])
def test_parts_of_a_family_have_its_name_source_and_owner(monkeypatch, distribution):
    stranger(monkeypatch, Mine, distribution=distribution)
    parts = plugins.family("thing")
    source = f"{distribution} 1.0 digest of {__name__}"
    own = distribution == OWN
    assert parts == [Part("thing", Mine(scale), source, own) for scale in (1.0, 3.0)]
    assert plugins.published("thing") == Part("thing", Mine(), source, own)
    assert plugins.compose("thing(scale=5.0)") == Composition((Part("thing", Mine(5.0), source, own),))


def test_a_family_is_of_instances_and_not_too_many(monkeypatch):
    kind = dataclass(frozen=True)(type("Odd", (Mitigation,), {"settings": lambda self: self.given}))
    one = stranger(monkeypatch, kind)
    for given, reason in (
        ([kind(), 3, "x"], "settings() gives [3, 'x'], expected instances of Odd"),
        ((), "settings() gives nothing, expected instances of Odd"),
        (iter([kind()] * 51), "settings() gives more than 50, the most that a family may have"),
    ):
        kind.given = given
        found = plugins.family("thing")
        assert (found.name, found.origin, reason in found.reason) == ("thing", one.origin, True), found
    assert plugins.MOST_SETTINGS == {True: 200, False: 50}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("NaN", "this name reads as a missing value in tables; choose another"),
        ("n/a", "this name reads as a missing value"),
        ("none.none", "this name reads as a missing value"),
        ("-x", "a name has letters, digits, dots, - and _, and begins with a letter or digit"),
        ("a:-x", "a name has letters"),
        ("a:x", None),
    ],
)
def test_a_name_is_judged_behind_its_distribution(monkeypatch, name, reason):
    one = stranger(monkeypatch, Mine, name)
    found = plugins._mitigation_class(one)
    if reason is None:
        assert found is Mine
    else:
        assert (found.name, found.origin, found.reason.startswith(reason)) == (name, one.origin, True)


def frozen(**members):
    return dataclass(frozen=True)(type("Kind", (Mitigation,), members))


@pytest.mark.parametrize(
    ("kind", "fault"),
    [
        (Mine, None),
        (frozen(claims=("a sentence",), suited=("digits",), needs=Needs.FORGET), None),
        (frozen(suited=["digits"]), "Kind has suited = ['digits']; expected needs of Needs"),
        (frozen(form_of=None, control=0), "Kind has form_of = None, control = 0; expected"),
        (frozen(claims=("a", 3)), "Kind has claims of tuple; expected a tuple of Claim or sentences"),
        (dataclass(type("Kind", (), {})), "is not a subclass of solidmark.Mitigation"),
        (Mine(), "is not a subclass of solidmark.Mitigation"),
        (type("Kind", (Mitigation,), {}), None),
        (type("Kind", (Mitigation,), {"__annotations__": {"a": "ClassVar[int]"}, "a": 1}), None),
        (
            type("Kind", (Mitigation,), {"__annotations__": {"a": int, "b": int}, "a": 1, "b": 2}),
            "Kind has fields a, b but no @dataclass(frozen=True) above it",
        ),
    ],
)
def test_a_class_of_a_mitigation_is_frozen_and_states_what_is_of_its_kind(kind, fault):
    found = plugins.class_fault(kind)
    assert found is None if fault is None else fault in found
    assert issubclass(Claim, object)


def test_a_class_that_is_not_frozen_is_refused(monkeypatch):
    monkeypatch.setattr(Mine, "__dataclass_params__", SimpleNamespace(frozen=False))
    assert plugins.class_fault(Mine) == "Mine is not a frozen dataclass; write @dataclass(frozen=True) above it"
    monkeypatch.setattr(Mine, "__dataclass_params__", None)
    assert "is not a frozen dataclass" in plugins.class_fault(Mine)


# Expressions


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a", ["a"]),
        ("a+b", ["a", "b"]),
        ("a(x=(1+2))+b(y=3)", ["a(x=(1+2))", "b(y=3)"]),
        ("+", ["", ""]),
        ("a)+b", ["a)+b"]),
    ],
)
def test_an_expression_is_cut_at_plus_signs_outside_of_brackets(text, parts):
    assert plugins._split(text) == parts


@pytest.mark.parametrize(
    ("text", "values"),
    [("", {}), ("()", {}), ("(a=1, b=(2, 'x'))", {"a": 1, "b": (2, "x")}), ("(1)", None), ("(a=b)", None), ("(", None)],
)
def test_values_of_an_expression_are_plain_and_named(text, values):
    if values is None:
        with pytest.raises(InvalidValue, match=r"mine: found .*; expected \(parameter=value"):
            plugins._parse_values(text, "mine")
    else:
        assert plugins._parse_values(text, "mine") == values


@pytest.mark.parametrize(
    ("expression", "kind", "part"),
    [
        ("pipeline", "StockPipeline", "pipeline_part"),
        ("pipeline(call='x')", "ForeignPipeline", "pipeline_part"),
        ("pipeline(pipeline_class='x')", "ForeignPipeline", "pipeline_part"),
        ("trained-elsewhere(folder='x')", "TrainedElsewhere", "elsewhere_part"),
    ],
)
def test_rows_of_a_strangers_files_are_made_by_their_own_classes(monkeypatch, expression, kind, part):
    monkeypatch.setattr(plugins, "_instantiate", lambda *given: given)
    head, _, rest = expression.partition("(")
    found = plugins._parse(expression)
    values = {} if not rest else {rest.partition("=")[0]: "x"}
    assert found == (getattr(plugins, kind), values, head, getattr(plugins, part))


def test_what_a_class_refuses_is_told_with_the_values():
    def refuse(made):
        raise ValueError("too large")

    made = plugins._instantiate(Mine, {"scale": 4.0}, "x", lambda one: ("part", one))
    assert made == ("part", Mine(4.0))
    with pytest.raises(InvalidValue, match=r"mitigation x: found \{'scale': 4\.0\} \(ValueError: too large\); expected"):
        plugins._instantiate(Mine, {"scale": 4.0}, "x", refuse)
    with pytest.raises(UnknownName, match=r"parameter of mitigation x: found 'scal'.*'scale'"):
        plugins._instantiate(Mine, {"scal": 4.0}, "x", refuse)

    def own(made):
        raise DamagedFile("f", "a", "b", "Mend it.")

    with pytest.raises(DamagedFile):
        plugins._instantiate(Mine, {}, "x", own)


SOURCE = """from dataclasses import dataclass
from solidmark import Mitigation

@dataclass(frozen=True)
class Own(Mitigation):
    scale: float = 2.0
"""


def test_a_class_of_a_file_is_a_part_of_its_own_with_the_code_as_its_source(tmp_path):
    (tmp_path / "own.py").write_text(SOURCE)
    (part,) = plugins.compose(f"{tmp_path}/own.py:Own(scale=3.0)").parts
    source = plugins.provenance.code_digest(SOURCE.encode())
    assert (part.family, part.source, part.own, part.mitigation.scale) == ("own.Own", f"file own.py {source}", False, 3.0)
    name = type(part.mitigation).__module__
    assert (name.startswith("solidmark_local_own_"), len(name)) == (True, len("solidmark_local_own_") + 8)
    assert sys.modules[name].Own is type(part.mitigation)
    (tmp_path / "own.py").write_text("import nowhere_at_all")
    with pytest.raises(PluginFault, match=r"own\.py:Own: found ModuleNotFoundError.*nowhere_at_all"):
        plugins.compose(f"{tmp_path}/own.py:Own")
    (tmp_path / "own.py").write_text(SOURCE)
    with pytest.raises(PluginFault, match=r"own\.py:Other: found None is not a subclass"):
        plugins.compose(f"{tmp_path}/own.py:Other")
    with pytest.raises(InvalidValue, match=r"no file .*none\.py"):
        plugins.compose(f"{tmp_path}/none.py:Own")


def test_a_composition_is_remade_part_by_part_with_what_was_planned(monkeypatch):
    parts = (Part("a", Mine(), "source a", True), Part("b", Mine(1.0), "source b", False))
    monkeypatch.setattr(plugins, "compose", lambda expression: Composition(parts))
    planned = [{"scale": 5.0, "sizes": [1, [2]]}, {"scale": 6.0, "sizes": []}]
    made = plugins.remade("a+b", planned)
    assert made.parts == (
        Part("a", Mine(5.0, (1, (2,))), "source a", True),
        Part("b", Mine(6.0), "source b", False),
    )
    broken = plugins.remade("a+b", planned[:1])
    assert (broken.name, broken.origin) == ("a+b", "planned by another process as [{'scale': 5.0, 'sizes': [1, [2]]}]")
    assert "ValueError" in broken.reason


# Testbeds, and what is listed


@dataclass(frozen=True)
class Bed:
    """A testbed of two fields."""

    size: int = 1
    settings: str = ""


@pytest.fixture
def beds(monkeypatch):
    found = {"bed": Bed, "plain": dataclass(frozen=True)(type("Plain", (), {})), "broken": Broken("broken", "o 1", "gone")}
    asked = []
    monkeypatch.setattr(plugins, "named", lambda group, kind, name: asked.append((group, kind)) or plugin(name))
    monkeypatch.setattr(plugins, "load", lambda one: found[one.name])
    monkeypatch.setattr(plugins, "discover", lambda group: [plugin(name) for name in found])
    monkeypatch.setattr(plugins.provenance, "describe", vars)
    return asked


@pytest.mark.parametrize(
    ("expression", "label", "made"),
    [
        ("bed", "bed", Bed()),
        ("bed()", "bed", Bed()),
        ("bed( settings='x',size=3 )", "bed(settings='x', size=3)", Bed(3, "x")),
    ],
)
def test_a_testbed_is_labelled_by_what_was_written(beds, expression, label, made):
    assert plugins.testbed(expression) == (label, made)
    assert set(beds) == {(GROUPS["testbed"], "testbed")}
    assert plugins.testbed_name(expression) == "bed"
    with pytest.raises(UnknownName, match=r"parameter of testbed bed: found 'siz'.*'size'"):
        plugins.testbed("bed(siz=3)")


@pytest.mark.parametrize(
    ("name", "text", "error", "told"),
    [
        ("mine.toml", "testbed = 'bed'", None, None),
        ("bed.toml", "testbed = 'bed'", None, None),
        ("plain.toml", "testbed = 'bed'", InvalidValue, "no name of another testbed"),
        ("a b.toml", "testbed = 'bed'", InvalidValue, r"--testbed: found 'a b\.toml'"),
        (
            "mine.toml",
            "testbed = 'plain'",
            InvalidValue,
            r"mine\.toml, testbed: found 'plain'; expected one that takes settings",
        ),
        ("mine.toml", "testbed = ", DamagedFile, r"mine\.toml.*TOML in UTF-8"),
        ("mine.toml", None, InvalidValue, r"--testbed: found .*mine\.toml: No such file"),
    ],
)
def test_a_file_of_settings_is_a_testbed_of_its_name(beds, tmp_path, name, text, error, told):
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    if error is None:
        assert plugins.testbed(str(path)) == (path.stem, Bed(settings=str(path)))
        assert beds == [(GROUPS["testbed"], f"{name}, testbed"), (GROUPS["testbed"], "testbed")]
        assert plugins.testbed_name(str(path)) == path.stem
    else:
        with pytest.raises(error, match=told):
            plugins.testbed(str(path))


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"size": float("nan")}, "ValueError"),
        ({"size": "\ud800"}, "UnicodeEncodeError"),
        ({"size": {1}}, "TypeError"),
        ({"none": 1}, "TypeError"),
    ],
)
def test_an_instance_has_fields_that_a_key_can_hold(beds, values, told):
    assert plugins.instance("group", "testbed", "bed", size=2) == Bed(2)
    with pytest.raises(
        PluginFault, match=rf"testbed bed: found {told}.*uninstall theirs 1\.0, entry point bed = module:Class"
    ):
        plugins.instance("group", "testbed", "bed", **values)
    with pytest.raises(PluginFault, match=r"testbed broken: found gone.*Repair or uninstall o 1"):
        plugins.instance("group", "testbed", "broken")


def test_a_listing_has_what_each_plugin_is_and_what_it_wants(beds, monkeypatch):
    monkeypatch.setattr(plugins, "_mitigation_class", lambda one: Broken(one.name, "o", "no class"))
    rows = plugins.listing("other")
    assert rows == [
        {
            "name": name,
            "origin": f"theirs 1.0, entry point {name} = module:Class",
            "status": status,
            "reason": reason,
        }
        for name, status, reason in (("bed", "ok", None), ("plain", "ok", None), ("broken", "broken", "gone"))
    ]
    assert {row["reason"] for row in plugins.listing(GROUPS["mitigation"])} == {"no class"}
    assert plugins.as_json(rows) == json.dumps(rows, indent=1)


@pytest.mark.parametrize(("value", "found"), [([1, [2, "x"]], (1, (2, "x"))), ((1, [2]), (1, [2])), ("ab", "ab"), ([], ())])
def test_lists_become_tuples_all_the_way_down(value, found):
    assert plugins.tuples(value) == found
