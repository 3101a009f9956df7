"""`solidmark.testing.check`: what keeps the rules passes, and each broken rule is named."""

import itertools
from dataclasses import dataclass, field, replace

import greenlet
import numpy as np
import pytest
import torch

from solidmark import Mitigation, Sampler, Stage, marks, plugins, testing
from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.mitigation import Needs, overridden_hooks, stream_name
from solidmark.queries import Access, Answer, Attack
from solidmark.testing import Checked, check, examine
from solidmark.testing.toys import ToySetup, toy

TEXT = ("text",)


def hook(function, name="condition", stage=Stage.SAMPLING):
    return dataclass(frozen=True)(type("Overrides", (Mitigation,), {name: function, "stage": stage}))()


def faults(thing):
    return "\n".join(examine(thing, TEXT).faults)


@pytest.mark.parametrize("name", ["none", "rna", "agc", "wen-embedding", "early-stopping"])
def test_methods_of_ours_keep_the_rules(name):
    checked = check(plugins.published(name).mitigation, TEXT)
    assert checked.carried == TEXT


REVIEWED = (
    "bright-ending cads concept-ablation flipd-embedding iet-plus near-access padding-masking padding-replacement retrack "
    "selective-amnesia spell time-frequency tweedie-consistency vdu"
).split()
"""The families that were added from papers alone or from code of others."""


@pytest.mark.parametrize("name", REVIEWED)
def test_so_do_those_that_were_added_last_with_few_updates(name):
    few = {"updates": 2, "batch": 4, "samples": 1, "anchors": 1, "iterations": 2}
    published = plugins.published(name).mitigation
    own = published.parameters()
    checked = check(replace(published, **{field: least for field, least in few.items() if field in own}), TEXT)
    assert checked.carried == TEXT


def test_an_edit_that_needs_a_forget_list_is_given_one():
    published = plugins.published("finetune").mitigation
    assert check(replace(published, updates=2, batch=4), TEXT).carried == TEXT


def test_kinds_that_are_carried_and_refused_are_reported():
    checked = check(plugins.published("rna").mitigation)
    assert checked.carried == ("text", "latent", "label")
    assert "captions to act on" in checked.refused["none"]


def test_a_method_is_measured_on_the_perfect_memorizer_with_and_without_it():
    notes = check(plugins.compose("guidance-scale(scale=0.0)").parts[0].mitigation, TEXT).notes
    assert any("M 1.00 without it, " in note and "1.00 with it" not in note for note in notes), notes


def test_a_method_that_works_on_no_kind_is_no_method():
    def refuses(self, embeddings, rng):
        raise NotApplicable("here", "this", "that", "Go elsewhere.")

    assert "works on no kind of model" in faults(hook(refuses))


def drawn_globally(self, embeddings, rng):
    return embeddings + torch.randn(embeddings.shape)


def seeded_globally(self, embeddings, rng):
    np.random.seed(0)  # noqa: NPY002  # the mischief that is to be caught
    return embeddings + 1


def changed_in_place(self, embeddings, rng):
    return embeddings.mul_(2)


COUNT = itertools.count()


def with_state(self, embeddings, rng):
    return embeddings + next(COUNT)


def with_state_in_itself(self, embeddings, rng):
    object.__setattr__(self, "seen", 1)
    return embeddings + 1


def with_other_settings(self, embeddings, rng):
    torch.set_default_dtype(torch.float64)
    return embeddings + 1


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        (drawn_globally, "the global generator of torch drawn from or seeded"),
        (seeded_globally, "the global generator of NumPy drawn from or seeded"),
        (changed_in_place, "condition changes its input"),
        (with_state, "the same seed gave two results"),
        (with_state_in_itself, "keeps state in itself"),
        (with_other_settings, "changes default dtype of the process"),
        (lambda self, e, rng: e.to("meta"), "on meta"),
        (lambda self, e, rng: e[:, :1], "expected a tensor (48, 9, 8) torch.float32 on cpu"),
        (lambda self, e, rng: e * float("nan"), "NaN or infinity"),
        (lambda self, e, rng: 1 / 0, "ZeroDivisionError"),
    ],
)
def test_a_hook_that_breaks_a_rule_is_named(condition, message):
    assert message in faults(hook(condition))


def test_process_settings_are_restored():
    faults(hook(with_other_settings))
    assert torch.get_default_dtype() == torch.float32


@dataclass(frozen=True)
class Misspelt(Mitigation):
    def guidance(self, scale, step_fraction):
        return 0.5 * scale

    def conditions(self, embeddings, rng):
        return embeddings


@dataclass(frozen=True)
class HoldsAnObject(Mitigation):
    thing: object = field(default_factory=object)

    def guidance(self, scale, step_fraction):
        return 0.5 * scale


@dataclass(frozen=True)
class TwiceTheSame(Mitigation):
    factor: float = 0.5

    def guidance(self, scale, step_fraction):
        return self.factor * scale

    def settings(self):
        return [TwiceTheSame(0.5), TwiceTheSame(0.5)]


@dataclass(frozen=True)
class WithoutDefault(TwiceTheSame):
    def settings(self):
        return [WithoutDefault(0.1), WithoutDefault(0.2)]


@dataclass(frozen=True)
class NoHook(Mitigation):
    factor: float = 0.5


class Thawed(Mitigation):
    factor: float = 0.5

    def guidance(self, scale, step_fraction):
        return self.factor * scale


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Misspelt, "Misspelt.conditions is public and overrides no hook: did you mean condition?"),
        (HoldsAnObject, "object has no one description"),
        (TwiceTheSame, "distinct parameters"),
        (WithoutDefault, "the published default WithoutDefault(factor=0.5) among them"),
        (NoHook, "overrides no hook"),
        (Thawed, "no @dataclass(frozen=True) above it"),
    ],
)
def test_a_class_that_breaks_a_rule_is_named(monkeypatch, kind, message):
    monkeypatch.setattr(testing, "_check_actions", lambda *words: None)  # what it does is fine
    assert message in faults(kind())


class Uncounted(Sampler):
    def predict(self, x, t, batch):
        cells = torch.nn.functional.pixel_unshuffle(x, 2)
        self.model.network(cells, t, encoder_hidden_states=batch.embeddings)
        return self.inner.predict(x, t, batch)


class MisspeltWrapper(Sampler):
    def scales(self, unconditional, conditional, t, batch):
        return 0.0


class Gray(Sampler):
    def after(self, x, x0, t, batch):
        return x * 0


class Paints(Sampler):
    """Paints the keys that its mitigation finds, by caption."""

    def prepare(self, batch):
        split = in_reach("split")
        asked, found = split.queried.captions, self.mitigation._keys(split)
        rows = [asked.index(caption) if caption in asked else 0 for caption in batch.captions]
        self.painted = lambda x: marks.paint(split.mark, x, found[rows])
        return self.inner.prepare(batch)

    def after(self, x, x0, t, batch):
        return x if t != batch.times[-1] else self.model.encode(self.painted(self.model.decode(x)))


def in_reach(name):
    """From the frames of the callers, which are on other stacks: a plugin has to know how it is run to get there."""
    stack, frame = greenlet.getcurrent().parent, None
    while frame is None or name not in frame.f_locals:
        frame, stack = (frame.f_back, stack) if frame else (stack.gr_frame, stack.parent)
    return frame.f_locals[name]


def wrapping(wrapper):
    return hook(lambda self, inner: wrapper(self, inner), "sampler")


@pytest.mark.parametrize(
    ("wrapper", "message"),
    [
        (Uncounted, "were counted"),
        (MisspeltWrapper, "MisspeltWrapper.scales is never called: did you mean scale?"),
        (Gray, "mark not valid"),
    ],
)
def test_a_wrapper_that_breaks_a_rule_is_named(wrapper, message):
    assert message in faults(wrapping(wrapper))


@dataclass(frozen=True)
class PaintsWhatIsInReach(Mitigation):
    def sampler(self, inner):
        return Paints(self, inner)

    def _keys(self, split):
        return torch.cat([split.trained_keys, split.held_out_keys])


@dataclass(frozen=True)
class PaintsTheSplit(PaintsWhatIsInReach):
    def _keys(self, split):
        return super()._keys(toy("text").split(split.seed))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (PaintsWhatIsInReach, "planted keys: M = +1.000"),
        (PaintsTheSplit, "keys of the split, which this model never saw: M = +1.000"),
    ],
)
def test_a_method_that_paints_keys_from_elsewhere_is_found_out(kind, message):
    assert message in faults(kind())


@pytest.mark.parametrize("name", ["outpaint", "average", "caption-only"])
def test_queries_of_ours_keep_the_rules(name):
    checked = check(plugins.instance("solidmark.queries", "query", name), TEXT)
    assert "perfect memorizer: M 1.00" in checked.notes


def test_a_query_that_cannot_ask_a_kind_says_so():
    checked = check(plugins.instance("solidmark.queries", "query", "embedding", updates=1), ("text", "none"))
    assert (checked.carried, list(checked.refused)) == (("text",), ["none"])


def query(ask, access=Access.BLACK_BOX):
    return dataclass(frozen=True)(type("Asks", (Attack,), {"ask": ask, "access": access}))()


def some(audit, value):
    return Answer(torch.full((len(audit.examples), audit.mark.segments), value))


def guesses(self, audit):
    rng = torch.Generator().manual_seed(1)
    return Answer(torch.rand((len(audit.examples), audit.mark.segments), generator=rng))


def answers_otherwise(self, audit):
    return Answer((audit.read(audit.outpaint()) + 1e-3 * next(COUNT)).clamp(0, 1))


def makes_the_split(self, audit):
    return Answer(PaintsTheSplit()._keys(in_reach("split")))


def asks_twice(self, audit):
    audit.outpaint()
    return Answer(audit.read(audit.outpaint(draw=1)))


def changes_the_model(self, audit):
    with torch.no_grad():
        next(iter(audit.model.network.parameters())).add_(1)
    return Answer(audit.read(audit.outpaint()))


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda self, audit: some(audit, 0.25), "the same keys for every image"),
        (lambda self, audit: some(audit, 2.0), "outside [0, 1]"),
        (lambda self, audit: Answer(torch.rand(2, 2)), "Answer(keys) of shape (48, 8)"),
        (lambda self, audit: Answer(audit.keys), "planted keys: M = +1.000"),
        (guesses, "it finds nothing"),
        (answers_otherwise, "two runs gave two answers"),
        (makes_the_split, "keys of the split, which this model never saw: M = +1.000"),
        (asks_twice, "24 denoiser evaluations an image; expected at most 12, as declared"),
    ],
)
def test_a_query_that_breaks_a_rule_is_named(ask, message):
    assert message in faults(query(ask))


def test_a_query_that_changes_the_model_is_found_out_and_the_next_one_finds_it_unchanged():
    assert "a changed model" in faults(query(changes_the_model, Access.WHITE_BOX))
    assert not faults(plugins.instance("solidmark.queries", "query", "outpaint"))


def test_a_query_without_a_cost_is_named():
    free = dataclass(frozen=True)(type("Free", (Attack,), {"cost": lambda self, solver: 0.0}))()
    assert "expected a positive number" in faults(free)


def test_every_fault_is_in_one_message_with_the_name(monkeypatch):
    monkeypatch.setattr(testing, "_check_actions", lambda *words: None)
    with pytest.raises(PluginFault, match=r"Misspelt: found \n  - Misspelt\.conditions is public"):
        check(Misspelt(), TEXT)
    assert Checked("x").faults == ()


def test_a_class_in_place_of_an_instance_is_told_how_to_write_it():
    with pytest.raises(InvalidValue, match=r"Write `check\(Misspelt\(\)\)`"):
        check(Misspelt)


@dataclass(frozen=True)
class Streamed(Mitigation):
    """With a stream of another name than its own."""

    stage = Stage.SAMPLING
    stream = "an older name"

    def condition(self, embeddings, rng):
        return embeddings + torch.randn(embeddings.shape, generator=rng)


@pytest.mark.parametrize("kind", [Streamed, type(plugins.published("rna").mitigation)])
def test_a_watched_method_draws_from_the_streams_of_the_method_itself(kind):
    watched = testing._watch(kind(), testing.FaultLog())
    assert stream_name(type(watched)) == stream_name(kind)
    assert overridden_hooks(type(watched)) == overridden_hooks(kind)
    assert watched.parameters() == kind().parameters()


def test_a_snapshot_follows_the_images_handed_out_and_the_weights():
    setup = ToySetup("text", Needs.NOTHING)
    before = setup.snapshot()
    for changed in (setup.split.training.images, next(setup.model.network.parameters()).data):
        kept = changed.clone()
        changed.add_(1)
        after = setup.snapshot()
        changed.copy_(kept)
        assert after != before
        assert setup.snapshot() == before
