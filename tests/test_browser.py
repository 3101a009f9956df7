"""The page in a real browser: what stands in it can be seen, sorted, filtered, shared, and read by a screen reader.

One session of Chromium serves all checks. Without it (`CHROMIUM` names another path), or without `solidmark[browser]`, they
are skipped; where `SOLIDMARK_NEEDS_BROWSER` is set they fail, and the Chromium of playwright serves as well.
"""

from __future__ import annotations

import importlib
import io
import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image
from record_samples import case, content, finding, scored, utility
from solidmark.reports import page

from solidmark.leaderboard import Leaderboard, build_leaderboard

NEEDED = bool(os.environ.get("SOLIDMARK_NEEDS_BROWSER"))


def extra(module: str) -> Any:
    """A module of `solidmark[browser]`."""
    if NEEDED:
        return importlib.import_module(module)
    return pytest.importorskip(module, reason="solidmark[browser] is not installed")


playwright, axe = extra("playwright.sync_api"), extra("axe_playwright_python")
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = pytest.mark.skipif(not (CHROMIUM or NEEDED), reason="there is no Chromium; CHROMIUM may name one")

WIDTHS = (1440, 768, 390)
QUERIES = ("outpaint", "average", "outpaint-weights")


def of_testbed(name: str, real: int) -> Iterator[dict[str, Any]]:
    """Three seeds of a baseline, references, and families of every kind, `real` of which leave less; some rows fail."""

    def family(label: str, m: float, stage: str, right: int, **more: Any) -> Iterator[dict[str, Any]]:
        for seed in range(3):
            asked = {query: scored(m + 0.01 * seed - 0.02 * number) for number, query in enumerate(QUERIES)}
            shown = content(0.5 + m / 2, 0.5 + m / 2.1, error=0.02)
            given = {"testbed": name, "utility": utility(right), "content": shown, "queries": asked, "fidelity": "B", **more}
            yield case(
                label, m, seed, stage, case_id="".join(c for c in f"{name}-{label}-{seed}" if c not in "(=)"), **given
            )

    yield from family("none", 0.85, "none", 200)
    for m, right in ((0.8, 190), (0.6, 150)):
        yield from family(f"stop(x={right})", m, "training", right, control=True, reference_curve=True)
    for number in range(6):
        for m, right in ((0.15 if number < real else 0.78, 196), (0.55, 120)):
            needs = ["captions"] if number % 2 else []
            yield from family(f"family-{number}(strength={right})", m + 0.02 * number, "training", right, needs=needs)
    yield from family("retrained", 0.0, "training", 180, control=True, reference_curve=False, needs=["forget list"])
    yield from family("lonely", 0.5, "sampling", 190, reference="A paper, arXiv 2503.00592")


def board() -> Leaderboard:
    failed = case(
        "broken", status="error", reason="no room", queries={}, worst=None, controls=None, utility=None, case_id="broken"
    )
    claim = {**finding(suite="claims", title="It forgets."), "slug": "claims-family-0-1"}
    return build_leaderboard([*of_testbed("one", 2), *of_testbed("two", 3), failed, claim, finding()], ["a note"])


def pictures(run: Path, case_id: str) -> None:
    """The per-image file of three trained images and a held-out one."""
    png = io.BytesIO()
    Image.new("L", (8, 8), 90).save(png, "PNG")
    images = dict.fromkeys(("as_trained", "as_asked", "as_answered"), png.getvalue())
    asked = {"query": "outpaint", "key": [0.0, 0.47, 0.5, 1.0], "prediction": [0.1, 0.5, 0.4, 0.9], **images}
    rows = [{**asked, "caption": f"image {n}", "combined_p": 0.01 * 10**-n, "trained": n < 3} for n in range(4)]
    (run / "per_image").mkdir(exist_ok=True)
    pd.DataFrame(rows).to_parquet(run / "per_image" / f"{case_id}.parquet")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run, made = tmp_path_factory.mktemp("page"), board()
    for name in ("none", "family-0(strength=196)", "family-1(strength=196)"):
        pictures(run, next(row for row in made.rows if row.mitigation == name).attempts[0].case_id)
    (run / "leaderboard.html").write_text(page.render(made, [run]))
    return run / "leaderboard.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM or None, args=["--no-sandbox", "--disable-gpu"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def said() -> list[str]:
    """What the page has logged, thrown, or asked for elsewhere."""
    return []


@pytest.fixture(scope="module")
def site(browser: Any, written: Path, said: list[str]) -> Any:
    """The page, opened once."""
    opened = browser.new_page(viewport={"width": 1440, "height": 900}, reduced_motion="reduce")
    opened.on("console", lambda message: said.append(message.text))
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else said.append(request.url))
    opened.goto(f"file://{written}")
    return opened


@pytest.fixture(autouse=True)
def fresh(site: Any, written: Path) -> None:
    """Each check begins with the page as it is written."""
    site.set_viewport_size({"width": 1440, "height": 900})
    site.goto(f"file://{written}")


def shown(site: Any, column: str = "mitigation") -> list[str]:
    """The first line of a column's visible cells."""
    return [text.split("\n")[0].split(" ")[0] for text in site.locator(f"tbody tr:visible > .at-{column}").all_inner_texts()]


@pytest.mark.parametrize("width", [1440, 390])
def test_axe_finds_nothing_at_any_width(site: Any, width: int) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    site.evaluate(files(axe).joinpath("axe.min.js").read_text())
    found = site.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    assert [(one["id"], node["target"]) for one in found for node in one["nodes"]] == []


def test_axe_finds_nothing_in_the_dark_with_all_open(site: Any) -> None:
    site.emulate_media(color_scheme="dark")
    site.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    for group in site.locator("[data-group]").all():
        group.check()
    site.evaluate(files(axe).joinpath("axe.min.js").read_text())
    found = site.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    site.emulate_media(color_scheme="light")
    assert [(one["id"], node["target"]) for one in found for node in one["nodes"]] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_no_part_is_empty_and_nothing_is_wider_than_the_page(site: Any, width: int) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    site.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    seen = "(t) => [...t.querySelectorAll('td')].some((cell) => cell.checkVisibility())"
    assert site.evaluate(f"[...document.querySelectorAll('table')].filter((t) => !({seen})(t)).length") == 0
    assert site.evaluate("[...document.querySelectorAll('section')].filter((s) => s.offsetHeight < 40).length") == 0
    assert site.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_answer_and_a_whole_table_are_in_view(site: Any, width: int) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    assert site.locator("h1").bounding_box()["y"] < 450
    assert site.locator("h1").inner_text().startswith("Two of 7 mitigations leave less memory")
    table, frame = (site.locator(name).first.bounding_box() for name in (".sheet table", ".sheet"))
    assert width < 1440 or table["width"] <= frame["width"]
    keys = site.locator(".sheet thead .at-keys").bounding_box()
    assert keys["x"] + keys["width"] <= width


def test_a_heading_sorts_up_down_and_back_by_keyboard(site: Any) -> None:
    before, head = shown(site, "kept"), site.locator("thead .at-kept button")
    head.focus()
    site.keyboard.press("Enter")
    up = [float(text) for text in shown(site, "kept") if text != "–"]
    assert up == sorted(up)
    site.keyboard.press("Enter")
    assert [float(text) for text in shown(site, "kept") if text != "–"] == up[::-1]
    assert site.locator("thead .at-kept").get_attribute("aria-sort") == "descending"
    site.keyboard.press("Enter")
    assert shown(site, "kept") == before


def test_filters_narrow_the_table_and_keep_the_baseline(site: Any) -> None:
    site.locator("#tools [name=testbed]").select_option("one")
    site.locator("#tools [name=verdict]").select_option("real")
    assert {*shown(site)} == {"none", "family-0", "family-1"}
    site.locator("#tools [name=kept]").select_option("0.95")
    site.locator("#tools [name=q]").fill("FAMILY-1")
    assert shown(site) == ["none", "family-1"]
    assert site.locator("#shown").inner_text() == "2 of {} rows".format(site.locator("#table tbody tr").count())


def test_links_of_the_page_lead_to_their_sections(site: Any) -> None:
    links = site.locator("nav a[href^='#']")
    for link in (links.last, links.first):
        link.click()
        site.wait_for_timeout(1500)  # it glides there
        section = site.locator(link.get_attribute("href"))
        assert section.evaluate("one => (top => top > -2 && top < innerHeight)(one.getBoundingClientRect().top)"), section


def test_the_address_brings_back_the_view(site: Any) -> None:
    site.locator("#tools [name=stage]").select_option("sampling")
    site.locator("[data-group=utility]").check()
    site.locator("thead .at-keys button").click()
    rows, heads = shown(site), site.locator("#table thead th").all_inner_texts()
    site.goto(site.url)
    assert (shown(site), site.locator("#table thead th").all_inner_texts()) == (rows, heads)
    assert "none" in rows


def test_a_group_of_columns_comes_goes_and_sorts(site: Any) -> None:
    few = site.locator(".sheet thead th").count()
    site.locator("[data-group=costs]").check()
    assert site.locator(".sheet thead th").count() > few
    head = site.locator(".sheet thead th button", has_text="seconds an image")
    head.click()
    assert site.locator(".sheet thead th[aria-sort]").count() == 1
    site.locator("[data-group=costs]").uncheck()
    assert site.locator(".sheet thead th").count() == few


def test_each_name_leads_to_its_family_which_opens(site: Any) -> None:
    site.locator("tbody th a.family", has_text="family-1").first.click()
    part = site.locator(".family-part:target")
    assert part.locator("h3").inner_text().startswith("family-1")
    part.locator("details[open]").first.wait_for()
    links = site.evaluate("[...document.querySelectorAll('a[href^=\"#\"]')].map((a) => a.getAttribute('href').slice(1))")
    assert [name for name in links if site.locator(f"[id='{name}']").count() != 1] == []


def test_two_families_are_laid_over_each_other(site: Any) -> None:
    names = [option.get_attribute("value") for option in site.locator("#compare [name=one] option").all()]
    site.locator("#compare [name=one]").select_option(names[2])
    site.locator("#compare [name=other]").select_option(names[3])
    assert site.locator("#overlay .panel .other .mark").count() > 0
    assert site.locator("#overlay h3").count() == 2
    ids = site.evaluate("[...document.querySelectorAll('[id]')].map((one) => one.id)")
    assert len(ids) == len(set(ids))


def test_what_the_baseline_remembers_is_open_and_each_claim_is_folded(site: Any) -> None:
    assert site.locator(".family-part", has=site.locator("h3", has_text="none")).locator("table").first.is_visible()
    assert site.locator(".card").first.is_hidden()
    site.locator("[id^=suite] > details > summary").first.click()
    assert site.locator(".card").first.is_visible()


def test_on_a_phone_the_words_of_a_claim_stay_whole(site: Any) -> None:
    site.set_viewport_size({"width": 390, "height": 900})
    widths = site.evaluate("[...document.querySelectorAll('.findings tbody td')].map((cell) => cell.offsetWidth)")
    assert min(widths) >= 70


def test_on_paper_no_column_is_cut(site: Any) -> None:
    site.emulate_media(media="print")
    site.set_viewport_size({"width": 1032, "height": 720})  # A4, landscape, less its margins
    table = site.locator(".sheet table").first.bounding_box()
    hidden = site.locator("#tools").is_hidden()
    site.emulate_media(media="screen")
    assert table["x"] + table["width"] <= 1032
    assert hidden


@pytest.mark.parametrize("width", WIDTHS)
def test_a_screenshot_of_the_first_screen_is_not_blank(site: Any, width: int, tmp_path: Path) -> None:
    site.set_viewport_size({"width": width, "height": 900})
    site.screenshot(path=tmp_path / "first.png")
    with Image.open(tmp_path / "first.png") as picture:
        assert len(picture.convert("L").getcolors(256)) > 30


def test_it_is_ready_within_a_second_and_a_half_of_work(site: Any) -> None:
    session = site.context.new_cdp_session(site)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})  # the page's own work, not that of other processes
    site.reload()
    spent = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    assert 0 < spent["TaskDuration"] < 1.5


def test_all_that_without_an_error_or_a_request(said: list[str]) -> None:
    assert said == []
