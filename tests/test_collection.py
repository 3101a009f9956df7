"""The pure parts of collections one by one, at the ends of their ranges: draws, names, groups, pictures, numbers, words."""

import base64
import csv
import hashlib
import io
import json
import os
import stat
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from solidmark.collection import (
    asking,
    certificate,
    draws,
    emission,
    judging,
    ledger,
    loading,
    loop,
    plan,
    pool,
    showing,
    sources,
    verdict,
)
from solidmark.collection.journal import Journal
from solidmark.collection.layouts import Layout, fitting
from solidmark.collection.ledger import Head, Ledger, Row
from solidmark.collection.lines import Lines
from solidmark.collection.painting import Painted
from solidmark.collection.questions import Answer, Group, Query
from solidmark.errors import DamagedFile, InvalidValue

ROW = Row(0, "a.png", "s", "a.png", "m", "trained", "", (0.0, 1.0), 20, 20, 2, True, None, "")
HEAD = Head("00" * 32, "11" * 32, 0.5, 2, False, None, "now", "1")


def rows(count, **changes):
    """Rows whose source digests fall as their numbers rise."""
    return tuple(replace(ROW, number=n, source_sha256=f"{count - n:03d}", **changes) for n in range(count))


def test_keys_follow_secret_and_image_and_lie_in_their_range():
    keys = draws.keys_of(bytes(32), "a", 5)
    assert keys.shape == (5,)
    assert (keys == draws.keys_of(bytes(32), "a", 5)).all()
    assert not (keys == draws.keys_of(bytes(32), "b", 5)).any()
    assert not (keys == draws.keys_of(bytes(31) + b"1", "a", 5)).any()
    assert len(draws.fresh()) == 32 != draws.fresh()


@pytest.mark.parametrize(
    ("images", "share", "count"), [("abcd", 0.0, 0), ("a", 0.5, 0), ("ab", 0.01, 1), ("abcd", 1.0, 3), ("aabb", 0.5, 1)]
)
def test_of_distinct_images_a_share_is_held_out_and_never_all(images, share, count):
    held = draws.held_out(bytes(32), images, share)
    assert len(held) == count
    assert held == draws.held_out(bytes(32), images[::-1], share)


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a.jpg", "x/b.png"], ["a.png", "x/b.png"]),
        (["a.jpg", "a.png"], ["a.jpg.png", "a.png.png"]),
        (["a.jpg", "A.webp"], ["a.jpg.png", "A.webp.png"]),
        (["a.jpg", "a.jpg.webp"], ["a.png", "a.jpg.webp.png"]),
    ],
)
def test_marked_names_are_short_where_no_two_are_one(files, names):
    assert plan.targets(files) == names


def test_drafts_of_planned_files_alone_are_swept(tmp_path):
    for name in (".a.png.12", ".b.png.12", ".a.png.x", ".a.png", "a.png"):
        (tmp_path / name).touch()
    plan.sweep([SimpleNamespace(target=tmp_path / "a.png"), SimpleNamespace(target=tmp_path / "no" / "c.png")])
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.png", ".a.png.x", ".b.png.12", "a.png"]


@pytest.mark.parametrize(("images", "workers"), [(0, 1), (199, 1), (200, 3)])
def test_other_processes_are_worth_their_start_from_200_images_on(monkeypatch, images, workers):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 5}, raising=False)
    assert pool.default_workers(images) == workers


def test_rows_are_asked_by_size_then_digest_the_same_few_each_time():
    split = (*rows(4), *(replace(row, split="held-out", number=4 + row.number) for row in rows(3)))
    book = Ledger(HEAD, (*split, replace(ROW, number=7, height=10, source_sha256="9"), replace(ROW, number=8, copy_of=0)))
    assert [row.number for row in ledger.rows_to_ask(book)] == [7, 3, 6, 2, 5, 1, 4, 0]
    assert [row.number for row in ledger.rows_to_ask(book, 1)] == [3, 6]
    assert [row.number for row in book.asked("held-out")] == [4, 5, 6]


@pytest.mark.parametrize(("held", "spare"), [(3, 0), (4, 1), (11, 2), (800, 200), (900, 200)])
def test_a_quarter_of_the_held_out_images_is_spare_and_at_most_200(held, spare):
    found = ledger.spare_rows(Ledger(HEAD, rows(held, split="held-out")))
    assert [row.number for row in found] == list(range(held - 1, held - 1 - spare, -1))


def test_keys_and_layout_of_rows_are_those_of_the_ledger():
    assert ledger.keys_of([ROW, ROW]).tolist() == [[0, 1], [0, 1]]
    assert Ledger(replace(HEAD, inside=True), (ROW,)).layout(ROW) == Layout(20, 20, 2, 2, inside=True)


def test_a_private_file_is_its_owners_and_a_failed_one_leaves_nothing(tmp_path, monkeypatch):
    ledger.write_private(tmp_path / "a", b"x")
    ledger.write_private(tmp_path / "b", b"y", mode=0o644)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"]
    assert modes == [0o600, 0o644]
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("full")))
    with pytest.raises(InvalidValue, match="full; expected room and permission to write"):
        ledger.write_private(tmp_path / "c", b"z")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize(("size", "lengths"), [(1, [1, 1, 1, 1, 1]), (2, [2, 1, 2]), (3, [3, 2]), (9, [3, 2])])
def test_a_group_has_one_layout_and_at_most_so_many_rows(size, lengths):
    given = [*rows(3), *rows(2, thickness=3)]
    found = list(asking.groups(given, size))
    assert [len(group) for group in found] == lengths
    assert [row for group in found for row in group] == given


@pytest.mark.parametrize("change", [{"height": 21}, {"width": 21}, {"thickness": 3}])
def test_rows_of_another_layout_are_another_group(change):
    assert len(list(asking.groups([ROW, replace(ROW, **change), replace(ROW, colour=False)], 9))) == 3
    assert len(list(asking.groups([ROW, replace(ROW, colour=False)], 9))) == 1


def test_pictures_become_numbers_and_back():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3) * 10
    image = asking._tensor(pixels, gray=False)
    assert image.shape == (3, 2, 4)
    assert float(image[2, 1, 3]) == pytest.approx(230 / 255)
    assert np.array_equal(asking._pixels(image), pixels)
    levels = torch.tensor([-1.0, 0.499 / 255, 0.501 / 255, 2.0]).reshape(1, 1, 4)
    assert asking._pixels(levels).tolist() == [[[level] * 3 for level in (0, 0, 1, 255)]]


def test_a_gray_model_is_asked_in_gray():
    pixels = np.repeat(np.arange(8, dtype=np.uint8).reshape(2, 4, 1) * 30, 3, axis=2)
    image = asking._tensor(pixels, gray=True)
    assert torch.equal(image[0], torch.from_numpy(pixels[..., 0]).float() / 255)
    assert image.shape == (1, 2, 4)


def test_a_model_of_another_side_gets_larger_images_and_every_touched_pixel_masked():
    images, masks = torch.full((1, 3, 4, 4), 0.25), torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[..., 0, :] = True
    for side in (None, 4):
        assert all(a is b for a, b in zip(asking._resized(images, masks, side), (images, masks), strict=True))
    larger, touched = asking._resized(images, masks, 8)
    assert torch.allclose(larger, torch.full((1, 3, 8, 8), 0.25))
    assert touched[0, 0, :, 0].tolist() == [True] * 3 + [False] * 5
    with pytest.raises(InvalidValue, match="--resolution: found images of 4 x 2; expected square ones"):
        asking._resized(images[:, :, :2], masks[:, :, :2], 8)


def test_answers_of_another_size_are_fitted_and_others_left_alone():
    image = torch.rand(1, 3, 20, 20)
    layout = Layout(20, 20, 2, 2)
    assert asking._fitted(image, layout) is image
    assert asking._fitted(torch.full((1, 3, 10, 30), 0.5), layout).shape == (1, 3, 20, 20)


def test_the_journal_notes_answers_and_warnings_of_a_group():
    group = Group([Answer(3, (0.5, 1.0), True, 0.25)], [], [], ["slow"])
    told = {"number": 3, "prediction": (0.5, 1.0), "refused": True, "content": 0.25}
    assert asking.as_json(group) == {"answers": [told], "warnings": ["slow"]}
    assert asking.predictions(group.answers).tolist() == [[0.5, 1.0]]


def test_thumbnails_are_the_insides_of_borders_as_numbers():
    picture = np.zeros((68, 68, 3), np.uint8)
    picture[2:66, 2:66] = (0, 51, 255)
    found = emission.thumbnails([picture, picture], Layout(68, 68, 2, 2))
    assert found.shape == (2, 3 * 32 * 32)
    assert np.allclose(found[0].reshape(3, -1), np.array([[0], [0.2], [1]]))


def test_a_distance_of_contents_wants_four_spare_images():
    few = SimpleNamespace(ledger=Ledger(HEAD, rows(15, split="held-out")))
    with pytest.raises(InvalidValue, match="15 held-out images; expected at least 16"):
        emission.spare(few)
    black = SimpleNamespace(
        ledger=Ledger(HEAD, rows(16, split="held-out")), colour=lambda row: np.zeros((20, 20, 3), np.uint8)
    )
    assert emission.spare(black).shape == (4, 3072)


@pytest.mark.parametrize(
    ("stated", "found", "same"),
    [
        (1.0, 1.0 + 5e-10, True),
        (1.0, 1.0 + 2e-9, False),
        (0.0, 5e-13, True),
        (0.0, 2e-12, False),
        (1, 1.0, False),
        (True, 1, False),
        ({"a": 1.0}, {"a": 1.0 + 1e-10}, True),
        ({"a": 1.0, "b": 1}, {"a": 1.0}, False),
        ({"a": 1.0}, {"a": 1.1}, False),
        (None, {"a": 1}, False),
        (None, None, True),
        (["a"], ["a"], True),
    ],
)
def test_values_are_alike_within_rounding_and_of_one_kind(stated, found, same):
    assert judging.alike(stated, found) is same


def judged(keys=None, held=None):
    rng = np.random.default_rng(0)
    keys = rng.random((12, 8)) if keys is None else keys
    far = (np.zeros((0, 8)),) * 2 if held is None else held
    return verdict.judge(keys, keys, *far, seed=0)


def test_three_images_have_a_verdict_and_two_have_none():
    keys = np.random.default_rng(0).random((3, 8))
    assert judged(keys)["trained"]["certified"] == {**judged(keys)["trained"]["certified"], "count": 3, "of": 3}
    with pytest.raises(InvalidValue, match="2 images that were handed out; expected at least 3"):
        judged(keys[:2])


def test_two_held_out_images_are_no_control_and_three_are():
    rng = np.random.default_rng(1)
    far = rng.random((2, 3, 8))
    assert judged(held=far[:, :2])["held_out"] is judged(held=far[:, :2])["separation"] is None
    whole = judged(held=far)
    assert whole["held_out"]["certified"]["of"] == 3
    assert whole["separation"]["auroc"] == {**whole["separation"]["auroc"], "value": 1.0, "chance": 0.5}
    assert whole["sound"]
    assert not whole["faults"]


def test_held_out_keys_that_are_known_are_a_fault():
    keys = np.random.default_rng(2).random((8, 8))
    leaked = judged(held=(keys, keys))
    assert not leaked["sound"]
    assert "held-out images" in leaked["faults"][0]


def test_answers_far_from_their_keys_are_avoided_and_not_certified():
    keys = np.random.default_rng(3).random((12, 8))
    far = verdict.judge(np.where(keys > 0.5, 0.0, 1.0), keys, *(np.zeros((0, 8)),) * 2, seed=0)["trained"]
    assert (far["certified"]["count"], far["avoided"]["count"]) == (0, 12)


@pytest.mark.parametrize(("near", "far"), [([0.1, 0.2], [1.0] * 9), ([0.1] * 9, [1.0, None, 1.0]), ([None] * 9, [1.0] * 9)])
def test_too_few_contents_have_no_verdict(near, far):
    assert verdict.judge_content(near, far) is None


def test_contents_that_lie_apart_are_certified():
    found = verdict.judge_content([0.1, 0.2, 0.3, None], [1.0 + n / 100 for n in range(100)])
    assert (found["auroc"]["value"], found["auroc"]["chance"], found["images"]) == (1.0, 0.5, 3)
    assert (found["certified"]["count"], found["certified"]["of"], found["certified"]["chance"]) == (3, 3, 0.0)


def test_certified_numbers_are_those_of_small_p_values_at_five_per_cent():
    assert verdict.certified(np.array([1e-6, 0.9, 0.02, 0.049]), [7, 8, 9, 10]) == [7, 9]
    keys = np.array([[0.5]])
    assert verdict.p_values(np.array([[0.6]]), keys) == pytest.approx([0.2])


def record(**changes):
    area = {"value": 0.75, "low": 0.5, "high": 0.9}
    found = {"count": 3, "of": 4}
    trained = {
        "memorization": {"value": 0.9, "low": 0.8, "high": 0.95}, "certified": found,
        "leaked_bits": {"value": 2.5}, "epsilon": {"low": 1.25},
    }  # fmt: skip
    held = {"memorization": {"value": 0.01, "low": -0.1, "high": 0.2}, "certified": {"count": 0, "of": 5}}
    return {
        "model": {"name": "toy"}, "asked": {"keys": 8, "refused": 0}, "trained": trained, "held_out": held,
        "separation": {"auroc": area}, "content": {"auroc": area, "certified": found, "least": 2}, "sound": True,
        "faults": [], "warnings": [], **changes,
    }  # fmt: skip


def test_numbers_for_a_tracker_have_their_names_and_unknown_ones_are_left_out():
    own = {
        "memorization": 0.9, "memorization_low": 0.8, "memorization_high": 0.95, "certified": 3.0, "certified_share": 0.75,
        "leaked_bits": 2.5, "epsilon_low": 1.25, "sound": 1.0,
    }  # fmt: skip
    assert showing.numbers(record()) == {**own, "held_out_memorization": 0.01, "held_out_certified": 0.0, "auroc": 0.75}
    assert showing.numbers(record(held_out=None, separation=None, sound=False)) == {**own, "sound": 0.0}


def test_a_measurement_is_told_in_lines():
    assert showing.lines(record()).splitlines() == [
        "model toy, 8 keys an image",
        "certified 3 of 4 images as memorized, at 5 % false discoveries (chance: 0)",
        "M = 0.900 [0.800, 0.950] (chance: 0), epsilon >= 1.2",
        "held-out images: M = 0.010 [-0.100, 0.200], 0 of 5 certified: at chance",
        "captions alone: AUROC 0.750 [0.500, 0.900] (chance: 0.5), 3 of 4 certified at 2.5 % (at least 2 or none can be)",
    ]


def test_what_went_wrong_is_told_behind():
    wrong = {"held_out": None, "content": None, "warnings": ["slow"], "faults": ["leak"], "asked": {"keys": 8, "refused": 2}}
    assert showing.lines(record(**wrong)).splitlines()[3:] == [
        "no control: fewer than three images were held out",
        "refused 2",
        "warning: slow",
        "FAULT leak",
    ]
    assert "certified: NOT at chance" in showing.lines(record(sound=False))


def test_a_curve_has_a_row_a_checkpoint():
    found = showing.curve_rows([("c-5", 5, record()), ("last", None, record(held_out=None))])
    assert found[0] == ["c-5", 5, 0.9, 0.8, 0.95, 3, 4, 1.25, 0.01, True]
    assert found[1] == ["last", None, 0.9, 0.8, 0.95, 3, 4, 1.25, None, True]
    table = list(csv.reader(io.StringIO(showing.as_csv(found))))
    assert dict(zip(*table[:2], strict=True)) == {
        "checkpoint": "c-5", "step": "5", "memorization": "0.9", "low": "0.8", "high": "0.95", "certified": "3", "of": "4",
        "epsilon": "1.25", "held_out_memorization": "0.01", "sound": "True",
    }  # fmt: skip
    assert "0.900" in showing.as_table(found)


@pytest.mark.parametrize("name", ["steps", "batch", "limit", "resolution"])
def test_a_query_of_one_is_accepted_and_of_none_is_not(name):
    assert getattr(Query(**{name: 1}), name) == 1
    with pytest.raises(InvalidValue, match=f"--{name}: found 0; expected at least 1"):
        Query(**{name: 0})


@pytest.mark.parametrize(
    ("name", "step"), [("checkpoint-500", 500), ("a-2-b-30.safetensors", 30), ("last", None), ("v2", 2)]
)
def test_the_step_of_a_checkpoint_is_the_last_number_of_its_name(name, step):
    assert loading.step_of(Path(name)) == step


def test_checkpoints_are_in_the_order_of_their_steps_those_without_a_number_last(tmp_path):
    for name in ("c-10", "c-9", "zero", "other", "a-0"):
        (tmp_path / name).mkdir()
    for name in ("c-10/unet", "c-9/transformer", "zero/model_index.json", "a-0/pytorch_lora_weights.safetensors"):
        (tmp_path / name).mkdir()
    (tmp_path / "lora-3.safetensors").touch()
    (tmp_path / "notes.txt").touch()
    assert [path.name for path in loading.checkpoints(tmp_path)] == ["a-0", "lora-3.safetensors", "c-9", "c-10", "zero"]
    with pytest.raises(InvalidValue, match="no checkpoint; expected folders with a pipeline, unet or transformer"):
        loading.checkpoints(tmp_path / "nowhere")


def test_a_digest_of_files_holds_names_and_contents(tmp_path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "one").write_bytes(b"1")
    lines = f"b/one\0{hashlib.sha256(b'1').hexdigest()}\n"
    assert loading.digest(loading._files(tmp_path)) == hashlib.sha256(lines.encode()).hexdigest()
    assert loading._files(tmp_path / "b" / "one") == [("one", tmp_path / "b" / "one")]


@pytest.mark.parametrize("name", ["float32", "float16", "bfloat16"])
def test_number_types_are_those_of_torch(name):
    assert loading._dtype(name) is getattr(torch, name)


def test_networks_are_evaluated_inside_and_each_part_is_as_before_afterwards():
    unet = nn.Sequential(nn.Dropout().eval(), nn.Dropout())
    pipe = SimpleNamespace(scheduler=None, unet=unet, text=nn.Identity().eval())
    with loop._evaluating(pipe):
        assert not any(one.training for one in (unet, *unet, pipe.text))
    assert [one.training for one in (unet, *unet, pipe.text)] == [True, False, True, False]
    with loop._evaluating(unet):
        assert unet.training


def test_lines_are_kept_and_a_torn_one_is_removed(tmp_path):
    with Lines(tmp_path / "x" / "work", {"a": 1}) as lines:
        lines.add({"n": [1]})
    with (tmp_path / "x" / "work").open("ab") as file:
        file.write(b'{"n": ')
    with Lines(tmp_path / "x" / "work", {"a": 2}) as again:
        assert (again.head, again.entries) == ({"a": 1}, [{"n": [1]}])
        again.add({"n": 2})
        again.check_same({"a": 1})
        with pytest.raises(InvalidValue, match="interrupted, with other a, b; expected the same again"):
            again.check_same({"a": 2, "b": (1,)})
    assert (tmp_path / "x" / "work").read_bytes() == b'{"a": 1}\n{"n":[1]}\n{"n":2}\n'


@pytest.mark.parametrize("text", [b"{\n", b"[1]\n", b""])
def test_a_bad_line_that_is_not_the_last_is_damage(tmp_path, text):
    (tmp_path / "work").write_bytes(text)
    with pytest.raises(DamagedFile, match="expected a JSON object a line"):
        Lines(tmp_path / "work", {})


@pytest.mark.parametrize(
    ("height", "width", "thickness"), [(256, 512, 16), (512, 256, 16), (8, 8, 1), (23, 99, 1), (24, 99, 2), (40, 99, 2)]
)
def test_a_border_follows_the_shorter_side(height, width, thickness):
    made = fitting(height, width, 4)
    assert (made.thickness, made.height, made.width) == (thickness, height + 2 * thickness, width + 2 * thickness)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ((9, 9, 4, 4), True),
        ((8, 9, 4, 4), False),
        ((9, 8, 4, 4), False),
        ((9, 9, 80, 4), True),
        ((9, 9, 81, 4), False),
        ((9, 9, 0, 4), False),
        ((9, 9, 1, 0), False),
    ],
)
def test_a_border_inside_leaves_a_pixel_and_gives_each_segment_one(given, fits):
    if fits:
        assert fitting(*given, inside=True).region().sum() == 80
    else:
        with pytest.raises(InvalidValue, match="collection: found"):
            fitting(*given, inside=True)


@pytest.mark.parametrize(
    ("rows", "stated", "column"),
    [
        ({}, None, "text"),
        ({}, "words", "words"),
        ({"a": {"prompt": 1, "caption": 2}}, None, "caption"),
        ({"a": {"prompt": 1}}, None, "prompt"),
        ({"a": {"x": 1, "text": 2}}, "x", "x"),
    ],
)
def test_captions_are_in_the_stated_column_or_the_first_that_is_known(rows, stated, column):
    assert sources._caption_column(rows, stated) == column


@pytest.mark.parametrize(
    ("rows", "stated", "found"),
    [
        ({"a": {"y": 1, "x": 1}}, "z", "columns x, y; expected z"),
        ({"a": {}}, "z", r"columns \(none\)"),
        ({"a": {"y": 1, "x": 1}}, None, "columns x, y; expected one of text, caption, prompt"),
    ],
)
def test_a_column_that_is_not_there_is_named(rows, stated, found):
    with pytest.raises(InvalidValue, match=found):
        sources._caption_column(rows, stated)


@pytest.mark.parametrize(
    ("lacking", "words"),
    [(["b"], "a line for b, which is not there;"), (["c", "b", "d"], "a line for b, which is not there, and 2 more;")],
)
def test_lines_of_images_that_are_not_there_are_counted(lacking, words):
    with pytest.raises(InvalidValue, match=words):
        sources._check_rows(Path("x"), {name: {} for name in ["a", *lacking]}, {"a"})


def test_a_certificate_states_its_counts():
    found = {"model": {"name": "toy"}, "certified": [3, 5], "asked": {"trained": 24}}
    assert certificate.statement(found).startswith("The model toy has memorized 2 of 24 images")


@pytest.mark.parametrize("name", ["../a.png", "x/a.png", "/etc/passwd"])
def test_a_picture_has_a_plain_name(tmp_path, name):
    with pytest.raises(DamagedFile, match="expected a plain name"):
        certificate.picture(tmp_path, name)


@pytest.mark.parametrize(
    ("text", "error", "found"),
    [
        (None, InvalidValue, "No such file"),
        ("{", DamagedFile, "Expecting"),
        ("[]", DamagedFile, "schema None"),
        ('{"schema": "x/2"}', DamagedFile, "schema x/2; expected x/1"),
    ],
)
def test_json_of_another_schema_is_named(tmp_path, text, error, found):
    if text is not None:
        (tmp_path / "f").write_text(text)
    with pytest.raises(error, match=found):
        certificate.read_json(tmp_path / "f", "x/1", "Cure it.")
    (tmp_path / "f").write_text(json.dumps({"schema": "x/1"}))
    assert certificate.read_json(tmp_path / "f", "x/1", "Cure it.") == {"schema": "x/1"}


def test_a_journal_keeps_secret_and_salt_apart_and_goes_on_with_them(tmp_path):
    with Journal(tmp_path, {"a": 1}, None).lines:
        first = Journal(tmp_path, {"a": 1}, None)
    first.add(Painted(3, "sha", 9))
    again = Journal(tmp_path, {"a": 1}, None)
    assert first.secret + first.salt == base64.b64decode(first.lines.head["secrets"])
    assert (len(first.secret), len(first.salt)) == (32, 32)
    assert (again.secret, again.salt, again.done) == (first.secret, first.salt, {3: Painted(3, "sha", 9)})
    first.remove()
    assert not (tmp_path / "marking.jsonl").exists()
    again.lines.__exit__()
    first.lines.__exit__()


@pytest.fixture
def loads(monkeypatch):
    """What `loading.load` is asked for; it gives a pipeline without a denoiser."""
    asked = []
    pipe = SimpleNamespace(unet=None)
    monkeypatch.setattr(loading, "load", lambda *given: asked.append(given) or (pipe, {"name": "base"}))
    return asked


def test_a_checkpoint_is_a_whole_pipeline_or_weights_on_a_base(tmp_path, loads):
    whole, folder, file = tmp_path / "whole", tmp_path / "folder", tmp_path / "lora.safetensors"
    for path in (whole, folder):
        path.mkdir()
    for path in (whole / "model_index.json", folder / loading.LORA, file):
        path.touch()
    for base, path in ((None, whole), ("b", whole), ("b", folder), ("b", file)):
        loading.load_checkpoint(base, path, "cpu", "float16")
    rest = ("cpu", "float16", None, None)
    assert loads[:2] == [(str(whole), None, *rest)] * 2
    assert loads[2:] == [("b", folder / loading.LORA, *rest), ("b", file, *rest)]


def test_a_part_wants_a_base_that_has_it(tmp_path, loads):
    (tmp_path / "unet").mkdir()
    with pytest.raises(InvalidValue, match="a part of a pipeline; expected a whole one, or --model"):
        loading.load_checkpoint(None, tmp_path)
    with pytest.raises(InvalidValue, match="a unet; expected a part of SimpleNamespace"):
        loading.load_checkpoint("b", tmp_path)
    assert loads == [("b", None, "cpu", "float32", None, None)]


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (("nothing",), "--model: found 'nothing'; expected the folder of a pipeline"),
        (("m:f", Path("lora")), "--lora: found a LoRA for the function m:f"),
        (("m:f", None, "cpu", "float32", "C"), "--pipeline-class, --pipeline-call: found the function m:f"),
        (("m:f", None, "cpu", "float32", None, "c"), "--pipeline-class, --pipeline-call"),
        (("no.py:f",), "no file no.py"),
        (("math:pi",), "pi = 3.14"),
        (("math:none",), "none = None"),
    ],
)
def test_what_is_no_model_is_named(given, found):
    with pytest.raises(InvalidValue, match=found):
        loading.load(*given)


def test_a_function_of_a_module_or_a_file_is_a_model(tmp_path):
    (tmp_path / "own.py").write_text("def fill():\n    return 3\n")
    fill, model = loading.load(f"{tmp_path / 'own.py'}:fill")
    assert (fill(), model) == (3, {"name": "own:fill", "sha256": loading.digest([("own.py", tmp_path / "own.py")])})
    assert loading.load("math:sqrt") == (__import__("math").sqrt, {"name": "math:sqrt", "sha256": None})
