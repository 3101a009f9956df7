"""Loading: the model that is asked, from a pipeline folder or a function in a file, and each checkpoint of a training."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from .. import pipelines
from ..errors import InvalidValue, PluginFault, cure_of, said
from ..pipelines.quiet import quiet
from .outcome import Model

LORA = "pytorch_lora_weights.safetensors"
"""What diffusers' training scripts call the weights of a LoRA."""

DENOISERS = ("unet", "transformer")


def load(
    text: str,
    lora: Path | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    pipeline_class: str | None = None,
    pipeline_call: str | None = None,
) -> tuple[Any, Model]:
    """The model that `text` names, and what the record says of it.

    `folder` is a diffusers pipeline as `save_pretrained` writes it, `owner/name` one in the cache of the Hub,
    `file.py:name` or `module:name` a function that fills in pixels. `pipeline_class` and `pipeline_call` are a stranger's
    class and call, see `pipelines.load`; with a call the model is a `pipelines.Loaded`. Raises InvalidValue for what is
    neither, PluginFault for what cannot be loaded.
    """
    folder = _folder(text)
    if folder is not None:
        if lora is not None:
            check_lora(lora)
        loaded = pipelines.load(folder, pipeline_class=pipeline_class, call=pipeline_call, device=device, dtype=dtype)
        files = [*_files(folder), *(_files(lora) if lora is not None else [])]
        if lora is not None:
            _add_lora(loaded.pipe, lora)
        name = (folder.resolve().name if Path(text).is_dir() else text) + (f" with {lora.name}" if lora is not None else "")
        known = pipelines.identity(loaded.pipe, loaded.call, loaded.revision if lora is None else None)
        model: Model = {"name": name, "sha256": digest(files), "pipeline": known}
        return (loaded.pipe if loaded.call is None else loaded), model
    place, colon, name = text.rpartition(":")
    if not colon:
        expected = "the folder of a pipeline, the name of one in the cache of the Hub, or FILE.py:FUNCTION"
        raise InvalidValue("--model", repr(text), expected, "Save the pipeline with save_pretrained.")
    if lora is not None:
        raise InvalidValue("--lora", f"a LoRA for the function {text}", "a pipeline", "Load it in your function.")
    if pipeline_class is not None or pipeline_call is not None:
        option, cure = "--pipeline-class, --pipeline-call", "Give the folder of a pipeline with --model."
        raise InvalidValue(option, f"the function {text}", "a pipeline", cure)
    return _function(place, name)


def checkpoints(folder: Path) -> list[Path]:
    """What a training has saved in a folder, by its numbers: pipelines, parts of them, and LoRA files or their folders.

    Raises InvalidValue where there is none.
    """
    found = [path for path in folder.iterdir() if _is_checkpoint(path)] if folder.is_dir() else []
    if not found:
        expected = f"folders with a pipeline, {' or '.join(DENOISERS)}, or {LORA}"
        raise InvalidValue(str(folder), "no checkpoint", expected, "Give the output folder of the training.")
    return sorted(found, key=lambda path: (step_of(path) is None, step_of(path) or 0, path.name))


def step_of(path: Path) -> int | None:
    """The last number of a checkpoint's name: 500 of `checkpoint-500`; None without any."""
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None


def load_checkpoint(
    base: str | None,
    path: Path,
    device: str = "cpu",
    dtype: str = "float32",
    pipeline_class: str | None = None,
    pipeline_call: str | None = None,
    lora: Path | None = None,
) -> tuple[Any, Model]:
    """The pipeline at a checkpoint: itself, or `base` with the checkpoint's LoRA or denoiser.

    Class, call and `lora` are those of `load`. Raises InvalidValue where a base is needed and is not given, or where two
    LoRAs would be on top of each other.
    """
    how = (device, dtype, pipeline_class, pipeline_call)
    if (path / "model_index.json").is_file():
        return load(str(path), lora, *how)
    if base is None:
        raise InvalidValue(str(path), "a part of a pipeline", "a whole one, or --model", "Give the pipeline with --model.")
    if path.is_file() or (path / LORA).is_file():
        if lora is not None:
            cure = "Leave --lora away, or put it into the pipeline of --model with fuse_lora."
            raise InvalidValue("--lora", f"{lora}, and the checkpoint {path.name} is a LoRA", "one LoRA", cure)
        return load(base, path if path.is_file() else path / LORA, *how)
    return _with_part(base, path, lora, *how)


def _with_part(
    base: str, path: Path, lora: Path | None, device: str, dtype: str, *strangers: str | None
) -> tuple[Any, Model]:
    """`base` with the denoiser of a checkpoint in the place of its own, and LoRA weights on top of that one."""
    asked, model = load(base, None, device, dtype, *strangers)
    pipe, call = (asked.pipe, asked.call) if isinstance(asked, pipelines.Loaded) else (asked, None)
    part = next(name for name in DENOISERS if (path / name).is_dir())
    if getattr(pipe, part, None) is None:
        raise InvalidValue(str(path), f"a {part}", f"a part of {type(pipe).__name__}", "Give the pipeline it belongs to.")
    with quiet():
        trained = type(getattr(pipe, part)).from_pretrained(path / part, torch_dtype=_dtype(dtype), local_files_only=True)
    setattr(pipe, part, trained.to(device).eval())
    files, name = [*_files(pipelines.find_folder(base)), *_files(path / part)], f"{model['name']} with {path.name}"
    if lora is not None:
        _add_lora(pipe, lora)
        files, name = [*files, *_files(lora)], f"{name} and {lora.name}"
    found: Model = {"name": name, "sha256": digest(files)}
    if "pipeline" in model:
        found["pipeline"] = pipelines.identity(pipe, call)
    return asked, found


def digest(files: list[tuple[str, Path]]) -> str:
    """sha256 of names and contents."""
    whole = hashlib.sha256()
    for name, path in files:
        with path.open("rb") as file:
            whole.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    return whole.hexdigest()


def check_lora(path: Path) -> None:
    """Raises InvalidValue where there is no such file."""
    if not path.is_file():
        raise InvalidValue("--lora", f"no file {path}", f"a file such as {LORA}", "Give the path of the weights.")


def _folder(text: str) -> Path | None:
    """The folder of a pipeline that a text names, None where it names a function. Raises InvalidValue for no such folder."""
    if Path(text).is_dir() or (pipelines.is_hub_name(text) and not Path(text).exists()):
        return pipelines.find_folder(text)
    return None


def _files(place: Path) -> list[tuple[str, Path]]:
    if place.is_file():
        return [(place.name, place)]
    return [(path.relative_to(place).as_posix(), path) for path in sorted(place.rglob("*")) if path.is_file()]


def _is_checkpoint(path: Path) -> bool:
    if path.is_file():
        return path.suffix == ".safetensors"
    return any((path / name).exists() for name in ("model_index.json", LORA, *DENOISERS))


def _dtype(name: str) -> torch.dtype:
    return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[name]


def _add_lora(pipe: Any, lora: Path) -> None:
    with quiet():
        try:
            pipe.load_lora_weights(lora.parent, weight_name=lora.name)
            if not pipe.get_active_adapters():
                raise ValueError("no layer of this pipeline takes them")
        except Exception as cause:
            raise InvalidValue(str(lora), said(cause), "LoRA weights of this pipeline", "Give those of it.") from cause


def _function(place: str, name: str) -> tuple[Any, Model]:
    where, path = f"--model {place}:{name}", Path(place)
    try:
        module = _module(path) if path.suffix == ".py" else importlib.import_module(place)
    except FileNotFoundError as cause:
        raise InvalidValue(where, f"no file {place}", "a Python file", "Give its path.") from cause
    except Exception as cause:
        raise PluginFault(where, said(cause), "a module that can be imported", cure_of(cause)) from cause
    fill = getattr(module, name, None)
    if not callable(fill):
        expected = "a function fill(images, masks, captions, seeds)"
        raise InvalidValue(where, f"{name} = {fill!r}", expected, "Name the function after the colon.")
    return fill, {"name": f"{path.stem}:{name}", "sha256": digest(_files(path)) if path.suffix == ".py" else None}


def _module(path: Path) -> Any:
    if not path.is_file():
        raise FileNotFoundError(path)
    spec = importlib.util.spec_from_file_location(f"solidmark_model_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def each(
    base: str | None,
    folder: Path,
    device: str,
    dtype: str,
    pipeline_class: str | None = None,
    pipeline_call: str | None = None,
    lora: Path | None = None,
) -> Iterator[tuple[Path, Any, Model]]:
    """Every checkpoint of a folder with its model, one at a time, each loaded as `load_checkpoint` says."""
    if lora is not None:
        check_lora(lora)
    for path in checkpoints(folder):
        yield path, *load_checkpoint(base, path, device, dtype, pipeline_class, pipeline_call, lora)
