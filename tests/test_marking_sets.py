"""`solidmark mark` of a data set: tar, Parquet, or a name; it is as if its images lay in a folder."""

import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from collections_toys import folder_of, pixels

from solidmark.__main__ import main
from solidmark.collection import ledger, tables, unpacking


@pytest.fixture
def images(tmp_path):
    folder = folder_of(tmp_path / "images", 4)
    (folder / "metadata.jsonl").unlink()
    return [(f"caption {n}", (folder / f"{n}.png").read_bytes()) for n in range(4)]


def as_parquet(place, images):
    rows = {"prompt": [text for text, _ in images], "picture": [{"bytes": data, "path": None} for _, data in images]}
    pq.write_table(pa.table(rows), place.with_suffix(".parquet"))
    return place.with_suffix(".parquet")


def as_tar(place, images):
    with tarfile.open(place.with_suffix(".tar"), "w") as tar:
        for n, (text, data) in enumerate(images):
            for suffix, content in (("png", data), ("txt", text.encode())):
                path = place.parent / f"{n}.{suffix}"
                path.write_bytes(content)
                tar.add(path, path.name)
    return place.with_suffix(".tar")


@pytest.mark.parametrize("made", [as_parquet, as_tar])
def test_every_image_of_it_is_marked_with_its_caption(tmp_path, images, made, capsys):
    source = made(tmp_path / "set", images)
    assert main(["mark", str(source), str(tmp_path / "out"), "--image-column", "picture", "--workers", "1"]) == 0
    found = ledger.load(tmp_path / "out.ledger")
    assert [row.caption for row in found.rows] == [text for text, _ in images]
    assert not (tmp_path / "out.ledger.unpacked").exists()
    for row in found.rows:
        folder = tmp_path / "out" if row.split == "trained" else tmp_path / "out.ledger" / "held_out"
        inside = found.layout(row).content
        assert np.array_equal(pixels(folder / row.marked)[inside], pixels(tmp_path / "images" / f"{row.number}.png"))


def test_what_cannot_be_marked_leaves_nothing_behind(tmp_path, images, capsys):
    source = as_parquet(tmp_path / "set", images)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").touch()
    assert main(["mark", str(source), str(tmp_path / "out"), "--image-column", "picture"]) == 2
    assert "a folder that is not empty" in capsys.readouterr().err
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "images", "set.parquet", "out.ledger"}


@pytest.mark.parametrize(
    ("name", "said"),
    [("absent.tar", "no folder or file"), ("set.parquet", "a column image"), ("notes.txt", "IMAGES: found files .txt")],
)
def test_what_is_no_data_set_is_refused(tmp_path, images, name, said, capsys, monkeypatch):
    as_parquet(tmp_path / "set", images)
    (tmp_path / "notes.txt").touch()
    monkeypatch.chdir(tmp_path)
    assert main(["mark", name, "out"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_after_an_interruption_what_was_unpacked_is_kept(tmp_path, images, monkeypatch):
    source, place = as_tar(tmp_path / "set", images), tmp_path / "unpacked"
    with pytest.raises(KeyboardInterrupt), unpacking.unpacked(str(source), place):
        raise KeyboardInterrupt
    (place / "00000000.png").unlink()
    times = {path.name: path.stat().st_mtime_ns for path in place.glob("*.png")}
    with unpacking.unpacked(str(source), place):
        assert times.items() <= {path.name: path.stat().st_mtime_ns for path in place.glob("*.png")}.items()
        assert (place / "00000000.png").read_bytes() == images[0][1]
    assert not place.exists()


def test_a_folder_of_others_is_not_taken(tmp_path, images):
    place = tmp_path / "unpacked"
    place.mkdir()
    (place / "thesis.txt").touch()
    with pytest.raises(Exception, match=r"unpacked: found a file thesis\.txt; expected a place to unpack"):
        unpacking.unpacked(str(as_tar(tmp_path / "set", images)), place).__enter__()
    assert (place / "thesis.txt").exists()


def test_a_name_is_asked_of_datasets(tmp_path, images, monkeypatch):
    def read(*given):
        assert given == ("owner/name", "test", "prompt", "picture", "IMAGES")
        return ["row 1"], ["a"], "digest", lambda indices: iter([(0, images[0][1])])

    monkeypatch.setattr(tables, "read_dataset", read)
    with unpacking.unpacked("owner/name", tmp_path / "new", "prompt", "picture", "test") as folder:
        assert (folder / "metadata.jsonl").read_text() == '{"file_name": "00000000.png", "prompt": "a", "source": "row 1"}\n'
        assert (folder / "00000000.png").read_bytes() == images[0][1]
