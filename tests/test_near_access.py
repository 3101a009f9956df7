"""Near access-freeness: the mixture by its formula, the halves by what they were trained on."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations.near_access import NearAccessFree
from test_attention_mitigations import CAPTIONS, caption_batch
from worlds import composed, model, tiny

from solidmark.errors import InvalidValue
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation import Needs, WrapperContext
from solidmark.mitigation.handout import Data
from solidmark.sampling import SolverConfig, guide
from solidmark.store import Store


def guided(denoiser, x, t):
    c, u = (denoiser.predict(x, t, denoiser.embed(texts)).noise for texts in (CAPTIONS, [""] * 3))
    return guide(u, c, 3.0)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_the_mixture_is_the_mean_of_both_guided_halves_with_a_share_of_the_model_itself(share):
    batch, halves = caption_batch(), (model(1), model(2))
    x = torch.randn(3, 1, 12, 12, generator=torch.Generator().manual_seed(1))
    inner = SimpleNamespace(context=WrapperContext("own", None, SimpleNamespace(halves=halves)), model=batch.model)
    inner.prepare, inner.scale = lambda given: given, lambda *_: 3.0
    inner.predict = lambda x, t, batch: guided(batch.model, x, t)
    sampler = NearAccessFree(share).sampler(inner)
    found = sampler.predict(x, 20, sampler.prepare(batch))
    own, first, second = (guided(one, x, 20) for one in (batch.model, *halves))
    assert torch.allclose(found, (1 - share) * own + share * (first + second) / 2, atol=1e-5)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    case = Case("tiny", tiny(), composed(NearAccessFree()), 0, (), SolverConfig(steps=2))
    return SimpleNamespace(case=case, workspace=Workspace(Store(tmp_path_factory.mktemp("store")), "cpu"))


def test_halves_share_no_image_and_together_are_the_training(asked):
    plain, sets = asked.case, [weights._training_set(replace(asked.case, half=half)) for half in (0, 1)]
    first, second = ({*one.examples.ids} for one in sets)
    assert not first & second
    assert first | second == {*plain.blind.split.training.ids}
    both = dict(zip(plain.blind.split.training.ids, plain.training_keys.tolist(), strict=True))
    assert all(both[number] == key for one in sets for number, key in zip(one.examples.ids, one.keys.tolist(), strict=True))


def test_halves_are_two_trained_models_whose_evaluations_are_those_of_the_service(asked):
    service = model()
    handed = weights.at_sampling(asked.case, asked.case.blind, asked.workspace, service)
    first, second = handed["first_half"], handed["second_half"]
    assert weights.fingerprint(first) != weights.fingerprint(second)
    assert first.evaluations is service.evaluations
    data = Data(Needs.HALVES, "own", sampled=True, **handed)
    assert data.halves == (first, second)


def test_a_row_that_does_not_ask_has_no_halves_and_its_own_cost(asked):
    plain, cost = replace(asked.case, composition=composed()), {"forward": 3, "backward": 2, "seconds": 1.0}
    assert weights.halves_or_load(plain, asked.workspace) == []
    assert weights.training_cost(plain, asked.workspace, cost) == cost
    with pytest.raises(InvalidValue, match=r"needs nothing; expected Needs\.HALVES"):
        _ = Data(Needs.NOTHING, "own").halves


def test_the_cost_of_a_row_has_both_trainings(asked):
    cost = weights.training_cost(asked.case, asked.workspace, {"forward": 3, "backward": 2, "seconds": 1.0})
    first, second = weights.halves_or_load(asked.case, asked.workspace)
    assert cost["forward"] == 3 + first[1].cost["forward"] + second[1].cost["forward"]
    assert first[1].cost["forward"] == 3 * 8  # three steps of eight images
