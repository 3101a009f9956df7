"""What a large training needs: parts of a batch, adapters, less memory, and to go on after an interruption."""

from dataclasses import replace

import pytest
import torch
from test_training import weights, wrapping
from worlds import composed, tiny

from solidmark import models, training
from solidmark.errors import InvalidValue, NotApplicable
from solidmark.mitigation import saved_run
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Adapters, Attention, Network, Recipe
from solidmark.seeds import torch_rng
from solidmark.training import train


def trained(*mitigations, unfinished=None, progress=lambda *_: None, **numbers):
    testbed = tiny()
    laid = testbed.split(0)
    recipe = replace(testbed.recipe, **numbers)
    training_set = TrainingSet(laid.trained, laid.trained_keys, laid.mark)
    return train(recipe, training_set, composed(*mitigations), 0, unfinished=unfinished, progress=progress)


class Killed(Exception):
    """The end of a process."""


def interrupted(folder, at, **numbers):
    def stop(action, done, of):
        if done == at + 1:
            raise Killed

    with pytest.raises(Killed):
        trained(unfinished=folder, progress=stop, **numbers)


class Cut(Attention):
    """Lets nothing through."""

    def values(self, layer, values):
        return values * 0


@pytest.mark.parametrize("numbers", [{}, {"adapter_rank": 2}, {"accumulate": 2}, {"ema_decay": 0.0}])
def test_an_interrupted_training_ends_in_the_same_weights(tmp_path, monkeypatch, numbers):
    monkeypatch.setattr(saved_run, "EVERY", 0.0)
    whole = trained(train_steps=6, **numbers)
    interrupted(tmp_path, 3, train_steps=6, **numbers)
    rest = trained(unfinished=tmp_path, train_steps=6, **numbers)
    assert torch.equal(weights(rest), weights(whole))
    assert rest.evaluations == whole.evaluations


@pytest.mark.parametrize("content", [b"", b"\0" * 100])
def test_what_cannot_be_read_is_trained_anew(tmp_path, content):
    (tmp_path / saved_run.FILE).write_bytes(content)
    with pytest.warns(UserWarning, match="begins anew"):
        anew = trained(unfinished=tmp_path)
    assert torch.equal(weights(anew), weights(trained()))


def test_a_training_with_a_mitigation_is_not_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_run, "EVERY", 0.0)
    trained(wrapping(), unfinished=tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_ends_no_training(tmp_path, monkeypatch):
    monkeypatch.setattr(saved_run, "EVERY", 0.0)
    (tmp_path / "file").write_text("")
    with pytest.warns(UserWarning, match="cannot be saved"):
        made = trained(unfinished=tmp_path / "file" / "folder")
    assert torch.equal(weights(made), weights(trained()))


@pytest.mark.parametrize("dropped", [(), (0, 1, 2, 3, 9)])
def test_the_gradient_of_a_batch_is_that_of_its_parts(dropped):
    """Where losses have no noise, parts change nothing, and samples with a loss of 0 count for nothing."""

    def losses(self, batch, t):
        output = self.model.predict(batch.clean, 5, batch.embeddings).output
        kept = ~torch.isin(batch.indices, torch.tensor(dropped))
        return output.square().flatten(1).mean(dim=1) * kept

    found = []
    note = wrapping(losses=losses, prepare=lambda self: setattr(self.run, "apply", found.append))
    for parts in (1, 4):
        trained(note, accumulate=parts, train_steps=1, caption_dropout=0.0)
    together, apart = (torch.cat([one.flatten() for one in gradients if one is not None]) for gradients in found)
    assert together.abs().max() > 0.01
    assert torch.allclose(together, apart, atol=1e-6)


@pytest.mark.parametrize(
    ("one", "other", "total"), [(None, None, None), (2.0, None, 2.0), (None, 3.0, 3.0), (2.0, 3.0, 5.0)]
)
def test_a_parameter_without_part_in_one_loss_keeps_the_gradient_of_the_others(one, other, total):
    given = [None if value is None else torch.tensor(value) for value in (one, other)]
    found = training._added(*given)
    assert (None if found is None else float(found)) == total


@pytest.mark.parametrize(("count", "parts", "sizes"), [(8, 3, [3, 3, 2]), (8, 5, [2, 2, 2, 1, 1]), (8, 8, [1] * 8)])
def test_a_batch_is_cut_into_as_many_parts_as_asked(count, parts, sizes):
    seen = []
    note = wrapping(losses=lambda self, batch, t: seen.append(len(t)) or self.inner.losses(batch, t))
    trained(note, train_steps=1, accumulate=parts)
    assert (count, seen) == (sum(sizes), sizes)


def test_each_part_of_a_batch_has_noise_of_its_own():
    seen = []
    note = wrapping(losses=lambda self, batch, t: seen.append(t) or self.inner.losses(batch, t))
    trained(note, train_steps=2, accumulate=4)
    assert [len(t) for t in seen] == [2] * 8
    assert len({tuple(t.tolist()) for t in seen}) == 8


def test_checkpointing_gives_the_same_weights():
    assert torch.equal(weights(trained(checkpointing=True)), weights(trained()))


def test_attention_is_seen_by_a_network_that_computes_again():
    model = models.build(Network(widths=(8,), text_width=8), torch_rng(0, "model"))
    x, words = torch.randn(2, *model.shape), model.embed(["one w1", "one w2"])
    gradients = []
    for recomputes in (False, True):
        if recomputes:
            model.network.enable_gradient_checkpointing()
        output = model.predict(x, 5, words, attention=Cut()).output
        gradients.append(torch.autograd.grad(output.sum(), model.network.conv_in.weight)[0])
    assert torch.equal(*gradients)


def test_adapters_change_the_attention_alone_by_few_directions():
    rank, before, after = 2, trained(train_steps=1, learning_rate=1e-12), trained(adapter_rank=2, learning_rate=1e-2)
    start = models.build(after.config, torch_rng(0, "initialisation")).state()
    changed = {name: tensor - start[name] for name, tensor in after.state().items() if not torch.equal(tensor, start[name])}
    assert changed
    assert all(name.split(".")[-2] in ("to_q", "to_k", "to_v", "0") for name in changed)
    assert all(torch.linalg.matrix_rank(one, atol=1e-5) <= rank for one in changed.values())
    assert before.state().keys() == after.state().keys()


def test_adapters_begin_at_the_model(tmp_path):
    model = models.build(Network(widths=(8,), text_width=8), torch_rng(0, "model"))
    x, words = torch.randn(2, *model.shape), model.embed(["one w1", "one w2"])
    before = model.predict(x, 5, words).output
    adapters = Adapters(model, 2, torch_rng(0, "adapters"))
    assert torch.equal(model.predict(x, 5, words).output, before)
    adapters.merge()
    assert torch.allclose(model.predict(x, 5, words).output, before, atol=1e-6)


def test_a_network_without_attention_has_nothing_to_adapt():
    model = models.build(Network(widths=(8,)), torch_rng(0, "model"))
    model.network = torch.nn.Linear(2, 2)
    with pytest.raises(NotApplicable, match="a network without attention"):
        Adapters(model, 2, torch_rng(0, "adapters"))


@pytest.mark.parametrize("wrong", [{"adapter_rank": -1}, {"accumulate": 0}, {"accumulate": 33}])
def test_numbers_of_a_large_training_have_ranges(wrong):
    with pytest.raises(InvalidValue, match=next(iter(wrong))):
        Recipe(**wrong)
    Recipe(adapter_rank=0, accumulate=32)
