"""Redistribution between shards: who moves by hand, who was skipped by a loss that is known."""

from types import SimpleNamespace

import torch
from solidmark.mitigations.iet import EnsembleTrainer
from solidmark.mitigations.iet_plus import RedistributedEnsemble, RedistributingTrainer, redistribute

from solidmark.mitigation import WrapperContext
from solidmark.mitigation.handout import Data


def test_what_was_skipped_most_moves_on_to_the_next_shard_and_sizes_stay():
    rates = torch.tensor([0.9, 0.1, 0.2, 0.8, 0.0, 0.3, 0.7])
    parts = [torch.tensor([0, 1, 2]), torch.tensor([3, 4]), torch.tensor([5, 6])]
    found = [part.tolist() for part in redistribute(parts, rates, 0.5)]
    assert found == [[1, 2, 6], [0, 4], [3, 5]]
    assert [part.tolist() for part in redistribute(parts, rates, 0.0)] == [part.tolist() for part in parts]


def test_an_ensemble_that_redistributes_counts_what_it_skips_by_image():
    trained = RedistributedEnsemble(threshold=1e9, shards=2, rounds=2, bins=1)
    wrapper = trained.trainer(SimpleNamespace(context=WrapperContext("own", None, None), model=None, run=None))
    wrapper.run = SimpleNamespace(examples=range(4))
    wrapper.dropped, wrapper.accesses = torch.zeros(4), torch.zeros(4)
    wrapper.table, wrapper.seen, wrapper.skipped = torch.tensor([1.0]), 0, 0
    wrapper.model = SimpleNamespace(schedule=SimpleNamespace(steps=10))
    wrapper.inner.losses = lambda batch, t: torch.tensor([2.0, 1e12])
    RedistributingTrainer.losses(wrapper, SimpleNamespace(indices=torch.tensor([3, 1])), torch.tensor([4, 4]))
    assert wrapper.accesses.tolist() == [0, 1, 0, 1]
    assert wrapper.dropped.tolist() == [0, 0, 0, 1]


def test_it_is_told_of_which_share_of_those_that_moved_it_was_true_that_they_were_skipped(monkeypatch):
    own = RedistributedEnsemble(shards=2, moved=0.5)
    handed = Data(own.needs, "own")
    wrapper = own.trainer(SimpleNamespace(context=WrapperContext("own", None, handed), model=None, run=None))
    monkeypatch.setattr(EnsembleTrainer, "_round", lambda *_: None)
    wrapper.dropped, wrapper.accesses = torch.tensor([1.0, 0, 0, 0]), torch.ones(4)
    shards = [SimpleNamespace(indices=torch.tensor([0, 1])), SimpleNamespace(indices=torch.tensor([2, 3]))]
    wrapper._round(shards, [1, 1])
    assert [shard.indices.tolist() for shard in shards] == [[1, 2], [0, 3]]
    assert handed.doses == {"moved_for_a_skip": 0.5}
