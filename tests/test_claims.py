"""Claims: what may be stated, and that the verdict follows from numbers that are known."""

from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from solidmark.benchmark.claims import StatedClaim, find_claims
from solidmark.reports import finding_cards
from worlds import digits

from solidmark import Claim
from solidmark.errors import InvalidValue
from solidmark.findings import Verdict
from solidmark.leaderboard import Outcome


@dataclass
class Oracle:
    """Experiments whose M is given for each method and query."""

    recalls: dict
    seeds: tuple = (0, 1, 2)

    def testbed(self, expression, **numbers):
        return digits(**numbers)

    def measure_recall(self, testbed, seed, composition, query):
        return SimpleNamespace(value=self.recalls[composition.label, query] + 0.001 * seed)


def judged(claim, recalls):
    return StatedClaim("gni", 1, claim).test(Oracle(recalls))


@pytest.mark.parametrize(("left", "verdict"), [(0.1, "holds"), (0.45, "undecided"), (0.8, "fails")])
def test_a_ratio_is_judged_against_its_bound(left, verdict):
    claim = Claim("It halves M.", below=0.5)
    oracle = {("gni(scale=0.1)", "outpaint"): 0.9 * left, ("none", "outpaint"): 0.9}
    shaky = replace(claim, below=0.4501) if verdict == "undecided" else claim
    assert judged(shaky, oracle).verdict is Verdict(verdict)


def test_a_difference_compares_two_queries_of_one_method():
    claim = Claim("Hidden.", "difference", above=0.2, against="", query="grid", against_query="outpaint")
    finding = judged(claim, {("gni(scale=0.1)", "grid"): 0.9, ("gni(scale=0.1)", "outpaint"): 0.4})
    assert finding.estimate.value == pytest.approx(0.5)
    assert finding.verdict is Verdict.HOLDS


@pytest.mark.parametrize(("left", "verdict"), [(0.4, "holds"), (0.6, "undecided")])
def test_what_was_not_taken_away_cannot_come_back(left, verdict):
    claim = Claim("Hidden.", "difference", above=0.2, against="", query="grid", against_query="outpaint", premise=0.5)
    finding = judged(claim, {("gni(scale=0.1)", "grid"): 0.9, ("gni(scale=0.1)", "outpaint"): left})
    assert finding.verdict is Verdict(verdict)
    assert ("speaks of what is below 0.5" in finding.reason) is (verdict == "undecided")


@pytest.mark.parametrize("wrong", [{}, {"below": float("nan")}, {"measure": "rank", "below": 1.0}])
def test_a_claim_that_cannot_be_judged_is_refused(wrong):
    with pytest.raises(InvalidValue, match="Claim"):
        Claim("Nothing.", **wrong)


def test_every_stated_claim_can_be_made_and_names_its_source():
    for stated in find_claims():
        assert stated.composition.parts
        assert stated.against is not None
        assert "arXiv" in (stated.claim.source or stated.composition.reference), stated.name


def test_verdicts_of_claims_are_supported_or_refuted():
    finding = judged(Claim("Gone.", "memorization", below=0.1), {("gni(scale=0.1)", "outpaint"): 0.0})
    card = finding_cards.Card(Outcome("claims", finding.title, "id", "claims-gni-1", 0, "ok", "", finding))
    assert card.summary[0] == "✓ supported"
