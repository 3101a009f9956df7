"""Rules of commands, tables and words by small cases, with stated neighbours: defaults, exact limits, orders, fields."""

from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from record_samples import case, finding
from solidmark.reports import (
    columns,
    families,
    family_curve,
    gallery,
    matched_table,
    prose,
    ranking_table,
    score_columns,
    table,
)
from test_board_rules import excess, joint
from test_one_of_several import curve
from test_report_rules import BARE

from solidmark.cli import collection as console
from solidmark.cli import compare, exports
from solidmark.collection import certificate, verifying
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.leaderboard import build, detected, differences, hours, matched, outcomes, per_image, rows
from solidmark.leaderboard import excess as excesses
from solidmark.leaderboard.excess import CurveVerdict
from solidmark.schema.numbers import Estimate

REAL, EQUAL, UNDECIDED, WORSE = CurveVerdict.REAL, CurveVerdict.EQUAL, CurveVerdict.UNDECIDED, CurveVerdict.WORSE


# Commands


@pytest.mark.parametrize(("margin", "fits"), [(0.0, True), (0.999, True), (1.0, False), (-0.001, False)])
@pytest.mark.parametrize("worse", [True, False])
def test_a_margin_is_a_share_below_one_and_what_is_worse_ends_with_one(monkeypatch, capsys, margin, fits, worse):
    found = SimpleNamespace(worse=worse)
    monkeypatch.setattr(compare, "_of_rows", lambda options: found)
    monkeypatch.setattr(compare, "told", lambda comparison, everything, colours: f"told {everything}")
    monkeypatch.setattr(compare, "as_json", lambda comparison: "json")
    options = Namespace(before="a", after="b", run=None, margin=margin, all=True, json=False)
    if not fits:
        with pytest.raises(InvalidValue, match="--margin"):
            compare._compare(options)
        return
    assert compare._compare(options) == int(worse)
    options.json = True
    assert compare._compare(options) == int(worse)
    assert capsys.readouterr().out == "told True\njson\n"


@pytest.mark.parametrize(
    ("given", "runs"), [(None, [Path("runs/latest")]), ([Path("x"), Path("y")], [Path("x"), Path("y")])]
)
def test_rows_are_compared_of_the_latest_run_or_of_those_that_are_named(monkeypatch, given, runs):
    from solidmark.leaderboard import render

    monkeypatch.setattr(render, "load_leaderboard", lambda runs: ("board", *runs))
    monkeypatch.setattr(compare, "_row", lambda board, name, beside=None: (board[0], name, beside))
    monkeypatch.setattr(differences, "compare_rows", lambda *words: words)
    found = compare._of_rows(Namespace(before="a", after="b", run=given, margin=0.1))
    assert found == (("board", "a", None), ("board", "b", ("board", "a", None)), runs, 0.1)


def test_runs_are_compared_each_with_its_folder(monkeypatch):
    from solidmark.leaderboard import render

    monkeypatch.setattr(render, "load_leaderboard", lambda runs: f"board of {runs[0]}")
    monkeypatch.setattr(differences, "compare_runs", lambda *words: words)
    found = compare._of_runs(Namespace(before="a", after="b", margin=0.1))
    assert found == (("board of a", [Path("a")]), ("board of b", [Path("b")]), 0.1)


@pytest.mark.parametrize(("into", "out"), [(None, "measured/certificate"), (Path("there"), "there")])
def test_a_certificate_is_written_beside_its_record_unless_a_folder_is_named(monkeypatch, capsys, into, out):
    asked = []
    made = {"statement": "It has.", "digest": "d"}
    monkeypatch.setattr(console, "_ledger", lambda options: "ledger")
    monkeypatch.setattr(certificate, "certify", lambda *words: asked.append(words) or made)
    assert console._certify(Namespace(measured=Path("measured"), into=into, ledger=Path("ledger"))) == 0
    assert asked == [(Path("measured"), "ledger", Path(out))]
    assert capsys.readouterr().out == f"It has.\nwritten to {out}\ndigest d\n"


@pytest.mark.parametrize(("sound", "status"), [([True, True], 0), ([True, False], 1), ([False, False], 1)])
def test_one_check_that_fails_is_enough_to_end_with_one(monkeypatch, capsys, sound, status):
    asked = []
    checks = [SimpleNamespace(sound=one) for one in sound]
    monkeypatch.setattr(console, "_ledger", lambda options: "ledger")
    monkeypatch.setattr(verifying, "verify", lambda *words: asked.append(words) or checks)
    monkeypatch.setattr(verifying, "told", lambda found: f"{len(found)} checks")
    options = Namespace(certificate=Path("c"), marked=Path("m"), commitment=Path("p"))
    assert console._verify(options) == status
    assert asked == [(Path("c"), "ledger", Path("m"), Path("p"))]
    assert capsys.readouterr().out == "2 checks\n"


def test_an_export_states_each_fact_under_its_name(monkeypatch):
    monkeypatch.setattr(exports.answers, "ask_query", lambda *words: SimpleNamespace(trained="trained", held_out="held out"))
    monkeypatch.setattr(exports.provenance, "describe", lambda value: f"described {value}")
    monkeypatch.setattr(exports.provenance, "libraries", lambda: "libraries")
    monkeypatch.setattr(exports.provenance, "code", lambda: "code")
    monkeypatch.setattr(exports, "_recipe", lambda case: "recipe")
    scored = {"memorization": "m", "certified": "c", "false_discovery_rate": 0.025}
    seen = []
    monkeypatch.setattr(exports.scoring, "query", lambda *words: seen.append(words) or scored)
    monkeypatch.setattr(exports.scoring, "negative", lambda answers, keys: (answers, keys.tolist()))
    truth = SimpleNamespace(trained_keys=torch.zeros(1), held_out_keys=torch.ones(1))
    kind = type("Latent", (), {"origin": "scans", "licence": "CC", "autoencoder": "coder"})
    composition, solver = SimpleNamespace(label="x(a=1)"), SimpleNamespace(as_block=lambda: "solver")
    of = SimpleNamespace(testbed_name="latent", testbed=kind(), composition=composition, seed=3, truth=truth)
    of.leading, of.solver = "outpaint", solver
    kept = SimpleNamespace(asked=lambda part: range({"trained": 5, "held-out": 7}[part]), head=SimpleNamespace(segments=8))
    assert exports._about(of, None, None, kept) == {
        "schema": exports.SCHEMA, "testbed": "latent", "mitigation": "x(a=1)", "seed": 3, "recipe": "described recipe",
        "autoencoder": "described coder", "solver": "solver", "memorization": "m", "certified": "c",
        "false_discovery_rate": 0.025, "held_out": ("held out", [1.0]), "marked": {"trained": 5, "held-out": 7},
        "segments": 8, "benchmark_version": exports.records.BENCHMARK_VERSION, "libraries": "libraries", "code": "code",
        "origin": "scans",
        "licence": "CC",
    }  # fmt: skip
    ((trained, keys, held_out, held_keys, seed),) = seen
    assert (trained, keys.tolist(), held_out, held_keys.tolist(), seed) == ("trained", [0.0], "held out", [1.0], 3)


@pytest.mark.parametrize(
    ("latent", "parts", "words"), [(True, (), None), (False, (), "in pixel space"), (True, ("x",), "acts at sampling")]
)
def test_an_export_is_of_a_latent_model_whose_mitigation_is_in_its_weights(latent, parts, words):
    network = object.__new__(exports.LatentNetwork) if latent else object()
    composition = SimpleNamespace(
        label="x", at=lambda stage: SimpleNamespace(parts=parts if stage.value == "sampling" else ("y",))
    )
    testbed = SimpleNamespace(recipe=SimpleNamespace(network=network))
    of = SimpleNamespace(testbed=testbed, testbed_name="digits", composition=composition)
    if words is None:
        exports._check(of)
    else:
        with pytest.raises(NotApplicable, match=words):
            exports._check(of)


def test_every_file_of_an_export_has_its_digest_in_order(tmp_path):
    for name in ("b/c.txt", "a.txt", "b/a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert list(exports._digests(tmp_path).items()) == [(name, empty) for name in ("a.txt", "b/a.txt", "b/c.txt")]


# Words and tables of reports


@pytest.mark.parametrize(("numbers", "text"), [([3, 1, 2], "1-3"), ([5, 3, 4, 9, 8], "3-5, 8, 9"), ([], ""), ([7], "7")])
def test_numbers_are_drawn_together_whatever_their_order(numbers, text):
    assert columns.spans(numbers) == text


@pytest.mark.parametrize(
    ("solver", "text"), [({}, "unknown"), ({"name": "ddim"}, "unknown"), ({"steps": 2}, "solver: steps 2")]
)
def test_a_solver_without_numbers_is_unknown(solver, text):
    assert columns.solver_text(solver) == text


@pytest.mark.parametrize(("distance", "form"), [("0.005", table.THREE), ("0.01", table.TWO), ("0.1", table.TWO)])
def test_shares_within_a_small_distance_have_three_digits(distance, form):
    column = score_columns._within(distance)
    assert (column.form, column.key) == (form, f"within_{distance}")
    assert column.cell(BARE).value == table.EMPTY


def test_a_curve_of_a_baseline_alone_says_why_and_one_of_a_setting_its_numbers():
    one = curve("x", [[0.0], [0.1]], [[0.8], [0.4]])
    assert family_curve.alternative(one).startswith("x: M* from 0.40 to 0.40 at 1 settings")
    bare = SimpleNamespace(points=one.points[:1], family="x", reason="no seed in common")
    assert family_curve.alternative(bare) == "x: no numbers, no seed in common"


@pytest.mark.parametrize(("time", "told"), [(0.05, True), (0.0499, False), (12.34, True)])
def test_hours_of_computing_are_told_from_three_minutes_on(monkeypatch, time, told):
    monkeypatch.setattr(prose, "hours", lambda rows: time)
    board = SimpleNamespace(
        rows=(), provenance={"arguments": ["a", "b"]}, runs=(), measured=("2026-01-02T1", "2026-01-03T1")
    )
    line = prose.head_line(board)
    assert (f"{time:.1f} hours of computing" in line) is told
    assert (line[0], line[1], line[-1]) == ("solidmark", "measured 2026-01-02 to 2026-01-03", "`a b`")


def test_how_to_cite_a_board_leaves_out_what_is_unknown():
    facts = [SimpleNamespace(title="a{b}"), SimpleNamespace(title="c")]
    board = SimpleNamespace(testbeds=facts, provenance={}, runs=(), measured=("", ""))
    bare = prose.bibtex(board)
    assert "note = {leaderboard of ab and c}" in bare
    assert "version" not in bare.partition("@article")[0]
    assert "measured" not in bare
    assert "note" not in prose.bibtex(SimpleNamespace(**{**vars(board), "testbeds": []}))
    run = {"packages": {"solidmark": "1.2"}, "code": {"commit": "abcdef"}}
    whole = prose.bibtex(
        SimpleNamespace(testbeds=facts[1:], provenance=run, runs=(), measured=("2026-01-02T1", "2027-01-02T1"))
    )
    assert "  version = {1.2},\n  year = {2027},\n" in whole
    assert "note = {leaderboard of c, measured 2026-01-02 to 2027-01-02, commit abcdef}" in whole


def verdict(kind, family="x", keys=0.1, seeds=(0, 1, 2), p=None, content=None):
    made = joint(family, kind, keys, content, seeds)
    return made if p is None else SimpleNamespace(**{**vars(made), "keys": SimpleNamespace(**{**vars(made.keys), "p": p})})


def comparison(*verdicts, keys_only=True):
    return SimpleNamespace(
        axis="accuracy",
        keys_only=keys_only,
        unmeasured=(),
        verdicts_on=lambda axis: [*verdicts] if axis == "accuracy" else [],
        excesses_on=lambda axis, measure="worst": [one.keys for one in verdicts] if measure == "worst" else [],
    )


def test_excesses_come_by_verdict_stage_and_size():
    each = [
        verdict(UNDECIDED, "a"),
        verdict(REAL, "b", 0.2),
        verdict(WORSE, "c", -0.5),
        verdict(REAL, "d", 0.4),
        verdict(EQUAL, "e"),
    ]
    each.append(verdict(REAL, "f", None))
    assert [line.lead.family for line in matched_table.lines(comparison(*each))] == ["d", "b", "f", "e", "c", "a"]


def test_verdicts_are_counted_and_those_that_keys_alone_would_call_real():
    assert matched_table.counts(comparison()) == ""
    alone = matched_table.counts(comparison(verdict(REAL), verdict(WORSE), verdict(REAL)))
    assert alone.endswith("families are: 2 real, 0 equal, 1 worse, 0 undecided")
    mixed = SimpleNamespace(verdict=UNDECIDED, keys=excess("y", 0.3, REAL), keys_only=False)
    told = matched_table.counts(comparison(mixed, verdict(EQUAL), keys_only=False))
    assert told.endswith("1 undecided; of those read by both yardsticks, keys alone would call 1 real; 1 by keys only")


@pytest.mark.parametrize(
    ("each", "words"),
    [
        ([], ""),
        ([verdict(REAL, keys=None)], ""),
        ([verdict(REAL, seeds=(0, 1)), verdict(REAL, seeds=(0, 1, 2))], "too few seeds for a p-value: 3, of at least 6"),
        ([verdict(REAL), verdict(REAL, p=0.01)], ""),
    ],
)
def test_that_there_is_no_p_value_is_told_where_no_excess_has_one(each, words):
    assert matched_table.few(comparison(*each)) == words


def test_families_without_a_rank_are_told_by_reason():
    ranking = SimpleNamespace(unranked={"a": "gold", "b": "too useless", "c": "gold"})
    of = SimpleNamespace(axis="accuracy", leading_ranking=lambda axis: ranking)
    assert ranking_table.without_rank(of) == "Without a rank: a, c (gold); b (too useless)."
    ranking.unranked = {}
    assert ranking_table.without_rank(of) == ""
    assert ranking_table.without_rank(SimpleNamespace(axis="accuracy", leading_ranking=lambda axis: None)) == ""


@pytest.mark.parametrize(
    ("reference", "control", "text"), [(True, True, "x (reference)"), (False, True, "x (control)"), (False, False, "x")]
)
def test_a_family_of_a_ranking_says_what_it_is(reference, control, text):
    family = SimpleNamespace(family="x", reference=reference, control=control)
    assert ranking_table._label(SimpleNamespace(family=family)) == text


def test_tiles_that_are_remembered_lie_row_by_row_up_to_the_level():
    content = gallery.PNG + b"\0\0\0\rIHDR" + (12).to_bytes(4) + (8).to_bytes(4)
    found = gallery._map({"as_generated": content, "tile": 4, "tile_p": [0.05, 0.0501, 0.01, 1.0, 0.02, 0.9]})
    across, down = 100 / 3, 50.0
    assert [tile.p for tile in found.tiles] == [0.05, 0.01, 0.02]
    assert [tile.left for tile in found.tiles] == pytest.approx([0.0, 2 * across, across])
    assert [tile.top for tile in found.tiles] == [0.0, 0.0, down]
    assert ({tile.width for tile in found.tiles}, {tile.height for tile in found.tiles}) == ({across}, {down})
    assert (found.count, found.side) == (6, 4)


def test_a_family_is_compared_with_other_references_of_its_stages():
    kind = lambda stage, reference=True, points=(1,): SimpleNamespace(stage=stage, reference=reference, points=points)  # noqa: E731 - words
    own, near, far, plain, empty = (
        kind("training+sampling"), kind("sampling"), kind("post-hoc"), kind("training", False), kind("training", points=())
    )  # fmt: skip
    assert families._references(own, [own, near, far, plain, empty]) == [near]


# From records to boards


@pytest.mark.parametrize(
    ("family", "reference", "words"),
    [
        (SimpleNamespace(reason="no numbers", stage="x"), None, "no numbers"),
        (SimpleNamespace(reason="", stage="training"), None, "no reference of stage training is among the records"),
        (SimpleNamespace(reason=""), SimpleNamespace(reason="it broke"), "its reference: it broke"),
        (SimpleNamespace(reason=""), SimpleNamespace(reason=""), "no seed in common with its reference"),
    ],
)
def test_an_excess_that_is_missing_has_its_reason(family, reference, words):
    assert excesses._missing(family, reference) == words


def test_a_claim_of_an_older_record_refutes_nothing():
    for verdict_, told in (("fails", "not seen here"), ("holds", "holds"), ("undecided", "undecided")):
        old = finding(suite="claims", verdict=verdict_)
        old.pop("steps", None)
        assert outcomes._verdict(old).value == told
        assert outcomes._verdict({**old, "steps": []}).value == verdict_
        assert outcomes._verdict({**old, "suite": "validity"}).value == verdict_


def test_an_experiment_that_broke_is_called_by_its_slug():
    made = outcomes._outcome({"slug": "claims-x-1", "case_id": "c", "status": "error", "reason": "why", "event": "finding"})
    assert (made.suite, made.title, made.order, made.status, made.reason, made.finding) == (
        "claims",
        "claims-x-1",
        0,
        "error",
        "why",
        None,
    )


def asked(auroc=0.7, **more):
    area = None if auroc is None else {"value": auroc, "low": auroc - 0.1, "high": auroc + 0.1}
    return {"auroc": area, "evaluations": 2.0, "captions": 64, **more}


def test_detectors_over_seeds_are_those_that_every_seed_was_asked_with():
    seeds = [{"a": asked(0.6), "b": asked(0.8), "c": asked(None, reason="no map"), "gone": asked()},
             {"a": asked(0.7, captions=32), "b": asked(0.9, evaluations=4.0), "c": asked()}]  # fmt: skip
    found = detected.detected([{"detectors": each} for each in seeds])
    assert [*found] == ["b", "a", "c"]
    assert (found["b"].auroc.value, found["b"].evaluations, found["a"].auroc.count) == (pytest.approx(0.85), 3.0, 32)
    assert (found["c"].auroc, found["c"].evaluations, found["c"].reason) == (None, None, "no map")
    assert detected._over_seeds([asked(), asked(None)]).reason == "no number"
    assert detected.detected([{"detectors": seeds[0]}, {}]) == {}


def written(folder, **changed):
    table_ = {"query": ["a", "a", "a", "b"], "image": [3, 1, 2, 3], "trained": [True, True, False, True]}
    table_ |= {
        "forget": [True, False, False, True],
        "key": [[0.5]] * 4,
        "prediction": [[0.1], [0.2], [0.3], [0.4]],
        **changed,
    }
    (folder / "per_image").mkdir(parents=True)
    pd.DataFrame(table_).to_parquet(folder / "per_image" / "c.parquet")


@pytest.mark.parametrize(("needs", "images"), [((), ("3", "1")), (("forget list",), ("3",))])
def test_answers_of_a_row_are_those_of_its_trained_or_forgotten_images(tmp_path, needs, images):
    written(tmp_path / "run")
    row = SimpleNamespace(
        needs=needs, attempts=[SimpleNamespace(seed=1, case_id="other"), SimpleNamespace(seed=0, case_id="c")]
    )
    found = per_image.answers([tmp_path / "empty", tmp_path / "run"], row, 0, "a")
    assert found.images == images
    assert found.predictions.tolist() == [[0.1], [0.2]][: len(images)]
    assert np.unique(found.keys).tolist() == [0.5]
    assert per_image.answers([tmp_path / "run"], row, 1, "a") is None
    assert per_image.answers([tmp_path / "run"], row, 0, "none") is None


@pytest.mark.parametrize(("versions", "found"), [([1, 1], 1), ([None, 2], 2), ([], None), ([None], None)])
def test_records_of_a_board_have_one_version(versions, found):
    records = [{"event": "case", "benchmark_version": version} for version in versions]
    assert build._single_version([*records, {"event": "crash", "benchmark_version": 9}]) == found


def test_versions_are_not_mixed():
    with pytest.raises(InvalidValue, match="records of versions 1 and 2; expected one version"):
        build._single_version([{"event": "case", "benchmark_version": version} for version in (2, 1, 2)])


def test_images_of_a_testbed_are_the_fewest_of_any_row():
    def row(testbed, count):
        lead = None if count == 0 else SimpleNamespace(memorization=SimpleNamespace(count=count or None))
        return SimpleNamespace(testbed=testbed, lead=lead)

    each = [row("a", 64), row("a", 16), row("b", 3), row("a", 0)]
    assert (build._images(each, "a"), build._images(each, "b"), build._images(each, "c")) == (16, 3, 2)


@pytest.mark.parametrize(
    ("record", "reference"),
    [
        ({"reference_curve": True, "stage": "training"}, True),
        ({"reference_curve": False, "control": True, "stage": "training"}, False),
        ({"control": True, "stage": "training"}, True),
        ({"control": True, "stage": "none"}, False),
        ({"stage": "training"}, False),
    ],
)
def test_a_row_is_a_reference_as_it_says_or_as_a_control(record, reference):
    assert rows._is_reference(record) is reference


def test_a_row_is_incomplete_where_its_seeds_ended_otherwise():
    seeds = lambda *statuses: [SimpleNamespace(status=status) for status in statuses]  # noqa: E731 - words
    assert rows._status(seeds("error", "error")) == "error"
    assert rows._status(seeds("ok", "error")) == "incomplete"


@pytest.mark.parametrize(
    ("faults", "text"),
    [
        ([(None, "why")], "why"),
        ([(0, "why.")], "seed 0: why."),
        ([(2, "why."), (0, "why."), (1, "then.")], "seeds 0, 2: why; seed 1: then."),
    ],
)
def test_equal_reasons_of_seeds_are_one_reason(faults, text):
    assert rows._faults([SimpleNamespace(seed=seed, reason=reason) for seed, reason in faults]) == text


@pytest.mark.parametrize(
    ("stage", "rank"), [("none", (0,)), ("post-hoc", (3,)), ("training+sampling", (1, 2)), ("odd", (4,))]
)
def test_stages_come_in_the_order_in_which_they_act(stage, rank):
    assert rows._stage_rank(stage) == rank


def test_costs_are_relative_to_the_baselines_where_it_has_some():
    made = build.build_leaderboard([case(), case("x", stage="training")]).rows[1].cost
    assert (made.relative, made.sampling_relative) == (1.0, 1.0)
    zero = SimpleNamespace(
        cost=SimpleNamespace(training=SimpleNamespace(evaluations=0), sampling=SimpleNamespace(per_image=None))
    )
    assert (rows._relative(made, zero).relative, rows._relative(made, zero).sampling_relative) == (None, None)
    assert rows._relative(None, zero) is None
    assert rows._relative(made, None) is made


def test_a_board_of_nothing_took_no_time_and_compares_nothing():
    assert hours.hours([BARE]) == 0.0
    found = matched.matched_comparison("digits", {}, [])
    assert (found.curves, found.excesses, found.rankings, found.verdicts) == ((), (), (), ())
    assert found.worse_on("accuracy") == []
    assert Estimate(1.0).low is None
