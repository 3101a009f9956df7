"""The doctor, examination by examination, on a machine and an installation that are made up."""

import sys

import pytest

from solidmark import plugins
from solidmark.cli import doctor


@pytest.mark.parametrize(
    ("version", "sound"), [((3, 11, 0), True), ((3, 13, 1), True), ((3, 10, 14), False), ((4, 0, 0), True)]
)
def test_python_is_new_enough_from_3_11_on(monkeypatch, version, sound):
    monkeypatch.setattr(sys, "version_info", version)
    assert doctor._python().sound is sound


def test_a_plugin_that_the_checkout_has_and_the_installation_lacks_is_named(monkeypatch):
    discover = plugins.discover
    assert doctor._entry_points() == doctor.Diagnosis("entry points", "as the checkout has them")
    lacking = {"csv", "outpaint"}
    monkeypatch.setattr(plugins, "discover", lambda group: tuple(p for p in discover(group) if p.name not in lacking))
    found = doctor._entry_points()
    assert not found.sound
    assert found.text.startswith("not installed: outpaint, csv; remove solidmark.egg-info")


def test_an_installed_package_has_no_checkout_to_compare_with(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "__file__", str(tmp_path / "a" / "b" / "c" / "doctor.py"))
    assert doctor._entry_points() == doctor.Diagnosis("entry points", "of an installed package")


def test_broken_plugins_are_named_with_their_reasons_among_all(monkeypatch):
    groups = len(plugins.GROUPS) + 1
    rows = [{"name": "a", "status": "ok"}, {"name": "b", "status": "broken", "reason": "no module"}]
    monkeypatch.setattr(plugins, "listing", lambda group: rows if group == plugins.REPORTS else rows[:1])
    found = doctor._plugins()
    assert (found.text, found.sound) == (f"{groups + 1} found, broken: b (no module)", False)


def test_an_examination_that_raises_is_a_diagnosis_and_the_others_go_on(monkeypatch):
    def _store():
        raise OSError("no disk")

    for name in ("_versions", "_devices", "_locks", "_entry_points", "_plugins"):
        monkeypatch.setattr(doctor, name, lambda: doctor.Diagnosis("it", "is well"))
    monkeypatch.setattr(doctor, "_store", _store)
    found = doctor.examine()
    assert [each.sound for each in found] == [True, True, True, False, True, True, True]
    assert (found[3].subject, found[3].text) == ("store", "OSError: no disk")
