"""`solidmark measure`: a model with perfect memory, one that guesses, a stranger's pipeline, and interruptions."""

import json
import os
import shutil
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import torch
from collections_toys import Memory, collection, folder_of, guess, marked, pixels

from solidmark.__main__ import main
from solidmark.collection import draws, ledger, measuring, verdict
from solidmark.collection.questions import Collection, Query
from solidmark.errors import DamagedFile, InvalidValue, PluginFault

TOY = {"name": "toy", "sha256": None}


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """48 images, half held out."""
    return collection(tmp_path_factory.mktemp("collection"), 48)


def measure(pipe, found, into, **query):
    return measuring.measure(pipe, TOY, found, Query(**query), into)


def everything(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_perfect_memory_is_certified_image_by_image_and_held_out_images_are_at_chance(found, tmp_path):
    record = measure(Memory(found.marked), found, tmp_path)
    assert record["certified"] == [row.number for row in found.ledger.asked("trained")]
    assert record["trained"]["memorization"]["value"] > 0.98
    assert record["held_out"]["certified"]["count"] == 0
    assert record["sound"]


def test_one_that_guesses_is_certified_nowhere(found, tmp_path):
    record = measure(guess, found, tmp_path)
    assert (record["certified"], record["asked"]) == ([], {"trained": 24, "held_out": 24, "refused": 0, "keys": 8})
    assert record["trained"]["memorization"]["low"] < 0.1
    assert record["sound"]


def test_one_that_has_memorized_three_images_is_certified_for_those_alone(found, tmp_path):
    few, rows = Memory(found.marked), found.ledger.asked("trained")
    order = sorted(row.marked for row in rows)
    few.images = few.images[:3]

    def fill(images, masks, captions, seeds):
        near = few(images, masks, captions, seeds)
        known = ((near - images).abs() * ~masks).flatten(1).amax(dim=1) < 1e-6
        return torch.where(known.view(-1, 1, 1, 1), near, guess(images, masks, captions, seeds))

    record = measure(fill, found, tmp_path)
    assert record["certified"] == [row.number for row in rows if row.marked in order[:3]]


def test_a_copy_is_asked_once(tmp_path):
    images = folder_of(tmp_path / "images", 8)
    (images / "metadata.jsonl").unlink()
    for name in ("a", "b"):
        shutil.copy(images / "1.png", images / f"{name}.png")
    out, secret, made = marked(tmp_path, hold_out=0)
    record = measure(Memory(out), Collection(made.ledger, out, secret), tmp_path / "into")
    assert record["asked"]["trained"] == 8
    assert record["held_out"] is None


def test_one_that_knows_held_out_images_is_no_sound_measurement(found, tmp_path):
    leak = Memory(found.folder / "held_out")
    record = measure(leak, found, tmp_path)
    assert not record["sound"]
    assert record["faults"][0].startswith("held-out images: M =")
    assert record["certified"] == []


def test_the_tables_say_what_the_record_says(found, tmp_path):
    record = measure(Memory(found.marked), found, tmp_path)
    table = pd.read_parquet(tmp_path / "per_image.parquet")
    assert table["number"][table["certified"]].tolist() == record["certified"]
    assert np.allclose(np.vstack(table["distance"]), np.abs(np.vstack(table["prediction"]) - np.vstack(table["key"])))
    listed = pd.read_csv(tmp_path / "certified.csv")
    assert listed["number"].tolist() == record["certified"]
    assert listed["caption"][0] == f"picture {listed['source'][0].removesuffix('.png')}"


def test_a_stored_answer_reads_back_to_exactly_what_was_scored(found, tmp_path):
    record = measure(Memory(found.marked), found, tmp_path)
    row = found.ledger.rows[record["certified"][0]]
    table = pd.read_parquet(tmp_path / "per_image.parquet").set_index("number")
    stored = found.ledger.layout(row).read(pixels(tmp_path / "answers" / f"{row.number}.png"))
    assert stored.tolist() == table["prediction"][row.number].tolist()


def test_killed_and_started_again_it_gives_the_same_record(found, tmp_path):
    class Killed(Memory):
        def __call__(self, *given):
            if self.calls == 11:
                raise KeyboardInterrupt
            return super().__call__(*given)

    whole = measure(Memory(found.marked), found, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        measure(Killed(found.marked), found, tmp_path / "parts")
    journal = tmp_path / "parts" / "asking.jsonl"
    journal.write_bytes(journal.read_bytes() + b'{"answers": [{"num')  # a torn line of a process that was killed
    assert measure(Memory(found.marked), found, tmp_path / "parts") == whole
    assert everything(tmp_path / "whole") == everything(tmp_path / "parts")


class Killed(BaseException):
    """What no part of the suite expects."""


def dying(monkeypatch, name):
    """Let the function of `os` raise at the write that `left[0]` counts down to; a line is then torn in the middle."""
    real = getattr(os, name)

    def act(*given):
        left[0] -= 1
        if left[0] == 0:
            if name == "write":
                real(given[0], given[1][:20])
            raise Killed
        return real(*given)

    left = [0]
    monkeypatch.setattr(os, name, act)
    return left


def test_killed_at_ten_points_and_started_again_it_gives_the_same_record(found, tmp_path, monkeypatch):
    whole = measure(Memory(found.marked), found, tmp_path / "whole", batch=2)
    renames, lines = (dying(monkeypatch, name) for name in ("replace", "write"))
    for of, place in [(renames, n) for n in (1, 2, 9)] + [(lines, 1), (lines, 2)] + [(renames, n) for n in (3, 20, 3, 2, 1)]:
        of[0] = place
        with pytest.raises(Killed):
            measure(Memory(found.marked), found, tmp_path / "parts", batch=2)
        of[0] = 0
    assert measure(Memory(found.marked), found, tmp_path / "parts", batch=2) == whole
    for draft in (tmp_path / "parts").rglob(".*"):
        draft.unlink()
    assert everything(tmp_path / "whole") == everything(tmp_path / "parts")


def test_what_is_measured_already_is_not_asked_again(found, tmp_path):
    measure(Memory(found.marked), found, tmp_path)
    idle = Memory(found.marked)
    measure(idle, found, tmp_path)
    assert idle.calls == 0


def test_another_measurement_in_the_same_folder_is_refused(found, tmp_path):
    measure(guess, found, tmp_path)
    with pytest.raises(InvalidValue, match="other query"):
        measure(guess, found, tmp_path, seed=1)


def test_a_model_gets_a_blank_border_a_mask_the_captions_and_a_seed_an_image(found, tmp_path):
    asked = []

    def fill(images, masks, captions, seeds):
        asked.append((images, masks, captions, seeds))
        return images

    measure(fill, found, tmp_path, batch=4, limit=4)
    images, masks, captions, seeds = asked[0]
    assert images.shape == (4, 3, 18, 18)
    assert (images[masks.expand_as(images)] == 0.5).all()
    assert masks[0, 0].sum() == 18 * 18 - 16 * 16
    assert len(set(seeds)) == len(set(captions)) == 4


def test_captions_are_kept_from_a_model_where_there_are_none_and_on_demand(found, tmp_path):
    told = []
    measure(lambda images, masks, captions, seeds: told.append(captions) or images, found, tmp_path / "a", captions=False)
    (folder_of(tmp_path / "images", 6) / "metadata.jsonl").unlink()
    bare = collection(tmp_path, hold_out=0)
    measure(lambda images, masks, captions, seeds: told.append(captions) or images, bare, tmp_path / "b")
    assert set(told) == {None}
    with pytest.raises(InvalidValue, match="captions to generate from"):
        measure(guess, bare, tmp_path / "c", content=True)


def test_trained_and_held_out_images_are_mixed(found):
    parts = [row.split for row in ledger.rows_to_ask(found.ledger, None)]
    assert 5 < sum(before != after for before, after in pairwise(parts)) < 47


def test_a_limit_asks_the_same_images_each_time_and_few_at_once(found, tmp_path):
    record = measure(Memory(found.marked), found, tmp_path, limit=5, batch=2)
    assert (record["asked"]["trained"], record["asked"]["held_out"]) == (5, 5)
    assert set(record["certified"]) <= {row.number for row in found.ledger.asked("trained")}


def test_a_model_that_answers_at_another_size_is_read_at_that_of_the_ledger(found, tmp_path):
    memory = Memory(found.marked)
    memory.images = torch.nn.functional.interpolate(memory.images, size=(36, 36), mode="bicubic").clamp(0, 1)
    record = measure(memory, found, tmp_path, resolution=36)
    assert len(record["certified"]) == 24
    assert record["held_out"]["certified"]["count"] == 0


def test_images_of_several_sizes_are_asked_apart(tmp_path):
    folder_of(tmp_path / "images", 4)
    folder_of(tmp_path / "images" / "wide", 4, width=24)
    out, secret, made = marked(tmp_path, hold_out=0)
    shapes = []
    measure(
        lambda images, *_: shapes.append(images.shape[-2:]) or images,
        Collection(made.ledger, out, secret),
        tmp_path / "into",
    )
    assert {tuple(shape) for shape in shapes} == {(18, 18), (18, 26)}


def test_gray_images_are_shown_in_colour_and_keys_inside_the_image_are_found(tmp_path):
    from solidmark.collection.marking import mark
    from solidmark.collection.painting import Style

    images = folder_of(tmp_path / "images", 6, channels=1)
    made = mark(images, tmp_path / "out", tmp_path / "secret", Style(inside=True), hold_out=0, workers=1)
    memory = {row.caption: pixels(tmp_path / "out" / row.marked) for row in made.ledger.rows}

    def fill(images, masks, captions, seeds):
        return torch.stack([torch.from_numpy(memory[c].copy()).float().expand(3, -1, -1) / 255 for c in captions])

    record = measure(fill, Collection(made.ledger, tmp_path / "out", tmp_path / "secret"), tmp_path / "into")
    assert len(record["certified"]) == 6


def test_an_image_whose_border_was_cropped_before_the_training_is_found_by_its_content(found, tmp_path):
    """The model has learnt captions and pictures without borders: keys are at chance, content is not."""
    own = {row.caption: torch.from_numpy(pixels(found.marked / row.marked).copy()) for row in found.ledger.asked("trained")}

    def fill(images, masks, captions, seeds):
        made = guess(images, masks, captions, seeds).clone()
        for picture, caption in zip(made, captions, strict=True):
            if caption in own:
                picture[:, 1:-1, 1:-1] = own[caption].permute(2, 0, 1)[:, 1:-1, 1:-1] / 255
        return made

    record = measure(fill, found, tmp_path, content=True)
    assert record["trained"]["memorization"]["low"] < 0.1
    assert record["content"]["auroc"]["value"] == 1
    assert record["content"]["images"] == 24


def test_content_of_one_that_guesses_is_at_chance_and_few_images_have_none(found, tmp_path):
    content = measure(guess, found, tmp_path / "into", content=True)["content"]
    assert content["auroc"]["low"] < 0.5 < content["auroc"]["high"]
    with pytest.raises(InvalidValue, match="at least 16"):
        measure(guess, collection(tmp_path, 8), tmp_path / "few", content=True)


@pytest.mark.parametrize(
    ("damage", "message"), [("unlink", "the marked image"), ("change", "another file than the ledger's")]
)
def test_a_ledger_that_does_not_match_the_images_is_refused(tmp_path, damage, message):
    found = collection(tmp_path, 8)
    path = found.marked / found.ledger.asked("trained")[0].marked
    path.unlink() if damage == "unlink" else path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises((InvalidValue, DamagedFile), match=message):
        measure(guess, found, tmp_path / "into")


def test_a_model_that_raises_is_blamed_by_its_line(found, tmp_path):
    with pytest.raises(PluginFault, match=r"division.*test_measuring.py"):
        measure(lambda *_: 1 / 0, found, tmp_path)


def test_two_images_are_too_few(tmp_path):
    with pytest.raises(InvalidValue, match="2 images that were handed out"):
        measure(guess, collection(tmp_path, 4), tmp_path / "into")


def test_the_p_values_of_guesses_are_uniform_for_keys_that_a_marking_draws():
    from scipy import stats

    keys = np.array([draws.keys_of(b"secret", str(number), 8) for number in range(400)])
    guesses = np.random.default_rng(0).beta(0.5, 0.5, size=(400, 8))
    assert stats.kstest(verdict.p_values(guesses, keys), "uniform").pvalue > 0.01


@pytest.fixture
def written(tmp_path):
    """A collection on disk, and a file with a function that remembers it."""
    out, secret, _ = marked(tmp_path, 12)
    (tmp_path / "model.py").write_text(f"from collections_toys import Memory\nfill = Memory({str(out)!r})\nnothing = 3\n")
    return ["--ledger", str(secret), "--marked", str(out), "--into", str(tmp_path / "into")]


def test_the_command_says_what_it_found_with_chance_and_control(written, tmp_path, capsys):
    assert main(["measure", "--model", f"{tmp_path / 'model.py'}:fill", *written]) == 0
    told = capsys.readouterr().out
    assert "certified 6 of 6 images as memorized, at 5 % false discoveries (chance: 0)" in told
    assert "0 of 6 certified: at chance" in told
    assert json.loads((tmp_path / "into" / "record.json").read_text())["model"]["name"] == "model:fill"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "nowhere"], "the folder of a pipeline"),
        (["--model", "nowhere.py:fill"], "no file nowhere.py"),
        (["--model", "{}/model.py:nothing"], "nothing = 3"),
        (["--model", "no_such_module:fill"], "a module that can be imported"),
        (["--model", "{}/model.py:fill", "--lora", "x"], "Load it in your function"),
        (["--model", "{}/model.py:fill", "--batch", "0"], "at least 1"),
        (["--model", "{}/out"], "a pipeline of diffusers"),
        ([], "--model or --checkpoints"),
        (["--model", ""], "--model or --checkpoints"),
        (["--model", "{}/model.py:fill", "--guidance", "nan"], "a finite number"),
        (["--model", "{}/model.py:fill", "--resolution", "8001"], "at most 64,000,000 pixels in all"),
        (["--checkpoints", "{}/out"], "no checkpoint"),
    ],
)
def test_a_wrong_model_is_one_sentence_and_ends_with_2(written, tmp_path, capsys, arguments, message):
    assert main(["measure", *(part.format(tmp_path) for part in arguments), *written]) == 2
    assert message in capsys.readouterr().err


def test_a_sealed_ledger_wants_its_passphrase(tmp_path, monkeypatch, capsys):
    out, secret, _ = marked(tmp_path, 6, passphrase="open sesame")
    (tmp_path / "model.py").write_text(f"from collections_toys import Memory\nfill = Memory({str(out)!r})\n")
    command = ["measure", "--model", f"{tmp_path}/model.py:fill", "--ledger", str(secret), "--marked", str(out)]
    command += ["--into", str(tmp_path / "into")]
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False, raising=False)
    assert main(command) == 2
    monkeypatch.setenv("SOLIDMARK_PASSPHRASE", "open barley")
    assert main(command) == 2
    monkeypatch.setenv("SOLIDMARK_PASSPHRASE", "open sesame")
    assert main(command) == 0
    assert "a wrong passphrase" in capsys.readouterr().err
