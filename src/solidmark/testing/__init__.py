"""Checks for authors: does a mitigation, or a query, keep the rules of the benchmark? In seconds, and without data.

    from solidmark.testing import check

    def test_it_keeps_the_rules_of_the_benchmark():
        check(MyMitigation())

A mitigation acts on a toy model of each kind (text-conditional, label-conditional, unconditional) and, at sampling, on
a perfect memorizer. What is checked: parameters go through JSON and back; every public method opens a door; the same
seed gives the same bits; inputs, global generators and the object itself stay as they are; shapes, devices and finite
numbers; every denoiser evaluation is counted; answers follow no key that nobody may know, and are no constant. A kind
that it cannot carry is refused by raising `NotApplicable`; one kind at least must be carried.

A query is asked about the same models: shapes, declared cost, the same answers twice, none of them constant, nothing
of keys that the model never saw, and something of those that it has memorized.
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
from ..errors import NotApplicable, PluginFault
from ..measurement import responses
from ..measurement.measure import applicable
from ..measurement.responses import Asked
from ..metrics import controls, scores, scoring
from ..mitigation import DOORS, Link, Mitigation, Needs, Sampler, Stage, Trainer, opened
from ..mitigation.composition import Composition, Part
from ..queries import Attack
from ..runner.process_state import Settings
from .rules import (
    Notebook,
    goes_through_json,
    methods_are_not_misspelt,
    public_methods_open_doors,
    state,
    strengths_are_a_curve,
)
from .toys import PROTOCOL, Bench, made_by

KINDS = ("text", "label", "none")
"""Kinds of models: conditioned on captions, on labels, on nothing."""


@dataclass(frozen=True)
class Checked:
    """What was found: kinds of models carried, kinds refused with their reasons, faults, and notes that are none."""

    name: str
    carried: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def check(thing: Mitigation | Attack, kinds: Sequence[str] = KINDS) -> Checked:
    """What `examine` finds. Raises PluginFault with every fault, a line each, where there is one."""
    checked = examine(thing, kinds)
    if checked.faults:
        told = "\n".join(f"  - {fault}" for fault in checked.faults)
        raise PluginFault(checked.name, f"\n{told}\n", "none of these", "See CONTRIBUTING.md, `The rules`.")
    return checked


def examine(thing: Mitigation | Attack, kinds: Sequence[str] = KINDS) -> Checked:
    """All that is wrong with a mitigation or a query, and on which of these kinds of models it works."""
    notebook, settings = Notebook(), Settings.now()
    torch.set_num_threads(1)  # toys are too small for more
    ours = Settings.now()
    try:
        if isinstance(thing, Attack):
            _query(thing, kinds, notebook)
        else:
            _mitigation(thing, kinds, notebook)
        changed = ours.put_back()
        notebook.require(not changed, f"it changes {', '.join(changed)} of the process, which all rows share")
    finally:
        settings.put_back()
    faults = tuple(dict.fromkeys(notebook.faults))
    return Checked(type(thing).__name__, tuple(notebook.carried), notebook.refused, faults, tuple(notebook.notes))


def _mitigation(mitigation: Mitigation, kinds: Sequence[str], notebook: Notebook) -> None:
    fault = plugins.class_fault(type(mitigation))
    if fault is not None:
        notebook.faults.append(fault)
        return
    kind = type(mitigation)
    generators = seeds.Globals()
    notebook.require(bool(opened(kind)) or kind.control, f"{kind.__name__} opens no door, so it changes nothing")
    notebook.faults += public_methods_open_doors(kind, Mitigation, (*DOORS, "strengths"))
    with notebook.step("strengths"):
        strengths_are_a_curve(mitigation)
    known = len(notebook.faults)
    with notebook.step("parameters"):
        goes_through_json(mitigation)
    if len(notebook.faults) == known:
        _acts(mitigation, kinds, notebook)
    touched = generators.restore()
    notebook.require(not touched, f"the global generator of {', '.join(touched)} was drawn from or seeded")


def _acts(mitigation: Mitigation, kinds: Sequence[str], notebook: Notebook) -> None:
    for kind in kinds:
        with notebook.kind(kind):
            _on(mitigation, kind, "cpu", notebook)
    everywhere = len(notebook.refused) == len(kinds)
    notebook.require(not everywhere, f"it works on no kind of model: {'; '.join(dict.fromkeys(notebook.refused.values()))}")
    for kind in notebook.carried[:1] if torch.cuda.is_available() else []:
        with notebook.step(f"model of kind {kind} on a GPU"):
            _on(mitigation, kind, "cuda", notebook)
    if mitigation.stage is Stage.SAMPLING and "text" in notebook.carried:
        try:
            with notebook.step("perfect memorizer"):
                _remembered(mitigation, notebook)
        except NotApplicable as reason:
            notebook.notes.append(f"not asked on the perfect memorizer: {reason}")


def _on(mitigation: Mitigation, kind: str, device: str, notebook: Notebook) -> None:
    """Act twice on the toy of this kind; compare the deeds, what was counted, and what may not change."""
    bench = Bench(kind, mitigation.needs, device)
    applicable(_composed(mitigation), bench.board)
    act = bench.acting(mitigation.stage)
    before, watched = bench.snapshot(), _watched(mitigation, notebook)
    held = state(watched)
    one, other, plain = act(_composed(watched)), act(_composed(watched)), act(Composition())
    place = f"model of kind {kind}"
    equal = len(one.tensors) == len(other.tensors) and all(a.equal(b) for a, b in zip(one.tensors, other.tensors))
    notebook.require(equal, f"{place}: the same seed gave two results; draw with the generator handed out, keep no state")
    notebook.require(
        one.made <= one.counted,
        f"{place}: the denoiser ran on {one.made} samples, {one.counted} were counted; call `predict` of the model given",
    )
    notebook.require(bench.snapshot() == before, f"{place}: it changed images, captions or weights that are not its own")
    notebook.require(state(watched) == held, "it keeps state in itself; state belongs into a link, or into a local name")
    if all(a.equal(b) for a, b in zip(one.tensors, plain.tensors)) and not mitigation.control:
        notebook.notes.append(f"{place}: nothing changed; in a run such a row is `inactive`")


def _composed(mitigation: Mitigation) -> Composition:
    return Composition((Part(type(mitigation).__name__, mitigation),))


def _watched(mitigation: Mitigation, notebook: Notebook) -> Mitigation:
    """The same mitigation, whose doors compare their arguments before and after, and whose links tell their methods."""
    kind = type(mitigation)
    doors = {door: _guarded(door, getattr(kind, door), notebook) for door in opened(kind)}
    same = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "stream": vars(kind).get("stream", "")}
    twin = type(kind.__name__, (kind,), {**doors, **same})
    watched: Mitigation = twin(**{f.name: getattr(mitigation, f.name) for f in fields(mitigation) if f.init})
    return watched


def _guarded(door: str, method: Callable[..., Any], notebook: Notebook) -> Callable[..., Any]:
    @wraps(method)
    def guarded(self: Mitigation, *arguments: Any) -> Any:
        before = [_kept(argument) for argument in arguments]
        returned = method(self, *arguments)
        same = all(_equal(_kept(argument), one) for argument, one in zip(arguments, before))
        notebook.require(same, f"{door} changes its input; return a new one")
        if isinstance(returned, Link):
            base: type[Link] = Trainer if isinstance(returned, Trainer) else Sampler
            notebook.faults += methods_are_not_misspelt(type(returned), base, base.METHODS)
        return returned

    return guarded


def _kept(value: Any) -> Any:
    """A copy to compare with later; None of what may change: a model of one's own, a generator, a link."""
    if isinstance(value, Tensor):
        return value.clone()
    if isinstance(value, Examples):
        return (value.images.clone(), list(value.captions), list(value.ids))
    return list(value) if isinstance(value, list) else None


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.equal(other)
    if isinstance(one, tuple):
        return all(_equal(a, b) for a, b in zip(one, other, strict=True))
    return bool(one == other)


def _remembered(mitigation: Mitigation, notebook: Notebook) -> None:
    """On the perfect memorizer: does it answer by keys that it cannot know, or by a constant?"""
    bench = Bench("text", mitigation.needs)
    model, own = responses.memorizer(bench.board, 0)
    plain, asked = bench.ask(bench.case(Composition()), model), bench.ask(bench.case(_composed(mitigation)), model)
    before, after = (scores.memorization(one.trained, own) for one in (plain, asked))
    checked = controls.check(
        scoring.negative(asked.held_out, _double(bench.board.truth().held_out_keys)),
        scoring.negative(asked.trained, _double(bench.board.other_keys)),
        before,
        asked.marks,
        plain.marks,
        active=True,
        further=_leaks(bench, asked),
    )
    notebook.faults += [f"perfect memorizer: {fault}" for fault in checked["faults"]]
    notebook.notes.append(f"perfect memorizer: M {before.value:.2f} without it, {after.value:.2f} with it")


def _leaks(bench: Bench, asked: Asked) -> list[str]:
    """Of answers by a model that never saw the board's keys: whether they know those, or the planted ones."""
    truth = scoring.negative(asked.trained, _double(bench.board.truth().trained_keys))
    planted = [] if asked.planted is None else controls.leaks("planted keys", scoring.negative(asked.keys, asked.planted))
    return [*controls.leaks("keys of the board, which this model never saw", truth), *planted]


def _double(tensor: Tensor) -> NDArray[np.float64]:
    return tensor.double().numpy()


def _query(attack: Attack, kinds: Sequence[str], notebook: Notebook) -> None:
    kind = type(attack)
    params = getattr(kind, "__dataclass_params__", None)
    if params is None or not params.frozen:
        notebook.faults.append(f"{kind.__name__} is not a frozen dataclass; write @dataclass(frozen=True) above it")
        return
    notebook.faults += public_methods_open_doors(kind, Attack, ("cost", "ask"))
    known = len(notebook.faults)
    with notebook.step("parameters"):
        goes_through_json(attack)
    with notebook.step("cost"):
        cost = attack.cost(PROTOCOL)
        notebook.require(0 < cost < float("inf"), f"cost: {cost}; expected a positive number of evaluations an image")
    if len(notebook.faults) > known:
        return
    for name in kinds:
        with notebook.kind(name):
            _asked_twice(attack, name, notebook)
    everywhere = len(notebook.refused) == len(kinds)
    notebook.require(not everywhere, f"it can ask no kind of model: {'; '.join(dict.fromkeys(notebook.refused.values()))}")
    if notebook.carried:
        try:
            with notebook.step("perfect memorizer"):
                _reads(attack, notebook)
        except NotApplicable as reason:
            notebook.notes.append(f"not asked of the perfect memorizer: {reason}")


def _asked_twice(attack: Attack, kind: str, notebook: Notebook) -> None:
    bench, place = Bench(kind, Needs.NOTHING), f"model of kind {kind}"
    before, case = bench.snapshot(), bench.case(Composition(), attack)
    with made_by(bench.model) as made:
        one = bench.ask(case, bench.model)
    other = bench.ask(case, bench.model)
    notebook.require(np.array_equal(one.keys, other.keys), f"{place}: asked twice, it answers differently; draw from seeds")
    notebook.require(float(np.ptp(one.keys, axis=0).max()) > 0, f"{place}: the same keys for every image: it asks nothing")
    counted, declared = one.evaluations.forward + one.evaluations.backward, attack.cost(PROTOCOL) * len(one.keys)
    notebook.require(counted <= declared, f"{place}: {counted} evaluations counted, {declared:.0f} declared by `cost`")
    notebook.require(sum(made) <= one.evaluations.forward, f"{place}: {sum(made)} evaluations made, {counted} counted")
    notebook.require(bench.snapshot() == before, f"{place}: it changed images, captions or weights that are not its own")


def _reads(attack: Attack, notebook: Notebook) -> None:
    """Of the perfect memorizer, whose keys stand on no board: it finds those, and none that it cannot know."""
    bench = Bench("text", Needs.NOTHING)
    model, own = responses.memorizer(bench.board, 0)
    asked = bench.ask(bench.case(Composition(), attack), model)
    held_out = scoring.negative(asked.held_out, _double(bench.board.truth().held_out_keys))
    leaks = [*_leaks(bench, asked), *controls.leaks("held-out images", held_out)]
    notebook.faults += [f"perfect memorizer: {fault}" for fault in leaks]
    power = scores.memorization(asked.trained, own)
    notebook.require(
        power.low > 0, f"perfect memorizer: M = {power.value:.2f} where everything is memorized: it finds nothing"
    )
    notebook.notes.append(f"perfect memorizer: M {power.value:.2f}")
