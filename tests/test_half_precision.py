"""Every method that acts at sampling works on a network that computes in half precision, as Stable Diffusion's may."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from solidmark.mitigations import _calibration
from solidmark.mitigations.ambient_mask import AmbientMaskSampling
from test_latent_sampling import generate

from solidmark import plugins, seeds
from solidmark.mitigation import Needs, Stage
from solidmark.mitigation.composition import Part
from solidmark.models import LatentNetwork, build
from solidmark.testing.toys import ToySetup


@pytest.fixture(scope="module")
def setup():
    """The latent toy, trained in full precision as for all tests, and asked in half; its halves are the model itself."""
    made = ToySetup("latent", Needs.CALIBRATION | Needs.TRAINING_IMAGES)
    few = {name: part.take(range(8)) for name, part in made.blind.handed_out.items()}
    made.blind.handed_out.update(few, first_half=made.model, second_half=made.model)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LatentNetwork, "precision", "bfloat16")
        for name in ("COUNT", "LEVEL_COUNT", "LEVEL_FEW"):
            patch.setattr(_calibration, name, 2)
        yield made


def strongest():
    """Each family that acts at sampling at its last setting, with few iterations."""
    for plugin in plugins.discover(plugins.GROUPS["mitigation"]):
        part = plugins.family(plugin.name)[-1]
        if isinstance(part, Part) and part.mitigation.stage is Stage.SAMPLING and plugin.name != "ambient-mask-sampling":
            few = {name: 2 for name in ("iterations", "rounds") if hasattr(part.mitigation, name)}
            yield pytest.param(replace(part.mitigation, **few), id=plugin.name)


def test_so_does_a_mask_at_sampling_on_a_network_that_takes_one(setup):
    masked = build(replace(setup.testbed.recipe.network, extra_channels=1), seeds.torch_rng(0, "masked")).frozen()
    masked.space = setup.model.space
    images, _ = generate(SimpleNamespace(model=masked, blind=setup.blind), AmbientMaskSampling())
    assert bool(images.isfinite().all())


@pytest.mark.parametrize("mitigation", [*strongest()])
def test_it_acts_there_and_answers_in_full_precision(setup, mitigation):
    images, did = generate(setup, mitigation)
    assert images.dtype == torch.float32
    assert bool(images.isfinite().all())
    assert images.std() > 0 or did.get("acted_on") == 1  # who refuses all answers with blank images


def test_the_network_really_computes_in_half_precision(setup):
    seen = []
    with setup.model.network.conv_out.register_forward_hook(lambda module, given, output: seen.append(output.dtype)):
        generate(setup)
    assert set(seen) == {torch.bfloat16}
