"""Queries: what they may see, what they find in a perfect memorizer, and what is refused."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from worlds import board, composed, memorizer

from solidmark import plugins, scores
from solidmark.errors import InvalidValue, PluginFault
from solidmark.plugins import GROUPS
from solidmark.queries import Answer, Attack, Audit, ask
from solidmark.sampling import Protocol, Service


def audit(laid, asked, *mitigations, name="test"):
    return Audit(laid.asked, laid.mark, Protocol(), Service(asked, composed(*mitigations), laid.seed, name), laid.seed, name)


def attack(name, **values):
    return plugins.instance(GROUPS["query"], "query", name, **values)


def found(laid, name):
    keys = ask(attack(name), audit(laid, memorizer(laid))).keys.double().numpy()
    trained, count = laid.trained_keys.double().numpy(), len(laid.trained)
    held_out = scores.memorization(keys[count:], laid.held_out_keys.double().numpy())
    return scores.memorization(keys[:count], trained).value, held_out


@pytest.mark.parametrize("name", ["outpaint", "outpaint-weights", "caption-only", "average"])
def test_queries_with_captions_read_a_perfect_memorizer_whole(name):
    recalled, held_out = found(board(held_out=256), name)
    assert recalled > 0.999
    assert held_out.low < 0 < held_out.high


def test_the_image_alone_does_not_unlock_a_border_by_outpainting():
    """The published query's blind spot: the memorizer holds every key, and the query does not find them."""
    assert found(board(), "image-only")[0] < 0.6


def test_no_query_sees_a_mark_or_a_key():
    laid = board()
    seen = laid.asked.images[:, laid.mark.masks(12, 12).any(dim=0).expand(1, -1, -1)]
    assert seen.eq(0.5).all()


def test_every_image_frees_its_mark_and_one_interior_block():
    laid = board()
    marked = laid.mark.masks(12, 12).any(dim=0)
    free = audit(laid, memorizer(laid)).free
    assert free[:, 0, marked].all()
    assert (free[:, 0, ~marked].sum(dim=1) == 4).all()
    assert len({tuple(one.flatten().tolist()) for one in free}) > 5


def test_trained_and_held_out_images_share_batches():
    laid, batches = board(), []
    checked = audit(laid, memorizer(laid))
    inner = checked.service.sample
    checked.service.sample = lambda captions, *rest: batches.append(captions) or inner(captions, *rest)
    checked.protocol = Protocol(steps=2, batch=24)
    checked.outpaint()
    trained = [sum(caption in laid.trained.captions for caption in batch) for batch in batches]
    assert len(trained) == 2
    assert min(trained) > 0


def test_the_average_of_draws_is_their_mean():
    laid = board()
    model = memorizer(laid)
    single = [audit(laid, model).read(audit(laid, model).outpaint([""] * 48, draw=draw)) for draw in range(3)]
    assert not torch.equal(single[0], single[1])
    averaged = ask(attack("average", draws=3), audit(laid, model)).keys
    assert averaged.shape == single[0].shape


def test_an_average_of_no_draws_is_refused():
    with pytest.raises(InvalidValue, match="at least 1"):
        attack("average", draws=0)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (lambda n, s: torch.zeros(n - 1, s), r"\(47, 8\)"),
        (lambda n, s: torch.full((n, s), float("nan")), "NaN"),
        (lambda n, s: torch.full((n, s), 2.0), "outside"),
        (lambda n, s: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_query_that_answers_wrongly_is_named(keys, told):
    @dataclass(frozen=True)
    class Wrong(Attack):
        def ask(self, audit):
            return Answer(keys(len(audit.examples), audit.mark.segments))

    laid = board()
    with pytest.raises(PluginFault, match=f"query test.*{told}"):
        ask(Wrong(), audit(laid, memorizer(laid)))


def test_a_constant_answer_is_at_chance():
    laid = board(held_out=256)
    keys = np.full((16, 8), 0.3)
    measured = scores.memorization(keys, laid.trained_keys.double().numpy())
    assert abs(measured.value) < 1e-9
