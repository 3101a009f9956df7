"""Plugins that cannot be used, in process: each place that meets one says so, and names whose it is."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest

from solidmark import Mitigation, plugins
from solidmark.errors import InvalidValue, PluginFault, UnknownName
from solidmark.mitigation.composition import Part
from solidmark.plugins import GROUPS, Broken, Plugin
from solidmark.queries import Attack
from solidmark.runner import plan
from solidmark.testbed import Testbed


def plugin(made, name="thing", distribution=plugins.OWN):
    """A plugin whose entry point loads an object."""
    return Plugin(name, f"module:{id(made)}", distribution, "1.0", SimpleNamespace(load=lambda: made))


def install(monkeypatch, *found):
    monkeypatch.setattr(plugins, "discover", lambda group: found)


class Torn:
    @property
    def metadata(self):
        raise ValueError("torn")


@pytest.mark.parametrize(
    ("dist", "found"),
    [
        (SimpleNamespace(metadata={"Name": "some"}, version="2.5"), ("some", "2.5")),
        (None, ("unknown", "0")),
        (Torn(), ("unknown", "0")),
    ],
)
def test_a_distribution_that_does_not_tell_is_unknown(dist, found):
    assert plugins._distribution(SimpleNamespace(dist=dist)) == found


def test_a_strangers_plugin_is_tried_before_it_is_loaded_and_ours_is_not(monkeypatch):
    monkeypatch.setattr(plugins, "_trial", lambda one: "its import hangs" if one.name == "bad" else None)
    stranger, good, own = plugin([], "bad", "other"), plugin({}, "good", "other"), plugin((1,), "bad")
    assert plugins.load(stranger) == Broken("bad", stranger.origin, "its import hangs")
    assert (plugins.load(good), plugins.load(own)) == ({}, (1,))


def test_of_two_distributions_with_one_name_each_is_named(monkeypatch):
    install(monkeypatch, *(plugin(1, name) for name in ("a:x", "b:x", "ax", "y")))
    with pytest.raises(InvalidValue, match=r"'x' from 2 distributions.*Write a:x or b:x, or uninstall"):
        plugins.named("group", "mitigation", "x")
    with pytest.raises(UnknownName, match="mitigation"):
        plugins.named("group", "mitigation", "z")
    assert plugins.named("group", "mitigation", "a:x").name == "a:x"


@pytest.mark.parametrize(
    ("made", "reason"), [(3, "3 is not a subclass of solidmark.Mitigation"), (Broken("thing", "o", "gone"), "gone")]
)
def test_a_class_that_cannot_be_used_is_broken_wherever_it_is_asked_for(monkeypatch, made, reason):
    bad = plugin(made)
    install(monkeypatch, bad)
    for found in (plugins.family("thing"), plugins.published("thing"), plugins._mitigation_class(bad)):
        assert isinstance(found, Broken)
        assert reason in found.reason
    with pytest.raises(PluginFault, match=rf"mitigation thing.*{reason}.*Repair or uninstall"):
        plugins.compose("thing")
    (row,) = plugins.listing(GROUPS["mitigation"])
    assert (row["name"], row["status"], reason in row["reason"]) == ("thing", "broken", True)


def test_a_thing_that_cannot_be_loaded_is_no_instance(monkeypatch):
    install(monkeypatch, plugin(Broken("thing", "dist 2", "no torch")))
    with pytest.raises(PluginFault, match=r"query thing.*no torch.*Repair or uninstall dist 2"):
        plugins.instance("group", "query", "thing")


@pytest.mark.parametrize(("ask", "expected"), [(plan._testbed, "expected a Testbed"), (plan._query, "expected an Attack")])
def test_what_is_of_another_kind_than_its_group_is_a_fault(monkeypatch, ask, expected):
    kind = Attack if ask is plan._testbed else Testbed
    made = type("Other", (), {"__module__": kind.__module__})()
    monkeypatch.setattr(plugins, "instance", lambda *_: made)
    monkeypatch.setattr(plugins, "testbed", lambda name: (name, made))
    with pytest.raises(PluginFault, match=rf"thing.*Other.*{expected}"):
        ask("thing")


@dataclass(frozen=True)
class Stubborn(Mitigation):
    """Keeps its own scale, whatever it is given."""

    scale: float = 1.0

    def __post_init__(self):
        object.__setattr__(self, "scale", 1.0)


def test_a_part_that_does_not_keep_what_another_process_planned_is_a_fault():
    part = Part("stubborn", Stubborn())
    assert plugins._with(part, {"scale": 1.0}) == part
    with pytest.raises(PluginFault, match=r"mitigation stubborn.*'scale': 1\.0.*'scale': 2\.0.*as another process has them"):
        plugins._with(part, {"scale": 2.0})
