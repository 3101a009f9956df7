"""Parts of methods by hand: penalties, saliency, how many images at once, and that no wrapper keeps a step to itself."""

import ast
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import worlds
from solidmark.mitigations import _replay, adversarial_finetune, salun
from test_unlearning import handed_out, make, rng

from solidmark.models.denoising import draw_noised_batch

METHODS = sorted((Path(__file__).parents[1] / "mitigations").glob("*.py"))
WRAPPERS = ("Trainer", "Sampler")


def wrapped_steps():
    """Each method of a wrapper that has the name of a step of the one inside, as its source."""
    for path in METHODS:
        for kind in ast.walk(ast.parse(path.read_text())):
            if isinstance(kind, ast.ClassDef) and any(ast.unparse(base).endswith(WRAPPERS) for base in kind.bases):
                steps = [node for node in kind.body if isinstance(node, ast.FunctionDef)]
                yield from ((f"{path.stem}.{kind.name}.{one.name}", one.name, ast.unparse(one)) for one in steps)


@pytest.mark.parametrize(
    ("name", "source"), [(where, text) for where, step, text in wrapped_steps() if step in ("prepare", "finish")]
)
def test_a_wrapper_s_beginning_and_end_are_those_of_what_it_wraps_as_well(name, source):
    step = name.rpartition(".")[2]
    assert f"self.inner.{step}(" in source or f"super().{step}(" in source


def test_the_steps_of_wrappers_are_found():
    assert {step for _, step, _ in wrapped_steps()} >= {"prepare", "finish", "losses", "predict"}


def test_a_penalty_is_the_sum_over_all_weights():
    now, before = [torch.tensor([1.0, 3.0]), torch.tensor([[2.0]])], [torch.tensor([0.0, 1.0]), torch.tensor([[5.0]])]
    fisher = [torch.tensor([2.0, 0.5]), torch.tensor([[1.0]])]
    assert float(_replay.penalty(now, before, fisher)) == 2 * 1 + 0.5 * 4 + 9


@pytest.mark.parametrize(("part", "sizes"), [(1, [1] * 5), (4, [2, 2, 1]), (5, [2, 2, 1]), (64, [5])])
def test_embeddings_are_searched_for_as_many_images_at_once_as_a_part_has_room_for(monkeypatch, part, sizes):
    kind, seen = adversarial_finetune.AdversarialFineTuning, []
    monkeypatch.setattr(
        kind, "_search_for", lambda self, model, some, rng: seen.append(len(some)) or torch.ones(len(some), 2)
    )
    recipe = replace(worlds.tiny().recipe, batch=part, accumulate=1)
    found = make("adversarial-finetune")._search(worlds.model(), worlds.examples(5), rng(), recipe)
    assert (seen, found.shape) == (sizes, (5, 2))


def test_salun_s_saliency_is_of_the_guided_prediction_s_distance_from_the_noise(monkeypatch):
    model, data, kept = worlds.model(), handed_out(), []
    monkeypatch.setattr(salun, "mean_gradients", lambda loss, *rest: kept.append(loss) or [torch.ones(2)])
    make("salun", batch=4)._saliency(model, data.forget, rng(), data)
    batch = draw_noised_batch(model, data.forget, rng(), 4)
    told, untold = batch.predict(model).noise, batch.predict(model, model.embed([""] * 4)).noise
    off = untold + salun.SCALE * (told - untold) - batch.noise
    with torch.no_grad():
        torch.testing.assert_close(kept[0](4), (off**2).sum(dim=(1, 2, 3)).mean())
