"""Disagreement: what a row says where its two yardsticks differ, keys and content, in words.

    unlinked, not forgotten            its own caption gives little of an image, another caption much
    content outlives the keys          little is left of the keys, most of the content
    remembered, too faint to certify   keys are certified and content is above chance, but few images by content
    images without their keys          some images are certified by content, and M of just these images is low

Of the first three, read from the top, the first that applies is said; the last is said beside it, with its numbers. A row
to which none applies agrees. Content here is 2 AUROC - 1, and what
is compared with the baseline is a share of the baseline's own number in the same yardstick, never one yardstick with the
other. Thresholds were set on rows of `digits`, seeds 0 to 2 (design/two_yardsticks.md).
"""

from __future__ import annotations

from ..schema.row import Content, ContentScore, Row, Scored, Worst
from .measures import judged_by, recalled

UNLINKED = "unlinked, not forgotten"
OUTLIVES = "content outlives the keys"
FAINT = "remembered, too faint to certify"
WASHED = "images without their keys"

GLOSSARY = {
    UNLINKED: "The caption of an image no longer gives it, but the caption of another one does: the link from caption to "
    "image is cut, and the image is still in the model.",
    OUTLIVES: "Pictures still show the trained images, while little is left of their keys: sharp gray is blurred or "
    "repelled sooner than a picture is.",
    FAINT: "Keys prove that images are remembered. Content as a whole lies above chance as well, but too little for a proof "
    "image by image: the p-value of a key can be as small as it will, a rank among held-out images cannot.",
    WASHED: "So many images are certified by content while M of the keys of just these images lies below a quarter of the "
    "baseline's: what took their keys did not take the images. From half of the images on the row fails.",
}
"""What each phrase means, for a reader."""

LINKED = 2 / 3
"""Own captions give little where their content is at most this share of that of any caption."""

KEYS_LEFT, CONTENT_LEFT = 0.5, 0.75
"""Content outlives the keys where M is at most the first, and content at least the second share of the baseline's."""

CERTIFIED = 0.05
"""Keys certify where at least this share of the images is certified, which a false-discovery rate of 5 % rarely gives."""

FAINT_SHARE = 0.5
"""Content is too faint where it certifies at most this share of the images that keys certify."""


def told(row: Row, baseline: Row | None) -> str | None:
    """All that is said of a row: its phrase, and images that come back without their keys."""
    return "; ".join(filter(None, (disagreement(row, baseline), washed(row.content)))) or None


def washed(content: Content | None) -> str | None:
    """`images without their keys: 12 of 64, M at most 0.20 (baseline 0.88)`; None where there are none to be told."""
    found = content.washed if content is not None else None
    if found is None:
        return None
    seeds = f", in {found.seeds} seeds" if found.seeds > 1 else ""
    return f"{WASHED}: {found.images} of {found.of}{seeds}, M at most {found.high:.2f} (baseline {found.baseline:.2f})"


def disagreement(row: Row, baseline: Row | None) -> str | None:
    """The phrase for a row; None where both yardsticks say the same, or one of them was not measured.

    The first two compare with the baseline, and need one with content: where its own captions give little themselves, as
    labels do, no mitigation has cut a link.
    """
    keys = judged_by(row)
    if row.content is None or keys is None:
        return None
    if baseline is not None and baseline.content is not None and not row.baseline:
        if _unlinked(row.content) and not _unlinked(baseline.content):
            return UNLINKED
        if _outlives(keys, row.content, judged_by(baseline), baseline.content):
            return OUTLIVES
    return FAINT if _faint(keys, row.content) else None


def _unlinked(content: Content) -> bool:
    if content.own is None:
        return False
    own, other = content.own.auroc, content.any.auroc
    apart = other.limits[0] > max(own.limits[1], other.chance or 0.5)
    return apart and max(recalled(own), 0.0) <= LINKED * recalled(other)


def _outlives(keys: Scored | Worst, content: Content, keys_before: Scored | Worst | None, before: Content) -> bool:
    if keys_before is None:
        return False
    shown = max(recalled(score.auroc) for score in _scores(before))
    most = max(_scores(content), key=lambda score: score.auroc.value)
    left = recalled(keys.memorization) <= KEYS_LEFT * recalled(keys_before.memorization)
    return left and _above_chance(most) and recalled(most.auroc) >= CONTENT_LEFT * shown


def _faint(keys: Scored | Worst, content: Content) -> bool:
    most = max(score.certified.share for score in _scores(content))
    certified = keys.certified.share
    return certified >= CERTIFIED and most <= FAINT_SHARE * certified and any(map(_above_chance, _scores(content)))


def _scores(content: Content) -> list[ContentScore]:
    return [score for score in (content.own, content.any) if score is not None]


def _above_chance(score: ContentScore) -> bool:
    return score.auroc.limits[0] > (score.auroc.chance or 0.5)
