"""Memorization in a training: `Measure` every few steps, the curve over checkpoints, and LoRA weights on top."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from collections_toys import Memory, collection, folder_of, guess, marked

from solidmark.__main__ import main
from solidmark.collection import loading, measuring
from solidmark.collection.loop import Measure
from solidmark.collection.marking import mark
from solidmark.collection.painting import Style
from solidmark.collection.questions import Query
from solidmark.errors import InvalidValue

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "README.md").read_text()
TOY = {"name": "toy", "sha256": None}


class Learner(Memory):
    """Remembers a share of its images, and guesses the borders of all others."""

    def __init__(self, out):
        super().__init__(out)
        self.everything, self.share = self.images, 0.0

    def train(self, share):
        self.share = share

    def __call__(self, images, masks, captions, seeds):
        self.images = self.everything[: max(1, round(self.share * len(self.everything)))]
        near = super().__call__(images, masks, captions, seeds)
        known = ((near - images).abs() * ~masks).flatten(1).amax(dim=1) < 1e-6
        return torch.where(known.view(-1, 1, 1, 1), near, guess(images, masks, captions, seeds))


def test_the_numbers_in_a_loop_are_those_of_the_command(tmp_path):
    found = collection(tmp_path, 24)
    record = measuring.measure(Memory(found.marked), TOY, found, Query(limit=8), tmp_path / "into")
    numbers = Measure(found.folder, found.marked, images=8)(Memory(found.marked))
    assert numbers["solidmark/memorization"] == record["trained"]["memorization"]["value"]
    assert numbers["solidmark/certified"] == len(record["certified"]) == 8
    assert numbers["solidmark/held_out_memorization"] == record["held_out"]["memorization"]["value"]


def test_the_example_of_the_readme_logs_memory_as_it_grows(tmp_path, monkeypatch):
    from accelerate import Accelerator
    from accelerate.tracking import GeneralTracker

    class Notes(GeneralTracker):
        name, requires_logging_directory, tracker = "notes", False, None

        def __init__(self):
            super().__init__()
            self.logged = []

        def store_init_configuration(self, values):
            pass

        def log(self, values, step, **_):
            self.logged.append((step, values["solidmark/memorization"], values["solidmark/certified"]))

    example = next(text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Measure" in text)
    assert len(example.splitlines()) <= 15
    assert example in (ROOT / "docs" / "your_images.md").read_text()
    mark(folder_of(tmp_path / "images", 48), tmp_path / "photos", tmp_path / "photos.ledger", Style(), workers=1)
    monkeypatch.chdir(tmp_path)
    notes, pipeline = Notes(), Learner("photos")
    accelerator = Accelerator(cpu=True, log_with=notes)
    accelerator.init_trackers("example")
    exec(example, {"accelerator": accelerator, "pipeline": pipeline, "train": lambda step: pipeline.train(step / 1000)})
    steps, memory, certified = zip(*notes.logged, strict=True)
    assert steps == (250, 500, 750, 1000)
    assert list(memory) == sorted(memory)
    assert all(0 <= found - known <= 1 for found, known in zip(certified, (6, 12, 18, 24), strict=True))


def test_importing_solidmark_imports_no_torch():
    code = "import sys, solidmark; assert 'Measure' in solidmark.__all__; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_without_the_images_it_says_what_is_missing(tmp_path):
    _, secret, _ = marked(tmp_path)
    with pytest.raises(InvalidValue, match=r"^Measure, marked: found a ledger in .*secret, and no images"):
        Measure(secret)


# Pipelines


@pytest.fixture(scope="module")
def pipelines(tmp_path_factory):
    """A collection of 8 x 8 images with a border of 4, and the folder of a pipeline with random weights."""
    from tiny_pipelines import stable_diffusion

    folder = tmp_path_factory.mktemp("pipelines")
    mark(
        folder_of(folder / "images", 8, height=8, width=8), folder / "out", folder / "secret", Style(thickness=4), workers=1
    )
    stable_diffusion().save_pretrained(folder / "pipeline")
    return folder


def changed(seed):
    """A denoiser with other weights."""
    from tiny_pipelines import stable_diffusion

    network = type(stable_diffusion().unet).from_config(stable_diffusion().unet.config)
    generator = torch.Generator().manual_seed(seed)
    for weights in network.parameters():
        weights.data = torch.randn(weights.shape, generator=generator) * 0.3
    return network


def test_a_training_goes_on_as_if_it_had_not_been_measured(pipelines):
    pipe, _ = loading.load(str(pipelines / "pipeline"))
    pipe.unet.train()
    pipe.unet.conv_in.eval()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    numbers = Measure(pipelines / "secret", pipelines / "out", steps=2)(pipe)
    assert abs(numbers["solidmark/memorization"]) < 0.5
    assert (pipe.unet.training, pipe.unet.conv_in.training) == (True, False)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def checkpoints(pipelines):
    """What a training left: a denoiser at steps 2 and 10, and a LoRA."""
    folder = pipelines / "training"
    for step in (10, 2):
        changed(step).save_pretrained(folder / f"checkpoint-{step}" / "unet")
    _save_lora(pipelines / "pipeline", folder / "checkpoint-7")
    return folder


def _save_lora(pipeline, folder):
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    pipe, _ = loading.load(str(pipeline))
    pipe.unet.add_adapter(LoraConfig(r=1, target_modules=["to_q", "to_v"], init_lora_weights=False))
    with torch.no_grad():
        for name, weights in pipe.unet.named_parameters():
            if "lora" in name:
                weights.fill_(0.7)
    type(pipe).save_lora_weights(folder, unet_lora_layers=get_peft_model_state_dict(pipe.unet))


def test_each_checkpoint_answers_by_its_own_weights_in_the_order_of_its_steps(pipelines, checkpoints, tmp_path, capsys):
    command = ["measure", "--model", str(pipelines / "pipeline"), "--checkpoints", str(checkpoints), "--steps", "2"]
    command += [
        "--ledger",
        str(pipelines / "secret"),
        "--marked",
        str(pipelines / "out"),
        "--into",
        str(tmp_path),
        "--batch",
        "4",
    ]
    assert main(command) == 0
    with (tmp_path / "curve.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["2", "7", "10"]
    assert len({row["memorization"] for row in rows}) == 3
    assert {row["certified"] for row in rows} == {"0"}  # random weights remember nothing
    assert "checkpoint-10" in capsys.readouterr().out


def test_lora_weights_are_put_on_top_and_named(pipelines, checkpoints):
    lora = checkpoints / "checkpoint-7" / loading.LORA
    plain, with_lora = loading.load(str(pipelines / "pipeline")), loading.load(str(pipelines / "pipeline"), lora)
    assert with_lora[1]["name"] == f"pipeline with {loading.LORA}"
    assert plain[1]["sha256"] != with_lora[1]["sha256"]
    given = torch.ones(1, 4, 4, 4), 10, torch.ones(1, 6, 8)
    assert not torch.allclose(plain[0].unet(*given).sample, with_lora[0].unet(*given).sample)


def test_a_part_of_a_pipeline_without_the_whole_is_refused(checkpoints):
    with pytest.raises(InvalidValue, match="Give the pipeline with --model"):
        loading.load_checkpoint(None, checkpoints / "checkpoint-2")


@pytest.mark.parametrize("name", ["x", "unet.of.another.to_q.lora_A.weight"])
def test_what_is_no_lora_of_this_pipeline_is_refused(pipelines, tmp_path, name):
    from safetensors.numpy import save_file

    save_file({name: np.zeros((1, 2), dtype=np.float32)}, tmp_path / "x.safetensors")
    with pytest.raises(InvalidValue, match="LoRA weights of this pipeline"):
        loading.load(str(pipelines / "pipeline"), tmp_path / "x.safetensors")


def test_a_strangers_class_and_call_answer_and_are_in_the_record(pipelines, tmp_path):
    (tmp_path / "own.py").write_text(
        "from diffusers import StableDiffusionPipeline\n\n\nclass Own(StableDiffusionPipeline):\n    pass\n\n\n"
        "def call(pipe, captions, **options):\n    return pipe(captions, **options)\n"
    )
    command = ["measure", "--model", str(pipelines / "pipeline"), "--steps", "2", "--ledger", str(pipelines / "secret")]
    command += ["--marked", str(pipelines / "out"), "--into", str(tmp_path / "into"), "--limit", "3"]
    command += ["--pipeline-class", f"{tmp_path}/own.py:Own", "--pipeline-call", f"{tmp_path}/own.py:call"]
    assert main(command) == 0
    known = json.loads((tmp_path / "into" / "record.json").read_text())["model"]["pipeline"]
    assert (known["pipeline"], known["call"], known["scheduler"]) == ("Own", "call", "DDIMScheduler")


def test_each_checkpoint_is_asked_by_the_strangers_class_and_call_with_the_lora(pipelines, checkpoints, tmp_path):
    (tmp_path / "own.py").write_text(
        "from diffusers import StableDiffusionPipeline\n\n\nclass Own(StableDiffusionPipeline):\n    pass\n\n\n"
        "def call(pipe, captions, **options):\n    return pipe(captions, **options)\n"
    )
    lora, strangers = checkpoints / "checkpoint-7" / loading.LORA, (f"{tmp_path}/own.py:Own", f"{tmp_path}/own.py:call")
    base, part = str(pipelines / "pipeline"), checkpoints / "checkpoint-10"
    asked, model = loading.load_checkpoint(base, part, "cpu", "float32", *strangers, lora=lora)
    plain, _ = loading.load_checkpoint(base, part)
    assert (asked.call.__name__, type(asked.pipe).__name__) == ("call", "Own")
    assert (model["pipeline"]["pipeline"], model["pipeline"]["call"]) == ("Own", "call")
    assert model["name"] == f"pipeline with checkpoint-10 and {lora.name}"
    given = torch.ones(1, 4, 4, 4), 10, torch.ones(1, 6, 8)
    assert not torch.allclose(plain.unet(*given).sample, asked.pipe.unet(*given).sample)
    with pytest.raises(InvalidValue, match=r"--lora: found .* is a LoRA; expected one LoRA"):
        loading.load_checkpoint(base, checkpoints / "checkpoint-7", lora=lora)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--lora", "{}/nothere.safetensors", "--lora: found no file"),
        ("--pipeline-class", "{}/nothere.py:Own", "no file"),
        ("--pipeline-call", "{}/nothere.py:call", "no file"),
    ],
)
def test_a_file_that_is_not_there_is_refused_for_checkpoints_too(
    pipelines, checkpoints, tmp_path, capsys, option, value, message
):
    command = ["measure", "--model", str(pipelines / "pipeline"), "--ledger", str(pipelines / "secret")]
    command += ["--marked", str(pipelines / "out"), "--into", str(tmp_path / "into"), option, value.format(tmp_path)]
    assert main(command) == main([*command, "--checkpoints", str(checkpoints)]) == 2
    assert capsys.readouterr().err.count(message) == 2
    assert not (tmp_path / "into").exists()
