"""Both yardsticks read off real pictures: who is real by keys alone, and who by both.

The perfect memorizer answers through three services: one deals the borders of less than half of its pictures out anew, too
few for the fault of washing; one exchanges captions, so that every image comes from another one's; one gives noise in the
place of most pictures. All keep the same utility, and their reference, which changes nothing, is as good as the baseline.
"""

import pytest
from frauds import PartWasher, Refusing, Unlinking
from record_samples import case as record
from record_samples import scored, utility
from worlds import composed, digits

from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.disagreement import UNLINKED
from solidmark.measurement import answers, content, content_block
from solidmark.measurement.case import Case, Workspace
from solidmark.metrics import scores
from solidmark.models.memorizer import Memorizer
from solidmark.queries.outpaint import Outpaint
from solidmark.sampling import SolverConfig
from solidmark.store import Store

TESTBED = digits(trained=40, held_out=64, generated=16)
SEEDS = (0, 1, 2)


def measured(name, mitigation, seed, store, right=200, **more):
    """The record of a service on one seed, with keys and content as they were read."""
    case = Case("digits", TESTBED, composed(*mitigation), seed, (("outpaint", Outpaint()),), SolverConfig(steps=4))
    model, workspace = Memorizer(TESTBED.split(seed).marked_trained), Workspace(store)
    lead = answers.ask_query(case, "outpaint", model, workspace)
    found = content.measure_content(case, answers.ask_plainly(case, model, workspace), {})
    m = scores.memorization(lead.trained, TESTBED.split(seed).trained_keys.double().numpy())
    block = {"own": content_block.score(found.own), "any": content_block.score(found.any), "shared": False}
    kind = {"stage": "sampling" if mitigation or more else "none", "utility": utility(right), **more}
    return record(name, seed=seed, queries={"outpaint": scored(m.value, m.error, 40)}, content=block, **kind)


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("store"))
    services = {"part-washer": PartWasher(), "unlinking": Unlinking(), "refusing": Refusing()}
    baseline = [measured("none", (), seed, store) for seed in SEEDS]
    changes = {
        "mitigation": "guide",
        "family": "guide",
        "stage": "sampling",
        "reference_curve": True,
        "utility": utility(180),
    }
    reference = [{**one, **changes, "slug": f"guide-{one['seed']}", "case_id": f"guide-{one['seed']}"} for one in baseline]
    rows = [measured(name, (service,), seed, store) for name, service in services.items() for seed in SEEDS]
    return build_leaderboard([*baseline, *reference, *rows])


def test_keys_alone_call_all_three_real_and_both_yardsticks_the_one_that_emits_less(board):
    found = {
        joint.keys.family: (joint.keys.verdict.value, joint.verdict.value)
        for joint in board.matched[0].verdicts_on("accuracy")
    }
    assert {keys for keys, _ in found.values()} == {"real"}
    assert {name for name, (_, both) in found.items() if both == "real"} == {"refusing"}


def test_a_row_says_how_its_pictures_and_keys_differ(board):
    said = {row.family: row.disagreement for row in board.rows}
    assert (said["unlinking"], said["refusing"], said["none"]) == (UNLINKED, None, None)


def test_the_one_that_emits_less_ranks_first(board):
    ranked = board.matched[0].leading_ranking("accuracy")
    assert (ranked.measure, ranked.families[0].family, ranked.families[0].ranks) == ("both", "refusing", "1")
