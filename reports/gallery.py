"""The gallery: a few images as trained, as asked and as answered, with their keys and the predicted ones.

Read from `per_image/<case_id>.parquet` of the runs, `items/` in older ones, `pictures/` where a run is published without its
per-image files. A file that is missing or damaged makes a gallery that says so. pandas is imported only when a file is read.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from solidmark.leaderboard import Leaderboard, Row, TestbedFacts, per_image

CONTENT = "content"
"""What stands for a query in the rows of content."""

KEPT = "pictures"
"""Where published runs have the pictures alone."""

FOLDERS = (*per_image.FOLDERS, KEPT)
"""Where the files of a run are, in newer runs, in older ones, and in published ones."""

SHOWN = {True: 3, False: 1}
"""How many trained and how many held-out images of a row are shown."""

SIGHTS = (0.75, 0.5, 0.25, 0.0)
"""After the baseline, the rows whose M is nearest to these are shown: to see what an M looks like, not for merit."""

PNG = b"\x89PNG\r\n\x1a\n"


REMEMBERED = 0.05
"""Tiles of the memory map up to this p-value are drawn."""


@dataclass(frozen=True)
class Tile:
    """A tile of a picture: its place and size in percent of it, and its p-value."""

    left: float
    top: float
    width: float
    height: float
    p: float


@dataclass(frozen=True)
class Generated:
    """The picture that was generated from an image's caption, the mark cropped, and its memory map.

    `tiles` are those that are nearer to their image than all but 5 % of held-out images are in the same place, of `count`.
    """

    uri: str
    tiles: tuple[Tile, ...]
    count: int
    side: int


@dataclass(frozen=True)
class Picture:
    """One image: `stages` are pairs of a name and a data URI; keys and predictions lie in [0, 1].

    `generated` is None in files that are older than it.
    """

    caption: str
    trained: bool
    stages: tuple[tuple[str, str], ...]
    keys: tuple[float, ...]
    predictions: tuple[float, ...]
    combined_p: float
    generated: Generated | None = None

    @property
    def distance(self) -> float:
        """Mean distance of the predictions from the keys, in [0, 1]."""
        return sum(abs(a - b) for a, b in zip(self.keys, self.predictions, strict=True)) / max(len(self.keys), 1)


@dataclass(frozen=True)
class Wall:
    """The pictures of one row, or why there are none."""

    row: Row
    pictures: tuple[Picture, ...]
    reason: str = ""


def walls(board: Leaderboard, facts: TestbedFacts, runs: Sequence[Path]) -> list[Wall]:
    """The baseline and rows of several M, each with pictures of its first seed."""
    return [_wall(row, runs) for row in choose_rows(board, facts)]


def extremes(row: Row, runs: Sequence[Path]) -> Wall | None:
    """Of the trained images of a row that have pictures the one that is remembered best and the one that is least.

    None where the run kept no pictures of it.
    """
    wall = _wall(row, runs, {True: None, False: 0})
    ordered = sorted(wall.pictures, key=lambda picture: picture.combined_p)
    return Wall(row, (ordered[0], ordered[-1])) if len(ordered) > 1 else None


def choose_rows(board: Leaderboard, facts: TestbedFacts) -> list[Row]:
    """The baseline first, then for each of `SIGHTS` the row whose M is nearest to it, each row once."""
    baseline = board.baseline(facts)
    rows = [(row, row.lead.memorization.value) for row in board.of(facts) if row.lead is not None and not row.baseline]
    nearest = [min(rows, key=lambda pair: abs(pair[1] - sight))[0] for sight in SIGHTS if rows]
    sights = [*([baseline] if baseline else []), *nearest]
    return [row for index, row in enumerate(sights) if row not in sights[:index]]


def _wall(row: Row, runs: Sequence[Path], shown: Mapping[bool, int | None] = SHOWN) -> Wall:
    """The pictures of a row; `shown` is how many of trained and of held-out images, None for all that are kept."""
    case = row.attempts[0].case_id
    if not re.fullmatch(r"[\w-]+", case):
        return Wall(row, (), f"{case!r} is not the name of a per-image file")
    candidates = [run / folder / f"{case}.parquet" for run in runs for folder in FOLDERS]
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return Wall(row, (), _missing(row, runs))
    try:
        pictures = _pictures(path, next(iter(row.queries or {})), shown)
    except Exception as cause:  # whatever a damaged file makes its reader raise
        return Wall(row, (), f"per_image/{case}.parquet cannot be read ({type(cause).__name__})")
    return Wall(row, pictures, "" if pictures else f"per_image/{case}.parquet has no pictures")


def _missing(row: Row, runs: Sequence[Path]) -> str:
    """Why a row has no file of pictures, and how to have them where its records were published, which are packed."""
    if not any(path.is_file() for run in runs for path in (run / "records").glob("*.jsonl.gz")):
        return f"per_image/{row.attempts[0].case_id}.parquet is missing"
    wanted = f'--testbed "{row.testbed}" --mitigation "{row.mitigation}" --seeds {row.attempts[0].seed or 0}'
    return (
        "these records were published without them. To have them, measure the row yourself and report that run: "
        f"`pytest benchmark/test_memorization.py {wanted}`"
    )


def _pictures(path: Path, query: str, shown: Mapping[bool, int | None]) -> tuple[Picture, ...]:
    import pandas as pd

    everything = pd.read_parquet(path)
    images = everything[(everything["query"] == query) & everything["as_answered"].notna()]
    generated = _generated(everything)
    return tuple(
        _picture(image, generated)
        for trained, count in shown.items()
        for image in images[images["trained"] == trained][:count].to_dict("records")
    )


def _generated(everything: Any) -> dict[int, Generated]:
    """The generated pictures by the number of their image; none in older files."""
    if "as_generated" not in everything:
        return {}
    rows = everything[(everything["query"] == CONTENT) & everything["as_generated"].notna()].to_dict("records")
    return {int(row["image"]): _map(row) for row in rows}


def _map(row: dict[Any, Any]) -> Generated:
    """The picture of a row of content with the tiles that it remembers."""
    content, side, p = row["as_generated"], int(row["tile"]), [float(each) for each in row["tile_p"]]
    uri = _data_uri(content)
    width, height = (int.from_bytes(content[start : start + 4]) for start in (16, 20))  # of the header of any PNG
    columns, across, down = max(width // side, 1), 100 * side / width, 100 * side / height
    tiles = (
        Tile(across * (index % columns), down * (index // columns), across, down, each)
        for index, each in enumerate(p)
        if each <= REMEMBERED
    )
    return Generated(uri, tuple(tiles), len(p), side)


def _picture(image: dict[Any, Any], generated: Mapping[int, Generated]) -> Picture:
    stages = {"as trained": image["as_trained"], "as asked": image["as_asked"], "as answered": image["as_answered"]}
    if not image["trained"]:
        stages = {"with its mark": stages.pop("as trained"), **stages}
    return Picture(
        caption=str(image["caption"]),
        trained=bool(image["trained"]),
        stages=tuple((name, _data_uri(content)) for name, content in stages.items() if content is not None),
        keys=tuple(float(key) for key in image["key"]),
        predictions=tuple(float(key) for key in image["prediction"]),
        combined_p=float(image["combined_p"]),
        generated=generated.get(image.get("image", -1)),
    )


def _data_uri(content: bytes) -> str:
    if not content.startswith(PNG):
        raise ValueError("not a PNG image")
    return f"data:image/png;base64,{b64encode(content).decode()}"
