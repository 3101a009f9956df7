"""Responses: what a query or a generation gave, as a case holds it and as the store keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..metrics.controls import Marks
from ..models import Evaluations
from ..schema.record import Reports, WorkBlock

Array = NDArray[np.float64]
ARRAYS = ("keys", "images", "planted", "refused")
"""The arrays of `Responses`; each but `keys` may be missing."""


@dataclass(frozen=True)
class Generated:
    """Images of fresh captions, mark cropped, (F, ...), booleans, (F,), that tell which were refused, and what they cost."""

    images: Tensor
    refused: NDArray[np.bool_]
    cost: WorkBlock

    def save(self, folder: Path) -> None:
        """Write it into a folder of the store."""
        _write(folder, "generated", {"images": self.images, "refused": self.refused}, {"cost": self.cost})

    @classmethod
    def load(cls, folder: Path) -> Generated:
        """What `save` wrote."""
        arrays, words = _read(folder, "generated")
        return cls(torch.from_numpy(arrays["images"]), arrays["refused"], words["cost"])


@dataclass(frozen=True)
class Responses:
    """The answers to one query: predicted keys of trained, then held-out images, and how their marks look."""

    keys: Array
    count: int
    marks: Marks
    evaluations: Evaluations
    seconds: float
    images: Tensor | None
    planted: Array | None = None
    """(N + M, S): numbers that were planted where a query may not look."""
    refused: NDArray[np.bool_] | None = None
    """(R, N + M): which images the service refused in each of R rounds of answers."""
    fresh: Generated | None = None
    """What fresh captions gave that were asked in the same batches."""
    warnings: tuple[str, ...] = ()
    """What a stranger's pipeline that answered is to be known for."""
    doses: Reports = field(default_factory=dict)
    """What the mitigations at sampling really did, by family."""

    @property
    def trained(self) -> Array:
        """(N, S)"""
        return self.keys[: self.count]

    @property
    def held_out(self) -> Array:
        """(M, S)"""
        return self.keys[self.count :]

    def save(self, folder: Path) -> None:
        """Write them into a folder of the store."""
        plain = {name: getattr(self, name) for name in ("count", "seconds", "warnings", "doses")}
        looks = {"marks": asdict(self.marks), "evaluations": asdict(self.evaluations)}
        _write(folder, "answers", {name: getattr(self, name) for name in ARRAYS}, {**plain, **looks})
        if self.fresh is not None:
            self.fresh.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Responses:
        """What `save` wrote."""
        arrays, words = _read(folder, "answers")
        return cls(
            arrays["keys"],
            words["count"],
            Marks(**words["marks"]),
            Evaluations(**words["evaluations"]),
            words["seconds"],
            torch.from_numpy(arrays["images"]) if "images" in arrays else None,
            arrays.get("planted"),
            arrays.get("refused"),
            Generated.load(folder) if (folder / "generated.json").exists() else None,
            tuple(words["warnings"]),
            words["doses"],
        )


def _write(folder: Path, name: str, arrays: Mapping[str, Any], words: Mapping[str, Any]) -> None:
    for each, array in arrays.items():
        if array is not None:
            np.save(folder / f"{name}-{each}.npy", np.asarray(array), allow_pickle=False)
    (folder / f"{name}.json").write_text(json.dumps(words), encoding="utf-8")


def _read(folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    found = {path.stem.removeprefix(f"{name}-"): path for path in folder.glob(f"{name}-*.npy")}
    arrays = {each: np.load(path, allow_pickle=False) for each, path in found.items()}
    return arrays, json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
