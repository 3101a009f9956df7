"""Checks for authors: does a mitigation or a query keep the rules of the benchmark? Takes seconds, needs no data.

    from solidmark.testing import check

    def test_it_keeps_the_rules_of_the_benchmark():
        check(MyMitigation())

A mitigation acts on a toy model of each kind (text-conditional in pixels, text-conditional in latents, label-conditional,
unconditional). One that acts at sampling also acts on a perfect memorizer. The checks are:

- parameters go through JSON and back;
- every public method overrides a hook;
- the same seed gives the same bits;
- inputs, global generators and the object itself stay as they are;
- shapes and devices fit, and numbers are finite;
- every denoiser evaluation is counted;
- outputs are uncorrelated with secret and decoy keys, and differ between images.

A mitigation refuses a kind of model by raising `NotApplicable`. It must work on at least one kind.

A query is put to the same models. Its answers must have the right shape, repeat, differ between images, cost no more
than declared, find no keys that the model never saw, and find some of those that it has memorized.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import wraps
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .. import plugins, seeds
from ..data import Examples
from ..errors import InvalidValue, NotApplicable, PluginFault
from ..measurement import answers
from ..measurement.measure import check_applicable
from ..measurement.responses import Responses
from ..metrics import controls, scores, scoring
from ..mitigation import HOOKS, Mitigation, Needs, Sampler, Stage, Trainer, Wrapper, overridden_hooks
from ..mitigation.composition import Composition, Part
from ..queries import Attack
from ..runner.process_state import Settings
from .rules import FaultLog, check_json_round_trip, check_settings, misspelt_methods, state, stray_methods
from .toys import SOLVER, ToySetup, count_network_samples

KINDS = ("text", "latent", "label", "none")
"""Kinds of models: conditioned on captions, in pixels or in latents, on labels, or on nothing."""


@dataclass(frozen=True)
class Checked:
    """The result of a check.

    `carried` are the kinds of models that it works on, `refused` those that it does not, with the reason. `faults` are
    the broken rules. `notes` are remarks that are no faults.
    """

    name: str
    carried: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check(thing: Mitigation | Attack, kinds: Sequence[str] = KINDS) -> Checked:
    """The result of `examine`. Raises PluginFault with every fault, a line each, where there is one."""
    checked = examine(thing, kinds)
    if checked.faults:
        lines = "\n".join(f"  - {fault}" for fault in checked.faults)
        raise PluginFault(checked.name, f"\n{lines}\n", "none of these", "See CONTRIBUTING.md, `The rules`.")
    return checked


def examine(thing: Mitigation | Attack, kinds: Sequence[str] = KINDS) -> Checked:
    """The rules that a mitigation or a query breaks, and on which of these kinds of models it works.

    Raises InvalidValue for a class.
    """
    if isinstance(thing, type):
        raise InvalidValue(f"check({thing.__name__})", "a class", "an instance", f"Write `check({thing.__name__}())`.")
    log, settings = FaultLog(), Settings.now()
    torch.set_num_threads(1)  # toys are too small for more
    ours = Settings.now()
    try:
        if isinstance(thing, Attack):
            _check_query(thing, kinds, log)
        else:
            _check_mitigation(thing, kinds, log)
        changed = ours.put_back()
        log.require(not changed, f"it changes {', '.join(changed)} of the process, which all rows share")
    finally:
        settings.put_back()
    faults = tuple(dict.fromkeys(log.faults))
    return Checked(type(thing).__name__, tuple(log.carried), log.refused, faults, tuple(log.notes))


def _check_mitigation(mitigation: Mitigation, kinds: Sequence[str], log: FaultLog) -> None:
    fault = plugins.class_fault(type(mitigation))
    if fault is not None:
        log.faults.append(fault)
        return
    kind = type(mitigation)
    generators = seeds.Globals()
    overrides = bool(overridden_hooks(kind)) or kind.control
    log.require(overrides, f"{kind.__name__} overrides no hook, so it changes nothing")
    log.faults += stray_methods(kind, Mitigation, (*HOOKS, "settings"))
    with log.step("settings"):
        check_settings(mitigation)
    before = len(log.faults)
    with log.step("parameters"):
        check_json_round_trip(mitigation)
    if len(log.faults) == before:
        _check_actions(mitigation, kinds, log)
    touched = generators.restore()
    log.require(not touched, f"the global generator of {', '.join(touched)} was drawn from or seeded")


def _check_actions(mitigation: Mitigation, kinds: Sequence[str], log: FaultLog) -> None:
    """Let it act on every kind of toy, on a GPU where there is one, and on the perfect memorizer."""
    for kind in kinds:
        with log.kind(kind):
            _check_on_toy(mitigation, kind, "cpu", log)
    everywhere = len(log.refused) == len(kinds)
    log.require(not everywhere, f"it works on no kind of model: {'; '.join(dict.fromkeys(log.refused.values()))}")
    for kind in log.carried[:1] if torch.cuda.is_available() else []:
        with log.step(f"model of kind {kind} on a GPU"):
            _check_on_toy(mitigation, kind, "cuda", log)
    if mitigation.stage is Stage.SAMPLING and "text" in log.carried:
        try:
            with log.step("perfect memorizer"):
                _check_on_memorizer(mitigation, log)
        except NotApplicable as reason:
            log.notes.append(f"not checked on the perfect memorizer: {reason}")


def _check_on_toy(mitigation: Mitigation, kind: str, device: str, log: FaultLog) -> None:
    """Act twice on the toy of this kind. Compare the results, the counts, and what may not change."""
    setup, where = ToySetup(kind, mitigation.needs, device), f"model of kind {kind}"
    check_applicable(_compose(mitigation), setup.split)
    act = setup.action(mitigation.stage)
    before, watched = setup.snapshot(), _watch(mitigation, log)
    state_before = state(watched)
    first, second, baseline = act(_compose(watched)), act(_compose(watched)), act(Composition())
    log.require(
        first.equals(second), f"{where}: the same seed gave two results; draw with the generator handed out, keep no state"
    )
    log.require(
        first.computed <= first.counted,
        f"{where}: the denoiser ran on {first.computed} samples, {first.counted} were counted; "
        "call `predict` of the model given",
    )
    log.require(setup.snapshot() == before, f"{where}: it changed images, captions or weights that are not its own")
    log.require(
        state(watched) == state_before, "it keeps state in itself; state belongs into a wrapper, or into a local name"
    )
    if all(a.equal(b) for a, b in zip(first.tensors, baseline.tensors)) and not mitigation.control:
        log.notes.append(f"{where}: nothing changed; in a run such a row fails as inactive")


def _compose(mitigation: Mitigation) -> Composition:
    return Composition((Part(type(mitigation).__name__, mitigation),))


def _watch(mitigation: Mitigation, log: FaultLog) -> Mitigation:
    """The same mitigation, whose hooks compare their arguments before and after, and check the methods of wrappers."""
    kind = type(mitigation)
    hooks = {hook: _guard(hook, getattr(kind, hook), log) for hook in overridden_hooks(kind)}
    same = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "stream": vars(kind).get("stream", "")}
    twin = type(kind.__name__, (kind,), {**hooks, **same})
    watched: Mitigation = twin(**{f.name: getattr(mitigation, f.name) for f in fields(mitigation) if f.init})
    return watched


def _guard(hook: str, method: Callable[..., Any], log: FaultLog) -> Callable[..., Any]:
    @wraps(method)
    def guarded(self: Mitigation, *arguments: Any) -> Any:
        before = [_copy(argument) for argument in arguments]
        returned = method(self, *arguments)
        same = all(_equal(_copy(argument), copy) for argument, copy in zip(arguments, before))
        log.require(same, f"{hook} changes its input; return a new one")
        if isinstance(returned, Wrapper):
            base: type[Wrapper] = Trainer if isinstance(returned, Trainer) else Sampler
            log.faults += misspelt_methods(type(returned), base, base.METHODS)
        return returned

    return guarded


def _copy(value: Any) -> Any:
    """A copy to compare with later; None for what a hook may change: a model of its own, a generator, a wrapper."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Examples):
        return (value.images.clone(), list(value.captions), list(value.ids))
    return list(value) if isinstance(value, list) else None


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.equal(b)
    if isinstance(a, tuple):
        return all(_equal(part, other) for part, other in zip(a, b, strict=True))
    return bool(a == b)


def _check_on_memorizer(mitigation: Mitigation, log: FaultLog) -> None:
    """On the perfect memorizer no answer may follow keys that the mitigation cannot know, or be constant."""
    if Needs.HALVES in mitigation.needs:
        found, cure = "a closed formula, which is not trained", "Nothing: the toys stand for it."
        raise NotApplicable("Needs.HALVES", found, "a model that can be trained on half of the images", cure)
    setup = ToySetup("text", mitigation.needs)
    model, own = answers.memorizer(setup.split, 0)
    plain, mitigated = setup.ask(setup.case(Composition()), model), setup.ask(setup.case(_compose(mitigation)), model)
    before, after = (scores.memorization(responses.trained, own) for responses in (plain, mitigated))
    checked = controls.check(
        scoring.negative(mitigated.held_out, _double(setup.truth.held_out_keys)),
        scoring.negative(mitigated.trained, _double(setup.split.other_keys)),
        before,
        mitigated.marks,
        plain.marks,
        active=True,
        further=_leaks(setup, mitigated),
    )
    log.faults += [f"perfect memorizer: {fault}" for fault in checked["faults"]]
    log.notes.append(f"perfect memorizer: M {before.value:.2f} without it, {after.value:.2f} with it")


def _leaks(setup: ToySetup, responses: Responses) -> list[str]:
    """A fault where responses of a model that never saw the keys of the split follow them, or the planted keys."""
    truth = scoring.negative(responses.trained, _double(setup.truth.trained_keys))
    faults = controls.leaks("keys of the split, which this model never saw", truth)
    if responses.planted is None:
        return faults
    return [*faults, *controls.leaks("planted keys", scoring.negative(responses.keys, responses.planted))]


def _double(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.double().numpy()


def _check_query(attack: Attack, kinds: Sequence[str], log: FaultLog) -> None:
    kind = type(attack)
    params = getattr(kind, "__dataclass_params__", None)
    if params is None or not params.frozen:
        log.faults.append(f"{kind.__name__} is not a frozen dataclass; write @dataclass(frozen=True) above it")
        return
    log.faults += stray_methods(kind, Attack, ("cost", "ask"))
    before = len(log.faults)
    with log.step("parameters"):
        check_json_round_trip(attack)
    with log.step("cost"):
        cost = attack.cost(SOLVER)
        log.require(0 < cost < float("inf"), f"cost: {cost}; expected a positive number of evaluations an image")
    if len(log.faults) > before:
        return
    for name in kinds:
        with log.kind(name):
            _check_query_on_toy(attack, name, log)
    everywhere = len(log.refused) == len(kinds)
    log.require(not everywhere, f"it can query no kind of model: {'; '.join(dict.fromkeys(log.refused.values()))}")
    if log.carried:
        try:
            with log.step("perfect memorizer"):
                _check_query_on_memorizer(attack, log)
        except NotApplicable as reason:
            log.notes.append(f"not checked on the perfect memorizer: {reason}")


def _check_query_on_toy(attack: Attack, kind: str, log: FaultLog) -> None:
    """Query the toy of this kind twice. Compare the answers, the counts, and what may not change."""
    setup, where = ToySetup(kind, Needs.NOTHING), f"model of kind {kind}"
    before, case = setup.snapshot(), setup.case(Composition(), attack)
    with count_network_samples(setup.model) as computed:
        first = setup.ask(case, setup.model)
    second, forward = setup.ask(case, setup.model), first.evaluations.forward
    log.require(np.array_equal(first.keys, second.keys), f"{where}: two runs gave two answers; draw from seeds")
    log.require(float(np.ptp(first.keys, axis=0).max()) > 0, f"{where}: the same keys for every image: it asks nothing")
    counted, declared = forward + first.evaluations.backward, attack.cost(SOLVER) * len(first.keys)
    log.require(counted <= declared, f"{where}: {counted} evaluations counted, {declared:.0f} declared by `cost`")
    along = 0 if first.fresh is None else first.fresh.cost["forward"]  # fresh captions that are asked in the same batches
    log.require(sum(computed) <= forward + along, f"{where}: {sum(computed) - along} evaluations made, {counted} counted")
    log.require(setup.snapshot() == before, f"{where}: it changed images, captions or weights that are not its own")


def _check_query_on_memorizer(attack: Attack, log: FaultLog) -> None:
    """On the perfect memorizer, whose keys are of no split: the query must find those, and none that it cannot know."""
    setup = ToySetup("text", Needs.NOTHING)
    model, own = answers.memorizer(setup.split, 0)
    responses = setup.ask(setup.case(Composition(), attack), model)
    held_out = scoring.negative(responses.held_out, _double(setup.truth.held_out_keys))
    leaks = [*_leaks(setup, responses), *controls.leaks("held-out images", held_out)]
    log.faults += [f"perfect memorizer: {fault}" for fault in leaks]
    power = scores.memorization(responses.trained, own)
    log.require(
        power.limits[0] > 0, f"perfect memorizer: M = {power.value:.2f} where everything is memorized: it finds nothing"
    )
    log.notes.append(f"perfect memorizer: M {power.value:.2f}")
