"""Hooks: called in order, each with its own stream, and checked for what they return."""

import json
import math
import os
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from worlds import NoHooks, composed, examples

from solidmark import Mitigation, Needs, Sampler, Stage, plugins
from solidmark.errors import InvalidValue, PluginFault
from solidmark.mitigation import overridden_hooks, stream_name
from solidmark.mitigation.composition import Composition
from solidmark.mitigation.hooks import Hooks, is_scale, signature
from solidmark.models import Evaluations
from solidmark.plugins import GROUPS
from solidmark.sampling import BaseSampler


def hook(name, function, stage=None):
    """An instance of a mitigation that overrides one hook."""
    return dataclass(frozen=True)(type(f"Overrides{name.title()}", (Mitigation,), {name: function, "stage": stage}))()


def hooks(*mitigations, seed=0, data=None):
    return Hooks(composed(*mitigations), seed, "test", data=data)


FIRST_DRAWS = json.loads(Path(__file__).with_name("first_draws.json").read_text())
"""`family.hook`: what its stream drew first when the published records were made."""


@pytest.mark.parametrize("name", FIRST_DRAWS)
def test_every_family_draws_what_it_drew_for_the_published_records(name):
    family, hook = name.split(".")
    part = plugins.published(family)
    stream = Hooks(Composition((part,)), 0, "golden")._stream(0, hook)
    assert int(torch.randint(2**31, (), generator=stream)) == FIRST_DRAWS[name]


def test_no_stream_of_the_published_families_is_gone():
    streamed = {"prepare", "view", "caption", "condition", "edit", "trainer", "sampler"}
    own = [plugin for plugin in plugins.discover(GROUPS["mitigation"]) if plugin.distribution == "solidmark"]
    hooks = {f"{plugin.name}.{hook}" for plugin in own for hook in streamed & set(overridden_hooks(plugins.load(plugin)))}
    assert hooks >= set(FIRST_DRAWS)


def test_a_stated_stream_is_not_inherited():
    parent = type("Parent", (Mitigation,), {"stream": "old name"})
    assert [stream_name(kind) for kind in (parent, type("Child", (parent,), {}))] == ["old name", "Child"]


def test_two_classes_of_one_name_draw_apart():
    twins = (hook("condition", lambda self, e, rng: e + torch.rand((), generator=rng), Stage.SAMPLING) for _ in "ab")
    both = hooks(*twins)
    assert both._stream(0, "condition").initial_seed() != both._stream(1, "condition").initial_seed()


def words(suffix):
    return hook("caption", lambda self, captions, rng: [f"{c} {suffix}" for c in captions], Stage.SAMPLING)


def test_captions_fold_in_order_and_the_null_condition_stays():
    assert hooks(words("a"), words("b")).caption(["one", ""]) == ["one a b", ""]


@pytest.mark.parametrize("later", ["rna-training", "cwr-training", "random-token-training", "caption-replacement"])
def test_a_caption_that_one_part_empties_is_the_null_condition_for_the_next(later):
    first, second = (plugins.published(name).mitigation for name in ("coarse-caption", later))
    folded = hooks(replace(first, words=0), replace(second, probability=1.0))
    assert folded.caption(["one", ""]) == ["", ""]


def test_condition_never_sees_the_null_embedding():
    zero = hook("condition", lambda self, e, rng: e * 0 - 1, Stage.SAMPLING)
    embeddings = torch.ones(3, 2, 4)
    changed = hooks(zero).condition(embeddings, torch.tensor([True, False, True]))
    assert changed[:, 0, 0].tolist() == [-1, 1, -1]
    assert embeddings.eq(1).all()


def test_guidance_scales_fold():
    double = hook("guidance", lambda self, scale, step_fraction: 2 * scale)
    assert hooks(double, double).guidance(1.5, 0.0) == 6.0


@pytest.mark.parametrize("wrong", [lambda c: c[:1], lambda c: [1] * len(c), lambda c: "words", lambda c: None])
def test_captions_of_wrong_number_or_kind_are_named(wrong):
    with pytest.raises(PluginFault, match=r"OverridesCaption, caption.*list of 2 strings"):
        hooks(hook("caption", lambda self, c, rng: wrong(c), Stage.SAMPLING)).caption(["a", "b"])


@pytest.mark.parametrize("wrong", [lambda x: x[:, :1], lambda x: x.double(), lambda x: x * float("nan"), lambda x: 3])
def test_tensors_of_wrong_shape_kind_or_value_are_named(wrong):
    condition = hook("condition", lambda self, e, rng: wrong(e), Stage.SAMPLING)
    with pytest.raises(PluginFault, match="OverridesCondition, condition"):
        hooks(condition).condition(torch.ones(2, 3, 4), torch.ones(2, dtype=torch.bool))


def test_a_view_that_leaves_the_unit_range_is_named():
    with pytest.raises(PluginFault, match=r"view.*from 1 to 2.*images in \[0, 1\]"):
        hooks(hook("view", lambda self, x, rng: torch.tensor([1.0, 2.0]).expand(x.shape))).view(torch.ones(1, 1, 1, 2))


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "3", None])
def test_a_guidance_scale_that_is_no_finite_number_is_named(wrong):
    with pytest.raises(PluginFault, match="guidance"):
        hooks(hook("guidance", lambda self, scale, step_fraction: wrong)).guidance(1.0, 0.0)


def test_an_exception_in_a_hook_names_mitigation_hook_and_cause():
    def fails(self, captions, rng):
        raise KeyError("colour")

    with pytest.raises(PluginFault, match=r"OverridesCaption, caption.*KeyError: 'colour'") as caught:
        hooks(hook("caption", fails, Stage.SAMPLING)).caption(["a"])
    assert isinstance(caught.value.__cause__, KeyError)


def test_prepare_may_drop_and_repeat_examples_but_not_invent_ids():
    given = examples(4)
    halved = hook("prepare", lambda self, e, rng: e.take([0, 0, 2]))
    assert hooks(halved).prepare(given).ids == [0, 0, 2]
    invented = hook("prepare", lambda self, e, rng: type(e)(e.images, e.captions, [9, 8, 7, 6]))
    with pytest.raises(PluginFault, match="ids that were given"):
        hooks(invented).prepare(given)


def noisy():
    return hook("condition", lambda self, e, rng: e + torch.randn(e.shape, generator=rng), Stage.SAMPLING)


def drawn(*mitigations, seed=0):
    return hooks(*mitigations, seed=seed).condition(torch.zeros(2, 3, 4), torch.ones(2, dtype=torch.bool))


def test_streams_depend_on_the_seed_and_not_on_neutral_parts():
    assert torch.equal(drawn(noisy()), drawn(NoHooks(), noisy(), NoHooks()))
    assert not torch.equal(drawn(noisy()), drawn(noisy(), seed=1))


def test_the_same_class_twice_draws_twice():
    part = noisy()
    assert not torch.allclose(drawn(part, part), 2 * drawn(part))


def test_data_is_handed_out_only_where_it_was_declared():
    greedy = hook("edit", lambda self, model, data, rng: data.forget and model)
    with pytest.raises(InvalidValue, match=r"data\.forget.*Needs\.FORGET"):
        hooks(greedy, data={"forget": examples(2)}).edit(SimpleNamespace(parameters=list))


def test_declared_data_arrives():
    seen = []
    kind = type("Asks", (Mitigation,), {"needs": Needs.FORGET, "edit": lambda s, m, d, r: seen.append(d.forget.ids) or m})
    hooks(dataclass(frozen=True)(kind)(), data={"forget": examples(2)}).edit(SimpleNamespace(parameters=list))
    assert seen == [[0, 1]]


def test_a_wrapper_that_does_not_wrap_is_named():
    with pytest.raises(PluginFault, match=r"sampler.*int.*wraps `inner`"):
        hooks(hook("sampler", lambda self, inner: 3)).sampler(BaseSampler(None, None))


def test_a_wrapper_made_outside_its_hook_is_refused():
    with pytest.raises(PluginFault, match="outside its hook"):
        Sampler(NoHooks(), BaseSampler(None, None))


def test_a_copy_that_a_hook_forks_ends_there():
    forks = hook("guidance", lambda self, scale, step_fraction: scale if os.fork() else 0.0)
    assert hooks(forks).guidance(2.0, 0.0) == 2.0
    assert os.waitstatus_to_exitcode(os.wait()[1]) == 1


class Cheats(Sampler):
    def scale(self, unconditional, conditional, t, batch):
        self.mitigation.act(self.model)
        return self.inner.scale(unconditional, conditional, t, batch)


@pytest.mark.parametrize(
    "act", [lambda m: setattr(m.evaluations, "forward", 0), lambda m: setattr(m, "evaluations", Evaluations())]
)
def test_a_wrapper_that_resets_the_count_of_evaluations_is_named(act):
    kind = type("Resets", (Mitigation,), {"act": staticmethod(act), "sampler": lambda self, inner: Cheats(self, inner)})
    model = SimpleNamespace(evaluations=Evaluations(3, 0))
    sampler = hooks(dataclass(frozen=True)(kind)()).sampler(
        BaseSampler(model, SimpleNamespace(guidance=lambda scale, step_fraction: scale))
    )
    with pytest.raises(PluginFault, match="count"):
        sampler.scale(None, None, 1, SimpleNamespace(guidance=1.0, step_fraction=lambda t: 0.0))


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        (3, True),
        (0.5, True),
        (torch.tensor(2.0), True),
        (torch.tensor([1.0, 2.0]), True),
        (torch.ones(1, 1), False),
        (torch.tensor([1.0, math.nan]), False),
        (math.inf, False),
        ("3", False),
        (None, False),
    ],
)
def test_a_guidance_scale_is_a_finite_number_or_one_an_image(value, fits):
    assert is_scale(value) is fits


@pytest.mark.parametrize(
    ("thing", "words"), [(torch.zeros(2, 3), "(2, 3) torch.float32 on cpu"), ([1], "list"), (None, "NoneType")]
)
def test_what_a_hook_gives_is_told_by_shape_type_and_device(thing, words):
    assert signature(thing) == words
