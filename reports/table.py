"""The neutral table: columns that know their title, meaning, kind, direction and format, for every renderer.

A cell has three texts, since a number never stands alone: the value, its interval, and what it stands
beside (its chance level or floor). `flat` has the same as plain numbers, one field a column of a data file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from solidmark.leaderboard import Bound, Claimed, DenoisingLoss, Distance, Number, OverSeeds, Refused, Share

Flat = str | int | float | None
Subject = TypeVar("Subject")
"""What a line of a table is about: a row of the leaderboard, or one query of a row."""


@dataclass(frozen=True)
class Cell:
    """What a table shows: `value`, `interval`, `beside`; `order` is what sorting goes by, null last.

    `missing` says why there is no value.
    """

    value: str
    interval: str = ""
    beside: str = ""
    order: float | str | None = None
    flat: Mapping[str, Flat] = field(default_factory=dict)
    missing: str = ""

    @property
    def text(self) -> str:
        """All three in one line."""
        beside = f"({self.beside})" if self.beside else ""
        return " ".join(part for part in (self.value, self.interval, beside) if part)


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


def _number(number: Number, form: str) -> Cell:
    flat = {"": number.value, "_low": number.low, "_high": number.high, "_chance": number.chance}
    return Cell(form.format(number.value), _interval(number.low, number.high, form), order=number.value, flat=flat)


def _proportion(share: Share, form: str) -> Cell:
    interval = _interval(share.low, share.high, form)
    return Cell(form.format(share.share), interval, "", share.share, _flat_share(share))


def _share(share: Share, form: str) -> Cell:
    return replace(_proportion(share, form), beside=f"chance {form.format(share.chance)}")


def _count(share: Share, _: str) -> Cell:
    return Cell(f"{share.count} of {share.of}", order=share.share, flat=_flat_share(share))


def _flat_share(share: Share) -> dict[str, Flat]:
    limits = {"_low": share.low, "_high": share.high, "_chance": share.chance}
    return {"": share.share, "_count": share.count, "_of": share.of, **limits}


def _distance(distance: Distance, form: str) -> Cell:
    interval = "" if distance.low is None or distance.high is None else _interval(distance.low, distance.high, form)
    flat = {"": distance.value, "_low": distance.low, "_high": distance.high, "_real": distance.real}
    return Cell(form.format(distance.value), interval, f"real {form.format(distance.real)}", distance.value, flat)


def _bound(bound: Bound, form: str) -> Cell:
    return Cell(f"≥ {form.format(bound.low)}", order=bound.low, flat={"_low": bound.low, "_confidence": bound.confidence})


def _over_seeds(number: OverSeeds, form: str) -> Cell:
    interval = "" if number.low is None or number.high is None else _interval(number.low, number.high, form)
    flat = {"": number.value, "_low": number.low, "_high": number.high}
    return Cell(form.format(number.value), interval, order=number.value, flat=flat)


def _loss(loss: DenoisingLoss, form: str) -> Cell:
    flat = {"": loss.value, "_low": loss.low, "_high": loss.high, "_trained": loss.trained}
    interval, beside = _interval(loss.low, loss.high, form), f"trained {form.format(loss.trained)}"
    return Cell(form.format(loss.value), interval, beside, loss.value, flat)


def _refused(refused: Refused, form: str) -> Cell:
    shares = {"": refused.trained, "_held_out": refused.held_out, "_fresh": refused.fresh}
    one, *others = (form.format(100 * share.share) for share in shares.values())
    flat: dict[str, Flat] = {name: share.share for name, share in shares.items()}
    return Cell(one, beside=f"held out {others[0]}, fresh {others[1]}", order=refused.trained.share, flat=flat)


def _claimed(claimed: Claimed, form: str) -> Cell:
    flat = {"": claimed.epsilon, "_delta": claimed.delta}
    return Cell(form.format(claimed.epsilon), beside=f"δ {claimed.delta:g}", order=claimed.epsilon, flat=flat)


def _memory(size: int, _: str) -> Cell:
    return Cell(f"{size / 2**20:,.0f} MiB", order=size, flat={"": size})


def _interval(low: float, high: float, form: str) -> str:
    return f"[{form.format(low)}, {form.format(high)}]"


SHARE_FIELDS = ("", "_count", "_of", "_low", "_high", "_chance")
TEXT = Kind("text", ("",), _text)
PLAIN = Kind("plain", ("",), _plain)
NUMBER = Kind("number", ("", "_low", "_high", "_chance"), _number)
SHARE = Kind("share", SHARE_FIELDS, _share)
PROPORTION = Kind("share", SHARE_FIELDS, _proportion)
COUNT = Kind("count", SHARE_FIELDS, _count)
DISTANCE = Kind("distance", ("", "_low", "_high", "_real"), _distance)
OVER_SEEDS = Kind("number", ("", "_low", "_high"), _over_seeds)
LOSS = Kind("loss", ("", "_low", "_high", "_trained"), _loss)
REFUSED = Kind("refused", ("", "_held_out", "_fresh"), _refused)
CLAIMED = Kind("claimed", ("", "_delta"), _claimed)
MEMORY = Kind("memory", ("",), _memory)
BOUND = Kind("bound", ("_low", "_confidence"), _bound)

THREE, TWO, ONE, WHOLE, TIMES, PERCENT = "{:z.3f}", "{:z.2f}", "{:z.1f}", "{:,.0f}", "{:.2f} ×", "{:.0f} %"
SIGNED, FOUR = "{:+z.2f}", "{:.4f}"


@dataclass(frozen=True)
class Column(Generic[Subject]):
    """One column: `of` takes its value from a line's subject, null where there is none; `main` columns come first.

    `note` stands under the title (the chance level), `better` is `lower`, `higher` or empty, `form` is the format of
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
