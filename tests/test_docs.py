"""The documentation site: what follows from the code is complete, links lead somewhere, and its simulation is right."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from scipy import stats

from solidmark import __main__ as console

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def load(name):
    spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)  # where dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hooks():
    return load("hooks")


@pytest.fixture(scope="module")
def pages(hooks):
    """Every page of the site by its place, with its text."""
    copied = {place: hooks.linked((ROOT / source).read_text(), source, place) for source, place in hooks.COPIED.items()}
    made = {"options.md": hooks.options(), "records.md": hooks.fields("record"), "rows.md": hooks.fields("row")}
    return {
        **{place: hooks.linked((ROOT / name).read_text(), name, place) for name, place in hooks.HERE.items()},
        **copied,
        **made,
    }


def places(nav):
    """The pages that a navigation names."""
    if isinstance(nav, str):
        return [nav]
    return [place for part in (nav.values() if isinstance(nav, dict) else nav) for place in places(part)]


def test_every_page_is_in_the_navigation_once(pages, hooks):
    named = places(hooks.navigation(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]))
    assert sorted(named) == sorted(pages)


def test_every_link_between_pages_leads_to_one(pages, hooks):
    for place, text in pages.items():
        for link in re.findall(r"\]\((?!https?:|#)([^)\s#]+\.md)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
            target = (DOCS / place).parent.joinpath(link).resolve().relative_to(DOCS)
            assert str(target) in pages, (place, link)


def test_a_link_to_a_file_that_is_no_page_becomes_its_path(hooks):
    text = "[here](../src/solidmark/keys.py), [there](hooks.md#x) and `[code](../README.md)`"
    assert hooks.linked(text, "design/a.md", "design/a.md") == (
        "here (`src/solidmark/keys.py`), [there](hooks.md#x) and `[code](../README.md)`"
    )


def test_every_option_and_command_is_looked_up(pages, pytestconfig):
    options = [name for name in vars(pytestconfig.option) if name.startswith("solidmark_")]
    assert not [
        name for name in options if f"`--{name.removeprefix('solidmark_').replace('_', '-')}" not in pages["options.md"]
    ]
    commands = next(action.choices for action in console.parser()._actions if action.choices)
    assert not [name for name in commands if f"### `solidmark {name}" not in pages["options.md"]]


@pytest.mark.parametrize("kind", ["record", "row"])
def test_every_field_of_a_record_and_of_a_row_is_looked_up(pages, kind):
    schema = json.loads((ROOT / "src" / "solidmark" / "schema" / f"{kind}.schema.json").read_text())
    text = pages[f"{kind}s.md"]
    for name, block in schema["$defs"].items():
        section = text.partition(f"## {name}\n")[2].partition("\n## ")[0]
        assert set(block.get("properties", {})) == set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)), name
    assert set(re.findall(r"\]\(#(\w+)\)", text)) <= {name.lower() for name in [*schema["$defs"], "Row"]}


@pytest.mark.parametrize(("kind", "remembered"), [("one gray", 0), ("noise", 8)])
def test_what_the_page_on_the_score_proves_holds_in_simulation(kind, remembered):
    simulate, runs = load("simulate"), 40
    found = simulate.simulate(kind, remembered, 0.05, runs=runs, seed=5)
    others = runs * (simulate.IMAGES - remembered) * simulate.KEYS
    low, high = stats.binom.interval(0.9999, others, simulate.RATE)
    assert low <= found.small * others <= high
    assert found.false_share <= simulate.RATE * (1 - remembered / simulate.IMAGES) + 0.05
    assert abs(found.m) < 0.01 if not remembered else found.found > 0.99


def test_the_table_of_simulations_is_of_the_worlds_that_the_command_simulates():
    rows = re.findall(r"^\| ([^|]+) \| (\d+) of 64 \| ([\d.]+) \|", (DOCS / "score.md").read_text(), re.MULTILINE)
    assert [(kind, int(count), float(noise)) for kind, count, noise in rows] == list(load("simulate").WORLDS)


def test_the_ported_method_is_shown_in_both_versions():
    """On three lines, which the formatter of code blocks leaves alone: one line becomes a comparison, and shows nothing."""
    text = (DOCS / "ported_method.md").read_text()
    shown = re.findall(r"^ +--8<--\n +(\S+)\n +--8<--$", text, re.MULTILINE)
    assert shown == ["ported/first_guidance_diffusers.py", "ported/first_guidance.py"]
    assert all((DOCS / name).is_file() for name in shown)
