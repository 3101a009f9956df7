"""How a pipeline is called and what is read of what it gives, on toys: options, images of any form, flags, refusals."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from solidmark.errors import InvalidValue, NotApplicable, PluginFault
from solidmark.pipelines import calls, counting

ASKED = torch.rand(2, 3, 4, 6, generator=torch.Generator().manual_seed(0))
ARRAY = ASKED.permute(0, 2, 3, 1).numpy()


def shown(result, images=ASKED):
    return calls.read_shown(result, images, "toy")


@pytest.mark.parametrize(
    ("steps", "guidance", "more"),
    [(None, None, {}), (7, None, {"num_inference_steps": 7}), (None, 0.0, {"guidance_scale": 0.0})],
)
def test_options_are_generators_size_and_what_was_chosen(steps, guidance, more):
    generators = (torch.Generator(), torch.Generator())
    expected = {"generator": list(generators), "height": 4, "width": 6, "output_type": "np", **more}
    assert calls.options(ASKED, generators, steps, guidance) == expected


@pytest.mark.parametrize(
    "result",
    [
        ASKED,
        ARRAY,
        list(ASKED),
        list(ARRAY),
        (ARRAY,),
        (SimpleNamespace(images=ARRAY), None),
        SimpleNamespace(images=list(ARRAY)),
    ],
    ids=["tensor", "array", "tensors", "arrays", "tuple", "tuple of an output", "output"],
)
def test_images_are_read_in_any_form(result):
    assert torch.equal(shown(result).images, ASKED)
    assert shown(result).refused.tolist() == [False, False]


def test_bytes_are_shares_of_255_and_gray_pictures_have_one_channel():
    pictures = [Image.fromarray(np.full((4, 6), value, np.uint8), mode="L") for value in (0, 51)]
    images = shown(pictures, torch.zeros(2, 1, 4, 6)).images
    assert images.flatten(1).unique(dim=1).tolist() == [[0.0], [pytest.approx(0.2)]]


@pytest.mark.parametrize(
    "result",
    [
        SimpleNamespace(images=ARRAY, nsfw_content_detected=[False, True]),
        (ARRAY, [False, True]),
        (SimpleNamespace(images=ARRAY, nsfw_content_detected=(False, np.True_)), [True, True]),
    ],
)
def test_flags_of_a_safety_checker_are_read(result):
    assert shown(result).refused.tolist() == [False, True]


@pytest.mark.parametrize("second", [[0.0, 1.0], [True], "ab", {"a": True}])
def test_what_is_no_list_of_flags_flags_nothing(second):
    assert shown((ARRAY, second)).refused.tolist() == [False, False]


def test_flags_of_another_number_are_a_fault():
    with pytest.raises(PluginFault, match="found 1 flags; expected 2, one an image"):
        shown(SimpleNamespace(images=ARRAY, nsfw_content_detected=[True]))


@pytest.mark.parametrize("pair", [(-9e-4, 1.0), (0.0, 1 + 9e-4)])
def test_less_than_a_thousandth_outside_is_clamped(pair):
    pair = torch.tensor(pair).reshape(1, 1, 1, 2)
    assert shown(pair, pair).images.flatten().tolist() == [0.0, 1.0]


@pytest.mark.parametrize("pair", [(-1.1e-3, 1.0), (0.0, 1 + 1.1e-3)])
def test_more_than_a_thousandth_outside_is_a_fault(pair):
    pair = torch.tensor(pair).reshape(1, 1, 1, 2)
    with pytest.raises(PluginFault, match=r"numbers from .*finite numbers in \[0, 1\]"):
        shown(pair, pair)


def test_numbers_that_are_not_finite_are_a_fault():
    with pytest.raises(PluginFault, match="numbers from nan to nan"):
        shown(ASKED * float("nan"))


@pytest.mark.parametrize("result", [None, [], "image", np.zeros((4, 6, 3)), np.zeros((2, 4, 6))])
def test_what_is_no_image_is_a_fault(result):
    with pytest.raises(PluginFault, match=rf"toy: found {type(result).__name__} of shape .*\(B, H, W, C\)"):
        shown(result)


def test_images_of_another_number_or_size_are_no_answer():
    with pytest.raises(NotApplicable, match="2 prompts gave 1 images; expected as many images as prompts"):
        shown(ASKED[:1])
    with pytest.raises(NotApplicable, match=r"images of \(3, 4, 5\); expected \(3, 4, 6\), as the marked ones"):
        shown(ASKED[..., 1:])


class Words:
    """A pipeline that takes prompts, and notes what it is called with."""

    def __call__(self, prompt=None, height=None, **_):
        return prompt, height


class Numbers:
    """A pipeline without captions."""

    def __call__(self, batch_size=1, generator=None):
        return batch_size, generator


class Single:
    """A pipeline without captions that makes one picture a generator."""

    def __call__(self, generator=None):
        return generator


class Flagged(tuple):
    """Pictures and more in a tuple that has flags of its own."""

    nsfw_content_detected = (True, False)


class Needs:
    """A pipeline that repaints a picture that it is given."""

    def __call__(self, prompt, image, *rest, strength=1.0, **named):
        return prompt


def test_the_plain_call_passes_captions_or_their_number():
    assert calls.plain(Words(), ("a", "b"), generator=[1, 2], height=8) == (["a", "b"], 8)
    assert calls.plain(Numbers(), None, generator=[1, 2], height=8) == (2, [1, 2])
    assert calls.plain(Single(), None, generator=[1, 2], height=8) == [1, 2]


def test_flags_of_a_tuple_itself_come_before_those_of_its_parts():
    inner = SimpleNamespace(images=ARRAY, nsfw_content_detected=[False, True])
    assert shown(Flagged((inner, [False, True]))).refused.tolist() == [True, False]


@pytest.mark.parametrize(
    ("pipe", "captions", "error", "found"),
    [
        (Needs(), ["a"], NotApplicable, "Needs.__call__: found required arguments image; expected a prompt alone"),
        (Numbers(), ["a"], NotApplicable, "captions for a pipeline that takes no prompt"),
        (Words(), None, InvalidValue, "captions=None for a pipeline that takes prompts"),
    ],
)
def test_a_pipeline_that_the_plain_call_cannot_ask_is_named(pipe, captions, error, found):
    with pytest.raises(error, match=found):
        calls.plain(pipe, captions, generator=[1])


def test_captions_want_one_text_encoder_that_is_loaded():
    pipe = Words()
    pipe.text_encoder, pipe.text_encoder_2 = None, None
    with pytest.raises(NotApplicable, match="text encoder is None"):
        calls.plain(pipe, ["a"], generator=[1])
    pipe.text_encoder_2 = nn.Identity()
    assert calls.plain(pipe, ["a"], generator=[1]) == (["a"], None)


def test_a_call_gets_a_list_of_captions_and_those_options_that_it_names():
    def call(pipe, captions, height):
        return captions, height

    assert calls.asked(Words(), call, ("a",), {"height": 4, "width": 6}) == (["a"], 4)
    assert calls.asked(Words(), call, None, {"height": 4, "width": 6}) == (None, 4)


@pytest.mark.parametrize(
    ("raised", "seen"),
    [(KeyError("x"), PluginFault), (KeyboardInterrupt(), KeyboardInterrupt), (InvalidValue(*"abcd"),) * 2],
)
def test_a_strangers_errors_are_his_and_ours_pass(raised, seen):
    with pytest.raises(seen if isinstance(seen, type) else type(seen)) as caught, calls.strangers_code("inside a toy"):
        raise raised
    assert ("inside a toy" in str(caught.value)) == (seen is PluginFault)


def test_a_call_is_named_by_its_function_or_its_class():
    assert (calls.name_of(shown), calls.name_of(Words())) == ("shown", "Words")


@pytest.mark.parametrize(
    ("values", "rows"),
    [
        ((torch.zeros(3, 1), torch.zeros(5, 1)), 3),
        ((torch.zeros(4), "x", torch.zeros(5, 1, 1)), 5),
        ((1, torch.zeros(2)), 0),
    ],
)
def test_rows_are_those_of_the_first_tensor_of_more_than_one_axis(values, rows):
    assert counting._rows(*values) == rows


def test_networks_and_autoencoders_are_counted_by_rows_inside_alone():
    unet, vae = nn.Linear(2, 2), nn.Module()
    vae.encoder, vae.decoder = nn.Linear(2, 2), nn.Linear(2, 2)
    pipe, x = SimpleNamespace(unet=unet, vae=vae, scheduler=None, other=nn.Identity()), torch.ones(3, 2)
    with counting.counted(pipe) as counts:
        unet(x).sum().backward()
        unet(input=x)
        vae.encoder(x[:2])
        vae.decoder(x[:1])
        pipe.other(x)
    unet(x)
    assert counts == counting.Counts(denoiser=6, backward=3, encoded=2, decoded=1)
