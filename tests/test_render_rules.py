"""From folders of runs to pages, by small cases: what is written where, which faults are told, what a board gets to know."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from record_samples import case, crash, finding, utility
from solidmark.reports import prose

from solidmark import plugins
from solidmark.errors import DamagedFile, InvalidValue, PluginFault
from solidmark.leaderboard import render
from solidmark.leaderboard.detected import Detected, detected
from solidmark.records import Reading, Writer
from solidmark.schema.numbers import Estimate


def plugin(name):
    return SimpleNamespace(name=name, origin=f"origin of {name}")


@pytest.fixture
def pages(monkeypatch):
    """Three reports: one that works, one that raises, one that cannot be loaded."""
    made = {"good": lambda board, runs: f"{board} {runs}", "bad": lambda board, runs: 1 / 0}
    made["lost"] = plugins.Broken("lost", "there", "no module")
    found = {plugins.REPORTS: [plugin("bad"), plugin("good"), plugin("lost")]}
    monkeypatch.setattr(render.plugins, "discover", found.get)
    monkeypatch.setattr(render.plugins, "load", lambda one: made[one.name])


@pytest.mark.parametrize("named", [True, False])
def test_a_page_that_fails_keeps_no_other_from_being_written(tmp_path, monkeypatch, pages, named):
    reading = render.Runs(["record"], ["a note"], ["damage"], ["a remark"], [])
    board = SimpleNamespace(remarks=("NOT COMPARED: b", "a remark"))
    runs, into = [tmp_path / "a", tmp_path / "b"], tmp_path / "into" if named else None
    monkeypatch.setattr(render, "read_runs", lambda given: reading if given is runs else None)
    monkeypatch.setattr(render, "_board", lambda *given: board if given == (reading, runs) else None)
    found = render.render(runs, into)
    path = (into or runs[0]) / "leaderboard.good"
    assert path.read_text() == f"{board} {runs}"
    assert (found.board, found.written, found.damaged, found.records) == (board, [path], ["damage"], ["record"])
    assert found.apart == ["NOT COMPARED: b"]
    assert found.faults == [
        "page not written: report bad: found ZeroDivisionError: division by zero; expected a page. See origin of bad.",
        "page not written: report lost: found TypeError: no module; expected a page. See origin of lost.",
    ]
    assert render.load_leaderboard(runs) is board


def test_a_fault_of_a_report_has_its_cause(pages):
    with pytest.raises(PluginFault) as raised:
        render._run_renderer(plugin("bad"), None, [])
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert render._run_renderer(plugin("good"), 1, 2) == "1 2"


def test_records_and_notes_of_all_runs_come_in_their_order_with_what_each_case_noted(monkeypatch):
    noted = {"provenance": {"notes": ["noted", "store x was damaged"]}}
    each = {
        "a": Reading([case(**noted), {**crash("x"), **noted}], ["note of a"], ["records/x"]),
        "b": Reading(
            [case(testbed="other", provenance=None), {**case(), "event": "testbed", "testbed": "digits"}], [], ["y"]
        ),
        "c": Reading([case(testbed="digits", provenance={})], ["note of c"], []),
    }
    monkeypatch.setattr(render, "read", lambda run: each[run.name])
    found = render.read_runs([Path("in/a"), Path("in/b"), Path("in/c")])
    assert found.records == [record for reading in each.values() for record in reading.records]
    assert found.damaged == ["set aside in in/a: records/x", "set aside in in/b: y"]
    assert found.notes == ["note of a", "store x was damaged", "note of c"]
    assert found.homes == [(Path(f"in/{name}"), {home}) for name, home in (("a", "digits"), ("b", "other"), ("c", "digits"))]
    assert {*found.remarks} == {"noted"}


def test_a_board_gets_its_notes_once_without_folders_and_the_provenance_of_the_first_run(tmp_path, monkeypatch):
    made = lambda *words: SimpleNamespace(words=words, testbeds=(), agreements=())  # noqa: E731 - a board
    monkeypatch.setattr(render, "build_leaderboard", made)
    (tmp_path / "run.json").write_text('{"profile": "quick"}')
    damaged = [f"set aside in {tmp_path}: records/a.jsonl, line 1: found x", "set aside in here: y", "b"]
    reading = render.Runs([1], ["a", "b", "a"], damaged, ["c"], [(tmp_path, set())])
    records, notes, facts, remarks, _ = render._board(reading, [tmp_path]).words
    assert (records, facts, remarks) == ([1], {"profile": "quick"}, ["c"])
    assert notes == ["a", "b", "set aside: records/a.jsonl, line 1: found x", "set aside in here: y"]
    assert (reading.notes, reading.damaged) == (["a", "b", "a"], damaged)
    (tmp_path / "run.json").write_text("torn")
    _, notes, facts, *_ = render._board(render.Runs([], [], [], [], [(tmp_path, set())]), [tmp_path]).words
    assert (facts, len(notes)) == ({}, 1)
    assert notes[0].startswith("run.json: found ")


@pytest.mark.parametrize("families", ["abc", "abcdefg"])
def test_runs_are_told_apart_only_where_no_agreement_of_their_testbeds_is_shown(tmp_path, families):
    for testbed in ("one", "two"):
        writer = Writer(tmp_path / testbed)
        for place, name in enumerate(["none", *families]):
            stage = "training" if place else "none"
            more = {"testbed": testbed, "case_id": f"{testbed}-{name}", "utility": utility(200)}
            writer.write(case(name, 0.9 - 0.1 * place, stage=stage, **more))
    board = render.load_leaderboard([tmp_path / "one", tmp_path / "two"])
    shown = board.agreements[0].correlation is not None
    assert shown is (families == "abcdefg")
    assert [note[:12] for note in board.remarks] == ([] if shown else ["NOT COMPARED"])
    assert board.remarks == board.notes


def test_equal_notes_of_images_in_other_words_are_one_note():
    words = ("1 images were left out, each", "1 image was left out,", "2 images were left out, each")
    noted = [case(provenance={"notes": [f"testbed x: {each} nearly equal to another"]}) for each in words]
    told = [note for record in noted for note in render._notes(record)]
    assert told == [
        f"testbed x: {left} left out, nearly equal to another" for left in ("1 image was",) * 2 + ("2 images were",)
    ]


def test_a_page_of_several_runs_tells_the_provenance_of_all_but_of_those_without_cases(tmp_path):
    for number, name in enumerate(("a", "b", "c")):
        Writer(tmp_path / name).write(case("x", seed=number) if name != "c" else finding("dose"))
    for name, commit in (("a", "abcdefg1"), ("b", "bcdefgh2")):
        facts = {"code": {"commit": commit}, "profile": "quick", "arguments": ["pytest", name]}
        (tmp_path / name / "run.json").write_text(json.dumps(facts))
    board = render.load_leaderboard([tmp_path / name for name in "abc"])
    assert prose.head_line(board)[2:3] == ["2 runs, commits abcdefg, bcdefgh"]
    assert "commits abcdefg1, bcdefgh2" in prose.bibtex(board)
    assert ("profile", "quick") in prose.provenance(board)
    each = [("a", "abcdefg1"), ("b", "bcdefgh2")]
    assert prose.each_run(board) == [(name, [("commit", one), ("command", f"pytest {name}")]) for name, one in each]
    assert [run["run"] for run in board.to_json()["runs"]] == ["a", "b"]
    assert board.to_json()["provenance"]["arguments"] == ["pytest", "a"]


def test_the_provenance_of_a_run_is_its_file_with_what_its_profile_left_out(tmp_path):
    assert render.provenance(tmp_path) == {}
    (tmp_path / "left_out.json").write_text('{"slow": ["x"]}')
    assert render.provenance(tmp_path) == {"left_out": {"slow": ["x"]}}
    (tmp_path / "run.json").write_text('{"profile": "quick"}')
    assert render.provenance(tmp_path) == {"profile": "quick", "left_out": {"slow": ["x"]}}
    for name, text in (("left_out.json", "torn"), ("run.json", "[1]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DamagedFile, match=rf"^{name}: found .*expected a run's provenance\. Remove the file\."):
            render.provenance(tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(InvalidValue, match="no folder `records`"):
        render.load_leaderboard([tmp_path])
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "a.jsonl").write_text(json.dumps(case(worker="a", pid=1)) + "\n")
    assert [row.mitigation for row in render.load_leaderboard([tmp_path]).rows] == ["none"]


# Detectors


def asked(value, low=0.5, high=1.0, evaluations=2.0, captions=64):
    return {"auroc": {"value": value, "low": low, "high": high}, "evaluations": evaluations, "captions": captions}


def test_detectors_have_the_mean_area_over_seeds_at_chance_a_half_and_the_fewest_captions():
    first = {"weak": asked(0.5), "best": asked(0.9, 0.8, 0.95, 2.0, 64), "broken": {"auroc": None, "reason": "why"}}
    second = {"best": asked(0.9, 0.7, 0.97, 5.0, 48), "broken": asked(0.99), "weak": asked(0.6), "more": asked(1.0)}
    found = detected([{"detectors": first}, {"detectors": second}])
    assert [*found] == ["best", "weak", "broken"]
    assert found["best"] == Detected(Estimate(0.9, 0.75, 0.96, None, 0.5, 48), 3.5)
    assert found["broken"] == Detected(None, None, "why")
    assert [*detected([{"detectors": second}, {"detectors": first}])] == ["best", "weak", "broken"]
    old = {"auroc": {"value": 0.7, "low": 0.6, "high": 0.8}}
    assert detected([{"detectors": {"old": old}}])["old"] == Detected(Estimate(0.7, 0.6, 0.8, None, 0.5, 0), 0.0)
    assert detected([{}]) == detected([{"detectors": None}, {"detectors": first}]) == {}


def test_a_detector_without_a_number_in_one_seed_has_none_and_the_first_reason():
    none = [{"auroc": None}, {"auroc": None, "reason": "first"}, {"auroc": None, "reason": "second"}]
    for blocks, reason in (
        ([asked(0.9), none[0]], "no number"),
        ([asked(0.9), none[1], none[2]], "first"),
        ([{**asked(0.9), "reason": "told of a number"}, none[2]], "second"),
    ):
        assert detected([{"detectors": {"d": block}} for block in blocks])["d"] == Detected(None, None, reason)
    told = {**asked(0.9), "reason": "told of a number"}
    assert detected([{"detectors": {"d": told}}])["d"].auroc.value == 0.9
    worst = {"none": {"auroc": None}, "nothing": asked(0.0, 0.0, 0.1)}
    assert [*detected([{"detectors": worst}])] == ["nothing", "none"]
