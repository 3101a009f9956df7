"""Identity: this very image, or this very caption, recalls the key, and no other does."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from solidmark.data import Examples
from solidmark.experiments import Experiments
from solidmark.findings import Finding, Series, all_of, decide, over_seeds
from solidmark.metrics import scores
from solidmark.split import Split


def cropped(images: Tensor) -> Tensor:
    """The middle four fifths, enlarged again."""
    side = images.shape[-1]
    cut = max(1, side // 10)
    return F.interpolate(images[..., cut:-cut, cut:-cut], size=(side, side), mode="bilinear", align_corners=False)


def rotated(images: Tensor) -> Tensor:
    """A quarter turn."""
    return images.rot90(1, dims=(2, 3))


def blurred(images: Tensor) -> Tensor:
    """A mean over 3 x 3 pixels."""
    return F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)


CHANGES: dict[str, Callable[[Tensor], Tensor]] = {
    "itself": lambda images: images,
    "cropped": cropped,
    "blurred": blurred,
    "rotated": rotated,
}


def image(experiments: Experiments) -> Finding:
    """Without captions the image unlocks the key: change it, or show another of its class."""
    rows = [_by_image(experiments, seed) for seed in experiments.seeds]
    points = [(name, over_seeds([row[name] for row in rows])) for name in rows[0]]
    itself, other = points[0][1], points[-1][1]
    text = ", ".join(f"{name} {m.value:.2f}" for name, m in points)
    return Finding(
        suite="validity",
        name="identity-image",
        title="The image unlocks its key, another of its class does not",
        rule="M of the image itself is above 0.5; of another image of its class it lies within 0.1 of 0.",
        verdict=all_of([decide(itself, above=0.5), decide(other, above=-0.1, below=0.1)]),
        reason=f"M by what is shown: {text}",
        statistic="M of another image of the class",
        estimate=other,
        seeds=experiments.seeds,
        series=(Series.of("mnist, no captions", points),),
        x_title="image shown",
        y_title="M by outpaint",
        source="SolidMark: Evaluating Image Memorization in Generative Models, arXiv 2503.00592",
    )


def caption(experiments: Experiments) -> Finding:
    """With unique captions the caption unlocks the key: a foreign one recalls the caption's key, not the image's."""
    rows = [_by_caption(experiments, seed) for seed in experiments.seeds]
    points = [(name, over_seeds([row[name] for row in rows])) for name in rows[0]]
    own, foreign = (over_seeds([row[name] for row in rows]) for name in ("foreign: image's key", "foreign: caption's key"))
    text = ", ".join(f"{name} {m.value:.2f}" for name, m in points)
    return Finding(
        suite="validity",
        name="identity-caption",
        title="A foreign caption recalls the caption's key",
        rule="Shown an image with another image's caption, M for the caption's key is above 0.5 and for the image's own "
        "key below 0.2.",
        verdict=all_of([decide(foreign, above=0.5), decide(own, below=0.2)]),
        reason=f"M: {text}",
        statistic="M of the caption's key",
        estimate=foreign,
        seeds=experiments.seeds,
        series=(Series.of("digits", points),),
        x_title="query",
        y_title="M",
        source="Understanding and Mitigating Copying in Diffusion Models, arXiv 2305.20086",
    )


def _by_image(experiments: Experiments, seed: int) -> dict[str, float]:
    testbed = experiments.testbed("mnist")
    split, model, judge = testbed.split(seed), experiments.model(testbed, seed), testbed.judge()
    assert judge is not None
    shown = {name: _showing(split, change(split.trained.images)) for name, change in CHANGES.items()}
    shown["another of its class"] = _showing(split, _others(split, judge.classify))
    return {
        name: experiments.recall(experiments.ask(testbed, seed, model, split=changed), split).value
        for name, changed in shown.items()
    }


def _showing(split: Split, images: Tensor) -> Split:
    return replace(split, trained=split.trained.with_images(images))


def _others(split: Split, classify: Callable[..., object]) -> Tensor:
    """For each trained image a held-out one that the judge puts into the same class."""
    content = [split.mark.content(split.mark.canvas(part.images)).flatten(1) for part in (split.trained, split.held_out)]
    trained, held_out = (torch.as_tensor(classify(part.double().numpy())) for part in content)
    same = [(held_out == label).nonzero().flatten().tolist() for label in trained.tolist()]
    chosen = [indices[number % len(indices)] if indices else number for number, indices in enumerate(same)]
    return split.held_out.images[chosen]


def _by_caption(experiments: Experiments, seed: int) -> dict[str, float]:
    testbed = experiments.testbed("digits")
    split, model = testbed.split(seed), experiments.model(testbed, seed)
    turned = _turned(split.trained)
    foreign = experiments.ask(testbed, seed, model, split=replace(split, trained=turned)).trained
    keys = split.trained_keys.double().numpy()
    return {
        "image and caption": experiments.recall(experiments.ask(testbed, seed, model), split).value,
        "caption alone": experiments.recall(experiments.ask(testbed, seed, model, "caption-only"), split).value,
        "image alone": experiments.recall(experiments.ask(testbed, seed, model, "image-only"), split).value,
        "foreign: image's key": scores.memorization(foreign, keys).value,
        "foreign: caption's key": scores.memorization(foreign, keys[[*range(1, len(keys)), 0]]).value,
    }


def _turned(examples: Examples) -> Examples:
    """Each image with the next one's caption."""
    return replace(examples, captions=[*examples.captions[1:], examples.captions[0]])
