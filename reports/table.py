"""The neutral table: columns that know their title, meaning, kind, direction and format, for every renderer.

A cell has three texts, since a number is never shown alone: the value, its interval, and what it is compared with (its
chance level or floor). `flat` has the same as plain numbers, one field a column of a data file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from solidmark.leaderboard import Claimed, ContentScore, DenoisingLoss, Estimate, MemoryMap, Refused, Scored, Share, Worst

Flat = str | int | float | None
Subject = TypeVar("Subject")
"""What a line of a table is about: a row of the leaderboard, or one query of a row."""


@dataclass(frozen=True)
class Cell:
    """What a table shows: `value`, `interval`, `comparison`; `order` is what sorting goes by, null last.

    `missing` says why there is no value.
    """

    value: str
    interval: str = ""
    comparison: str = ""
    order: float | str | None = None
    flat: Mapping[str, Flat] = field(default_factory=dict)
    missing: str = ""

    @property
    def text(self) -> str:
        """All three in one line."""
        comparison = f"({self.comparison})" if self.comparison else ""
        return " ".join(part for part in (self.value, self.interval, comparison) if part)


EMPTY = "–"
"""Shown where a row has no number."""


@dataclass(frozen=True)
class Kind:
    """How values of one type become cells; `fields` are the suffixes of the columns of a data file."""

    name: str
    fields: tuple[str, ...]
    cell: Callable[[Any, str], Cell]


def _text(value: str, _: str) -> Cell:
    return Cell(value, order=value, flat={"": value})


def _plain(value: float, form: str) -> Cell:
    return Cell(form.format(value), order=value, flat={"": value})


def _over_seeds(estimate: Estimate, form: str) -> Cell:
    flat = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
    return Cell(form.format(estimate.value), _interval(estimate, form), order=estimate.value, flat=flat)


def _number(estimate: Estimate, form: str) -> Cell:
    cell = _over_seeds(estimate, form)
    return replace(cell, flat={**cell.flat, "_chance": estimate.chance})


def _distance(distance: tuple[Estimate, float], form: str) -> Cell:
    estimate, real = distance
    cell = _over_seeds(estimate, form)
    return replace(cell, comparison=f"real {form.format(real)}", flat={**cell.flat, "_real": real})


def _loss(loss: DenoisingLoss, form: str) -> Cell:
    cell = _over_seeds(loss.held_out, form)
    return replace(cell, comparison=f"trained {form.format(loss.trained)}", flat={**cell.flat, "_trained": loss.trained})


def _separation(score: ContentScore, form: str) -> Cell:
    cell, found = _number(score.auroc, form), score.certified
    told = {"_permutation_p": score.permutation_p, "_certified_count": found.count, "_certified_of": found.of}
    text = f"p {score.permutation_p:.2g}, {found.count} of {found.of}"
    return replace(cell, comparison=text, flat={**cell.flat, **told})


def _mapped(found: MemoryMap, form: str) -> Cell:
    cell = _over_seeds(found.trained, form)
    if found.held_out is None:  # an older record, without this control
        return replace(cell, flat={**cell.flat, "_held_out": None, "_tile": found.tile})
    flat = {**cell.flat, "_held_out": found.held_out.value, "_tile": found.tile}
    return replace(cell, comparison=f"held out {form.format(found.held_out.value)}", flat=flat)


def _bound(scores: Scored | Worst, form: str) -> Cell:
    bound = scores.epsilon.value
    return Cell(f"≥ {form.format(bound)}", order=bound, flat={"_low": bound, "_confidence": scores.epsilon_confidence})


def _proportion(share: Share, form: str) -> Cell:
    interval = _interval(share, form)
    return Cell(form.format(share.share), interval, "", share.share, _flat_share(share))


def _share(share: Share, form: str) -> Cell:
    return replace(_proportion(share, form), comparison=f"chance {form.format(share.chance)}")


def _count(share: Share, _: str) -> Cell:
    return Cell(f"{share.count} of {share.of}", order=share.share, flat=_flat_share(share))


def _certifiable(score: ContentScore, form: str) -> Cell:
    cell = _count(score.certified, form)
    return replace(cell, comparison=f"at least {score.least}", flat={**cell.flat, "_least": score.least})


def _flat_share(share: Share) -> dict[str, Flat]:
    limits = {"_low": share.low, "_high": share.high, "_chance": share.chance}
    return {"": share.share, "_count": share.count, "_of": share.of, **limits}


def _refused(refused: Refused, form: str) -> Cell:
    shares = {"": refused.trained, "_held_out": refused.held_out, "_fresh": refused.fresh}
    trained, held_out, fresh = (form.format(100 * share.share) for share in shares.values())
    flat: dict[str, Flat] = {name: share.share for name, share in shares.items()}
    return Cell(trained, comparison=f"held out {held_out}, fresh {fresh}", order=refused.trained.share, flat=flat)


def _claimed(claimed: Claimed, form: str) -> Cell:
    flat = {"": claimed.epsilon, "_delta": claimed.delta}
    return Cell(form.format(claimed.epsilon), comparison=f"δ {claimed.delta:g}", order=claimed.epsilon, flat=flat)


def _memory(size: int, _: str) -> Cell:
    return Cell(f"{size / 2**20:,.0f} MiB", order=size, flat={"": size})


def _interval(number: Estimate | Share, form: str) -> str:
    """`[0.87, 0.89]`; empty where there is no interval."""
    if number.low is None or number.high is None:
        return ""
    return f"[{form.format(number.low)}, {form.format(number.high)}]"


SHARE_FIELDS = ("", "_count", "_of", "_low", "_high", "_chance")
TEXT = Kind("text", ("",), _text)
PLAIN = Kind("plain", ("",), _plain)
NUMBER = Kind("number", ("", "_low", "_high", "_chance"), _number)
OVER_SEEDS = Kind("number", ("", "_low", "_high"), _over_seeds)
DISTANCE = Kind("distance", ("", "_low", "_high", "_real"), _distance)
LOSS = Kind("loss", ("", "_low", "_high", "_trained"), _loss)
SEPARATION = Kind(
    "separation",
    ("", "_low", "_high", "_chance", "_permutation_p", "_certified_count", "_certified_of"),
    _separation,
)
MAPPED = Kind("map", ("", "_low", "_high", "_held_out", "_tile"), _mapped)
BOUND = Kind("bound", ("_low", "_confidence"), _bound)
SHARE = Kind("share", SHARE_FIELDS, _share)
PROPORTION = Kind("share", SHARE_FIELDS, _proportion)
COUNT = Kind("count", SHARE_FIELDS, _count)
CERTIFIABLE = Kind("count", (*SHARE_FIELDS, "_least"), _certifiable)
REFUSED = Kind("refused", ("", "_held_out", "_fresh"), _refused)
CLAIMED = Kind("claimed", ("", "_delta"), _claimed)
MEMORY = Kind("memory", ("",), _memory)

THREE, TWO, ONE, WHOLE, TIMES, PERCENT = "{:z.3f}", "{:z.2f}", "{:z.1f}", "{:,.0f}", "{:.2f} ×", "{:.0f} %"
SIGNED, FOUR = "{:+z.2f}", "{:.4f}"


def with_interval(number: Estimate | Share, form: str = TWO) -> str:
    """`0.88 [0.87, 0.89]`: a number with its interval, where it has one."""
    value = number.value if isinstance(number, Estimate) else number.share
    return " ".join(part for part in (form.format(value), _interval(number, form)) if part)


@dataclass(frozen=True)
class Column(Generic[Subject]):
    """One column: `of` takes its value from a line's subject, null where there is none; `main` columns come first.

    `note` is shown under the title (the chance level), `better` is `lower`, `higher` or empty, `form` is the format of
    one number, and `missing` says why a measured line may have none.
    """

    key: str
    title: str
    help: str
    kind: Kind
    of: Callable[[Subject], Any]
    note: str = ""
    better: str = ""
    form: str = TWO
    main: bool = False
    missing: str = ""

    def cell(self, subject: Subject) -> Cell:
        """The cell of a line; a dash where there is no such number."""
        value = self.of(subject)
        if value is None:
            return Cell(EMPTY, flat=dict.fromkeys(self.kind.fields), missing=self.missing)
        return self.kind.cell(value, self.form)

    @property
    def heading(self) -> str:
        """Title with direction and chance level in one line."""
        arrow = {"lower": " ↓", "higher": " ↑"}.get(self.better, "")
        return f"{self.title}{arrow}" + (f" ({self.note})" if self.note else "")


@dataclass(frozen=True)
class Table(Generic[Subject]):
    """Lines under columns."""

    columns: tuple[Column[Subject], ...]
    rows: tuple[Subject, ...]

    @property
    def main(self) -> tuple[Column[Subject], ...]:
        """The columns that matter most."""
        return tuple(column for column in self.columns if column.main)

    @property
    def more(self) -> tuple[Column[Subject], ...]:
        """All others."""
        return tuple(column for column in self.columns if not column.main)
