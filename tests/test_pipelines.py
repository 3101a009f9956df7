"""Any pipeline outpaints, as it is: what it was given comes back exactly, whatever its loop does."""

import pytest
import tiny_pipelines as tiny
import torch
from tiny_pipelines import CAPTIONS, MARK, images, stable_diffusion

from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.pipelines import ask, held


def run_held(pipe, call, every=2, seed=0):
    """One held call for two images: the run, and what the call gave."""
    with held(pipe, images(2), MARK, every=every, seed=seed) as run:
        given = call(pipe, run)
    return run, given


def by_caption(pipe, run, **named):
    named = {"height": 16, "width": 16, "num_inference_steps": 5, "generator": run.generators(), **named}
    made = pipe(CAPTIONS[:2], output_type="np", **named)
    return getattr(made, "images", made)


def test_known_cells_of_the_last_sample_are_the_known_latents():
    run, _ = run_held(stable_diffusion(), by_caption)
    assert torch.equal(run.x[~run.filled], run.known[~run.filled])
    assert not torch.allclose(run.x[run.filled], run.known[run.filled], atol=0.1)


def test_the_picture_is_what_the_autoencoder_decodes():
    run, picture = run_held(stable_diffusion(), by_caption)
    assert torch.allclose(run.decoded(), torch.from_numpy(picture).permute(0, 3, 1, 2), atol=1e-6)


def test_step_is_the_schedulers_own_again_after_the_run_and_after_an_exception():
    pipe = stable_diffusion()
    run_held(pipe, by_caption)
    assert "step" not in vars(pipe.scheduler)
    with pytest.raises(ZeroDivisionError), held(pipe, images(), MARK):
        raise ZeroDivisionError
    assert "step" not in vars(pipe.scheduler)


@pytest.mark.parametrize("kind", [tiny.Bare, tiny.Tuples, tiny.Copies, tiny.Searches], ids=lambda kind: kind.__name__)
def test_a_strangers_own_loop_is_held_as_well(kind):
    run, _ = run_held(stable_diffusion(kind), by_caption)
    assert torch.equal(run.x[~run.filled], run.known[~run.filled])
    assert run.renewals == (3 if kind is tiny.Searches else 2)


@pytest.mark.parametrize(
    ("kind", "found"), [(tiny.Builds, "never called DDIMScheduler.step"), (tiny.LeavesOff, "left off after step 4 of 5")]
)
def test_what_does_not_sample_by_its_scheduler_to_the_end_is_refused(kind, found):
    with pytest.raises(NotApplicable, match=found):
        run_held(stable_diffusion(kind), by_caption)


def test_answers_repeat_to_the_bit_and_are_those_of_a_batch():
    alone, again = (ask(stable_diffusion(), images(), MARK, CAPTIONS, steps=4, every=2).images for _ in range(2))
    together = ask(stable_diffusion(), images(), MARK, CAPTIONS, steps=4, every=2, batch=3).images
    assert torch.equal(alone, again)
    assert torch.allclose(alone, together, atol=1e-4)


def test_what_lies_under_the_mask_cannot_be_seen():
    painted = torch.where(MARK.masks(16, 16).any(dim=0), 0.9, images())
    answers = [ask(stable_diffusion(), shown, MARK, CAPTIONS, steps=4, every=2).images for shown in (images(), painted)]
    assert torch.equal(*answers)


def test_given_pixels_come_back_as_they_were_and_the_mark_is_filled_in():
    marked = MARK.masks(16, 16).any(dim=0)
    answers = ask(stable_diffusion(), images(), MARK, CAPTIONS, steps=4).images
    assert torch.equal(answers[..., ~marked], images()[..., ~marked])
    assert float((answers[..., marked] - 0.5).abs().min(dim=2).values.max()) < 0.5
    assert answers[..., marked].std() > 0.01


def test_another_seed_gives_other_answers():
    first, second = (ask(stable_diffusion(), images(), MARK, CAPTIONS, steps=4, seed=seed).images for seed in (0, 1))
    assert not torch.allclose(first, second, atol=0.01)


def test_networks_are_counted_with_the_searches_of_a_stranger():
    counts = ask(stable_diffusion(tiny.Searches), images(), MARK, CAPTIONS, steps=5, every=2).counts
    assert (counts.denoiser, counts.backward) == (3 * 7, 0)
    assert counts.encoded == 3 * (1 + 3)
    assert counts.decoded == 3 * (1 + 3) + 1  # pictures, renewals, and one check of the first picture


def test_a_function_that_fills_in_pixels_is_asked_like_a_pipeline():
    def fill(shown, masks, captions, seeds):
        return torch.where(masks, torch.tensor([len(one) / 100 for one in captions]).view(-1, 1, 1, 1), shown)

    answers = ask(fill, images(), MARK, CAPTIONS, batch=2)
    expected = torch.tensor([len(caption) / 100 for caption in CAPTIONS])
    assert torch.allclose(answers.images[:, 0, 0, 0], expected)
    assert answers.given_error == 0


@pytest.mark.parametrize(
    ("returned", "found"),
    [(lambda x: x[:1], "3 prompts gave 1 images"), (lambda x: x * 3, "numbers from"), (lambda x: x[..., 1:], "images of")],
)
def test_what_a_function_returns_is_checked(returned, found):
    with pytest.raises((PluginFault, NotApplicable), match=found):
        ask(lambda shown, masks, captions, seeds: returned(shown), images(), MARK, CAPTIONS, batch=3)


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"images": images() * 2}, "images of"),
        ({"captions": CAPTIONS[:2]}, "2 captions"),
        ({"mask": torch.zeros(16, 16, dtype=torch.bool)}, "no pixel"),
        ({"mask": torch.ones(8, 8, dtype=torch.bool)}, r"\(8, 8\)"),
        ({"ids": [1, 1, 2]}, "3 different ids"),
        ({"batch": 0}, "batch=0"),
    ],
)
def test_wrong_input_is_named(changed, found):
    given = {"images": images(), "mask": MARK, "captions": CAPTIONS, **changed}
    with pytest.raises(InvalidValue, match=found):
        ask(stable_diffusion(), **given)
