"""The schema: what records hold, the JSON schema beside it, and records of older versions."""

import json

import jsonschema
import pytest
from record_samples import case, finding

from solidmark import records
from solidmark.errors import DamagedFile
from solidmark.leaderboard import build_leaderboard
from solidmark.schema.publish import FOLDER, json_schemas
from solidmark.schema.record import SCHEMA
from solidmark.schema.upgrade import upgraded

OLD = {
    **dict.fromkeys(("case_id", "slug", "testbed", "mitigation", "family"), "c"),
    "schema": "solidmark.record/1",
    "event": "case",
    "status": "error",
    "place": 3,
    "protocol": {"name": "fast", "steps": 25, "eta": 1.0, "guidance": 3.0},
    "told": {"training": {"wanda": {"removed": 0.1, "idle": True}}, "editing": {}, "sampling": {}},
}


@pytest.mark.parametrize("name", json_schemas())
def test_the_json_schema_beside_the_types_says_what_they_say(name):
    kept = json.loads((FOLDER / name).read_text())
    assert kept == json.loads(json.dumps(json_schemas()[name])), "run `python -m solidmark.schema`"


@pytest.mark.parametrize("record", [case(), finding()], ids=["case", "finding"])
def test_sample_records_are_records(record):
    plain = json.loads(json.dumps(record))
    assert records.checked(plain, "here") is plain


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("queries", "outpaint", "memorization", "value"), "high", "case.queries.outpaint.memorization.value"),
        (("status",), "fine", "status"),
        (("controls", "sound"), None, "controls.sound"),
        (("event",), "cases", "event"),
        (("seed",), "5", "seed = '5'"),
        (("seed",), True, "seed = True"),
        (("queries", "outpaint", "memorization", "value"), "0.5", r"memorization\.value = '0\.5'"),
        (("queries", "outpaint", "memorization", "images"), 0, r"memorization\.images = 0"),
        (("queries",), None, "status ok, and no queries"),
        (("seed",), None, "seed"),
    ],
)
def test_a_block_that_is_none_is_named_with_its_value(path, value, message):
    record = json.loads(json.dumps(case()))
    block = record
    for name in path[:-1]:
        block = block[name]
    block[path[-1]] = value
    with pytest.raises(DamagedFile, match=message.removeprefix("case.")):
        records.checked(record, "here")


def test_a_missing_block_is_named():
    record = case()
    del record["controls"]["held_out"]["chance_p"]
    with pytest.raises(DamagedFile, match=r"no controls\.held_out\.chance_p"):
        records.checked(record, "line 3")


FAILED = {"status": "error", "queries": None, "controls": None, "utility": None, "cost": None, "worst": None}


@pytest.mark.parametrize("record", [case(), {**case(), **FAILED}], ids=["measured", "failed"])
def test_rows_of_a_leaderboard_are_what_their_schema_says(record):
    (row,) = json.loads(json.dumps(build_leaderboard([{**record, "reason": "it broke"}]).to_json()))["rows"]
    jsonschema.validate(row, json_schemas()["row.schema.json"])
    with pytest.raises(jsonschema.ValidationError, match="is not of type"):
        jsonschema.validate({**row, "seeds": "all"}, json_schemas()["row.schema.json"])


def test_records_are_what_their_published_schema_says():
    record = json.loads(json.dumps({**case(), "schema": SCHEMA}))
    jsonschema.validate(record, json_schemas()["record.schema.json"])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**record, "status": "fine"}, json_schemas()["record.schema.json"])


@pytest.mark.parametrize("name", ["testbed", "mitigation", "family", "event"])
def test_a_case_says_whose_it_is(name):
    with pytest.raises(DamagedFile, match=f"no {name}"):
        records.checked({key: value for key, value in case().items() if key != name}, "here")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"queries": {"outpaint": 7}}, r"queries\.outpaint = 7"),
        ({"queries": {"outpaint": {**case()["queries"]["outpaint"], "access": "nope"}}}, "access = 'nope'"),
        ({"told": {"training": 5, "editing": {}, "sampling": {}}}, r"reported\.training = 5"),
    ],
)
def test_damage_in_an_old_record_is_named_as_in_a_new_one(change, message):
    with pytest.raises(DamagedFile, match=message):
        records.checked(upgraded({**OLD, **change}), "here")


def test_an_old_record_is_read_in_the_words_of_today():
    renewed = upgraded(OLD)
    assert (renewed["schema"], renewed["order"], renewed["solver"]["name"]) == (SCHEMA, 3, "fast")
    assert renewed["reported"]["training"] == {"wanda": {"removed": 0.1, "no_op": True}}
    assert not {"place", "protocol", "told"} & set(renewed)
    assert records.checked(renewed, "here")["case_id"] == "c"


@pytest.mark.parametrize(("old", "new"), [("api", "black-box"), ("weights", "white-box")])
def test_old_words_for_access_are_read(old, new):
    record = {**case(), "schema": "solidmark.record/1"}
    record["queries"]["outpaint"]["access"] = old
    assert upgraded(record)["queries"]["outpaint"]["access"] == new


def test_the_suite_of_copy_metrics_was_called_concordance():
    assert upgraded({**finding(), "suite": "concordance", "schema": "solidmark.record/1"})["suite"] == "copy-metrics"


def test_a_record_of_today_is_read_as_it_is():
    record = {**case(), "schema": SCHEMA}
    assert upgraded(record) == record
