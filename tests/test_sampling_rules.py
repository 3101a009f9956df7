"""Rules of the sampler one by one: which branches are evaluated, what is refused, what a pipeline is asked and counted."""

import hashlib
import math
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
import worlds
from worlds import model

from solidmark import sampling
from solidmark.errors import NotApplicable, PluginFault
from solidmark.mitigation.composition import Composition
from solidmark.models import Evaluations, SamplingBatch, metered
from solidmark.pipelines import Counts, Loaded
from solidmark.sampling import BaseSampler, Drawing, Service, SolverConfig, guide

LIKE = torch.zeros(2, 1, 3, 3)


def test_a_branch_of_weight_zero_is_left_out_whatever_is_in_it():
    lost, u = torch.full_like(LIKE, math.nan), torch.rand_like(LIKE)
    assert torch.equal(guide(u, lost, 0), u)
    assert torch.equal(guide(lost, u, 1.0), u)
    assert guide(u, lost, torch.tensor(0.0)).isnan().all()


class Recorder:
    """A denoiser that gives the numbers of the condition, and notes how many rows each call had."""

    def __init__(self, precision="float32"):
        self.config, self.calls = SimpleNamespace(precision=precision), []

    def predict(self, x, t, condition):
        self.calls.append((len(x), t))
        return SimpleNamespace(noise=x + condition[:, :1, :1, None])


def asked(precision="float32", tokens=2, captions=("one", "two"), scale=3.0, outer=None, like=LIKE):
    """What the innermost sampler predicts with a scale, of captions at 1 and the null condition at 0; calls and scales."""
    denoiser, scales = Recorder(precision), []
    hooks = SimpleNamespace(label="x", guidance=lambda given, share: scales.append((given, share)) or scale)
    sampler = BaseSampler(denoiser, hooks)
    if outer is not None:
        sampler.outer = SimpleNamespace(scale=lambda u, c, t, batch: scales.append((u, c)) or outer)
    batch = SimpleNamespace(embeddings=torch.ones(2, tokens, 1), unconditional=torch.zeros(2, 2, 1), guidance=7.5)
    batch.conditional = torch.tensor([bool(caption) for caption in captions])
    batch.step_fraction = lambda t: t / 100
    return sampler.predict(like, 40, batch), denoiser.calls, scales


@pytest.mark.parametrize(
    ("given", "noise", "calls"),
    [
        ({}, 3.0, [4]),
        ({"precision": "bfloat16"}, 3.0, [2, 2]),
        ({"tokens": 5}, 3.0, [2, 2]),
        ({"captions": ("one", "")}, 3.0, [4]),
        ({"captions": ("", "")}, 0.0, [2]),
        ({"scale": 0}, 0.0, [2]),
        ({"scale": 1.0}, 1.0, [2]),
        ({"scale": torch.tensor(1.0)}, 1.0, [4]),
        ({"outer": 1.0}, 1.0, [4]),
        ({"outer": torch.tensor([0.5, 0.5])}, 0.5, [4]),
        ({"outer": 0.0, "captions": ("", "")}, 0.0, [2]),
    ],
)
def test_branches_pass_together_where_they_can_and_one_alone_where_the_other_has_no_weight(given, noise, calls):
    found, seen, scales = asked(**given)
    assert torch.equal(found, torch.full_like(LIKE, noise))
    assert seen == [(count, 40) for count in calls]
    if "outer" in given:
        ((u, c),) = scales
        assert [float(one.mean()) for one in (u, c)] == ([0.0, 0.0] if "captions" in given else [0.0, 1.0])
    else:
        assert {*scales} == {(7.5, 0.4)}


@pytest.mark.parametrize(("more", "calls"), [(0, [4]), (1, [2, 2])])
def test_as_many_numbers_as_may_pass_together(monkeypatch, more, calls):
    monkeypatch.setattr(sampling, "TOGETHER", LIKE.numel() - more)
    assert [count for count, _ in asked()[1]] == calls


@pytest.mark.parametrize(
    ("outer", "fits"), [(torch.ones(1), True), (torch.ones(2), True), (torch.ones(3), False), (True, True)]
)
def test_a_scale_is_one_number_or_one_an_image(outer, fits):
    if fits:
        asked(outer=outer)
    else:
        with pytest.raises(PluginFault, match=r"sampler, scale: found \(3,\).*\(2,\) of them"):
            asked(outer=outer)


ONE = {"captions": ["one"], "observed": LIKE[:1], "mask": LIKE[:1] == 0, "noises": LIKE[:1, None]}


@pytest.mark.parametrize(
    ("more", "solver"),
    [
        ({"begin": LIKE}, {}),
        ({"embeddings": LIKE}, {}),
        ({}, {"rounds": 2}),
        ({}, {"strength": 0.99}),
    ],
)
def test_a_pipeline_is_asked_for_captions_and_given_pixels_alone(monkeypatch, more, solver):
    service = Service(model(), Composition(), 0)
    service.__dict__["pipeline"] = "a pipeline"
    monkeypatch.setattr(Service, "_ask_pipeline", lambda self, *given: given)
    plain = SolverConfig(steps=4)
    assert service.sample(**ONE, solver=plain) == ("a pipeline", *ONE.values(), plain)
    with pytest.raises(NotApplicable, match="images to begin from, embeddings or steps back"):
        service.sample(**ONE, solver=replace(plain, **solver), **more)


def test_a_pipeline_is_asked_with_the_numbers_of_the_solver_and_its_warnings_are_told_once(monkeypatch):
    told = []
    answers = SimpleNamespace(counts=Counts(denoiser=5), warnings=["a", "b"], refused="refused", images="images")
    monkeypatch.setattr(sampling, "ask", lambda *given, **named: told.append((given, named)) or answers)
    service = Service(model(), Composition(), 9)
    service.warnings = ["b"]
    drawn, solver = torch.arange(6.0).reshape(2, 3), SolverConfig(steps=7, guidance=2.5, batch=64, reencode=3)
    loaded = Loaded(SimpleNamespace(), batch=5)
    assert service._ask_pipeline(loaded, ["one", "two"], LIKE, LIKE == 0, drawn, solver) == "images"
    ids = [int.from_bytes(hashlib.sha256(drawn[row, 0].numpy().tobytes()).digest()[:7]) for row in (0, 1)]
    ((given, named),) = told
    assert (given[0], given[3]) == (loaded, ["one", "two"])
    assert named == {"steps": 7, "guidance": 2.5, "batch": 2, "every": 3, "seed": 9, "ids": ids}
    assert (service.warnings, service.refused, service.model.evaluations.forward) == (["b", "a"], ["refused"], 5)


@pytest.mark.parametrize(("seen", "own", "metered_"), [(0, 10, 7), (3, 10, 4), (7, 10, 0), (9, 12, 0)])
def test_what_a_pipeline_computed_is_counted_once(seen, own, metered_):
    service = Service(model(), Composition(), 0)
    names = ("forward", "backward", "encoded", "decoded")
    for number, name in enumerate(names):
        setattr(service.model.evaluations, name, 3 + number)
    before = Evaluations(**{name: seen + number for number, name in enumerate(names)})
    with metered() as count:
        service._count(Counts(7, 8, 9, 10), before)
    found = service.model.evaluations
    assert [getattr(found, name) for name in names] == [own + 2 * number for number in range(4)]
    assert [getattr(count, name) for name in names] == [metered_] * 4


def batch_of(**solver):
    captions, noise = ["one w1", ""], torch.rand(2, 1, 12, 12)
    mask = solver.pop("mask", torch.ones(2, 1, 12, 12, dtype=torch.bool))
    config = SolverConfig(steps=4, guidance=2.0, eta=0.5, **solver)
    observed = torch.rand(2, 1, 12, 12)
    made = Service(model(), Composition(), 0)._batch(captions, observed, mask, noise, config, None)
    return made, observed, noise


def test_a_batch_has_what_it_was_asked_with():
    made, observed, noise = batch_of()
    assert (made.captions, made.guidance, made.eta, made.steps) == (["one w1", ""], 2.0, 0.5, 4)
    assert (made.refused.tolist(), made.times) == ([False, False], model().schedule.times(4))
    assert torch.equal(made.noise, noise)
    assert torch.allclose(made.observed, model().encode(observed))
    assert torch.equal(made.embeddings[1], made.unconditional[0])
    assert not torch.equal(made.embeddings[0], made.unconditional[0])
    assert (made.pixels, made.shown, made.reencode, made.renew_all) == (None, None, 0, False)


@pytest.mark.parametrize(("strength", "count"), [(1.0, 4), (0.5, 2), (0.63, 3), (0.01, 1)])
def test_of_less_than_the_whole_strength_the_last_steps_are_taken(strength, count):
    assert batch_of(strength=strength)[0].times == model().schedule.times(4)[-count:]


@pytest.mark.parametrize(("renew", "all_masked", "reencode"), [(True, True, 2), (False, True, 0), (False, False, 2)])
def test_where_nothing_is_observed_nothing_is_encoded_anew_unless_all_is(renew, all_masked, reencode):
    mask = torch.ones(2, 1, 12, 12, dtype=torch.bool)
    mask[1, 0, 0, 0] = all_masked
    assert batch_of(mask=mask, reencode=2, renew_all=renew)[0].reencode == reencode


def test_sampling_from_an_image_begins_with_its_noised_form():
    denoiser, solver, begun = model(), SolverConfig(steps=4, strength=0.5), []
    start = SamplingBatch.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SamplingBatch, "start", lambda self, noise: begun.append((self, noise)) or start(self, noise))
        drawn, begin = sampling.noises([0], denoiser.shape, solver.draws, 0, "test"), torch.rand(1, 1, 12, 12)
        mask = torch.ones(1, 1, 12, 12, dtype=torch.bool)
        Service(denoiser, Composition(), 0).sample(["one"], LIKE.new_zeros(1, 1, 12, 12), mask, drawn, solver, begin=begin)
    ((batch, noise),) = begun
    t = denoiser.schedule.times(4)[2]
    assert (batch.times[0], torch.equal(noise, batch.noise)) == (t, True)
    assert torch.allclose(noise, denoiser.schedule.add_noise(denoiser.encode(begin), drawn[:, 0], t))


NAMES = ("noise", "mask", "refused", "observed", "embeddings", "unconditional")


@pytest.mark.parametrize("name", NAMES)
def test_each_tensor_of_a_prepared_batch_keeps_its_form_and_is_finite(name):
    given, service = batch_of()[0], Service(model(), worlds.composed(), 0)
    old = getattr(given, name)
    wrong = [old[:1], None] + ([old.clone().fill_(math.nan)] if old.is_floating_point() else [])
    for new in wrong if old.ndim > 1 else wrong[:2]:
        with pytest.raises(PluginFault, match=f"sampler, prepare: found {name} "):
            service._prepared(replace(given, **{name: new}), given)
    longer = torch.cat([old, old], dim=-1)
    if name in ("embeddings", "unconditional"):
        assert service._prepared(replace(given, **{name: longer}), given) is not None
    else:
        with pytest.raises(PluginFault, match=f"prepare: found {name} "):
            service._prepared(replace(given, **{name: longer}), given)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        (LIKE + math.nan, r"found \(2, 1, 3, 3\) torch.float32 on cpu; expected"),
        (LIKE[:1], r"found \(1, 1, 3, 3\) torch.float32 on cpu, finite; expected"),
        (None, r"found NoneType; expected \(2, 1, 3, 3\) torch.float32 on cpu, finite"),
    ],
)
def test_a_sample_of_another_form_is_told_with_whether_it_is_finite(changed, told):
    service = Service(model(), Composition(), 0)
    assert service._check(LIKE, LIKE, "step") is LIKE
    with pytest.raises(PluginFault, match=told):
        service._check(changed, LIKE, "step")


@pytest.mark.parametrize(("held", "drawing"), [(4 * 2 * 3 * 16, False), (4 * 2 * 3 * 16 - 1, True)])
def test_as_many_bytes_as_may_be_held_are_drawn_at_once(monkeypatch, held, drawing):
    monkeypatch.setattr(sampling, "HELD", held)
    streams = [torch.Generator(), torch.Generator()]
    assert isinstance(sampling.draw(streams, (16,), 3, torch.device("cpu")), Drawing) is drawing


def test_a_record_has_the_fields_of_a_solver_and_those_of_latents_where_they_act():
    block = {"name": "x", "steps": 5, "eta": 0.5, "guidance": 2.0, "batch": 3, "rounds": 2, "strength": 0.25}
    plain = SolverConfig(**block)
    assert plain.as_block() == block
    assert replace(plain, renew_all=True).as_block() == block
    again = replace(plain, reencode=4, renew_all=True)
    assert again.as_block() == {**block, "reencode": 4, "renew_all": True}
    assert (plain.visited, plain.draws_a_step, plain.draws, plain.evaluations) == (1, 5, 6, 4)
    assert (SolverConfig(steps=6, strength=0.75).visited, SolverConfig(steps=6).evaluations) == (4, 12)
