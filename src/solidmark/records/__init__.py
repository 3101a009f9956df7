"""Records: one line of JSON a case, written once by the process that measured it, and their reader.

    <run>/run.json              provenance of the run
    <run>/writers.json          the names of its files of records
    <run>/lines.json            the digests of the lines that their writers made
    <run>/records/*.jsonl       the record of truth: one file a process, one `os.write` a record; also read as `.jsonl.gz`
    <run>/per_image/*.parquet   keys, predictions, distances and p-values of each image, for each query
    <run>/leaderboard.*         rendered from the above, at any time again

Unknown is null with a reason, never 0 and never NaN.
"""

from ..schema.record import Record
from .files import check_writable, write_bytes, write_first, write_text
from .reading import Reading, attempt, latest, lines_now, read
from .validity import MEASURED, checked
from .writer import Writer

BENCHMARK_VERSION = 1
"""Raised by hand when the meaning of a number changes; runs of different versions are not mixed."""

__all__ = [
    "BENCHMARK_VERSION",
    "MEASURED",
    "Reading",
    "Record",
    "Writer",
    "attempt",
    "check_writable",
    "checked",
    "latest",
    "lines_now",
    "read",
    "write_bytes",
    "write_first",
    "write_text",
]
