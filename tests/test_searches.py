"""The searches that methods share, on measures whose course is known: where they stop, and what they leave alone."""

from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations import _calibration as calibration
from solidmark.mitigations._embedding_search import optimize_embedding
from solidmark.mitigations._guidance_vector import move_along, optimize_noise

from solidmark.data import Examples


@dataclass(frozen=True)
class Batch:
    """As much of a batch as a search looks at."""

    embeddings: torch.Tensor
    conditional: torch.Tensor
    noise: torch.Tensor
    mask: torch.Tensor
    captions: tuple = ()
    model: object = None

    def start(self, noise):
        return torch.where(self.mask, noise, 0.25)


def batch(rows=3, conditional=(True, True, False)):
    rng = torch.Generator().manual_seed(0)
    embeddings, noise = torch.rand((3, 4, 2), generator=rng) + 0.5, torch.rand((3, 1, 2, 2), generator=rng) + 0.5
    mask = torch.tensor([[True, False], [True, True]]).expand(3, 1, 2, 2)
    return Batch(embeddings[:rows], torch.tensor(conditional)[:rows], noise[:rows], mask[:rows])


def squares(vectors):
    return vectors.flatten(1).square().sum(dim=1)


def searched(given, goal, iterations, rate=0.01):
    return optimize_embedding(given, squares, goal, rate, iterations).found


def test_embeddings_are_those_of_adamw_and_the_start_token_stays():
    given = batch(1, (True,))
    tail = given.embeddings[:, 1:].clone().requires_grad_()
    optimizer = torch.optim.AdamW([tail], lr=0.01)
    for _ in range(5):
        optimizer.zero_grad()
        squares(torch.cat([given.embeddings[:, :1], tail], dim=1)).sum().backward()
        optimizer.step()
    found = searched(given, lambda first: 0 * first, 5)
    assert torch.equal(found, torch.cat([given.embeddings[:, :1], tail.detach()], dim=1))


def test_a_query_that_has_reached_its_goal_stops_while_others_go_on():
    given = batch(2, (True, True))
    goals = squares(given.embeddings) * torch.tensor([0.9, 0.5])
    found = searched(given, lambda first: goals, 200)
    for row in range(2):
        alone = optimize_embedding(
            replace(given, embeddings=given.embeddings[row : row + 1], conditional=torch.tensor([True])),
            squares,
            lambda first, row=row: goals[row : row + 1],
            0.01,
            200,
        )
        assert torch.allclose(found[row], alone.found[0])
        assert 0.97 * goals[row] < squares(found)[row] <= goals[row]


def test_a_query_at_its_goal_and_one_without_a_caption_stay_as_they_are():
    given = batch()
    assert torch.equal(searched(given, lambda first: first, 5), given.embeddings)
    moved = searched(given, lambda first: 0 * first, 3)
    assert [torch.equal(a, b) for a, b in zip(moved, given.embeddings)] == [False, False, True]
    assert torch.equal(searched(given, lambda first: 0 * first, 0), given.embeddings)


def test_embeddings_that_are_one_vector_have_no_start_token():
    given = replace(batch(1, (True,)), embeddings=torch.ones(1, 4))
    assert (searched(given, lambda first: 0 * first, 1) < 1).all()


SGD = partial(torch.optim.SGD, lr=0.1)


def test_noise_moves_under_the_mask_alone_and_a_caption_less_query_stays():
    given = batch()
    found = optimize_noise(given, squares, SGD, 0.0, 1)
    expected = torch.where(given.mask, given.noise * (1 - 0.1 * 2), given.noise)
    assert torch.allclose(found.found[:2], expected[:2])
    assert torch.equal(found.found[2], given.noise[2])


def test_noise_stops_at_its_goal():
    given = batch(2, (True, True))
    first = squares(given.start(given.noise))
    assert torch.equal(optimize_noise(given, squares, SGD, first, 9).found, given.noise)
    found = optimize_noise(given, squares, SGD, 0.8 * first, 99)
    shares = squares(given.start(found.found)) / first
    assert ((shares <= 0.8) & (shares > 0.5)).all()
    assert torch.allclose(found.last / found.first, shares)
    few = optimize_noise(given, squares, SGD, 0.0, 2)
    assert not torch.equal(few.found, optimize_noise(given, squares, SGD, 0.0, 3).found)


def test_a_move_has_the_reach_that_is_asked_whatever_the_direction():
    x = torch.zeros(3, 1, 2, 2)
    direction = torch.tensor([1.0, 100.0, 0.0])[:, None, None, None].expand(3, 1, 2, 2)
    moved = move_along(x, direction, 0.5)
    assert moved.square().flatten(1).mean(dim=1).sqrt().tolist() == pytest.approx([0.5, 0.5, 0.0])


NORMAL = Examples(torch.zeros(4, 1, 2, 2), ["n0", "n1", "n2", "n3"], [0, 1, 2, 3])


def captioned(*captions):
    model = SimpleNamespace(embed=lambda words: torch.tensor([[float(len(word))] for word in words]))
    count = len(captions)
    conditional = torch.tensor([bool(caption) for caption in captions])
    return Batch(
        torch.zeros(count, 1), conditional, torch.zeros(count, 1, 2, 2), torch.ones(count, 1, 2, 2).bool(), captions, model
    )


def test_a_normal_batch_has_other_captions_and_noise_and_no_words_where_there_were_none():
    given = captioned("memorized", "", "memorized too")
    drawn = calibration.draw_normal_batch(given, NORMAL, torch.Generator().manual_seed(0))
    assert [caption in NORMAL.captions for caption in drawn.captions] == [True, False, True]
    assert drawn.captions[1] == ""
    assert drawn.embeddings.tolist() == [[2.0], [0.0], [2.0]]
    rng = torch.Generator().manual_seed(0)
    torch.randint(4, (3,), generator=rng)
    assert torch.equal(drawn.noise, torch.randn((3, 1, 2, 2), generator=rng))


def levels(monkeypatch, least, captions, act):
    """How many normal queries are drawn, and what `act` makes of their norms 0, 1, 2, ..."""
    norms = iter(range(10**6))
    measured = lambda normal: torch.tensor([float(next(norms)) for _ in normal.captions])  # noqa: E731
    monkeypatch.setattr(calibration, "COUNT", least)
    monkeypatch.setattr(calibration, "LEVEL_COUNT", least)
    monkeypatch.setattr(calibration, "guidance_norm", measured)
    found = act(captioned(*captions), NORMAL, torch.Generator().manual_seed(0), measured)
    return next(norms), float(found)


@pytest.mark.parametrize(("least", "captions", "drawn"), [(8, "ab", 8), (9, "ab", 10), (4, ["a", "", "b"], 6), (1, "a", 1)])
def test_as_many_normal_queries_are_drawn_as_it_takes(monkeypatch, least, captions, drawn):
    assert levels(monkeypatch, least, captions, calibration.normal_level)[0] == drawn


def test_a_threshold_is_exceeded_by_the_share_of_normal_queries(monkeypatch):
    def share(batch, normal, rng, measure):
        return calibration.calibrate_guidance_norm(batch, normal, rng, 0.25)

    assert levels(monkeypatch, 101, "a", share) == (101, 75.0)
    assert levels(monkeypatch, 5, "a", calibration.normal_level) == (5, 2.0)
    assert levels(monkeypatch, 4, ["a", ""], calibration.normal_level)[1] == 2.0  # 0, 2, 4, 6: those with a caption
