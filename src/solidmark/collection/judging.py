"""Judging a record anew: is it what the answers and the ledger's keys give? Free of torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import TypedDict

from ..errors import SolidmarkError
from . import verdict
from .ledger import Ledger, keys_of, rows_to_ask, spare_rows
from .outcome import CollectionRecord

TOLERANCE = 1e-9
"""Relative difference of a number that was computed on another machine."""


class AnswerBlock(TypedDict):
    """An answer: the number of its row, its split, predicted keys, combined p-value, and score of its content, if asked."""

    number: int
    trained: bool
    prediction: list[float]
    p_value: float
    content: float | None


@dataclass(frozen=True)
class Check:
    """What was checked, what was found, and whether it is as it must be."""

    subject: str
    text: str
    sound: bool


def checks(record: CollectionRecord, answers: Sequence[AnswerBlock], ledger: Ledger) -> list[Check]:
    """Everything that follows from answers and ledger: who was asked, p-values, numbers, certified images.

    Ends at the first check that fails, since the others rest on it.
    """
    done: list[Check] = []
    for check in _each(record, answers, ledger):
        done.append(check)
        if not check.sound:
            break
    return done


def _each(record: CollectionRecord, answers: Sequence[AnswerBlock], ledger: Ledger) -> Iterator[Check]:
    try:
        same = record["commitment"] == ledger.commitment
        yield Check("ledger", "the one that was measured" if same else "another than was measured", same)
        asked = rows_to_ask(ledger, record["query"]["limit"])
        expected = {row.number: row.split == "trained" for row in asked}
        given = {answer["number"]: answer["trained"] for answer in answers}
        whole = given == expected and len(answers) == len(expected)
        text = f"{len(answers)} answers, {len(expected)} expected"
        yield Check("answers", text if whole else f"{text}: some are missing, twice, or of the other split", whole)
        rows = [ledger.rows[answer["number"]] for answer in answers]
        found, keys = np.array([answer["prediction"] for answer in answers], dtype=np.float64), keys_of(rows)
        p = verdict.p_values(found, keys)
        agree = np.allclose([answer["p_value"] for answer in answers], p, rtol=TOLERANCE, atol=0)
        yield Check("p-values", "as answers and keys give them" if agree else "not those of answers and keys", agree)
        trained, held = ([i for i, row in enumerate(rows) if row.split == part] for part in ("trained", "held-out"))
        judged = verdict.judge(found[trained], keys[trained], found[held], keys[held], record["query"]["seed"])
        differing = [name for name, value in judged.items() if not alike(record.get(name), value)]
        apart = {row.number for row in spare_rows(ledger)}
        told = [[answers[i]["content"] for i in part if answers[i]["number"] not in apart] for part in (trained, held)]
        differing += [] if alike(record["content"], verdict.judge_content(*told)) else ["content"]
        text = "as the answers give them" if not differing else f"others in {', '.join(differing)}"
        yield Check("numbers", text, not differing)
        certified = verdict.certified(p[trained], [rows[i].number for i in trained])
        right = sorted(record["certified"]) == sorted(certified)
        text = f"{len(certified)} of {len(trained)}"
        yield Check("certified images", text if right else f"others than the {text} of the answers", right)
        counts = {"trained": len(trained), "held_out": len(held), "keys": keys.shape[1]}
        stated = {name: record["asked"].get(name) for name in counts}
        yield Check(
            "counts", f"{counts}" if stated == counts else f"{stated} where the answers have {counts}", stated == counts
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, SolidmarkError) as cause:
        yield Check("record", f"not whole: {type(cause).__name__}: {cause}", False)


def alike(stated: Any, found: Any) -> bool:
    """Equal, numbers within TOLERANCE."""
    if isinstance(found, Mapping):
        return (
            isinstance(stated, Mapping) and stated.keys() == found.keys() and all(alike(stated[k], found[k]) for k in found)
        )
    if isinstance(found, float) and isinstance(stated, float):
        return math.isclose(stated, found, rel_tol=TOLERANCE, abs_tol=1e-12)
    return type(stated) is type(found) and bool(stated == found)
