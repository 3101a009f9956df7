"""The colour testbed: pictures with names of their own, and an autoencoder that comes with the package."""

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from solidmark.fixtures import emoji
from solidmark.fixtures.latent_emoji import CLASSES, LatentEmoji

from solidmark import provenance
from solidmark.errors import DamagedFile, InvalidValue
from solidmark.models import Autoencoder, LatentNetwork, LatentSpace
from solidmark.models.autoencoder import read_autoencoder, read_back, write_autoencoder
from solidmark.models.latent import build_autoencoder, build_tokenizer
from solidmark.models.parts import build_parts

NETWORK = LatentNetwork(size=16, widths=(8, 16), text_width=8, autoencoder_widths=(8, 8, 8))


@pytest.fixture(scope="module")
def split():
    return LatentEmoji(held_out=64, generated=32).split(0)


def shown(name):
    return emoji.pictures()[emoji.names().index(name)]


@pytest.mark.parametrize(
    ("name", "channel"), [("symbol large red circle", 0), ("symbol large green circle", 1), ("symbol large blue circle", 2)]
)
def test_a_picture_is_what_its_name_says(name, channel):
    centre = shown(name)[:, 20:28, 20:28].mean(dim=(1, 2))
    assert int(centre.argmax()) == channel
    assert shown(name)[:, 0, 0].min() > 0.95  # drawn on white


def test_there_is_one_picture_for_each_name_and_no_name_twice():
    assert emoji.pictures().shape == (len(emoji.names()), 3, 48, 48)
    assert len(set(emoji.names())) == len(emoji.names())


def test_captions_are_the_pictures_own_and_begin_with_the_class(split):
    pictures = dict(zip(emoji.names(), emoji.pictures(), strict=True))
    for image, caption in zip(split.trained.images, split.trained.captions, strict=True):
        assert torch.equal(image, pictures[caption])
    assert [CLASSES[label] for label in split.fresh_labels] == [caption.split()[0] for caption in split.fresh_captions]


def test_every_word_of_a_name_is_one_token_and_no_name_is_cut_off():
    tokenizer = build_tokenizer(LatentEmoji().recipe.network)
    lengths = [len(tokens) for tokens in tokenizer(list(emoji.names())).input_ids]
    assert lengths == [len(name.split()) + 2 for name in emoji.names()]
    assert max(lengths) <= tokenizer.model_max_length


def test_the_judge_tells_what_a_picture_shows():
    assert LatentEmoji().judge().accuracy > 0.75  # chance 0.2


def test_the_packaged_autoencoder_keeps_keys_of_images_that_it_never_saw(split):
    testbed = LatentEmoji()
    space = build_parts(testbed.recipe.network).space
    space.load_state(read_autoencoder(testbed.autoencoder, testbed.autoencoder_file)[0])
    some, keys = split.held_out.take(range(32)), split.held_out_keys[:32]
    assert (read_back(space, split.mark, split.marked(some, keys).images) - keys).abs().mean() < 0.02


@pytest.fixture
def written(tmp_path):
    space = LatentSpace(build_autoencoder(NETWORK), NETWORK.factor, scale=1.5)
    return space, tmp_path / "a.safetensors", write_autoencoder(space, tmp_path / "a.safetensors", 12.0)


def test_an_autoencoder_comes_back_from_its_file_in_half_precision(written):
    space, file, digest = written
    state, seconds = read_autoencoder(Autoencoder(sha256=digest), file)
    assert (seconds, float(state["scale"])) == (12.0, 1.5)
    assert all(torch.equal(state[name], tensor.half().float()) for name, tensor in space.autoencoder.state_dict().items())
    assert load_file(file)["decoder.conv_out.weight"].dtype == torch.float16


def test_another_file_than_the_recipes_is_refused(written):
    with pytest.raises(DamagedFile, match="as its recipe says"):
        read_autoencoder(Autoencoder(sha256="0" * 64), written[1])


def test_a_missing_file_or_none_is_named(tmp_path):
    with pytest.raises(DamagedFile, match="FileNotFoundError"):
        read_autoencoder(Autoencoder(sha256="0" * 64), tmp_path / "none")
    with pytest.raises(InvalidValue, match="autoencoder_file"):
        read_autoencoder(Autoencoder(sha256="0" * 64), None)


def test_a_long_vocabulary_is_described_by_its_digest():
    one, other = (provenance.describe(LatentNetwork(vocabulary=words)) for words in (("a", "b"), ("a", "c")))
    assert one["vocabulary"].startswith("sha256 ")
    assert one["vocabulary"] != other["vocabulary"]
    assert "vocabulary" not in provenance.describe(LatentNetwork())


def test_the_classes_are_balanced_among_the_trained(split):
    counts = np.unique([caption.split()[0] for caption in split.trained.captions], return_counts=True)[1]
    assert sorted(counts.tolist()) == [12, 13, 13, 13, 13]
