"""`solidmark store export` and `import`: a trained marked model as a plain folder, and back into a store."""

import hashlib
import json
import re
import shutil
from importlib import metadata

import numpy as np
import pytest

from solidmark import plugins
from solidmark.__main__ import main
from solidmark.cli import exports, imports
from solidmark.collection import ledger
from solidmark.collection.questions import Collection
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.composition import Composition
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store
from solidmark.testing.toys import SOLVER, Toy, toy


def case(kind="latent", composition=None):
    return Case("toy", toy(kind), composition or Composition(), 0, (("outpaint", Outpaint()),), SOLVER)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An export of the latent toy."""
    folder = tmp_path_factory.mktemp("exports")
    return exports.export(case(), folder / "toy", Workspace(Store(folder / "store")))


@pytest.fixture
def copy(made, tmp_path):
    """An export of its own, to be changed."""
    return shutil.copytree(made.folder, tmp_path / "copy")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_diffusers_reads_the_folder_with_the_trained_weights(made):
    from diffusers import DiffusionPipeline

    pipe = DiffusionPipeline.from_pretrained(made.folder)
    workspace = Workspace(Store(made.folder.parent / "store"))
    model, _ = weights.edit_or_load(case(), workspace)
    theirs, ours = pipe.unet.state_dict(), model.network.state_dict()
    assert set(theirs) == set(ours)
    assert all(ours[name].equal(theirs[name]) for name in ours)


def test_the_ledger_has_the_keys_of_the_testbed_and_its_images_show_them(made):
    kept, truth = ledger.load(made.folder / "ledger"), toy("latent").split(0)
    rows = kept.asked("trained")
    assert np.allclose([row.keys for row in rows], truth.training_keys)
    assert [row.caption for row in kept.asked("held-out")] == truth.held_out.captions
    collection = Collection(kept, made.folder / "images", made.folder / "ledger")
    read = np.array([kept.layout(row).read(collection.read(row)) for row in kept.rows])
    assert np.abs(read - ledger.keys_of(kept.rows)).max() <= 0.5 / 255 + 1e-9
    inside = collection.read(rows[0])[kept.layout(rows[0]).content]
    assert np.abs(inside / 255 - truth.training.images[0, 0].numpy()).max() <= 0.5 / 255 + 1e-6


def test_only_trained_images_are_among_those_to_train_on(made):
    kept = ledger.load(made.folder / "ledger")
    files = {path.name for path in (made.folder / "images").glob("*.png")}
    assert files == {row.marked for row in kept.rows if row.split == "trained"}
    assert not files & {path.name for path in (made.folder / "ledger" / "held_out").glob("*.png")}


def test_the_export_is_measured_by_its_own_ledger(made, tmp_path):
    ask = ["measure", "--model", str(made.folder), "--ledger", str(made.folder / "ledger"), "--into", str(tmp_path)]
    assert main([*ask, "--marked", str(made.folder / "images"), "--steps", "2", "--limit", "8", "--batch", "8"]) == 0
    record = json.loads((tmp_path / "record.json").read_text())
    assert record["trained"]["memorization"]["images"] == 8
    assert abs(record["trained"]["memorization"]["value"]) < 0.5  # eight steps of training teach nothing


def test_every_file_but_the_list_itself_is_in_the_list(made):
    text = (made.folder / "export.json").read_text()
    stated = json.loads(text)["files"]
    assert text.startswith('{\n "schema": "solidmark.export/1",\n "testbed": "toy",')
    found = {path.relative_to(made.folder).as_posix(): path for path in made.folder.rglob("*") if path.is_file()}
    assert set(stated) == set(found) - {"export.json"}
    assert all(hashlib.sha256(found[name].read_bytes()).hexdigest() == sha for name, sha in stated.items())


def test_the_card_tells_what_is_remembered_and_of_what_licence(made):
    card, found = (made.folder / "README.md").read_text(), made.about
    assert f"| {found['memorization']['value']:.3f} [" in card
    assert f"{found['certified']['count']} of {found['certified']['of']}" in card
    assert "| images | not stated; licence: not stated |" in card
    assert card.startswith("---\nlibrary_name: diffusers\n")
    assert "{" not in card.replace("{{", "")


def test_an_imported_model_is_not_trained_anew(made, store):
    adopted = imports.adopt(made.folder, store)
    assert {one.entry.kind for one in adopted} == {"autoencoder", "trained model"}
    assert {one.use for one in adopted} == {"the benchmark takes it"}
    store.built.clear()
    weights.edit_or_load(case(), Workspace(store))
    assert store.built == []


def test_a_model_of_other_code_is_kept_and_said_not_to_be_taken(made, store, monkeypatch):
    monkeypatch.setattr("solidmark.provenance.core_digest", lambda modules: "another")
    assert "another version of solidmark, so the benchmark trains" in imports.adopt(made.folder, store)[0].use


def _change(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_the_recipe_is_the_one_that_was_used():
    stronger = exports._recipe(case(composition=plugins.compose("weight-decay(rate=7.0)")))
    assert (stronger.weight_decay, case().testbed.recipe.weight_decay) == (7.0, 0.01)


def test_notices_of_a_licence_lie_beside_the_images(tmp_path, store, made, monkeypatch):
    imports.adopt(made.folder, store)
    (tmp_path / "NOTICE").write_text("by somebody")
    monkeypatch.setattr(Toy, "notices", (tmp_path / "NOTICE",))
    again = exports.export(case(), tmp_path / "out", Workspace(store))
    assert (again.folder / "images" / "NOTICE").read_text() == "by somebody"


def test_a_link_or_a_file_beside_an_entry_is_refused(copy, store):
    entry = copy / "store" / json.loads((copy / "export.json").read_text())["entries"][0]
    (entry / "more").touch()
    with pytest.raises(DamagedFile, match="not listed"):
        imports.adopt(copy, store)
    (entry / "more").unlink()
    (entry / "more").symlink_to(copy / "README.md")
    with pytest.raises(DamagedFile, match="a link"):
        imports.adopt(copy, store)


def test_all_entries_are_checked_before_the_first_is_taken_over(copy, store):
    about = json.loads((copy / "export.json").read_text())
    path = copy / "store" / about["entries"][-1] / "manifest.json"
    path.write_text(path.read_text().replace('"schema": 1', '"schema": 9'))
    listed = f"store/{about['entries'][-1]}/manifest.json"
    about["files"][listed] = hashlib.sha256(path.read_bytes()).hexdigest()
    (copy / "export.json").write_text(json.dumps(about))
    with pytest.raises(DamagedFile, match="newer solidmark"):
        imports.adopt(copy, store)
    assert list(store.entries()) == []


@pytest.mark.parametrize("pattern", ["unet/*.safetensors", "store/*/manifest.json", "store/*/*.safetensors", "README.md"])
def test_a_changed_byte_is_found_and_nothing_is_taken_over(copy, store, pattern):
    _change(next(copy.glob(pattern)))
    with pytest.raises(DamagedFile, match="other bytes"):
        imports.adopt(copy, store)
    assert list(store.entries()) == []


def test_a_missing_file_is_named(copy, store):
    (copy / "model_index.json").unlink()
    with pytest.raises(DamagedFile, match=r"no model_index\.json"):
        imports.adopt(copy, store)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": "solidmark.export/9"}, "newer solidmark"),
        ({"entries": ["../../x"]}, "no names"),
        ({"files": []}, "no files"),
        ({"entries": None}, "TypeError"),
    ],
)
def test_a_list_that_was_written_by_another_hand_is_refused(copy, store, change, message):
    about = json.loads((copy / "export.json").read_text())
    (copy / "export.json").write_text(json.dumps({**about, **change}))
    with pytest.raises(DamagedFile, match=message):
        imports.adopt(copy, store)


def test_an_entry_that_reaches_out_of_its_folder_is_refused(made, store, tmp_path):
    name = made.about["entries"][0]
    entry = shutil.copytree(made.folder / "store" / name, tmp_path / name)
    (tmp_path / "outside").write_bytes(b"x")
    manifest = json.loads((entry / "manifest.json").read_text())
    manifest["files"]["../outside"] = [1, hashlib.sha256(b"x").hexdigest()]
    (entry / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(DamagedFile, match="files inside the folder"):
        store.adopt(entry)


def test_what_is_no_export_is_refused(tmp_path, store):
    with pytest.raises(InvalidValue, match=r"without export\.json"):
        imports.adopt(tmp_path, store)


def test_an_export_that_fails_leaves_nothing(tmp_path, store, monkeypatch, made):
    imports.adopt(made.folder, store)
    monkeypatch.setattr(exports, "_card", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        exports.export(case(), tmp_path / "out", Workspace(store))
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_the_row_is_asked_with_the_testbeds_own_solver():
    assert exports.case_of("latent-digits", "none", 3).solver.reencode == 4


@pytest.mark.parametrize("name", sorted(metadata.entry_points(group="solidmark.testbeds").names - {"stable-diffusion"}))
def test_every_testbed_of_images_of_ours_says_where_they_are_from(name):
    kind = metadata.entry_points(group="solidmark.testbeds")[name].load()
    assert "http" in kind.origin
    assert re.fullmatch(r"[A-Z][A-Za-z0-9.]+(-[A-Za-z0-9.]+)+", kind.licence)


def test_what_diffusers_cannot_carry_is_refused_before_training(tmp_path, store):
    with pytest.raises(NotApplicable, match="pixel space"):
        exports.export(case("text"), tmp_path / "out", Workspace(store))
    with pytest.raises(NotApplicable, match="acts at sampling"):
        exports.export(case(composition=plugins.compose("guidance-scale")), tmp_path / "out", Workspace(store))
    (tmp_path / "file").touch()
    with pytest.raises(InvalidValue, match="a new folder"):
        exports.export(case(), tmp_path / "file", Workspace(store))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InvalidValue, match="a new folder"):
        exports.export(case(), tmp_path / "full", Workspace(store))
    assert store.built == []


def test_the_commands_say_what_is_wrong_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    assert main(["store", "export", "digits", str(tmp_path / "out")]) == 2
    assert main(["store", "import", str(tmp_path)]) == 2
    assert [line.split(":")[0] for line in capsys.readouterr().err.splitlines()] == ["solidmark", "solidmark"]


def test_import_by_command_names_what_came(made, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    assert main(["store", "import", str(made.folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(made.about["entries"])
    assert all("the benchmark takes it" in line for line in lines)
    assert main(["store", "ls"]) == 0
    assert "seed 0" in capsys.readouterr().out
