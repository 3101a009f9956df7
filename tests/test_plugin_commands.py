"""`solidmark plugins` and `new` by small cases: what is told of a plugin, how a list ends, which names are refused."""

import json
import sys
import tomllib
from argparse import Namespace
from types import SimpleNamespace

import pytest
import yaml

from solidmark import plugins
from solidmark.cli import new, plugin
from solidmark.errors import InvalidValue, PluginFault, UnknownName
from solidmark.mitigation import Mitigation, Needs, Stage


class Both(Mitigation):
    """A mitigation of sampling.

    It has more to say.
    """

    stage, needs, fidelity = Stage.SAMPLING, Needs.FORGET, "B"
    reference = "A title, arXiv 1"
    claims = ("It forgets.", SimpleNamespace(text="It costs nothing."))

    def parameters(self):
        return {"share": 0.5, "name": "x"}


class Plain(Mitigation):
    """It says little."""

    def parameters(self):
        return {}


@pytest.mark.parametrize(
    ("kind", "settings", "lines"),
    [
        (Both, [SimpleNamespace(label="x(share=0.5)"), SimpleNamespace(label="x(share=1)")], [
            "", "acts at     sampling", "fidelity    B", f"needs       {Needs.FORGET.names()[0]}",
            "source      A title, arXiv 1", "parameters  share=0.5, name='x'", "settings    x(share=0.5)",
            "            x(share=1)", "claims      It forgets.", "            It costs nothing.",
        ]),
        (Plain, plugins.Broken("x", "here", "why"), [
            "", "acts at     none", f"fidelity    {Plain.fidelity}", "needs       nothing but the model",
            "source      none", "parameters  none",
        ]),
    ],
)  # fmt: skip
def test_a_mitigation_is_told_with_its_facts_settings_and_claims(monkeypatch, kind, settings, lines):
    monkeypatch.setattr(plugin.plugins, "family", lambda name: settings)
    assert plugin._mitigation("x", kind) == lines


@pytest.mark.parametrize("own", [True, False])
def test_a_control_of_the_suite_s_own_has_no_letter_and_a_stranger_s_is_a_method(own, monkeypatch):
    monkeypatch.setattr(plugin.plugins, "family", lambda name: [])
    lines = plugin._mitigation("x", type("Control", (Plain,), {"control": True}), own)
    assert ("fidelity    none: a control" in lines, "fidelity    A" in lines) == (own, not own)


class Query_:
    """Asks."""

    def __init__(self, steps=5, name="x", *, last=None):
        pass


class Bare:
    def __init__(self, needed):
        pass


def test_a_plugin_of_another_kind_is_told_with_its_defaults_where_it_has_some(monkeypatch):
    assert plugin._fields(Query_) == ["", "steps = 5", "name = 'x'", "last = None"]
    assert plugin._fields(Bare) == plugin._fields(3) == plugin._fields(lambda a=1: a) == []
    of = SimpleNamespace(name="q", origin="somewhere", own=True)
    monkeypatch.setattr(plugin.plugins, "load", lambda one: Query_)
    assert plugin._one("query", of) == "query q, from somewhere\n\nAsks.\n\nsteps = 5\nname = 'x'\nlast = None"
    monkeypatch.setattr(plugin.plugins, "load", lambda one: Bare)
    assert plugin._one("query", of).endswith("\n\nIt says nothing of itself.")
    monkeypatch.setattr(plugin.plugins, "load", lambda one: Both)
    monkeypatch.setattr(plugin, "_mitigation", lambda name, kind, own: [f"{name} is {kind.__name__}, {own}"])
    assert plugin._one("mitigation", of).splitlines()[-1] == "q is Both, True"
    monkeypatch.setattr(plugin.plugins, "load", lambda one: plugins.Broken("q", "there", "no module"))
    with pytest.raises(PluginFault, match=r"query q: found no module; .* Repair or uninstall there"):
        plugin._one("query", of)


def test_all_plugins_of_a_name_are_told_of_whatever_kind(monkeypatch):
    found = {group: [SimpleNamespace(name="both"), SimpleNamespace(name=kind)] for kind, group in plugin.KINDS.items()}
    monkeypatch.setattr(plugin.plugins, "discover", found.get)
    monkeypatch.setattr(plugin, "_one", lambda kind, one: f"{kind} {one.name}")
    assert plugin.told("both") == [f"{kind} both" for kind in plugin.KINDS]
    assert plugin.told("query") == ["query query"]
    with pytest.raises(UnknownName, match=f"one of both, {', '.join(sorted(plugin.KINDS))}"):
        plugin.told("none")


@pytest.mark.parametrize(("check", "broken", "code"), [(True, True, 1), (True, False, 0), (False, True, 0)])
@pytest.mark.parametrize("as_json", [True, False])
def test_plugins_are_listed_kind_by_kind(monkeypatch, capsys, check, broken, code, as_json):
    row = {"name": "a", "status": "broken" if broken else "ok", "origin": "here", "reason": "why" if broken else None}
    monkeypatch.setattr(plugin.plugins, "listing", lambda group: [row] if group == plugins.REPORTS else [])
    assert plugin._plugins(Namespace(name=None, json=as_json, check=check)) == code
    told = capsys.readouterr().out
    if as_json:
        assert json.loads(told) == [{"kind": "report", **row}]
    else:
        assert told.splitlines()[0].split() == ["kind", "name", "status", "acts", "at", "needs", "paper", "from", "reason"]
        assert told.splitlines()[2].split() == ["report", "a", row["status"], "here", *([row["reason"]] if broken else [])]


def test_the_list_says_of_a_mitigation_where_it_acts_what_it_needs_and_whose_paper_it_is():
    facts = plugin._facts()
    row = {"kind": "mitigation", "name": "siss", "status": "ok", "origin": "here 1, entry point siss = a:B", "reason": None}
    assert plugin._short(row, facts) == ["post-hoc", "forget list", "arXiv 2503.01034", "here 1", None]
    assert plugin._short({**row, "status": "broken", "reason": "why"}, facts) == [None, None, None, row["origin"], "why"]
    assert plugin._short({**row, "kind": "query"}, facts)[:3] == [None] * 3


# A new plugin


def test_a_plugin_has_four_files_that_name_it_and_the_one_to_edit_is_second(tmp_path):
    found = new.write("quiet-words", tmp_path)
    names = ["pyproject.toml", "quiet_words.py", "tests/test_quiet_words.py", ".github/workflows/solidmark.yml"]
    assert found == [tmp_path / "quiet-words" / name for name in names]
    assert all(path.read_text().endswith("\n") for path in found)
    assert "class QuietWords(" in found[1].read_text()
    assert 'quiet-words = "quiet_words:QuietWords"' in found[0].read_text()
    assert "quiet-words" in found[3].read_text()
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match=r"solidmark new more-words: found .*expected a new folder"):
        new.write("more-words", tmp_path / "file")


def installed(*urls, fetched=None):
    """A distribution that states these project URLs, and that pip has had from somewhere."""
    stated = SimpleNamespace(get_all=lambda name: list(urls) or None)
    return lambda name: SimpleNamespace(metadata=stated, read_text=lambda file: fetched and json.dumps(fetched))


GIT = "https://example.org/a/solidmark"


@pytest.mark.parametrize(
    ("made", "address"),
    [
        (installed("Homepage, https://example.org", f"Repository, {GIT}"), GIT),
        (installed(fetched={"url": GIT, "vcs_info": {"vcs": "git"}}), GIT),
        (installed(fetched={"url": "file:///srv/solidmark", "dir_info": {"editable": True}}), ""),
        (installed("Source, https://me:secret@example.org/a"), ""),
        (installed(), ""),
    ],
)
def test_a_new_package_and_its_workflow_say_where_solidmark_is_from(tmp_path, monkeypatch, made, address):
    monkeypatch.setattr(new, "_check", lambda *_: None)
    monkeypatch.setattr(new.metadata, "distribution", made)
    project, *_, workflow = (path.read_text() for path in new.write("quiet-words", tmp_path))
    read, job = tomllib.loads(project), yaml.safe_load(workflow)["jobs"]["row"]
    assert read["project"]["dependencies"] == ["solidmark"]
    assert read["tool"].get("uv", {}) == ({"sources": {"solidmark": {"git": address}}} if address else {})
    assert f'pip install "solidmark @ git+{address or "https://ADDRESS"}"' in project
    default = f" || 'solidmark @ git+{address}'" if address else ""
    assert job["env"]["SOLIDMARK"] == f"${{{{ vars.SOLIDMARK{default} }}}}"
    assert 'pip install "${SOLIDMARK:?names nothing to install}"' in [step.get("run") for step in job["steps"]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("QuietWords", r"lower-case words .* Write quiet-words\."),
        ("quiet_words", r"Write quiet-words\."),
        ("9lives", r"Write lives\."),
        ("class", r"found 'class'; .*Choose another name\."),
        ("nan", r"found 'nan'; .*Choose another name\."),
        ("Ü", r"Choose another name\."),
        ("agc", "a mitigation of that name, from solidmark"),
        ("json", "json, which is installed"),
        ("pyarrow-hotfix-none", None),
        ("tabnanny", "tabnanny, which is installed"),  # which nothing imports
        ("pip", "pip, which is installed"),
    ],
)
def test_a_name_that_will_not_do_is_refused_with_one_that_would(tmp_path, name, words):
    if words is None:
        new._check(name, tmp_path)
        return
    with pytest.raises(InvalidValue, match=words):
        new._check(name, tmp_path)


def test_a_name_is_taken_by_a_module_a_distribution_or_a_folder(tmp_path, monkeypatch):
    new._check("quiet-words", tmp_path)
    monkeypatch.setitem(sys.modules, "quiet_words", SimpleNamespace())
    with pytest.raises(InvalidValue, match="quiet_words, which is installed"):
        new._check("quiet-words", tmp_path)
    monkeypatch.delitem(sys.modules, "quiet_words")
    (tmp_path / "quiet-words").mkdir()
    with pytest.raises(InvalidValue, match="exists; expected a new folder"):
        new._check("quiet-words", tmp_path)
    (tmp_path / "quiet-words").rmdir()
    monkeypatch.setattr(new.metadata, "distribution", lambda name: name)
    with pytest.raises(InvalidValue, match="quiet_words, which is installed"):
        new._check("quiet-words", tmp_path)
