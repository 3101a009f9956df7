"""What a run on Stable Diffusion will take: counts against known ones, estimates against a sum by hand."""

import copy
from dataclasses import replace

import diffusers
import pytest
import tiny_pipelines as tiny
import torch
from sd_world import World, photos, pipeline
from solidmark.fixtures.stable_diffusion import outlook
from solidmark.fixtures.stable_diffusion.outlook import Rows, Sizes, as_time, estimate

from solidmark.models import GivenNetwork, GivenParts, LatentSpace, Recipe, ScheduleConfig
from solidmark.queries.outpaint import Outpaint
from solidmark.runner import outlook as planned_outlook
from solidmark.runner.plan import Planned
from solidmark.sampling import SolverConfig

SIZES = Sizes(forward=10.0, encode=3.0, decode=5.0, kept=100, network=1000, adapted=100, text=70, autoencoder=9)
RECIPE = Recipe(network=GivenNetwork(precision="float32"), train_steps=4, batch=8, ema_decay=0.0)
ROWS = Rows(trainings=2, edits=1, images=7, evaluations=40, renewals=6)


def of_full_size():
    """Stable Diffusion 2 by its published numbers; the text encoder is not counted here."""
    with torch.device("meta"):
        unet = diffusers.UNet2DConditionModel(
            sample_size=96, in_channels=4, out_channels=4, block_out_channels=(320, 640, 1280, 1280),
            attention_head_dim=(5, 10, 20, 20), use_linear_projection=True, cross_attention_dim=1024,
        )  # fmt: skip
        autoencoder = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(128, 256, 512, 512), layers_per_block=2,
        )  # fmt: skip
    space = LatentSpace(autoencoder, 8)
    tokenizer = copy.deepcopy(tiny.tokenizer())
    tokenizer.model_max_length = 77
    return GivenParts(unet, tiny.text_encoder(), tokenizer, ScheduleConfig(), "epsilon", space)


def test_the_full_size_is_counted_as_it_is_known():
    """865.9 million weights, and 0.234 TFLOP a pass at 288 pixels with 77 tokens."""
    found = outlook.sizes(of_full_size(), 288)
    assert found.network == 865_910_724
    assert found.autoencoder == 83_653_863
    assert found.forward == pytest.approx(0.234e12, rel=0.01)
    assert (found.encode, found.decode) == (pytest.approx(0.346e12, rel=0.01), pytest.approx(0.788e12, rel=0.01))
    assert 0.5e9 < found.kept < 1.5e9


class Small(torch.nn.Module):
    """Keeps its input, an exponential, and what goes into a sine: 3 x 4 and twice 3 x 5 numbers."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(4, 5)

    def forward(self, x, t, encoder_hidden_states):
        y = self.linear(x)
        return y.exp() + y.sin() + self.linear(x)


def test_what_a_backward_pass_keeps_is_each_tensor_once():
    assert outlook._kept(Small(), torch.ones(3, 4), torch.ones(1)) == 4 * (3 * 4 + 2 * 3 * 5)


def test_hours_are_passes_over_speed():
    found = estimate(SIZES, RECIPE, ROWS, speed=2.0, pool=0, images=0)
    assert found.seconds == (2 * 3 * 4 * 8 * 10 + 7 * (40 * 10 + 6 * 8)) / 2
    again = estimate(SIZES, replace(RECIPE, checkpointing=True), ROWS, speed=2.0, pool=0, images=0)
    assert again.seconds - found.seconds == 2 * 4 * 8 * 10 / 2


def test_disk_has_the_pool_each_model_and_a_training_that_goes_on():
    assert estimate(SIZES, RECIPE, ROWS, 1.0, pool=50, images=0).stored == 50 + 4 * 1000 * (2 + 1) + 3 * 4 * 1000
    text = replace(RECIPE, network=GivenNetwork(precision="float32", train_text=True), ema_decay=0.9)
    assert estimate(SIZES, text, ROWS, 1.0, 0, 0).stored == 4 * 1070 * 3 + 4 * 4 * 1070


def test_a_row_of_adapters_stores_what_they_were_added_to():
    adapters = replace(RECIPE, adapter_rank=4)
    assert estimate(SIZES, adapters, ROWS, 1.0, pool=0, images=0).stored == 4 * (100 * 2 + 1000)


def test_memory_has_weights_optimizer_and_what_a_part_of_a_batch_keeps():
    weights = 4 * 1079
    kinds = {
        RECIPE: weights + 3 * 4000 + 800,
        replace(RECIPE, accumulate=4): weights + 3 * 4000 + 200,
        replace(RECIPE, checkpointing=True): weights + 3 * 4000,
        replace(RECIPE, adapter_rank=4): weights + 800,
        replace(RECIPE, network=GivenNetwork(precision="bfloat16")): weights + 3 * 4000 + 400,
    }
    assert {recipe: estimate(SIZES, recipe, ROWS, 1.0, 0, 0).device for recipe in kinds} == kinds
    assert estimate(SIZES, RECIPE, ROWS, 1.0, 0, images=9).main == 27


def test_a_run_encodes_once_and_at_every_renewal():
    assert [outlook.renewals(SolverConfig(steps=20, reencode=every)) for every in (0, 4, 10, 20)] == [1, 5, 2, 1]


def test_times_are_said_in_words():
    assert [as_time(seconds) for seconds in (59, 7199, 7200, 5.3e3 * 3600)] == [
        "less than a minute",
        "120 minutes",
        "2.0 hours",
        "5,300.0 hours",
    ]


def test_the_plan_is_told_before_it_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("SOLIDMARK_STORE", str(tmp_path / "store"))
    monkeypatch.setattr(outlook, "measured_speed", lambda device, precision: 1e6)
    pipeline(tmp_path / "pipe")
    photos(tmp_path / "photos")
    from solidmark.measurement.case import Case
    from solidmark.mitigation.composition import Composition

    testbed = World(tmp_path).testbed()
    case = Case("sd", testbed, Composition(), 0, (("outpaint", Outpaint()),), testbed.solvers["fast"])
    first, second = planned_outlook.outlook([Planned("x", "sd", "none", (), case=case)], tmp_path)
    assert first.startswith("sd: about 33 minutes of such a device (cpu), 0.0 GB of its memory")
    assert "6 steps of 4 in 1 trainings, 160 passes for each of 28 images, and 1e-06 TFLOP a second" in second
