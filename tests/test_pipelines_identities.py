"""What a pipeline is known by, on toys: plain values, digests that follow each part, and names of an index."""

import functools
import hashlib
import inspect
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from solidmark.errors import DamagedFile, NotApplicable
from solidmark.pipelines import identities, identity
from solidmark.pipelines.identities import call_digest, components, folder_digest, read_index, weights_digest
from solidmark.provenance import code_digest


class Toy:
    """A pipeline of a linear network and a scheduler."""

    def __init__(self, **parts):
        settings = {"steps": 9, "_version": "1", "betas": (0.1, 0.2)}
        self.scheduler = SimpleNamespace(config=settings)
        self.unet = nn.Linear(2, 1)
        with torch.no_grad():
            self.unet.weight.fill_(0.5)
            self.unet.bias.fill_(0.0)
        vars(self).update(parts)


def call(pipe, captions):
    return captions


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ({1: (2, [None])}, {"1": [2, [None]]}),
        (np.array([1.5, 2.0]), [1.5, 2.0]),
        (torch.tensor(3), 3),
        (math.sqrt, "sqrt"),
        (True, True),
        (torch.float16, "torch.float16"),
        ("word", "word"),
    ],
)
def test_values_are_written_as_json_has_them(value, plain):
    assert identities._plain(value) == plain
    json.dumps(plain)


def test_an_identity_holds_each_fact_in_its_place():
    found = identity(Toy(), call)
    assert (found["pipeline"], found["stock"], found["call"], found["scheduler"]) == (
        "Toy",
        "object",
        "call",
        "SimpleNamespace",
    )
    assert found["scheduler_settings"] == {"betas": [0.1, 0.2], "steps": 9}
    assert (found["revision"], found["revision_of"]) == (weights_digest(Toy()), "weights")
    assert found["call_source"] == call_digest(call) != found["source"]
    assert found["precision"] == {"unet": "torch.float32"}
    assert set(found["libraries"]) >= {"diffusers", "torch", "transformers"}
    assert "+" not in found["libraries"]["torch"]


def test_a_revision_of_a_folder_is_taken_as_it_is():
    found = identity(Toy(), revision="abc")
    assert (found["revision"], found["revision_of"], found["call"], found["call_source"]) == ("abc", "folder", None, None)


def test_a_network_without_weights_has_no_precision():
    assert identity(Toy(other=nn.Identity()))["precision"] == {"unet": "torch.float32"}


def test_a_class_without_a_file_has_no_source():
    assert identities._file_digest(type("Made", (), {"__module__": "nowhere"})) is None


def test_a_library_that_is_not_installed_has_no_version():
    assert identities._version("no-such-library") is None


@pytest.mark.parametrize(
    "other",
    [
        {"vae": nn.Linear(1, 1)},
        {"unet": nn.Linear(1, 2)},
        {"tokenizer": SimpleNamespace(get_vocab=lambda: {"a": 1})},
        {"unet": nn.Linear(2, 1, dtype=torch.float64)},
    ],
    ids=["a network more", "another shape", "a vocabulary", "another precision"],
)
def test_the_digest_of_weights_follows_each_part(other):
    assert weights_digest(Toy()) == weights_digest(Toy())
    assert weights_digest(Toy(**other)) != weights_digest(Toy())


def test_the_digest_of_weights_follows_values_configuration_and_vocabulary():
    changed, configured = Toy(), Toy()
    changed.unet.bias.data.fill_(1.0)
    configured.unet.config = {"heads": 2}
    words = [
        SimpleNamespace(get_vocab=lambda found=found: found) for found in ({"a": 1, "b": 2}, {"b": 2, "a": 1}, {"a": 2})
    ]
    first, reordered, other = (weights_digest(Toy(tokenizer=one)) for one in words)
    assert first == reordered
    assert len({weights_digest(one) for one in (Toy(), changed, configured)} | {first, other}) == 5


def test_a_configuration_leaves_out_what_the_library_keeps_for_itself():
    network = SimpleNamespace(config=SimpleNamespace(to_dict=lambda: {"a": (1,), "_b": 2}))
    assert identities._configuration(network) == {"a": [1]}
    assert identities._configuration(nn.Identity()) is None


def test_a_call_is_known_by_what_it_computes():
    def same(pipe, captions):
        """Another docstring."""
        return captions

    same.__name__ = "call"
    partials = [functools.partial(call, **given) for given in ({}, {"captions": 1}, {"captions": 2})]
    partials += [functools.partial(call, 1), functools.partial(same, 1)]
    assert len({call_digest(one) for one in (call, *partials)}) == 6
    assert call_digest(partials[1]) == call_digest(functools.partial(call, captions=1))


class Calls:
    """A call that is an object."""

    def __call__(self, pipe, captions):
        return captions


def test_an_object_that_is_called_is_known_by_its_class():
    assert call_digest(Calls()) == code_digest(inspect.getsource(Calls).encode()) != call_digest(call)


def test_a_call_without_a_source_is_refused():
    exec("def typed(pipe, captions): pass", names := {})
    with pytest.raises(NotApplicable, match=r"call typed: .*expected a function with a source\. Write it into a file\."):
        call_digest(names["typed"])


def index_of(folder, **index):
    (folder / "model_index.json").write_text(json.dumps(index))
    return folder


def test_components_are_entries_with_a_class():
    index = {
        "_class_name": ["x"],
        "unet": ["diffusers", "U"],
        "image_encoder": [None, None],
        "scale": 0.5,
        "vae": ["a", None],
    }
    assert components(None, index) == ["unet", "vae"]


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "../x"])
def test_a_component_outside_the_folder_is_refused(tmp_path, name):
    with pytest.raises(DamagedFile, match=f"/model_index.json: found component {name!r}"):
        components(tmp_path, {name: ["diffusers", "U"]})


@pytest.mark.parametrize(
    ("text", "found"), [("[1]", "list in place of an object"), ("{", "Expecting"), (None, "No such file")]
)
def test_an_index_that_cannot_be_read_is_named(tmp_path, text, found):
    if text is not None:
        (tmp_path / "model_index.json").write_text(text)
    with pytest.raises(DamagedFile, match=rf"{tmp_path.name}/model_index.json: .*{found}"):
        read_index(tmp_path)


def test_the_digest_of_a_folder_is_that_of_its_components_files(tmp_path):
    folder = index_of(tmp_path, unet=["diffusers", "U"], scheduler=["diffusers", "S"])
    for name in ("unet", "scheduler", "other"):
        (folder / name).mkdir()
        (folder / name / "file").write_text(name)
    digest = hashlib.sha256(json.dumps({"unet": ["diffusers", "U"]}).encode())
    digest.update(b"\0unet/file\0" + hashlib.sha256(b"unet").digest())
    (folder / "unet" / ".hidden").write_text("x")
    assert folder_digest(folder) == digest.hexdigest()
