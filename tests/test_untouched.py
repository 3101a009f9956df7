"""Whether weights are as they were: every change of a bit, an order or a shape changes the checksum."""

import pytest
import torch

from solidmark.measurement import untouched, weights

STATE = {"a": torch.arange(10.0), "b": torch.ones(3, 2, dtype=torch.bfloat16), "c": torch.tensor(7), "d": torch.empty(0)}


def test_the_same_weights_have_the_same_sums_wherever_they_are_kept():
    copied = {name: tensor.clone() for name, tensor in reversed(STATE.items())}
    assert untouched.checksum(STATE) == untouched.checksum(copied)


@pytest.mark.parametrize("name", ["a", "b", "c"])
@pytest.mark.parametrize("bit", range(8))
def test_every_bit_counts(name, bit):
    changed = {**STATE, name: STATE[name].clone()}
    changed[name].view(-1).view(torch.uint8)[-1] ^= 1 << bit
    found, before = untouched.checksum(changed), untouched.checksum(STATE)
    assert {other for other in STATE if found[other] != before[other]} == {name}


@pytest.mark.parametrize("places", [(0, 1), (0, untouched.CHUNK), (5, 2 * untouched.CHUNK + 5)])
def test_exchanged_weights_are_seen_within_a_chunk_and_across(places):
    weights = torch.arange(2 * untouched.CHUNK + 10)
    before, first = untouched.checksum({"a": weights}), weights[places[0]].clone()
    weights[places[0]] = weights[places[1]]
    weights[places[1]] = first
    assert untouched.checksum({"a": weights}) != before


def test_another_shape_or_type_of_the_same_bytes_is_another_state():
    sums = [untouched.checksum({"a": view}) for view in (STATE["a"], STATE["a"].view(2, 5), STATE["a"].view(torch.int32))]
    assert len({tuple(found.items()) for found in sums}) == 3


def test_edits_behind_the_back_of_autograd_are_seen_and_name_other_weights():
    from worlds import model

    one = model()
    before, sums = weights.fingerprint(one), untouched.checksum(weights.state(one))
    next(one.network.parameters()).data[0] += 1e-3
    assert untouched.checksum(weights.state(one)) != sums
    assert weights.fingerprint(one) != before == weights.fingerprint(model())


def test_a_fingerprint_is_made_once_until_weights_change(monkeypatch):
    from worlds import model

    one = model()
    before = weights.fingerprint(one)
    monkeypatch.setattr(weights, "_sha", lambda tensor: 1 / 0)
    assert weights.fingerprint(one) == before
