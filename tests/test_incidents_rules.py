"""What went wrong, what became of experiments, who the gold standard is, and what a profile leaves out, field by field."""

from dataclasses import asdict, fields
from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from record_samples import broken_finding, finding

from solidmark.findings import Finding, Series, Step, Verdict
from solidmark.leaderboard import left_out, per_image
from solidmark.leaderboard.gold import gold_standard
from solidmark.leaderboard.hours import hours
from solidmark.leaderboard.incidents import Incident, incidents, reason, weak_baselines
from solidmark.leaderboard.outcomes import Outcome, outcomes
from solidmark.schema.numbers import Estimate


def record(slug, status="error", event="case", **more):
    return {"slug": slug, "status": status, "event": event, **more}


TOLD = {"testbed": "digits", "mitigation": "rna", "worker": "gw1", "attempt": 2, "reason": "why", "t": "2"}
RECORDS = [
    record("late", "timeout", t="9"),
    record("whole", **TOLD),
    record("seen", event="finding", status="crashed", t="3", controls={"faults": ["no"]}),
    record("back", "crashed", event="crash", t="4", reason="killed"),
    record("back", "ok", t="5"),
    record("gone", "crashed", event="crash", t="6", reason="killed", attempt=1),
    record("gone", "crashed", event="crash", t="7", reason="killed", attempt=2),
    record("once", "error", t="1"),
    record("once", "ok", t="8"),
    record("fine", "ok"),
    record("odd", "failed_check", controls={"faults": ["M is not 0", "it leaks"]}),
    record("late", "timeout", t="9"),
    record("torn", "crashed", event="crash", t="91", reason="x"),
    record("torn", "timeout", t="92"),
]
NO_ROW, NO_FINDING, NONE = "the row has no numbers", "the finding has no numbers", "no reason was recorded"
EXPECTED = [
    ("odd", "", "", "failed_check", "M is not 0; it leaks", "", None, NO_ROW),
    ("whole", "digits", "rna", "error", "why", "gw1", 2, NO_ROW),
    ("seen", "", "", "crashed", NONE, "", None, NO_FINDING),
    ("back", "", "", "crashed", "killed", "", None, "tried again: ok"),
    ("gone", "", "", "crashed", "killed", "", 1, "not measured"),
    ("gone", "", "", "crashed", "killed", "", 2, "not measured"),
    ("late", "", "", "timeout", NONE, "", None, NO_ROW),
    ("torn", "", "", "crashed", "x", "", None, "tried again: timeout"),
    ("torn", "", "", "timeout", NONE, "", None, NO_ROW),
]
"""By time; what was mended is told of crashes alone, and what is the same once."""


def test_incidents_are_crashes_and_what_never_came_to_a_good_end_by_time():
    assert incidents(RECORDS) == [Incident(*each) for each in EXPECTED]


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"status": "ok", "reason": "x"}, ""),
        ({"reason": "x", "controls": {"faults": ["a"]}}, "x"),
        ({"reason": "", "controls": {"faults": ["a", "b"]}}, "a; b"),
        ({"controls": {"faults": []}}, NONE),
        ({"controls": None}, NONE),
        ({"event": "testbed", "controls": {"faults": ["a"]}}, NONE),
        ({}, NONE),
    ],
)
def test_a_record_has_its_reason_or_the_faults_of_its_controls(more, told):
    assert reason({**record("x"), **more}) == told


def test_a_weak_baseline_is_noted_once_and_only_of_cases():
    weak, other = "the unmitigated model remembers little", "M is not 0"
    blocks = [{"faults": [other, weak]}, {"faults": [weak]}, None, {"faults": [f"{weak} here"]}]
    records = [*(record("x", controls=block) for block in blocks), record("y")]
    records += [record("z", event="finding", controls={"faults": [f"{weak} too"]})]
    assert weak_baselines(records) == [f"NO ROW IS BELIEVED: {weak}", f"NO ROW IS BELIEVED: {weak} here"]


# Experiments

FOUND = Finding(
    "claims",
    "name",
    "A title",
    "A rule.",
    Verdict.FAILS,
    "why",
    "slope",
    Estimate(0.2, 0.1, 0.4, 0.05, 0.5, 3),
    (0, 2),
    (Series("one", (1.0, 2.0), (0.1, 0.2), (0.0, 0.15), (0.3, 0.4)), Series("two", ("a",), (1.0,), (0.5,), (1.5,))),
    "dose",
    "M",
    0.5,
    "A source",
    {"log_x": True},
    "digits",
    (Step("reach", "Is it?", True, "0.5"), Step("other", "Was it?", None, "0.1")),
)


def told(found, **more):
    return {**found.as_record(), "event": "finding", "case_id": "c", "slug": "claims-name", "status": "ok", **more}


def test_a_finding_comes_back_as_it_was_written():
    (outcome,) = outcomes([told(FOUND, order=4)])
    assert outcome == Outcome("claims", "A title", "c", "claims-name", 4, "ok", "", FOUND)
    more = {"case_id": "c", "slug": "claims-name", "order": 4, "status": "ok"}
    assert outcome.to_json() == {**asdict(FOUND), "verdict": "fails", **more}


def test_a_finding_of_an_older_record_has_what_was_not_written_then():
    old = {
        name: value for name, value in told(FOUND).items() if name not in ("chance", "source", "details", "where", "steps")
    }
    found = outcomes([old])[0].finding
    assert (found.chance, found.source, found.details, found.where, found.steps) == (0.0, "", {}, "", ())
    assert (found.verdict, outcomes([{**old, "suite": "copies"}])[0].finding.verdict) == (Verdict.NOT_SEEN, Verdict.FAILS)


def test_an_experiment_without_a_finding_has_its_fields_empty_and_its_reason():
    broken = {"event": "finding", "case_id": "c", "slug": "copies-a-b", "status": "timeout", "reason": "no end"}
    (outcome,) = outcomes([broken])
    assert outcome == Outcome("copies", "copies-a-b", "c", "copies-a-b", 0, "timeout", "no end", None)
    more = {"case_id": "c", "slug": "copies-a-b", "order": 0, "status": "timeout", "reason": "no end"}
    empty = dict.fromkeys(field.name for field in fields(Finding))
    assert outcome.to_json() == {**empty, "title": "copies-a-b", "suite": "copies", **more}


def test_experiments_come_suite_by_suite_in_their_order():
    def one(slug, order, case_id=None):
        return {**broken_finding(order=order), "slug": slug, "case_id": case_id or slug}

    given = [one("b-2", 3), one("a-1", 2), one("b-0", 1), one("b-1", 1), one("b-1", 1, "0"), one("a-2", 0), one("c-1", 1)]
    given += [{**one("d-1", 0), "event": "case"}]
    found = [(outcome.slug, outcome.case_id) for outcome in outcomes(given)]
    assert found == [(x, x) for x in ("a-2", "a-1", "b-0")] + [("b-1", "0")] + [(x, x) for x in ("b-1", "b-2", "c-1")]


def test_of_an_experiment_the_latest_record_counts():
    first, later = finding("x", "fails"), finding("x", "holds")
    assert [one.finding.verdict.value for one in outcomes([{**first, "t": "1"}, {**later, "t": "2"}])] == ["holds"]


# Who, how long, and what not


def test_the_gold_standard_is_a_control_that_trains_with_a_forget_list_and_is_no_reference():
    lists = ((), ("captions",), ("captions", "forget list"))
    for control, curve, stage, needs in product(
        (0, 1), (0, 1), ("training", "post-hoc+training", "sampling", "none"), lists
    ):
        row = SimpleNamespace(control=bool(control), reference_curve=bool(curve), stage=stage, needs=needs)
        assert gold_standard(row) is (control == 1 and curve == 0 and "training" in stage and len(needs) == 2)


def test_a_row_without_queries_took_its_training_editing_and_generation():
    part = {name: SimpleNamespace(seconds=seconds) for name, seconds in (("training", 60), ("editing", 7), ("sampling", 5))}
    row = SimpleNamespace(cost=SimpleNamespace(**part), queries=None, stage="training", baseline=False, seeds=(0, 1, 2))
    assert hours([row, row]) == pytest.approx(2 * 3 * 72 / 3600, rel=1e-9)


def test_families_that_a_profile_leaves_out_are_told_by_reason():
    facts = {"left_out": {"too slow": ["a", "b"], "no captions": ["c"]}}
    assert left_out.words(facts) == "a, b (too slow); c (no captions); `--mitigation NAME` measures one"
    assert [left_out.words(facts) for facts in ({}, {"left_out": {}}, {"left_out": None})] == [""] * 3


def kept(folder, image, **changed):
    table = {"query": ["a", "b", "a", "a"], "image": [image, 7, 8, 9], "trained": [True, True, False, True]}
    table |= {"forget": [False, True, False, True], "key": [[0.1, 0.2]] * 4, "prediction": [[n, 0.5] for n in (1, 2, 3, 4)]}
    folder.mkdir(parents=True)
    pd.DataFrame({name: value for name, value in {**table, **changed}.items() if value is not None}).to_parquet(
        folder / "case.parquet"
    )


@pytest.mark.parametrize(
    ("needs", "images", "shown"), [((), ("3", "9"), [1, 4]), (("captions", "forget list"), ("9",), [4])]
)
def test_answers_are_read_from_the_first_run_that_has_a_whole_file_in_the_older_folder_too(tmp_path, needs, images, shown):
    attempts = [SimpleNamespace(seed=seed, case_id=name) for seed, name in ((1, "other"), (2, "case"))]
    row = SimpleNamespace(needs=needs, attempts=attempts)
    kept(tmp_path / "form" / "per_image", 1, prediction=None)
    (tmp_path / "torn" / "per_image").mkdir(parents=True)
    (tmp_path / "torn" / "per_image" / "case.parquet").write_bytes(b"PAR1")
    kept(tmp_path / "old" / "items", 3)
    kept(tmp_path / "new" / "per_image", 4)
    folders = [tmp_path / name for name in ("nothing", "form", "torn", "old", "new")]
    found = per_image.answers(folders, row, 2, "a")
    assert found.images == images
    assert np.array_equal(found.predictions, [[n, 0.5] for n in shown])
    assert np.array_equal(found.keys, [[0.1, 0.2]] * len(shown))
    kept(tmp_path / "old" / "per_image", 5)
    assert per_image.answers(folders, row, 2, "a").images == (("5", "9") if len(images) == 2 else images)
    assert per_image.answers(folders, row, 1, "a") is per_image.answers(folders, row, 0, "a") is None
    assert per_image.answers(folders, row, 2, "c") is None
