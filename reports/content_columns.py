"""Columns of content: whether images are emitted, whatever became of their keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from solidmark.leaderboard import NO_BLOCK, NO_CONTENT, NO_MAP, NO_OWN, Content, ContentScore, Leaderboard, Row

from .table import CERTIFIABLE, MAPPED, NUMBER, PLAIN, SEPARATION, Column

OWN = "one picture is generated from an image's own caption"
ANY = "its nearest picture is taken, of whatever caption"


def main(board: Leaderboard) -> list[Column[Row]]:
    """AUROC of both scores, where any row has them."""
    if not any(row.content is not None for row in board.rows):
        return []
    return [_auroc("own", "content", OWN, _own), _auroc("any", "content, any caption", ANY, _any)]


def more(board: Leaderboard) -> list[Column[Row]]:
    """All else that is known of content, where any row has it."""
    present = [row.content for row in board.rows if row.content is not None]
    if not present:
        return []
    names = sorted({name for content in present for name, one in content.distances.items() if one.any is not None})
    return [
        _certified("own", OWN, _own),
        _certified("any", ANY, _any),
        _whole("own", _own),
        _whole("any", _any),
        *([_block()] if any(content.block for content in present) else []),
        *([_map()] if any(content.map for content in present) else []),
        *(_by_distance(name, which, _lacking(name, present)) for name in names for which in ("own", "any")),
    ]


def _auroc(key: str, title: str, how: str, score: Callable[[Row], ContentScore | None]) -> Column[Row]:
    return Column(
        f"content_{key}_auroc",
        title,
        f"How well content alone separates trained from held-out images: {how}, and its distance to the image, relative to "
        "that of other real images, is compared. High here beside a low M means that the image outlives its key.",
        NUMBER,
        lambda row: (found := score(row)) and found.auroc,
        note="chance 0.5",
        better="lower",
        main=key == "own",
        missing=NO_OWN if key == "own" else NO_CONTENT,
    )


def _certified(key: str, how: str, score: Callable[[Row], ContentScore | None]) -> Column[Row]:
    return Column(
        f"content_{key}_certified",
        f"certified by content, {key}",
        f"Images that are emitted provably, at a false-discovery rate of 2.5 %, 5 % for both content scores together: "
        f"{how}. The p-values are exact ranks among H held-out images, never below 1 / (H + 1). So fewer than "
        "N / (0.025 (H + 1)) of the N images of a seed cannot be certified at all; brackets show that number.",
        CERTIFIABLE,
        score,
        note="chance 0",
        better="lower",
        missing=NO_OWN if key == "own" else NO_CONTENT,
    )


def _whole(key: str, score: Callable[[Row], ContentScore | None]) -> Column[Row]:
    return Column(
        f"content_{key}_permutation_p",
        f"p of content, {key}",
        "The share of all ways to choose who was trained on in which trained images are as near or nearer: the exact "
        "one-sided permutation p-value of the rank sum, the largest of any seed.",
        PLAIN,
        lambda row: (found := score(row)) and found.permutation_p,
        form="{:.2g}",
        better="higher",
        missing=NO_OWN if key == "own" else NO_CONTENT,
    )


def _block() -> Column[Row]:
    return Column(
        "content_block_auroc",
        "content, freed block",
        "How well the block that outpainting frees beside the mark separates trained from held-out images, by its error "
        "over that of the nearest other images there. It needs no picture from a caption, but sees few pixels.",
        SEPARATION,
        lambda row: row.content and row.content.block,
        note="chance 0.5",
        better="lower",
        missing=NO_BLOCK,
    )


def _map() -> Column[Row]:
    return Column(
        "content_map",
        "tiles remembered",
        "Share of square tiles of the generated pictures, of 4 pixels a side or more, that are nearer to their image than "
        "all but 5 % of held-out images are at the same place. Beside it the control: the same of half of the held-out "
        "images, drawn at random, among the other half; nothing in records that are older than it.",
        MAPPED,
        lambda row: row.content and row.content.map,
        note="chance at most 0.05",
        better="lower",
        missing=NO_MAP,
    )


def _lacking(name: str, present: Sequence[Content]) -> str:
    """Why some rows have no number of a distance that others have."""
    reasons = dict.fromkeys(content.distances[name].reason for content in present if name in content.distances)
    return "; ".join(reason for reason in reasons if reason)


def _by_distance(name: str, which: str, lacking: str) -> Column[Row]:
    return Column(
        f"content_{name}_{which}_auroc",
        f"{name}, {which}",
        f"The same pictures, read by the distance {name}: {OWN if which == 'own' else ANY}. Its permutation p and certified "
        "images stand beside it, each for this distance alone: the best of several distances would flatter."
        + (f" A dash: {lacking}." if lacking else ""),
        SEPARATION,
        lambda row: _score_by(row, name, which),
        note="chance 0.5",
        better="lower",
        missing=lacking or (NO_OWN if which == "own" else NO_CONTENT),
    )


def _score_by(row: Row, name: str, which: str) -> ContentScore | None:
    one = row.content.distances.get(name) if row.content is not None else None
    return (one.own if which == "own" else one.any) if one is not None else None


def _own(row: Row) -> ContentScore | None:
    return row.content.own if row.content is not None else None


def _any(row: Row) -> ContentScore | None:
    return row.content.any if row.content is not None else None
