"""The lab: experiments share answers, and bases what is theirs."""

from dataclasses import replace

from solidmark.fixtures.finetune import PrivateDigits
from worlds import tiny

from solidmark.experiments import Lab
from solidmark.measurement import responses, weights
from solidmark.measurement.case import Desk
from solidmark.sampling import Protocol
from solidmark.store import Store


def test_a_question_is_put_once_and_again_only_through_another_sampler(tmp_path, monkeypatch):
    lab, put, ask = Lab(Desk(Store(tmp_path)), protocol=Protocol(steps=2)), [], responses.question
    monkeypatch.setattr(
        responses, "question", lambda case, *rest: (put.append(case.composition.family), ask(case, *rest))[1]
    )
    found = [lab.recalled(tiny(), 0, name).value for name in ("rna", "rna", "gni", "none")]
    assert put == ["rna", "gni", "none"]
    assert found[0] == found[1]


def test_a_private_base_is_trained_on_keys_of_its_own(tmp_path, monkeypatch):
    small, seen, train = tiny(), [], weights.train
    testbed = replace(PrivateDigits(), trained=16, held_out=64, generated=16, recipe=small.recipe, base=small.recipe)
    monkeypatch.setattr(weights, "train", lambda *given, **known: (seen.append(given[2]), train(*given, **known))[1])
    Lab(Desk(Store(tmp_path))).model(testbed, 0)
    base, tuned = ({tuple(row) for row in keys.tolist()} for keys in seen)
    board = testbed.board(0)
    asked = {tuple(row) for keys in (board.held_out_keys, board.other_keys) for row in keys.tolist()}
    assert len(base) == len(testbed.base_examples())
    assert not base & (tuned | asked)
