"""What a pipeline is, for a record: class, call, scheduler with its settings, weights. Rows differ where these do."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import textwrap
from importlib import metadata
from pathlib import Path
from typing import Any, TypedDict

import torch

from .. import provenance
from ..errors import DamagedFile, NotApplicable, cleaned
from .age import stock_class
from .calls import Call, name_of
from .counting import modules

INDEX = "model_index.json"
LIBRARIES = ("accelerate", "diffusers", "peft", "torch", "transformers")


class Identity(TypedDict):
    """The identity of a pipeline and of the way it is called, of plain JSON.

    `source` is the sha256 of what the file of the class computes, null where there is no file; `call_source` the same of
    the function that replaces the plain call. `revision` is the sha256 of the folder's files, or of the weights in
    memory (`revision_of`). `scheduler_settings` are those used, whatever file they came from.
    """

    pipeline: str
    stock: str
    source: str | None
    call: str | None
    call_source: str | None
    scheduler: str
    scheduler_settings: dict[str, Any]
    revision: str
    revision_of: str
    precision: dict[str, str]
    libraries: dict[str, str]


def identity(pipe: Any, call: Call | None = None, revision: str | None = None) -> Identity:
    """The identity of a pipeline; `revision` is that of its folder, where it was loaded and not changed since."""
    cls = type(pipe)
    return {
        "pipeline": cls.__name__,
        "stock": stock_class(cls).__name__,
        "source": _file_digest(cls),
        "call": None if call is None else name_of(call),
        "call_source": None if call is None else call_digest(call),
        "scheduler": type(pipe.scheduler).__name__,
        "scheduler_settings": scheduler_settings(pipe.scheduler),
        "revision": revision or weights_digest(pipe),
        "revision_of": "weights" if revision is None else "folder",
        "precision": {name: str(next(iter(part.parameters())).dtype) for name, part in _with_weights(pipe).items()},
        "libraries": {name: found for name in LIBRARIES if (found := _version(name)) is not None},
    }


def scheduler_settings(scheduler: Any) -> dict[str, Any]:
    """The numbers that a scheduler was made with, without those that diffusers keeps for itself."""
    return {name: _plain(value) for name, value in sorted(dict(scheduler.config).items()) if not name.startswith("_")}


def call_digest(call: Call) -> str:
    """sha256 of what a function computes, of a partial also its arguments; of its text where that is no whole statement.

    Raises NotApplicable where it has no source: a record must say how a pipeline was called.
    """
    if isinstance(call, functools.partial):
        given = json.dumps([_plain(list(call.args)), _plain(call.keywords)], sort_keys=True)
        return _sha256(call_digest(call.func).encode(), given.encode())
    try:
        source = textwrap.dedent(inspect.getsource(call if inspect.isroutine(call) else type(call)))
    except (OSError, TypeError) as cause:
        found, cure = cleaned(str(cause)), "Write it into a file."
        raise NotApplicable(f"call {name_of(call)}", found, "a function with a source", cure) from cause
    try:
        return provenance.code_digest(source.encode())
    except SyntaxError:  # a lambda inside an expression
        return _sha256(source.encode())


def folder_digest(folder: Path) -> str:
    """sha256 of the files that a pipeline folder loads: weights, configurations and vocabulary of its components.

    The scheduler's is left out: its settings as used are in the identity, and diffusers rewrites its file. Raises
    DamagedFile for an index that cannot be read or that names a component outside the folder.
    """
    index = read_index(folder)
    digest = hashlib.sha256(json.dumps({k: v for k, v in index.items() if k != "scheduler"}, sort_keys=True).encode())
    for name in sorted(components(folder, index)):
        if name != "scheduler":
            for path in sorted(one for one in (folder / name).rglob("*") if one.is_file() and not one.name.startswith(".")):
                digest.update(f"\0{path.relative_to(folder).as_posix()}\0".encode())
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def read_index(folder: Path) -> dict[str, Any]:
    """The folder's model_index.json. Raises DamagedFile where there is none that can be read."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        if not isinstance(index, dict):
            raise TypeError(f"{type(index).__name__} in place of an object")
    except (OSError, ValueError, TypeError) as cause:
        cure = "Save the pipeline with save_pretrained."
        where, expected = f"{folder.name}/{INDEX}", "the index of a pipeline of diffusers"
        raise DamagedFile(where, cleaned(str(cause)), expected, cure) from cause
    return index


def components(folder: Path, index: dict[str, Any]) -> list[str]:
    """The names of components that have a folder of their own. Raises DamagedFile for a name that leads elsewhere."""
    names = [name for name, value in index.items() if not name.startswith("_") and isinstance(value, list) and any(value)]
    unsafe = [name for name in names if Path(name).name != name or name in ("", ".", "..")]
    if unsafe:
        cure = "Do not load this folder: its index leads outside it."
        raise DamagedFile(f"{folder.name}/{INDEX}", f"component {unsafe[0]!r}", "names of its own folders", cure)
    return names


def weights_digest(pipe: Any) -> str:
    """sha256 of networks and tokenizers in memory: weights, buffers, configurations, vocabulary."""
    digest = hashlib.sha256()
    for part, words in sorted(vars(pipe).items()):
        if hasattr(words, "get_vocab"):
            digest.update(json.dumps([part, sorted(words.get_vocab().items())]).encode())
    for part, network in sorted(modules(pipe).items()):
        digest.update(json.dumps([part, _configuration(network)], sort_keys=True).encode())
        for name, tensor in sorted(network.state_dict().items()):
            digest.update(f"\0{part}.{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
            digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _configuration(network: Any) -> Any:
    """The numbers that a network was made with; None for one without."""
    found: Any = getattr(network, "config", None)
    known = found.to_dict() if hasattr(found, "to_dict") else found
    return None if known is None else {k: _plain(v) for k, v in dict(known).items() if not k.startswith("_")}


def _with_weights(pipe: Any) -> dict[str, Any]:
    return {name: part for name, part in modules(pipe).items() if next(iter(part.parameters()), None) is not None}


def _file_digest(cls: type) -> str | None:
    try:
        file = inspect.getsourcefile(cls)
        return None if file is None else provenance.code_digest(Path(file).read_bytes())
    except (OSError, TypeError, SyntaxError):
        return None


def _plain(value: Any) -> Any:
    """The value as JSON holds it; what JSON has no word for by its text."""
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if callable(value):
        return name_of(value)
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def _sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()
