"""A judge of pictures that was given: features of any network, and a CLIP, beside computations by hand."""

import pickle
import warnings

import numpy as np
import pytest
import torch
from scipy import linalg
from sd_world import World, photos, pipeline
from test_stable_diffusion import case

from solidmark.errors import DamagedFile, InvalidValue, NotApplicable
from solidmark.measurement import generation
from solidmark.measurement.case import Workspace
from solidmark.measurement.measure import measure
from solidmark.metrics import utility
from solidmark.metrics.given_judge import ClipScore, GivenJudge
from solidmark.store import Store

SIZES = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    import tiny_pipelines as tiny
    from transformers import CLIPConfig, CLIPModel

    text = {**SIZES, "vocab_size": 32, "max_position_embeddings": 6, "bos_token_id": 1, "eos_token_id": 2}
    config = CLIPConfig(text_config=text, vision_config={**SIZES, "image_size": 8, "patch_size": 4}, projection_dim=4)
    folder = tmp_path_factory.mktemp("clip") / "clip"
    tiny.seeded(lambda: CLIPModel(config)).save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder


class Means(torch.nn.Module):
    """Features that are the mean colour."""

    def forward(self, images):
        return images.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def world(tmp_path_factory, clip):
    root = tmp_path_factory.mktemp("judged")
    pipeline(root / "pipe")
    photos(root / "photos", 80)
    (root / "clip").symlink_to(clip)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # networks are published in this format
        torch.jit.script(Means()).save(str(root / "means.pt"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOLIDMARK_STORE", str(root / "store"))
        yield World(root)


def test_a_row_has_what_given_networks_say(world, tmp_path):
    testbed = world.testbed(utility={"clip": "clip", "features": "means.pt"})
    block = measure(case(testbed), Workspace(Store(tmp_path / "store")), tmp_path)["utility"]
    assert (block["accuracy"], block["judge_accuracy"]) == (None, None)
    assert block["frechet"]["value"] > block["frechet"]["real"] >= 0
    assert 0 <= block["clip"]["value"] == min(way["clip"]["value"] for way in block["ways"].values()) <= 100
    assert block["clip"]["real"] == block["ways"][generation.FRESH]["clip"]["real"]


def test_without_networks_there_is_no_judge_and_the_digest_tells_two_apart(world):
    assert world.testbed().judge() is None
    one, other = (world.testbed(utility=given) for given in ({"clip": "clip"}, {"features": "means.pt"}))
    assert one != other
    assert one.judge().clip is not None
    assert other.judge().clip is None


def test_too_few_images_for_a_distance_are_told(world):
    testbed = world.testbed(utility={"clip": "clip"}, images={"trained": 50, "queried": 12})
    assert generation.no_utility(case(testbed), testbed.split(0)) == ("7 images are too few for a distance, which needs 16")


def test_the_score_is_the_cosine_of_picture_and_caption(clip):
    from transformers import AutoTokenizer, CLIPModel

    images, captions = np.random.default_rng(0).random((40, 3, 8, 8)), ["a red house", "two dogs"] * 20
    model, tokenizer = CLIPModel.from_pretrained(clip).eval(), AutoTokenizer.from_pretrained(clip)
    mean, deviation = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    pixels = (torch.from_numpy(images).float() - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(deviation).view(3, 1, 1)
    given = tokenizer(captions, padding="max_length", max_length=6, return_tensors="pt")
    with torch.no_grad():
        out = model(input_ids=given.input_ids, attention_mask=given.attention_mask, pixel_values=pixels)
    expected = 100 * torch.cosine_similarity(out.image_embeds, out.text_embeds).clamp(min=0)
    assert np.allclose(ClipScore(clip).scores(images, captions), expected.numpy(), atol=1e-3)


def test_features_are_those_of_clip_where_no_others_are_given(clip):
    score, images = ClipScore(clip), np.random.default_rng(0).random((5, 3, 8, 8))
    flat = GivenJudge("x", (3, 8, 8), None, score).features(images.reshape(5, -1))
    assert np.array_equal(flat, score.embed(images))
    assert np.allclose(np.linalg.norm(flat, axis=1), 1)


def test_a_given_judge_knows_no_class_and_is_copied_by_its_name():
    judge = GivenJudge("digest", (3, 8, 8), lambda images: images, None)
    with pytest.raises(NotApplicable, match="one that knows classes"):
        judge.classify(np.zeros((1, 192)))
    assert pickle.loads(pickle.dumps(judge)).name == "digest"


def test_of_more_features_than_images_the_distance_is_the_same():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(20, 30)), rng.normal(size=(25, 30)) + 0.3
    c, d = (np.cov(one, rowvar=False) for one in (x, y))
    apart = x.mean(axis=0) - y.mean(axis=0)
    expected = apart @ apart + np.trace(c + d) - 2 * np.trace(linalg.sqrtm(c @ d + 1e-12 * np.eye(30)).real)
    assert utility.frechet(x, y) == pytest.approx(expected, rel=1e-3)
    assert utility.frechet(x, x) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"clip": "none"}, r"sd.toml, utility.clip: found nothing at 'none'; expected the folder"),
        ({"features": "none.pt"}, r"utility.features: found nothing at 'none.pt'; expected a TorchScript"),
        ({"clip": "means.pt"}, r"utility.clip: found nothing at 'means.pt'"),
    ],
)
def test_a_network_that_is_not_there_is_named(world, given, message):
    with pytest.raises(InvalidValue, match=message):
        world.testbed(utility=given)


def test_what_is_no_network_is_named_when_it_is_loaded(world):
    (world.root / "words.pt").write_text("words")
    with pytest.raises(DamagedFile, match=r"words\.pt"):
        world.testbed(utility={"features": "words.pt"}).judge()
    with pytest.raises(NotApplicable, match="CLIP photos: found"):
        world.testbed(utility={"clip": "photos"}).judge()
