"""Claims: what may be stated, and that verdicts follow from numbers that are known, step by step."""

import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from record_samples import SOLVER, case, content, finding
from solidmark.benchmark.claims import StatedClaim, find_claims
from solidmark.benchmark.claims.__main__ import counts, judge, judge_one
from solidmark.benchmark.claims.measuring import Recorded
from solidmark.reports import answer, families, finding_cards, markdown, page
from worlds import digits

from solidmark import Claim, Origin, plugins
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.findings import Step, Verdict, replicated
from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.render import load_leaderboard
from solidmark.records import Writer

ROW, STRONGEST, NONE = "gni(scale=0.1)", "gni(scale=2.0)", "none"
HOLDS, FAILS, UNDECIDED, NOT_SEEN, NOT_TESTABLE = Verdict
NO_PICTURES = Origin(copies=())
STATED = Origin(steps=25, guidance=3.0)


@dataclass
class Oracle:
    """Experiments whose M is given for each method and query, and what pictures tell for each method."""

    recalls: dict
    copies: dict = field(default_factory=dict)
    seeds: tuple = (0, 1, 2)
    solvers: set = field(default_factory=set)
    acted: dict = field(default_factory=dict)

    def testbed(self, expression):
        return digits()

    def measure_recall(self, testbed, seed, composition, query, solver):
        known = {(STRONGEST, "outpaint"): 0.0, (NONE, "outpaint"): 0.9, **self.recalls}
        return SimpleNamespace(value=known[composition.label, query] + 0.001 * seed)

    def measure_copies(self, testbed, seed, composition, solver):
        self.solvers.add((solver.steps, solver.eta, solver.guidance))
        return {name: value + 0.001 * seed for name, value in self.copies.get(composition.label, {}).items()}

    def measure_action(self, testbed, seed, composition, query, solver):
        return self.acted.get(composition.label)


def judged(claim, recalls, **copies):
    return StatedClaim("gni", 1, claim).test(Oracle(recalls, **copies))


def pictures(row, baseline=0.8, strongest=0.1):
    """What `ratio` and `features` tell of the row, of the baseline, and of the strongest setting."""
    values = {ROW: row, NONE: baseline, STRONGEST: strongest}
    return {label: {"ratio": value, "features": value} for label, value in values.items()}


@pytest.mark.parametrize(("left", "verdict"), [(0.1, HOLDS), (0.45, UNDECIDED), (0.8, NOT_SEEN)])
def test_a_ratio_is_judged_against_its_bound_and_refuted_by_no_keys_alone(left, verdict):
    claim = Claim("It halves M.", below=0.4501 if verdict is UNDECIDED else 0.5, origin=NO_PICTURES)
    assert judged(claim, {(ROW, "outpaint"): 0.9 * left}).verdict is verdict


def test_a_difference_compares_two_queries_of_one_method():
    claim = Claim("Hidden.", "difference", above=0.2, against="", query="grid", against_query="outpaint")
    found = judged(claim, {(ROW, "grid"): 0.9, (ROW, "outpaint"): 0.4})
    assert found.estimate.value == pytest.approx(0.5)
    assert found.verdict is HOLDS


@pytest.mark.parametrize(("left", "verdict"), [(0.4, HOLDS), (0.6, UNDECIDED)])
def test_what_was_not_taken_away_cannot_come_back(left, verdict):
    claim = Claim("Hidden.", "difference", above=0.2, against="", query="grid", against_query="outpaint", premise=0.5)
    found = judged(claim, {(ROW, "grid"): 0.9, (ROW, "outpaint"): left})
    assert found.verdict is verdict
    assert ("speaks of what is below 0.5" in found.reason) is (verdict is UNDECIDED)


@pytest.mark.parametrize(
    ("keys", "shown", "verdict"),
    [
        (0.05, 0.1, HOLDS),  # both yardsticks say so
        (0.8, 0.7, FAILS),  # pictures fall a little, as published, but by far not so much
        (0.05, 0.7, FAILS),  # the keys are gone, and the pictures come back
        (0.8, 0.9, NOT_SEEN),  # the source's own measure does not see it
        (0.05, 0.9, NOT_SEEN),  # nor can keys make up for that
    ],
)
def test_who_refutes_has_first_seen_what_was_published(keys, shown, verdict):
    claim = Claim("It takes nine tenths.", below=0.2, origin=replace(STATED, copies=("features",)))
    found = judged(claim, {(ROW, "outpaint"): keys}, copies=pictures(shown))
    assert found.verdict is verdict
    assert [step.seen for step in found.steps[:2]] == [True, shown < 0.8]


@pytest.mark.parametrize(("shown", "seen"), [(0.795, None), (0.765, None), (0.75, True)])
def test_a_fall_by_next_to_nothing_is_no_replication_however_small_its_interval(shown, seen):
    claim = Claim("It takes nine tenths.", below=0.2, origin=replace(STATED, copies=("features",)))
    found = judged(claim, {(ROW, "outpaint"): 0.8}, copies=pictures(shown))
    assert found.steps[1].seen is seen
    assert ("a change of less than 0.05 is none" in found.steps[1].found) is (seen is None)
    assert found.verdict is (FAILS if seen else NOT_SEEN)


@pytest.mark.parametrize(("shown", "seen"), [(0.67, None), (0.66, None), (0.64, True)])
def test_nor_does_a_difference_of_next_to_nothing(shown, seen):
    claim = Claim("Less.", "difference", below=0.0, against="gni(scale=0.5)", origin=replace(STATED, copies=("features",)))
    copies = {**pictures(shown), "gni(scale=0.5)": {"features": 0.7}}
    found = judged(claim, {(ROW, "outpaint"): 0.5, ("gni(scale=0.5)", "outpaint"): 0.6}, copies=copies)
    assert found.steps[1].seen is seen


@pytest.mark.parametrize(
    ("keys", "shown", "reaches"), [(0.88, 0.78, False), (0.5, 0.78, True), (0.88, 0.5, True), (1.1, 0.78, True)]
)
def test_a_method_whose_strongest_setting_moves_neither_keys_nor_pictures_is_not_testable(keys, shown, reaches):
    claim = Claim("It hardly matters.", above=0.9)
    found = judged(claim, {(ROW, "outpaint"): 0.89, (STRONGEST, "outpaint"): keys}, copies=pictures(0.79, strongest=shown))
    assert found.steps[0].seen is reaches
    assert found.verdict is (HOLDS if reaches else NOT_TESTABLE)


@pytest.mark.parametrize(
    ("share", "keys", "verdict"),
    [
        (0.0, 0.89, NOT_TESTABLE),
        (0.01, 0.89, NOT_TESTABLE),
        (0.01, 0.5, NOT_SEEN),
        (0.3, 0.89, NOT_SEEN),
        (None, 0.89, NOT_SEEN),
    ],
)
def test_a_dose_that_acted_on_nothing_says_nothing_of_a_claim(share, keys, verdict):
    found = judged(Claim("Gone.", below=0.2, origin=NO_PICTURES), {(ROW, "outpaint"): keys}, acted={ROW: share})
    assert found.verdict is verdict
    assert ("its dose is nothing here" in found.steps[0].found) is (verdict is NOT_TESTABLE)


def test_nor_does_one_that_is_compared_with_a_dose_that_acted_on_nothing():
    claim = Claim("Less.", "difference", below=0.0, against="gni(scale=0.5)", origin=NO_PICTURES)
    recalls = {(ROW, "outpaint"): 0.5, ("gni(scale=0.5)", "outpaint"): 0.9}
    assert judged(claim, recalls, acted={ROW: 1.0}).verdict is HOLDS
    assert judged(claim, recalls, acted={ROW: 1.0, "gni(scale=0.5)": 0.0}).verdict is NOT_TESTABLE


def test_reach_must_be_seen_in_every_seed():
    shaky = SimpleNamespace(**vars(Oracle({})))
    shaky.testbed, shaky.measure_copies = Oracle({}).testbed, Oracle({}).measure_copies
    shaky.measure_action = Oracle({}).measure_action
    shaky.measure_recall = lambda testbed, seed, composition, *rest: SimpleNamespace(
        value=0.2 if composition.label == STRONGEST and seed else 0.9
    )
    assert StatedClaim("gni", 1, Claim("Gone.", below=0.5)).test(shaky).verdict is NOT_TESTABLE


def test_the_source_is_replicated_under_its_own_solver_and_by_the_first_measure_that_applies():
    origin, oracle = Origin(copies=("sscd", "features"), steps=50, guidance=7.5), Oracle({(ROW, "outpaint"): 0.1})
    oracle.copies = pictures(0.2)
    found = StatedClaim("gni", 1, Claim("Gone.", below=0.2, origin=origin)).test(oracle)
    assert oracle.solvers == {(50, 0.0, 7.5)}
    assert "features" in found.steps[1].found


def test_records_refute_by_pictures_of_the_source_s_steps_and_guidance_alone():
    origin = Origin(("digits",), steps=50, guidance=7.5)
    claim = StatedClaim("gni", 1, Claim("It takes eight tenths.", below=0.2, origin=origin))
    near = recorded(0.8, 0.9, 0.1, (0.8, 0.95, 0.6))
    published = [{**one, "solver": {**one["solver"], "steps": 50, "guidance": 7.5}} for one in near]
    found = [claim.judge(Recorded(records)) for records in (near, published, published + near)]
    assert [one.verdict for one in found] == [NOT_SEEN, FAILS, FAILS]
    assert [one.steps[1].seen for one in found] == [True] * 3
    assert "in 25 steps under guidance 3 (source: 50, 7.5)" in found[0].steps[1].found
    assert "source" not in found[1].steps[1].found


def test_a_source_that_states_no_solver_is_replicated_and_not_refuted():
    records = Recorded(recorded(0.8, 0.9, 0.1, (0.8, 0.95, 0.6)))
    found = StatedClaim("gni", 1, Claim("It takes eight tenths.", below=0.2)).judge(records)
    assert (found.verdict, found.steps[1].seen) == (NOT_SEEN, True)
    assert "in 25 steps under guidance 3 (source: not stated)" in found.steps[1].found


def test_neither_a_control_nor_a_part_that_acted_on_nothing_refutes(monkeypatch):
    claim = Claim("It takes eight tenths.", below=0.2, origin=STATED)
    shown = recorded(0.7, 0.9, 0.1, (0.8, 0.95, 0.6))
    skipped = {"training": {"gni": {"skipped_share": 0.004}}, "editing": {}, "sampling": {"doses": {}}}
    records = [{**one, "reported": skipped} if one["mitigation"] == ROW else one for one in shown]
    found = StatedClaim("gni", 1, claim).judge(Recorded(records))
    assert (found.verdict, "acted on 0.4%" in found.steps[1].found) == (NOT_SEEN, True)
    monkeypatch.setattr(type(plugins.compose("gni").parts[0].mitigation), "control", True)
    found = StatedClaim("gni", 1, claim).judge(Recorded(shown))
    assert (found.verdict, "a control refutes" in found.steps[1].found) == (NOT_SEEN, True)


def test_pictures_of_two_methods_are_compared_under_one_solver():
    near = recorded(0.1, 0.9, 0.1, (0.6, 0.95, 0.6))
    other = [
        {**one, "solver": {**one["solver"], "steps": 50, "guidance": 7.5}}
        for one in recorded(0.1, 0.9, 0.1, (0.9, 0.99, 0.6))
    ]
    origin = Origin(("digits",), steps=50, guidance=7.5)
    records = Recorded(near + [one for one in other if one["mitigation"] == ROW])
    found = StatedClaim("gni", 1, Claim("Gone.", below=0.5, origin=origin)).judge(records)
    assert "content 0.22" in found.steps[2].found


def test_a_method_that_may_only_cut_captions_off_is_judged_by_the_query_that_finds_most_and_by_any_picture():
    claim = Claim("Gone.", below=0.2, also=("by-content",), origin=STATED)
    keys = {(ROW, "outpaint"): 0.0, (ROW, "by-content"): 0.6}
    found = judged(claim, keys)
    assert found.estimate.value == pytest.approx(0.6 / 0.9, abs=0.01)
    emitted = {label: {**one, "any": 0.9} for label, one in pictures(0.1).items()}
    assert judged(claim, {(ROW, "outpaint"): 0.0, (ROW, "by-content"): 0.0}, copies=emitted).verdict is FAILS


@pytest.mark.parametrize("reach", [True, False, None])
@pytest.mark.parametrize("replication", [True, False, None])
def test_only_reach_and_replication_together_let_a_claim_be_refuted(reach, replication):
    refuted = replicated(FAILS, reach, replication) is FAILS
    assert refuted is (reach is True and replication is True)
    assert (replicated(HOLDS, reach, replication) is NOT_TESTABLE) is (reach is False)


@pytest.mark.parametrize("wrong", [{}, {"below": float("nan")}, {"measure": "rank", "below": 1.0}])
def test_a_claim_that_cannot_be_judged_is_refused(wrong):
    with pytest.raises(InvalidValue, match="Claim"):
        Claim("Nothing.", **wrong)
    with pytest.raises(InvalidValue, match=r"Origin.testbeds"):
        Origin(())


def test_every_stated_claim_can_be_made_and_names_its_source():
    for stated in find_claims():
        assert stated.composition.parts
        assert stated.against is not None
        assert "arXiv" in (stated.claim.source or stated.composition.reference), stated.name


def old(verdict, name):
    """A record of a claim by keys alone, as they were written before claims had steps."""
    record = finding(name, verdict, suite="claims")
    return {key: value for key, value in record.items() if key not in ("steps", "where")}


def test_older_records_refute_nothing_and_the_number_of_each_verdict_is_told():
    board = build_leaderboard([old("holds", "a"), old("fails", "b"), old("fails", "c"), old("undecided", "d")])
    counted = "claims, 4 findings: 1 supported, 1 undecided, 2 not seen here"
    assert finding_cards.counts(board.findings) == counted
    assert counted in markdown.render(board, [])
    assert counted.capitalize() in page.render(board, [])


def test_a_verdict_says_where_and_the_table_has_a_column_a_step():
    answers = zip(finding_cards.STEPS, (True, None, False), strict=True)
    steps = [{"name": name, "asks": "Is it?", "seen": seen, "found": "0.5"} for name, seen in answers]
    record = finding("a", "fails", suite="claims", where="digits", steps=steps)
    (suite,) = finding_cards.suites(build_leaderboard([record]))
    assert suite.columns[3:6] == ("reach", "replication", "keys and content")
    assert suite.lines[0][:1] + suite.lines[0][3:6] == ("✗ refuted on digits", "yes: 0.5", "not sure: 0.5", "no: 0.5")
    assert suite.cards[0].outcome.finding.steps[0] == Step(**steps[0])


@pytest.mark.parametrize("told", [{"testbed": "pets-quick"}, {"reason": "on pets-quick, M: x 0.10"}])
def test_a_claim_stands_with_its_family_on_what_the_testbed_is_known_as_and_names_the_testbed(told):
    def of(name, where, **more):
        record = finding(name, "holds", suite="claims", where=where, series=[], slug=f"claims-{name}")
        return {**record, **more}

    found = [of("x-1", "pets", **told), of("x-2", "pets", testbed="many-pets"), of("x-3", "cars", testbed="cars")]
    rows = [{**case(name, 0.5), "testbed": "pets-quick"} for name in ("none", "x")]
    board = build_leaderboard([*rows, *found])
    (part,) = (one for one in families.parts(board, answer.answers(board), []) if one.first.family == "x")
    assert [card.word for card in part.claims] == ["supported on pets (pets-quick)", "supported on pets (many-pets)"]
    assert all(card.word in markdown.render(board, []) for card in part.claims)


def recorded(row, baseline, strongest, shown=None, eta=0.0):
    """Records of three seeds with these M, and pictures of these AUROC where they are given."""
    solver = {**SOLVER, "eta": eta}
    areas = dict(zip((ROW, NONE, STRONGEST), shown or (None,) * 3, strict=True))
    blocks = {label: {} if area is None else {"content": content(area, 0.9)} for label, area in areas.items()}
    values = {ROW: row, NONE: baseline, STRONGEST: strongest}
    return [case(one, m, seed, solver=solver, **blocks[one]) for one, m in values.items() for seed in (0, 1, 2)]


@pytest.mark.parametrize(
    ("row", "strongest", "shown", "eta", "verdict"),
    [
        (0.8, 0.1, (0.8, 0.95, 0.6), 0.0, FAILS),
        (0.8, 0.1, (0.97, 0.95, 0.6), 0.0, NOT_SEEN),
        (0.8, 0.1, (0.8, 0.95, 0.6), 1.0, NOT_SEEN),  # pictures of another solver replicate nothing
        (0.8, 0.1, None, 0.0, NOT_SEEN),  # nor do older records, which have no pictures
        (0.8, 0.85, None, 0.0, NOT_TESTABLE),
        (0.1, 0.1, None, 0.0, HOLDS),
    ],
)
def test_records_are_judged_as_models_are(row, strongest, shown, eta, verdict):
    claim = Claim("It takes eight tenths.", below=0.2, origin=replace(STATED, testbeds=("mnist", "digits")))
    found = StatedClaim("gni", 1, claim).judge(Recorded(recorded(row, 0.9, strongest, shown, eta)))
    assert (found.verdict, found.where, found.testbed) == (verdict, "digits", "digits")


@pytest.mark.parametrize(("letter", "verdict"), [("A", FAILS), ("B", FAILS), ("C", NOT_SEEN), ("unverified", NOT_SEEN)])
def test_a_method_that_does_not_follow_its_source_refutes_nothing(letter, verdict, monkeypatch):
    monkeypatch.setattr(type(plugins.compose("gni").parts[0].mitigation), "fidelity", letter)
    records = Recorded(recorded(0.8, 0.9, 0.1, (0.8, 0.95, 0.6)))
    found = StatedClaim("gni", 1, Claim("It takes eight tenths.", below=0.2, origin=STATED)).judge(records)
    assert found.verdict is verdict
    assert (f"of fidelity {letter} refutes nothing" in found.steps[1].found) == (verdict is NOT_SEEN)


@pytest.mark.parametrize("told", [{"acted_on": 0.0}, {"no_op": True}])
@pytest.mark.parametrize("stage", ["editing", "sampling"])
def test_a_record_says_that_its_row_acted_on_nothing(told, stage):
    blocks = {"training": {}, "editing": {}, "sampling": {}}
    blocks[stage] = {"doses": {"outpaint": {"gni": told}}} if stage == "sampling" else {"gni": told}
    records = [{**one, "reported": blocks} if one["mitigation"] == ROW else one for one in recorded(0.9, 0.9, 0.1)]
    assert StatedClaim("gni", 1, Claim("Gone.", below=0.2)).judge(Recorded(records)).verdict is NOT_TESTABLE


def test_keys_are_read_under_the_solver_of_the_claim_and_pictures_without_noise():
    records = []
    for name, eta, row, shown in (("fast", 1.0, 0.9, (0.95, 0.95, 0.95)), ("ddim", 0.0, 0.3, (0.8, 0.95, 0.6))):
        found = recorded(row, 0.9, 0.1, shown, eta)
        records += [{**one, "solver": {**one["solver"], "name": name}} for one in found]
    claims = {
        solver: StatedClaim("gni", 1, Claim("Gone.", below=0.5, origin=Origin(solver=solver))) for solver in ("fast", "ddim")
    }
    found = {solver: judge_one(claim, Recorded.by_solver(records)) for solver, claim in claims.items()}
    assert {solver: round(one.estimate.value, 2) for solver, one in found.items()} == {"fast": 1.0, "ddim": 0.33}
    assert all("content 0.67" in one.steps[2].found for one in found.values())


def test_keys_under_the_source_s_own_steps_and_guidance_come_before_those_of_a_solver_of_its_name():
    records = []
    for name, steps, row in (("ddim", 25, 0.9), ("published", 50, 0.3)):
        solver = {"name": name, "steps": steps, "eta": 0.0, "guidance": 7.5}
        records += [{**one, "solver": {**one["solver"], **solver}} for one in recorded(row, 0.9, 0.1)]
    for origin, expected in ((Origin(steps=50, guidance=7.5, solver="ddim"), 0.33), (Origin(solver="ddim"), 1.0)):
        found = judge_one(StatedClaim("gni", 1, Claim("Gone.", below=0.5, origin=origin)), Recorded.by_solver(records))
        assert found.estimate.value == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("name", "stands"), [("digits-quick", True), ("mnist-quick", False)])
def test_a_quick_form_stands_for_a_testbed_only_where_it_trains_the_same_models(name, stands):
    records = Recorded([{**one, "testbed": name} for one in recorded(0.1, 0.9, 0.1)])
    claim = StatedClaim("gni", 1, Claim("Gone.", below=0.2, origin=Origin((name.removesuffix("-quick"),))))
    if stands:
        assert claim.judge(records).where == "digits"
    else:
        with pytest.raises(NotApplicable, match="none of baseline"):
            claim.judge(records)


def test_a_claim_is_read_on_the_first_testbed_that_has_its_rows():
    near = [{**one, "testbed": "latent-digits"} for one in recorded(0.1, 0.9, 0.1) if one["mitigation"] == NONE]
    claim = StatedClaim("gni", 1, Claim("Gone.", below=0.2, origin=Origin(("latent-digits", "digits"))))
    assert claim.judge(Recorded(near + recorded(0.1, 0.9, 0.1))).where == "digits"


def test_the_strongest_setting_that_was_recorded_shows_reach():
    records = [one for one in recorded(0.8, 0.9, 0.1) if one["mitigation"] != STRONGEST]
    found = StatedClaim("gni", 1, Claim("Gone.", below=0.2)).judge(Recorded(records))
    assert f"`{ROW}` moves" in found.steps[0].found


def test_the_same_records_give_the_same_findings_whenever_they_are_judged(tmp_path, monkeypatch):
    for second, one in enumerate(recorded(0.8, 0.9, 0.1)):
        Writer(tmp_path / "run").write({**one, "t": f"2026-01-01T00:00:{second:02}Z"})
    lines = []
    for year in (2030, 2031):
        monkeypatch.setattr(time, "gmtime", lambda year=year: (year, *(1,) * 8))
        judge([tmp_path / "run"], tmp_path / "claims")
        lines.append([path.read_text() for path in (tmp_path / "claims" / "records").iterdir()])
    assert lines[0] == lines[1]
    assert load_leaderboard([tmp_path / "claims"]).measured == ("2026-01-01T00:00:08Z",) * 2


def test_a_claim_whose_row_was_not_recorded_is_left_out_with_the_reason(tmp_path):
    for one in recorded(0.8, 0.9, 0.1):
        Writer(tmp_path / "run").write(one)
    findings, missing = judge([tmp_path / "run"], tmp_path / "claims")
    board = load_leaderboard([tmp_path / "run", tmp_path / "claims"])
    assert [outcome.finding.verdict for outcome in board.findings] == [NOT_SEEN] * len(findings)
    assert counts(findings) == [f"digits: {len(findings)} not seen here"]
    assert len(missing) == len([*find_claims()]) - len(findings) > 0
    assert all("records of" in reason for reason in missing)
