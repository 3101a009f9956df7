"""Training: the recipe, the loop, its wrappers, and that no change survives which the recipe does not describe."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from worlds import NoHooks, composed, tiny

from solidmark import Mitigation, Stage, Trainer
from solidmark.errors import InvalidValue, PluginFault
from solidmark.mitigation.run import TrainingSet
from solidmark.models import Recipe
from solidmark.training import train


def trained(*mitigations, seed=0, **numbers):
    testbed = tiny()
    laid = testbed.split(seed)
    recipe = replace(testbed.recipe, **numbers)
    return train(recipe, TrainingSet(laid.trained, laid.trained_keys, laid.mark), composed(*mitigations), seed)


def weights(model):
    return torch.cat([parameter.flatten() for parameter in model.parameters()])


def wrapping(**methods):
    wrapper = type("Wrapper", (Trainer,), methods)
    return dataclass(frozen=True)(type("Wrapping", (Mitigation,), {"trainer": lambda self, inner: wrapper(self, inner)}))()


def overriding(name, function, stage=None):
    return dataclass(frozen=True)(type("Overriding", (Mitigation,), {name: function, "stage": stage}))()


def test_two_trainings_with_one_seed_are_equal_bit_for_bit():
    torch.manual_seed(1)
    first = weights(trained())
    torch.manual_seed(2)
    assert torch.equal(first, weights(trained()))
    assert not torch.equal(first, weights(trained(seed=1)))


def test_neutral_parts_leave_every_bit():
    assert torch.equal(weights(trained()), weights(trained(NoHooks(), wrapping(), NoHooks())))


def test_the_global_generator_is_left_as_it_was():
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    trained(overriding("trainer", lambda self, inner: Trainer(self, inner) if torch.rand(()) < 2 else None))
    assert torch.equal(before, torch.random.get_rng_state())


def test_evaluations_of_the_training_are_counted():
    evaluations = trained().evaluations
    assert (evaluations.forward, evaluations.backward) == (3 * 8, 3 * 8)


def test_the_rate_rises_and_falls_linearly():
    recipe = Recipe(train_steps=100, learning_rate=1.0, warmup_fraction=0.1, final_lr_fraction=0.01)
    assert recipe.rate(0) == pytest.approx(0.1)
    assert recipe.rate(9) == pytest.approx(1.0)
    assert recipe.rate(55) == pytest.approx(1 - 0.99 * 45 / 90)


def test_timesteps_have_the_stated_density():
    """P(t < T / 2) = 0.5^1.5 for a density proportional to t^0.5."""
    seen = []

    def times(self, batch):
        seen.append(self.inner.times(batch))
        return seen[-1]

    trained(wrapping(times=times), train_steps=60, batch=32)
    t = torch.cat(seen)
    assert (t < 500).double().mean().item() == pytest.approx(0.5**1.5, abs=4 * np.sqrt(0.25 / len(t)))


@pytest.mark.parametrize(("method", "found"), [("losses", "(3,)"), ("times", "(1,)")])
def test_fewer_numbers_than_samples_are_named(method, found):
    count = int(found[1])
    short = wrapping(**{method: lambda self, *given: getattr(self.inner, method)(*given)[:count]})
    with pytest.raises(PluginFault, match=rf"training, {method}: found \({count},\) on cpu; expected \(8,\) on cpu"):
        trained(short)


def test_every_image_is_seen_equally_often():
    seen = []
    trained(wrapping(update=lambda self, indices: (seen.append(indices), self.inner.update(indices))), train_steps=8)
    assert torch.bincount(torch.cat(seen)).tolist() == [4] * 16


def test_dropped_samples_leave_the_mean():
    """Dropping all but the first sample gives the update of a batch whose losses are all that sample's."""
    first = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t) * (torch.arange(8) == 0))
    alone = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t)[:1].expand(8))
    assert torch.allclose(weights(trained(first, train_steps=1)), weights(trained(alone, train_steps=1)), atol=1e-6)


def test_a_batch_with_no_sample_left_is_skipped():
    none = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t) * 0)
    model = trained(none)
    assert model.evaluations.backward == 0


def test_batches_that_end_early_end_the_training():
    assert trained(wrapping(batches=lambda self: iter([torch.arange(8)]))).evaluations.forward == 8


def test_the_average_is_inside_the_context_and_kept_at_the_end():
    seen = {}

    def finish(self):
        running = weights(self.model).clone()
        with self.run as model:
            seen["inside"] = torch.equal(weights(model), torch.cat([value.flatten() for value in self.run.average]))
        seen["after"] = torch.equal(running, weights(self.model))
        self.inner.finish()

    trained(wrapping(finish=finish))
    assert seen == {"inside": True, "after": True}


def test_per_image_gradients_average_to_the_batch_gradient():
    seen = {}

    def update(self, indices):
        rows = self.run.gradients(indices)
        seen["shape"] = rows[0].shape[0]
        self.run.apply([row.mean(dim=0) for row in rows])

    model = trained(wrapping(update=update), train_steps=1)
    assert seen["shape"] == 8
    assert model.evaluations.backward == 8


def test_a_module_that_a_trainer_left_behind_is_refused():
    def prepare(self):
        self.model.network.add_module("adapter", torch.nn.Linear(2, 2))

    with pytest.raises(PluginFault, match="Merge adapters in `finish`"):
        trained(wrapping(prepare=prepare))


def test_a_loss_that_is_not_finite_is_named_with_its_step():
    with pytest.raises(PluginFault, match="step 0"):
        trained(wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t) * float("nan")))


def test_an_overridden_method_inside_one_that_never_calls_it_is_named():
    overridden = wrapping(losses=lambda self, batch, t: self.inner.losses(batch, t))
    whole = wrapping(fit=lambda self: None)
    with pytest.raises(PluginFault, match=r"losses.*never called.*Wrapping \(fit\)"):
        trained(overridden, whole)


def test_an_exception_in_a_wrapper_names_mitigation_and_method():
    def losses(self, batch, t):
        raise ZeroDivisionError("no")

    with pytest.raises(PluginFault, match=r"mitigation Wrapping, Wrapper\.losses.*ZeroDivisionError"):
        trained(wrapping(losses=losses))


def test_views_and_captions_act_at_each_access():
    seen = []
    view = overriding("view", lambda self, images, rng: seen.append(len(images)) or images)
    caption = overriding("caption", lambda self, captions, rng: seen.append(captions[0]) or captions, Stage.TRAINING)
    trained(view, caption)
    assert seen.count(8) == 3
    assert sum(isinstance(entry, str) for entry in seen) == 3


def test_a_changed_recipe_is_what_gets_built():
    wider = overriding("recipe", lambda self, recipe: replace(recipe, network=replace(recipe.network, widths=(16,))))
    assert trained(wider).config.widths == (16,)


def test_a_recipe_out_of_range_is_refused():
    with pytest.raises(InvalidValue, match="train_steps"):
        Recipe(train_steps=0)


def test_fixed_noise_is_the_same_for_an_image_in_every_epoch():
    seen = {}

    def losses(self, batch, t):
        for number, noise in zip(batch.ids, batch.fixed_noise("test"), strict=True):
            seen.setdefault(number, []).append(noise)
        return self.inner.losses(batch, t)

    trained(wrapping(losses=losses), train_steps=4)
    assert all(torch.equal(noises[0], noises[1]) for noises in seen.values())
    assert len(seen) == 16
