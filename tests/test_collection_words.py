"""What a marking, a measurement and a certificate write changes on purpose alone: every field, against `collection.txt`.

`python tests/test_collection_words.py` writes that file anew; read what changed in it before you commit it.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow.parquet as pq
import pytest
from collections_toys import Memory, folder_of, picture, pixels
from golden import Golden
from masks import masked
from page_lines import lines_of
from PIL import Image
from test_command_words import said

from solidmark.collection import draws, ledger, measuring, showing
from solidmark.collection.questions import Collection, Query

KEPT = Golden.beside(__file__, "collection.txt")
TOY = {"name": "toy", "sha256": None}


def fields(value: object, name: str = "") -> Iterator[str]:
    """A line for each number and word of a value of JSON, by its path; of a long list the first three and the last."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from fields(each, f"{name}.{key}" if name else key)
    elif isinstance(value, list) and (len(value) > 8 or any(isinstance(each, dict | list) for each in value)):
        yield f"{name}: {len(value)}"
        for place in sorted({*range(min(3, len(value))), len(value) - 1}):
            yield from fields(value[place], f"{name}[{place}]")
    elif isinstance(value, list):
        yield f"{name}: {' '.join(map(_plain, value))}"
    else:
        yield f"{name}: {_plain(value)}"


def _plain(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value, ensure_ascii=False)


def of_json(path: Path) -> str:
    """The fields of a file of JSON, or of each of its lines."""
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    return "\n".join(line for text in lines for line in fields(json.loads(text)))


def of_table(path: Path, rows: int) -> str:
    """Columns with their types, and the first rows."""
    table = pq.read_table(path)
    types = (f"{field.name} {field.type}" for field in table.schema)
    return "\n".join([", ".join(types), *(line for row in table.to_pylist()[:rows] for line in fields(row))])


def images(folder: Path) -> Path:
    """Thirteen images: one twice, one gray, one transparent, one without caption, and one file that is none."""
    folder_of(folder, 9)
    shutil.copy(folder / "3.png", folder / "a copy.png")
    Image.fromarray(picture(20, channels=1)).save(folder / "gray.png")
    clear = np.dstack([picture(21), np.full((16, 16), 99, dtype=np.uint8)])
    Image.fromarray(clear).save(folder / "clear.png")
    (folder / "torn.png").write_bytes((folder / "1.png").read_bytes()[:90])
    (folder / "sub").mkdir()
    Image.fromarray(picture(22)).save(folder / "sub" / "below.png")
    return folder


@cache
def world() -> tuple[tempfile.TemporaryDirectory[str], dict[str, str]]:
    """Everything is done once: two markings, a measurement, its certificate; what the commands said meanwhile."""
    kept = tempfile.TemporaryDirectory()
    here = Path(kept.name)
    with mock.patch.object(draws, "fresh", return_value=bytes(32)):
        given = ["mark", images(here / "images"), here / "out", "--ledger", here / "secret", "--workers", "1"]
        told = {"mark": said(*given, "--hold-out", "0.4"), "mark again": said(*given, "--hold-out", "0.4")}
        refused = [["--keys", "0"], ["--hold-out", "1"], ["--thickness", "99"], ["--size", "7"]]
        told["mark refuses"] = "\n".join(
            said("mark", here / "images", here / "new", *more, "--workers", "1") for more in refused
        )
        said("mark", folder_of(here / "many", 40), here / "many out", "--ledger", here / "many secret", "--workers", "1")
    found = Collection(ledger.load(here / "many secret"), here / "many out", here / "many secret")
    record = measuring.measure(Memory(found.marked), TOY, found, Query(content=True), here / "measured")
    told["measure"] = showing.lines(record)
    told["certify"] = "\n".join(said("certify", here / "measured", "--ledger", here / "many secret") for _ in range(2))
    verify = ["verify", here / "measured" / "certificate", "--ledger", here / "many secret"]
    told["verify"] = said(*verify)
    published = ["--marked", here / "many out", "--commitment", here / "many secret" / "commitment.json"]
    told["verify with all"] = said(*verify, *published)
    told["verify with another"] = said(*verify, "--commitment", here / "secret" / "commitment.json")
    told["verify with another ledger"] = said(*verify[:3], here / "secret")
    told["curve"] = curve(record)
    told["numbers"] = "\n".join(fields(showing.numbers(record)))
    return kept, told


def curve(record: dict) -> str:
    """A curve of two checkpoints, one without held-out images, as table and as CSV; lines of a record of faults."""
    bare = {**record, "held_out": None, "content": None, "sound": False, "faults": ["a leak"], "warnings": ["odd"]}
    bare["asked"] = {**record["asked"], "refused": 3}
    rows = showing.curve_rows([("checkpoint-10", 10, record), ("last", None, bare)])
    rounded = [[round(each, 6) if isinstance(each, float) else each for each in row] for row in rows]
    return "\n".join([showing.as_table(rows), showing.as_csv(rounded), showing.lines(bare)])


FILES: dict[str, tuple[str, Callable[[Path], str]]] = {
    "manifest": ("secret/manifest.json", of_json),
    "commitment": ("secret/commitment.json", of_json),
    "ledger": ("secret/ledger.parquet", lambda path: of_table(path, 4)),
    "captions": ("out/metadata.jsonl", of_json),
    "captions held out": ("secret/held_out/metadata.jsonl", of_json),
    "record": ("measured/record.json", of_json),
    "per image": ("measured/per_image.parquet", lambda path: of_table(path, 2)),
    "certified": ("measured/certified.csv", Path.read_text),
    "certificate": ("measured/certificate/certificate.json", lambda path: without(of_json(path), "record.")),
    "certificate page": ("measured/certificate/certificate.html", lambda path: lines_of(path.read_text())),
    "files": (".", lambda path: without("\n".join(files(path)), "images/", "many")),
    "a marked image": ("out", lambda path: "\n".join(" ".join(map(str, row)) for row in _gray(path))),
}
"""What is written, and how it is told."""


def without(text: str, *beginnings: str) -> str:
    """The lines that begin otherwise."""
    return "\n".join(line for line in text.splitlines() if not line.startswith(beginnings))


def files(folder: Path) -> list[str]:
    """All files below a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def _gray(folder: Path) -> np.ndarray:
    """The first channel of the first marked image."""
    image = pixels(min(folder.rglob("*.png")))
    return image if image.ndim == 2 else image[..., 0]


def told(name: str) -> str:
    """A section: what a command said, or a file that was written."""
    kept, words = world()
    here = Path(kept.name)
    text = words[name] if name in words else FILES[name][1](here / FILES[name][0])
    return masked(text, here=here)


@pytest.mark.parametrize("name", KEPT.names)
def test_it_is_as_it_was(name: str) -> None:
    KEPT.check(name, told(name))


def test_everything_is_kept() -> None:
    assert KEPT.names == [*world()[1], *FILES]


if __name__ == "__main__":
    KEPT.write({name: told(name) for name in [*world()[1], *FILES]})
