"""Marking: a folder of images becomes a folder to hand out, a folder that is held out, and a ledger. Read `mark` first.

OUT/                     marked images as PNG and metadata.jsonl (the `imagefolder` convention): hand this out
LEDGER/                  secret: ledger, manifest and commitment (see ledger.py)
LEDGER/held_out/         the held-out images, marked, with their metadata.jsonl: for nobody, until they are asked
LEDGER/marking.jsonl     while it lasts (see journal.py)
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout

from .. import records
from ..errors import InvalidValue
from ..progress import Progress, silent
from . import ledger, plan, pool, sources
from .journal import NAME, Journal
from .ledger import HELD_OUT, Head, Ledger, Part, Row
from .lines import is_empty
from .painting import Painted, Style, Task
from .pictures import LARGEST, weight
from .sources import Sources

LOCK = ".lock"


@dataclass(frozen=True)
class Marked:
    """What a marking gave: the ledger, and why images were left out."""

    ledger: Ledger
    left_out: dict[str, str]

    @property
    def uncaptioned(self) -> int:
        """How many marked images have no caption, or an empty one."""
        return sum(not row.caption for row in self.ledger.rows)

    @property
    def same_caption(self) -> int:
        """How many marked images have the caption of another image that is no copy of them."""
        counts = Counter(row.caption for row in self.ledger.rows if row.caption and row.copy_of is None)
        return sum(count for count in counts.values() if count > 1)


def mark(
    images: Path,
    out: Path,
    folder: Path,
    style: Style,
    *,
    hold_out: float = 0.5,
    caption_column: str | None = None,
    passphrase: str | None = None,
    workers: int | None = None,
    progress: Progress = silent,
) -> Marked:
    """Mark every image below `images` into `out`, and write the ledger into `folder`.

    Run again after an interruption it goes on; it never writes into folders that another marking has filled. Raises
    InvalidValue, before anything is written, for folders, options or captions that will not do.
    """
    _check(images, out, folder, style, hold_out, workers)
    found = sources.find(images, caption_column)
    folders: dict[Part, Path] = {"trained": out, "held-out": folder / HELD_OUT}
    with _alone(folder):
        _forget_empty(out, folder)
        _check_free(out, folder, found, images, style.size, hold_out)
        options = {"style": asdict(style), "hold_out": hold_out, "sources": found.digest}
        journal = Journal(folder, options, passphrase)
        with journal.lines:
            tasks = plan.tasks(found, images, folders, style, hold_out, journal.secret)
            done = _finish(tasks, journal, workers, progress)
            if all(one.reason for one in done):
                journal.remove()
                raise _nothing(images, tasks[done[0].number], done[0].reason)
            made = Ledger(_head(journal, style, hold_out), tuple(_rows(found, tasks, done)))
            _write_tables(found, made, folders)
            left_out = {**found.left_out, **{tasks[one.number].file: one.reason for one in done if one.reason}}
            ledger.save(folder, made, passphrase, left_out)
            journal.remove()
    return Marked(made, left_out)


def _nothing(images: Path, task: Task, reason: str) -> InvalidValue:
    found = f"no image that can be marked (such as {task.file}: {reason})"
    return InvalidValue(str(images), found, "one or more", "Look at the images.")


def _check(images: Path, out: Path, folder: Path, style: Style, hold_out: float, workers: int | None) -> None:
    if not 0 <= hold_out < 1:
        raise InvalidValue("--hold-out", hold_out, "a share in [0, 1)", "Half of the images is 0.5.")
    for name, number in (("--keys", style.segments), ("--thickness", style.thickness), ("--size", style.size)):
        if number is not None and number < 1:
            raise InvalidValue(name, number, "at least 1", "Give a whole number of pixels or keys.")
    if style.size is not None and style.size**2 > LARGEST:
        raise InvalidValue("--size", style.size, f"at most {LARGEST:,} pixels in all", "Give the side of the training.")
    if workers is not None and workers < 0:
        raise InvalidValue("--workers", workers, "at least 0 processes", "Leave it away for one a core.")
    sources.relation(images, out)
    sources.relation(images, folder)
    sources.relation(out, folder)


def _forget_empty(out: Path, folder: Path) -> None:
    """Remove the journal of a marking that has not painted an image: its secret was never used."""
    if is_empty(folder / NAME) and not any(
        path.is_file() for place in (out, folder / HELD_OUT) for path in place.rglob("*")
    ):
        (folder / NAME).unlink()


def _check_free(out: Path, folder: Path, found: Sources, images: Path, size: int | None, hold_out: float) -> None:
    """Whether the folders are ours to write, and large enough."""
    fresh = not (folder / NAME).exists()
    for place in (out, folder):
        if place.exists() and not place.is_dir():
            raise InvalidValue(str(place), "a file", "a new folder", "Choose another name.")
        filled = place.exists() and any(path.name != LOCK for path in place.iterdir())
        if fresh and filled:
            cure = "Choose another folder; nothing is ever overwritten."
            raise InvalidValue(str(place), "a folder that is not empty", "a new folder", cure)
    if fresh:
        _check_disks({out: 1 - hold_out, folder: hold_out}, sum(weight(images / one.file, size) for one in found.images))


def _check_disks(shares: dict[Path, float], needed: int) -> None:
    """Whether each disk has room for its share of `needed` bytes. Raises InvalidValue where one has not."""
    wanted: dict[int, float] = {}
    for place, share in shares.items():
        there = next(folder for folder in (place.resolve(), *place.resolve().parents) if folder.exists())
        disk = there.stat().st_dev
        wanted[disk] = wanted.get(disk, 0) + share * needed
        free = shutil.disk_usage(there).free
        if free < wanted[disk]:
            expected = f"at least {wanted[disk] / 1e6:.0f} MB for marked images, by their pixels"
            raise InvalidValue(str(place), f"{free / 1e6:.0f} MB free", expected, "Free some space, or choose another disk.")


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder of the ledger, which is made, for this process alone."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as cause:
        raise InvalidValue(str(folder), f"{cause}", "a folder that can be written", "Choose another folder.") from cause
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as cause:
        found = "a marking that another process is at"
        raise InvalidValue(str(folder), found, "a folder of its own", "Wait for it, or choose another.") from cause
    try:
        yield
    finally:
        lock.release()


def _finish(tasks: list[Task], journal: Journal, workers: int | None, progress: Progress) -> list[Painted]:
    """Paint what is not painted yet: all outcomes, in order."""
    done = {number: one for number, one in journal.done.items() if one.reason or _stands(tasks[number], one)}
    left = [task for task in tasks if task.number not in done]
    plan.sweep(left)
    for painted in pool.painted(left, pool.default_workers(len(left)) if workers is None else workers):
        journal.add(painted)
        done[painted.number] = painted
        progress("marking", len(done), len(tasks))
    return [done[number] for number in sorted(done)]


def _stands(task: Task, painted: Painted) -> bool:
    return task.target.is_file() and task.target.stat().st_size == painted.size


def _head(journal: Journal, style: Style, hold_out: float) -> Head:
    return Head(
        secret=journal.secret.hex(),
        salt=journal.salt.hex(),
        hold_out=hold_out,
        segments=style.segments,
        inside=style.inside,
        size=style.size,
        created=journal.created,
        version=metadata.version("solidmark"),
    )


def _rows(found: Sources, tasks: list[Task], done: list[Painted]) -> Iterator[Row]:
    """The rows of all images that were not left out, in order."""
    first: dict[str, int] = {}
    for number, painted in enumerate(one for one in done if not one.reason):
        task = tasks[painted.number]
        yield Row(
            number=number,
            source=task.file,
            source_sha256=task.sha256,
            marked=task.marked,
            marked_sha256=painted.sha256,
            split=task.split,
            caption=found.images[painted.number].columns[found.caption_column],
            keys=task.keys,
            height=painted.height,
            width=painted.width,
            thickness=painted.thickness,
            colour=painted.colour,
            copy_of=first.get(task.sha256),
            done=painted.done,
        )
        first.setdefault(task.sha256, number)


def _write_tables(found: Sources, made: Ledger, folders: dict[Part, Path]) -> None:
    """`metadata.jsonl` of each split: the columns as they were, under the names of the marked files."""
    columns = {image.file: image.columns for image in found.images}
    for part, folder in folders.items():
        rows = [{"file_name": row.marked, **columns[row.source]} for row in made.rows if row.split == part]
        if rows:
            lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            records.write_text(folder / "metadata.jsonl", lines)
