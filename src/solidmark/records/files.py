"""Files of a run: written whole or not at all, whoever dies meanwhile."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from ..errors import InvalidValue

PROBE = 1 << 16
"""Bytes that must fit on the disk before anything is measured."""

CURE = "Free some space, or choose another folder."


def write_text(path: Path, text: str) -> None:
    """Write a text file so that no reader ever sees half of it. What has no UTF-8 is written with a backslash."""
    write_bytes(path, text.encode(errors="backslashreplace"))


def write_first(path: Path, text: str) -> str:
    """Write a text file unless it is there, and return what is there: the text of whichever process came first."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}.draft")
    if not path.exists():
        write_text(draft, text)
        try:
            os.link(draft, path)  # which fails where another was faster
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            write_text(path, text)
        draft.unlink()
    return path.read_text()


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that no reader ever sees half of it. Raises InvalidValue where the disk refuses."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        os.replace(draft, path)
    except OSError as cause:
        with suppress(OSError):
            draft.unlink()
        raise InvalidValue(str(path), f"{cause}", "room and permission to write", CURE) from cause


def check_writable(folder: Path, parts: Iterable[str], where: str, cure: str = CURE) -> None:
    """Raise InvalidValue for a folder, or a part of it, that cannot be made or written: read-only, full, or a file."""
    try:
        for path in (folder, *(folder / part for part in parts)):
            path.mkdir(parents=True, exist_ok=True)
            probe = path / f".probe.{os.getpid()}"
            try:
                with probe.open("wb") as file:
                    file.write(bytes(PROBE))
                    file.flush()
                    os.fsync(file.fileno())
            finally:
                with suppress(OSError):
                    probe.unlink()
    except OSError as cause:
        raise InvalidValue(f"{where} {folder}", f"{cause}", "a folder with room, and permission to write", cure) from cause
