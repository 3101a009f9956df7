"""Rules of rows, records and findings by small cases: why what is null is null, names, last attempts, letters, verdicts."""

import gzip
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from record_samples import case, crash, failed
from test_report_rules import BARE

from solidmark import errors, findings, keys
from solidmark.cli import compare, show, stores
from solidmark.collection import certificate
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.findings import Series, Verdict
from solidmark.leaderboard import differences, hours, incidents, joint_curve, left_out, per_image, placing, render
from solidmark.leaderboard.curves import Curve, Point
from solidmark.leaderboard.differences import Change, Comparison, Difference
from solidmark.leaderboard.excess import CurveVerdict, Excess
from solidmark.leaderboard.rows import as_case, solver_of
from solidmark.metrics import scoring
from solidmark.records import announced, reading
from solidmark.schema import row as rows
from solidmark.schema.numbers import Estimate, Share
from solidmark.schema.upgrade import upgraded

SCORED = SimpleNamespace(memorization=Estimate(0.5))
WHOLE = replace(BARE, status="ok", reason="", queries={"outpaint": SCORED})


# Why what is null is null


def test_a_row_without_numbers_has_its_reason_for_each():
    assert BARE.reasons == {**dict.fromkeys(rows.NUMBERS, "it broke"), "disagreement": "it broke"}
    assert (BARE.ok, BARE.lead, BARE.baseline, BARE.seeds) == (False, None, False, ())


USEFUL = SimpleNamespace(accuracy=None, judge_accuracy=None, ways={}, clip=None)
JUDGED = SimpleNamespace(accuracy=1, judge_accuracy=1, ways={"a": 1}, clip=1)


@pytest.mark.parametrize(
    ("changed", "name", "reason"),
    [
        ({}, "worst", rows.NO_WORST),
        ({}, "worst_service", rows.NO_WORST),
        ({"worst": 1}, "worst", None),
        ({}, "utility", rows.NO_UTILITY),
        ({}, "content", rows.NO_CONTENT),
        ({}, "disagreement", rows.NO_CONTENT),
        ({"content": SimpleNamespace(reasons={})}, "disagreement", rows.AGREE),
        ({"content": SimpleNamespace(reasons={"own": "why"})}, "content.own", "why"),
        ({"content": SimpleNamespace(reasons={}), "disagreement": "they differ"}, "disagreement", None),
        ({}, "space", rows.NO_SPACE),
        ({}, "pipeline", rows.NO_PIPELINE),
        ({"pipeline": SimpleNamespace(difference=None)}, "pipeline.difference", rows.NO_STOCK),
        ({"pipeline": SimpleNamespace(difference=None)}, "pipeline.stock", rows.NO_STOCK),
        ({"pipeline": SimpleNamespace(difference=1)}, "pipeline.stock", None),
        ({}, "denoising_loss", rows.NO_LOSS),
        ({"utility": USEFUL}, "utility.accuracy", rows.NO_CLASS),
        ({"utility": USEFUL}, "utility.judge_accuracy", rows.NO_CLASSIFIER),
        ({"utility": USEFUL}, "utility.ways", rows.NO_WAYS),
        ({"utility": USEFUL}, "utility.clip", rows.NO_CLIP),
        ({"utility": USEFUL}, "utility.clip_real", rows.NO_CLIP),
        ({"utility": JUDGED}, "utility.ways", None),
        ({"utility": JUDGED}, "utility.clip", None),
        ({"reported": SimpleNamespace(refused=None, claimed=None)}, "reported.refused", rows.NO_REFUSAL),
        ({"reported": SimpleNamespace(refused=None, claimed=None)}, "reported.claimed", rows.NO_CLAIM),
        ({"reported": SimpleNamespace(refused=1, claimed=1)}, "reported.claimed", None),
        ({"power": {"a": None, "b": 1}}, "power.a", rows.NO_POWER),
        ({"power": {"a": None, "b": 1}}, "power.b", None),
    ],
)
def test_what_a_row_lacks_has_a_reason_of_its_own(changed, name, reason):
    assert replace(WHOLE, **changed).reasons.get(name) == reason


def test_contents_say_why_they_lack_a_part():
    one = SimpleNamespace()
    bare = rows.Content(None, one)
    missing = {"block": rows.NO_BLOCK, "map": rows.NO_MAP, "washed": rows.NO_WASHED}
    assert bare.reasons == {"own": rows.NO_OWN, **missing}
    distances = {
        "a": rows.ContentDistance(None, None, "broken"),
        "b": rows.ContentDistance(None, one),
        "c": rows.ContentDistance(one, one),
    }
    whole = rows.Content(one, one, one, SimpleNamespace(held_out=one), distances, one)
    assert whole.reasons == {"distances.a": "broken", "distances.b.own": rows.NO_OWN}


@pytest.mark.parametrize(
    ("mitigation", "setting"),
    [("x", ""), ("x(a=1)", "a=1"), ("x+y(a=1)", "x+y(a=1)"), ("x(a=1)+y", "x(a=1)+y"), ("x()", "")],
)
def test_the_setting_of_a_row_is_what_stands_in_brackets_behind_its_family(mitigation, setting):
    assert replace(BARE, mitigation=mitigation).setting == setting


def test_a_row_has_its_seeds_in_order_and_its_environments_once():
    each = [(2, "cpu"), (None, ""), (0, "cuda"), (1, "cpu")]
    attempts = tuple(SimpleNamespace(seed=seed, environment=where) for seed, where in each)
    found = replace(BARE, attempts=attempts)
    assert (found.seeds, found.environments) == ((0, 1, 2), ("cpu", "cuda"))


@pytest.mark.parametrize(("images", "per_image"), [(4.0, 2.5), (0.0, None), (None, None)])
def test_work_an_image_is_both_passes_over_images_where_there_are_some(images, per_image):
    assert rows.Work(7.0, 3.0, 1.0, images).per_image == per_image


@pytest.mark.parametrize(
    ("call", "title"), [("wen", "Theirs, call wen, DDIM"), (None, "Theirs, DDIM"), ("", "Theirs, DDIM")]
)
def test_a_pipeline_is_called_by_class_call_and_scheduler(call, title):
    assert rows.Pipeline("Theirs", call, "DDIM", None, None).title == title


def test_a_baseline_is_what_has_no_stage():
    assert replace(BARE, stage="none").baseline
    assert replace(WHOLE, queries={}).ok
    assert replace(WHOLE, queries={}).lead is None


# Records


@pytest.mark.parametrize(
    ("attempts", "stands"),
    [
        ([("ok", "1"), ("ok", "2")], 1),
        ([("ok", "2"), ("ok", "1")], 0),
        ([("ok", "1"), ("error", "2")], 0),
        ([("error", "2"), ("failed_check", "1")], 1),
        ([("failed_check", "1"), ("ok", "1")], 1),
        ([("error", "1"), ("timeout", "1")], 1),
        ([("error", ""), ("timeout", "0")], 1),
    ],
)
def test_the_attempt_that_stands_is_measured_and_last(attempts, stands):
    records = [{"case_id": "a", "status": status, "t": t, "n": n} for n, (status, t) in enumerate(attempts)]
    assert [one["n"] for one in reading.latest(records)] == [stands]


@pytest.mark.parametrize(
    ("file", "covered"),
    [
        ("w-1.jsonl", True),
        ("w-1.jsonl.gz", True),
        ("w-1-2.jsonl", True),
        ("w-12.jsonl", False),
        ("w.jsonl", False),
        ("w-1-x.jsonl", False),
        ("v-1.jsonl", False),
        ("w-1.jsonl.bak", False),
    ],
)
def test_a_file_is_announced_by_its_name_or_as_one_that_follows(file, covered):
    assert announced.covers({"w-1"}, file) is covered


@pytest.mark.parametrize(("text", "names"), [('["a", "b"]', {"a", "b"}), ('{"a": 1}', None), ("torn", None), ("[1]", {"1"})])
def test_announced_names_are_a_list_or_there_are_none(tmp_path, text, names):
    (tmp_path / announced.FILE).write_text(text)
    assert announced.read(tmp_path) == names


def test_files_of_a_run_that_announced_nothing_are_its_names(tmp_path):
    assert announced.existing(tmp_path) == frozenset()
    (tmp_path / "records").mkdir()
    for name in ("a-1.jsonl", "b.jsonl.gz"):
        (tmp_path / "records" / name).write_text("")
    assert announced.existing(tmp_path) == {"a-1", "b"}
    announced.write(tmp_path, {"z", "c"})
    assert announced.existing(tmp_path) == {"c", "z"}
    assert json.loads((tmp_path / announced.FILE).read_text()) == ["c", "z"]


def test_compressed_records_are_read_and_damage_is_told_by_file(tmp_path):
    folder = tmp_path / "records"
    folder.mkdir()
    line = json.dumps(case(worker="a", pid=1)).encode() + b"\n"
    (folder / "a.jsonl.gz").write_bytes(gzip.compress(line + b"\n" + line))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(line)[:40])
    (folder / "c.jsonl").write_bytes(line + b'{"torn')
    (folder / "d.txt").write_text("none of ours")
    found = reading.read(tmp_path)
    assert (len(found.records), len(found.damaged), len(found.notes)) == (3, 1, 1)
    assert found.damaged[0].startswith("records/b.jsonl.gz")
    assert found.notes == ["c.jsonl: its last line is incomplete (a process died while writing) and was left out"]


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"place": 3}, {"order": 3}),
        ({"suite": "concordance"}, {"suite": "copy-metrics"}),
        ({"suite": "claims"}, {"suite": "claims"}),
        ({"queries": {"a": {"access": "api", "x": 1}}}, {"queries": {"a": {"access": "black-box", "x": 1}}}),
        (
            {"queries": {"a": {"access": "other"}, "b": {"x": 1}, "c": 5}},
            {"queries": {"a": {"access": "other"}, "b": {"x": 1}, "c": 5}},
        ),
        ({"queries": None}, {"queries": None}),
        ({"told": {"training": {"a": {"idle": 1, "x": 2}}}}, {"reported": {"training": {"a": {"no_op": 1, "x": 2}}}}),
        ({"told": {"sampling": {"idle": 1}, "editing": 5}}, {"reported": {"sampling": {"idle": 1}, "editing": 5}}),
    ],
)
def test_an_old_record_is_read_in_the_words_of_today(record, expected):
    assert upgraded({"schema": "solidmark.record/1", **record}) == {"schema": "solidmark.record/2", **expected}
    new = {"schema": "solidmark.record/2", **record}
    assert upgraded(new) == new


def test_a_crash_is_a_case_of_that_name_and_a_solver_is_told_without_its_batch():
    made = as_case({**crash("x"), "testbed": None})
    assert (made["event"], made["testbed"], made["mitigation"], made["family"]) == ("case", "", "x", "x")
    assert solver_of({"solver": {"name": "ddim", "batch": 4, "steps": 2}}) == {"name": "ddim", "steps": 2}
    assert solver_of({"solver": None}) == solver_of({}) == {}


@pytest.mark.parametrize(
    ("record", "told"),
    [
        (case(), ""),
        ({**case(), "status": "failed_check", "controls": {"faults": ["a", "b"]}}, "a; b"),
        (failed("x", reason="why"), "why"),
        (failed("x", reason=""), "no reason was recorded"),
        ({**failed("x", reason=""), "event": "testbed", "controls": {"faults": ["a"]}}, "no reason was recorded"),
    ],
)
def test_a_record_says_why_it_is_not_ok(record, told):
    assert incidents.reason(record) == told


def test_an_incident_says_what_became_of_the_case():
    last = {"digits-x-s0": "ok"}
    assert incidents._afterwards(crash("x"), last) == "tried again: ok"
    assert incidents._afterwards(crash("y"), last) == "not measured"
    assert incidents._afterwards({"event": "finding"}, last) == "the finding has no numbers"
    assert incidents._afterwards({"event": "case"}, last) == "the row has no numbers"


def test_incidents_are_crashes_and_what_never_ended_well_in_order_of_time():
    late, early = ({**failed(name), "t": t} for name, t in (("late", "2026-01-03"), ("early", "2026-01-01")))
    mended = [{**failed("mended"), "t": "2026-01-01"}, {**case("mended", stage="training"), "t": "2026-01-02"}]
    found = incidents.incidents([late, *mended, early, {**crash("x"), "t": "2026-01-02"}, late])
    assert [(one.mitigation, one.status) for one in found] == [("early", "error"), ("x", "crashed"), ("late", "error")]
    assert [one.attempt for one in found] == [None, 1, None]


def test_a_weak_baseline_is_told_once_and_before_all():
    weak = {**case(), "controls": {"faults": [f"{rows.WEAK_BASELINE} forgot", "another fault"]}}
    assert incidents.weak_baselines([weak, weak, {**case(), "controls": None}, crash("x")]) == [
        f"NO ROW IS BELIEVED: {rows.WEAK_BASELINE} forgot"
    ]


@pytest.mark.parametrize(
    ("others", "notes"),
    [([{"a", "c"}], 0), ([{"b"}, {"c"}], 2), ([set()], 0), ([{"c", "b"}], 1)],
)
def test_runs_of_other_testbeds_are_told(others, notes):
    found = render._apart([("first", {"a", "d"}), *((f"run{n}", mine) for n, mine in enumerate(others))])
    assert len(found) == notes
    assert all("first on a, d. Measure" in note for note in found)
    assert render._apart([("first", set()), ("run", {"b"})]) == []
    if others == [{"c", "b"}]:
        assert found[0].startswith("NOT COMPARED: run0 was measured on b, c, first on a, d")


def test_families_that_a_profile_leaves_out_are_told_by_reason():
    assert left_out.words({"left_out": {"slow": ["a", "b"], "broken": ["c"]}}) == (
        "a, b (slow); c (broken); `--mitigation NAME` measures one"
    )
    assert left_out.words({"left_out": {}}) == left_out.words({}) == ""


# Findings, keys, letters


@pytest.mark.parametrize(
    ("rule", "reach", "replication", "verdict"),
    [
        (Verdict.HOLDS, True, True, Verdict.HOLDS),
        (Verdict.HOLDS, None, None, Verdict.HOLDS),
        (Verdict.HOLDS, True, False, Verdict.NOT_SEEN),
        (Verdict.HOLDS, False, True, Verdict.NOT_TESTABLE),
        (Verdict.FAILS, True, True, Verdict.FAILS),
        (Verdict.FAILS, True, None, Verdict.NOT_SEEN),
        (Verdict.FAILS, None, True, Verdict.NOT_SEEN),
        (Verdict.FAILS, False, True, Verdict.NOT_TESTABLE),
        (Verdict.UNDECIDED, True, False, Verdict.UNDECIDED),
        (Verdict.UNDECIDED, False, None, Verdict.NOT_TESTABLE),
    ],
)
def test_a_claim_is_refuted_only_where_it_was_reached_and_replicated(rule, reach, replication, verdict):
    assert findings.replicated(rule, reach, replication) is verdict


@pytest.mark.parametrize(
    ("verdicts", "whole"),
    [("HU", "U"), ("HFU", "F"), ("HH", "H"), ("", "H"), ("UF", "F")],
)
def test_several_rules_hold_where_all_do(verdicts, whole):
    named = {"H": Verdict.HOLDS, "U": Verdict.UNDECIDED, "F": Verdict.FAILS}
    assert findings.all_of([named[one] for one in verdicts]) is named[whole]


@pytest.mark.parametrize(
    ("level", "at", "passed"),
    [(0.4, 10**0.75, True), (0.9, 100.0, True), (0.1, 1.0, False), (0.10001, 1.0, True), (0.91, 100.0, False)],
)
def test_a_level_is_crossed_between_points_in_log_steps(level, at, passed):
    found = findings.crossing({1: 0.1, 10: 0.5, 50: 0.3, 100: 0.9}, level)
    assert (found.at, found.passed) == (pytest.approx(at, rel=1e-3), passed)
    both = [found, findings.Crossing(1.0, passed=True)]
    assert findings.decide_passed(both, Verdict.HOLDS) is (Verdict.HOLDS if passed else Verdict.UNDECIDED)


def test_points_become_a_series_with_their_intervals():
    made = Series.of("some", [(1.0, Estimate(0.5, 0.4, 0.7)), ("two", Estimate(0.6, 0.55, 0.8))])
    assert made == Series("some", (1.0, "two"), (0.5, 0.6), (0.4, 0.55), (0.7, 0.8))


@pytest.mark.parametrize(
    "wrong", [np.array([[0.0, -1e-9]]), np.array([[1 + 1e-9]]), np.array([[np.nan]]), np.zeros((0, 2)), np.zeros(3)]
)
def test_keys_outside_of_zero_to_one_are_refused_by_their_place(wrong):
    with pytest.raises(InvalidValue, match=r"^here: found "):
        keys.check(wrong, "here")
    ends = np.array([[0.0, 1.0]])
    assert keys.check(ends, "here") is ends


def test_the_first_key_that_is_wrong_is_named():
    with pytest.raises(InvalidValue, match=r"found 2\.0 at image 1, segment 0; expected"):
        keys.check(np.array([[0.5, 0.5], [2.0, 0.5], [0.5, 3.0]]), "here")
    for count, segments in ((0, 1), (1, 0)):
        with pytest.raises(InvalidValue, match=f"count={count}, segments={segments}"):
            keys.draw(count, segments, np.random.default_rng(0))
    assert keys.draw(1, 1, np.random.default_rng(0)).shape == (1, 1)


LETTERS = {
    0x1F: True,
    0x20: False,
    0x7E: False,
    0x7F: True,
    0x9F: True,
    0xA0: False,
    0xD7FF: False,
    0xD800: True,
    0xDFFF: True,
}
LETTERS |= {
    0xE000: False,
    0x200D: False,
    0x200E: True,
    0x200F: True,
    0x2010: False,
    0x2029: False,
    0x202A: True,
    0x202E: True,
}
LETTERS |= {0x202F: False, 0x2065: False, 0x2066: True, 0x2069: True, 0x206A: False}


@pytest.mark.parametrize("code", LETTERS)
def test_letters_that_steer_a_terminal_are_written_by_their_number(code):
    assert errors._is_control(chr(code)) is LETTERS[code]


def test_a_long_text_is_cut_behind_its_longest_and_told_by_how_much():
    whole = "x" * errors.LONGEST_TEXT
    assert errors.cleaned(whole) == whole
    assert errors.cleaned(f"{whole}yz") == f"{whole}... (2 letters more)"
    assert errors.cleaned("a\n\tb\x07") == "a\n\tb\\x07"


@pytest.mark.parametrize(("letters", "shown"), [(80, 80), (81, 80), (200, 80)])
def test_a_name_of_eighty_letters_stays_and_a_longer_one_has_a_digest(letters, shown):
    found = errors.shortened("x" * letters)
    assert len(found) == shown
    assert (found == "x" * letters) == (letters == 80)
    assert errors.shortened("x" * 200) != errors.shortened("x" * 201)
    assert found[:69] == "x" * 69


# Differences over images, per-image files, curves of both


def paired(predictions, keys_=((0.5,), (0.25,), (0.75,)), images=("a", "b", "c")):
    return per_image.Answers(images, np.array(predictions), np.array(keys_))


def attempted(m, high=1.0):
    estimate = None if m is None else Estimate(m, m - 0.1, high, 0.05, chance=0.0, count=3)
    attempt = SimpleNamespace(seed=0, memorization=estimate)
    return replace(WHOLE, attempts=(attempt,))


@pytest.mark.parametrize(
    ("before", "after", "others", "same"),
    [
        (0.5, 0.7, paired([[0.5], [0.3], [0.8]]), True),
        (0.5, 0.7, None, False),
        (0.5, 0.7, paired([[0.5], [0.3], [0.8]], images=("a", "b", "d")), False),
        (0.5, 0.7, paired([[0.5], [0.3], [0.8]], ((0.5,), (0.25,), (0.7,))), False),
        (None, 0.7, paired([[0.5], [0.3], [0.8]]), False),
        (0.5, None, paired([[0.5], [0.3], [0.8]]), False),
    ],
)
def test_images_are_paired_where_both_sides_answered_about_the_same(monkeypatch, before, after, others, same):
    sides = {"before": paired([[0.4], [0.4], [0.6]]), "after": others}
    monkeypatch.setattr(differences, "answers", lambda runs, row, seed, query: sides[runs])
    found = differences._over_images(attempted(before), attempted(after), [0], "before", "after")
    assert (found is not None) is same
    if found is not None:
        assert (found.measure, found.paired, found.before, found.after) == ("M by outpaint", "3 images", before, after)
        assert found.estimate.value > 0


def test_what_avoids_its_keys_is_not_paired_over_images(monkeypatch):
    monkeypatch.setattr(differences, "answers", lambda runs, row, seed, query: paired([[0.4], [0.4], [0.6]]))
    assert differences._over_images(attempted(-0.5, high=-0.1), attempted(0.5), [0], "", "") is None
    assert differences._over_images(attempted(-0.5, high=0.1), attempted(0.5), [0], "", "") is not None


def curve(name, losses, memories, measure="worst", seeds=(0, 1)):
    points = tuple(Point(f"s{n}", loss, memory) for n, (loss, memory) in enumerate(zip(losses, memories, strict=True)))
    return Curve(name, "training", True, False, "accuracy", measure, seeds, points, {"gone": measure})


def test_the_joint_curve_has_the_worse_of_both_at_each_setting_over_common_seeds():
    keys_ = curve("x", [(0.0, 0.0), (0.1, 0.2)], [(0.9, 0.8), (0.1, 0.2)])
    content = curve("x", [(0.0, 0.0, 0.0), (0.1, 0.2, 0.3)], [(0.5, 0.6, 0.7), (0.4, 0.5, 0.6)], "content", (2, 1, 0))
    found = joint_curve.joint_curve(keys_, content)
    assert (found.family, found.measure, found.seeds, found.control) == ("x", "both", (0, 1), True)
    assert [point.memories for point in found.points] == [(0.9, 0.8), (0.6, 0.5)]
    assert found.left_out == {"gone": "worst"}
    assert found.at(0.0).value == pytest.approx(0.85)
    half = joint_curve.weighted(keys_, content, 0.25, (1,))
    assert [point.memories for point in half.points] == [(0.25 * 0.8 + 0.75 * 0.6,), (0.25 * 0.2 + 0.75 * 0.5,)]
    assert half.points[1].losses == (0.2,)
    assert joint_curve.joint_curve(keys_, curve("x", [(0.0,)], [(0.5,)], "content", (7,))) is None


@pytest.mark.parametrize(
    ("kind", "loss", "gap", "worn"),
    [
        (CurveVerdict.REAL, 0.25, 0.05, "real"),
        (CurveVerdict.REAL, 0.2501, 0.5, "loses 25 % of the utility: families are compared up to 25 %"),
        (CurveVerdict.REAL, 0.1, 0.049, "leaves no less than the reference"),
        (CurveVerdict.WORSE, 0.1, -0.05, "worse"),
        (CurveVerdict.WORSE, 0.1, -0.049, "leaves no more than the reference"),
        (CurveVerdict.EQUAL, 0.1, 0.5, "equal"),
        (CurveVerdict.UNDECIDED, 0.1, None, "because"),
    ],
)
def test_a_setting_wears_the_verdict_that_is_about_it(kind, loss, gap, worn):
    judged = SimpleNamespace(verdict=kind, reason="because")
    verdict, reason = placing._worn(judged, loss, None if gap is None else Estimate(gap))
    assert (verdict.value if verdict is not None else reason) == worn or (verdict is None and worn in reason)
    assert placing._worn(None, loss, None) == (None, "")


# The console


def difference(name, value, change, testbed="digits", **more):
    estimate = Estimate(value, value - 0.1, value + 0.1)
    return Difference(testbed, name, "M", 0.5, 0.5 + value, estimate, **{"paired": "", **more}, change=change)


FOUND = Comparison(
    (
        difference("a", 0.0, Change.SAME),
        difference("b", -0.2, Change.BETTER, paired="3 seeds", p=0.0123),
        difference("c", 0.2, Change.WORSE),
        difference("d", -0.4, Change.WORSE),
        difference("e", 0.3, Change.UNDECIDED),
    ),
    ("x1", "x2"),
    (),
    ("lost one",),
)


def test_what_has_changed_is_told_the_worst_and_the_largest_first():
    lines = compare.told(FOUND).splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["d", "c", "b", "e"]
    assert lines[2].split()[-3:] == ["paired", "–", "worse"]
    assert lines[4].split()[-4:] == ["3", "seeds", "0.012", "better"]
    assert lines[6:] == [
        "lost: lost one",
        "only in A: 2 rows, such as x1",
        "5 differences: 2 worse, 1 better, 1 same, 1 undecided",
    ]
    everything = compare.told(FOUND, everything=True).splitlines()
    assert [line.split()[0] for line in everything[2:7]] == ["d", "c", "b", "a", "e"]


def test_testbeds_are_named_where_there_are_several_and_nothing_is_told_as_such():
    two = Comparison((difference("a", 0.3, Change.WORSE), difference("b", 0.2, Change.WORSE, "other")))
    assert "other, b" in compare.told(two)
    assert "digits, d" not in compare.told(FOUND)
    assert compare.told(Comparison(())) == "no row in common has numbers"
    assert (
        compare.told(Comparison((difference("a", 0.0, Change.SAME),)))
        == "1 differences: 0 worse, 0 better, 1 same, 0 undecided"
    )


def test_a_comparison_for_scripts_has_all_of_it():
    told = json.loads(compare.as_json(FOUND))
    assert (told["worse"], told["only_before"], told["only_after"], told["lost"]) == (True, ["x1", "x2"], [], ["lost one"])
    assert [(one["mitigation"], one["change"], one["p"]) for one in told["differences"]][:2] == [
        ("a", "same", None),
        ("b", "better", 0.0123),
    ]


@pytest.mark.parametrize(
    ("lost", "changes", "worse"),
    [((), [Change.SAME, Change.BETTER], False), ((), [Change.WORSE], True), (("x",), [], True), ((), [], False)],
)
def test_a_comparison_is_worse_where_a_row_is_or_is_lost(lost, changes, worse):
    assert Comparison(tuple(difference("a", 0.1, change) for change in changes), lost=lost).worse is worse


def excess(value, p=None, seeds=(0, 1, 2)):
    estimate = None if value is None else Estimate(value, value - 0.1, value + 0.1)
    return Excess("x", "training", "stop", "accuracy", "worst", seeds, estimate, p, 7, CurveVerdict.REAL, "below")


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (excess(None), "  by keys: real: below"),
        (excess(0.5, 0.0123), "  by keys: real, excess +0.500 [+0.400, +0.600], p 0.012 among 7, 3 seeds: below"),
        (excess(0.5, None, (0,)), "  by keys: real, excess +0.500 [+0.400, +0.600], 1 seed: below"),
    ],
)
def test_an_excess_is_told_with_its_seeds(one, words):
    assert show._excess("keys", one) == words


@pytest.mark.parametrize(
    ("relative", "sampling", "words"),
    [
        (None, 2.0, "–"),
        (1.234, None, "1.2 × training"),
        (1.234, 2.0, "1.2 × training, 2 × an image"),
        (0.0, 0.0, "0 × training, 0 × an image"),
    ],
)
def test_a_cost_is_told_over_that_of_the_baseline(relative, sampling, words):
    assert show._cost(replace(BARE, cost=SimpleNamespace(relative=relative, sampling_relative=sampling))) == words
    assert show._cost(BARE) == "–"


def test_a_row_is_about_its_stage_needs_fidelity_and_source():
    assert show._about(BARE) == ["acts at: sampling"]
    told = show._about(replace(BARE, needs=("a", "b"), fidelity="B", reference="A title"))
    assert told == ["acts at: sampling; needs a, b; fidelity B", "source: A title"]


def test_queries_are_told_where_a_row_was_asked_several():
    one, other = replace(WHOLE), replace(WHOLE, mitigation="x(a=1)", queries={"outpaint": SCORED, "average": SCORED})
    assert show._queries([SimpleNamespace(row=one)]) == []
    lines = "\n".join(show._queries([SimpleNamespace(row=each) for each in (one, other, BARE)])).splitlines()
    assert lines[0] == ""
    assert [line.split() for line in lines[-2:]] == [["default", "0.500", "–"], ["a=1", "0.500", "0.500"]]


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ({}, ""),
        ({"query": ["average", {}], "seed": 0}, "average, seed 0"),
        ({"query": [], "parts": None}, ""),
        ({"query": [3], "parts": ["text"]}, ""),
        ({"parts": [["rna", {"class": "RandomNumbers", "share": 0.5}, "source"], ["agc"]]}, "rna(share=0.5), agc"),
        ({"parts": [[]], "seed": 2}, "seed 2"),
    ],
)
def test_an_entry_without_a_label_is_described_by_its_key(key, words):
    assert stores._described(key) == words


# Certificates


def test_a_certificate_is_written_a_field_a_line_and_never_with_nan(tmp_path, monkeypatch):
    monkeypatch.setattr(certificate, "page", lambda whole, folder: "the page")
    record = {"certified": [], "asked": {"trained": 9}, "model": {"name": "mine"}}
    ledger = SimpleNamespace(rows=[], commitment="c", head=SimpleNamespace(created="then"))
    certificate._write(record, [], ledger, tmp_path, tmp_path / "a")
    first, second, third, *_ = (tmp_path / "a" / certificate.FILE).read_text().splitlines()
    assert (first, second) == ("{", ' "schema": "solidmark.certificate/1",')
    assert third.startswith(' "statement": "The model mine has memorized 0 of 9 images that were handed out; at most 5 % of')
    monkeypatch.setattr(certificate, "digest", lambda value: "d")
    with pytest.raises(ValueError, match="not JSON compliant"):
        certificate._write({**record, "x": float("nan")}, [], ledger, tmp_path, tmp_path / "b")


def test_what_is_not_worth_a_certificate_is_refused(tmp_path):
    certificate._check_worth({"sound": True, "certified": [1]}, tmp_path)
    with pytest.raises(InvalidValue, match=r"a control that failed \(one\)"):
        certificate._check_worth({"sound": False, "faults": ["one", "two"], "certified": [1]}, tmp_path)
    with pytest.raises(InvalidValue, match="no certified image"):
        certificate._check_worth({"sound": True, "certified": []}, tmp_path)


def test_a_certificate_that_lacks_parts_is_damaged_and_they_are_named(tmp_path):
    whole = dict.fromkeys(certificate.Certificate.__annotations__, 1) | {"schema": certificate.SCHEMA}
    (tmp_path / certificate.FILE).write_text(json.dumps(whole))
    assert certificate.read(tmp_path) == whole
    del whole["issued"], whole["answers"]
    (tmp_path / certificate.FILE).write_text(json.dumps(whole))
    with pytest.raises(DamagedFile, match="found no answers, issued; expected a whole certificate"):
        certificate.read(tmp_path)


def test_all_pictures_of_a_certificate_are_listed():
    blocks = {"asked": {"file": "a"}, "answered": {"file": "b"}}
    made = {"certified": [{"pictures": blocks}, {"pictures": None}]}
    assert certificate.picture_blocks(made) == [{"file": "a"}, {"file": "b"}]


# Blocks of a record


def test_numbers_become_blocks_field_by_field():
    estimate = Estimate(0.5, 0.4, 0.7, 0.05)
    assert scoring.interval(estimate) == {"value": 0.5, "low": 0.4, "high": 0.7}
    assert scoring.memorization(estimate, 9) == {
        "value": 0.5,
        "low": 0.4,
        "high": 0.7,
        "error": 0.05,
        "chance": 0.0,
        "images": 9,
    }
    assert scoring.share(Share(3, 8, 0.1, 0.6, 0.2)) == {"count": 3, "of": 8, "low": 0.1, "high": 0.6, "chance": 0.2}
    assert scoring.privacy_loss(1.5, 1e-5) == {"low": 1.5, "confidence": 0.95, "adjacency": "replace one key", "delta": 1e-5}
    assert scoring.privacy_loss(1.5)["delta"] == 0.0


def test_hours_of_nothing_are_none():
    assert hours.hours([]) == 0.0
