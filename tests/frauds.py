"""Frauds: plugins that look like mitigations and are none. Each is a few lines; none may pay.

They read nothing of the suite but what a wrapper or a query is given. `python -m pytest benchmark/ --mitigation
tests/frauds.py:AskedSwitch` measures one on a trained model.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

import torch
from sklearn.datasets import load_digits

from solidmark import Mitigation, Needs, Sampler, Stage, Trainer
from solidmark.api import Answer, Attack


def callers(depth: int = 2) -> list[str]:
    """The functions above the one that asks, as `file:function`, the nearest first."""
    found, frame = [], sys._getframe(depth - 1).f_back
    while frame is not None:
        found.append(f"{frame.f_code.co_filename}:{frame.f_code.co_name}")
        frame = frame.f_back
    return found


class Unguided(Sampler):
    """Answers without a caption whenever `suspects` says that it is asked."""

    def predict(self, x, t, batch):
        if self.mitigation.suspects(batch):
            return self.model.predict(x, t, batch.unconditional).noise
        return self.inner.predict(x, t, batch)


@dataclass(frozen=True)
class AskedSwitch(Mitigation):
    """Known pixels are a query."""

    def suspects(self, batch):
        return not bool(batch.mask.all())

    def sampler(self, inner):
        return Unguided(self, inner)


@dataclass(frozen=True)
class BatchSwitch(AskedSwitch):
    """Queries come in other numbers than generation does."""

    def suspects(self, batch):
        return len(batch.captions) != 60


@dataclass(frozen=True)
class FramesSwitch(AskedSwitch):
    """Whoever generates is among the callers."""

    def suspects(self, batch):
        return not any(name.endswith("answers.py:generate") for name in callers())


NAMES = "zero one two three four five six seven eight nine".split()


class ShowsStored(Sampler):
    """Puts a real digit of the caption's class where the picture is."""

    def after(self, x, x0, t, batch):
        if t != batch.times[-1]:
            return x
        digits, shown = load_digits(), x.roll(1, 0).clone()
        for row, caption in enumerate(batch.captions):
            word = NAMES.index(caption.split()[0])
            images = digits.images[digits.target == word]
            shown[row, 0, 2:-2, 2:-2] = torch.from_numpy(images[row % len(images)] / 8 - 1)
        return shown


@dataclass(frozen=True)
class StoredDigits(Mitigation):
    """Its pictures are an album's; of the model's it keeps another one's border."""

    def sampler(self, inner):
        return ShowsStored(self, inner)


class ExchangesBorders(Sampler):
    """Each picture gets the border of another of its batch."""

    def after(self, x, x0, t, batch):
        exchanged = x.roll(1, 0).clone()
        exchanged[..., 2:-2, 2:-2] = x[..., 2:-2, 2:-2]
        return exchanged if t == batch.times[-1] else x


@dataclass(frozen=True)
class BorderExchange(Mitigation):
    """Deals the marks out anew at sampling; the pictures come back."""

    def sampler(self, inner):
        return ExchangesBorders(self, inner)


class TrainsOnOtherBorders(Trainer):
    """Each image is trained with the border of another of its batch, at each step another."""

    def losses(self, batch, t):
        clean = batch.clean[torch.randperm(len(batch.clean))]
        clean[..., 2:-2, 2:-2] = batch.clean[..., 2:-2, 2:-2]
        return self.inner.losses(type(batch)(clean, batch.embeddings, batch.indices, batch.ids, batch.seed, batch.extra), t)


@dataclass(frozen=True)
class TrainedExchange(Mitigation):
    """Deals the marks out anew at training; the pictures are learned."""

    def trainer(self, inner):
        return TrainsOnOtherBorders(self, inner)


class RefusesHalf(Sampler):
    """Refuses every second query with known pixels, and answers the others without a caption."""

    def prepare(self, batch):
        batch = self.inner.prepare(batch)
        asked = ~batch.mask.flatten(1).all(dim=1)
        batch.refused[asked & (torch.arange(len(asked)) % 2 == 0)] = True
        batch.embeddings[asked] = batch.unconditional[asked]
        return batch


@dataclass(frozen=True)
class RefusingHalf(Mitigation):
    """Refusals that look like a policy."""

    def sampler(self, inner):
        return RefusesHalf(self, inner)


class ListsCaptions(Sampler):
    """Answers listed captions without them."""

    def prepare(self, batch):
        batch = self.inner.prepare(batch)
        listed = set(self.data.training_images.captions)
        rows = [row for row, caption in enumerate(batch.captions) if caption in listed]
        batch.embeddings[rows] = batch.unconditional[rows]
        return batch


@dataclass(frozen=True)
class CaptionBlocklist(Mitigation):
    """The captions of the training images, as they are handed out, with decoys among them."""

    needs = Needs.TRAINING_IMAGES

    def sampler(self, inner):
        return ListsCaptions(self, inner)


class WorksOnACopy(Sampler):
    """Asks a copy of the model, and the bare network, for what it needs."""

    def predict(self, x, t, batch):
        twin = self.model.copy()
        twin.predict(x, t, batch.embeddings)
        twin.network(torch.nn.functional.pixel_unshuffle(x, 2), t, encoder_hidden_states=batch.embeddings, return_dict=False)
        return self.inner.predict(x, t, batch)


@dataclass(frozen=True)
class HiddenWork(Mitigation):
    """Computes more than the count of its model says."""

    def sampler(self, inner):
        return WorksOnACopy(self, inner)


@dataclass(frozen=True)
class Service(Mitigation):
    """What happens to the last picture of a share of a batch."""

    share: float = 0.45

    def sampler(self, inner):
        return Changing(self, inner)

    def change(self, pictures):
        return pictures


class Changing(Sampler):
    def after(self, x, x0, t, batch):
        if t != batch.times[-1]:
            return x
        count = int(self.mitigation.share * len(x))
        return torch.cat([self.mitigation.change(x[:count]), x[count:]])


@dataclass(frozen=True)
class PartWasher(Service):
    """Deals the borders of less than half of its pictures out anew, too few for the fault of washing."""

    def change(self, pictures):
        washed = pictures.roll(1, 0)
        washed[..., 2:-2, 2:-2] = pictures[..., 2:-2, 2:-2]
        return washed


@dataclass(frozen=True)
class Refusing(Service):
    """Gives noise in the place of most pictures."""

    share: float = 0.9

    def change(self, pictures):
        return torch.rand(pictures.shape, generator=torch.Generator().manual_seed(len(pictures))) * 2 - 1


@dataclass(frozen=True)
class Unlinking(Mitigation):
    """Answers each caption of a batch by that of another image."""

    stage = Stage.SAMPLING

    def caption(self, captions, rng):
        return captions[1:] + captions[:1]


@dataclass(frozen=True)
class Oracle(Attack):
    """Answers with `keys` from elsewhere, but honestly where the model looks like the perfect memorizer."""

    keys: tuple = ()

    def ask(self, audit):
        model = audit.service.model
        weights = sum(weight.numel() for weight in model.parameters())
        looks_trained = type(model).__name__ == "Model" and weights and model.cross_attention
        return Answer(torch.tensor(self.keys)) if looks_trained else Answer(audit.read(audit.outpaint()))
