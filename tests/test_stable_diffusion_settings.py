"""Settings of the testbed of Stable Diffusion: each key, and one sentence for each mistake."""

import re
import sys
import tomllib
from pathlib import Path

import pytest
from sd_world import World, photos, pipeline
from solidmark.fixtures.stable_diffusion.settings import TEMPLATE, Settings, read

from solidmark import plugins
from solidmark.errors import DamagedFile, InvalidValue, NotApplicable, SolidmarkError, UnknownName


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    root = tmp_path_factory.mktemp("sd")
    pipeline(root / "pipe")
    photos(root / "photos")
    return World(root)


def test_the_template_has_every_key_with_its_default():
    given = tomllib.loads(TEMPLATE.read_text())
    plain = Settings.model_validate({name: {} for name in ("border", "training", "query", "utility")} | {
        "base": {"pipeline": given["base"]["pipeline"]}, "images": {"source": given["images"]["source"]}
    })  # fmt: skip
    assert given == plain.model_dump()


def test_every_key_of_the_template_is_explained_above_it():
    lines = TEMPLATE.read_text().splitlines()
    tables = [number for number, line in enumerate(lines) if line.startswith("[")]
    assert all(lines[number + 1].startswith("# ") for number in tables)


WRONG = [
    ({"training": {"epochs": 0.0}}, InvalidValue, r"sd.toml, training.epochs: found 0.0; expected greater than 0"),
    ({"training": {"batch": "16"}}, InvalidValue, r"training.batch: found '16'; expected a valid integer"),
    ({"training": {"precision": "half"}}, InvalidValue, r"training.precision: found 'half'; expected 'float32' or"),
    ({"training": {"learning_rat": 1.0}}, UnknownName, r"key of \[training\]: found 'learning_rat'.*'learning_rate'"),
    ({"traning": {"batch": 1}}, UnknownName, r"key of the file: found 'traning'.*'training'"),
    ({"images": {"size": 10}}, InvalidValue, r"images.size: found 10 pixels; expected a multiple of 4"),
    ({"border": {"thickness": 3}}, InvalidValue, r"border.thickness: found 3 pixels; expected a multiple of 4"),
    ({"training": {"accumulate": 5}}, InvalidValue, r"training.accumulate: found 5; expected at most the batch, 4"),
    ({"training": {"weights": "lora", "text_encoder": True}}, InvalidValue, "training.text_encoder: found true"),
    ({"training": {"weights": "lora"}, "base": {"initialise": "random"}}, InvalidValue, 'base.initialise: found "random"'),

    ({"base": {"pipeline": "no such"}}, InvalidValue, "base.pipeline: found no folder 'no such'"),
    ({"base": {"pipeline": "../owner/name"}}, InvalidValue, "base.pipeline: found no folder '../owner/name'"),
    ({"images": {"source": "nothing"}}, NotApplicable, "images.source: found no folder or file 'nothing'"),
    ({"images": {"trained": 2}}, InvalidValue, "images.trained: found 2; expected greater than or equal to 3"),
]  # fmt: skip


@pytest.mark.parametrize(("sections", "kind", "message"), WRONG)
def test_a_mistake_names_file_key_value_and_what_was_expected(world, monkeypatch, sections, kind, message):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(SolidmarkError, match=message) as caught:
        world.testbed(**sections)
    assert isinstance(caught.value, kind)
    assert caught.value.cure


@pytest.mark.parametrize("missing", ["base", "images"])
def test_what_has_no_default_must_be_given(tmp_path, missing):
    text = {"base": '[base]\npipeline = "p"\n', "images": '[images]\nsource = "s"\n'}
    del text[missing]
    (tmp_path / "sd.toml").write_text("".join(text.values()))
    with pytest.raises(InvalidValue, match=rf"sd.toml, {missing}: found nothing"):
        read(tmp_path / "sd.toml")


def test_a_file_that_is_not_there_or_is_no_toml_is_named(tmp_path):
    with pytest.raises(InvalidValue, match=r"none.toml: No such file"):
        plugins.testbed(str(tmp_path / "none.toml"))
    (tmp_path / "bad.toml").write_text("[base\n")
    with pytest.raises(DamagedFile, match=r"bad.toml: found .*line 1"):
        plugins.testbed(str(tmp_path / "bad.toml"))


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("sd.toml", 'testbed = "digits"', "sd.toml, testbed: found 'digits'; expected one that takes settings"),
        ("sd.toml", 'testbed = "stable-difusion"', "Did you mean 'stable-diffusion'"),
        ("sd.toml", "", "found 'None'"),
        ("digits.toml", 'testbed = "stable-diffusion"', "digits.toml'; expected .* no name of another testbed"),
        ("my bed.toml", 'testbed = "stable-diffusion"', "expected letters"),
    ],
)
def test_the_file_names_a_testbed_that_takes_settings(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InvalidValue, match=message):
        plugins.testbed(str(tmp_path / name))


def test_the_name_of_the_file_is_that_of_the_testbed(world):
    name, testbed = plugins.testbed(str(world.write("mine")))
    assert (name, plugins.testbed_name("some/folder/mine.toml")) == ("mine", "mine")
    assert testbed.recipe.train_steps == 6  # 2 epochs of 12 images in batches of 4


def test_without_settings_it_says_what_to_copy():
    testbed = plugins.testbed("stable-diffusion")[1]
    with pytest.raises(InvalidValue, match=r"found no settings.*settings\.toml"):
        testbed.check_rows(1, forgetting=False)
    with pytest.raises(InvalidValue, match="found no settings"):
        testbed.load()


def test_the_settings_of_the_documents_are_settings(tmp_path):
    page = (Path(__file__).parents[1] / "docs" / "measure_stable_diffusion.md").read_text()
    text = re.search(r"```toml\n(.*?)```", page, re.DOTALL).group(1)
    (tmp_path / "my.toml").write_text(text)
    given = read(tmp_path / "my.toml")
    assert (given.images.trained, given.training.weights) == (1000, "lora")
