"""Small rules that no other test reaches: what a failed row says, orders, last steps, letters, and what is flushed."""

import os

import numpy as np
import pytest
import torch
from curve_samples import curve
from record_samples import case, failed, of_testbed
from yardstick_samples import world

from solidmark.collection import draws
from solidmark.errors import InvalidValue, _escaped
from solidmark.leaderboard import build_leaderboard
from solidmark.leaderboard.curves import frontier
from solidmark.leaderboard.ranking import ranking
from solidmark.metrics import patches
from solidmark.models.schedule import Schedule, ScheduleConfig
from solidmark.records import Writer

ABSENT = ("utility", "content", "space", "pipeline", "denoising_loss")


@pytest.mark.parametrize("name", ABSENT)
def test_what_a_failed_row_lacks_has_the_reason_of_its_failure(name):
    (row,) = [row for row in build_leaderboard([case(), failed("bad", reason="no room")]).rows if row.family == "bad"]
    assert row.reasons.get(name, row.reason) == row.reason
    assert "no room" in row.reason


def test_a_row_with_content_has_no_reason_for_its_absence():
    (row,) = build_leaderboard(world("honest")[:1]).rows
    assert row.content is not None
    assert "content" not in row.reasons


def test_a_testbed_without_unmarked_models_says_so_and_one_with_them_does_not():
    (facts,) = build_leaderboard([case(), of_testbed(0)]).testbeds
    told = facts.to_json()
    assert ("unmarked" in told["reasons"]) == (told["unmarked"] is None)


def test_images_are_held_out_in_the_order_of_their_numbers_whatever_order_they_come_in():
    images = [f"{number:064x}" for number in range(40)]
    order = sorted(images, key=lambda sha256: draws._number(b"secret", "split", sha256))
    for given in (images, images[::-1]):
        assert draws.held_out(b"secret", given, 0.25) == set(order[:10])


def test_memories_with_one_nan_are_refused():
    with pytest.raises(InvalidValue, match="NaN or infinity"):
        frontier(np.array([0.0, 0.1]), np.array([0.5, np.nan]), np.array([0.05]))


def test_families_that_touch_share_their_ranks():
    """Without noise each interval is a point, so that equal families touch."""
    found = ranking([curve("a", (0.8, 0.5), (0.0, 0.05)), curve("b", (0.8, 0.5), (0.0, 0.05))])
    assert found is not None
    assert [family.ranks for family in found.families] == ["1-2", "1-2"]


@pytest.mark.parametrize(
    ("letter", "shown"), [("\x07", "\\x07"), ("\xff", "\\xff"), ("\u0100", "\\u0100"), ("\u202e", "\\u202e")]
)
def test_a_letter_that_is_not_printed_is_written_by_its_number(letter, shown):
    assert _escaped(letter) == shown


def test_the_nearest_others_are_the_smallest_of_all(monkeypatch):
    monkeypatch.setattr(patches, "NEAREST", 10)
    for seed in range(20):
        away = np.random.default_rng(seed).uniform(size=300)
        nearest = np.sort(away)[:10].mean()
        assert patches._scores(np.array([[3.0]]), away.reshape(300, 1, 1)) == pytest.approx([3.0 / (nearest + patches.EASY)])


def test_a_run_ends_at_no_noise_and_a_step_to_0_does_not():
    schedule = Schedule(ScheduleConfig("squaredcos_cap_v2", 1000, last_is_clean=True))
    assert torch.equal(schedule.signal(-1), torch.ones(1, 1, 1, 1))
    assert torch.equal(schedule.signal(0), schedule.alpha(0))
    assert float(schedule.signal(0)) < 1


def test_a_record_is_on_the_disk_before_the_case_goes_on(monkeypatch, tmp_path):
    flushed = []
    monkeypatch.setattr(os, "fsync", flushed.append)
    Writer(tmp_path).write(case())
    assert len(flushed) == 1
