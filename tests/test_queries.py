"""Queries: what they may see, what they find in a perfect memorizer, and what is refused."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
import worlds
from worlds import composed, memorizer, split

from solidmark import keys, plugins, seeds
from solidmark.errors import InvalidValue, PluginFault
from solidmark.metrics import scores
from solidmark.models.memorizer import Memorizer
from solidmark.plugins import GROUPS
from solidmark.queries import Answer, Attack, Audit, ask
from solidmark.sampling import Service, SolverConfig

SOLVER = SolverConfig(steps=10)


def audit(laid, model, *mitigations, name="test", attack=None, captions=None):
    examples = laid.queried if captions is None else replace(laid.queried, captions=captions)
    service = Service(model, composed(*mitigations), laid.seed, name)
    given = {} if attack is None else {"access": attack.access, "budget": attack.cost(SOLVER)}
    return Audit(examples, laid.mark, SOLVER, service, laid.seed, name, others=others(laid), **given)


def others(laid):
    drawn = keys.draw(len(laid.calibration), laid.mark.segments, seeds.numpy_rng(laid.seed, "keys of other images"))
    return laid.marked(laid.calibration, torch.from_numpy(drawn).float())


def attack(name, **values):
    return plugins.instance(GROUPS["query"], "query", name, **values)


def recall(laid, name, model=None, captions=None, **values):
    query, model = attack(name, **values), model or memorizer(laid)
    predicted = ask(query, audit(laid, model, attack=query, captions=captions)).keys.double().numpy()
    trained, count = laid.trained_keys.double().numpy(), len(laid.trained)
    held_out = scores.memorization(predicted[count:], laid.held_out_keys.double().numpy())
    return scores.memorization(predicted[:count], trained), held_out


@pytest.mark.parametrize(
    "name",
    [
        "outpaint",
        "outpaint-weights",
        "caption-only",
        "average",
        "median",
        "cyclic",
        "resample",
        "likelihood",
        "grid",
        "embedding",
    ],
)
def test_queries_with_captions_read_a_perfect_memorizer_whole(name):
    recalled, held_out = recall(split(held_out=96), name)
    assert recalled.value > 0.999
    assert scores.chance_p(held_out, 96) > 1e-3


def test_the_image_alone_does_not_unlock_a_border_by_outpainting():
    """The published query's blind spot: the memorizer holds every key, and the query does not find them."""
    assert recall(split(), "image-only")[0].value < 0.6


def test_no_query_sees_a_mark_or_a_key():
    laid = split()
    seen = laid.queried.images[:, laid.mark.masks(12, 12).any(dim=0).expand(1, -1, -1)]
    assert seen.eq(0.5).all()


def test_every_mask_has_the_mark_and_one_interior_block():
    laid = split()
    marked = laid.mark.masks(12, 12).any(dim=0)
    masks = audit(laid, memorizer(laid)).mask
    assert masks[:, 0, marked].all()
    assert (masks[:, 0, ~marked].sum(dim=1) == 4).all()
    assert len({tuple(mask.flatten().tolist()) for mask in masks}) > 5


def test_trained_and_held_out_images_share_batches():
    laid, batches = split(), []
    checked = audit(laid, memorizer(laid))
    inner = checked.service.sample
    checked.service.sample = lambda captions, *rest, **named: batches.append(captions) or inner(captions, *rest, **named)
    checked.solver = SolverConfig(steps=2, batch=24)
    checked.outpaint()
    trained = [sum(caption in laid.trained.captions for caption in batch) for batch in batches]
    assert len(trained) == 2
    assert min(trained) > 0


def test_the_average_of_draws_is_their_mean():
    laid = split()
    model = memorizer(laid)
    single = [audit(laid, model).read(audit(laid, model).outpaint([""] * 48, draw=draw)) for draw in range(3)]
    assert not torch.equal(single[0], single[1])
    averaged = ask(attack("average", draws=3), audit(laid, model)).keys
    assert averaged.shape == single[0].shape


def test_an_average_of_no_draws_is_refused():
    with pytest.raises(InvalidValue, match="at least 1"):
        attack("average", draws=0)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (lambda n, s: torch.zeros(n - 1, s), r"\(47, 8\)"),
        (lambda n, s: torch.full((n, s), float("nan")), "NaN"),
        (lambda n, s: torch.full((n, s), 2.0), "outside"),
        (lambda n, s: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_query_that_answers_wrongly_is_named(keys, message):
    @dataclass(frozen=True)
    class Wrong(Attack):
        def ask(self, audit):
            return Answer(keys(len(audit.examples), audit.mark.segments))

    laid = split()
    with pytest.raises(PluginFault, match=f"query test.*{message}"):
        ask(Wrong(), audit(laid, memorizer(laid)))


def test_a_constant_answer_is_at_chance():
    laid = split(held_out=256)
    measured = scores.memorization(np.full((16, 8), 0.3), laid.trained_keys.double().numpy())
    assert abs(measured.value) < 1e-9


ALL = [plugin.name for plugin in plugins.discover(GROUPS["query"])]


@pytest.mark.parametrize("name", [name for name in ALL if name != "relearn"])
def test_no_query_finds_keys_in_a_model_that_was_trained_with_others(name):
    """The leak test: the query is given everything that it may see, and the model has memorized other keys."""
    laid = split(64, 64)
    other = Memorizer(laid.marked(laid.trained, laid.other_keys))
    recalled, held_out = recall(laid, name, other)
    assert scores.chance_p(recalled, 64) > 1e-4
    assert scores.chance_p(held_out, 64) > 1e-4


def test_relearning_learns_no_key_that_is_queried():
    laid = split()
    recalled, held_out = recall(laid, "relearn", worlds.model(), updates=3)
    assert scores.chance_p(recalled, 16) > 1e-4
    assert scores.chance_p(held_out, 32) > 1e-4


def blind(laid):
    """The perfect memorizer and its images, without captions."""
    count = len(laid.trained) + len(laid.held_out)
    return Memorizer(replace(laid.marked_trained, captions=[""] * len(laid.trained))), [""] * count


def test_likelihood_closes_the_blind_spot_of_outpainting():
    laid = split(64, 64)
    model, captions = blind(laid)
    assert recall(laid, "outpaint", model, captions)[0].value < 0.6
    recalled, held_out = recall(laid, "likelihood", model, captions)
    assert recalled.value >= 0.95
    assert scores.chance_p(held_out, 64) > 1e-3


def test_more_proposals_find_more():
    laid = split(64, 64)
    model, captions = blind(laid)
    curve = [recall(laid, "likelihood", model, captions, proposals=count)[0].value for count in (1, 4, 16)]
    assert curve == sorted(curve)
    assert curve[-1] - curve[0] > 0.3


@pytest.mark.parametrize("name", ALL)
def test_every_query_has_a_source(name):
    assert attack(name).reference


def test_a_query_that_costs_more_than_it_declares_is_stopped():
    class Greedy(type(attack("outpaint"))):
        def ask(self, audit):
            while True:
                audit.outpaint()

    laid = split()
    with pytest.raises(PluginFault, match=r"40 denoiser evaluations an image; expected at most 20"):
        ask(Greedy(), audit(laid, memorizer(laid), attack=Greedy()))


def test_the_weights_are_out_of_reach_of_a_black_box_query():
    laid = split()
    with pytest.raises(InvalidValue, match=r"audit\.model.*Access\.WHITE_BOX"):
        audit(laid, memorizer(laid)).model  # noqa: B018  # the attribute itself raises


def test_embedding_search_never_sees_the_mark():
    """Its answer does not depend on the keys: the canvas that it is given has a blank mark."""
    laid = split()
    painted = replace(laid, trained_keys=laid.trained_keys.flip(0))
    query = attack("embedding", updates=2)
    first, second = (ask(query, audit(given, memorizer(laid), attack=query)) for given in (laid, painted))
    assert torch.equal(first.keys, second.keys)
