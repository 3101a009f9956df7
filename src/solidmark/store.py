"""The store: trained models and other costly things, built once, shared by processes, verified on reading.

    <root>/objects/ab/abcd…/   one entry: its files and manifest.json with the key and each file's sha256
    <root>/locks/abcd….lock    held while an entry is built, so that the others wait instead of building too
    <root>/tmp/                builds under way; one is published by renaming its folder
    <root>/quarantine/         damaged entries, moved here and built anew

Correctness never depends on the lock: an entry is complete from the moment it has its name. No pickle is
ever read.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from platformdirs import user_cache_path

from .errors import DamagedFile, InvalidValue
from .progress import Progress, silent

SCHEMA = 1
MANIFEST = "manifest.json"
PARTS = ("objects", "locks", "tmp", "quarantine")
"""The folders of a store."""

DISK_REFUSES = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS})
"""Faults of a disk that a user can repair; any other OSError is a fault of the code that builds the entry."""

NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
"""Faults of a file system that has no locks, as a network disk without a lock daemon."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""Exceptions of reading a manifest that is missing, or is no longer as it was written."""


def default_root() -> Path:
    """`$SOLIDMARK_STORE`, else the user's cache folder. Raises InvalidValue where the user has no home."""
    stated = os.environ.get("SOLIDMARK_STORE")
    if stated:
        return Path(stated)
    try:
        path = user_cache_path("solidmark")
    except (RuntimeError, KeyError, OSError) as cause:
        raise _homeless(f"{type(cause).__name__}: {cause}") from cause
    if not path.is_absolute():  # `~` was left as it is
        raise _homeless(str(path))
    return path


def _homeless(found: str) -> InvalidValue:
    cure = "Set SOLIDMARK_STORE to a folder for trained models."
    return InvalidValue("store", found, "a user with a home folder", cure)


def canonical(value: object) -> str:
    """JSON with sorted keys: equal values have equal texts. Raises TypeError or ValueError for what JSON cannot hold."""
    plain = json.loads(json.dumps(value, allow_nan=False))  # numbers as names are sorted as what they become, text
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def digest(value: object) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One entry on disk: its name, kind, key, size in bytes, and time of building (seconds since 1970)."""

    name: str
    folder: Path
    kind: str
    key: dict[str, Any]
    size: int
    built: float


class Store:
    """A content-addressed folder; `notes` are for the user: damaged entries that were built anew, a disk without locks.

    `built` are the names of the entries that this process has built, in order.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        self.built: list[str] = []
        self._verified: set[str] = set()
        try:
            for part in PARTS:
                (root / part).mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            cure = "Set SOLIDMARK_STORE to a folder that can be written."
            raise InvalidValue(f"store {root}", f"{cause}", "a folder that can be written", cure) from cause

    def get(self, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], progress: Progress = silent) -> Path:
        """The folder of the entry for `key`, built by `build(folder)` where it is missing or damaged.

        One process builds while the others wait. Where `build` raises, the exception passes through and no entry is left;
        raises InvalidValue where the disk refuses.
        """
        name = _name(SCHEMA, kind, dict(key))
        if self._find_fault(name) is None:
            return self._folder(name)
        with self._disk_errors(), self._locked(name, f"waiting for {kind} {name[:8]}", progress):
            fault = self._find_fault(name)  # another process may have built it meanwhile
            if fault is not None:
                self._quarantine(name, fault)
                self._build(name, kind, key, build)
        return self._folder(name)

    def unfinished(self, kind: str, key: Mapping[str, Any]) -> Path:
        """A folder for what the building of an entry has done so far; it is removed when the entry is there."""
        return self._unfinished(_name(SCHEMA, kind, dict(key)))

    def _unfinished(self, name: str) -> Path:
        return self.root / "tmp" / f"{name}.unfinished"

    def set_aside(self, name: str, reason: str) -> None:
        """Put an entry into quarantine, so that it is built anew."""
        with self._disk_errors(), self._locked(name, f"setting aside {name[:8]}", silent):
            self._quarantine(name, reason)

    def entries(self) -> Iterator[Entry]:
        """All entries whose manifest can be read."""
        for manifest in sorted(self.root.glob(f"objects/*/*/{MANIFEST}")):
            try:
                yield self._read_entry(manifest.parent)
            except DamagedFile:
                continue

    def verify(self) -> tuple[int, list[str]]:
        """Check every file of every entry and quarantine the damaged: (number of sound entries, faults of the others)."""
        sound, faults = 0, []
        for folder in sorted(path for path in self.root.glob("objects/*/*") if path.is_dir()):
            self._verified.discard(folder.name)
            with self._disk_errors(), self._locked(folder.name, f"checking {folder.name[:8]}", silent):
                fault = self._find_fault(folder.name)
                if fault is None:
                    sound += 1
                else:
                    faults.append(f"{folder.name}: {fault}")
                    self._quarantine(folder.name, fault)
        return sound, faults

    def collect(self, older_than_days: float, keep_bytes: int = 0) -> list[Entry]:
        """Remove entries built longer ago than that, oldest first, while more than `keep_bytes` remain; and dead builds."""
        limit = time.time() - older_than_days * 86400
        entries = sorted(self.entries(), key=lambda entry: entry.built)
        total, removed = sum(entry.size for entry in entries), []
        for entry in entries:
            if entry.built > limit or total <= keep_bytes:
                continue
            with self._disk_errors(), self._locked(entry.name, f"removing {entry.name[:8]}", silent):
                shutil.rmtree(entry.folder, ignore_errors=True)
            total -= entry.size
            removed.append(entry)
        for leftover in (self.root / "tmp").iterdir():
            lock = self._lock(leftover.name.split(".")[0])
            with suppress(Timeout, OSError, NotImplementedError), lock.acquire(timeout=0):  # held: a build under way
                if leftover.stat().st_mtime < limit:
                    shutil.rmtree(leftover, ignore_errors=True)
        return removed

    def _folder(self, name: str) -> Path:
        return self.root / "objects" / name[:2] / name

    def _find_fault(self, name: str) -> str | None:
        """What is wrong with an entry, None where it is sound: sizes always, sha256 on its first use by this store."""
        folder = self._folder(name)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if _name(manifest["schema"], manifest["kind"], manifest["key"]) != name:
                return f"{MANIFEST} was altered"
            for label, (size, sha) in manifest["files"].items():
                path = folder / label
                if path.stat().st_size != size:
                    return f"{label} has {path.stat().st_size} bytes instead of {size}"
                if name not in self._verified and _sha256(path) != sha:
                    return f"{label} was altered"
        except UNREADABLE as cause:
            return f"{type(cause).__name__}: {cause}"
        self._verified.add(name)
        return None

    def _quarantine(self, name: str, fault: str) -> None:
        aside = self.root / "quarantine" / f"{name}-{uuid.uuid4().hex[:8]}"
        try:
            os.rename(self._folder(name), aside)
        except FileNotFoundError:
            return  # it was missing
        self._verified.discard(name)
        self.notes.append(f"store entry {name[:8]} was damaged ({fault}); set aside as {aside} and built anew")

    def _build(self, name: str, kind: str, key: Mapping[str, Any], build: Callable[[Path], None]) -> None:
        work = self.root / "tmp" / f"{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        work.mkdir()
        try:
            build(work)
            files = {str(p.relative_to(work)): p for p in sorted(work.rglob("*")) if p.is_file()}
            manifest = {
                "schema": SCHEMA,
                "kind": kind,
                "key": dict(key),
                "built": time.time(),
                "files": {label: [path.stat().st_size, _sha256(path)] for label, path in files.items()},
            }
            (work / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            self._publish(work, self._folder(name))
            self._verified.add(name)
            self.built.append(name)
            shutil.rmtree(self._unfinished(name), ignore_errors=True)
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _publish(self, work: Path, folder: Path) -> None:
        for path in [*(p for p in work.rglob("*") if p.is_file()), work]:
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(work, folder)
        except OSError:
            if not folder.exists():
                raise  # where the folder exists, another process was first, which is as good

    def _read_entry(self, folder: Path) -> Entry:
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            size = sum(size for size, _ in manifest["files"].values())
            return Entry(folder.name, folder, manifest["kind"], manifest["key"], size, manifest["built"])
        except UNREADABLE as cause:
            cure = "Run `solidmark store verify`."
            raise DamagedFile(str(folder), f"{type(cause).__name__}", "a manifest", cure) from cause

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            if cause.errno not in DISK_REFUSES:
                raise
            cure = "Free some space, or set SOLIDMARK_STORE to another disk."
            raise InvalidValue(f"store {self.root}", f"{cause}", "room and permission to write", cure) from cause

    def _lock(self, name: str) -> FileLock:
        return FileLock(self.root / "locks" / f"{name}.lock")

    @contextmanager
    def _locked(self, name: str, action: str, progress: Progress) -> Iterator[None]:
        lock = self._lock(name)
        held = self._acquire(lock, action, progress)
        try:
            yield
        finally:
            if held:
                lock.release()

    def _acquire(self, lock: FileLock, action: str, progress: Progress) -> bool:
        """Wait for a lock; False where the file system has none: then work may be done twice, never wrongly.

        Raises InvalidValue where the file of the lock cannot be written.
        """
        waited = 0
        while True:
            try:
                with warnings.catch_warnings():  # filelock warns where it falls back to a lock of its own
                    warnings.simplefilter("ignore")
                    lock.acquire(timeout=1)
                return True
            except Timeout:
                waited += 1
                progress(action, waited, 0)
            except NotImplementedError as cause:  # what filelock made of ENOSYS before it fell back
                return self._go_on(cause)
            except PermissionError as cause:
                cure = f"Remove {lock.lock_file} or make it writable for you, or set SOLIDMARK_STORE to a store of your own."
                raise InvalidValue(f"store {self.root}", f"{cause}", "locks that can be written", cure) from cause
            except OSError as cause:
                if cause.errno not in NO_LOCKS:
                    raise
                return self._go_on(cause)

    def _go_on(self, cause: Exception) -> bool:
        """Note, once, that there are no locks."""
        note = f"store {self.root}: its file system has no locks ({cause}); a model may be trained twice, never wrongly"
        if note not in self.notes:
            self.notes.append(note)
        return False


def _name(schema: int, kind: str, key: Mapping[str, Any]) -> str:
    return digest({"schema": schema, "kind": kind, "key": key})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
