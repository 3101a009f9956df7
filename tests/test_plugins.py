"""Plugins: found by entry point, loaded guarded, written as expressions."""

import dataclasses
import signal
from importlib import metadata

import pytest
import torch

from solidmark import Mitigation, plugins
from solidmark.errors import InvalidValue, PluginFault, UnknownName
from solidmark.mitigation.hooks import Hooks
from solidmark.plugins import GROUPS, Broken, Plugin


class Entry:
    """An entry point that loads whatever a test says."""

    def __init__(self, load):
        self.load = load


def plugin(load, name="thing"):
    return Plugin(name, f"module:{id(load)}", "dist", "1.0", Entry(load))


@pytest.mark.parametrize("cause", [ImportError("gone"), SystemExit(3), MemoryError(), KeyboardInterrupt(), GeneratorExit()])
def test_whatever_an_import_raises_is_one_broken_plugin_with_its_origin(cause):
    def load():
        raise cause

    broken = plugins.load(plugin(load))
    assert isinstance(broken, Broken)
    assert type(cause).__name__ in broken.reason
    assert broken.origin.startswith("dist 1.0, entry point thing = module:")


def test_a_stop_by_the_user_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt):
        plugins.load(plugin(lambda: signal.raise_signal(signal.SIGINT)))


def test_classes_that_are_no_mitigation_say_what_is_missing():
    undecorated = type("Undecorated", (Mitigation,), {"__annotations__": {"scale": float}, "scale": 1.0})
    thawed = dataclasses.dataclass(type("Thawed", (), {}))
    assert "no @dataclass" in plugins.class_fault(undecorated)
    assert "not a subclass" in plugins.class_fault(thawed)
    assert "not a subclass" in plugins.class_fault("text")


@pytest.mark.parametrize(
    ("expression", "label"),
    [
        ("rna", "rna(count=4)"),
        ("wen-embedding(target=1.0, iterations=3)", "wen-embedding(target=1.0, iterations=3)"),
        ("rna + gni(scale=2.0)", "rna(count=4)+gni(scale=2.0)"),
        ("none", "none"),
    ],
)
def test_expressions_compose(expression, label):
    assert plugins.compose(expression).label == label


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("rnaa", UnknownName, "Did you mean 'rna'"),
        ("rna(coun=1)", UnknownName, "Did you mean 'count'"),
        ("rna(count=-1)", InvalidValue, "RandomNumbers.count"),
        ("rna(8)", InvalidValue, "name=value"),
        ("rna(count=open('x'))", InvalidValue, "count=open"),
        ("rna(count=8", InvalidValue, "Close the parenthesis"),
        ("nothing.py:Thing", InvalidValue, "no file"),
        ("nothing.py", InvalidValue, "nothing.py:MyMethod. Name its class after a colon"),
        ("", UnknownName, "''"),
        ("wen-embedding(iterations='many')", InvalidValue, "TypeError"),
    ],
)
def test_expressions_that_mean_nothing_say_where_and_what(expression, error, message):
    with pytest.raises(error, match=message.replace("(", r"\(")):
        plugins.compose(expression)


def test_a_file_is_a_plugin_whose_source_is_its_version(tmp_path):
    path = tmp_path / "mine.py"
    source = (
        "from dataclasses import dataclass\nfrom solidmark import Mitigation\n\n@dataclass(frozen=True)\n"
        "class Mine(Mitigation):\n    scale: float = 2.0\n\n"
        "    def guidance(self, scale, progress):\n        return self.scale\n"
    )
    path.write_text(source)
    part = plugins.compose(f"{path}:Mine(scale=4.0)").parts[0]
    assert (part.family, part.label) == ("mine.Mine", "mine.Mine(scale=4.0)")
    path.write_text(source.replace("2.0", "3.0"))
    assert plugins.compose(f"{path}:Mine").parts[0].source != part.source


def test_a_comment_in_a_file_changes_neither_its_source_nor_its_draws(tmp_path):
    path = tmp_path / "mine.py"
    source = (
        "from dataclasses import dataclass\nimport torch\nfrom solidmark import Mitigation, Stage\n\n"
        "@dataclass(frozen=True)\n"
        "class Mine(Mitigation):\n    stage = Stage.SAMPLING\n\n    def condition(self, embeddings, rng):\n"
        "        return embeddings + torch.randn(embeddings.shape, generator=rng)\n"
    )
    sources, draws = set(), []
    for text in (source, source + "\n# edited\n"):
        path.write_text(text)
        mine = plugins.compose(f"{path}:Mine")
        sources.add(mine.parts[0].source)
        draws.append(Hooks(mine, 0, "test").condition(torch.zeros(2, 3, 4), torch.tensor([True, True])))
    assert len(sources) == 1
    assert draws[0].equal(draws[1])


@pytest.mark.parametrize(
    ("text", "message"), [("import nowhere", "nowhere"), ("class Mine: pass", "not a subclass"), ("", "None")]
)
def test_a_file_without_a_mitigation_says_why(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(text)
    with pytest.raises(PluginFault, match=message):
        plugins.compose(f"{path}:Mine")


def test_names_that_read_as_missing_values_are_refused():
    assert "missing value" in plugins._mitigation_class(plugin(lambda: Mitigation, name="NaN")).reason


def test_every_installed_plugin_loads():
    rows = [row for group in (*GROUPS.values(), plugins.REPORTS) for row in plugins.listing(group)]
    assert {row["status"] for row in rows} == {"ok"}
    assert {"digits", "outpaint", "none"} <= {row["name"] for row in rows}


def test_a_source_digest_changes_with_the_module():
    rna, gni = (plugins.published(name).source for name in ("rna", "gni"))
    assert rna.startswith("solidmark ")
    assert rna != gni


@pytest.mark.parametrize(
    ("expression", "label", "numbers"),
    [
        ("digits", "digits", (64, 256, 0.25)),
        ("digits(trained=256)", "digits(trained=256)", (256, 256, 0.25)),
        ("digits( held_out=99,trained = 9 )", "digits(held_out=99, trained=9)", (9, 99, 0.25)),
        ("digits(forget_share=0.5)", "digits(forget_share=0.5)", (64, 256, 0.5)),
        ("digits-quick()", "digits-quick", (64, 64, 0.25)),
    ],
)
def test_a_testbed_takes_parameters_by_name(expression, label, numbers):
    found, testbed = plugins.testbed(expression)
    assert (found, (testbed.trained, testbed.held_out, testbed.forget_share)) == (label, numbers)


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("digit", UnknownName, "testbed: found 'digit'.*Did you mean 'digits'"),
        ("digits(train=9)", UnknownName, "parameter of testbed digits: found 'train'.*Did you mean 'trained'"),
        ("digits(trained=9", InvalidValue, "Close the parenthesis"),
        ("digits(9)", InvalidValue, "testbed digits: found .*name=value"),
        ("digits(trained=2)", InvalidValue, "Digits: found trained=2"),
        ("digits(trained='many')", PluginFault, "testbed digits: found TypeError"),
    ],
)
def test_a_testbed_that_cannot_be_made_says_why(expression, error, message):
    with pytest.raises(error, match=message):
        plugins.testbed(expression)


def test_parts_are_cut_at_each_plus_outside_of_parentheses():
    parts = plugins.compose("esd(weights='u') + rna(count=8)+none").parts
    assert [part.label for part in parts] == ["esd(updates=60, weights='u')", "rna(count=8)", "none"]
    assert plugins._split("a(x='1+2')+b") == ["a(x='1+2')", "b"]


def test_a_part_is_remade_as_it_was_planned_with_lists_as_tuples():
    planned = [dict(plugins.compose("rna(count=8)").parts[0].parameters)]
    made = plugins.remade("rna", planned)
    assert made == plugins.compose("rna(count=8)")
    assert plugins.tuples([1, [2, "a"]]) == (1, (2, "a"))
    broken = plugins.remade("rna", [{"count": -1}])
    assert isinstance(broken, Broken)
    assert "count" in broken.reason
    assert broken.origin.startswith("planned by another process as [{'count': -1")


@pytest.mark.parametrize(("own", "most"), [(True, 200), (False, 50)])
def test_a_family_has_as_many_settings_as_a_family_may_have(monkeypatch, own, most):
    @dataclasses.dataclass(frozen=True)
    class Many(Mitigation):
        number: int = 0
        count: int = most

        def settings(self):
            return [Many(number) for number in range(type(self).count)]

    made = dataclasses.replace(plugin(lambda: Many), distribution="solidmark" if own else "dist")
    monkeypatch.setattr(plugins, "named", lambda *names: made)
    monkeypatch.setattr(plugins, "load", lambda one: Many)
    assert len(plugins.family("many")) == most
    Many.count = most + 1
    assert f"more than {most}" in plugins.family("many").reason


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"needs": 3}, "needs = 3"),
        ({"reference": None}, "reference = None"),
        ({"control": 1}, "control = 1"),
        ({"reference_curve": "no"}, "reference_curve = 'no'"),
        ({"stream": 5}, "stream = 5"),
        ({"claims": ["gone"]}, "claims of list"),
        ({"claims": (1,)}, "claims of tuple"),
        ({"parameters": lambda self: {}}, "overrides parameters()"),
    ],
)
def test_a_class_that_states_what_it_may_not_is_refused(changed, reason):
    kind = dataclasses.dataclass(frozen=True)(type("Stating", (Mitigation,), changed))
    assert reason in plugins.class_fault(kind)


@pytest.mark.parametrize(
    ("name", "fits"), [("a", True), ("A-1.b_c", True), ("1a", True), ("-a", False), ("a b", False), ("ä", False)]
)
def test_a_name_begins_with_a_letter_or_digit_and_has_no_space(name, fits):
    kind = plugins._mitigation_class(plugin(lambda: type(plugins.published("rna").mitigation), name=name))
    assert isinstance(kind, Broken) is not fits


@pytest.mark.parametrize(
    ("given", "reason"),
    [([], "settings() gives nothing"), ([3], "settings() gives [3]"), ([None, 3], "settings() gives [None, 3]")],
)
def test_a_family_whose_settings_are_none_or_no_mitigations_is_broken(monkeypatch, given, reason):
    empty = dataclasses.dataclass(frozen=True)(type("Empty", (Mitigation,), {"settings": lambda self: given}))
    monkeypatch.setattr(plugins, "named", lambda *names: plugin(lambda: empty))
    monkeypatch.setattr(plugins, "load", lambda one: empty)
    assert reason in plugins.family("empty").reason


def test_a_strangers_plugin_does_not_take_the_name_of_rows_of_pipelines(monkeypatch):
    theirs = metadata.EntryPoint("pipeline", "theirs:Pipeline", "solidmark.mitigations")
    monkeypatch.setattr(plugins.metadata, "entry_points", lambda group: [theirs])
    assert [plugin.name for plugin in plugins.discover.__wrapped__("solidmark.mitigations")] == ["unknown:pipeline"]
    assert plugins.compose("pipeline").control
