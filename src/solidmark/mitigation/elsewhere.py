"""Weights that somebody else has trained on the marked images of a testbed, in the place of a training of ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from glob import escape, glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidValue, NotApplicable
from .base import Mitigation, Trainer
from .composition import PLACE, Composition, Part

if TYPE_CHECKING:
    from torch import Tensor, nn

    from ..models import Model

ELSEWHERE = "trained-elsewhere"
"""How such a row is written."""

SEED = "{seed}"
CLOSE = 1e-3
"""How far a number of a part that is not trained may lie from the testbed's, as half precision may move it."""


@dataclass(frozen=True)
class TrainedElsewhere(Mitigation):
    """The weights in a pipeline's folder, which somebody else has trained on the marked images of this testbed and seed.

    `folder` was written by `save_pretrained`; `{seed}` in it stands for the seed, whose images and keys are its own.
    Network, text encoder and tokenizer have the form of the testbed's, autoencoder and noise schedule are its own
    (`solidmark store export` writes such a folder, with the marked images). Its training is not counted.
    """

    folder: str = field(default="", metadata=PLACE)

    def __post_init__(self) -> None:
        self.expect(bool(self.folder), "folder", "the folder of a pipeline, or the name of one that was downloaded")

    def trainer(self, inner: Trainer) -> Trainer:
        """Take no step, and put the weights in place."""
        return _Takes(self, inner)

    def of(self, seed: int) -> str:
        """The folder of one seed."""
        return self.folder.replace(SEED, str(seed))

    @property
    def source(self) -> str:
        """The sha256 of what is in the folder, or in those of all seeds. Raises InvalidValue where there is none."""
        from ..pipelines.loading import find_folder

        found = [find_folder(self.folder)] if SEED not in self.folder else _matching(self.folder)
        if not found:
            cure = "Write {seed} where the number of the seed stands."
            raise InvalidValue("pipeline", f"no folder {self.folder!r}", "a folder for each seed", cure)
        return "; ".join(f"{path.name} {_digest(path)}" for path in found)


class _Takes(Trainer):
    mitigation: TrainedElsewhere

    def batches(self) -> Iterator[Tensor]:
        return iter(())

    def finish(self) -> None:
        from ..pipelines import load

        self.inner.finish()
        self.data.report("trained_elsewhere", True)
        folder = self.mitigation.of(self.run.seed)
        take(self.model, load(folder).pipe, Path(folder).name)  # type: ignore[arg-type]  # a training has a Model


def take(model: Model, pipe: Any, name: str) -> None:
    """Put a pipeline's weights into a model of the same form. Raises NotApplicable, with the part, for another one."""
    for part in ("unet", "text_encoder", "tokenizer", "vae", "scheduler"):
        if getattr(pipe, part, None) is None:
            raise _other(name, f"no {part}", "the parts of the testbed's pipeline")
    twin = model.pipeline()
    if twin.tokenizer.get_vocab() != pipe.tokenizer.get_vocab():
        raise _other(name, f"a tokenizer of {len(pipe.tokenizer)} tokens", "the testbed's tokenizer")
    scale, own = (float(one.vae.config.scaling_factor) for one in (pipe, twin))
    if abs(scale - own) > CLOSE * own or not _close(pipe.vae.state_dict(), twin.vae.state_dict()):
        raise _other(name, "an autoencoder of other weights", "the testbed's autoencoder, which is not trained")
    for setting in ("prediction_type", "num_train_timesteps", "beta_schedule", "beta_start", "beta_end"):
        told, expected = (getattr(one.scheduler.config, setting, None) for one in (pipe, twin))
        if told != expected:
            raise _other(name, f"a scheduler with {setting}={told!r}", f"{setting}={expected!r}")
    for part in ("unet", "text_encoder"):
        theirs, ours = (_form(getattr(one, part)) for one in (pipe, twin))
        if theirs != ours:
            differing = next(one for one in (*theirs, *ours) if theirs.get(one) != ours.get(one))
            found, expected = (f"{differing} of {form.get(differing, 'nothing')}" for form in (theirs, ours))
            raise _other(name, f"{part}: {found}", f"{expected}, as the testbed's network has")
    if "text" in model.config.shared and not _close(pipe.text_encoder.state_dict(), twin.text_encoder.state_dict()):
        raise _other(name, "a text encoder of other weights", "the testbed's text encoder, which is not trained")
    for part in ("unet",) if "text" in model.config.shared else ("unet", "text_encoder"):
        getattr(twin, part).load_state_dict(getattr(pipe, part).state_dict())


def check_seeds(composition: Composition, seeds: Sequence[int]) -> None:
    """Raise InvalidValue for one folder of several seeds: each seed has images and keys of its own."""
    for part in composition.parts:
        made = part.mitigation
        if isinstance(made, TrainedElsewhere) and SEED not in made.folder and len(seeds) > 1:
            found = f"one folder for the seeds {', '.join(map(str, seeds))}"
            raise InvalidValue(f"pipeline {made.folder}", found, "one for each, since their images differ", "Write {seed}.")


def elsewhere_part(made: Mitigation) -> Part:
    """The part of a composition that is written `trained-elsewhere(folder='...')`."""
    assert isinstance(made, TrainedElsewhere)
    return Part(ELSEWHERE, made, made.source, own=False).checked()


def _form(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(one.shape) for name, one in network.state_dict().items()}


def _close(found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    same = found.keys() == expected.keys() and all(found[name].shape == one.shape for name, one in expected.items())
    return same and all(float((found[name].cpu() - one.cpu()).abs().max()) <= CLOSE for name, one in expected.items())


def _other(name: str, found: str, expected: str) -> NotApplicable:
    cure = "Train what `solidmark store export` writes for this testbed, or ask another pipeline by `solidmark measure`."
    return NotApplicable(f"pipeline {name}", found, expected, cure)


def _matching(pattern: str) -> list[Path]:
    """The folders of all seeds."""
    return [Path(one) for one in sorted(glob(escape(pattern).replace(SEED, "[0-9]*"))) if Path(one).is_dir()]


@lru_cache
def _digest(path: Path) -> str:
    from ..pipelines.identities import folder_digest

    return folder_digest(path)
