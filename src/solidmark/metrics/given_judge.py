"""A judge of pictures that somebody gives: published networks of features and of captions, in place of one that is trained.

Sources: GANs Trained by a Two Time-Scale Update Rule (arXiv 1706.08500) for distances of features, CLIPScore: A
Reference-free Evaluation Metric for Image Captioning (arXiv 2104.08718) for captions.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import NotApplicable, said
from .features import Features
from .scores import Array

if TYPE_CHECKING:
    import torch

BATCH = 32
CLIP_MEAN, CLIP_DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
"""How CLIP expects its colours where its folder does not say."""


class GivenJudge:
    """Takes flat images, (N, pixels) in [0, 1], of a `shape`, (C, H, W). It knows no class, so it has no `accuracy`.

    `features` are those of a network that was given, else the image embeddings of `clip`.
    """

    accuracy: float | None = None

    def __init__(self, name: str, shape: tuple[int, ...], features: Features | None, clip: ClipScore | None) -> None:
        self.name, self.shape, self.clip = name, shape, clip
        self._features = features or (None if clip is None else clip.embed)

    def __getstate__(self) -> dict[str, object]:
        """Its name, which has the digests of what it was given: nobody needs a copy of gigabytes."""
        return {"name": self.name, "shape": self.shape}

    def classify(self, images: Array) -> NDArray[np.int64]:
        """Raises NotApplicable: it knows no class."""
        cure = "Ask for no accuracy."
        raise NotApplicable("judge", "networks of features and captions", "one that knows classes", cure)

    def features(self, images: Array) -> Array:
        """(N, D)"""
        assert self._features is not None, "whoever gives nothing gives no judge"
        return self._features(images.reshape(len(images), *self.shape))


class ClipScore:
    """A CLIP in a folder that transformers loads: how well pictures fit captions.

    Raises NotApplicable where the folder has none.
    """

    def __init__(self, folder: Path) -> None:
        try:
            import transformers

            model: Any = transformers.CLIPModel.from_pretrained(folder, local_files_only=True)
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
            told = folder / "preprocessor_config.json"
            colours = json.loads(told.read_text(encoding="utf-8")) if told.is_file() else {}
        except Exception as cause:
            cure = "Save a CLIPModel and its tokenizer there with save_pretrained."
            raise NotApplicable(f"CLIP {folder.name}", said(cause), "a folder that transformers loads", cure) from cause
        self._model = model.eval()
        self._colours = colours.get("image_mean", CLIP_MEAN), colours.get("image_std", CLIP_DEVIATION)

    def embed(self, images: Array) -> Array:
        """The embeddings of pictures, (N, C, H, W) in [0, 1], of length 1: (N, D)."""
        return self._both(images, [""] * len(images))[0]

    def scores(self, images: Array, captions: Sequence[str]) -> Array:
        """100 times the cosine of each picture and its caption, at least 0: (N,)."""
        pictures, words = self._both(images, captions)
        return np.asarray(100 * np.maximum((pictures * words).sum(axis=1), 0.0))

    def _both(self, images: Array, captions: Sequence[str]) -> tuple[Array, Array]:
        import torch

        pictures, words = [], []
        with torch.no_grad():
            for first in range(0, len(images), BATCH):
                rows = slice(first, first + BATCH)
                given = self._tokenizer(
                    list(captions[rows]), padding="max_length", truncation=True, return_tensors="pt", max_length=self._length
                )
                out = self._model(
                    input_ids=given.input_ids,
                    attention_mask=given.attention_mask,
                    pixel_values=self._prepared(torch.from_numpy(images[rows]).float()),
                )
                pictures.append(out.image_embeds.double().numpy())
                words.append(out.text_embeds.double().numpy())
        return np.concatenate(pictures), np.concatenate(words)

    @property
    def _length(self) -> int:
        return int(self._model.config.text_config.max_position_embeddings)

    def _prepared(self, images: torch.Tensor) -> torch.Tensor:
        import torch

        side = self._model.config.vision_config.image_size
        wide = torch.nn.functional.interpolate(images, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        mean, deviation = (torch.tensor(colour).reshape(1, 3, 1, 1) for colour in self._colours)
        return (wide.expand(-1, 3, -1, -1) - mean) / deviation
