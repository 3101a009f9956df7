"""Installed distances beside the headline: the same pictures, read by whoever trusts another distance.

A distance is a plugin: one that is broken, hangs or does not apply is named in the record, and costs nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import plugins, provenance, seeds
from ..errors import PluginFault, SolidmarkError
from ..metrics import content
from ..metrics.content import ContentScore
from ..metrics.distances import Distance, Surroundings
from ..metrics.scores import Array
from ..mitigation.guard import alone, plugin_code
from ..plugins import GROUPS, Plugin
from ..timeouts import TimeUp, at_most

HEADLINE = "ratio"
"""The distance that `own` and `any` of a record are read with."""

PATIENCE = 120.0
"""Seconds that one distance may take for all pictures of a case."""


@dataclass(frozen=True)
class Beside:
    """What one distance finds, or the `reason` why it finds nothing; `own` is None where no caption is an image's own."""

    own: ContentScore | None
    any: ContentScore | None
    described: Any = None
    reason: str = ""


@dataclass(frozen=True)
class Views:
    """What content is read from, cropped: pictures of all captions and images, (N, C, H, W), the trained ones first.

    `spare` are real images that are neither trained on nor queried. `count` images are trained, `target` are the rows that
    are answered for. `paired` says whether a picture's row is that of its image.
    """

    pictures: Array
    images: Array
    spare: Array
    count: int
    target: list[int]
    paired: bool

    def judge(self, scores: Array) -> ContentScore:
        """What scores of all images, (N,), tell: trained against held-out ones."""
        return content.judge(scores[self.target], scores[self.count :])


def measure_distances(views: Views, features: Callable[[Array], Array], seed: int) -> dict[str, Beside]:
    """What each installed distance but the headline finds, by name."""
    others = [one for one in plugins.discover(GROUPS["distance"]) if not (one.own and one.name == HEADLINE)]
    return {one.name: _measure(one, views, features, seed) for one in others}


def _measure(plugin: Plugin, views: Views, features: Callable[[Array], Array], seed: int) -> Beside:
    try:
        distance = plugins.instance(GROUPS["distance"], "distance", plugin.name)
        if not isinstance(distance, Distance):
            cure = "Subclass solidmark.api.Distance."
            raise PluginFault(f"distance {plugin.name}", type(distance).__name__, "a Distance", cure)
        apart = _between(distance, plugin.name, views, features, seed)
    except SolidmarkError as reason:
        return Beside(None, None, reason=str(reason))
    own = views.judge(np.diag(apart)) if views.paired else None
    return Beside(own, views.judge(apart.min(axis=0)), provenance.describe(distance))


def _between(distance: Distance, name: str, views: Views, features: Callable[[Array], Array], seed: int) -> Array:
    """The distances of every picture to every image, (N, N), asked for in a random order. Raises PluginFault."""
    where, order = f"distance {name}", seeds.numpy_rng(seed, "order of images for distances").permutation(len(views.images))
    pictures, images = _lent(views.pictures[order]), _lent(views.images[order])
    around = Surroundings(_lent(views.spare), features)
    try:
        with seeds.forked(seed, "distance, global generator", name), at_most(PATIENCE), plugin_code(where, "numbers"):
            found = np.asarray(alone(distance.between, pictures, images, around), dtype=np.float64)
    except TimeUp as late:
        raise PluginFault(where, str(late), f"an end within {PATIENCE:g} s", "Compute all pairs at once.") from late
    expected = (len(pictures), len(images))
    if found.shape != expected or not np.isfinite(found).all():
        told = f"shape {found.shape}" + ("" if np.isfinite(found).all() else ", NaN or infinity")
        raise PluginFault(where, told, f"finite numbers, {expected}", "Return one number a picture and image.")
    back = np.argsort(order)
    return found[np.ix_(back, back)]


def _lent(images: Array) -> Array:
    """A copy that cannot be written to, in [0, 1]."""
    copy = np.ascontiguousarray(images.clip(0, 1))
    copy.setflags(write=False)
    return copy


def described(found: Mapping[str, Beside]) -> dict[str, Any]:
    """The distances as they were configured, for the provenance."""
    return {name: one.described for name, one in found.items() if one.described is not None}
