"""What the commands of a data owner refuse before they begin, what they take where nothing is said, and what they leave."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny_pipelines as tiny
import torch
from collections_toys import Memory, collection, folder_of, guess, marked

from solidmark.__main__ import main
from solidmark.cli import exports
from solidmark.collection import asking, loading, measuring, questions
from solidmark.collection.marking import mark
from solidmark.collection.painting import Style
from solidmark.collection.questions import Query
from solidmark.errors import InvalidValue
from solidmark.pipelines import Loaded, checked_device, load
from solidmark.pipelines import loading as door

TOY = {"name": "toy", "sha256": None}
STRANGE = """
from diffusers import StableDiffusionPipeline

class Boom(StableDiffusionPipeline):
    pass

def boom(pipe, captions, **options):
    return pipe(captions, **options)
"""


@pytest.fixture(scope="module")
def owned(tmp_path_factory):
    """A folder with a collection of 12 images in `out` and `out.ledger`, and a model that remembers them in `model.py`."""
    folder = tmp_path_factory.mktemp("owned")
    made = mark(folder_of(folder / "images", 12), folder / "out", folder / "out.ledger", Style(), workers=1)
    (folder / "model.py").write_text(f"from collections_toys import Memory\nfill = Memory({str(folder / 'out')!r})\n")
    return SimpleNamespace(folder=folder, ledger=folder / "out.ledger", marked=folder / "out", made=made)


def measured(owned, *more):
    return main(["measure", "--model", f"{owned.folder}/model.py:fill", "--ledger", str(owned.ledger), *map(str, more)])


@pytest.mark.parametrize("name", ["nonsense", "cuda:99", "meta", "cpu:x"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_done(owned, monkeypatch, capsys, name):
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("loaded"))
    monkeypatch.setattr(exports, "case_of", lambda *_: pytest.fail("trained"))
    assert measured(owned, "--device", name) == 2
    assert main(["store", "export", "latent-digits", str(owned.folder / "model"), "--device", name]) == 2
    with pytest.raises(InvalidValue, match=r"^device: found"):
        load(owned.folder, device=name)
    told = capsys.readouterr().err
    assert told.count(f"--device: found {name!r}; expected a device that torch can use here: cpu") == 2
    assert not [*owned.folder.glob("*measured*")]


def test_the_devices_that_are_there_are_named_and_taken(monkeypatch):
    assert checked_device("cpu") == "cpu"
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("cuda"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 2)
    with pytest.raises(InvalidValue, match=r"--x: .*here: cpu, cuda:0, cuda:1\. Choose"):
        checked_device("nonsense", "--x")


def test_model_and_ledger_alone_are_enough(owned, capsys):
    assert measured(owned) == 0
    assert json.loads((owned.folder / "out.measured" / "record.json").read_text())["asked"]["trained"] == 6
    assert measured(owned, "--seed", 1) == 2  # what is there is never overwritten
    told = capsys.readouterr()
    assert told.out.endswith(f"written to {owned.folder / 'out.measured'}\n")
    assert "or give another folder" in told.err
    shutil.rmtree(owned.folder / "out.measured")


def test_a_ledger_whose_name_tells_no_images_wants_them(tmp_path, capsys):
    _, secret, _ = marked(tmp_path, 6)
    assert main(["measure", "--model", "math:sqrt", "--ledger", str(secret)]) == 2
    assert f"--marked: found a ledger in {secret}, and no images" in capsys.readouterr().err


def test_marked_images_in_the_place_of_their_ledger_are_told_apart(tmp_path, capsys):
    out, _, _ = marked(tmp_path, 6)
    assert main(["measure", "--model", "math:sqrt", "--ledger", str(out)]) == 2
    assert f"ledger {out}: found no manifest.json; expected the folder of a ledger" in capsys.readouterr().err


def test_a_pipeline_with_words_is_asked_of_images_without_captions_by_empty_ones(tmp_path, monkeypatch):
    images = folder_of(tmp_path / "images", 4, height=8, width=8)
    (images / "metadata.jsonl").unlink()
    made = mark(images, tmp_path / "out", tmp_path / "secret", Style(2, 4), workers=1)
    found = questions.Collection(made.ledger, tmp_path / "out", tmp_path / "secret")
    told, ask = [], asking.pipelines.ask
    monkeypatch.setattr(asking.pipelines, "ask", lambda *given, **more: told.append(given[3]) or ask(*given, **more))
    pipe, rows = tiny.stable_diffusion(), made.ledger.asked("trained")
    for one in (pipe, Loaded(pipe, None)):
        assert len(asking.ask(one, found, rows, Query(steps=1, every=1)).answers) == 2
    assert told == [["", ""]] * 2


def test_a_ledger_that_is_the_current_folder_has_its_images_beside_it(tmp_path, monkeypatch):
    (tmp_path / "photos.ledger").mkdir()
    monkeypatch.chdir(tmp_path / "photos.ledger")
    assert questions.handed_out(Path(), None, "--marked") == tmp_path / "photos"
    assert questions.default_into(Path()) == tmp_path / "photos.measured"


@pytest.mark.parametrize("place", ["out", "out/in", "out.ledger", "out.ledger/in", "out/../out"])
def test_nothing_is_measured_or_certified_into_the_images_or_the_ledger(owned, capsys, place):
    before = set(owned.folder.rglob("*"))
    assert measured(owned, "--into", owned.folder / place) == 2
    found = SimpleNamespace(marked=owned.marked, folder=owned.ledger)
    with pytest.raises(InvalidValue, match=r"expected one outside of .*Choose another folder with --into"):
        measuring.measure(guess, TOY, found, Query(), owned.folder / place)
    if "ledger" in place:
        assert main(["certify", str(owned.folder), "--ledger", str(owned.ledger), "--into", str(owned.folder / place)]) == 2
    assert capsys.readouterr().err.count("expected one outside of") == 1 + ("ledger" in place)
    assert set(owned.folder.rglob("*")) == before


def test_a_measurement_without_an_answer_leaves_nothing_and_stands_in_nobodys_way(owned, tmp_path):
    found, killed = collection(tmp_path, 12), tmp_path / "killed"
    with pytest.raises(Exception, match="division"):
        measuring.measure(lambda *_: 1 / 0, TOY, found, Query(steps=3), tmp_path / "into")
    assert not (tmp_path / "into").exists()
    killed.mkdir()
    (killed / "asking.jsonl").write_text('{"model": null, "query": {}, "commitment": ""}\n{"answers": [{"torn')
    record = measuring.measure(Memory(found.marked), TOY, found, Query(), killed)
    assert len(record["certified"]) == 6
    assert json.loads((killed / "asking.jsonl").read_text().split("\n")[0])["commitment"] == found.ledger.commitment


def test_a_marking_without_an_image_stands_in_nobodys_way(tmp_path):
    images = folder_of(tmp_path / "images", 6)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "marking.jsonl").write_text('{"style": {}, "sealed": false, "secrets": "AAAA"}\n')
    assert len(mark(images, tmp_path / "out", tmp_path / "secret", Style(), workers=1).ledger.rows) == 6


def test_images_without_caption_are_counted_among_those_that_were_marked(tmp_path):
    images = folder_of(tmp_path / "images", 6)
    (images / "metadata.jsonl").unlink()
    for name in ("4.png", "5.png"):
        (images / name).write_bytes(b"no image")
    _, _, made = marked(tmp_path)
    assert (len(made.ledger.rows), made.uncaptioned, made.same_caption) == (4, 4, 0)


def test_a_caption_of_two_images_is_warned_of_and_one_of_two_copies_is_not(tmp_path, capsys):
    images = folder_of(tmp_path / "images", 5)
    texts = ["a", "a", "a", "b", ""]
    shutil.copy(images / "3.png", images / "5.png")
    lines = [json.dumps({"file_name": f"{n}.png", "text": text}) for n, text in enumerate([*texts, "b"])]
    (images / "metadata.jsonl").write_text("\n".join(lines))
    assert main(["mark", str(images), str(tmp_path / "out"), "--workers", "1"]) == 0
    assert "warning: 3 have the caption of another image" in capsys.readouterr().err


def test_a_pipeline_in_the_cache_of_the_hub_is_asked_by_its_name(monkeypatch, tmp_path):
    snapshot = tmp_path / "snapshots" / "0123"
    snapshot.mkdir(parents=True)
    (snapshot / "weights").write_text("w")
    hub = SimpleNamespace(snapshot_download=lambda *given, **named: snapshot)
    monkeypatch.setattr(door.importlib, "import_module", lambda _: hub)
    monkeypatch.setattr(loading.pipelines, "load", lambda folder, **_: Loaded(folder))
    monkeypatch.setattr(loading.pipelines, "identity", lambda *given: {"of": given[0]})
    pipe, model = loading.load("owner/name")
    assert (pipe, model["name"], model["pipeline"]) == (snapshot, "owner/name", {"of": snapshot})
    assert model["sha256"] == loading.digest([("weights", snapshot / "weights")])
    monkeypatch.undo()
    with pytest.raises(InvalidValue, match=r"no folder 'owner/none'; expected .* a snapshot in the cache"):
        loading.load("owner/none")


@pytest.fixture
def exported(monkeypatch):
    """What `solidmark store export` checks and writes, in order, without a training."""
    done = []
    about = {
        "testbed": "t",
        "mitigation": "none",
        "seed": 0,
        "memorization": {"value": 0.9},
        "certified": {"count": 1, "of": 2},
    }

    def case_of(testbed, mitigation, seed):
        return SimpleNamespace(testbed_name=testbed, seed=seed, mitigation=mitigation)

    def export(case, into, workspace):
        done.append((case.testbed_name, case.mitigation, case.seed, into))
        return SimpleNamespace(folder=into, about=about)

    monkeypatch.setattr(exports, "case_of", case_of)
    monkeypatch.setattr(exports, "check", lambda case, into: done.append(into))
    monkeypatch.setattr(exports, "export", export)
    return done


def test_several_models_are_exported_each_into_a_folder_and_checked_before_the_first(exported, tmp_path, capsys):
    assert main(["store", "export", "a", "b", str(tmp_path), "--seeds", "0,2", "--mitigation", "rna"]) == 0
    folders = [tmp_path / name for name in ("a-seed-0", "a-seed-2", "b-seed-0", "b-seed-2")]
    models = [("a", "rna", 0), ("a", "rna", 2), ("b", "rna", 0), ("b", "rna", 2)]
    assert exported == [*folders, *((*model, folder) for model, folder in zip(models, folders, strict=True))]
    assert [line for line in capsys.readouterr().out.splitlines() if "written" in line][3].startswith(
        f"written to {folders[3]}"
    )


def test_a_single_model_is_exported_into_the_folder_itself(exported, tmp_path):
    assert main(["store", "export", "a", str(tmp_path), "--seed", "3"]) == 0
    assert exported == [tmp_path, ("a", "none", 3, tmp_path)]


def test_a_seed_of_an_export_below_0_is_refused_by_its_own_name(tmp_path, capsys):
    assert main(["store", "export", "latent-digits", str(tmp_path / "out"), "--seed", "-1"]) == 2
    assert capsys.readouterr().err.startswith("solidmark: --seed: found -1; expected a whole number of at least 0")
