"""The gallery: which rows and images it shows, and where the tiles of a picture lie."""

import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from record_samples import case
from solidmark.reports import gallery, page

from solidmark.leaderboard import build_leaderboard


def png(width=12, height=8):
    file = io.BytesIO()
    Image.new("L", (width, height)).save(file, format="PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def board():
    rows = [case(f"a(x={m})", m, stage="sampling") for m in (0.9, 0.7, 0.45, 0.3, 0.05, -0.1)]
    return build_leaderboard([case(m=0.95), *rows])


def test_rows_are_the_baseline_and_those_nearest_to_four_sights_each_once(board):
    chosen = gallery.choose_rows(board, board.testbeds[0])
    assert [row.lead.memorization.value for row in chosen] == [0.95, 0.7, 0.45, 0.3, 0.05]
    two = build_leaderboard([case("a(x=0.9)", 0.9, stage="sampling"), case("a(x=0.8)", 0.8, stage="sampling")])
    assert [row.lead.memorization.value for row in gallery.choose_rows(two, two.testbeds[0])] == [0.8]


def kept(folder, row, count=5, leading="outpaint"):
    """The per-image file of a row: so many trained and held-out images for two queries, the second one better."""
    image = {"caption": "c", "key": [0.0, 0.5], "as_trained": png(), "as_asked": png(), "as_answered": png()}
    images = [
        {**image, "query": query, "trained": trained, "image": n, "combined_p": (n + 1) / 10, "prediction": [shift, 0.5]}
        for query, shift in ((leading, 0.2), ("average", 0.1))
        for trained in (True, False)
        for n in range(count)
    ]
    generated = {
        "query": "content",
        "image": 1,
        "tile": 4,
        "tile_p": [0.05, 0.051, 0.2, 0.2, 0.01, 0.2],
        "as_generated": png(),
    }
    (folder / "per_image").mkdir(exist_ok=True)
    pd.DataFrame([*images, generated]).to_parquet(folder / "per_image" / f"{row.attempts[0].case_id}.parquet")


def test_three_trained_images_and_one_held_out_are_shown_as_the_leading_query_found_them(board, tmp_path):
    row = board.rows[0]
    kept(tmp_path, row)
    wall = gallery._wall(row, [tmp_path / "none", tmp_path])
    assert [(picture.trained, picture.combined_p) for picture in wall.pictures] == [
        (True, 0.1), (True, 0.2), (True, 0.3), (False, 0.1)
    ]  # fmt: skip
    assert [name for name, _ in wall.pictures[0].stages] == ["as trained", "as asked", "as answered"]
    assert [name for name, _ in wall.pictures[3].stages] == ["with its mark", "as asked", "as answered"]
    assert wall.pictures[0].distance == pytest.approx(0.1)
    assert (wall.pictures[0].keys, wall.pictures[0].predictions) == ((0.0, 0.5), (0.2, 0.5))


def test_a_generated_picture_has_the_tiles_that_are_remembered_in_their_place(board, tmp_path):
    kept(tmp_path, board.rows[0])
    pictures = gallery._wall(board.rows[0], [tmp_path]).pictures
    assert [picture.generated is not None for picture in pictures] == [False, True, False, False]
    made = pictures[1].generated
    assert (made.count, made.side, [tile.p for tile in made.tiles]) == (6, 4, [0.05, 0.01])
    assert [(t.left, t.top, t.width, t.height) for t in made.tiles] == [
        pytest.approx((0, 0, 100 / 3, 50)),
        pytest.approx((100 / 3, 50, 100 / 3, 50)),
    ]


@pytest.mark.parametrize("name", ["../x", "a b", ""])
def test_a_case_that_is_no_name_is_not_looked_for(board, tmp_path, name):
    row = replace(board.rows[0], attempts=(replace(board.rows[0].attempts[0], case_id=name),))
    assert "is not the name of a per-image file" in gallery._wall(row, [tmp_path]).reason


def test_a_row_without_pictures_says_why(board, tmp_path):
    row = board.rows[0]
    assert gallery._wall(row, [tmp_path]).reason == f"per_image/{row.attempts[0].case_id}.parquet is missing"
    kept(tmp_path, row, leading="median")
    assert "has no pictures" in gallery._wall(row, [tmp_path]).reason


def test_published_records_without_pictures_say_how_to_have_them(board, tmp_path):
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "part-01.jsonl.gz").write_bytes(b"")
    row = board.rows[0]
    reason = gallery._wall(row, [tmp_path]).reason
    assert reason.startswith("these records were published without them.")
    assert f'--testbed "{row.testbed}" --mitigation "{row.mitigation}" --seeds 0`' in reason
    assert "<code>pytest benchmark/test_memorization.py --testbed" in page.render(board, [tmp_path])
    kept(tmp_path, row)
    assert gallery._wall(row, [tmp_path]).pictures


def test_the_extremes_are_the_best_and_the_least_remembered_trained_image(board, tmp_path):
    row = board.rows[0]
    kept(tmp_path, row)
    wall = gallery.extremes(row, [tmp_path])
    assert [(picture.trained, picture.combined_p) for picture in wall.pictures] == [(True, 0.1), (True, 0.5)]
    kept(tmp_path, row, count=1)
    assert gallery.extremes(row, [tmp_path]) is None


def test_pictures_that_are_kept_without_their_run_show_the_same_extremes(board, tmp_path):
    row = board.rows[0]
    kept(tmp_path, row)
    (tmp_path / "records").mkdir()
    record = {**case(m=0.95), "case_id": row.attempts[0].case_id}
    (tmp_path / "records" / "a.jsonl").write_text(json.dumps(record) + "\n")
    script = Path(__file__).parents[1] / "design" / "kept_pictures.py"
    subprocess.run([sys.executable, script, tmp_path, tmp_path / "into", "0"], check=True, capture_output=True)
    whole, kept_ones = (gallery.extremes(row, [each]).pictures for each in (tmp_path, tmp_path / "into"))
    assert [(one.stages, one.combined_p) for one in kept_ones] == [(one.stages, one.combined_p) for one in whole]
