"""Plugins run alone: no frame of the suite is above theirs, whoever asks, and all that is of the thread stays."""

import signal
import time
import traceback
from dataclasses import dataclass

import frauds
import pytest
import torch
import worlds
from test_training import trained, wrapping

from solidmark import Mitigation, Sampler, Stage
from solidmark.errors import PluginFault
from solidmark.measurement import answers
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.guard import alone, each, plugin_code
from solidmark.queries import Answer, Attack
from solidmark.sampling import SolverConfig
from solidmark.store import Store
from solidmark.timeouts import TimeUp, at_most

SEEN: dict[str, list[str]] = {}


def note(place):
    SEEN[place] = frauds.callers(3)


class LooksUp(Sampler):
    def prepare(self, batch):
        note("prepare")
        batch.model.network.register_forward_hook(lambda *_: note("network"))
        return self.inner.prepare(batch)

    def scale(self, unconditional, conditional, t, batch):
        note("scale")
        return self.inner.scale(unconditional, conditional, t, batch)

    def after(self, x, x0, t, batch):
        note("after")
        return self.inner.after(x, x0, t, batch)


@dataclass(frozen=True)
class LookingUp(Mitigation):
    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        return note("caption") or captions

    def condition(self, embeddings, rng):
        return note("condition") or embeddings

    def guidance(self, scale, step_fraction):
        return note("guidance") or scale

    def sampler(self, inner):
        note("sampler")
        return LooksUp(self, inner)


@dataclass(frozen=True)
class LooksUpToo(Attack):
    def ask(self, audit):
        note("ask")
        return Answer(audit.read(audit.outpaint()))


@pytest.fixture
def seen(tmp_path):
    SEEN.clear()
    case = Case("tiny", worlds.tiny(), worlds.composed(LookingUp()), 0, (("x", LooksUpToo()),), SolverConfig(steps=2))
    model = worlds.build(case.testbed.recipe.network, torch.Generator()).frozen()
    answers.ask_query(case, "x", model, Workspace(Store(tmp_path)))
    return SEEN


def test_hooks_wrappers_and_queries_find_no_frame_above_their_own(seen):
    hook = seen.pop("network")
    assert {place: above for place, above in seen.items() if above} == {}
    assert len(seen) == 8
    assert not [name for name in hook if "measurement" in name or "queries" in name]
    assert hook[-1].endswith("sampling.py:_sample")


def test_trainers_find_no_frame_above_their_own():
    def batches(self):
        for indices in self.inner.batches():
            note("batches")
            yield indices

    trained(wrapping(batches=batches, update=lambda self, indices: note("update") or self.inner.update(indices)))
    assert (SEEN["batches"], SEEN["update"]) == ([], [])


@pytest.mark.parametrize("value", [None, (), (1,), (1, 2), {"a": 1}])
def test_a_call_returns_what_it_returns(value):
    assert alone(lambda given, *, named: (given, named), value, named=value) == (value, value)
    assert alone(lambda: value) == value


def test_torch_s_modes_and_time_limits_act_inside():
    with torch.no_grad():
        assert not alone(torch.is_grad_enabled)
    with pytest.raises(TimeUp, match="in slow"), at_most(0.2):
        alone(slow)
    assert signal.getitimer(signal.ITIMER_REAL)[0] == 0


def slow():
    time.sleep(30)


def test_what_is_raised_inside_has_its_own_line():
    with pytest.raises(PluginFault) as caught, plugin_code("here", "an end"):
        alone(lambda: 1 / 0)
    assert traceback.extract_tb(caught.value.__cause__.__traceback__)[-1].name == "<lambda>"


def test_an_iterator_that_raises_is_a_fault_by_its_name():
    items = each((1 // (2 - number) for number in range(3)), "wrapper x")
    assert [next(items), next(items)] == [0, 1]
    with pytest.raises(PluginFault, match="wrapper x: found ZeroDivisionError"):
        next(items)
