"""Plugins: found by entry point, loaded guarded, written as expressions."""

import dataclasses
import signal

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
        ("rna", "rna(share=0.25)"),
        ("rna(share=0.5, probability=0.1)", "rna(share=0.5, probability=0.1)"),
        ("rna + gni(scale=2.0)", "rna(share=0.25)+gni(scale=2.0)"),
        ("none", "none"),
    ],
)
def test_expressions_compose(expression, label):
    assert plugins.compose(expression).label == label


@pytest.mark.parametrize(
    ("expression", "error", "message"),
    [
        ("rnaa", UnknownName, "Did you mean 'rna'"),
        ("rna(shar=1)", UnknownName, "Did you mean 'share'"),
        ("rna(share=-1)", InvalidValue, "RandomNumbers.share"),
        ("rna(0.5)", InvalidValue, "name=value"),
        ("rna(share=open('x'))", InvalidValue, "share=open"),
        ("rna(share=0.5", InvalidValue, "Close the parenthesis"),
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
