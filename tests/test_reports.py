import csv
import io
import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from record_samples import HOSTILE, case, crash, failed, of_testbed, scored, utility
from solidmark.reports import answer, as_csv, as_json, columns, gallery, markdown, page, prose, sheet, table

from solidmark import plugins
from solidmark.leaderboard import NO_CLASS, Leaderboard, build_leaderboard

PNG = b"\x89PNG\r\n\x1a\n and whatever follows"
RENDERERS = {"md": markdown.render, "csv": as_csv.render, "json": as_json.render, "html": page.render}


@pytest.fixture(scope="module")
def board() -> Leaderboard:
    """A baseline, two families, a failed row, a crash, and the record of the testbed."""
    rows = [case(f"rna(share={x})", 0.9 - 0.4 * x, stage="sampling") for x in (0.25, 0.5)]
    two = {"outpaint": scored(0.7), "caption-only": scored(0.6)}
    more = [case("guidance(scale=1)", 0.8, stage="sampling", control=True), case("agc", stage="training", queries=two)]
    wrong = [failed("broken", reason="no room"), crash("rna(share=0.5)")]
    return build_leaderboard(
        [case(), *rows, *more, *wrong, of_testbed()], ["store: one entry was set aside"], {"profile": "quick"}
    )


@pytest.fixture(scope="module")
def hostile() -> Leaderboard:
    """Names and reasons that try to be markup, columns, lines or formulas."""
    rows = [case(), case(f"{HOSTILE}(x=1)", 0.5, stage=HOSTILE), case("=cmd()", stage="sampling", reference=HOSTILE)]
    return build_leaderboard([*rows, failed("bad", reason=HOSTILE), crash(HOSTILE)], [HOSTILE], {"profile": HOSTILE})


@pytest.fixture(scope="module")
def site(board: Leaderboard) -> str:
    """The page."""
    return page.render(board, [])


class Seen(HTMLParser):
    """Tags and attributes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.mark.parametrize("name", RENDERERS)
def test_every_renderer_is_found_by_its_entry_point(name: str) -> None:
    assert plugins.load(plugins.named(plugins.REPORTS, "report", name)) is RENDERERS[name]


@pytest.mark.parametrize("name", RENDERERS)
def test_the_same_records_give_the_same_bytes(name: str, board: Leaderboard) -> None:
    assert RENDERERS[name](board, []) == RENDERERS[name](board, [])


def test_another_process_gives_the_same_page() -> None:
    code = """if True:
        from record_samples import case
        from solidmark.leaderboard import build_leaderboard
        from solidmark.reports import page
        print(page.render(build_leaderboard([case(), case("rna", 0.5, stage="sampling")]), []), end="")"""
    environment = {**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(Path(__file__).parent), "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True)
    assert done.stdout.decode() == page.render(build_leaderboard([case(), case("rna", 0.5, stage="sampling")]), [])


@pytest.mark.parametrize("name", RENDERERS)
def test_nothing_measured_is_still_a_report(name: str) -> None:
    text = RENDERERS[name](build_leaderboard([]), [])
    assert text
    assert name not in ("md", "html") or "no records yet" in text


@pytest.mark.parametrize("name", RENDERERS)
def test_a_board_of_failures_alone_is_still_a_report(name: str) -> None:
    assert "no room" in RENDERERS[name](build_leaderboard([failed("none", reason="no room", stage="none")]), [])


def column(board: Leaderboard, key: str) -> table.Column:
    """The column of that key."""
    return next(column for column in columns.table(board).columns if column.key == key)


def test_a_table_cell_never_shows_a_number_alone(board: Leaderboard) -> None:
    lead = column(board, "memorization")
    assert lead.heading == "M ↓ (chance 0)"
    assert re.fullmatch(r"0\.88 \[0\.86, 0\.90\]", lead.cell(board.rows[0]).text)


def test_a_share_is_shown_with_what_chance_gives(board: Leaderboard) -> None:
    assert column(board, "within_0.1").cell(board.rows[0]).text.endswith("(chance 0.20)")


def test_a_small_negative_is_not_shown_as_minus_zero() -> None:
    board = build_leaderboard([case(m=-0.001)])
    assert column(board, "memorization").cell(board.rows[0]).value == "0.00"


def test_a_row_without_numbers_shows_dashes_and_its_status(board: Leaderboard) -> None:
    row = next(row for row in board.rows if row.family == "broken")
    cells = [column(board, key).cell(row).text for key in ("memorization", "status", "reason")]
    assert cells == [table.EMPTY, "error", "seed 0: no room"]


def test_another_query_has_a_column_of_its_own(board: Leaderboard) -> None:
    row = next(row for row in board.rows if row.family == "agc")
    other = column(board, "memorization_caption-only")
    assert other.cell(row).value == "0.60"
    assert other.cell(board.rows[0]).value == table.EMPTY


def test_the_worst_case_follows_the_leading_query_where_several_were_asked(board: Leaderboard) -> None:
    keys = [column.key for column in columns.table(board).main]
    for key in ("memorization", "certified", "epsilon"):
        assert keys[keys.index(key) + 1] == f"worst_{key}"
    row = next(row for row in board.rows if row.family == "agc")
    assert column(board, "worst_memorization").cell(row).value == "0.70"


def test_the_worst_case_over_one_query_is_no_main_column() -> None:
    board = build_leaderboard([case()])
    grid = columns.table(board)
    assert not [column.key for column in grid.main if column.key.startswith("worst")]
    assert [column.cell(board.rows[0]).value for column in grid.more if column.key == "worst_memorization"] == ["0.88"]


def test_a_row_without_accuracy_shows_a_dash_and_why() -> None:
    board = build_leaderboard([case(utility=utility(None)), of_testbed(right=None)])
    cell = column(board, "accuracy").cell(board.rows[0])
    assert (cell.value, cell.missing) == (table.EMPTY, NO_CLASS)
    assert NO_CLASS in page.render(board, [])
    assert NO_CLASS in markdown.render(board, [])


def test_accuracy_that_is_measured_nowhere_has_no_figure() -> None:
    site = page.render(
        build_leaderboard([case(utility=utility(None)), case("x", stage="sampling", utility=utility(None))]), []
    )
    assert f"Accuracy is not measured: {NO_CLASS}" in site
    assert "accuracy kept" not in site


@pytest.mark.parametrize(("numbers", "text"), [((), ""), ((0,), "0"), ((0, 1), "0, 1"), ((0, 2, 3, 4), "0, 2-4")])
def test_seeds_are_listed_in_short(numbers: tuple[int, ...], text: str) -> None:
    assert columns.spans(numbers) == text


def test_the_headline_says_the_baseline_and_chance(board: Leaderboard) -> None:
    text = prose.headline(board, board.testbeds[0])
    assert "M 0.88 [0.86, 0.90] where chance gives 0, 56 of 64" in text
    assert prose.counts(board) == "6 rows, 1 of them without numbers (1 error)"


def test_rows_with_certified_images_are_counted_without_ranking(board: Leaderboard) -> None:
    text = prose.certified_rows(board, board.testbeds[0])
    assert text == "In 4 of 4 mitigated rows images are still certified; in the worst case over queries, in 1 of 1"


def test_a_board_without_a_baseline_says_so() -> None:
    board = build_leaderboard([case("rna", stage="sampling")])
    assert "no row can be compared" in prose.headline(board, board.testbeds[0])


def test_the_cost_of_marking_has_the_unmarked_training(board: Leaderboard) -> None:
    accuracy = prose.marking(board, board.testbeds[0])[0]
    assert accuracy[0] == "accuracy"
    assert accuracy[1].startswith("0.64 [")
    assert accuracy[2].startswith("0.78 [")


def test_markdown_tables_keep_their_columns_whatever_the_names(hostile: Leaderboard) -> None:
    text = markdown.render(hostile, [])
    rows = [line for line in text.split("\n") if line.startswith("|")]
    main = rows[: len(hostile.rows) + 2]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in main} == {main[0].count("|")}
    assert "<script" not in text
    assert "[a](b)" not in text.replace("\\[a](b)", "")


def test_markdown_keeps_the_zeros_of_numbers() -> None:
    assert "| 0.10" in markdown._tabulate([["0.10"]], ["x"])


def test_markdown_lists_crashes_notes_and_provenance(board: Leaderboard) -> None:
    text = markdown.render(board, [])
    assert "tried again: ok" in text
    assert "store: one entry was set aside" in text
    assert "**profile**: quick" in text


def test_markdown_tells_what_does_not_apply_apart_from_what_failed() -> None:
    board = build_leaderboard([case(), *(failed("lora", seed, "unsupported", "no base") for seed in (0, 1))])
    _, found = markdown.render(board, []).split("## What went wrong")
    assert found.lstrip().startswith("Nothing: no case failed")
    assert found.count("- lora: no base") == 1
    assert "no base" not in "".join(line for line in found.split("\n") if line.startswith("|"))


def test_csv_comes_back_through_pandas(board: Leaderboard) -> None:
    read = pd.read_csv(io.StringIO(as_csv.render(board, [])), keep_default_na=False)
    first = board.rows[0].lead
    assert first is not None
    assert read["mitigation"].tolist() == [row.mitigation for row in board.rows]
    assert float(read["memorization_low"][0]) == first.memorization.low
    assert read["memorization"].tolist()[2] == ""


def test_every_format_says_which_rows_are_references(board: Leaderboard) -> None:
    read = pd.read_csv(io.StringIO(as_csv.render(board, [])), keep_default_na=False)
    assert set(read.mitigation[read.control == "yes"]) == {row.mitigation for row in board.rows if row.control}
    assert "| reference " in markdown.render(board, [])


def test_csv_never_begins_a_text_as_a_formula(hostile: Leaderboard) -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv.render(hostile, []))))
    assert "'=cmd()" in [row["mitigation"] for row in rows]
    assert not [value for row in rows for value in row.values() if value.startswith(("=", "@", "+"))]


def test_csv_keeps_negative_numbers_numbers() -> None:
    read = pd.read_csv(io.StringIO(as_csv.render(build_leaderboard([case(m=-0.2)]), [])))
    assert read["memorization"][0] == pytest.approx(-0.2)


def test_json_is_the_leaderboards(board: Leaderboard) -> None:
    assert json.loads(as_json.render(board, []))["schema"] == "solidmark.leaderboard/2"


def test_the_page_fetches_nothing(site: str) -> None:
    links = [(tag, attributes.get("src") or attributes.get("href") or "") for tag, attributes in Seen(site).tags]
    fetched = [(tag, link) for tag, link in links if re.match(r"(https?:)?//", link)]
    assert {tag for tag, _ in fetched} <= {"a"}
    assert all(link.startswith("https://arxiv.org/abs/") for _, link in fetched)
    assert "@import" not in site
    assert not re.search(r"url\((?!#)", site)


def test_the_page_runs_no_name(hostile: Leaderboard) -> None:
    seen = Seen(page.render(hostile, []))
    scripts = [attributes for tag, attributes in seen.tags if tag == "script"]
    assert scripts == [{"type": "application/json", "id": "more"}, {}]
    assert not [name for _, attributes in seen.tags for name in attributes if name.startswith("on")]


def test_the_page_shows_a_hostile_name_as_it_is(hostile: Leaderboard) -> None:
    assert any("<script>alert(1)</script>|`x`" in word for word in Seen(page.render(hostile, [])).words)


def test_the_page_carries_the_columns_that_are_not_in_view_and_no_other_data(board: Leaderboard, site: str) -> None:
    (found,) = re.findall(r'<script type="application/json" id="(\w+)">(.*?)</script>', site, re.DOTALL)
    groups = json.loads(found[1])
    assert found[0] == "more"
    assert {len(group["cells"]) for group in groups.values()} == {len(board.rows)}
    assert all(len(cells) == len(group["heads"]) for group in groups.values() for cells in group["cells"])


def test_every_figure_says_what_it_shows(site: str) -> None:
    tags = Seen(site).tags
    drawings = [attributes for tag, attributes in tags if tag == "svg"]
    titled = {attributes["aria-labelledby"] for attributes in drawings if "aria-labelledby" in attributes}
    assert titled <= {attributes.get("id") for tag, attributes in tags if tag == "title"}
    shown = [attributes for _, attributes in tags if attributes.get("role") == "img"]
    assert len(drawings) == len(titled) + len(shown) >= 2
    assert all(attributes.get("aria-label") for attributes in shown)
    assert all(attributes.get("alt") for tag, attributes in tags if tag == "img")


def test_ids_of_the_page_are_unique(site: str) -> None:
    ids = [attributes["id"] for _, attributes in Seen(site).tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_colours_of_the_figures_are_those_of_the_page(site: str) -> None:
    drawn = re.findall(r"<svg.*?</svg>", site, re.DOTALL)
    assert not [colour for svg in drawn for colour in re.findall(r"#[0-9a-f]{6}\b", svg)]


@pytest.mark.parametrize(("p", "text"), [(0.5, "0.5"), (0.0171, "0.017"), (4.2e-7, "4 × 10⁻⁷"), (0.0, "below 10⁻³⁰⁰")])
def test_small_probabilities_are_written_by_their_power(p: float, text: str) -> None:
    assert page.probability(p) == text


def per_image(folder: Path, case_id: str, picture: bytes = PNG) -> None:
    """The per-image file of one trained and one held-out image with three keys each."""
    keys, answers = [0.0, 0.5, 1.0], [0.1, 0.5, 0.8]
    image = {"query": "outpaint", "caption": HOSTILE, "key": keys, "prediction": answers, "combined_p": 0.02}
    pictures = dict.fromkeys(("as_trained", "as_asked", "as_answered"), picture)
    (folder / "per_image").mkdir()
    rows = pd.DataFrame([{**image, **pictures, "trained": trained} for trained in (True, False)])
    rows.to_parquet(folder / "per_image" / f"{case_id}.parquet")


def test_the_gallery_shows_trained_and_held_out_images(tmp_path: Path) -> None:
    per_image(tmp_path, case()["case_id"])
    board = build_leaderboard([case()])
    (wall,) = gallery.walls(board, board.testbeds[0], [tmp_path])
    assert [picture.trained for picture in wall.pictures] == [True, False]
    assert wall.pictures[0].distance == pytest.approx(0.1)
    assert "data:image/png;base64,iVBOR" in page.render(board, [tmp_path])


def test_the_gallery_reads_the_folder_of_older_runs(tmp_path: Path) -> None:
    per_image(tmp_path, case()["case_id"])
    (tmp_path / "per_image").rename(tmp_path / "items")
    board = build_leaderboard([case()])
    assert len(gallery.walls(board, board.testbeds[0], [tmp_path])[0].pictures) == 2


def test_the_gallery_draws_the_tiles_that_come_back_over_the_generated_picture(tmp_path: Path) -> None:
    per_image(tmp_path, case()["case_id"])
    path = next((tmp_path / "per_image").iterdir())
    buffer = io.BytesIO()
    Image.new("L", (12, 8)).save(buffer, format="PNG")
    p = [0.5, 0.01, 1.0, 0.2, 0.3, 0.05]
    shown = {"query": "content", "image": 0, "tile": 4, "tile_p": p, "as_generated": buffer.getvalue()}
    old = pd.read_parquet(path).assign(image=[0, 1])
    pd.concat([old, pd.DataFrame([shown])]).to_parquet(path)
    board = build_leaderboard([case()])
    picture = gallery.walls(board, board.testbeds[0], [tmp_path])[0].pictures[0].generated
    assert [(round(tile.left), tile.top, tile.p) for tile in picture.tiles] == [(33, 0.0, 0.01), (67, 50.0, 0.05)]
    assert "2 of 6 tiles remembered" in page.render(board, [tmp_path])


def test_the_gallery_says_that_a_file_is_missing(tmp_path: Path) -> None:
    assert "is missing" in page.render(build_leaderboard([case()]), [tmp_path])


def test_the_gallery_says_that_a_file_is_damaged(tmp_path: Path) -> None:
    per_image(tmp_path, case()["case_id"])
    path = next((tmp_path / "per_image").iterdir())
    path.write_bytes(path.read_bytes()[:100])
    assert "cannot be read" in page.render(build_leaderboard([case()]), [tmp_path])


def test_the_gallery_takes_nothing_for_a_picture_that_is_none(tmp_path: Path) -> None:
    per_image(tmp_path, case()["case_id"], picture=b"<svg onload=alert(1)>")
    assert "cannot be read" in page.render(build_leaderboard([case()]), [tmp_path])


def test_the_gallery_leaves_its_folder_alone(tmp_path: Path) -> None:
    board = build_leaderboard([case(case_id="../../secret")])
    (wall,) = gallery.walls(board, board.testbeds[0], [tmp_path])
    assert "is not the name of a per-image file" in wall.reason


def test_the_gallery_shows_the_baseline_and_rows_of_several_m(board: Leaderboard) -> None:
    chosen = gallery.choose_rows(board, board.testbeds[0])
    assert chosen[0].baseline
    assert len(chosen) == len({row.mitigation for row in chosen})


def test_rendering_needs_no_torch_and_draws_only_when_asked() -> None:
    names = ", ".join(f"solidmark.reports.{name}" for name in ("page", "markdown", "as_csv", "as_json"))
    code = f"import {names}, sys; sys.exit(bool({{'torch', 'matplotlib', 'pandas'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_headline_has_the_worst_case_where_several_queries_were_asked() -> None:
    two = {"outpaint": scored(0.5, epsilon=4.0), "average": scored(0.75, epsilon=7.0)}
    many, one = build_leaderboard([case(queries=two)]), build_leaderboard([case(m=0.5)])
    text = prose.headline(many, many.testbeds[0])
    assert "in the worst case over 2 queries M* 0.75 [0.73, 0.77], 48 of 64 certified*, ε̂* ≥ 7.0" in text
    assert "worst case" not in prose.headline(one, one.testbeds[0])


def test_the_large_figures_have_the_worst_case_where_several_queries_were_asked() -> None:
    two = {"outpaint": scored(0.5), "average": scored(0.75)}
    many, one = build_leaderboard([case(queries=two)]), build_leaderboard([case(m=0.5)])
    assert [stat[:2] for stat in prose.stats(many, many.testbeds[0])][:3] == [
        ("memorization M", "0.50"),
        ("M*, worst of 2 queries", "0.75"),
        ("certified memorized", "32 of 64"),
    ]
    assert [stat[0] for stat in prose.stats(one, one.testbeds[0])][1] == "certified memorized"


def test_titles_become_links_to_arxiv_and_all_else_is_kept() -> None:
    shown = str(page.link_arxiv("A title, arXiv 2503.00592; another, arXiv 2305.20086 <b>"))
    assert re.findall(r'href="([^"]+)"', shown) == ["https://arxiv.org/abs/2503.00592", "https://arxiv.org/abs/2305.20086"]
    assert re.sub(r"<a [^>]*>|</a>", "", shown) == "A title, arXiv 2503.00592; another, arXiv 2305.20086 &lt;b&gt;"


def test_columns_of_content_stand_where_any_row_has_it() -> None:
    area = {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8, "chance": 0.5}, "images": 64, "permutation_p": 0.1}
    score = {**area, "certified": {"count": 3, "of": 64, "low": 0.0, "high": 0.1, "chance": 0.0}, "least": 10}
    work = {"forward": 1, "backward": 0, "seconds": 1.0, "images": 64}
    with_content = case("x", stage="sampling", content={"own": score, "any": score, "evaluations": work, "shared": False})
    board = build_leaderboard([case(), with_content])
    assert column(board, "content_own_auroc").cell(board.rows[1]).value == "0.70"
    assert column(board, "content_own_auroc").cell(board.rows[0]).value == table.EMPTY


def test_filters_have_values_only_where_there_are_several(board: Leaderboard) -> None:
    filters = dict(sheet.sheet(board, answer.answers(board)).filters)
    assert {*filters["stage"]} == {"training", "sampling"}
    assert {"kept", "verdict"} < {*filters}
    assert "solver" not in filters
    alone = build_leaderboard([case()])
    assert sheet.sheet(alone, answer.answers(alone)).filters == []


def test_the_main_columns_of_a_table_and_which_way_is_better() -> None:
    ways = {column.key: column.better for column in columns.table(build_leaderboard([case(), case("x", 0.5)])).main}
    assert ways == {
        "mitigation": "",
        "stage": "",
        "needs": "",
        "seeds": "",
        "verdict": "",
        "memorization": "lower",
        "certified": "lower",
        "epsilon": "lower",
        "auroc": "lower",
        "accuracy": "higher",
        "frechet": "lower",
        "training_relative": "lower",
        "sampling_relative": "lower",
        "status": "",
    }


def test_testbed_and_fidelity_are_main_columns_where_they_tell_rows_apart() -> None:
    two = [case(fidelity="A"), case("x", 0.5, testbed="other", fidelity="B", case_id="other")]
    assert [column.key for column in columns.table(build_leaderboard(two)).main][:4] == [
        "testbed",
        "mitigation",
        "stage",
        "fidelity",
    ]
