"""A blind split: planted numbers where keys would be looked for, and only what was declared handed out."""

import pytest
import torch
from worlds import digits

from solidmark.measurement.blind import blind
from solidmark.mitigation import Needs
from solidmark.runner.process_state import Settings
from solidmark.seeds import Globals, forked

TESTBED = digits(trained=16, held_out=32)


def test_no_field_of_it_holds_a_key_of_the_true_board():
    true, split = TESTBED.split(0), blind(TESTBED, 0, Needs.NOTHING).split
    for name in ("trained_keys", "held_out_keys", "training_keys"):
        assert getattr(true, name).shape == getattr(split, name).shape
        assert not torch.isin(getattr(true, name), getattr(split, name)).any()


def test_it_is_the_true_board_but_for_that():
    true, hidden = TESTBED.split(0), blind(TESTBED, 0, Needs.NOTHING)
    assert (hidden.fingerprint, hidden.training_digest) == (true.fingerprint, true.training_digest)
    assert hidden.split.fingerprint != true.fingerprint
    assert torch.equal(hidden.split.queried.images, true.queried.images)


@pytest.mark.parametrize(
    ("needs", "names"),
    [
        (Needs.NOTHING, set()),
        (Needs.FORGET, {"forget", "retain"}),
        (Needs.TRAINING_IMAGES | Needs.CALIBRATION, {"training_images", "calibration"}),
    ],
)
def test_it_hands_out_what_was_declared_with_its_true_marks(needs, names):
    handed, true = blind(TESTBED, 0, needs).handed_out, TESTBED.split(0).handed_out()
    assert set(handed) == names
    assert all(torch.equal(handed[name].images, true[name].images) for name in names)


def test_global_generators_are_seeded_inside_and_afterwards_as_they_were():
    before = Globals()
    with forked(0, "test"):
        first = torch.rand(3)
    with forked(0, "test"):
        assert torch.equal(first, torch.rand(3))
    assert before.touched() == []


def test_settings_are_put_back_and_named():
    before = Settings.now()
    torch.set_default_dtype(torch.float64)
    torch.set_grad_enabled(False)
    assert before.put_back() == ["default dtype", "gradients"]
    assert Settings.now() == before
