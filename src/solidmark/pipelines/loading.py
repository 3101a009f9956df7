"""Load a pipeline from its folder, with the class and the call of a stranger's file. Nothing is downloaded."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import Any

from ..errors import InvalidValue, NotApplicable, PluginFault, UnknownName, said
from ..provenance import code_digest
from .age import modern, old_imports
from .calls import Call, strangers_code
from .devices import checked
from .holding import scheduler_of
from .identities import INDEX, Identity, components, folder_digest, identity, read_index
from .quiet import quiet

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""`owner/name` of a pipeline of the Hub."""

OURS = "solidmark_pipeline_"
"""How the module of a stranger's file is named, so that it is no other's."""

LIBRARIES = ("diffusers", "transformers")
"""Whose classes an index may name. Any other would be code of the folder."""


@dataclass(frozen=True)
class Loaded:
    """A pipeline in evaluation mode, the call that replaces the plain one, and the revision of its folder.

    `revision` is None where it was made of parts in memory. `batch` is how many images it is asked at once, at most.
    """

    pipe: Any
    call: Call | None = None
    revision: str | None = None
    batch: int = 1

    @property
    def identity(self) -> Identity:
        """See `identity`."""
        return identity(self.pipe, self.call, self.revision)


def load(
    folder: str | Path,
    *,
    pipeline_class: str | None = None,
    call: str | None = None,
    device: str = "cpu",
    dtype: str = "float32",
) -> Loaded:
    """The pipeline in a folder that `save_pretrained` wrote.

    `folder` may be the name of a snapshot in the cache of the Hub. `pipeline_class` and `call` are written `file.py:Name`:
    a subclass of the folder's pipeline, and a function call(pipe, captions, **options). The file may import its
    neighbours, and names of 2023. Raises InvalidValue for a
    path or name that does not exist, DamagedFile for an index that leads outside, NotApplicable for a folder with code
    of its own or without safetensors, PluginFault for a stranger's file that fails.
    """
    checked(device, "device")
    path = find_folder(folder)
    index = read_index(path)
    _check_safe(path, index)
    chosen = modern(_class(index) if pipeline_class is None else read_class(pipeline_class))
    function = None if call is None else read_call(call)
    with quiet():
        torch = importlib.import_module("torch")
        pipe = _loaded(chosen, path, getattr(torch, dtype), _left_out(chosen, index)).to(device)
    scheduler_of(pipe)
    return Loaded(pipe, function, folder_digest(path))


def is_hub_name(text: str) -> bool:
    """Whether a text is written as the Hub names a pipeline, `owner/name`."""
    return HUB_NAME.fullmatch(text) is not None


def find_folder(name: str | Path) -> Path:
    """A folder, or the snapshot of a pipeline of the Hub that was downloaded before. Raises InvalidValue for neither."""
    path = Path(name)
    if path.is_dir():
        return path
    if is_hub_name(str(name)):
        hub = importlib.import_module("huggingface_hub")
        with suppress(OSError, ValueError):  # not in the cache
            return Path(hub.snapshot_download(str(name), local_files_only=True))
    cure = "Nothing is downloaded: give a folder that `save_pretrained` wrote, or the name of one that you downloaded."
    raise InvalidValue("pipeline", f"no folder {str(name)!r}", "a folder on this machine, or a snapshot in the cache", cure)


def _left_out(kind: type, index: dict[str, Any]) -> dict[str, None]:
    """The parts that the index says are not there: else diffusers asks for a text encoder that a folder does without."""
    known = inspect.signature(kind.__init__).parameters  # type: ignore[misc]  # that of a class, not of an instance
    return {name: None for name, value in index.items() if isinstance(value, list) and not any(value) and name in known}


def _loaded(kind: Any, path: Path, dtype: Any, left_out: Mapping[str, None] = MappingProxyType({})) -> Any:
    try:
        return kind.from_pretrained(path, torch_dtype=dtype, local_files_only=True, use_safetensors=True, **left_out)
    except Exception as cause:
        expected = f"a folder that {kind.__name__}.from_pretrained loads, with safetensors"
        cure = "Save the pipeline anew with save_pretrained, or name its class."
        raise NotApplicable(f"pipeline {path.name}", said(cause), expected, cure) from cause


def _check_safe(path: Path, index: dict[str, Any]) -> None:
    """Raise NotApplicable for a folder that brings code, or whose index names classes of another library."""
    cure = "Read that code, and give the class of the pipeline as pipeline_class='file.py:Class'."
    where = f"pipeline {path.name}"
    brought = sorted(one.relative_to(path).as_posix() for one in path.rglob("*.py"))
    if brought:
        raise NotApplicable(where, f"code of its own, {brought[0]}", "weights, configurations and vocabulary", cure)
    with quiet():
        known = importlib.import_module("diffusers.pipelines")  # their own parts are named by their folder there
    for name in components(path, index):
        library = str(index[name][0])
        if library not in LIBRARIES and not hasattr(known, library):
            raise NotApplicable(where, f"{name} of {library!r}", f"parts of {' and '.join(LIBRARIES)}", cure)


def _class(index: dict[str, Any]) -> type:
    """The class that the folder names. Raises UnknownName where diffusers has none of that name."""
    name = str(index.get("_class_name"))
    with quiet():
        diffusers = importlib.import_module("diffusers")
        kind = getattr(diffusers, name, None)
    if not isinstance(kind, type):
        near = [one for one in dir(diffusers) if one.endswith("Pipeline")]
        error = UnknownName.among(f"{INDEX}, class of the pipeline", name, near)
        raise UnknownName(error.where, error.found, "a pipeline of diffusers", "Give it as pipeline_class='file.py:Class'.")
    return kind


def read_class(spec: str) -> type:
    """The class of a pipeline that a file has, `file.py:Class`. Raises as `load` does."""
    kind = _from_file(spec, "class")
    if not isinstance(kind, type) or not hasattr(kind, "from_pretrained"):
        raise InvalidValue(f"class {spec}", repr(kind), "a class of a diffusers pipeline", "Name such a class.")
    return kind


def read_call(spec: str) -> Call:
    """The function of a file that asks a pipeline, `file.py:function`. Raises as `load` does."""
    function = _from_file(spec, "call")
    if not callable(function) or isinstance(function, type):
        raise InvalidValue(f"call {spec}", repr(function), "a function", "Write call(pipe, captions, **options).")
    made: Call = function
    return made


def _from_file(spec: str, kind: str) -> Any:
    """What a file has under a name, `file.py:Name`. Raises InvalidValue, or PluginFault where its import fails."""
    file, colon, name = spec.rpartition(":")
    path = Path(file)
    if not colon or path.suffix != ".py" or not name.isidentifier():
        raise InvalidValue(f"pipeline {kind}", repr(spec), "file.py:Name", "Write the file, a colon and the name.")
    if not path.is_file():
        raise InvalidValue(f"pipeline {kind}", f"no file {file!r}", "a Python file", "Give its path.")
    module = _imported(path)
    if not hasattr(module, name):
        names = [one for one in vars(module) if not one.startswith("_")]
        raise UnknownName.among(f"{kind} of {path.name}", name, names)
    return getattr(module, name)


def _imported(path: Path) -> ModuleType:
    """The module of a file; once for each text that it has."""
    unique = f"{OURS}{path.stem}_{_digest_of(path)}"
    if unique in sys.modules:
        return sys.modules[unique]
    spec = importlib.util.spec_from_file_location(unique, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[unique] = module
    try:
        with old_imports(), quiet(), _neighbours(path.parent), strangers_code(f"file {path.name}"):
            spec.loader.exec_module(module)
    except PluginFault:
        del sys.modules[unique]
        raise
    return module


def _digest_of(path: Path) -> str:
    """The first digits of where a file is and what it computes. Raises PluginFault where it is no Python."""
    try:
        place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:8]
        return f"{place}_{code_digest(path.read_bytes())[:8]}"
    except (SyntaxError, ValueError) as cause:
        raise PluginFault(f"file {path.name}", said(cause), "Python", "Repair the file.") from cause


@contextmanager
def _neighbours(folder: Path) -> Iterator[None]:
    """Inside, files of this folder can be imported by their names.

    Afterwards they are forgotten: many published folders have an `optim_utils`, each another.
    """
    place, before = str(folder.resolve()), set(sys.modules)
    sys.path.insert(0, place)
    try:
        yield
    finally:
        sys.path.remove(place)
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and Path(file).is_relative_to(place) and not name.startswith(OURS):
                del sys.modules[name]
