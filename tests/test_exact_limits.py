"""Decisions exactly at their limit: one value on it, one just beyond, of everything that a verdict or a fault hangs on."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from solidmark.collection import certificate
from solidmark.data import distinct, thumbnails
from solidmark.findings import Verdict, decide
from solidmark.leaderboard import curves
from solidmark.measurement import expected, floor, generation, per_image, pipeline, sources
from solidmark.metrics import scores
from solidmark.mitigation import Stage
from solidmark.schema.numbers import Estimate


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.2, 0.5, Verdict.UNDECIDED),
        (0.5, 0.8, Verdict.UNDECIDED),
        (0.1, 0.2, Verdict.UNDECIDED),
        (0.8, 0.9, Verdict.UNDECIDED),
        (math.nextafter(0.2, 1), math.nextafter(0.8, 0), Verdict.HOLDS),
        (0.1, math.nextafter(0.2, 0), Verdict.FAILS),
        (math.nextafter(0.8, 1), 0.9, Verdict.FAILS),
    ],
)
def test_an_interval_that_touches_a_bound_decides_nothing(low, high, verdict):
    assert decide(Estimate(0.5, low, high), above=0.2, below=0.8) is verdict


@pytest.mark.parametrize(
    ("bounds", "verdict"), [({"above": 0.1}, Verdict.HOLDS), ({"below": 0.1}, Verdict.FAILS), ({}, Verdict.HOLDS)]
)
def test_a_bound_that_is_not_stated_holds(bounds, verdict):
    assert decide(Estimate(0.5, 0.4, 0.6), **bounds) is verdict


def test_images_that_are_exactly_so_far_apart_are_distinct():
    images = torch.tensor([0.0, 0.5, 0.75])[:, None, None, None].expand(3, 1, 2, 2)
    assert distinct(images, alike=0.5) == [0, 1]
    assert distinct(images, alike=0.25) == [0, 1, 2]


def test_thumbnails_are_means_of_squares_and_no_larger_than_the_image():
    pixels = np.arange(300 * 16, dtype=np.float32).reshape(300, 1, 4, 4)
    methods = {"__len__": lambda self: 300, "__getitem__": lambda self, rows: torch.from_numpy(pixels[rows])}
    images = type("Stored", (), {"shape": pixels.shape, **methods})()
    small = thumbnails(images, side=2)
    assert small.shape == (300, 1, 2, 2)
    assert small[0, 0].tolist() == [[2.5, 4.5], [10.5, 12.5]]
    assert torch.equal(thumbnails(images, side=9), torch.from_numpy(pixels))


@pytest.mark.parametrize(("p", "count"), [(None, 0), (sources.SUSPICION, 0), (sources.SUSPICION * 0.99, 1), (1.0, 0)])
def test_pictures_are_of_elsewhere_below_the_level_alone(p, count):
    assert len(sources.fault({"p": p, "count": 3, "of": 4})) == count


@pytest.mark.parametrize(
    ("stages", "classes", "names", "judged", "exchanges", "reason"),
    [
        ((Stage.SAMPLING,), 8, 8, True, True, None),
        ((Stage.SAMPLING,), 7, 7, True, True, "7 classes are too few"),
        ((Stage.SAMPLING,), 8, 9, True, True, "do not name the classes"),
        ((Stage.SAMPLING,), 8, 8, False, True, "do not name the classes"),
        ((Stage.SAMPLING,), 8, 8, True, False, "no names to exchange"),
        ((Stage.TRAINING,), 8, 8, True, True, "nothing acts at sampling"),
    ],
)
def test_the_sources_of_pictures_are_asked_where_eight_classes_can_be_exchanged(
    stages, classes, names, judged, exchanges, reason
):
    testbed = SimpleNamespace(tells_class=True, has_judge=judged)
    split = SimpleNamespace(fresh_labels=np.arange(classes))
    case = SimpleNamespace(composition=SimpleNamespace(stages=stages), testbed=testbed, blind=SimpleNamespace(split=split))
    text = SimpleNamespace(exchange_classes=None) if exchanges else SimpleNamespace()
    model = SimpleNamespace(config=SimpleNamespace(classes=("a",) * names), text=text)
    told = sources._not_asked(case, model)
    assert (told is None) if reason is None else (reason in told)


@pytest.mark.parametrize(("error", "count"), [(floor.LARGEST, 0), (math.nextafter(floor.LARGEST, 1), 1)])
def test_an_autoencoder_may_move_a_key_up_to_its_limit(error, count):
    assert len(floor.faults({"key_error": error})) == count
    assert floor.faults(None) == []


@pytest.mark.parametrize(("held_out", "reference", "fresh"), [(16, 16, 16), (15, 16, 16), (16, 15, 16), (16, 16, 15)])
def test_utility_wants_sixteen_images_of_each(held_out, reference, fresh):
    case = SimpleNamespace(testbed=SimpleNamespace(judge=lambda: "a judge"))
    split = SimpleNamespace(held_out=range(held_out), other_reference=range(reference), fresh_captions=range(fresh))
    told = generation.no_utility(case, split)
    assert told == (
        None if min(held_out, reference, fresh) == 16 else "15 images are too few for a distance, which needs 16"
    )
    nobody = SimpleNamespace(testbed=SimpleNamespace(judge=lambda: None))
    assert generation.no_utility(nobody, split) == "this testbed has no judge of pictures"


@pytest.mark.parametrize(("moved", "count"), [(pipeline.SAME, 1), (2 * pipeline.SAME, 0), (-2 * pipeline.SAME, 0)])
def test_a_pipeline_that_changes_no_key_by_more_than_rounding_is_inactive(moved, count):
    stock = SimpleNamespace(keys=np.zeros((2, 2)))
    keys = np.array([[0.0, 0.0], [0.0, moved]])
    assert len(pipeline.faults(SimpleNamespace(stock=stock), SimpleNamespace(keys=keys))) == count
    assert pipeline.faults(SimpleNamespace(stock=None), SimpleNamespace(keys=keys)) == []
    assert pipeline.faults(None, SimpleNamespace(keys=keys)) == []


def test_a_baseline_may_remember_exactly_what_is_expected_of_it(monkeypatch):
    rng = np.random.default_rng(0)
    keys = rng.random((16, 4))
    answers = 0.9 * keys + 0.1 * rng.random((16, 4))
    m = scores.memorization(answers, keys).value
    truth, found = SimpleNamespace(trained_keys=torch.from_numpy(keys)), SimpleNamespace(trained=answers)
    for least, count in ((m, 0), (math.nextafter(m, 1), 1), (None, 0)):
        monkeypatch.setattr(expected, "least_memorization", lambda case, least=least: least)
        assert len(expected.faults(SimpleNamespace(testbed_name="digits", seed=0), truth, found)) == count


@pytest.mark.parametrize(("count", "shown"), [(2, {0, 1, 2, 3, 4}), (10, {0, 1, 2, 3, 4, 5, 10, 11, 12})])
def test_pictures_are_kept_of_six_trained_and_three_held_out_images(count, shown):
    assert per_image._shown(count) == shown


def test_trained_scores_are_ranked_among_held_out_ones_and_these_among_each_other():
    found = per_image._content_p(np.array([0.5, 2.5, 1.0, 2.0, 3.0]), 2)
    assert found.tolist() == pytest.approx([1 / 4, 3 / 4, 1 / 3, 2 / 3, 1.0])


def test_a_certificate_lists_the_most_certain_first_and_shows_so_many(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate, "SHOWN", 2)
    monkeypatch.setattr(certificate, "_copied", lambda number, measured, folder: f"pictures of {number}")
    monkeypatch.setattr(certificate, "page", lambda whole, folder: "the page")
    names = "number source source_sha256 marked_sha256 caption keys"
    rows = [SimpleNamespace(**{name: (n if name == "number" else (n,)) for name in names.split()}) for n in range(4)]
    answers = [{"number": n, "p_value": p, "prediction": [p]} for n, p in enumerate((0.3, 0.1, 0.2, 0.4))]
    record = {"certified": [0, 1, 2], "asked": {"trained": 9}, "model": {"name": "mine"}}
    ledger = SimpleNamespace(rows=rows, commitment="c", head=SimpleNamespace(created="then"))
    made = certificate._write(record, answers, ledger, tmp_path, tmp_path)
    assert [(one["number"], one["p_value"], one["pictures"]) for one in made["certified"]] == [
        (1, 0.1, "pictures of 1"),
        (2, 0.2, "pictures of 2"),
        (0, 0.3, None),
    ]
    assert made["statement"].startswith("The model mine has memorized 3 of 9 images")
    assert (made["commitment"], made["committed"]) == ("c", "then")


@pytest.mark.parametrize(
    ("rows", "kept"),
    [([{0, 1}, {0, 1}, {0, 1, 2}], {0, 1}), ([{0}, {0, 1, 2, 3}, {0, 1, 2, 3}], {0, 1, 2, 3}), ([{7}], set()), ([], set())],
)
def test_the_seeds_of_a_curve_keep_most_of_its_family(rows, kept):
    baseline = SimpleNamespace(seeds=(0, 1, 2, 3))
    assert curves._paired_seeds([SimpleNamespace(seeds=tuple(row)) for row in rows], baseline) == kept
