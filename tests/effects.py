"""What a mitigation does to small models whose weights are drawn and never trained: numbers in words, one line a case.

Attention to captions is made strong, so that captions move the samples. Loops of a method are cut short (`SHORT`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from solidmark.mitigations.selective_dampening import SelectiveDampening
from test_constants import changes
from torch import Tensor

from solidmark import seeds
from solidmark.data import join
from solidmark.errors import NotApplicable
from solidmark.measurement.blind import blind
from solidmark.measurement.measure import check_applicable
from solidmark.mitigation import Mitigation, Needs, Stage
from solidmark.mitigation.composition import Composition, Part
from solidmark.mitigation.handout import HALVES, HandedOut
from solidmark.mitigation.hooks import Hooks
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Evaluations, LatentNetwork, LatentSpace, Model, Recipe, build
from solidmark.models.latent import build_autoencoder
from solidmark.sampling import Service, SolverConfig, noises
from solidmark.testing.toys import Toy, toy
from solidmark.training import train

NEEDS = Needs.FORGET | Needs.CALIBRATION | Needs.TRAINING_IMAGES
SOLVER = SolverConfig("golden", steps=5, eta=0.5, reencode=2)
SHORT = {"updates": 2, "iterations": 3, "search": 2, "samples": 4, "timesteps": 3, "batch": 8, "rounds": 2}
"""The most that a whole number of this name may be."""
STRONG = {"attn2.to_q": 4.0, "attn2.to_k": 4.0, "attn2.to_out": 8.0, "conv_out": 3.0}
"""What weights of a network are multiplied with."""


def number(value: float | Tensor) -> str:
    """Four digits; 0 for what is rounding alone."""
    return f"{float(value):.4g}" if abs(float(value)) > 1e-6 else "0"


def row(values: Tensor | Sequence[float]) -> str:
    return " ".join(number(value) for value in values)


def words(values: dict[str, Any]) -> str:
    return " ".join(f"{name}={number(value) if type(value) is float else value}" for name, value in values.items())


@cache
def toy_of(kind: str) -> Toy:
    """A toy of this kind, with one block, and a recipe of three large steps.

    `masked` is text with one channel more, and `blank` text that is asked without captions.
    Two channels share a norm: with one each, many a gradient would be rounding alone.
    """
    made = toy("text" if kind in ("masked", "blank") else kind)
    network = replace(made.recipe.network, widths=(16,), extra_channels=int(kind == "masked"))
    return replace(made, recipe=Recipe(network=network, train_steps=3, batch=6, learning_rate=1e-2, caption_dropout=0.2))


@cache
def space(kind: str) -> LatentSpace | None:
    """An autoencoder with drawn weights, None in pixel space."""
    network = toy_of(kind).recipe.network
    if not isinstance(network, LatentNetwork):
        return None
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return LatentSpace(build_autoencoder(network), network.factor, 3.0)


@cache
def model(kind: str, seed: int = 0) -> Model:
    """A model with drawn weights."""
    made = build(toy_of(kind).recipe.network, seeds.torch_rng(seed, "golden"))
    with torch.no_grad():
        for name, weight in made.network.named_parameters():
            weight.mul_(next((factor for part, factor in STRONG.items() if part in name), 1.0))
        for weight in made.text.parameters():
            if not weight.any():  # labels begin as nothing
                weight.normal_(generator=seeds.torch_rng(seed, "golden labels"))
    if (its := space(kind)) is not None:
        made.space = its
    return made.frozen()


@cache
def handed_out(kind: str) -> HandedOut:
    """All that a mitigation may declare a need for."""
    parts = blind(toy_of(kind), 0, NEEDS).handed_out
    halves = {name: model(kind, seed) for seed, name in enumerate(HALVES, 1)}
    return {**parts, **halves, "base_model": model(kind), "recipe": toy_of(kind).recipe}


@cache
def asked(kind: str) -> tuple[list[str], Tensor, Tensor, Tensor]:
    """Captions, one of them empty and one long, observed images, a mask and noise."""
    split, denoiser = toy_of(kind).split(0), model(kind)
    images, captions = split.marked_trained.images[:6], split.trained.captions[:6]
    if kind == "blank":
        captions = [""] * 6
    captions[2], captions[4] = "", captions[4] if kind != "text" and kind != "latent" else f"{captions[4]} w1 w2 w3"
    mask = split.mark_masks.any(dim=0).expand(6, 1, *images.shape[-2:]).clone()
    mask[:, :, 4:6, 4:6] = True
    return captions, images, mask, noises(range(6), denoiser.shape, SOLVER.draws, 0, "golden")


def composed(mitigation: Mitigation) -> Composition:
    return Composition((Part("it", mitigation),))


@cache
def sampled_plainly(kind: str) -> Tensor:
    return Service(model(kind), Composition(), 0, "golden").sample(*asked(kind), SOLVER)


def of_sampling(mitigation: Mitigation, kind: str) -> list[str]:
    """The mean change of each image against the plain run, what it cost, refusals and doses."""
    denoiser, plain = model(kind), sampled_plainly(kind)
    data = handed_out(kind)
    spent = Evaluations()
    for counted in (denoiser, *(data[name] for name in HALVES)):
        counted.evaluations = spent
    service = Service(denoiser, composed(mitigation), 0, "golden", data=data)
    with seeds.forked(0, "golden"):
        images = service.sample(*asked(kind), SOLVER)
    refused = "".join(str(int(one)) for one in service.refused[-1])
    lines = [row((images - plain).abs().flatten(1).mean(dim=1))]
    lines.append(f"forward={spent.forward} backward={spent.backward}{' refused=' + refused if '1' in refused else ''}")
    return [*lines, *(words(told) for told in service.doses.values())]


@cache
def training_set(kind: str) -> TrainingSet:
    """16 images, the first three twice more, one of these copies nearly: 20 rows."""
    split = toy_of(kind).split(0)
    copies = split.training.take([0, 1, 2, 0])
    near = copies.with_images((copies.images + torch.linspace(0, 0.05, 4)[:, None, None, None]).clamp(0, 1))
    return TrainingSet(join([split.training, near]), split.training_keys[[*range(16), 0, 1, 2, 0]], split.mark)


def trained(composition: Composition, kind: str) -> Model:
    recipe, data = toy_of(kind).recipe, handed_out(kind)
    return train(recipe, training_set(kind), composition, 0, data=data, space=space(kind))


@cache
def trained_plainly(kind: str) -> Model:
    return trained(Composition(), kind)


def group(name: str) -> str:
    """The part of a model that a weight belongs to."""
    first = next((part for part in ("attn1", "attn2", "ff", "time_emb") if part in name), name.split(".")[1])
    return "text" if name.startswith("text") else first.partition("_")[0]


def moved(after: Model, before: Model, *, counted: bool = True) -> list[str]:
    """How far the weights of each part are from those before, and how many tensors differ where that is `counted`."""
    states, old = after.state(), before.state()
    if {n: t.shape for n, t in states.items()} != {n: t.shape for n, t in old.items()}:
        old = {name: torch.zeros(()) for name in states}  # another network
    squares: dict[str, float] = {}
    for name, tensor in states.items():
        if not name.startswith("space"):
            squares[group(name)] = squares.get(group(name), 0.0) + float((tensor - old[name]).double().square().sum())
    count = sum(float((tensor - old[name]).abs().max()) > 1e-5 for name, tensor in states.items())
    return [words({name: square**0.5 for name, square in sorted(squares.items())}) + f" tensors={count}" * counted]


def loss(denoiser: Model, kind: str) -> str:
    """The denoising loss of six images at fixed noise."""
    captions, images, _, noise = asked(kind)
    clean, t = denoiser.encode(images), torch.tensor([50, 200, 400, 600, 800, 950])
    with torch.no_grad():
        prediction = denoiser.predict(denoiser.schedule.add_noise(clean, noise[:, 0], t), t, denoiser.embed(captions))
    return f"loss {row(prediction.losses(clean, noise[:, 0]).flatten(1).mean(dim=1))}"


def of_hooks(mitigation: Mitigation, kind: str) -> list[str]:
    """What the hooks of data and of the recipe make of what they get."""
    hooks, lines = Hooks(composed(mitigation), 0, "golden", data=handed_out(kind)), []
    examples, recipe = training_set(kind).examples, toy_of(kind).recipe
    if hooks.acts("recipe"):
        lines.append(f"recipe {changes(hooks.recipe(recipe), recipe)}")
    if hooks.acts("prepare"):
        kept = hooks.prepare(examples)
        lines.append(f"kept {kept.ids} {' | '.join(kept.captions[-6:])}")
    if hooks.acts("view"):
        lines.append(f"views {row((hooks.view(examples.images) - examples.images).abs().flatten(1).mean(dim=1))}")
    if hooks.acts("caption"):
        lines.append(f"captions {' | '.join(hooks.caption([*examples.captions[:7], ''], model(kind).fits))}")
    if hooks.acts("condition"):
        given = model(kind).embed([*examples.captions[:5], ""]).detach()
        there = torch.tensor([True] * 5 + [False])
        lines.append(f"conditions {row((hooks.condition(given, there) - given).flatten(1).norm(dim=1))}")
    return lines


def of_training(mitigation: Mitigation, kind: str) -> list[str]:
    """What its hooks did, its loss, its weights against those of a plain training, what it cost and reports."""
    found = trained(composed(mitigation), kind)
    spent, told = found.evaluations, [words(reported) for reported in found.reported.values()]
    cost = f"forward={spent.forward} backward={spent.backward}"
    return [*of_hooks(mitigation, kind), loss(found, kind), *moved(found, trained_plainly(kind)), cost, *told]


def of_edit(mitigation: Mitigation, kind: str) -> list[str]:
    """Its loss, its weights against those before, what it cost and reports."""
    copy = model(kind).copy()
    copy.evaluations = Evaluations()
    hooks = Hooks(composed(mitigation), 0, "golden", data=handed_out(kind))
    with seeds.forked(0, "golden"):
        edited = hooks.edit(copy)
    spent, told = copy.evaluations, [words(reported) for reported in hooks.reported.values()]
    counted = not isinstance(mitigation, SelectiveDampening)  # rounding decides of a weight that lies on its limit
    moves = moved(edited, model(kind), counted=counted)
    return [loss(edited, kind), *moves, f"forward={spent.forward} backward={spent.backward}", *told]


def effect(mitigation: Mitigation, kind: str) -> list[str]:
    """What it does on a model of this kind; the reason where it does not act there."""
    try:
        check_applicable(composed(mitigation), toy_of(kind).split(0))
        if mitigation.stage is Stage.TRAINING:
            return of_training(mitigation, kind)
        if mitigation.stage is Stage.POST_HOC:
            return of_edit(mitigation, kind)
        return [*of_hooks(mitigation, kind), *of_sampling(mitigation, kind)]
    except NotApplicable as reason:
        return [f"not here: {reason}"]
