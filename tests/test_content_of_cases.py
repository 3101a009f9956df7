"""Content of a case: what the perfect memorizer emits, and who takes the marks from their images."""

import sys
import time
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from worlds import composed, digits

from solidmark import Mitigation, Sampler, Stage, plugins, queries
from solidmark.measurement import answers, content, distances, measure, per_image
from solidmark.measurement.case import Case, Workspace
from solidmark.measurement.content_block import as_block
from solidmark.metrics.distances import Distance
from solidmark.metrics.features import judge_features
from solidmark.models.memorizer import Memorizer
from solidmark.queries.by_content import ByContent
from solidmark.queries.caption_only import CaptionOnly
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=16, held_out=192, generated=16)
QUERIES = (("outpaint", Outpaint()), ("caption-only", CaptionOnly()), ("by-content", ByContent()))


class Washing(Sampler):
    """Gives every picture of a batch the border of another one."""

    def after(self, x, x0, t, batch):
        if t != batch.times[-1]:
            return x
        washed = x.roll(1, 0).clone()
        washed[..., 2:-2, 2:-2] = x[..., 2:-2, 2:-2]
        return washed


@dataclass(frozen=True)
class Washer(Mitigation):
    def sampler(self, inner):
        return Washing(self, inner)


def case(*mitigations):
    return Case("digits", TESTBED, composed(*mitigations), 0, QUERIES, SolverConfig(steps=8))


@pytest.fixture(scope="module")
def memorizer():
    return Memorizer(TESTBED.split(0).marked_trained)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(Store(tmp_path_factory.mktemp("store")))


@pytest.fixture
def empty(tmp_path):
    return Workspace(Store(tmp_path))


def read(case, model, workspace):
    return content.measure_content(case, answers.ask_plainly(case, model, workspace), {})


def test_what_is_remembered_is_emitted_from_its_own_caption_and_from_any(memorizer, workspace):
    found = read(case(), memorizer, workspace)
    assert (found.own.auroc.value, found.any.auroc.value) == (pytest.approx(1.0), pytest.approx(1.0))
    assert found.certified.all()


def test_one_sampling_run_serves_content_caption_only_and_keys_by_content(memorizer, empty):
    run = 8 * 2 * len(TESTBED.split(0).queried)  # steps, guidance, images
    before = memorizer.evaluations.copy()
    asked = measure._ask_all(case(), memorizer, empty)
    content.measure_content(case(), asked.plain, asked.responses)
    fresh = 8 * 2 * len(TESTBED.split(0).fresh_captions)  # asked in the batches of the second
    assert memorizer.evaluations.since(before).forward == 2 * run + fresh  # one to outpaint, one to generate
    assert asked.responses["caption-only"] is asked.plain
    assert asked.responses["by-content"].evaluations.forward == 0


@pytest.mark.parametrize("asks", [QUERIES[:1], QUERIES[1:2], QUERIES[::2], QUERIES[::-1]])
def test_whatever_is_asked_in_whatever_order_one_plain_generation_is_made(asks, memorizer, empty):
    asked = replace(case(), queries=asks)
    runs, before = 1 + ("outpaint" in dict(asks)) + (asks[0][0] == "by-content"), memorizer.evaluations.copy()
    measure._ask_all(asked, memorizer, empty)
    images = runs * len(TESTBED.split(0).queried) + len(TESTBED.split(0).fresh_captions)
    assert memorizer.evaluations.since(before).forward == 8 * 2 * images


def test_pictures_that_are_shared_are_those_that_the_query_would_have_made(memorizer, workspace):
    plain = answers.ask_plainly(case(), memorizer, workspace)
    shared, alone = (answers.ask_query(case(), "by-content", memorizer, workspace, plain=one) for one in (plain, None))
    assert (shared.keys == alone.keys).all()
    assert shared.refused.shape == alone.refused.shape


def test_who_takes_the_marks_from_their_images_is_convicted_and_nobody_else(memorizer, workspace):
    truth, honest = TESTBED.split(0), answers.ask_query(case(), "outpaint", memorizer, workspace)
    faults = {}
    for name, washing in (("honest", case()), ("washer", case(Washer()))):
        lead = answers.ask_query(washing, "outpaint", memorizer, workspace)
        found = read(washing, memorizer, workspace)
        faults[name] = content.faults(content.washing(washing, found, truth, lead, honest))
    assert faults["honest"] == []
    assert "16 of 16 images are certified by their content" in faults["washer"][0]


def test_keys_are_read_by_content_where_captions_say_nothing_of_them(memorizer, workspace):
    """Captions of one image each are exchanged: every image is emitted, from another one's caption."""

    @dataclass(frozen=True)
    class Exchanged(Mitigation):
        stage = Stage.SAMPLING

        def caption(self, captions, rng):
            return captions[1:] + captions[:1]

    exchanged = case(Exchanged())
    keys = TESTBED.split(0).trained_keys.double().numpy()
    by_caption = answers.ask_query(exchanged, "caption-only", memorizer, workspace).trained
    by_content = answers.ask_query(exchanged, "by-content", memorizer, workspace).trained
    assert abs(by_caption - keys).mean() > 0.25
    assert abs(by_content - keys).mean() < 0.05


@pytest.fixture(scope="module")
def uncaptioned():
    """A case without captions."""
    testbed = plugins.instance(plugins.GROUPS["testbed"], "testbed", "digits-unconditional-quick")
    small = replace(testbed, trained=16, held_out=64, generated=16)
    return Case("plain", small, composed(), 0, QUERIES, SolverConfig(steps=8))


def test_without_captions_no_picture_is_an_image_s_own(uncaptioned, workspace):
    found = read(uncaptioned, Memorizer(uncaptioned.truth.marked_trained), workspace)
    assert found.own is None
    assert found.any.certified.of == 16
    block = as_block(found, {}, None, shared=False)
    assert (block["own"], block["block"], block["map"]["picture"]) == (None, None, "any")


def test_without_captions_the_block_beside_the_mark_tells_what_is_remembered(uncaptioned, workspace):
    memorizer = Memorizer(uncaptioned.truth.marked_trained)
    outpainted = answers.ask_query(uncaptioned, "outpaint", memorizer, workspace)
    plain = answers.ask_plainly(uncaptioned, memorizer, workspace)
    found = content.measure_content(uncaptioned, plain, {"outpaint": outpainted})
    assert found.own is None
    assert found.block.auroc.low > 0.5  # even the perfect memorizer is weak where no caption says which image
    assert found.block.certified.of == 16


@pytest.fixture(scope="module")
def whole(memorizer, workspace):
    asked = measure._ask_all(case(), memorizer, workspace)
    return content.measure_content(case(), asked.plain, asked.responses), asked


def test_what_is_remembered_comes_back_in_the_block_and_in_every_tile(whole):
    found, _ = whole
    assert found.block.auroc.value > 0.9
    assert found.block.certified.of == 16
    assert found.map.trained.value > 0.9
    assert 0.0 <= found.map.held_out.value < 0.12
    assert found.tiles.shape == (208, 4)


def test_the_block_is_where_the_model_was_asked_to_fill_in(whole):
    found, asked = whole
    answered = TESTBED.split(0).mark.content(asked.responses["outpaint"].images).double().numpy()
    changed = np.abs(answered - found.views.images)[:, 0] > 1e-6
    marked = TESTBED.split(0).mark_masks.any(dim=0)
    freed = np.stack([queries.decoy(0, number, marked)[2:-2, 2:-2].numpy() for number in TESTBED.split(0).queried.ids])
    assert freed.sum(axis=(1, 2)).tolist() == [4] * 208
    assert not (changed & ~freed).any()


def test_every_installed_distance_finds_what_is_remembered_but_one_without_weights(whole, monkeypatch):
    monkeypatch.delenv("SOLIDMARK_SSCD", raising=False)
    found = distances.measure_distances(whole[0].views, judge_features(TESTBED.judge()), 0)
    assert set(found) == {"shift", "l2", "features", "hash", "sscd"}
    assert {name: one.own.auroc.value > 0.95 for name, one in found.items() if not one.reason} == dict.fromkeys(
        ("shift", "l2", "features", "hash"), True
    )
    assert "SOLIDMARK_SSCD" in found["sscd"].reason
    assert distances.described(found)["shift"] == {"class": "Shift", "pixels": 1}


def test_scores_and_maps_are_kept_for_each_image(whole, tmp_path):
    found, asked = whole
    said = per_image.write("case", TESTBED.split(0), asked.responses, tmp_path, found)
    table = pd.read_parquet(tmp_path / said["path"])
    rows = table[table["query"] == "content"]
    assert (said["rows"], len(rows)) == (4 * 208, 208)
    assert rows["content_own_p"].to_numpy()[:16] == pytest.approx(found.own.p)
    assert [len(p) for p in rows["tile_p"]] == [4] * 208
    assert rows["as_generated"].notna().sum() == 9


@dataclass(frozen=True)
class Stranger(Distance):
    """A distance of somebody else's, which does one thing or another."""

    does: str = "nothing"

    def between(self, pictures, images, around):
        if self.does == "cheats":
            return np.arange(len(images)) + np.zeros((len(pictures), 1))  # the first images are the trained ones, it hopes
        acts = {
            "raises": lambda: {}["key"],
            "exits": lambda: sys.exit(3),
            "writes": lambda: images.fill(0),
            "hangs": lambda: time.sleep(60),
            "shape": lambda: np.zeros(3),
            "nan": lambda: np.full((len(pictures), len(images)), np.nan),
        }
        return acts[self.does]()


def install(monkeypatch, does):
    plugin = plugins.Plugin("stranger", "x:y", "other", "1", None)
    monkeypatch.setattr(plugins, "discover", lambda group: (plugin,))
    monkeypatch.setattr(plugins, "instance", lambda *names: Stranger(does))


FAULTS = {
    "raises": "KeyError",
    "exits": "SystemExit",
    "writes": "read-only",
    "hangs": "no end",
    "shape": "(3,)",
    "nan": "NaN",
}


@pytest.mark.parametrize("does", FAULTS)
def test_a_distance_that_breaks_is_named_and_costs_nobody_else(does, whole, monkeypatch):
    install(monkeypatch, does)
    monkeypatch.setattr(distances, "PATIENCE", 0.2)
    (found,) = distances.measure_distances(whole[0].views, None, 0).values()
    assert found.any is None
    assert found.reason.startswith("distance stranger")
    assert FAULTS[does] in found.reason


def test_a_distance_does_not_learn_from_the_order_who_was_trained_on(whole, monkeypatch):
    install(monkeypatch, "cheats")
    (found,) = distances.measure_distances(whole[0].views, None, 0).values()
    assert found.own.permutation_p > 0.01
    assert found.own.certified.count == 0


def test_a_plugin_that_is_no_distance_is_named(whole, monkeypatch):
    install(monkeypatch, "nothing")
    monkeypatch.setattr(plugins, "instance", lambda *names: "a word")
    (found,) = distances.measure_distances(whole[0].views, None, 0).values()
    assert "distance stranger: found str" in found.reason


def test_a_caption_that_images_share_makes_no_picture_an_image_s_own():
    split = TESTBED.split(0)
    assert content.has_own_captions(split)
    shared = [caption.split()[0] for caption in split.trained.captions]
    assert not content.has_own_captions(replace(split, trained=replace(split.trained, captions=shared)))
