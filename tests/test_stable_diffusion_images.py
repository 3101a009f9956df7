"""Where the images of Stable Diffusion come from, and what is refused of them."""

import io
import json
import sys
import tarfile
from types import SimpleNamespace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import torch
from PIL import Image
from sd_world import CAPTIONS, World, photos, pipeline
from solidmark.fixtures.stable_diffusion import images, pool
from solidmark.fixtures.stable_diffusion.pool import Pool

from solidmark.collection import image_sets
from solidmark.data import StoredImages, checksum
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable
from solidmark.store import Store


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return photos(tmp_path_factory.mktemp("images") / "photos", 20)


@pytest.fixture
def as_tar(folder, tmp_path):
    paths = sorted(folder.glob("*.png"))
    for shard, start in (("a-0.tar", 0), ("a-1.tar", 12)):
        with tarfile.open(tmp_path / shard, "w") as tar:
            for number, path in list(enumerate(paths))[start : start + (12 if not start else 8)]:
                words = CAPTIONS[number].encode() if number % 2 else json.dumps({"text": CAPTIONS[number]}).encode()
                add(tar, f"{number:03}.{'txt' if number % 2 else 'json'}", words)
                add(tar, f"{number:03}.png", path.read_bytes())
    return image_sets.find("a-*.tar", tmp_path)


def add(tar, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


@pytest.fixture
def as_parquet(folder, tmp_path):
    files = [{"bytes": path.read_bytes(), "path": path.name} for path in sorted(folder.glob("*.png"))]
    for name, part in (("p0.parquet", slice(0, 7)), ("p1.parquet", slice(7, None))):
        table = pyarrow.table({"picture": files[part], "caption": CAPTIONS[:20][part]})
        pyarrow.parquet.write_table(table, tmp_path / name)
    return image_sets.find("p*.parquet", tmp_path, image_column="picture")


@pytest.fixture
def as_dataset(folder, tmp_path, monkeypatch):
    files = [{"bytes": path.read_bytes(), "path": None} for path in sorted(folder.glob("*.png"))]
    rows = [{"image": file, "text": text} for file, text in zip(files, CAPTIONS[:20], strict=True)]
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=lambda name, split: Table(rows), Image=dict))
    return image_sets.find("owner/name", tmp_path)


class Table(list):
    """What is used of a data set."""

    column_names = ("image", "text")

    def cast_column(self, name, kind):
        return self

    def select_columns(self, names):
        return self

    def __getitem__(self, key):
        return [row[key] for row in self] if isinstance(key, str) else super().__getitem__(key)


@pytest.mark.parametrize("kind", ["as_tar", "as_parquet", "as_dataset"])
def test_every_source_gives_what_the_folder_gives(folder, kind, request):
    found, plain = request.getfixturevalue(kind), image_sets.find(folder.name, folder.parent)
    assert found.captions == plain.captions == CAPTIONS[:20]
    wanted = [3, 19, 0, 11]
    pixels = [decoded(source, wanted) for source in (found, plain)]
    assert np.array_equal(*pixels)
    assert pixels[0].std() > 0


def decoded(source, wanted, side=8, channels=3):
    into = np.zeros((len(wanted), channels, side, side), dtype=np.uint8)
    images.decode(source, wanted, into)
    return into


def test_a_data_set_of_the_real_package_is_read_too(folder, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    files = [str(path) for path in sorted(folder.glob("*.png"))]
    table = datasets.Dataset.from_dict({"image": files, "text": CAPTIONS[:20]}).cast_column("image", datasets.Image())
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: table)
    found = image_sets.find("owner/name", tmp_path)
    assert np.array_equal(decoded(found, [5, 2]), decoded(image_sets.find(folder.name, folder.parent), [5, 2]))


def test_a_pool_is_distinct_in_one_order_and_on_disk(folder, tmp_path):
    (tmp_path / "more").mkdir()
    for path in folder.iterdir():
        (tmp_path / "more" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "more" / "twin.png").write_bytes((folder / "03.png").read_bytes())
    (tmp_path / "more" / "twin.txt").write_text("tree tree tree")
    source = image_sets.find("more", tmp_path)
    found, indices = Pool(source, 100, 8, 3).load(Store(tmp_path / "store"))
    assert len(found) == len(indices) == 20
    assert len({source.names[index] for index in indices} & {"03.png", "twin.png"}) == 1
    assert torch.equal(found[:] * 255, torch.from_numpy(decoded(source, indices.tolist())).float())


def test_of_a_larger_source_some_are_used(folder, tmp_path):
    source = image_sets.find(folder.name, folder.parent)
    few, many = (Pool(source, most, 8, 3).load(Store(tmp_path / "store"))[1] for most in (5, 100))
    assert (len(few), len(many)) == (5, 20)
    assert few.tolist() == many[:5].tolist()


def test_stored_images_are_those_of_the_file(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 3, 4, 4), dtype=np.uint8)
    np.save(tmp_path / "x.npy", pixels)
    stored = StoredImages(tmp_path / "x.npy", np.array([4, 0, 5]))
    assert stored.shape == (3, 3, 4, 4)
    assert torch.equal(stored[[2, 0]], torch.from_numpy(pixels[[5, 4]]) / 255)
    assert torch.equal(stored[1:], torch.from_numpy(pixels[[0, 5]]) / 255)
    assert checksum(stored) != checksum(StoredImages(tmp_path / "x.npy", np.array([4, 0, 3])))


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "empty file"), (b"no image", "known format"), (None, "OSError|truncated")]
)
def test_a_broken_image_is_named(folder, tmp_path, content, why):
    photos(tmp_path / "photos", 20)
    whole = (tmp_path / "photos" / "07.png").read_bytes()
    (tmp_path / "photos" / "07.png").write_bytes(whole[:60] if content is None else content)
    source = image_sets.find("photos", tmp_path)
    with pytest.raises(InvalidValue, match=rf"cannot be read: 07.png .*({why})"):
        Pool(source, 100, 8, 3).load(Store(tmp_path / "store"))
    assert not list((tmp_path / "store").glob("objects/*/*"))


def test_a_disk_too_small_is_told_before_anything_is_decoded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pool.shutil, "disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(InvalidValue, match=r"GB free; expected .* for 20 decoded images"):
        Pool(image_sets.find(folder.name, folder.parent), 100, 8, 3).load(Store(tmp_path / "store"))


def test_gray_becomes_colour_and_colour_gray(tmp_path):
    (tmp_path / "x").mkdir()
    Image.fromarray(np.full((8, 8), 90, dtype=np.uint8)).save(tmp_path / "x" / "gray.png")
    Image.fromarray(np.full((8, 8, 3), (0, 90, 180), dtype=np.uint8)).save(tmp_path / "x" / "hue.png")
    source = image_sets.find("x", tmp_path)
    assert (decoded(source, [0]) == 90).all()
    assert (decoded(source, [1], channels=1) == round(0.587 * 90 + 0.114 * 180)).all()


def test_an_image_of_another_size_is_scaled_and_cropped(tmp_path):
    (tmp_path / "x").mkdir()
    wide = np.zeros((16, 32, 3), dtype=np.uint8)
    wide[:, 8:24] = 200
    Image.fromarray(wide).save(tmp_path / "x" / "wide.png")
    assert (decoded(image_sets.find("x", tmp_path), [0])[..., 1:-1] > 190).all()


def as_letters(captions):
    """Captions as a text encoder of three tokens sees them."""
    return torch.tensor([[hash(word) for word in [*caption.split(), 0, 0, 0][:3]] for caption in captions])


def source_of(*captions):
    return image_sets.ImageSource("here", [f"{n}.png" for n in range(len(captions))], list(captions), "", lambda _: iter(()))


def test_captions_that_are_one_after_truncation_are_refused_with_both_named():
    images.check_captions(source_of("a b c", "a b d", "a b"), [0, 1, 2], as_letters)
    with pytest.raises(InvalidValue, match=r"0.png: 'a b c d' and 2.png: 'a b c e'"):
        images.check_captions(source_of("a b c d", "b", "a b c e"), [0, 1, 2], as_letters)


def test_captions_of_images_that_are_not_drawn_may_be_what_they_are():
    images.check_captions(source_of("a b", "", "a b", "c"), [2, 3], as_letters)


def test_other_captions_of_one_tar_are_another_source(tmp_path):
    words = json.dumps({"short": "a cat", "long": "a cat on a mat"}).encode()
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        add(tar, "1.json", words)
        add(tar, "1.png", b"x")
    short, long = (image_sets.find("a.tar", tmp_path, column) for column in ("short", "long"))
    assert (short.captions, long.captions) == (["a cat"], ["a cat on a mat"])
    assert short.digest != long.digest


@pytest.mark.parametrize("empty", ["", "  "])
def test_a_missing_caption_is_refused_by_the_name_of_its_image(empty):
    with pytest.raises(InvalidValue, match=r"no caption for 1.png"):
        images.check_captions(source_of("a", empty, "b"), [0, 1, 2], as_letters)


def test_an_image_with_two_captions_is_refused(tmp_path):
    photos(tmp_path / "photos", 3)
    (tmp_path / "photos" / "01.txt").write_text("another")
    with pytest.raises(InvalidValue, match=r"a caption in a table and one in 01\.txt"):
        image_sets.find("photos", tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing.xyz/..", "no folder or file"),
        ("a-*.tar", "no folder or file"),
        ("/no/such", "no folder or file"),
        ("far/off.tar", "'far/off.tar'; expected a folder, .tar"),
        ("far/off.parquet", "'far/off.parquet'; expected a folder, .tar"),
    ],
)
def test_a_source_that_is_not_there_is_refused(tmp_path, name, message):
    with pytest.raises(InvalidValue, match=message):
        image_sets.find(name, tmp_path)


def test_without_the_package_a_name_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(NotApplicable, match=r"no folder or file 'owner/name'.*solidmark\[datasets\]"):
        image_sets.find("owner/name", tmp_path)


def test_a_data_set_that_cannot_be_had_is_one_sentence(tmp_path, monkeypatch):
    def offline(name, split):
        raise ConnectionError("no route\nmore")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=offline))
    with pytest.raises(InvalidValue, match=r"does not give its split 'train' \(ConnectionError: no route\)"):
        image_sets.find("owner/name", tmp_path)


@pytest.mark.parametrize("kind", ["tar", "parquet"])
def test_a_file_that_ends_early_is_named(tmp_path, kind, request):
    request.getfixturevalue(f"as_{kind}")
    path = sorted(tmp_path.glob(f"*.{kind}"))[0]
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(DamagedFile, match=path.name):
        image_sets.find(path.name, tmp_path, image_column="picture")


@pytest.mark.parametrize(
    ("members", "message"),
    [(["a.png", "a.jpg"], "two images of the name a"), (["a.png", "a.png"], "a.png twice"), (["a.txt"], "no image")],
)
def test_a_sample_has_one_image(tmp_path, members, message):
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for name in members:
            add(tar, name, b"x")
    with pytest.raises(InvalidValue, match=message):
        image_sets.find("x.tar", tmp_path)


def test_a_column_that_is_not_there_is_named(tmp_path, as_parquet):
    with pytest.raises(InvalidValue, match=r"images.image_column: found p0.parquet with picture, caption"):
        image_sets.find("p0.parquet", tmp_path)


@pytest.mark.parametrize(("captions", "told"), [([["a"]], r"text \['a'\]"), ([5], "text 5"), ([b"a"], "text b'a'")])
def test_a_caption_of_a_table_that_is_no_text_is_named(tmp_path, captions, told):
    rows = {"text": captions, "image": [b"x"]}
    pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / "x.parquet")
    with pytest.raises(InvalidValue, match=rf"x.parquet, row 1: found {told}; expected a text"):
        image_sets.find("x.parquet", tmp_path)


def test_a_file_whose_name_is_a_pattern_is_that_file(tmp_path, folder):
    rows = {"text": ["one", None], "image": [path.read_bytes() for path in sorted(folder.glob("*.png"))[:2]]}
    for name in ("set[1].parquet", "set1.parquet"):
        pyarrow.parquet.write_table(pyarrow.table(rows), tmp_path / name)
        rows["text"][0] = "other"
    assert image_sets.find("set[1].parquet", tmp_path).captions == ["one", ""]


def test_a_testbed_of_too_few_images_says_how_many_it_needs(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    pipeline(tmp_path / "pipe")
    photos(tmp_path / "photos", 30)
    with pytest.raises(InvalidValue, match="found 30 distinct images; expected 12 trained, 16 held out and 8 others"):
        World(tmp_path).testbed().split(0)
    assert len(World(tmp_path).testbed(images={"trained": 6, "queried": 6}).split(0).calibration) == 4
