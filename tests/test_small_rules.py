"""Small rules that no other test reaches: what a failed row says, orders, last steps, letters, and what is flushed."""

import os
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from curve_samples import curve
from record_samples import case, failed, of_testbed
from solidmark.fixtures.digits import QuickDigits
from solidmark.mitigations._frozen_encoder import FrozenEncoderTrainer
from solidmark.reports.families import Part
from yardstick_samples import world

from solidmark import Needs, plugins
from solidmark.api import Recipe
from solidmark.collection import draws
from solidmark.errors import InvalidValue, _escaped
from solidmark.leaderboard import build_leaderboard, differences, yardsticks
from solidmark.leaderboard.curves import frontier
from solidmark.leaderboard.incidents import incidents
from solidmark.leaderboard.ranking import ranking
from solidmark.measurement import blind
from solidmark.metrics import patches
from solidmark.metrics.copy_metrics import feature_distances, rank_correlation
from solidmark.models.schedule import Schedule, ScheduleConfig
from solidmark.records import Writer
from solidmark.runner.ending import Ending
from solidmark.schema.numbers import Share

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


def test_the_end_of_a_run_is_told_to_the_step_that_it_runs_in(monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    Writer(tmp_path / "run").write(case())
    assert Ending.of(tmp_path / "run").faults == []
    assert (tmp_path / "summary").read_text().startswith("### digits: ")


def test_seeds_in_common_are_those_of_every_curve_and_without_any_nothing_is_below():
    early, late = (SimpleNamespace(seeds=seeds) for seeds in ((0, 1), (1, 2)))
    assert yardsticks._common([early, late]) == yardsticks._common([early, early, late]) == (1,)
    one, other = curve("one", seeds=2), replace(curve("other", seeds=2), seeds=(7, 8))
    assert yardsticks._below_in_both(one, one, one, other) is None


def test_pictures_outside_their_range_have_no_distance_of_features():
    good, bad = np.full((2, 1, 4, 4), 0.5), np.full((2, 1, 4, 4), 1.5)
    for pair in ((good, bad), (bad, good)):
        with pytest.raises(InvalidValue, match=r"pixels outside \[0, 1\] or NaN"):
            feature_distances(*pair, lambda images: images.reshape(len(images), -1))


@pytest.mark.parametrize(
    ("values", "found"),
    [(np.ones((4, 1)), r"shape \(4, 1\)"), (np.ones(3), r"shape \(3,\)"), (np.array([0, np.nan, 1, 2]), "NaN")],
)
def test_numbers_that_cannot_be_ranked_are_told_by_their_shape_or_by_what_is_in_them(values, found):
    with pytest.raises(InvalidValue, match=found):
        rank_correlation(values, values)


def test_queries_that_cannot_be_asked_are_told_in_one_order():
    rows = [SimpleNamespace(not_applicable={f"query {n}": "no caption"}) for n in (3, 1, 8, 2, 9, 5, 7, 4, 6)]
    told = Part.not_applicable.fget(SimpleNamespace(rows=rows))
    assert told == [(f"query {n}", "no caption") for n in range(1, 10)]


def test_an_encoder_is_frozen_after_what_lies_inside_was_prepared():
    text, before = torch.nn.Linear(1, 1), []
    inner = SimpleNamespace(prepare=lambda: before.append(text.weight.requires_grad))
    FrozenEncoderTrainer.prepare(SimpleNamespace(inner=inner, model=SimpleNamespace(text=text)))
    assert (before, text.weight.requires_grad, text.bias.requires_grad) == ([True], False, False)


def test_a_recipe_has_the_stated_defaults():
    recipe = Recipe()
    assert (recipe.train_steps, recipe.batch, recipe.learning_rate, recipe.betas) == (600, 32, 3e-3, (0.9, 0.98))
    assert (recipe.weight_decay, recipe.warmup_fraction, recipe.final_lr_fraction) == (0.01, 0.1, 0.01)
    assert (recipe.ema_decay, recipe.caption_dropout, recipe.timestep_power) == (0.95, 0.1, 0.5)


def test_a_module_of_a_file_can_be_found_by_its_name(tmp_path):
    source = "from solidmark.mitigations.gni import NoisyEmbeddings\n\n\nclass Own(NoisyEmbeddings):\n    pass\n"
    (tmp_path / "mine.py").write_text(source)
    made = plugins.compose(f"{tmp_path / 'mine.py'}:Own").parts[0].mitigation
    assert sys.modules[type(made).__module__].Own is type(made)


def test_an_incident_names_its_testbed_and_its_mitigation_where_they_are_known():
    (told,) = incidents([failed("bad", reason="no room")])
    assert (told.testbed, told.mitigation.partition("(")[0], told.reason) == (failed("bad")["testbed"], "bad", "no room")
    (bare,) = incidents([{"event": "crash", "slug": "a", "status": "crash", "reason": "killed"}])
    assert (bare.testbed, bare.mitigation) == ("", "")


def test_accuracies_of_few_seeds_are_compared_as_shares_of_all_pictures(monkeypatch):
    rows = [
        SimpleNamespace(utility=SimpleNamespace(accuracy=Share(count, of, 0, 1, 0.1))) for count, of in ((30, 60), (12, 60))
    ]
    monkeypatch.setattr(differences, "_difference", lambda *given: given)
    _, _, levels, estimate, _ = differences._accuracy(*rows, [0])
    assert levels == (0.5, 0.2)
    assert estimate.value == pytest.approx(-0.3, abs=0.02)


def test_a_blind_split_has_as_many_planted_keys_as_there_are_images_and_cells():
    testbed = QuickDigits()
    planted, true = blind.blind(testbed, 0, Needs.NOTHING).split, testbed.split(0)
    assert planted.trained_keys.shape == true.trained_keys.shape == (64, 8)
    assert planted.held_out_keys.shape == true.held_out_keys.shape
    assert not torch.equal(planted.trained_keys, true.trained_keys)
