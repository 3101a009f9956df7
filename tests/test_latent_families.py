"""Mitigations in latent space: those whose meaning changes say so, and what they do there is what they say.

`python design/latent_families.py` puts all of them to the latent toy, which takes minutes.
"""

import pytest
import torch
from solidmark.mitigations.fresh_noise import FreshNoise
from solidmark.mitigations.network_width import NetworkWidth
from solidmark.mitigations.norm_clamp import NormClamp
from solidmark.mitigations.random_token import RandomTokens

from solidmark import plugins, testing
from solidmark.data import Captions
from solidmark.models.latent import build_tokenizer
from solidmark.testing.toys import toy

CHANGED = (
    "ambient-mask ambient-mask-sampling ambient-noise amg amg-features augment bright-ending cads concept-ablation "
    "danger-zone flipd-embedding fpan near-access nemo network-dropout network-width norm-clamp padding-masking "
    "padding-replacement prss random-token random-token-training retrack rna selective-amnesia spell time-frequency "
    "timestep-sampling tweedie-consistency vdu"
).split()


@pytest.mark.parametrize("family", CHANGED)
def test_a_method_that_means_something_else_in_latent_space_says_what(family):
    kind = type(plugins.instance("solidmark.mitigations", "mitigation", family))
    assert "latent" in kind.__doc__.lower()


@pytest.mark.parametrize("mitigation", [FreshNoise(), NormClamp()])
def test_a_method_that_steps_by_itself_keeps_the_rules_in_latent_space(mitigation):
    assert testing.check(mitigation, ("latent",)).carried == ("latent",)


def test_a_random_token_is_a_token_in_latent_space():
    tokenizer = build_tokenizer(toy("latent").recipe.network)
    caption = RandomTokens(4).caption(Captions(["zero w1 w2"]), torch.Generator().manual_seed(0))[0]
    assert len(tokenizer(caption).input_ids) == 2 + len(caption.split())


def test_a_narrower_network_keeps_its_autoencoder():
    recipe = toy("latent").recipe
    network = NetworkWidth(0.5).recipe(recipe).network
    assert network.widths != recipe.network.widths
    assert network.autoencoder_widths == recipe.network.autoencoder_widths
