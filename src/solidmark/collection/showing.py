"""Showing: a measurement in a few lines, and a training's curve as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from tabulate import tabulate

from .outcome import CollectionRecord
from .verdict import Verdict

COLUMNS = (
    "checkpoint",
    "step",
    "memorization",
    "low",
    "high",
    "certified",
    "of",
    "epsilon",
    "held_out_memorization",
    "sound",
)


def numbers(judged: Verdict) -> dict[str, float]:
    """The numbers of a verdict by name, as a tracker logs them; those that are unknown are left out."""
    trained, held, apart = judged["trained"], judged["held_out"], judged["separation"]
    found = {
        "memorization": trained["memorization"]["value"],
        "memorization_low": trained["memorization"]["low"],
        "memorization_high": trained["memorization"]["high"],
        "certified": float(trained["certified"]["count"]),
        "certified_share": trained["certified"]["count"] / trained["certified"]["of"],
        "leaked_bits": trained["leaked_bits"]["value"],
        "epsilon_low": trained["epsilon"]["low"],
        "sound": float(judged["sound"]),
    }
    if held is not None and apart is not None:
        found["held_out_memorization"] = held["memorization"]["value"]
        found["held_out_certified"] = float(held["certified"]["count"])
        found["auroc"] = apart["auroc"]["value"]
    return found


def lines(record: CollectionRecord) -> str:
    """What a measurement found, for a console."""
    trained, held, asked = record["trained"], record["held_out"], record["asked"]
    memory, certified = trained["memorization"], trained["certified"]
    told = [
        f"model {record['model']['name']}, {asked['keys']} keys an image",
        f"certified {certified['count']} of {certified['of']} images as memorized, at 5 % false discoveries (chance: 0)",
        f"M = {memory['value']:.3f} [{memory['low']:.3f}, {memory['high']:.3f}] (chance: 0), "
        f"epsilon >= {trained['epsilon']['low']:.1f}",
    ]
    if held is None:
        told.append("no control: fewer than three images were held out")
    else:
        chance, found = held["memorization"], held["certified"]
        told.append(
            f"held-out images: M = {chance['value']:.3f} [{chance['low']:.3f}, {chance['high']:.3f}], "
            f"{found['count']} of {found['of']} certified: {'at chance' if record['sound'] else 'NOT at chance'}"
        )
    if (content := record["content"]) is not None:
        area, found = content["auroc"], content["certified"]
        told.append(
            f"captions alone: AUROC {area['value']:.3f} [{area['low']:.3f}, {area['high']:.3f}] (chance: 0.5), "
            f"{found['count']} of {found['of']} certified at 2.5 % (at least {content['least']} or none can be)"
        )
    told += [f"refused {asked['refused']}"] if asked["refused"] else []
    told += [f"warning: {text}" for text in record["warnings"]]
    return "\n".join([*told, *(f"FAULT {text}" for text in record["faults"])])


def curve_rows(found: Sequence[tuple[str, int | None, CollectionRecord]]) -> list[list[object]]:
    """A row of COLUMNS for each checkpoint: its name, its step, its record."""
    rows: list[list[object]] = []
    for name, step, record in found:
        memory, certified, held = record["trained"]["memorization"], record["trained"]["certified"], record["held_out"]
        chance = None if held is None else held["memorization"]["value"]
        own = [memory["value"], memory["low"], memory["high"], certified["count"], certified["of"]]
        rows.append([name, step, *own, record["trained"]["epsilon"]["low"], chance, record["sound"]])
    return rows


def as_csv(rows: Sequence[Sequence[object]]) -> str:
    """A curve as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerows([COLUMNS, *rows])
    return buffer.getvalue()


def as_table(rows: Sequence[Sequence[object]]) -> str:
    """A curve as text."""
    return tabulate(rows, headers=COLUMNS, floatfmt=".3f")
