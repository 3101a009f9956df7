"""Pictures that are no square, splits whose keys are planted, and what is read of pictures: in the right order and place."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from worlds import composed, split

from solidmark import Needs, Stage, seeds
from solidmark.marks import Border
from solidmark.measurement import (
    blind,
    content,
    content_block,
    detectors,
    distances,
    per_image,
    pipeline,
    responses,
    whitebox,
)
from solidmark.metrics.controls import Marks
from solidmark.models import Evaluations
from solidmark.schema.numbers import Estimate

LAID = split(6, 20)


def keyed(keys):
    """Answers with these keys."""
    return responses.Responses(keys, 6, Marks(0.2, 0.1, None), Evaluations(forward=5), 2.0, None)


def wide(count, start=0.0):
    """Colour images of 6 x 10 pixels, each unlike the others."""
    drawn = torch.Generator().manual_seed(int(100 * start) + count)
    return torch.rand(count, 3, 6, 10, generator=drawn)


class Level:
    """A model of 3 x 6 x 10 whose prediction of each pixel is wrong by the pixel itself."""

    shape, device = (3, 6, 10), "cpu"

    def __init__(self):
        self.evaluations, self.schedule = Evaluations(), self
        self.steps = 11

    def encode(self, images):
        return images

    def embed(self, captions):
        return None

    def add_noise(self, clean, noise, t):
        return clean

    def predict(self, x, t, embeddings):
        self.evaluations.forward += len(x)
        return SimpleNamespace(losses=lambda clean, noise: (x * (t + 1)).square())


def test_a_loss_of_wide_images_is_the_mean_of_levels_channels_and_cells_without_mark():
    images = wide(5)
    given = type("Given", (), {"images": images, "captions": ["a"] * 5, "__len__": lambda self: 5})()
    given.take = lambda rows: SimpleNamespace(images=images[rows], captions=["a"] * len(rows))
    found = whitebox.denoising_loss(Level(), given, Border(thickness=1), seeds.torch_rng(0, "x"), (0.0, 0.5, 1.0), batch=2)
    squares = images.double().numpy() ** 2 * np.mean([1, 36, 121])
    assert found.whole == pytest.approx(squares.mean(axis=(1, 2, 3)))
    assert found.centre == pytest.approx(squares[:, :, 1:-1, 1:-1].mean(axis=(1, 2, 3)))
    assert (found.evaluations.forward, found.evaluations.backward) == (15, 0)


def test_wide_cells_of_a_space_are_those_without_mark():
    masks = whitebox._unmarked(Border(thickness=2), torch.zeros(1, 3, 12, 20), (4, 3, 5))
    assert masks.tolist() == [[y == 1 and 1 <= x <= 3 for x in range(5)] for y in range(3)]


def test_tiles_and_pictures_of_wide_images_are_kept_in_their_order(monkeypatch):
    side = content_block.patches.tile_side(6, 10)
    pictures = wide(8, 0.1).double().numpy()
    tiles = np.arange(8 * 3.0).reshape(8, 3)[::-1].copy()
    views = SimpleNamespace(pictures=pictures, images=pictures, paired=True)
    shown = SimpleNamespace(views=views, each={"own": np.arange(8.0)}, tiles=tiles, shown=np.array([7, 6, 5, 4, 3, 2, 1, 0]))
    part = lambda rows: replace(LAID.trained, images=wide(len(rows)), captions=[f"c{n}" for n in rows], ids=[*rows])  # noqa: E731
    laid = SimpleNamespace(trained=part(range(5)), held_out=part(range(5, 8)), forget=[1, 3])
    table = per_image._content_table(shown, laid)
    assert table["tile"].tolist() == [side] * 8
    expected = np.stack([per_image._content_p(tiles[:, place], 5) for place in range(3)], axis=1)
    assert np.stack(table["tile_p"].to_list()).tolist() == expected.tolist()
    assert table["content_own"].tolist() == [*range(8)]
    assert table["image"].tolist() == [*range(8)]
    assert table["caption"].tolist() == [f"c{n}" for n in range(8)]
    assert table["forget"].tolist() == [n in (1, 3) for n in range(8)]
    first = per_image._png(torch.from_numpy(pictures[7]))
    assert table["as_generated"][0] == first
    assert table["as_generated"].notna().tolist() == [True] * 8


def test_the_map_of_a_record_has_the_side_of_its_tiles_and_both_groups():
    memory = SimpleNamespace(
        trained=Estimate(0.5, 0.4, 0.6), held_out=Estimate(0.1, 0.0, 0.2), p=np.zeros(3), held_out_p=np.zeros(5)
    )
    for paired, word in ((True, "own"), (False, "any")):
        found = SimpleNamespace(map=memory, views=SimpleNamespace(images=np.zeros((8, 3, 24, 56)), paired=paired))
        block = content_block._map(found)
        sides = {
            "tile": content_block.patches.tile_side(24, 56),
            "picture": word,
            "images": 3,
            "held_out_images": 5,
            "held_out_among": "half",
        }
        assert {name: block[name] for name in sides} == sides
        assert (block["trained"]["value"], block["held_out"]["value"]) == (0.5, 0.1)


def test_a_record_has_the_images_that_come_back_without_their_keys():
    washed = content.Washing(9, 64, Estimate(0.05, -0.1, 0.2, 0.07), 0.88)
    block = {"images": 9, "of": 64, "memorization": {"value": 0.05, "low": -0.1, "high": 0.2}, "baseline": 0.88}
    assert content_block._washed(washed) == block
    assert content_block._washed(None) is None
    assert (washed.convicts, content.faults(washed)) == (False, [])


# Blind splits, content, distances, detectors, pipelines


@pytest.mark.parametrize("needs", list(Needs.__members__.values()))
def test_each_part_of_a_split_goes_with_its_own_need(needs):
    expected = {"forget": Needs.FORGET, "retain": Needs.FORGET, "training_images": Needs.TRAINING_IMAGES}
    expected["calibration"] = Needs.CALIBRATION
    testbed = SimpleNamespace(split=lambda seed: LAID)
    handed = blind.blind(testbed, 0, needs).handed_out if needs else {}
    parts = LAID.handed_out()
    assert set(handed) == {name for name in parts if needs and expected[name] in needs}


def test_the_keys_of_a_blind_split_are_planted_row_by_row():
    true = replace(LAID, training=LAID.trained.take([2, 0, 5]))
    drawn = torch.from_numpy(blind.keys.planted(26, 8, 4)).float()
    found = blind.blind(SimpleNamespace(split=lambda seed: true), 4, Needs.NOTHING).split
    assert torch.equal(found.trained_keys, drawn[:6])
    assert torch.equal(found.held_out_keys, drawn[6:])
    assert torch.equal(found.training_keys, drawn[[2, 0, 5]])
    bare = blind.blind(
        SimpleNamespace(split=lambda seed: replace(true, training=LAID.calibration.take([0]))), 4, Needs.NOTHING
    )
    assert torch.equal(bare.split.training_keys, drawn[[-1]])


def test_an_open_split_hands_out_all_that_it_has():
    found = blind.with_keys(LAID)
    assert (found.split, [*found.handed_out]) == (LAID, [*LAID.handed_out()])
    assert (found.fingerprint, found.training_digest) == (LAID.fingerprint, LAID.training_digest)


@pytest.mark.parametrize(("control", "shown"), [(False, True), (True, True), (False, False)])
def test_a_row_is_washed_by_its_own_and_the_baselines_target_answers(monkeypatch, control, shown):
    asked = []
    monkeypatch.setattr(content.content, "washing", lambda *given: asked.append(given) or "washed")
    monkeypatch.setattr(content.scores, "memorization", lambda found, keys: SimpleNamespace(value=(found, keys)))
    lead, base = (keyed(np.linspace(0, top, 26 * 8).reshape(26, 8)) for top in (1.0, 0.5))
    case = SimpleNamespace(composition=SimpleNamespace(control=control), groups={"target": [1, 4]})
    found = SimpleNamespace(certified="certified") if shown else None
    assert content.washing(case, found, LAID, lead, base) == ("washed" if shown and not control else None)
    for certified, own, keys, (remembered, again) in asked:
        assert (certified, own.tolist()) == ("certified", lead.keys[[1, 4]].tolist())
        assert remembered.tolist() == base.keys[[1, 4]].tolist()
        assert keys.tolist() == again.tolist() == LAID.trained_keys.double()[[1, 4]].tolist()
    told = [None, SimpleNamespace(convicts=False, fault="told"), SimpleNamespace(convicts=True, fault="convicted")]
    assert [content.faults(one) for one in told] == [[], [], ["convicted"]]


def test_distances_of_a_random_order_come_back_in_the_order_of_the_images():
    pictures, images = (np.array(one)[:, None, None, None] * np.ones((4, 1, 2, 3)) for one in (ONE, OTHER))
    views = distances.Views(pictures, images, pictures[:1], 2, [0, 1], True)
    seen = []

    def between(asked, real, around):
        seen.append((asked[:, 0, 0, 0].tolist(), around.spare.tolist(), around.features))
        return 10 * asked[:, 0, 0, 0][:, None] + real[:, 0, 0, 0][None]

    found = distances._between(SimpleNamespace(between=between), "mine", views, "features", 3)
    assert found == pytest.approx(10 * np.array(ONE)[:, None] + np.array(OTHER)[None])
    order = seeds.numpy_rng(3, "order of images for distances").permutation(4)
    assert seen == [([ONE[row] for row in order], pictures[:1].tolist(), "features")]


ONE, OTHER = [0.1, 0.4, 0.2, 0.3], [0.9, 0.5, 0.7, 0.6]


def test_a_detector_is_told_apart_by_trained_and_held_out_captions_and_by_what_it_spent(monkeypatch):
    model = SimpleNamespace(evaluations=Evaluations(forward=100, backward=10))
    order = np.array([3, 0, 2, 5, 1, 4])  # what was asked, of three trained captions and three others
    scored = {0: 0.1, 1: 0.5, 2: 0.2, 3: 0.4, 4: 0.9, 5: 0.3}

    def score(detector, name, batch, seed):
        model.evaluations.forward += 2
        model.evaluations.backward += 1
        return np.array([scored[row] for row in batch])

    monkeypatch.setattr(detectors, "_scores", score)
    monkeypatch.setattr(detectors, "Detector", SimpleNamespace)
    monkeypatch.setattr(detectors.plugins, "instance", lambda *names: SimpleNamespace())
    asked = []
    monkeypatch.setattr(detectors.scores, "auroc", lambda *given: asked.append([one.tolist() for one in given]))
    monkeypatch.setattr(detectors.scoring, "interval", lambda found: "interval")
    batches = [order[:4].tolist(), order[4:].tolist()]
    found = detectors._measure(SimpleNamespace(name="mine"), batches, np.argsort(order), SimpleNamespace(seed=0), model)
    assert found == {"auroc": "interval", "evaluations": 1.0, "captions": 3}
    assert asked == [[[-0.1, -0.5, -0.2], [-0.4, -0.9, -0.3]]]
    monkeypatch.setattr(detectors, "Detector", dict)
    reason = "detector mine: found SimpleNamespace; expected a Detector. Subclass solidmark.api.Detector."
    assert detectors._measure(SimpleNamespace(name="mine"), batches, None, None, model) == {"auroc": None, "reason": reason}


@pytest.mark.parametrize(("most", "count"), [(128, 6), (4, 4)])
def test_as_many_captions_of_either_kind_are_put_in_a_random_order(monkeypatch, most, count):
    monkeypatch.setattr(detectors, "MOST", most)
    monkeypatch.setattr(detectors, "_nothing_to_tell", lambda laid: "")
    monkeypatch.setattr(detectors.plugins, "discover", lambda group: [SimpleNamespace(name="a"), SimpleNamespace(name="b")])
    monkeypatch.setattr(detectors, "_batches", lambda case, model, asked: (model, asked.ids))
    monkeypatch.setattr(detectors, "_measure", lambda plugin, batches, back, case, model: (batches, back.tolist()))
    case = SimpleNamespace(blind=SimpleNamespace(split=LAID), seed=3)
    found = detectors.measure_detectors(case, "model")
    both = [*LAID.trained.ids[:count], *LAID.held_out.ids[:count]]
    order = seeds.numpy_rng(3, "order of captions for detectors").permutation(2 * count)
    assert found == dict.fromkeys("ab", (("model", [both[row] for row in order]), np.argsort(order).tolist()))
    monkeypatch.setattr(detectors, "_nothing_to_tell", lambda laid: "why")
    assert detectors.measure_detectors(case, None) == {name: {"auroc": None, "reason": "why"} for name in "ab"}


@pytest.mark.parametrize("stock", [True, False])
def test_the_stock_pipeline_is_asked_in_the_place_of_the_part_that_answers(monkeypatch, stock):
    part = SimpleNamespace(mitigation=object.__new__(pipeline.StockPipeline) if stock else "mine")
    composition = composed()
    object.__setattr__(composition, "parts", ("first", part, "last"))
    case = SimpleNamespace(composition=SimpleNamespace(parts=("first", part, "last"), at=lambda stage: stage), seed=3)
    case.leading = "a"
    monkeypatch.setattr(pipeline, "answering_part", lambda given: part if given is case.composition else None)
    monkeypatch.setattr(pipeline, "stock_twin", lambda given: ("twin", given))
    loaded = SimpleNamespace(identity={"name": "theirs"}, batch=5)
    services = []
    monkeypatch.setattr(pipeline, "Service", lambda *given: services.append(given) or SimpleNamespace(pipeline=loaded))
    monkeypatch.setattr(pipeline, "Composition", lambda parts: parts)
    monkeypatch.setattr(pipeline, "replace", lambda case, composition: ("case", composition))
    monkeypatch.setattr(pipeline, "ask_cached", lambda *given: given)
    found = pipeline.find(case, "model", "workspace")
    asked = None if stock else (("case", ("first", "last", ("twin", part))), "a", "model", "workspace")
    assert found == pipeline.Beside({"name": "theirs"}, 5, asked)
    assert services == [("model", Stage.SAMPLING, 3)]
    monkeypatch.setattr(pipeline, "answering_part", lambda given: None)
    assert pipeline.find(case, "model", "workspace") is None
