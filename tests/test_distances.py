"""Distances: each against a loop, what it cannot see, and p-values that are exact for any."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from solidmark import plugins
from solidmark.errors import DamagedFile, NotApplicable
from solidmark.metrics import content, copy_metrics
from solidmark.metrics.distances import L2, SSCD, Distance, JudgeFeatures, PerceptualHash, Ratio, Shift, Surroundings

INSTALLED = {plugin.name: plugins.instance(plugins.GROUPS["distance"], "distance", plugin.name)
             for plugin in plugins.discover(plugins.GROUPS["distance"])}  # fmt: skip
PLAIN = [name for name in INSTALLED if name != "sscd"]


def images(count, seed=0, side=8):
    return np.random.default_rng(seed).uniform(size=(count, 1, side, side))


def features(given):
    return given.reshape(len(given), -1)[:, :40]


AROUND = Surroundings(images(24, 9), features)


def test_all_that_are_published_are_installed():
    kinds = {"ratio": Ratio, "shift": Shift, "l2": L2, "features": JudgeFeatures, "hash": PerceptualHash, "sscd": SSCD}
    assert {name: type(distance) for name, distance in INSTALLED.items()} == kinds


@pytest.mark.parametrize("name", PLAIN)
def test_the_nearest_image_of_a_copy_is_its_original_and_pairs_are_in_rows_and_columns(name):
    real = images(6)
    found = INSTALLED[name].between(real[[3, 1, 4]], real, AROUND)
    assert found.shape == (3, 6)
    assert found.argmin(axis=1).tolist() == [3, 1, 4]


@pytest.mark.parametrize("name", PLAIN)
def test_p_values_of_nothing_are_uniform_for_own_and_for_any(name):
    hits, shown = [], INSTALLED[name]
    for seed in range(60):
        pictures, real = images(60, 3 * seed), images(60, 3 * seed + 1)
        apart = shown.between(pictures, real, Surroundings(images(24, 3 * seed + 2), features))
        hits += [(content.conformal_p(each[:20], each[20:]) <= 0.1).mean() for each in (np.diag(apart), apart.min(axis=0))]
    assert np.mean(hits) <= 4 / 41 + 0.02  # ties only make it smaller


@pytest.mark.parametrize(("distance", "pair"), [
    (L2(), copy_metrics.l2),
    (JudgeFeatures(), lambda a, b: 1 - copy_metrics.feature_cosine(a, b, features)),
    (PerceptualHash(), copy_metrics.perceptual_hash_distance),
])  # fmt: skip
def test_published_distances_are_those_of_the_copy_metrics(distance, pair):
    pictures, real = images(4), images(5, 1)
    expected = [pair(pictures, np.repeat(image[None], 4, axis=0)) for image in real]
    assert distance.between(pictures, real, AROUND) == pytest.approx(np.stack(expected, axis=1))


def test_a_shifted_copy_is_seen_by_shift_alone():
    real = images(40)
    moved = np.roll(real, 1, axis=-1)
    assert np.diag(Shift().between(moved, real, AROUND)).max() == pytest.approx(0)
    assert np.diag(Ratio().between(moved, real, AROUND)).min() > 0.5


def test_without_a_shift_it_is_the_ratio():
    pictures, real = images(4), images(5, 1)
    assert Shift(0).between(pictures, real, AROUND) == pytest.approx(Ratio().between(pictures, real, AROUND))


def test_images_too_small_to_be_shifted_are_refused():
    with pytest.raises(NotApplicable, match="images of 2 x 2"):
        Shift().between(images(2, side=2), images(2, side=2), AROUND)


class Tiny(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.avg_pool2d(x, 36).flatten(1) + 5


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # the format that SSCD is published in
def test_sscd_reads_the_weights_that_are_given(tmp_path, monkeypatch):
    torch.jit.trace(Tiny(), torch.zeros(1, 3, 288, 288)).save(str(tmp_path / "sscd.pt"))
    monkeypatch.setenv("SOLIDMARK_SSCD", str(tmp_path / "sscd.pt"))
    real = images(6)
    assert SSCD().between(real[[3, 1]], real, AROUND).argmin(axis=1).tolist() == [3, 1]


def test_sscd_without_weights_says_which_variable_to_set(monkeypatch):
    monkeypatch.delenv("SOLIDMARK_SSCD", raising=False)
    with pytest.raises(NotApplicable, match="name it in SOLIDMARK_SSCD"):
        SSCD().between(images(2), images(2), AROUND)


def test_sscd_of_a_file_that_is_none_is_named(tmp_path, monkeypatch):
    (tmp_path / "sscd.pt").write_text("no network")
    monkeypatch.setenv("SOLIDMARK_SSCD", str(tmp_path / "sscd.pt"))
    with pytest.raises(DamagedFile, match=r"sscd\.pt"):
        SSCD().between(images(2), images(2), AROUND)


def test_a_distance_without_a_body_says_so():
    with pytest.raises(TypeError, match="does not define how far"):
        Distance().between(images(1), images(1), AROUND)


def test_the_example_of_contributing_works():
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text()
    code = re.search(r"```python\n((?:(?!```).)*class MeanGray.*?)```", text, re.S).group(1)
    made = {"__name__": "example"}
    exec(code, made)
    real = images(6)
    found = made["MeanGray"]().between(real[:4], real, AROUND)
    assert found == pytest.approx(np.abs(real[:4].mean(axis=(1, 2, 3))[:, None] - real.mean(axis=(1, 2, 3))))
