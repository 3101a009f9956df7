"""Asking, part by part: what is refused before a model is called, batches, what is put back, and when a run is doubted."""

import contextlib
from types import SimpleNamespace

import pytest
import torch

from solidmark.errors import InvalidValue, NotApplicable, PluginFault, UnknownName
from solidmark.pipelines import adopting, asking
from solidmark.pipelines.asking import Answers, _Pipeline, _Question
from solidmark.pipelines.calls import Shown

HALF = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
HALF[..., 0] = True
"""A mask of the left column of 2 x 2 pixels."""


def question(count=3, captions=None, level=0.5):
    """So many gray images, with ids from 10 on."""
    return _Question(torch.full((count, 3, 2, 2), level), HALF.repeat(count, 1, 1, 1), captions, [*range(10, 10 + count)], 7)


def shown(*levels, refused=()):
    """Pictures of one gray each, and which of them are withheld."""
    images = torch.stack([torch.full((3, 2, 2), float(level)) for level in levels])
    return Shown(images, torch.tensor([place in refused for place in range(len(levels))]))


def answers_to(asked):
    return Answers(asked.images.clone(), torch.zeros(len(asked.images), dtype=torch.bool))


@pytest.mark.parametrize(
    ("images", "captions", "ids", "batch", "found"),
    [
        (torch.zeros(3, 2, 2), None, None, 1, r"images of \(3, 2, 2\)"),
        (torch.zeros(0, 3, 2, 2), None, None, 1, r"images of \(0, 3, 2, 2\)"),
        (torch.full((1, 3, 2, 2), 1.01), None, None, 1, "in \\[0, 1\\]"),
        (torch.full((1, 3, 2, 2), -0.01), None, None, 1, "in \\[0, 1\\]"),
        (torch.zeros(2, 3, 2, 2), ["a"], None, 1, "1 captions; expected 2 captions"),
        (torch.zeros(2, 3, 2, 2), "ab", None, 1, "'ab'; expected 2 captions"),
        (torch.zeros(2, 3, 2, 2), None, [1, 1], 1, "2 ids, batch=1"),
        (torch.zeros(2, 3, 2, 2), None, [1, 2, 3], 1, "3 ids, batch=1"),
        (torch.zeros(2, 3, 2, 2), None, None, 0, "2 ids, batch=0"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_what_was_found(images, captions, ids, batch, found):
    with pytest.raises(InvalidValue, match=found):
        asking._check(images, captions, ids, batch)


@pytest.mark.parametrize(("ids", "numbers"), [(None, [0, 1]), ((5, 3), [5, 3])])
@pytest.mark.parametrize("level", [0.0, 1.0])
def test_images_at_both_ends_of_their_range_are_asked_by_their_ids(ids, numbers, level):
    assert asking._check(torch.full((2, 3, 2, 2), level), ["a", "b"], ids, 1) == numbers


@pytest.mark.parametrize("model", [3, dict])
def test_what_is_neither_a_pipeline_nor_a_function_is_refused(model):
    with pytest.raises(InvalidValue, match="a diffusers pipeline, or a function"):
        asking.ask(model, torch.zeros(1, 3, 2, 2), HALF)


def test_a_part_has_the_images_captions_and_ids_of_its_rows():
    part = question(3, ["a", "b", "c"]).part([2, 0])
    assert (part.captions, part.ids, part.seed, len(part.images), len(part.mask)) == (["c", "a"], [12, 10], 7, 2, 2)
    assert question(3).part([1]).captions is None


def test_batches_hold_each_row_once_in_an_order_of_the_seed_alone():
    batches = question(7).batches(3)
    assert [len(rows) for rows in batches] == [3, 3, 1]
    assert sorted(row for rows in batches for row in rows) == [*range(7)]
    assert (
        [row for rows in batches for row in rows] == [row for rows in question(7).batches(7) for row in rows] != [*range(7)]
    )


def test_answers_are_put_under_the_mask_alone_and_stay_blank_where_they_were_withheld():
    asked = question(3)
    answers = answers_to(asked)
    asked.put([2, 0], shown(0.9, 0.1, refused=[1]), answers)
    assert answers.refused.tolist() == [True, False, False]
    assert answers.images[2, 0].tolist() == [[pytest.approx(0.9), 0.5]] * 2
    assert answers.images[:2].eq(0.5).all()


def test_errors_are_those_of_given_pixels_of_pictures_that_were_shown():
    (errors,) = asking._given_errors(question(2), shown(0.7, 0.0, refused=[1]))
    assert errors.tolist() == pytest.approx([0.2] * 6)  # two pixels of three channels
    assert asking._given_errors(question(1), shown(0.7, refused=[0])) == []


@pytest.mark.parametrize(("level", "fits"), [(0.5, True), (0.5 + 0.049, True), (0.5 + 0.051, False), (0.5 - 0.051, False)])
def test_a_picture_must_be_what_its_autoencoder_decodes_to_a_twentieth(level, fits):
    run = SimpleNamespace(decoded=lambda: torch.full((1, 3, 2, 2), 0.5))
    expected = contextlib.nullcontext() if fits else pytest.raises(NotApplicable, match=r"differ by 0\.051")
    with expected:
        assert asking._check_picture(run, question(1), shown(level), "it")


def test_without_a_given_pixel_that_is_shown_no_picture_was_checked():
    run = SimpleNamespace(decoded=lambda: torch.zeros(1, 3, 2, 2))
    assert not asking._check_picture(run, question(1), shown(0.9, refused=[0]), "it")


class Alone(_Pipeline):
    """A pipeline that shows what it is told when one image is asked alone."""

    def _show(self, part):
        assert (len(part.images), part.ids) == (1, [10])
        return self.alone


@pytest.mark.parametrize(
    ("alone", "same"),
    [
        (shown(0.4), True),
        (shown(0.419), True),
        (shown(0.421), False),
        (shown(0.379), False),
        (shown(0.4, refused=[0]), False),
    ],
)
def test_the_first_image_of_a_batch_is_answered_alone_as_together_within_a_fiftieth(alone, same):
    pipeline = Alone(None, None, None, None, 4, answers_to(question(2)))
    pipeline.alone = alone
    with contextlib.nullcontext() if same else pytest.raises(NotApplicable, match="in a batch of 2 than alone"):
        pipeline._check_alone(question(2), shown(0.4, 0.9))


class PNDMScheduler:
    """A solver of a name that starts slowly."""

    def __init__(self, steps):
        self.timesteps = range(steps)


class Derived(PNDMScheduler):
    """A stranger's subclass of it."""


@pytest.mark.parametrize(
    ("steps", "every", "autoencoder", "renewals", "filled", "warned"),
    [
        (49, 0, None, 0, False, ["PNDMScheduler with 49 steps"]),
        (50, 0, None, 0, False, []),
        (50, 4, None, 0, False, []),
        (50, 4, "vae", 0, False, ["never encoded anew"]),
        (50, 0, "vae", 0, False, []),
        (50, 4, "vae", 1, False, []),
        (50, 4, "vae", 0, True, []),
    ],
)
def test_a_run_that_reads_less_memory_than_there_is_is_told(steps, every, autoencoder, renewals, filled, warned):
    answers = answers_to(question(1))
    pipe = SimpleNamespace(scheduler=Derived(steps))
    space = SimpleNamespace(autoencoder=autoencoder)
    run = SimpleNamespace(space=space, renewals=renewals, filled=torch.tensor([True, filled]))
    _Pipeline(pipe, None, None, None, every, answers)._note(run)
    assert len(answers.warnings) == len(warned)
    assert all(words in text for words, text in zip(warned, answers.warnings, strict=True))


def test_a_function_gets_copies_captions_and_a_seed_an_image_and_progress_counts_images():
    seen, told = [], []

    def fill(images, masks, captions, seeds):
        seen.append((len(images), captions, seeds))
        masks.fill_(False)
        return images.fill_(0.9)

    made = asking.ask(
        fill, torch.full((3, 3, 2, 2), 0.2), HALF[0, 0], ["a", "b", "c"], batch=2, progress=lambda *call: told.append(call)
    )
    assert [count for count, *_ in seen] == [2, 1]
    assert sorted(caption for _, captions, _ in seen for caption in captions) == ["a", "b", "c"]
    assert len({seed for *_, seeds in seen for seed in seeds}) == 3
    assert told == [("asking the model", 2, 3), ("asking the model", 3, 3)]
    assert made.images[:, :, :, 0].eq(torch.tensor(0.9)).all()
    assert made.images[:, :, :, 1].eq(torch.tensor(0.2)).all()
    assert made.given_error == pytest.approx(0.7)
    assert made.seconds > 0


def test_a_function_that_withholds_all_has_no_error_of_given_pixels():
    withheld = SimpleNamespace(images=torch.zeros(1, 3, 2, 2), nsfw_content_detected=[True])
    made = asking.ask(lambda *_: withheld, torch.full((1, 3, 2, 2), 0.2), HALF)
    assert (made.given_error, made.refused.tolist()) == (None, [True])


def test_a_pipeline_shows_no_bar_inside_and_its_own_setting_comes_back():
    import tqdm

    pipe, interval = SimpleNamespace(_progress_bar_config={"leave": True}), tqdm.tqdm.monitor_interval
    with asking._silent_bars(pipe):
        assert (pipe._progress_bar_config, tqdm.tqdm.monitor_interval) == ({"leave": True, "disable": True}, 0)
    assert (pipe._progress_bar_config, tqdm.tqdm.monitor_interval) == ({"leave": True}, interval)
    bare = SimpleNamespace()
    with asking._silent_bars(bare):
        assert bare._progress_bar_config == {"disable": True}
    assert vars(bare) == {}


class Made:
    """A class of a pipeline that keeps what it is made of."""

    def __init__(self, unet, scheduler, requires_safety_checker=True, **more):
        self.given = (unet, scheduler, requires_safety_checker, more)


def test_a_strangers_class_gets_the_parts_that_it_names():
    config = {"_class_name": "Stock", "requires_safety_checker": False, "unet": ("diffusers", "It")}
    parts = adopting._parts(SimpleNamespace(config=config, components={"unet": 1, "vae": 2}))
    assert parts == {"requires_safety_checker": False, "unet": 1, "vae": 2}
    assert adopting._made(Made, {**parts, "scheduler": 3}).given == (1, 3, False, {})
    with pytest.raises(NotApplicable, match="a class that needs scheduler"):
        adopting._made(Made, parts)


def test_a_class_that_fails_is_its_authors_fault():
    def fails(unet):
        raise ValueError("no unet of mine")

    with pytest.raises(PluginFault, match=r"fails.__init__: found ValueError: no unet of mine"):
        adopting._made(fails, {"unet": 1})


@pytest.mark.parametrize("name", ["DDIMSchedular", "version"])
def test_a_scheduler_that_diffusers_does_not_have_is_unknown(name):
    with pytest.raises(UnknownName, match="scheduler of diffusers"):
        adopting._scheduler(name, None)


def test_a_scheduler_is_made_of_the_settings_of_another():
    from diffusers import DDIMScheduler, DDPMScheduler

    made = adopting._scheduler("DDIMScheduler", DDPMScheduler(num_train_timesteps=77))
    assert (type(made), made.config.num_train_timesteps) == (DDIMScheduler, 77)
    with pytest.raises(PluginFault, match="scheduler DDIMScheduler"):
        adopting._scheduler("DDIMScheduler", SimpleNamespace(config=3))
