"""A latent row: its record and its columns say what the autoencoder loses of a key, and what it cost."""

import csv
import io
import json

import numpy as np
import pytest
from record_samples import case
from solidmark.reports import as_csv, as_json, page

from solidmark.errors import PluginFault
from solidmark.leaderboard import build_leaderboard
from solidmark.measurement import answers, floor, measure, weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.composition import Composition
from solidmark.models.autoencoder import read_back
from solidmark.queries import Access, Answer, Attack
from solidmark.queries.outpaint import Outpaint
from solidmark.store import Store
from solidmark.testing.toys import SOLVER, toy

WORK = {"forward": 0, "backward": 0, "seconds": 30.0, "encoded": 2400, "decoded": 2400}
CEILING = {"value": 0.98, "low": 0.97, "high": 0.99}
SPACE = {"factor": 4, "key_error": 0.006, "bias": -0.001, "ceiling": CEILING, "training": WORK, "shipped": False}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    return Workspace(Store(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def asked():
    return Case("toy", toy("latent"), Composition(), 0, (("outpaint", Outpaint()),), SOLVER)


@pytest.fixture(scope="module")
def record(asked, workspace, tmp_path_factory):
    return measure.measure(asked, workspace, tmp_path_factory.mktemp("run"))


def test_the_record_of_a_latent_row_has_the_floor_of_its_space(record, asked, workspace):
    truth, space = asked.truth, weights.train_space_or_load(asked, workspace)
    found = read_back(space, truth.mark, truth.marked(truth.held_out, truth.held_out_keys).images)
    error = np.abs(found.numpy() - truth.held_out_keys.numpy()).mean()
    assert record["space"]["key_error"] == pytest.approx(error, rel=1e-4)
    assert record["space"]["factor"] == 4


def test_an_autoencoder_that_loses_keys_fails_its_row(record):
    assert record["space"]["key_error"] > floor.LARGEST  # 30 steps teach a toy too little
    assert record["status"] == "failed_check"
    assert [fault for fault in record["controls"]["faults"] if fault.startswith("autoencoder: encoding and decoding alone")]


@pytest.mark.parametrize(("error", "faults"), [(0.0201, 1), (0.02, 0), (0.0, 0)])
def test_the_floor_may_be_at_most_two_hundredths(error, faults):
    assert len(floor.faults({**SPACE, "key_error": error})) == faults
    assert floor.faults(None) == []


def test_the_record_has_what_the_autoencoder_cost(record, asked):
    recipe = asked.testbed.autoencoder
    cost = record["space"]["training"]
    assert (cost["encoded"], cost["decoded"]) == (recipe.train_steps * recipe.batch,) * 2
    assert cost["seconds"] > 0
    assert not record["space"]["shipped"]


def test_encodings_and_decodings_stand_in_the_cost_of_training_and_of_an_image(record):
    assert record["cost"]["training"]["encoded"] == 16  # each image once
    sampled = record["cost"]["sampling"]
    assert sampled["decoded"] >= sampled["images"]


def test_power_in_latent_space_belongs_to_one_autoencoder(asked, workspace, monkeypatch):
    monkeypatch.setattr(weights, "space_key", lambda *_: {"space": "another"})
    monkeypatch.setattr(answers, "_power", lambda *_: answers.Power(None))
    assert answers.measure_power(asked, workspace)["outpaint"].estimate is None  # asked anew


class Encoding(Attack):
    """Encodes other images again and again, and asks nothing else."""

    access = Access.WHITE_BOX

    def ask(self, audit):
        images = audit.examples.images.clone()
        for shift in range(13):
            audit.model.encode((images + shift / 100).clamp(0, 1))
        return Answer(audit.read(images))


def test_a_query_may_not_encode_more_than_it_declares(asked, workspace):
    case = Case("toy", asked.testbed, Composition(), 0, (("encoding", Encoding()),), SOLVER)
    model, _ = weights.train_or_load(case, workspace)
    with pytest.raises(PluginFault, match="13 encodings and decodings an image; expected at most 12"):
        answers.ask_query(case, "encoding", model, workspace)


def board(*spaces):
    return build_leaderboard([case(seed=seed, space=space) for seed, space in enumerate(spaces)])


def test_the_space_stands_in_the_columns_of_a_row():
    (row,) = csv.DictReader(io.StringIO(as_csv.render(board(SPACE, {**SPACE, "key_error": 0.008}), [])))
    assert float(row["autoencoder_error"]) == pytest.approx(0.007)
    assert (row["autoencoder_bias"], row["autoencoder_seconds"]) == ("-0.001", "30.0")
    assert float(row["autoencoder_ceiling"]) == pytest.approx(0.98)


def test_the_space_stands_in_json_and_on_the_page():
    (row,) = json.loads(as_json.render(board(SPACE), []))["rows"]
    assert row["space"]["training"]["encoded"] == 2400
    assert "M of the autoencoder" in page.render(board(SPACE), [])


def test_rows_in_pixels_have_no_columns_of_a_space():
    (row,) = csv.DictReader(io.StringIO(as_csv.render(build_leaderboard([case()]), [])))
    assert not [name for name in row if "autoencoder" in name or "encoded" in name]
    assert "works in pixels" in build_leaderboard([case()]).rows[0].reasons["space"]
