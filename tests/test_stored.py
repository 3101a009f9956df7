"""What the store will hold is told before anything is trained, and is what it then really holds."""

from dataclasses import replace

import pytest
import torch

from solidmark import models, plugins
from solidmark.measurement import weights
from solidmark.measurement.case import Case, Workspace
from solidmark.mitigation.composition import Composition
from solidmark.models.saved import model_bytes, space_bytes
from solidmark.runner.stored import stored_bytes
from solidmark.store import Store


def short(name):
    """A testbed whose trainings take two steps: what they write is as large as after all of them."""
    made = plugins.testbed(name)[1]
    brief = {
        part: replace(found, train_steps=2) for part in ("recipe", "base", "autoencoder") if (found := getattr(made, part))
    }
    return replace(made, **brief)


def case(testbed, expression="none", seed=0, **changed):
    composition = Composition() if expression == "none" else plugins.compose(expression)
    return Case("x", testbed, composition, seed, (), testbed.solvers["fast"], **changed)


@pytest.mark.parametrize("name", ["digits", "latent-digits-finetune"])
def test_models_weigh_in_the_store_what_was_foretold(tmp_path, name):
    testbed, workspace = short(name), Workspace(Store(tmp_path / "store"))
    given = case(testbed, "weight-noise")
    weights.edit_or_load(given, workspace)
    real = sum(entry.size for entry in workspace.store.entries())
    assert stored_bytes([("case", given)]) == pytest.approx(real, rel=0.1)


@pytest.mark.parametrize("kind", [models.Network(), models.LatentNetwork(), models.Network(kind="label")])
def test_a_form_without_weights_weighs_what_the_weights_do(kind):
    state = models.build(kind, torch.Generator()).state()
    assert model_bytes(kind) == sum(tensor.nbytes for tensor in state.values())
    assert space_bytes(kind) == sum(tensor.nbytes for name, tensor in state.items() if name.startswith("space."))


@pytest.mark.parametrize(
    ("rows", "count"),
    [
        (["none"], 1),
        (["rna"], 1),
        (["none", "rna", "gni"], 1),
        (["none", "gni-training"], 2),
        (["none", "weight-noise"], 2),
        (["weight-noise(scale=0.1)", "weight-noise(scale=0.2)"], 3),
        (["gni-training"], 2),
        (["gni-training+weight-noise"], 3),
    ],
)
def test_each_model_counts_once_however_many_rows_ask_it(rows, count):
    testbed = plugins.testbed("digits")[1]
    assert stored_bytes([("case", case(testbed, row)) for row in rows]) == count * testbed.stored_bytes()


def test_models_of_halves_and_without_marks_and_of_each_seed_count():
    testbed = plugins.testbed("digits")[1]
    models_of = lambda *cases: stored_bytes(cases) / testbed.stored_bytes()  # noqa: E731
    assert models_of(("testbed", case(testbed)), ("case", case(testbed))) == 2
    assert models_of(("case", case(testbed, seed=0)), ("case", case(testbed, seed=1))) == 2
    assert models_of(("case", case(testbed, "near-access"))) == 3
    assert stored_bytes([]) == 0


def test_a_base_is_counted_for_each_seed_and_the_autoencoder_once():
    testbed = plugins.testbed("latent-digits-finetune")[1]
    base, space = model_bytes(testbed.base.network), space_bytes(testbed.recipe.network)
    asked = [("case", case(testbed, seed=seed)) for seed in (0, 1)]
    assert stored_bytes(asked) == 2 * testbed.stored_bytes() + 2 * base + space
