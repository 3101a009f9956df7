"""What a stranger's pipeline does of its own: callbacks, refusals, faults, patches, and mitigations without effect."""

import copy
import functools
import sys
from types import MethodType

import pytest
import tiny_pipelines as tiny
import torch
from diffusers import DDIMScheduler, StableDiffusionPipeline
from tiny_pipelines import CAPTIONS, MARK, images, stable_diffusion

from solidmark import marks
from solidmark.errors import NotApplicable, PluginFault
from solidmark.metrics import scores
from solidmark.pipelines import ask, held
from solidmark.pipelines.age import unused_overrides

FEW = {"images": images(2), "mask": MARK, "captions": CAPTIONS[:2], "steps": 3, "every": 2}


def asking(kind, **changed):
    return ask(stable_diffusion(kind), **{**FEW, **changed})


def test_a_strangers_callback_is_still_called_and_may_change_the_run():
    seen = []

    def call(pipe, captions, **options):
        return pipe(captions, callback_on_step_end=lambda pipe, step, t, given: seen.append(step) or given, **options)

    answers = ask(stable_diffusion(), **FEW, call=call)
    assert seen == [0, 1, 2] * 2
    assert torch.equal(answers.images, ask(stable_diffusion(), **FEW).images)


def test_a_call_gets_the_options_that_it_has_parameters_for():
    def call(pipe, captions, generator, num_inference_steps):
        assert num_inference_steps == 3
        return pipe(captions, 16, 16, num_inference_steps, generator=generator, output_type="pil")

    assert torch.allclose(
        ask(stable_diffusion(), **FEW, call=call).images, ask(stable_diffusion(), **FEW).images, atol=1 / 255
    )


def test_what_a_safety_checker_withholds_is_gray_and_counted():
    answers = asking(tiny.Flags, batch=2, images=images(3), captions=CAPTIONS)
    marked = MARK.masks(16, 16).any(dim=0)
    assert int(answers.refused.sum()) == 2  # the first of each batch
    assert torch.equal(answers.images[answers.refused], images(3)[answers.refused])
    assert answers.images[~answers.refused][..., marked].std() > 0.01


def test_a_stranger_who_exits_loses_his_row_alone():
    with pytest.raises(PluginFault, match="SystemExit"):
        ask(lambda shown, masks, captions, seeds: sys.exit(3), images(), MARK, CAPTIONS)


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        (tiny.Doubles, "1 prompts gave 2 images"),
        (tiny.Crops, r"images of \(3, 14, 14\)"),
        (tiny.Builds, "never called"),
        (tiny.LeavesOff, "left off"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(kind, found):
    with pytest.raises(NotApplicable, match=found):
        asking(kind)


def test_a_pipeline_whose_answer_depends_on_the_batch_is_refused_in_a_batch():
    with pytest.raises(NotApplicable, match=r"otherwise in a batch of 2 than alone.*batch=1"):
        asking(tiny.Mixes, batch=2)
    assert asking(tiny.Mixes).steps == 6


def test_latents_of_another_size_are_refused():
    def call(pipe, captions, height, width, **options):
        return pipe(captions, 2 * height, 2 * width, **options)

    with pytest.raises(NotApplicable, match=r"samples of \(1, 4, 8, 8\).*`height` and `width`"):
        ask(stable_diffusion(), **FEW, call=call)


def test_a_network_in_training_mode_is_refused():
    unet = copy.deepcopy(tiny.unet()).train()
    with pytest.raises(NotApplicable, match="unet in training mode"):
        ask(stable_diffusion(unet=unet), **FEW)


def test_a_fault_of_the_stranger_is_named_as_his_with_the_line():
    def call(pipe, captions, **options):
        raise ZeroDivisionError("no words")

    with pytest.raises(
        PluginFault, match=r"inside the call call: found ZeroDivisionError: no words.*test_pipelines_strangers"
    ):
        ask(stable_diffusion(), **FEW, call=call)


def test_an_override_that_the_stock_call_never_calls_is_told():
    answers = asking(tiny.Old)
    assert answers.warnings == [
        "Old overrides _encode_prompt, which its __call__ never calls: what it changes has no effect"
    ]
    assert unused_overrides(tiny.OldWithCall) == unused_overrides(tiny.Searches) == []
    assert unused_overrides(tiny.StableDiffusionPipeline) == []


def test_too_few_steps_to_encode_anew_are_told():
    assert any("never encoded anew" in text for text in asking(tiny.Bare, every=5).warnings)
    assert not asking(tiny.Bare).warnings


class Silent(DDIMScheduler):
    """Tells nothing of the clean image."""

    def step(self, model_output, timestep, sample, **named):
        return super().step(model_output, timestep, sample, return_dict=False)[:1]


def test_without_a_known_prediction_a_run_is_held_and_not_encoded_anew(monkeypatch):
    monkeypatch.setattr("solidmark.pipelines.holding.clean", lambda *given: None)
    answers = ask(stable_diffusion(scheduler=Silent.from_config(tiny.ddim().config)), **FEW)
    assert answers.renewals == 0
    assert any("unknown prediction_type" in text for text in answers.warnings)


def test_a_step_that_the_stranger_has_patched_himself_is_kept_and_held():
    pipe, called = stable_diffusion(), []

    @functools.wraps(type(pipe.scheduler).step)
    def louder(self, output, t, x, *rest, **named):
        called.append(int(t))
        return type(self).step(self, 2 * output, t, x, *rest, **named)

    pipe.scheduler.step = own = MethodType(louder, pipe.scheduler)
    answers = ask(pipe, **FEW)
    assert len(called) == 6
    assert pipe.scheduler.step is own
    assert not torch.allclose(answers.images, ask(stable_diffusion(), **FEW).images, atol=1e-3)


def test_a_copy_of_the_scheduler_that_outlives_the_run_holds_nothing_any_more():
    pipe = stable_diffusion()
    with pytest.raises(NotApplicable, match="never called"), held(pipe, images(1), MARK):
        kept = copy.deepcopy(pipe.scheduler)
    kept.set_timesteps(3)
    output, x = torch.zeros(2, 1, 4, 4, 4)
    assert torch.equal(kept.step(output, kept.timesteps[2], x).prev_sample, output)


def test_a_mitigation_of_two_calls_is_asked_by_a_call_and_its_search_is_counted():
    def call(pipe, captions, **options):
        words = pipe.improved(captions)
        return StableDiffusionPipeline.__call__(pipe, prompt_embeds=words, guidance_scale=1, **options)

    answers = ask(stable_diffusion(tiny.TwoCalls), **FEW, call=call)
    plain = ask(stable_diffusion(), **FEW, guidance=1)
    assert (answers.counts.denoiser, answers.counts.backward) == (2 * (3 + 3), 2 * 3)
    assert not torch.allclose(answers.images, plain.images, atol=1e-4)
    assert not answers.warnings


def test_what_a_pipeline_draws_globally_repeats_and_leaves_the_generators_as_they_were():
    def call(pipe, captions, **options):
        return pipe(captions, **{**options, "generator": None})

    torch.manual_seed(7)
    before = torch.get_rng_state()
    first, second = (ask(stable_diffusion(), **FEW, call=call).images for _ in range(2))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_random_network_remembers_nothing_and_certifies_nothing():
    count, mark, rng = 64, marks.Border(thickness=4, segments=8), torch.Generator().manual_seed(0)
    shown = mark.canvas(torch.rand(count, 3, 8, 8, generator=rng))
    keys = torch.rand(count, 8, generator=rng).double().numpy()
    answers = ask(stable_diffusion(), shown, mark, ["a red house"] * count, steps=2, every=1, batch=64)
    read = marks.read(mark, answers.images).double().numpy()
    assert not scores.certified(scores.combine(scores.p_values(read, keys))).any()
    assert abs(scores.memorization(read, keys).value) < 0.1
