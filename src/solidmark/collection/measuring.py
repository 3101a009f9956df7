"""Measuring: a marked collection is asked from a model. Read `measure` first.

INTO/record.json          what was asked, how, and what came back
INTO/per_image.parquet    keys, predictions, distances and p-values of each image; private, since it has the keys
INTO/certified.csv        the images that are certified
INTO/answers/NUMBER.png   what the model answered, of every image that may be certified
INTO/asking.jsonl         the answers, group by group: run again after an interruption, it goes on
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from .. import records
from ..errors import InvalidValue
from ..metrics import scores
from ..progress import Progress, silent
from . import asking, ledger, pictures, verdict
from .ledger import Row, keys_of, write_private
from .lines import Lines
from .outcome import ANSWERS, ASKED, RECORD, SCHEMA, TABLE, CollectionRecord, Model
from .questions import Answer, Collection, Group, Query, check_outside

LIBRARIES = ("solidmark", "torch", "diffusers", "numpy", "scipy", "pillow")


def measure(
    pipe: Any, model: Model, collection: Collection, query: Query, into: Path, progress: Progress = silent
) -> CollectionRecord:
    """Ask a model for every image, or go on with that, and write what came back.

    `pipe` is a diffusers pipeline or a function (see `pipelines.Fill`). Running again gives the same record. Raises
    InvalidValue and DamagedFile where the folders are not those of the ledger, or `into` is of another measurement.
    """
    check_outside(into, collection.marked, collection.folder)
    head = {"model": model, "query": asdict(query), "commitment": collection.ledger.commitment}
    with Lines(into / "asking.jsonl", {**head, "versions": _versions()}, anew=True) as lines:
        lines.check_same(head)
        found = len(lines.entries)
        for group in asking.ask_all(pipe, collection, query, lambda place: place < found, progress):
            _keep_pictures(group, collection, into)
            entry = asking.as_json(group)
            lines.add(entry)
            lines.entries.append(json.loads(json.dumps(entry)))
        record = _record(lines, collection)
    records.write_text(into / RECORD, json.dumps(record, indent=1, allow_nan=False) + "\n")
    return record


def _versions() -> dict[str, str]:
    return {name: metadata.version(name) for name in LIBRARIES}


def _keep_pictures(group: Group, collection: Collection, into: Path) -> None:
    """Store the answers that may be certified: no image with a larger p-value than the rate ever is."""
    rows = [collection.ledger.rows[answer.number] for answer in group.answers]
    p = verdict.p_values(asking.predictions(group.answers), keys_of(rows))
    for row, one, asked, answered in zip(rows, p, group.asked, group.answered, strict=True):
        if one <= verdict.RATE and row.split == "trained":
            records.write_bytes(into / ASKED / f"{row.number}.png", pictures.encode(asked))
            records.write_bytes(into / ANSWERS / f"{row.number}.png", pictures.encode(answered))


def _record(lines: Lines, collection: Collection) -> CollectionRecord:
    answers = [Answer(**{**one, "prediction": tuple(one["prediction"])}) for e in lines.entries for one in e["answers"]]
    answers.sort(key=lambda answer: answer.number)
    rows = [collection.ledger.rows[answer.number] for answer in answers]
    trained, held = ([i for i, row in enumerate(rows) if row.split == part] for part in ("trained", "held-out"))
    found, keys = asking.predictions(answers), keys_of(rows)
    if not trained:
        cure = "Mark anew with a smaller --hold-out."
        raise InvalidValue("collection", "no image that was handed out", "at least 3", cure)
    judged = verdict.judge(found[trained], keys[trained], found[held], keys[held], lines.head["query"]["seed"])
    apart = {row.number for row in ledger.spare_rows(collection.ledger)}
    scores_of = [[answers[i].content for i in part if answers[i].number not in apart] for part in (trained, held)]
    p = verdict.p_values(found, keys)
    certified = verdict.certified(p[trained], [rows[i].number for i in trained])
    into = lines.path.parent
    _write_certified(into / "certified.csv", rows, p, set(certified))
    return {
        "schema": SCHEMA,
        "model": lines.head["model"],
        "query": lines.head["query"],
        "commitment": lines.head["commitment"],
        "asked": {
            "trained": len(trained),
            "held_out": len(held),
            "refused": sum(answer.refused for answer in answers),
            "keys": keys.shape[1],
        },
        **judged,
        "content": verdict.judge_content(*scores_of),
        "certified": certified,
        "warnings": list(dict.fromkeys(text for entry in lines.entries for text in entry["warnings"])),
        "versions": lines.head["versions"],
        "per_image_sha256": _write_table(into / TABLE, rows, answers, p, set(certified)),
    }


def _write_table(path: Path, rows: Sequence[Row], answers: Sequence[Answer], p: Any, certified: set[int]) -> str:
    """Write a row an image, and return the sha256 of the file."""
    found, keys = asking.predictions(answers), keys_of(rows)
    table = pa.table(
        {
            "number": [row.number for row in rows],
            "source": [row.source for row in rows],
            "caption": [row.caption for row in rows],
            "trained": [row.split == "trained" for row in rows],
            "key": keys.tolist(),
            "prediction": found.tolist(),
            "distance": scores.distances(found, keys).tolist(),
            "p_value": np.asarray(p).tolist(),
            "content": pa.array([answer.content for answer in answers], type=pa.float64()),
            "refused": [answer.refused for answer in answers],
            "certified": [row.number in certified for row in rows],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    write_private(path, buffer.getvalue())
    return hashlib.sha256(buffer.getvalue()).hexdigest()


def _write_certified(path: Path, rows: Sequence[Row], p: Any, certified: set[int]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["number", "source", "caption", "p_value"])
    for row, one in zip(rows, p, strict=True):
        if row.number in certified:
            writer.writerow([row.number, row.source, row.caption, f"{one:.3g}"])
    records.write_text(path, buffer.getvalue())
