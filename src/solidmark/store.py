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
import math
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

NOTE = "store "
"""How each of a store's notes begins."""

UNUSED_DAYS = 1.0
"""What was used within a day is not removed for a store's limit: another process may be reading it."""

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


def _limit() -> int | None:
    """`$SOLIDMARK_STORE_LIMIT`, gigabytes, in bytes; None where it is not set. Raises InvalidValue for what is no size."""
    stated = os.environ.get("SOLIDMARK_STORE_LIMIT")
    if not stated:
        return None
    try:
        size = float(stated)
    except ValueError:
        size = -1.0
    if not 0 <= size < math.inf:
        cure = "Correct the variable, or unset it."
        raise InvalidValue("SOLIDMARK_STORE_LIMIT", repr(stated), "gigabytes, such as 20", cure)
    return int(size * 1e9)


def canonical(value: object) -> str:
    """JSON with sorted keys: equal values have equal texts. Raises TypeError or ValueError for what JSON cannot hold."""
    plain = json.loads(json.dumps(value, allow_nan=False))  # numbers as names are sorted as what they become, text
    return json.dumps(plain, sort_keys=True, separators=(",", ":"))


def digest(value: object) -> str:
    """sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


@dataclass(frozen=True)
class Entry:
    """One entry on disk: its name, kind, key, size in bytes, times of building and of the last use (seconds since 1970).

    `label` says in words what it is of; it is no part of its name, and empty where whoever built it said nothing.
    """

    name: str
    folder: Path
    kind: str
    key: dict[str, Any]
    size: int
    built: float
    used: float
    label: str = ""


class Store:
    """A content-addressed folder; `notes` are for the user: damaged entries that were built anew, a disk without locks.

    `built` are the names of the entries that this process has built, in order, `used` of all that it has asked for.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.notes: list[str] = []
        self.built: list[str] = []
        self.used: list[str] = []
        self.limit = _limit()
        self._verified: set[str] = set()
        try:
            for part in PARTS:
                (root / part).mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            cure = "Set SOLIDMARK_STORE to a folder that can be written."
            raise InvalidValue(f"store {root}", f"{cause}", "a folder that can be written", cure) from cause

    def get(
        self, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], progress: Progress = silent, label: str = ""
    ) -> Path:
        """The folder of the entry for `key`, built by `build(folder)` where it is missing or damaged.

        `label` says in words what it is of. One process builds while the others wait. Where `build` raises, the exception
        passes through and no entry is left;
        raises InvalidValue where the disk refuses.
        """
        name = _name(SCHEMA, kind, dict(key))
        self.used += [] if name in self.used else [name]
        if self._touched(name).is_dir() and self._find_fault(name) is None:
            return self.folder(name)
        with self._disk_errors(), self._locked(name, f"waiting for {kind} {name[:8]}", progress):
            fault = self._find_fault(name)  # another process may have built it meanwhile
            if fault is not None:
                self._quarantine(name, fault)
                self._build(name, kind, key, build, label)
        if self.limit is not None:
            self.collect(UNUSED_DAYS, self.limit, unfinished=False)
        return self._touched(name)

    def folder(self, name: str) -> Path:
        """Where the entry of that name is, or would be."""
        return self.root / "objects" / name[:2] / name

    def adopt(self, folder: Path) -> Entry:
        """Take over a copy of an entry that another store has built, whole and unaltered, or not at all.

        Raises DamagedFile for one that is not as its manifest says, or of a newer schema.
        """
        manifest, files = check_entry(folder)

        def build(work: Path) -> None:
            for label, path in files.items():
                (work / label).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, work / label)

        label = str(manifest.get("label", ""))
        return self._read_entry(self.get(manifest["kind"], manifest["key"], build, label=label))

    def has(self, kind: str, key: Mapping[str, Any]) -> bool:
        """Whether there is a sound entry for `key`."""
        return self._find_fault(_name(SCHEMA, kind, dict(key))) is None

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

    def collect(self, older_than_days: float, keep_bytes: int = 0, *, unfinished: bool = True) -> list[Entry]:
        """Remove entries unused for so long, the longest first, while more than `keep_bytes` remain; and dead builds.

        With `unfinished` also what interrupted trainings have saved.
        """
        limit = time.time() - older_than_days * 86400
        entries = sorted(self.entries(), key=lambda entry: entry.used)
        total, removed = sum(entry.size for entry in entries), []
        for entry in entries:
            if entry.used > limit or total <= keep_bytes:
                continue
            with self._disk_errors(), self._locked(entry.name, f"removing {entry.name[:8]}", silent):
                gone = self._remove_unused(entry, limit)
            total -= entry.size if gone else 0
            removed += [entry] if gone else []
        for leftover in (self.root / "tmp").iterdir():
            if leftover.suffix == ".unfinished" and not unfinished:
                continue
            lock = self._lock(leftover.name.split(".")[0])
            with suppress(Timeout, OSError, NotImplementedError), lock.acquire(timeout=0):  # held: a build under way
                if leftover.stat().st_mtime < limit:
                    shutil.rmtree(leftover, ignore_errors=True)
        return removed

    def _remove_unused(self, entry: Entry, limit: float) -> bool:
        """Remove an entry, unless another process has asked for it since: who asks touches the manifest first."""
        aside = self.root / "tmp" / f"{entry.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        try:
            os.rename(entry.folder, aside)
            used = (aside / MANIFEST).stat().st_mtime
        except FileNotFoundError:
            return False  # another process was faster
        if used > limit:
            os.rename(aside, entry.folder)
            return False
        shutil.rmtree(aside, ignore_errors=True)
        return True

    def _touched(self, name: str) -> Path:
        """The folder of an entry, whose manifest's time, if there is one, tells from now on when it was used."""
        with suppress(OSError):  # a store that one may read only
            os.utime(self.folder(name) / MANIFEST)
        return self.folder(name)

    def _find_fault(self, name: str) -> str | None:
        """What is wrong with an entry, None where it is sound: sizes always, sha256 on its first use by this store."""
        folder = self.folder(name)
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
            os.rename(self.folder(name), aside)
        except FileNotFoundError:
            return  # it was missing
        self._verified.discard(name)
        self.notes.append(f"{NOTE}entry {name[:8]} was damaged ({fault}); set aside as {aside} and built anew")

    def _build(self, name: str, kind: str, key: Mapping[str, Any], build: Callable[[Path], None], label: str) -> None:
        work = self.root / "tmp" / f"{name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        work.mkdir()
        try:
            build(work)
            files = {str(p.relative_to(work)): p for p in sorted(work.rglob("*")) if p.is_file()}
            manifest = {
                "schema": SCHEMA,
                "kind": kind,
                "key": dict(key),
                "label": label,
                "built": time.time(),
                "files": {label: [path.stat().st_size, _sha256(path)] for label, path in files.items()},
            }
            (work / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True), encoding="utf-8")
            self._publish(work, self.folder(name))
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
            used = (folder / MANIFEST).stat().st_mtime
            label = str(manifest.get("label", ""))
            return Entry(folder.name, folder, manifest["kind"], manifest["key"], size, manifest["built"], used, label)
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
        note = f"{NOTE}{self.root}: its file system has no locks ({cause}); a model may be trained twice, never wrongly"
        if note not in self.notes:
            self.notes.append(note)
        return False


def check_entry(folder: Path) -> tuple[dict[str, Any], dict[str, Path]]:
    """The manifest of an entry of another store, and its files by their names in it. Raises DamagedFile."""
    manifest = _read_manifest(folder)
    return manifest, _checked_files(folder, manifest)


def _read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an entry of another store. Raises DamagedFile."""
    path, cure = folder / MANIFEST, "Fetch the whole folder again."
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if manifest["schema"] != SCHEMA:
            raise DamagedFile(str(path), f"schema {manifest['schema']}", f"schema {SCHEMA}", "Install a newer solidmark.")
        if _name(SCHEMA, manifest["kind"], manifest["key"]) != folder.name:
            raise DamagedFile(str(path), "a key that does not belong to its name", "the manifest as written", cure)
        return manifest
    except UNREADABLE as cause:
        raise DamagedFile(str(path), f"{type(cause).__name__}: {cause}", "the manifest of an entry", cure) from cause


def _checked_files(folder: Path, manifest: Mapping[str, Any]) -> dict[str, Path]:
    """The files of an entry of another store by their names in it. Raises DamagedFile."""
    cure, inside = "Fetch the whole folder again.", folder.resolve()
    try:
        files = {label: (inside / label, size, sha) for label, (size, sha) in manifest["files"].items()}
        for label, (path, size, sha) in files.items():
            if not path.resolve().is_relative_to(inside) or label == MANIFEST:
                raise DamagedFile(str(folder), f"a file {label!r}", "files inside the folder", "Do not trust it.")
            if path.stat().st_size != size or _sha256(path) != sha:
                raise DamagedFile(str(path), "other bytes than its manifest states", "the file as written", cure)
    except UNREADABLE as cause:
        raise DamagedFile(str(folder), f"{type(cause).__name__}: {cause}", "a whole entry", cure) from cause
    return {label: path for label, (path, _, _) in files.items()}


def _name(schema: int, kind: str, key: Mapping[str, Any]) -> str:
    return digest({"schema": schema, "kind": kind, "key": key})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
